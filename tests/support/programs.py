"""Programs for the method ``command`` to call, and calls of them."""

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.editing import Edited
from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image
from evalkit_adapters.external.command import Command
from tests.support.toys import make, toy_items

INVERT = """
import json, os, sys
from PIL import Image, ImageOps
*notes, source, edited = sys.argv[1:]
ImageOps.invert(Image.open(source)).save(edited)
with open("notes.jsonl", "a") as file:
    file.write(json.dumps([*notes, os.environ.get("OF_THE_USER")]) + "\\n")
"""
BATCH = """
import json, os, pathlib, sys, time
from PIL import Image, ImageOps
manifest = pathlib.Path(sys.argv[1])
rows = [json.loads(line) for line in manifest.read_text().splitlines()]
def edit(row, suffix=""):
    target = manifest.parent / row["edited_image_file_name"]
    image = ImageOps.invert(Image.open(manifest.parent / row["source_image_file_name"]))
    image.save(target.with_suffix(suffix) if suffix else target)
    return target
open("calls.jsonl", "a").write(json.dumps(rows) + "\\n")
"""


def program(folder: Path, text: str) -> str:
    """The beginning of a command that runs this text."""
    path = folder / "a program.py"  # names have spaces
    path.write_text(text)
    return shlex.join([sys.executable, str(path)])


def run_of(folder: Path, text: str, **settings: Any) -> MethodRun:
    """A run of a command in a folder."""
    values = Command.card.values(miniature=False) | {"command": text, "directory": str(folder)} | settings
    return MethodRun(model="", revision=None, settings=values)


def per_item(folder: Path, text: str, items: list[EditItem] | None = None, **settings: Any) -> Edited:
    """Call a program for each item: ``text`` followed by the source and the edited image."""
    places = settings.pop("places", "{source_image} {edited_image}")
    run = run_of(folder, f"{program(folder, text)} {places}", **settings)
    return make(Command, toy_items(folder, 1) if items is None else items, folder / "out", run=run)


def per_folder(folder: Path, text: str, n_items: int = 4, **settings: Any) -> Edited:
    """Call a program once: what follows ``BATCH``."""
    places, seeds = settings.pop("places", "{manifest}"), settings.pop("seeds", (0,))
    run = run_of(folder, f"{program(folder, BATCH + text)} {places}", once_per="folder", **settings)
    return make(Command, toy_items(folder, n_items), folder / "out", run=run, seeds=seeds)


def is_inverted(folder: Path, item_id: str, seed: int = 0, *, source: int = 0) -> bool:
    """Whether an edited image is the inverse of its source."""
    pictures = (read_image(folder / "out" / item_id / f"{seed}.png"), read_image(folder / f"source_{source}.png"))
    made, before = (np.asarray(picture, int) for picture in pictures)
    return made.shape == before.shape and bool(np.array_equal(made, 255 - before))


def reasons(done: Edited) -> list[str]:
    """Why items failed."""
    return [failure.reason for failure in done.failures]


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and was not waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")
