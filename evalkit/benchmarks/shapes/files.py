"""The benchmark's files: drawn once, where they are asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.edits import EDIT_TYPES, LISTS, Edit, EditList, edits
from evalkit.benchmarks.shapes.world import coverage, draw
from evalkit.errors import BenchmarkError
from evalkit.images.decode import write_image
from evalkit.storage.atomic import atomic_write
from evalkit.storage.paths import cache_directory

_MARKER = "VERSION"
"""The file that says which version, and which list of it, a directory holds."""
_WRITERS = 16
"""Files written at a time: each waits for the disk, and the disk serves many as fast as one."""


def source_file(edit: Edit) -> Path:
    """Where the source image lies, below the benchmark's directory."""
    return Path("sources") / f"{edit.group}.png"


def reference_file(edit: Edit) -> Path:
    """Where the picture of a perfect edit lies."""
    return Path("references") / f"{edit.item_id}.png"


def mask_file(edit: Edit) -> Path:
    """Where the edit mask lies."""
    return Path("masks") / f"{edit.item_id}.png"


def edit_mask(edit: Edit) -> npt.NDArray[np.bool_]:
    """The pixels that a perfect edit may change, ``(size, size)``; outside of them reference and source are equal.

    For an edit of the shape they are what it touches before or after, to the last antialiased pixel; for an edit of the
    background all but the pixels that the shape covers wholly.
    """
    before = coverage(edit.source, edit.jitter)
    if EDIT_TYPES[edit.edit_type].attribute == "background":
        return np.asarray(before < 255)
    return np.asarray((before > 0) | (coverage(edit.target, edit.jitter) > 0))


def locate(
    data: Path | None = None,
    *,
    near: Path | None = None,  # noqa: ARG001 - nothing official lies near
    name: str = "shapes",
) -> Path:
    """The directory with the benchmark's files; those that are not there yet are drawn, which takes a second.

    Each file appears whole or not at all, and always with the same pixels, so that several processes may draw at once.

    Args:
        data: A directory of the benchmark's own, new or old; None draws into evalkit's cache.
        near: Not used: the files need no copy.
        name: Which of ``LISTS``.

    Raises:
        BenchmarkError: ``data`` holds something else, or the directory cannot be written.
    """
    version = _marked(LISTS[name])
    root = data or cache_directory() / "benchmarks" / "shapes" / version
    try:
        _require_ours(root, version)
        if not (root / _MARKER).is_file():
            with atomic_write(root / _MARKER) as temporary:
                temporary.write_text(version, encoding="utf-8")
        missing = [(root / name, picture) for name, picture in _pictures(name).items() if not (root / name).is_file()]
        with ThreadPoolExecutor(_WRITERS) as pool:
            for _ in pool.map(lambda task: write_image(task[0], Image.fromarray(task[1]())), missing):
                pass  # an error of any of them is raised here
    except OSError as error:
        raise BenchmarkError(
            f"The shapes benchmark cannot be drawn into {root}: {error.strerror or error}. Choose another place with: "
            f"--data DIR"
        ) from error
    return root


def _marked(chosen: EditList) -> str:
    """The version, and after it the list where it is not the first of its version: ``1``, ``2``, ``2_tuning``."""
    return chosen.version + "".join(chosen.name.partition("_")[1:])


def _require_ours(root: Path, version: str) -> None:
    """Raises if a directory holds somebody else's files, or another version's."""
    found = {path.name for path in root.iterdir() if not path.name.startswith(".")} if root.is_dir() else set()
    foreign = found - {_MARKER, "sources", "references", "masks"}
    marked = (root / _MARKER).read_text(encoding="utf-8") if _MARKER in found else version
    if foreign or marked != version:
        what = f"'{min(foreign)}'" if foreign else f"version {marked[:20]}"
        raise BenchmarkError(
            f"{root}: expected a new or empty directory to draw version {version} of the shapes benchmark into, or one "
            f"that holds it already; got one with {what}. Name another, or leave --data out to use the cache"
        )


def _pictures(name: str) -> dict[Path, Callable[[], Pixels]]:
    """Every file with what draws it."""
    pictures: dict[Path, Callable[[], Pixels]] = {}
    for edit in edits(name):
        pictures[source_file(edit)] = partial(draw, edit.source, edit.jitter)
        pictures[reference_file(edit)] = partial(draw, edit.target, edit.jitter)
        pictures[mask_file(edit)] = partial(_mask_picture, edit)
    return pictures


def _mask_picture(edit: Edit) -> Pixels:
    return np.repeat(np.where(edit_mask(edit), 255, 0).astype(np.uint8)[..., None], 3, axis=2)
