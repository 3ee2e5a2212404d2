"""An edited image beside its source, in one size: what metrics of pixels look at.

One rule for sizes that differ: the source is never touched, the edited image is resized to its size, whatever the
shapes, with Pillow's bicubic filter, which antialiases, and rounded to 8 bits once. A mask of another size is resized
by the nearest pixel, so that it stays a mask.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.arrays import Mask, Pixels
from evalkit.errors import ImageError
from evalkit.images.decode import read_image

SIZE_RULE = "source-bicubic-aa"
"""How signatures name the rule."""
MASK_RULE = "mask-nearest"
WHITE = 128
"""From this grey level on a mask's pixel may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """Where a pair lies."""

    edited_image: Path
    source_image: Path
    edit_mask: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, always in one order."""
        return (self.source_image, self.edited_image, *((self.edit_mask,) if self.edit_mask else ()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImagePair:
    """Two images of the source's size."""

    edited: Pixels
    source: Pixels
    """Pairs that were read together share the array of their source."""
    background: Mask | None = None
    """True where nothing should have changed: outside of the edit mask, if one was asked for."""


def read_pairs(
    files: Sequence[PairFiles], read: Callable[[Path], Image.Image] | None = None
) -> Iterator[tuple[PairFiles, ImagePair | Mapping[Path, str]]]:
    """The pairs of some files, one after the other; of files that follow each other each is decoded once.

    Args:
        files: Which.
        read: Gives the image of a file, or raises an ImageError; :func:`read_image` by default.

    Yields:
        The files with the pair, or with those that cannot be decoded and why.
    """
    known: dict[Path, Image.Image | ImageError] = {}
    arrays: dict[Path, Pixels] = {}
    for place in files:
        known = {path: known[path] if path in known else _read(path, read or read_image) for path in place.paths}
        unreadable = {path: str(image) for path, image in known.items() if isinstance(image, ImageError)}
        if unreadable:
            yield place, unreadable
            continue
        images = {path: image for path, image in known.items() if not isinstance(image, ImageError)}
        if place.source_image not in arrays:
            arrays = {place.source_image: np.asarray(images[place.source_image])}
        mask = images[place.edit_mask] if place.edit_mask else None
        yield place, align(images[place.edited_image], arrays[place.source_image], mask)


def align(edited: Image.Image, source: Pixels, mask: Image.Image | None = None) -> ImagePair:
    """The pair in the source's size.

    Args:
        edited: RGB image of any size.
        source: ``(height, width, 3)``.
        mask: The edit mask, of any mode and size: white may change.
    """
    size = (source.shape[1], source.shape[0])
    if edited.size != size:
        edited = edited.resize(size, Image.Resampling.BICUBIC)
    background = None if mask is None else _background(mask, size)
    return ImagePair(edited=np.asarray(edited), source=source, background=background)


def masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """An image with all that lies outside of its edit mask in black.

    Args:
        image: RGB.
        mask: Of any mode and size: white may change.

    >>> image, mask = Image.new("RGB", (2, 1), "white"), Image.new("L", (2, 1), 0)
    >>> mask.putpixel((0, 0), 255)
    >>> [masked(image, mask).getpixel((x, 0)) for x in (0, 1)]
    [(255, 255, 255), (0, 0, 0)]
    """
    pixels = np.array(image)
    pixels[_background(mask, image.size)] = 0
    return Image.fromarray(pixels)


def _background(mask: Image.Image, size: tuple[int, int]) -> Mask:
    grey = mask.convert("L")
    return np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.NEAREST)) < WHITE


def _read(path: Path, read: Callable[[Path], Image.Image]) -> Image.Image | ImageError:
    try:
        return read(path)
    except ImageError as failure:
        return failure
