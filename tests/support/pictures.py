"""Small picture files of every kind that people have, as bytes, and the pixels that they must decode to.

Pillow writes most of them; what it cannot write (16-bit RGB, a header that promises too much, an ICC profile of known
mathematics) is put together here byte by byte.
"""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from evalkit.arrays import Pixels


def scene(width: int = 24, height: int = 16, seed: int = 0) -> Pixels:
    """A smooth picture without any symmetry, ``(height, width, 3)``; another seed gives another one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    corners = rng.integers(0, 256, size=(2, 2, 3))
    u, v = (x / max(width - 1, 1))[..., None], (y / max(height - 1, 1))[..., None]
    top = corners[0, 0] * (1 - u) + corners[0, 1] * u
    bottom = corners[1, 0] * (1 - u) + corners[1, 1] * u
    return (top * (1 - v) + bottom * v).round().astype(np.uint8)


def encoded(pixels: npt.NDArray | Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    """A file of these pixels as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes | None, chunks: bytes = b"") -> bytes:
    """A PNG put together by hand.

    Args:
        width: As the header promises it.
        height: As the header promises it.
        depth: Bits per channel.
        colour: PNG's colour type (0 grey, 2 RGB, 6 RGBA).
        rows: The unfiltered scan lines, each with its filter byte; None leaves the pixels out.
        chunks: Whole chunks that stand before the pixels.
    """
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = b"" if rows is None else png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + data + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png16(values: npt.NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG of ``(height, width)`` grey or ``(height, width, 3)`` RGB values."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, depth=16, colour=0 if values.ndim == 2 else 2, rows=rows)


def bomb(format_name: str = "PNG", side: int = 20_000) -> bytes:
    """A file of some hundred bytes whose header promises ``side`` × ``side`` pixels."""
    if format_name == "PNG":
        return png(side, side, depth=8, colour=2, rows=None)
    small = encoded(scene(8, 8), format_name)
    if format_name == "BMP":
        return small[:18] + struct.pack("<ii", side, side) + small[26:]
    if format_name == "GIF":
        return small[:6] + struct.pack("<HH", side, side) + small[10:]
    raise ValueError(format_name)


def huge(width: int = 12_000, height: int = 9_000) -> bytes:
    """A valid 1-bit PNG of 108 million pixels in a few kilobytes."""
    return encoded(Image.new("1", (width, height), 1))


def text_bomb() -> bytes:
    """A PNG whose compressed comment unpacks to two megabytes."""
    comment = b"Comment\0\0" + zlib.compress(b" " * (2 << 20))
    rows = b"".join(b"\0" + row.tobytes() for row in scene(4, 4))
    return png(4, 4, depth=8, colour=2, rows=rows, chunks=png_chunk(b"zTXt", comment))


def srgb_profile() -> bytes:
    """An ICC profile of sRGB itself."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_profile() -> bytes:
    """An ICC profile with the primaries of sRGB and a linear tone curve: v means light, not its encoding."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    columns = {b"rXYZ": (0.4360747, 0.2225045, 0.0139322), b"gXYZ": (0.3850649, 0.7168786, 0.0971045)}
    columns |= {b"bXYZ": (0.1430804, 0.0606169, 0.7141733), b"wtpt": (0.9642, 1.0, 0.8249)}
    name = b"linear"
    tags = {
        key: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in xyz)) for key, xyz in columns.items()
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    return icc(b"RGB ", tags)


def icc(space: bytes, tags: dict[bytes, bytes], version: int = 2) -> bytes:
    """A display profile: header, tag table, tags."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for key, data in tags.items():
        table += key + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    content = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI4s4s4s", 128 + len(content), bytes(4), version << 24 | 0x400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + content


def with_orientation(pixels: Pixels, orientation: int, format_name: str) -> bytes:
    """A lossless file (or a JPEG) that EXIF says to turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if format_name == "WEBP" else {}
    return encoded(pixels, format_name, exif=exif, **lossless)


def turned_back(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels as a camera stores them so that ``orientation`` makes them upright again (EXIF 2.32, table 6)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    flips = {1: (), 2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (0,), 7: (0, 1), 8: (1,)}[orientation]
    return np.ascontiguousarray(np.flip(pixels, axis=flips))


def noise_picture(size: tuple[int, int], spread: float) -> Image.Image:
    """Grey noise around the middle tone, the same each time, as Pillow's own is not."""
    width, height = size
    values = np.random.default_rng(0).normal(128, spread, (height, width))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
