"""Formats that are read only where this installation can: HEIC, JPEG 2000 and JPEG XL.

What a file asks for is read from its own header here, before any decoder sees it, and refused by the limits of
:mod:`evalkit.images.bounds`. Each decoder is asked for directly: nothing is tried that could start another program.
"""

import importlib
import struct
from collections.abc import Iterator
from typing import IO, Any

from PIL import ImageFile, features

from evalkit.errors import ImageError
from evalkit.images.bounds import MAX_BLOCKS, MAX_METADATA, check_canvas, limited

SUFFIXES = {
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpx"),
    "JXL": (".jxl",),
}
"""Pillow's names of the formats, with the suffixes that promise each."""
_DECODERS = {
    "HEIF": ("pillow_heif", "HeifImageFile", "pillow-heif"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile", "pillow"),
    "JXL": ("pillow_jxl.JpegXLImagePlugin", "JXLImageFile", "pillow-jxl-plugin"),
}
"""Module and class of what decodes each, and the package that brings it."""
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_MAX_COMPONENTS = 4
_MAX_PRECINCTS = 1 << 18
"""Of a JPEG 2000, whose decoder keeps tables for each: a hundred million pixels in squares of 32."""
_CODESTREAM = b"\xff\x4f"
_MAX_EXTRA_CHANNELS = 4
_SIZ, _COD, _SOT = 0xFF51, 0xFF52, 0xFF90
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Of width to height, that JPEG XL has numbers for."""


def format_of(head: bytes) -> str | None:
    """Which of the formats the first 16 bytes of a file announce."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    if head[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or head[:4] == b"\xff\x4f\xff\x51":
        return "JPEG2000"
    if head[:2] == b"\xff\x0a" or head[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return "JXL"
    return None


def opened(file: IO[bytes], format_name: str, n_bytes: int) -> ImageFile.ImageFile:
    """The image with its header read, where something is installed that decodes it.

    Args:
        file: At its beginning.
        format_name: One of :data:`SUFFIXES`.
        n_bytes: Of the file.

    Raises:
        ImageError: It asks for more than is allowed, or nothing that decodes it is installed.
    """
    module, name, package = _DECODERS[format_name]
    try:
        decoder: Any = getattr(importlib.import_module(module), name)
    except ImportError:
        decoder = None
    if decoder is None or (format_name == "JPEG2000" and not features.check("jpg_2000")):
        raise ImageError(f"it is a {format_name} file, which is read only with {package}; pip install {package}")
    if format_name == "JPEG2000":
        _check_jpeg2000(file, n_bytes)
    elif format_name == "JXL":
        _check_jxl(file, n_bytes)
    file.seek(0)
    image: ImageFile.ImageFile = decoder(file)
    check_canvas(*image.size, format_name, n_bytes)
    return image


def _boxes(file: IO[bytes]) -> Iterator[bytes]:
    """The kind of each box of a file; the file stands at what the box holds."""
    at = metadata = 0
    for number in range(MAX_BLOCKS + 2):
        limited("its boxes", number, MAX_BLOCKS)
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind, start = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), 16
        file.seek(at + start)
        yield kind
        if length < start:  # up to the end of the file, or nothing that has an end
            return
        metadata += 0 if kind in (b"jp2c", b"jxlc", b"jxlp", b"jbrd") else length
        limited("its bytes of metadata", metadata, MAX_METADATA)
        at += length


# ---------------------------------------------------------------- JPEG 2000


def _check_jpeg2000(file: IO[bytes], n_bytes: int) -> None:
    """Its size, components and precincts; all that follows is in their proportion."""
    bare = file.read(2) == _CODESTREAM
    if not bare and (b"jp2c" not in _boxes(file) or file.read(2) != _CODESTREAM):
        raise ImageError("its header is damaged")
    size = (0, 0)
    for number in range(MAX_BLOCKS + 2):
        limited("its markers", number, MAX_BLOCKS)
        head = file.read(4)
        marker, length = struct.unpack(">HH", head) if len(head) == 4 else (_SOT, 0)
        if marker == _SOT:
            return
        body = file.read(max(0, length - 2))
        if marker == _SIZ and len(body) >= 36:
            right, lower, left, upper = struct.unpack(">IIII", body[2:18])
            size = right - left, lower - upper
            limited("its components", int.from_bytes(body[34:36], "big"), _MAX_COMPONENTS)
            check_canvas(*size, "JPEG2000", n_bytes)
        elif marker == _COD and len(body) > 10 and body[0] & 1:
            limited("its precincts", _precincts(size, body[10:]), _MAX_PRECINCTS)


def _precincts(size: tuple[int, int], exponents: bytes) -> int:
    """Of all resolutions, the smallest first, with a byte for each: the logarithms of a precinct's height and width."""
    count = 0
    for halvings, byte in enumerate(reversed(exponents)):
        across, down = (
            -(-(side >> halvings) // (1 << bits)) for side, bits in zip(size, (byte & 15, byte >> 4), strict=True)
        )
        count += across * down
    return count


# ---------------------------------------------------------------- JPEG XL


def _check_jxl(file: IO[bytes], n_bytes: int) -> None:
    """Its size and the channels beside its colours, from the header of its codestream."""
    head = file.read(2)
    if head != b"\xff\x0a":
        for kind in _boxes(file):
            if kind in (b"jxlc", b"jxlp"):
                file.seek(4 if kind == b"jxlp" else 0, 1)
                head = file.read(2)
                break
    if head != b"\xff\x0a":
        raise ImageError("its header is damaged")
    bits = _Bits(file.read(64))
    check_canvas(*bits.size(), "JXL", n_bytes)
    if bits.take(1):  # all the rest of the header is as usual
        return
    if bits.take(1):
        bits.take(3)  # which side is up
        if bits.take(1):
            bits.size()
        if bits.take(1) or bits.take(1):
            raise ImageError("it has a preview or is an animation, which is not read of JPEG XL; save one picture")
    if bits.take(1):
        bits.number((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.number((8, 0), (10, 0), (12, 0), (1, 6))
    bits.take(1)
    limited("its extra channels", bits.number((0, 0), (1, 0), (2, 4), (1, 12)), _MAX_EXTRA_CHANNELS)


class _Bits:
    """The header of a codestream of JPEG XL, bit by bit, the lowest of each byte first (ISO/IEC 18181-1)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """The next bits as a number."""
        found = self._value & (1 << count) - 1
        self._value >>= count
        return found

    def number(self, *forms: tuple[int, int]) -> int:
        """One of four forms of a number: an offset, and so many bits to be added."""
        offset, count = forms[self.take(2)]
        return offset + self.take(count)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        small = self.take(1)
        height = self._side(small)
        ratio = self.take(3)
        if ratio:
            across, down = _RATIOS[ratio - 1]
            return height * across // down, height
        return self._side(small), height

    def _side(self, small: int) -> int:
        return 8 * (1 + self.take(5)) if small else self.number((1, 9), (1, 13), (1, 18), (1, 30))
