"""What happens to pictures on their way, and what should or should not move a metric."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter

from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image
from evalkit.storage.atomic import atomic_write
from evalkit.storage.names import file_stem

BLUR = 1 / 64
"""Radius of the blur in shares of the shorter side."""
_WRITERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One way in which a picture changes without being another edit."""

    summary: str
    apply: Callable[[Image.Image], Image.Image]
    suffix: str = ".png"
    options: Mapping[str, Any]
    """Of the file format."""


def _round_trip(name: str, suffix: str, quality: int) -> Damage:
    """Written to a file format that loses something, and read again."""
    return Damage(
        summary=f"{name} round trip, quality {quality}",
        apply=lambda image: image,
        suffix=suffix,
        options={"format": name.upper(), "quality": quality},
    )


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR * min(image.size)))


def _halved(image: Image.Image) -> Image.Image:
    """Half the size and back."""
    half = (max(1, image.width // 2), max(1, image.height // 2))
    return image.resize(half, Image.Resampling.BICUBIC).resize(image.size, Image.Resampling.BICUBIC)


def _doubled(image: Image.Image) -> Image.Image:
    """Twice the size, as methods that work at another resolution give it."""
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)


_PNG = {"format": "PNG", "compress_level": 1}
DAMAGES: Mapping[str, Damage] = {
    "jpeg_90": _round_trip("JPEG", ".jpg", 90),
    "jpeg_50": _round_trip("JPEG", ".jpg", 50),
    "webp_80": _round_trip("WebP", ".webp", 80),
    "resize_half": Damage(summary="resized to half and back", apply=_halved, options=_PNG),
    "resize_double": Damage(summary="delivered at twice the size", apply=_doubled, options=_PNG),
    "blur": Damage(summary="Gaussian blur of a 64th of the shorter side", apply=_blurred, options=_PNG),
}
"""By name; those that end in a number are file formats with their quality."""


def damaged(name: str, items: Sequence[EditItem], folder: Path) -> tuple[EditItem, ...]:
    """The items with their edited images damaged.

    Args:
        name: One of :data:`DAMAGES`.
        items: All with an edited image.
        folder: Where the damaged files go; those that are there from before are written anew.

    Raises:
        ImageError: An edited image cannot be read.
        OSError: The folder cannot be written.
    """
    damage = DAMAGES[name]

    def write(item: EditItem) -> EditItem:
        path = folder / item.file_stem / f"{file_stem(str(item.seed))}{damage.suffix}"
        image = damage.apply(read_image(item.edited_image)) if item.edited_image else None
        if image is None:
            return item
        with atomic_write(path) as temporary:
            image.save(temporary, **damage.options)
        return replace(item, edited_image=path)

    with ThreadPoolExecutor(_WRITERS) as pool:
        return tuple(pool.map(write, items))
