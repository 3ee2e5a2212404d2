"""The only place that opens an image.

Whatever comes in, 8-bit sRGB comes out, by rules that every metric relies on:

* The format is read from the content; the suffix is not looked at.
* EXIF rotation is applied. Of an animation the first frame counts.
* Transparency is composited on white; an opaque alpha channel is the same as none.
* Grey, palette, 1-bit, CMYK and YCbCr become RGB. 16-bit pixels are scaled to 8 bits. Floating-point pixels are
  read as 0 to 1 and refused outside of it.
* An embedded ICC profile is converted to sRGB, relative colorimetric with black-point compensation. A broken profile
  is ignored, as viewers do; so are PNG's gAMA and cHRM.
* What would take too much memory or time is refused from its header, before anything is decoded, by the limits of
  :mod:`evalkit.images.bounds`.

Every function may be called from several threads at once: no setting of Pillow is changed or depended on.
"""

import hashlib
import importlib
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, ImageFile

from evalkit.errors import ImageError, RemoteError
from evalkit.images import plugin_formats
from evalkit.images.bounds import (
    MAX_BYTES,
    Known,
    check_memory,
    check_profile,
    check_size,
    in_turn,
    limited,
    memory_needed,
)
from evalkit.images.colour import Profile, flatten
from evalkit.images.headers import check_body, check_exif, check_header, has_second_frame
from evalkit.images.stored import AnyImage, StoredImage
from evalkit.storage.atomic import atomic_write

RULES_VERSION = "1"
"""Raised whenever a rule of decoding or colour changes a pixel; a part of the key of every feature that is kept."""
SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm"),
    "AVIF": (".avif",),
}
"""The formats that are read everywhere, with the suffixes that promise each."""
ALL_SUFFIXES = {**SUFFIXES, **plugin_formats.SUFFIXES}
"""The same, and the formats that are read where this installation can."""
IMAGE_SUFFIXES = frozenset(suffix for suffixes in ALL_SUFFIXES.values() for suffix in suffixes)

_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    ("JPEG", lambda head: head.startswith(b"\xff\xd8\xff")),
    ("WEBP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
    ("TIFF", lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("GIF", lambda head: head.startswith((b"GIF87a", b"GIF89a"))),
    ("BMP", lambda head: head.startswith(b"BM")),
    ("PPM", lambda head: head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()),
    ("AVIF", lambda head: head[4:12] in (b"ftypavif", b"ftypavis")),
)
_DECODERS = {
    "PNG": "PngImagePlugin.PngImageFile",
    "JPEG": "JpegImagePlugin.JpegImageFile",
    "WEBP": "WebPImagePlugin.WebPImageFile",
    "TIFF": "TiffImagePlugin.TiffImageFile",
    "GIF": "GifImagePlugin.GifImageFile",
    "BMP": "BmpImagePlugin.BmpImageFile",
    "PPM": "PpmImagePlugin.PpmImageFile",
    "AVIF": "AvifImagePlugin.AvifImageFile",
}
_HEAD = 16
_UPRIGHT = 1
_SIDEWAYS = (5, 6, 7, 8)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by EXIF orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An image as metrics see it, and what its file was like."""

    image: Image.Image
    """Mode RGB, 8-bit sRGB, upright, without metadata."""
    format: str
    """Pillow's name of the format, such as ``PNG``."""
    transparent: bool
    """Some pixel was not opaque, and lies on white now."""
    profile: Profile
    deep: bool
    """More than 8 bits per channel."""
    rotated: bool
    """EXIF turned or mirrored it."""
    animated: bool


def read_image(path: AnyImage) -> Image.Image:
    """An image file as metrics see it.

    Returns:
        A loaded image of mode RGB: 8-bit sRGB, upright, without metadata.

    Raises:
        ImageError: The file is absent, empty, truncated, not an image, or asks for more than is allowed.
    """
    return decode_image(read_image_bytes(path), path).image


def read_image_bytes(path: AnyImage) -> bytes:
    """A file's bytes, for callers that both hash and decode them.

    Raises:
        ImageError: There is no such file, or it is no regular file, empty, or larger than :data:`MAX_BYTES`.
        RemoteError: It lies behind a URL that cannot be read.
    """
    with _naming(path), _opened_file(path) as file:
        data = file.read()
        if not data:
            raise ImageError("the file is empty")
        return data


def decode_image(data: bytes, name: AnyImage | str) -> Decoded:
    """Decodes the bytes of an image file.

    Args:
        data: The whole file.
        name: What messages call it.

    Raises:
        ImageError: As for :func:`read_image`.
    """
    return with_decoded(data, name, lambda decoded: decoded)


def with_decoded(data: bytes, name: AnyImage | str, use: Callable[[Decoded], Known]) -> Known:
    """Decodes the bytes of an image file, for somebody who does not keep the pixels.

    Of large images only one at a time is decoded and used, however many threads there are.

    Args:
        data: The whole file.
        name: What messages call it.
        use: What is to be known of the image.

    Raises:
        ImageError: As for :func:`read_image`.
    """
    with _naming(name):
        image = _opened(io.BytesIO(data))
        turned = _orientation(image) != _UPRIGHT
        needed = memory_needed(image, len(data), decoder=check_body(data, image), turned=turned)
        check_memory(needed, image.size)
        return in_turn(needed, lambda: use(_decoded(image, data, rotated=turned)))


def _decoded(image: ImageFile.ImageFile, data: bytes, *, rotated: bool) -> Decoded:
    """The image with its pixels, which its header allows."""
    animated = has_second_frame(data) if image.format == "GIF" else bool(getattr(image, "is_animated", False))
    deep = image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in image.tile)
    image.load()
    # What a PNG says of colour and orientation may stand behind its pixels.
    check_profile(image.info.get("icc_profile") or b"")
    orientation = _orientation(image)
    if orientation != _UPRIGHT and not rotated:
        check_memory(memory_needed(image, len(data), turned=True), image.size)
    flat = flatten(image, format_name=image.format or "")
    return Decoded(
        image=_turned(flat.image, orientation),
        format=image.format or "",
        transparent=flat.transparent,
        profile=flat.profile,
        deep=deep,
        rotated=rotated or orientation != _UPRIGHT,
        animated=animated,
    )


def image_digest(path: AnyImage) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; equal files are the same image whatever their names.

    Raises:
        ImageError: The file cannot be read.
    """
    if isinstance(path, StoredImage):
        with _naming(path):
            return path.digest()
    with _naming(path), _opened_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_size(path: AnyImage) -> tuple[int, int]:
    """Width and height in pixels as :func:`read_image` would give them, from the header alone.

    (A PNG whose EXIF data stand behind its pixels is measured as it lies.)

    Raises:
        ImageError: The file is no image, or asks for more than is allowed.
    """
    with _naming(path), _opened_file(path) as file, _opened(file) as image:
        width, height = image.size
        # Pillow has already swapped the sides of a TIFF.
        sideways = _orientation(image) in _SIDEWAYS and image.format != "TIFF"
        return (height, width) if sideways else (width, height)


def sniff_format(path: AnyImage) -> str | None:
    """The image format that a file's first bytes announce, such as ``PNG``; None for anything else."""
    try:
        with io.BytesIO(path.read()) if isinstance(path, StoredImage) else path.open("rb") as file:
            return _format_of(file.read(_HEAD))
    except (OSError, ImageError):
        return None


def write_image(path: Path, image: Image.Image) -> None:
    """Writes a PNG in one step; equal pixels give equal files.

    Args:
        path: Where to; its folder is made if it is not there.
        image: Image of mode RGB; anything else is for the caller to decide about.

    Raises:
        ImageError: The image is not RGB, or the suffix promises another format.
    """
    if image.mode != "RGB" or path.suffix.lower() != ".png":
        raise ImageError(f"{path} cannot be written: expected an RGB image and a .png, got mode {image.mode}.")
    with atomic_write(path) as temporary:
        # A bare copy: Pillow would write profile and EXIF of the original along.
        Image.frombytes("RGB", image.size, image.tobytes()).save(temporary, "PNG", compress_level=6)


@contextmanager
def _opened_file(path: AnyImage) -> Iterator[io.BufferedReader | io.BytesIO]:
    """A regular file of at most :data:`MAX_BYTES`, opened; a pipe, once opened, would be waited for for ever."""
    if isinstance(path, StoredImage):
        data = path.read()
        limited("its bytes", len(data), MAX_BYTES)
        yield io.BytesIO(data)
        return
    if not path.is_file():
        raise ImageError("it is not a file" if path.exists() else "there is no such file")
    limited("its bytes", path.stat().st_size, MAX_BYTES)
    with path.open("rb") as file:
        yield file


def _format_of(head: bytes) -> str | None:
    return next((name for name, matches in _SIGNATURES if matches(head)), None) or plugin_formats.format_of(head)


def _opened(file: IO[bytes]) -> ImageFile.ImageFile:
    """The image with its header read, its format known and its size allowed.

    ``Image.open`` is not used: it warns from half the allowed size on, tries formats that start other programs, and
    can be kept from either only by settings of the whole process.
    """
    format_name = _format_of(file.read(_HEAD))
    if format_name is None:
        raise ImageError(f"it is not a {', '.join(ALL_SUFFIXES)} file")
    n_bytes = file.seek(0, io.SEEK_END)
    check_header(file, format_name)
    image = _header_read(file, format_name, n_bytes)
    check_size(*image.size)
    check_profile(image.info.get("icc_profile") or b"")
    check_memory(memory_needed(image, n_bytes), image.size)
    return image


def _header_read(file: IO[bytes], format_name: str, n_bytes: int) -> ImageFile.ImageFile:
    if format_name in plugin_formats.SUFFIXES:
        return plugin_formats.opened(file, format_name, n_bytes)
    module, _, decoder = _DECODERS[format_name].partition(".")
    image: ImageFile.ImageFile = getattr(importlib.import_module(f"PIL.{module}"), decoder)(file)
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where it says nothing that can be read."""
    if image.format == "PNG" and getattr(image, "tile", None) and "exif" not in image.info:
        return _UPRIGHT  # asking would decode the pixels
    check_exif(image.info.get("exif") or b"")
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:  # damaged metadata rotate nothing
        return _UPRIGHT
    return value if value in range(1, 9) else _UPRIGHT


def rgb_image(image: Image.Image) -> Image.Image:
    """An image in memory as metrics see it: what :func:`read_image` gives of a file that holds it.

    Args:
        image: Of any mode, with what its file said of rotation, colour and transparency, if it came from one.

    Raises:
        ImageError: Its pixels cannot be decoded, or have no defined range.
    """
    with _naming("The image"):
        format_name = image.format or ""
        image.load()
        return _turned(flatten(image.copy(), format_name=format_name).image, _orientation(image))


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image upright, without metadata."""
    upright = image if orientation == _UPRIGHT else image.transpose(_TURNS[orientation])
    upright.info = {}
    return upright


@contextmanager
def _naming(name: AnyImage | str) -> Iterator[None]:
    """Whatever reading or decoding raises, as one sentence that names the file."""
    try:
        yield
    except RemoteError:  # no fault of the image
        raise
    except Exception as error:  # hostile bytes make decoders raise almost anything
        why = str(error) if isinstance(error, ImageError) else _reason(error)
        raise ImageError(f"{name} cannot be used as an image: {why}.") from error


def _reason(error: Exception) -> str:
    """What was raised, as the end of a sentence; a decoder's stumbling over a short header says nothing to a person."""
    # Pillow turns most of what opening raises into a SyntaxError; what decoding raises says more than its cause.
    first = (error.__cause__ or error) if isinstance(error, SyntaxError) else error
    if isinstance(first, (struct.error, IndexError, KeyError, TypeError)) or not str(error):
        return "its header is damaged"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error).strip().rstrip(".")
    return text[:1].lower() + text[1:]
