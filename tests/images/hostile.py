"""Small files that ask for much: memory, time, or both; each with a word of the sentence that refuses it.

What has no such word may be decoded: it only looks as if it took long.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from PIL import Image

from tests.support import pictures
from tests.support.pictures import encoded, png_chunk, scene

SIDE = 11_000
"""121 million pixels: not too many by themselves."""


def squeezed(row: bytes, n_rows: int) -> bytes:
    """Deflate of equal rows, without holding them all."""
    squeeze = zlib.compressobj(9)
    block = max(1, (1 << 20) // len(row))
    parts = [squeeze.compress(row * min(block, n_rows - at)) for at in range(0, n_rows, block)]
    return b"".join([*parts, squeeze.flush()])


def png(width: int, height: int, colour: int, chunks: bytes = b"", idat: bytes | None = None) -> bytes:
    """A black 8-bit PNG; ``chunks`` stand before the pixels, ``idat`` are whole chunks in the pixels' place."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    bands = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if idat is None:
        idat = png_chunk(b"IDAT", squeezed(bytes(1 + bands * width), height))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + idat + png_chunk(b"IEND", b"")


def small_png(chunks: bytes = b"", *, n_idat: int = 0) -> bytes:
    """A black PNG of 16 × 16 pixels with other chunks, and with empty chunks before its pixels."""
    pixels = png_chunk(b"IDAT", squeezed(bytes(49), 16))
    return png(16, 16, 2, chunks, png_chunk(b"IDAT", b"") * n_idat + pixels)


def jpeg(scans: int = 0, side: int = 64, *, progressive: bool = True, subsampling: int = 0) -> bytes:
    """A JPEG whose header promises ``side`` pixels, with refinement scans without content, 10 bytes each."""
    small = Image.new("RGB", (64, 64), (10, 200, 30))
    content = bytearray(encoded(small, "JPEG", progressive=progressive, subsampling=subsampling))
    at = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", side, side)
    empty = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00" + bytes([1, 63, 0x10, 0])
    return bytes(content[:-2]) + empty * scans + b"\xff\xd9"


def jpeg_with(segments: bytes) -> bytes:
    """A small JPEG with something behind its first marker."""
    small = encoded(scene(), "JPEG")
    return small[:2] + segments + small[2:]


def segment(code: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, code, 2 + len(body)) + body


def tiff(
    tags: Mapping[int, tuple[int, int, int]], body: bytes = b"", *, big: bool = False, after: int = 0, at: int = 0
) -> bytes:
    """A little-endian TIFF of one directory.

    Args:
        tags: Type, count and value or offset by number.
        body: What stands behind the header, from byte 8 on (16 in a BigTIFF).
        big: Whether it is a BigTIFF.
        after: Where the next directory is.
        at: Where the directory is said to be; 0 is where it is.
    """
    start = 16 if big else 8
    where = at or start + len(body)
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, where) if big else b"II*\0" + struct.pack("<L", where)
    return head + body + directory(tags, big=big, after=after)


def directory(tags: Mapping[int, tuple[int, int, int]], *, big: bool = False, after: int = 0) -> bytes:
    """The directory alone."""
    one, count, end = ("<HHQQ", "<Q", "<Q") if big else ("<HHLL", "<H", "<L")
    entries = b"".join(struct.pack(one, tag, *entry) for tag, entry in sorted(tags.items()))
    return struct.pack(count, len(tags)) + entries + struct.pack(end, after)


def grey_tiff(width: int, height: int, **other: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    """The tags of a grey, uncompressed TIFF whose pixels stand behind the header; ``t259=…`` sets or adds another."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    tags |= {277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height)}
    return tags | {int(name[1:]): entry for name, entry in other.items()}


def float_tiff(side: int) -> bytes:
    """32-bit floats, deflated, in one strip that breaks off."""
    strip = squeezed(bytes(4 * side), 1)
    tags = grey_tiff(side, side, t258=(3, 1, 32), t259=(3, 1, 8), t279=(4, 1, len(strip)), t339=(3, 1, 3))
    return tiff(tags, strip + b"\0" * (len(strip) % 2))


def tiff_of_pages(n_pages: int) -> bytes:
    """Pages of one pixel each, one behind the other."""
    size = len(directory(grey_tiff(1, 1)))
    links = [8 + 2 + (number + 1) * size for number in range(n_pages - 1)]
    return (
        b"II*\0"
        + struct.pack("<L", 10)
        + b"\x80\0"
        + b"".join(directory(grey_tiff(1, 1), after=link) for link in [*links, 0])
    )


def gif(blocks: bytes = b"", pixels: bytes = b"\x02\x44\x01\x00", frames: int = 1) -> bytes:
    """A black GIF of one pixel; ``blocks`` stand before it."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02" + pixels
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return screen + blocks + frame * frames + b";"


def webp(side: int, *, frames: int = 2) -> bytes:
    """Frames of 16 × 16 pixels on a canvas of ``side``."""
    more = [Image.new("RGB", (16, 16), (9, 9, number % 256)) for number in range(1, frames)]
    content = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", save_all=True, append_images=more))
    at = content.index(b"VP8X")
    content[at + 12 : at + 15] = content[at + 15 : at + 18] = (side - 1).to_bytes(3, "little")
    return bytes(content)


def avif(side: int) -> bytes:
    """16 × 16 pixels in a container that promises ``side``."""
    content = encoded(scene(16, 16), "AVIF")
    size = struct.pack(">II", 16, 16)
    return content.replace(b"ispe" + bytes(4) + size, b"ispe" + bytes(4) + struct.pack(">II", side, side))


def apng(frames: int) -> bytes:
    """Frames of 16 × 16 pixels."""
    images = [Image.new("L", (16, 16), number % 256) for number in range(frames)]
    return encoded(images[0], "PNG", save_all=True, append_images=images[1:])


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A BMP whose pixels are run lengths."""
    palette = bytes(1024)
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024) + sizes + palette + runs


def exif_of(n_tags: int, size: int) -> bytes:
    """EXIF data whose tags all have the same bytes as their value."""
    tags = {1000 + number: (7, size, 8) for number in range(n_tags)}
    return b"Exif\0\0" + tiff(tags, bytes(size))


def chain_profile(n_elements: int) -> bytes:
    """A colour profile that converts by a chain of elements, all of which are the same bytes."""
    numbers = (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    matrix = b"matf" + bytes(4) + struct.pack(">HH12f", 3, 3, *numbers)
    head = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, n_elements)
    chain = head + struct.pack(">II", 16 + 8 * n_elements, len(matrix)) * n_elements + matrix
    return pictures.icc(b"RGB ", {b"D2B0": chain, b"D2B1": chain, b"cprt": b"text" + bytes(4) + b"none\0"}, version=4)


def cases() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Name, a word of the refusal or an empty one, and how the file is made."""
    yield "jpeg, 2000 scans", "scans", lambda: jpeg(2000, 5000)
    yield "jpeg, 40 scans of 121 million pixels", "pixels, times", lambda: jpeg(30, SIDE)
    yield "jpeg, coefficients of 121 million pixels", "memory", lambda: jpeg(0, SIDE)
    yield "jpeg, one scan of 121 million pixels", "", lambda: jpeg(0, SIDE, progressive=False)
    yield "jpeg, filling bytes", "bytes between segments", lambda: jpeg_with(b"\xff" * 3_000_000)
    yield (
        "jpeg, bytes that are no marker",
        "bytes between segments",
        lambda: jpeg_with(segment(0xFE, b"") + bytes(3_000_000)),
    )
    yield "jpeg, empty segments", "segments", lambda: jpeg_with(segment(0xEF, b"") * 20_000)
    yield "jpeg, 20 MB of segments", "bytes of metadata", lambda: jpeg_with(segment(0xEF, bytes(65_000)) * 310)
    yield "jpeg, EXIF that refers to itself", "bytes of tags", lambda: jpeg_with(segment(0xE1, exif_of(900, 50_000)))
    yield "webp, a canvas of 121 million pixels", "memory", lambda: webp(SIDE)
    yield "webp, 3000 frames", "", lambda: webp(16, frames=3000)
    yield "avif, 121 million pixels", "memory", lambda: avif(SIDE)
    yield "png, 121 million pixels with opacity", "memory", lambda: png(SIDE, SIDE, 6, idat=b"")
    yield "png, 121 million pixels of a palette", "", lambda: png(SIDE, SIDE, 3, png_chunk(b"PLTE", bytes(6)))
    yield "png, a side of 70,000", "longer than", lambda: png(70_000, 1, 2)
    yield "png, a million empty chunks", "chunks of pixels", lambda: small_png(n_idat=1_000_000)
    yield "png, 60,000 empty chunks", "", lambda: small_png(n_idat=60_000)
    yield "png, 100,000 comments", "chunks", lambda: small_png(png_chunk(b"tEXt", b"a\0b") * 100_000)
    yield "png, 20 MB of comments", "metadata", lambda: small_png(png_chunk(b"abCd", bytes(1 << 20)) * 20)
    yield (
        "png, compressed comments",
        "",
        lambda: small_png(png_chunk(b"zTXt", b"a\0\0" + squeezed(bytes(1), 1 << 20)) * 999),
    )
    yield "png, profiles", "", lambda: small_png(png_chunk(b"iCCP", b"a\0\0" + squeezed(bytes(1), 1 << 20)) * 300)
    yield (
        "png, EXIF that refers to itself",
        "bytes of tags",
        lambda: small_png(png_chunk(b"eXIf", exif_of(900, 1 << 20)[6:])),
    )
    yield "png, 5000 frames", "", lambda: apng(5000)
    yield "tiff, floats of 121 million pixels", "memory", lambda: float_tiff(SIDE)
    yield (
        "tiff, a tile of 900 million pixels",
        "memory",
        lambda: tiff(
            grey_tiff(
                10, 10, t259=(3, 1, 8), t322=(4, 1, 30_000), t323=(4, 1, 30_000), t324=(4, 1, 8), t325=(4, 1, 100)
            ),
            bytes(100),
        ),
    )
    yield "tiff, LZMA", "LZMA", lambda: tiff(grey_tiff(10, 10, t259=(3, 1, 34925)), bytes(100))
    yield (
        "tiff, 500,000 strips",
        "strips or tiles",
        lambda: tiff(grey_tiff(1, 500_000, t273=(4, 500_000, 8), t278=(4, 1, 1)), bytes(2_000_000)),
    )
    yield (
        "tiff, tags that share their bytes",
        "bytes of tags",
        lambda: tiff(grey_tiff(10, 10) | {1000 + number: (7, 1 << 20, 8) for number in range(900)}, bytes(1 << 20)),
    )
    yield (
        "tiff, 60,000 tags",
        "tags",
        lambda: tiff(grey_tiff(10, 10) | {1000 + number: (7, 4, 8) for number in range(60_000)}, bytes(100)),
    )
    yield "tiff, an EXIF directory that is itself", "", lambda: tiff(grey_tiff(10, 10, t34665=(4, 1, 108)), bytes(100))
    yield "tiff, 30,000 pages", "", lambda: tiff_of_pages(30_000)
    yield (
        "tiff, a BigTIFF of 2⁶³ tags",
        "",
        lambda: b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1 << 63) + bytes(1_000_000),
    )
    yield (
        "gif, 20 MB of comments",
        "blocks of metadata",
        lambda: gif(b"!\xfe" + (b"\xff" + bytes(255)) * 80_000 + b"\0"),
    )
    yield "gif, comments byte by byte", "blocks of metadata", lambda: gif(b"!\xfe" + b"\x01a" * 2_000_000 + b"\0")
    yield "gif, no blocks at all", "blocks of metadata", lambda: gif(b"\0" * 2_000_000)
    yield (
        "gif, pixels byte by byte",
        "blocks of pixels",
        lambda: gif(pixels=b"\x02\x44\x01" + b"\x01\0" * 1_500_000 + b"\0"),
    )
    yield "gif, 100,000 frames", "", lambda: gif(frames=100_000)
    yield "ppm, a comment of 50 MB", "header", lambda: b"P6\n#" + bytes(50_000_000) + b"\n1 1\n255\nabc"
    yield "ppm, 16 million values in letters", "values of pixels", lambda: b"P2\n4000 4000\n255\n" + b"7 " * 16_000_000
    yield "ppm, 16 million values of ten bits", "values of pixels", lambda: b"P5\n4000 4000\n1023\n" + bytes(32_000_000)
    yield "ppm, comments among the pixels", "comments", lambda: b"P2\n10 10\n255\n" + b"#\n" * 500_000 + b"7 " * 100
    yield "bmp, run lengths of 16 million pixels", "run lengths", lambda: bmp_of_runs(4000, 4000, b"\xff\0" * 70_000)
    yield "bmp, run lengths without pixels", "run lengths", lambda: bmp_of_runs(4, 4, b"\x09\0" * 10_000_000)
    yield "bmp, a hole", "", lambda: pictures.bomb("BMP", 11_000)


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of all."""
    for name, _, make in cases():
        yield name, make()


def noisy(side: int, mode: str) -> Image.Image:
    """Random blocks."""
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    small = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, bands), dtype=np.uint8)
    image = Image.frombytes(mode, small.shape[1::-1], small.tobytes())
    return image.resize((side, side), Image.Resampling.NEAREST)


def full(side: int = 3600) -> Iterator[tuple[str, bytes]]:
    """Harmless files of every way of storing pixels, that take memory as their size says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colour, clear, grey = noisy(side, "RGB"), noisy(side, "RGBA"), np.asarray(noisy(side, "L"))
    profile = pictures.linear_profile()
    yield "jpeg, progressive, turned", encoded(colour, "JPEG", progressive=True, subsampling=0, exif=exif)
    yield "jpeg, profile", encoded(colour, "JPEG", icc_profile=profile)
    yield "webp, opacity, turned, profile", encoded(clear, "WEBP", method=0, quality=1, exif=exif, icc_profile=profile)
    yield "avif, opacity, turned", encoded(clear, "AVIF", speed=10, quality=1, subsampling="4:4:4", exif=exif)
    yield "png, opacity, turned", encoded(clear, "PNG", compress_level=1, exif=exif)
    yield "png, palette, profile", encoded(colour.quantize(4), "PNG", compress_level=1, icc_profile=profile)
    yield "png, 16 bits", encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG", compress_level=1)
    yield "tiff, one strip", encoded(clear, "TIFF", compression="packbits", strip_size=1 << 30)
    yield "tiff, floats", encoded(Image.fromarray(grey / np.float32(255)), "TIFF")
    yield "gif", encoded(Image.fromarray(grey), "GIF")
    yield "ppm", encoded(colour, "PPM")
