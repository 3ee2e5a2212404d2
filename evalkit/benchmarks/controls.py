"""Control methods: edits whose quality is known before they are scored, for any benchmark.

``identity`` and ``shuffled_source`` are the two ends of doing nothing that was asked: all preserved, and nothing
preserved. ``reference`` is the perfect edit, where the benchmark has it. A benchmark may bring more.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from evalkit.benchmarks.base import Benchmark
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.errors import OptionError, UnknownNameError
from evalkit.images.decode import write_image

CONTROLS: Mapping[str, str] = {
    "identity": "The source image, untouched.",
    "shuffled_source": "The source image of another item, one with another source.",
    "reference": "The benchmark's own picture of a perfect edit.",
}
"""The controls that need nothing of a benchmark but its images, each with what it gives."""

_WRITERS = 16
"""Files written at a time: each waits for the disk."""
_Writer = Callable[[EditItem, Path], Path]


def controls_of(benchmark: Benchmark) -> tuple[str, ...]:
    """The names of the controls that a benchmark has."""
    complete = all(item.reference_image for item in benchmark.items)
    return (*(name for name in CONTROLS if name != "reference" or complete), *benchmark.controls)


def write_control(name: str, benchmark: Benchmark, root: Path, output: Path, *, rng: np.random.Generator) -> Path:
    """Writes a control method's edits of a benchmark: one image per item, and their manifest.

    Where a control gives a file of the benchmark, it is copied byte for byte.

    Args:
        name: One of :func:`controls_of`.
        benchmark: What is edited.
        root: The benchmark's files, from its ``locate``.
        output: The edit folder; made if it is not there.
        rng: For the controls that draw lots.

    Returns:
        ``output``.

    Raises:
        UnknownNameError: The benchmark has no such control.
        OptionError: ``shuffled_source`` of a benchmark with a single source image.
        OSError: The folder cannot be written.
    """
    if name not in controls_of(benchmark):
        raise UnknownNameError(
            f"The benchmark {benchmark.name} has no control '{name}'. It has: {', '.join(controls_of(benchmark))}."
        )
    items = benchmark.item_list(root).items
    write = _writer(name, benchmark, items, rng)
    output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_WRITERS) as pool:
        files = list(pool.map(lambda item: write(item, output), items))
    edited = [replace(item, edited_image=file) for item, file in zip(items, files, strict=True)]
    write_manifest(output, edited, benchmark=benchmark.name, method=name)
    return output


def _writer(name: str, benchmark: Benchmark, items: tuple[EditItem, ...], rng: np.random.Generator) -> _Writer:
    """What writes one item's edited image into a folder and returns the file."""
    if name in benchmark.controls:
        draw = benchmark.controls[name]

        def drawn(item: EditItem, folder: Path) -> Path:
            path = folder / f"{item.item_id}.png"
            write_image(path, draw(item))
            return path

        return drawn
    if name == "shuffled_source":
        other = _shuffled(items, rng)
        return lambda item, folder: _copy(other[_group(item)], item, folder)
    field = "reference_image" if name == "reference" else "source_image"
    return lambda item, folder: _copy(getattr(item, field), item, folder)


def _copy(original: Path, item: EditItem, folder: Path) -> Path:
    path = folder / f"{item.item_id}{original.suffix}"
    shutil.copyfile(original, path)
    return path


def _shuffled(items: tuple[EditItem, ...], rng: np.random.Generator) -> dict[str, Path]:
    """For each group another group's source: the next one in a random circle, so that every source is used once."""
    sources = {_group(item): item.source_image for item in reversed(items) if item.source_image}
    groups = list(dict.fromkeys(_group(item) for item in items))
    if len(groups) < 2:
        raise OptionError("The control 'shuffled_source' needs two source images or more, got one.")
    circle = [groups[index] for index in rng.permutation(len(groups))]
    return {group: sources[following] for group, following in zip(circle, circle[1:] + circle[:1], strict=True)}


def _group(item: EditItem) -> str:
    return item.group or str(item.source_image)
