"""A small leaderboard: twelve edits of the shapes benchmark, their controls, and methods of known quality."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.protocols import PROTOCOLS, Protocol, ProtocolColumn
from evalkit.benchmarks.shapes import shapes
from evalkit.edits.manifest import write_manifest
from evalkit.images.decode import read_image, write_image
from evalkit.leaderboard.records_io import write_text
from evalkit.leaderboard.store import Leaderboard, schemas
from evalkit.leaderboard.submit import submit

N_ITEMS = 24
FEW = Protocol(
    name="few/v1",
    benchmark="few",
    benchmark_version="1",
    title="A few edits",
    n_items=N_ITEMS,
    columns=tuple(
        ProtocolColumn(metric=name, title=name) for name in ("edit_success", "attribute_preservation", "clip_score")
    ),
    alignment="edit_success",
    preservation="attribute_preservation",
    encoder="miniature",
    margins={"edit_success": 0.05, "attribute_preservation": 0.05},
)
SITE = Path("leaderboard/site")
HOSTILE = '"><script>window.hit=1</script><img src=x onerror="window.hit=2">\u202egnp.exe {{ 7*7 }}\''
LONG = "very_" * 2000


def few():
    """The first edits of the shapes benchmark, under a name of their own."""
    whole = shapes()
    return replace(whole, name="few", items=whole.items[:N_ITEMS])


@contextmanager
def known():
    """The small benchmark and its protocol can be named."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BENCHMARKS._builtin, "few", "tests.support.boards:few")
        patch.setitem(PROTOCOLS._builtin, "few/v1", "tests.support.boards:FEW")
        yield


def card_of(name="mine", **changes):
    """The content of a METHOD.yaml; ``changes`` are for any of its sections, None takes a field away."""
    content = {
        "protocol": "few/v1",
        "method": {"name": name, "title": name.title(), "summary": f"About {name}.", "licence": "MIT"},
        "declarations": {
            "per_item_tuning": "no",
            "selection": "none",
            "attempts_per_item": 1,
            "deterministic": True,
            "uses": ["target_caption"],
            "saw_benchmark": "no",
            "settings": {"strength": 0.5},
        },
        "submitter": {"name": "Somebody", "relationship": "first_party"},
    }
    for key, value in changes.items():
        for section in (content, content["method"], content["declarations"], content["submitter"]):
            if key in section:
                section.update({key: value})
                break
        else:
            content["method"][key] = value
    return content


def write_card(path, content):
    """The card as a file."""
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def edits(folder, *, good=1.0, method="mine", seed=0, seeds=(None,), skip=(), failed=()):
    """A folder of edits: so large a share of reference edits, the rest sources; all with a little noise."""
    benchmark = few()
    rng = np.random.default_rng(seed)
    items = []
    for item in benchmark.load().items:
        right = rng.random() < good
        for one in seeds:
            if item.item_id in failed:
                items.append(replace(item, seed=one).without_edit("failed", "out of memory"))
            if item.item_id in (*skip, *failed):
                continue
            pixels = np.array(read_image(item.reference_image if right else item.source_image), dtype=np.int16)
            noisy = np.clip(pixels + rng.integers(-2, 3, pixels.shape), 0, 255).astype(np.uint8)
            path = folder / f"{item.item_id}{'' if one is None else f'-{one}'}.png"
            write_image(path, Image.fromarray(noisy))
            items.append(replace(item, edited_image=path, seed=one))
    write_manifest(folder, items, benchmark="few", method=method)
    return folder


def control(folder, name):
    """A control's edits."""
    benchmark = few()
    return write_control(name, benchmark.load(), folder, rng=np.random.default_rng(0))


def empty_board(root):
    """A leaderboard with nothing but its schemas."""
    for name, text in schemas().items():
        write_text(root / "schema" / name, text)
    return Leaderboard(root)


def board_of(root):
    """A leaderboard of three controls and three methods: good, fair, and one that edits nothing.

    The first has a hostile title, the last one of 10,000 characters.
    """
    titles = {"good": HOSTILE, "fair": "Fair", "lazy": LONG}
    board = empty_board(root / "leaderboard")
    for name in ("identity", "shuffled_source", "reference"):
        card = card_of(name, kind="control", pictures_licence="Apache-2.0")
        submit(control(root / name, name), write_card(root / f"{name}.yaml", card), board)
    for seed, (name, good) in enumerate((("good", 0.9), ("fair", 0.6), ("lazy", 0.0))):
        card = card_of(name, title=titles[name], pictures_licence="Apache-2.0")
        folder = edits(root / name, good=good, method=name, seed=seed)
        submit(folder, write_card(root / f"{name}.yaml", card), board)
    return board
