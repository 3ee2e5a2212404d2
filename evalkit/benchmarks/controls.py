"""Control methods: edits whose quality is known before they are scored, for any benchmark.

``identity`` and ``shuffled_source`` are the two ends of doing nothing that was asked: all preserved, and nothing
preserved. ``reference`` is the perfect edit, where the benchmark has it. A benchmark may bring more.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from evalkit.benchmarks.base import Benchmark, LoadedBenchmark
from evalkit.edits.asked import ASKED, as_record, together
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import RECIPE_NAME, write_manifest
from evalkit.errors import OptionError, UnknownNameError
from evalkit.images.decode import ALL_SUFFIXES, IMAGE_SUFFIXES, read_image_bytes, sniff_format, write_image
from evalkit.images.stored import AnyImage
from evalkit.storage.atomic import atomic_update, atomic_write

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
    """The names of the controls that a benchmark has; ``reference`` where every item has a reference image."""
    complete = benchmark.items and all(item.reference_image for item in benchmark.items)
    return (*(name for name in CONTROLS if name != "reference" or complete), *benchmark.controls)


def require_control(name: str, benchmark: Benchmark) -> None:
    """Refuses the name of a control that a benchmark does not have.

    Raises:
        UnknownNameError: It has no such control.
    """
    if name not in controls_of(benchmark):
        lack = f"{benchmark.title} has no reference edits" if name == "reference" else f"{benchmark.title} has none"
        raise UnknownNameError(
            f"There is no control '{name}' of the benchmark {benchmark.name}: {lack}. "
            f"Its controls are: {', '.join(controls_of(benchmark))}."
        )


def write_control(
    name: str,
    loaded: LoadedBenchmark,
    output: Path,
    *,
    rng: np.random.Generator,
    items: Sequence[EditItem] | None = None,
) -> Path:
    """Writes a control method's edits of a benchmark: one image per item, their manifest, and what was asked for.

    Where a control gives a file of the benchmark, it is copied byte for byte.

    Args:
        name: One of :func:`controls_of`.
        loaded: The benchmark.
        output: The edit folder; made if it is not there.
        rng: For the controls that draw lots.
        items: Some of its items, whose edits are those that they would have among all; all by default.

    Returns:
        ``output``.

    Raises:
        UnknownNameError: The benchmark has no such control.
        OptionError: ``shuffled_source`` of a benchmark with a single source image.
        OSError: The folder cannot be written.
    """
    benchmark, items = loaded.benchmark, loaded.items if items is None else items
    require_control(name, benchmark)
    write = _writer(name, loaded, rng)
    with atomic_update(output) as new:
        with ThreadPoolExecutor(_WRITERS) as pool:
            files = list(pool.map(lambda item: write(item, new), items))
        edited = [replace(item, edited_image=file) for item, file in zip(items, files, strict=True)]
        write_manifest(new, edited, benchmark=benchmark.name, method=name)
        asked = as_record(together((item.item_id, item.seed) for item in items))
        recipe = {"method": name, "benchmark": benchmark.name, ASKED: asked}
        (new / RECIPE_NAME).write_text(json.dumps(recipe, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return output


def _writer(name: str, loaded: LoadedBenchmark, rng: np.random.Generator) -> _Writer:
    """What writes one item's edited image into a folder and returns the file."""
    if name in loaded.benchmark.controls:
        draw = loaded.benchmark.controls[name]

        def drawn(item: EditItem, folder: Path) -> Path:
            path = folder / f"{item.file_stem}.png"
            write_image(path, draw(item))
            return path

        return drawn
    if name == "shuffled_source":
        other = _other_sources(loaded.grouped().items, rng)
        return lambda item, folder: _copy(other[item.item_id], item, folder)
    field = "reference_image" if name == "reference" else "source_image"
    return lambda item, folder: _copy(getattr(item, field), item, folder)


def _copy(original: AnyImage, item: EditItem, folder: Path) -> Path:
    suffix = original.suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        suffix = ALL_SUFFIXES[found][0] if (found := sniff_format(original)) else ""
    path = folder / f"{item.file_stem}{suffix}"
    with atomic_write(path) as temporary:
        temporary.write_bytes(read_image_bytes(original))
    return path


def following(names: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """For each name the next one in a random circle of all of them: each stands for exactly one other.

    Args:
        names: Two different ones or more.
        rng: Draws the order of the circle.
    """
    circle = [names[index] for index in rng.permutation(len(names))]
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))


def _other_sources(items: tuple[EditItem, ...], rng: np.random.Generator) -> dict[str, AnyImage]:
    """For each item the source of another group, the same for all of its group: every group's is used once."""
    sources = {_group(item): item.source_image for item in reversed(items) if item.source_image}
    groups = list(dict.fromkeys(_group(item) for item in items))
    if len(groups) < 2:
        raise OptionError(f"The control 'shuffled_source' needs two source images or more, got {len(groups)}.")
    others = {group: sources[other] for group, other in following(groups, rng).items()}
    return {item.item_id: others[_group(item)] for item in items}


def _group(item: EditItem) -> str:
    return item.group or str(item.source_image)
