"""Sources and edits that are told from each other by one number, written under whatever names a case wants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.edits.folder import EditFolder
from evalkit.images.decode import read_image
from evalkit.images.stored import AnyImage

SIDE = 40
LOSS = 4
"""Grey levels of a band of a picture that JPEG changes at most, far below what tells two pictures apart."""
_WIDE = (60, 40)


def source(number: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A picture with an edge, whose levels depend on the number."""
    pixels = np.full((size[1], size[0], 3), (20 * number + 30, 60, 200 - 15 * number), dtype=np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (10, 240 - 20 * number, 90)
    return Image.fromarray(pixels)


def edit(number: int, seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """The source with a darker corner, of which the number and the seed can be told."""
    pixels = np.array(source(number, size))
    pixels[-10:, -10:] = (3 * number, 7 * seed, 33)
    return Image.fromarray(pixels)


def write(folder: Path, pictures: Mapping[str, Image.Image]) -> Path:
    """Writes pictures by their names."""
    for name, picture in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=95)
    return folder


def sources_and_edits(sources: Sequence[str], edits: Sequence[str]) -> dict[str, Image.Image]:
    """The n-th source and the n-th edit under these names."""
    return {name: source(n) for n, name in enumerate(sources)} | {name: edit(n) for n, name in enumerate(edits)}


def are_pairs(folder: EditFolder) -> bool:
    """Whether every item's edit is that of its source, by what the pictures show."""
    return all(
        item.source_image is not None
        and item.edited_image is not None
        and np.abs(_unedited(item.source_image) - _unedited(item.edited_image)).max() < LOSS
        for item in folder.items
    )


def _unedited(path: AnyImage) -> np.ndarray:
    return np.asarray(read_image(path), dtype=float)[:-16].reshape(3, 8, SIDE, 3).mean((1, 2))


def guesses(folder: EditFolder) -> list[str]:
    """What opening a folder guessed."""
    return [problem.message for problem in folder.problems if problem.code == "guessed"]
