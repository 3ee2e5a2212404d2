"""A method without a model, items for it, and packages that bring methods along.

``python -m tests.support.toys SOURCES OUTPUT MOMENT`` edits, and is killed at that moment.
"""

import hashlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.editing import Edited, edit_folder
from evalkit.editing import edit as edit_module
from evalkit.editing.method import Adapter, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import MANIFEST_NAME, read_manifest
from tests.support.fakes import save_picture

CARD = MethodCard(
    name="toy",
    title="Toy",
    summary="Colours the source by its caption.",
    paper="",
    licence="Apache-2.0",
    variant="There is only one.",
    needs=frozenset({"target_caption"}),
    settings={
        "strength": Setting(default=0.5, summary="Share of the colour.", lowest=0, highest=1),
        "steps": Setting(default=50, summary="For nothing.", lowest=1),
        "blend": Setting(default="mean", summary="How.", choices=("mean", "max")),
        "flip": Setting(default=False, summary="Whether to turn it."),
        "limit": Setting(default=None, summary="The highest level.", highest=255),
    },
    miniature={"steps": 5},
)
RUN = MethodRun(model="", revision=None, settings=CARD.values(miniature=False))
SIDE = 32


class Toy:
    """Colours a picture by caption and seed, and notes what it was asked."""

    card = CARD

    def load(self, run: MethodRun) -> None:
        """Keeps the settings."""
        self.settings = run.settings

    def fit(self, source_image, source_caption, *, seed):
        """The source's pixels."""
        return np.asarray(source_image, dtype=np.float64) / 255

    def edit(self, item, fitted, *, seed):
        """A mean of the source and a colour."""
        colour = np.frombuffer(hashlib.sha256(f"{item.target_caption}{seed}".encode()).digest()[:3], np.uint8) / 255
        strength = self.settings["strength"]
        return (1 - strength) * fitted + strength * colour


def toy(
    *,
    edit: Callable[..., Any] | None = None,
    fit: Callable[..., Any] | None = None,
    load: Callable[..., Any] | None = None,
    **card: Any,
) -> type[Adapter[Any]]:
    """A toy that notes its calls in ``fits`` and ``edits``.

    Args:
        edit: Called with the item and the seed; what it returns is the picture, unless it is None.
        fit: Called with the source caption.
        load: Called with the run.
        card: What its card says differently.
    """

    class Noted(Toy):
        fits: list[tuple[str | None, int]] = []  # noqa: RUF012 - one list per toy is what is wanted
        edits: list[EditItem] = []  # noqa: RUF012

        def load(self, run):
            super().load(run)
            if load:
                load(run)

        def fit(self, source_image, source_caption, *, seed):
            self.fits.append((source_caption, seed))
            if fit:
                fit(source_caption)
            return super().fit(source_image, source_caption, seed=seed)

        def edit(self, item, fitted, *, seed):
            self.edits.append(replace(item, seed=seed))
            picture = edit(item, seed) if edit else None
            return super().edit(item, fitted, seed=seed) if picture is None else picture

    Noted.card = replace(CARD, **card)
    return Noted


def toy_items(folder: Path, n_items: int = 6, n_sources: int = 2) -> list[EditItem]:
    """Items whose sources repeat every ``n_sources``."""
    return [
        EditItem(
            item_id=f"item_{index}",
            group=f"group_{index % n_sources}",
            source_image=save_picture(folder / f"source_{index % n_sources}.png", index % n_sources, SIDE),
            source_caption=f"Thing {index % n_sources}.",
            target_caption=f"Another thing, number {index}.",
        )
        for index in range(n_items)
    ]


def make(method: type[Adapter[Any]], items: list[EditItem], output: Path, **options: Any) -> Edited:
    """An edit folder of these items at the published settings."""
    return edit_folder(method, items, output, **({"run": RUN, "benchmark": "toys"} | options))


def files_of(folder: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Every file with its bytes, but for the lock and for what may differ from run to run: what an edit took."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines if line["status"] == "ok")
    return {name: path.read_bytes() for name, path in files.items() if name not in ("metadata.jsonl", ".lock")}, lines


def statuses(folder: Path) -> list[tuple[str, int | None, str, str | None]]:
    """Item, seed, status and reason of each line of the manifest."""
    return [(item.item_id, item.seed, item.status, item.reason) for item in read_manifest(folder).items]


def install(
    site: Path,
    distribution: str,
    names: dict[str, str],
    modules: dict[str, str] | None = None,
    *,
    group: str = "evalkit.methods",
) -> Path:
    """What ``pip install --target`` leaves of a package that brings methods along, or what else a group holds.

    Args:
        site: The directory, to be put on the import path.
        distribution: Name of the package.
        names: Name of each method, with its ``module:class``.
        modules: Source text of each module.
        group: The entry-point group.
    """
    information = site / f"{distribution}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = "\n".join(f"{name} = {target}" for name, target in names.items())
    (information / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    for name, text in (modules or {}).items():
        (site / f"{name}.py").write_text(text)
    return site


def die_at(moment: str) -> None:
    """Arranges for this process to be killed, as the kernel does it, at a moment of its fourth edit."""
    name = "write_image" if moment == "half a picture" else "append_item"
    original, calls = getattr(edit_module, name), itertools.count(1)

    def last(path: Path, value: Any, **facts: Any) -> None:
        if moment == "half a picture":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.{os.getpid()}.1").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
        elif moment != "no line":
            original(path, value, **facts)
            manifest = path / MANIFEST_NAME
            os.truncate(manifest, manifest.stat().st_size - (40 if moment == "half a line" else 0))
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(edit_module, name, lambda *given, **facts: (original if next(calls) < 4 else last)(*given, **facts))


if __name__ == "__main__":
    sources, output, when = sys.argv[1:]
    die_at(when)
    make(Toy, toy_items(Path(sources)), Path(output), seeds=(0, 1))
