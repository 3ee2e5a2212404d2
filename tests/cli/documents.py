"""Small documents of every kind that evalkit reads, each in its place, and the command that reads it there."""

import functools
import hashlib
import io
import json
import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from tests.support import boards
from tests.support.fuzzing import FuzzKind
from tests.support.fuzzing_text import TEXT_MUTATORS
from tests.support.pictures import encoded, scene
from tests.support.runs import A, B, write_scores

NAMES = ("apple.png", "naïve.png", "zebra.png")
ENTRY = Path("board/entries/few/v1/good")
CARD, REPORTED = Path("board/methods/good.yaml"), Path("board/reported/old.yaml")
REPORT = {
    "benchmark": "few", "title": "Old numbers", "citation": "Somebody, 2020", "where": "table 1", "encoder": "unknown",
    "n_items": None, "uncertainty": "none was reported", "columns": {"CLIP": "100 times cos"},
    "rows": [{"title": "Old method", "values": {"CLIP": 99.0}, "per_item_tuning": "yes"}],
}  # fmt: skip
FILES = ("entry.json", "items.jsonl", "outputs.jsonl", "run.json")
CAPTIONS = [
    {"source": name, "source_caption": "A horse.", "target_caption": "A zebra, galloping", "group": name}
    for name in NAMES
]
SCORES = [
    {"item_id": f"item {number}", "method": method, "seed": 0, "psnr": value, "lpips": value / 2}
    for method, values in (("ours", A), ("theirs|x", B))
    for number, value in enumerate(values)
]
STEERING = frozenset(map(chr, (*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0x202A, 0x202F))))
LIMIT_BYTES, LIMIT_SECONDS = 1 << 30, 20.0


@functools.cache
def _workplace() -> "tempfile.TemporaryDirectory[str]":
    """Everything in whole, made once; what a case changes is put back after it."""
    place = tempfile.TemporaryDirectory(prefix="fuzz")
    root = Path(place.name)
    edits = root / "edits"
    for number, name in enumerate(NAMES):
        for folder in (root / "sources", edits / "sources", edits, root / "plain"):
            folder.mkdir(parents=True, exist_ok=True)
            is_source = folder.name == "sources"
            (folder / name).write_bytes(encoded(scene(40, 40, seed=2 * number + is_source)))
    write_manifest(edits, [_edit(edits, name) for name in NAMES], method="mine")
    write_scores(root / "a", {"clip_score": A, "lpips": [*B[:-1], None]}, groups=list("112233"), lower=("lpips",))
    write_scores(root / "b", {"clip_score": B, "lpips": A}, groups=list("112233"), lower=("lpips",))
    with boards.known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(root / "cache"))
        board = boards.empty_board(root / "board")
        card = boards.write_card(root / "good.yaml", boards.card_of("good", pictures_licence="Apache-2.0"))
        boards.submit(boards.edits(root / "good", good=0.9, method="good"), card, board)
    (root / "board/reported").mkdir()
    (root / REPORTED).write_text(yaml.safe_dump(REPORT))
    return place


def _edit(edits: Path, name: str) -> EditItem:
    return EditItem(
        item_id=name, source_image=edits / "sources" / name, edited_image=edits / name, source_caption="A horse.",
        target_caption="A naïve zebra", edit_type="object", group=name, seed=0,
    )  # fmt: skip


def seeds() -> Mapping[str, bytes]:
    """The documents: ``family/more`` is a file of a folder, ``place/more`` is where something else than a file lies."""
    root = Path(_workplace().name)
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in CAPTIONS)
    return {
        "manifest/metadata.jsonl": (root / "edits/metadata.jsonl").read_bytes(),
        "captions/.jsonl": lines.encode(),
        **{f"captions/{name}": _csv(CAPTIONS, sep) for name, sep in ((".csv", ";"), (".tsv", "\t"), (".txt", ","))},
        "captions/.yaml": yaml.safe_dump(CAPTIONS).encode(),
        "table/.csv": _csv(SCORES, ","),
        "table/.tsv": _csv(SCORES, "\t"),
        "table/.json": json.dumps(SCORES).encode(),
        "table/.jsonl": "\n".join(map(json.dumps, SCORES)).encode(),
        "table/.parquet": _parquet(),
        "run/run.json": (root / "a/run.json").read_bytes(),
        "run/items.jsonl": (root / "a/items.jsonl").read_bytes(),
        **{f"entry/{name}": (root / ENTRY / name).read_bytes() for name in FILES},
        "card/methods": (root / CARD).read_bytes(),
        "card/reported": (root / REPORTED).read_bytes(),
        "card/submit": (root / "good.yaml").read_bytes(),
        "place/of a file": b"something else",
    }


def _csv(records: list[dict[str, Any]], separator: str) -> bytes:
    return pandas.DataFrame(records).to_csv(index=False, sep=separator).encode()


def _parquet() -> bytes:
    file = io.BytesIO()
    pandas.DataFrame(SCORES).to_parquet(file)
    return file.getvalue()


def examine(name: str, data: bytes) -> str | None:
    """Has the command read a document; any end but its result, a message or a list of problems is raised."""
    root = Path(_workplace().name)
    family, _, more = name.partition("/")
    as_json = ("--json",) if len(data) % 2 else ()
    if family == "manifest":
        return _at(root / "edits" / more, data, "check", str(root / "edits"), *as_json)
    if family == "captions":
        options = ("--sources", str(root / "sources"), "--captions", str(root / f"captions{more}"))
        return _at(root / f"captions{more}", data, "check", str(root / "plain"), *options, *as_json)
    if family == "table":
        return _at(root / f"table{more}", data, "compare", str(root / f"table{more}"), *as_json)
    if family == "run":
        return _sealed(root / "a", more, data, "compare", str(root / "a"), str(root / "b"), *as_json)
    verify = ("leaderboard", "verify", "--leaderboard", str(root / "board"), *as_json)
    if family == "entry":
        return _sealed(root / ENTRY, more, data, *verify)
    if family == "place":
        return _in_place(root, random.Random(data), *verify)
    if more == "submit":
        return _at(
            root / "good.yaml", data, "submit", str(root / "sources"), "--card", str(root / "good.yaml"), *as_json
        )
    return _at(root / {"methods": CARD, "reported": REPORTED}[more], data, *verify)


def _at(path: Path, data: bytes, *command: str) -> str | None:
    """What a command makes of a file; it is as before afterwards."""
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data)
    try:
        return _outcome(command)
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def _sealed(folder: Path, name: str, data: bytes, *command: str) -> str | None:
    """The same in a folder whose digests are made to fit, as a cheat would, so that what is behind them is reached."""
    kept = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / name).write_bytes(data)
    seals = {"items.jsonl": ("run.json", "items_sha256"), "run.json": ("entry.json", "run_sha256"),
             "outputs.jsonl": ("entry.json", "outputs_sha256")}  # fmt: skip
    for sealed, (sealing, field) in seals.items():
        if name != sealing and folder / sealing in kept:
            record = json.loads((folder / sealing).read_bytes())
            digest = hashlib.sha256((folder / sealed).read_bytes()).hexdigest()
            if record[field] != digest:
                (folder / sealing).write_text(json.dumps({**record, field: digest}))
    try:
        return _outcome(command)
    finally:
        for path, before in kept.items():
            path.write_bytes(before)


def _in_place(root: Path, rng: random.Random, *command: str) -> str | None:
    """What a command makes of something else than a file; refusing it is the only right outcome."""
    path = root / rng.choice((CARD, REPORTED, *(ENTRY / name for name in FILES)))
    kept = path.rename(_aside())
    _PLACES[rng.choice(sorted(_PLACES))](path)
    try:
        sentence = _outcome(command)
        assert sentence is not None, "it was read"
        return sentence
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.rename(path)


def _aside() -> Path:
    return Path(_workplace().name) / "aside"


def _oversize(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 36)


_PLACES: Mapping[str, Callable[[Path], Any]] = {
    "device": lambda path: path.symlink_to("/dev/zero"),
    "directory": Path.mkdir,
    "full directory": lambda path: (path / "inner").mkdir(parents=True),
    "hard link": lambda path: os.link(_aside(), path),
    "link": lambda path: path.symlink_to(_aside()),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "oversize": _oversize,
    "pipe": os.mkfifo,
}


def _outcome(command: tuple[str, ...]) -> str | None:
    """A command's message, or its first problem; None where there is none."""
    with boards.known(), warnings.catch_warnings():
        warnings.simplefilter("error")
        result = CliRunner().invoke(main, command)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    found = json.loads(result.stdout) if "--json" in command else {}
    steering = set(result.stderr if found else result.output).intersection(STEERING)
    assert not steering, f"it steers a terminal: {steering}"
    assert result.exit_code in (0, 1, 3), f"exit code {result.exit_code}: {result.output[-300:]}"
    assert "Traceback" not in result.stderr, result.stderr[-300:]
    if result.exit_code == 0:
        return None
    if result.exit_code == 1:
        return result.stderr.removeprefix("Error: ").removesuffix("\n")
    first = found["problems"][0] if found else {"message": "there are problems"}
    return first["message"] if "item_id" in first else f"{first.get('where', 'entries')}: '{first['message']}'."


DOCUMENTS = FuzzKind(
    seeds=seeds,
    examine=examine,
    bytes_limit=LIMIT_BYTES,
    seconds_limit=LIMIT_SECONDS,
    mutators=TEXT_MUTATORS,
    longest=2000,
)
