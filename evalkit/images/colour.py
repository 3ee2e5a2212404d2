"""Whatever an image file's pixels are, to 8-bit sRGB without transparency.

Everything here takes Pillow images that :mod:`evalkit.images.decode` has decoded; nothing is read from disk.
"""

import functools
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

from evalkit.errors import ImageError

Profile = Literal["none", "srgb", "converted", "ignored"]
_HALF_LEVEL = 0.5 / 255
_STRIP = 1 << 21
"""Pixels that are brought to RGB at a time, so that of large images little is in memory twice."""
_SAME_COLOUR = 2
"""Levels of 255 by which sRGB profiles of different makers move a colour, through rounding alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """8-bit sRGB pixels, and what became of the file's own."""

    image: Image.Image
    """Mode RGB."""
    transparent: bool
    """Some pixel was not opaque, and lies on white now."""
    profile: Profile
    """``converted``: an embedded profile was applied; ``ignored``: one that is broken or made for other channels."""


def flatten(image: Image.Image, *, format_name: str) -> Flat:
    """Brings a decoded image to RGB: range, then colour, then transparency.

    Args:
        image: Decoded image of any mode; a large one of mode RGB is changed in place.
        format_name: Pillow's name of the file format, which decides what 32-bit integers mean.

    Raises:
        ImageError: The pixels have no defined range.
    """
    width, height = image.size
    rows = max(1, _STRIP // width)
    if height <= rows or _is_plain(image):
        return _flat(image, format_name)
    result = image if image.mode == "RGB" else Image.new("RGB", image.size)
    transparent = False
    profile: Profile = "none"
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        flat = _flat(image.crop(box), format_name)
        result.paste(flat.image, box)
        transparent, profile = transparent or flat.transparent, flat.profile
    return Flat(image=result, transparent=transparent, profile=profile)


def _is_plain(image: Image.Image) -> bool:
    """Whether the image is what it should become."""
    if image.mode != "RGB" or "transparency" in image.info:
        return False
    embedded = image.info.get("icc_profile")
    return not embedded or _transform(embedded, "RGB")[1] is None


def _flat(image: Image.Image, format_name: str) -> Flat:
    """The same of an image, or strip of one, that is small enough to be in memory several times."""
    embedded = image.info.get("icc_profile")
    colour, alpha = _split_alpha(_eight_bit(image, format_name))
    rgb, profile = _to_srgb(colour, embedded)
    if alpha is None:
        return Flat(image=rgb, transparent=False, profile=profile)
    white = Image.new("RGB", rgb.size, (255, 255, 255))
    white.paste(rgb, mask=alpha)
    return Flat(image=white, transparent=True, profile=profile)


def _eight_bit(image: Image.Image, format_name: str) -> Image.Image:
    """The image with one byte per channel, the whole range scaled and nothing clipped."""
    if image.mode.startswith("I;16") or (image.mode == "I" and format_name in ("PNG", "PPM")):
        # Some versions of Pillow give the 16 bits of these two formats as 32-bit integers.
        deep = np.asarray(image).astype(np.uint32)
        return _with_info(Image.fromarray(((deep + 128) // 257).astype(np.uint8)), image)
    if image.mode == "I":
        raise ImageError("its 32-bit integer pixels have no defined range; save it with 8 or 16 bits per channel")
    if image.mode == "F":
        unit = np.asarray(image)
        low, high = float(unit.min()), float(unit.max())
        # Written so that NaN fails too.
        if not (low >= -_HALF_LEVEL and high <= 1 + _HALF_LEVEL):
            raise ImageError(f"its floating-point pixels must lie between 0 and 1, got {low:g} to {high:g}")
        return _with_info(Image.fromarray(np.rint(unit.clip(0, 1) * 255).astype(np.uint8)), image)
    return image


def _with_info(image: Image.Image, original: Image.Image) -> Image.Image:
    """The image with the original's profile, which an array does not carry."""
    image.info = {name: value for name, value in original.info.items() if name == "icc_profile"}
    return image


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colour channels (mode L, RGB or CMYK) and the opacity, None where all is opaque."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    elif image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        opaque = alpha.getextrema() == (255, 255)
        return image.convert("RGB" if image.mode == "RGBA" else "L"), None if opaque else alpha
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


def _to_srgb(colour: Image.Image, embedded: bytes | None) -> tuple[Image.Image, Profile]:
    """The colour channels as sRGB."""
    if not embedded:
        return _plain_rgb(colour), "none"
    verdict, transform = _transform(embedded, colour.mode)
    if transform is None:
        return _plain_rgb(colour), verdict
    return transform.apply(colour), "converted"


def _plain_rgb(colour: Image.Image) -> Image.Image:
    return colour if colour.mode == "RGB" else colour.convert("RGB")


@functools.lru_cache(maxsize=16)
def _transform(embedded: bytes, mode: str) -> tuple[Profile, ImageCms.ImageCmsTransform | None]:
    """How a profile's colours become sRGB; None where they are sRGB, or the profile cannot be used.

    A profile is taken for sRGB by what it does and not by its name, of which there are dozens: it moves no colour
    visibly. Transforms are made without lcms' one-pixel cache, so that threads can share them.
    """
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(embedded)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags,
        )
    except (ImageCms.PyCMSError, OSError):
        return "ignored", None
    if mode == "CMYK":
        return "converted", transform
    probe = _probe(mode)
    before = np.asarray(probe.convert("RGB"), dtype=np.int16)
    moved = np.abs(np.asarray(transform.apply(probe), dtype=np.int16) - before)
    return ("srgb", None) if moved.max() <= _SAME_COLOUR else ("converted", transform)


def _probe(mode: str) -> Image.Image:
    """Colours from everywhere in the space: all greys, or a 17³ lattice."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None, :])
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(lattice.reshape(17, -1, 3))
