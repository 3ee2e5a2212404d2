"""The pictures of the site: sources, perfect edits and the stored edits, where the licences allow showing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.errors import BenchmarkError
from evalkit.images.decode import read_image, write_image
from evalkit.images.stored import AnyImage
from evalkit.leaderboard.files import PICTURES, read_file
from evalkit.leaderboard.store import LoadedEntry
from evalkit.leaderboard.thumbnails import SIDE
from evalkit.storage.atomic import atomic_write

SOURCE, REFERENCE = "_source", "_reference"
"""Folders beside those of methods, whose names begin with no underscore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPictures:
    """Item to the address of its picture, from a board's folder."""

    sources: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each method that has any."""

    def of(self, item_id: str, methods: Sequence[str]) -> list[tuple[str, str]]:
        """Everything there is of an item, each with its name: its source first, then the perfect edit."""
        control = item_id in self.edits.get("reference", {})
        named = (("source", self.sources), *(() if control else (("reference", self.references),)))
        edits = ((method, self.edits.get(method, {})) for method in methods)
        return [(name, of[item_id]) for name, of in (*named, *edits) if item_id in of]


def write_pictures(folder: Path, benchmark: Benchmark, entries: Sequence[LoadedEntry]) -> BoardPictures:
    """Write the pictures that may be shown into a board's folder.

    Those of the benchmark are left out where its files cannot be had here.
    """
    if not benchmark.licence_id:
        return BoardPictures()
    try:
        items = benchmark.load().items
    except BenchmarkError:
        items = ()
    kept = {item.item_id for item in benchmark.items}
    shown = [item for item in items if item.item_id in kept]
    of_benchmark = {
        name: {
            item.item_id: _write(folder, name, item.file_stem, path)
            for item in shown
            if (path := getattr(item, field)) is not None
        }
        for name, field in ((SOURCE, "source_image"), (REFERENCE, "reference_image"))
    }
    return BoardPictures(
        sources=of_benchmark[SOURCE],
        references=of_benchmark[REFERENCE],
        edits={entry.method: _copied(folder, entry, benchmark) for entry in entries if entry.card.pictures_licence},
    )


def _write(folder: Path, name: str, stem: str, path: AnyImage) -> str:
    address = f"{PICTURES}/{name}/{stem}.png"
    image = read_image(path)
    image.thumbnail((SIDE, SIDE))
    write_image(folder / address, image)
    return address


def _copied(folder: Path, entry: LoadedEntry, benchmark: Benchmark) -> dict[str, str]:
    """An entry's stored edits, which ``verify`` has looked at."""
    found = {}
    for item in benchmark.items:
        stored = entry.path / PICTURES / f"{item.file_stem}.png"
        if stored.exists():
            found[item.item_id] = address = f"{PICTURES}/{entry.method}/{item.file_stem}.png"
            with atomic_write(folder / address) as temporary:
                temporary.write_bytes(read_file(stored))
    return found
