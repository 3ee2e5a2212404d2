"""Small images of every way of storing them, and what is done to images in particular."""

import random
import struct
import warnings
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images.bounds import MAX_MEMORY
from evalkit.images.decode import SUFFIXES, decode_image
from tests.images import hostile
from tests.support import pictures
from tests.support.fuzzing import FuzzKind
from tests.support.pictures import encoded, scene

SECONDS_LIMIT = 10.0
TIFF_COMPRESSIONS = ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
JPEG_MARKERS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCA, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xED, 0xFE)
PNG_CHUNKS = (
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"tRNS",
    b"iCCP",
    b"zTXt",
    b"iTXt",
    b"tEXt",
    b"eXIf",
    b"acTL",
    b"fcTL",
    b"fdAT",
)


def seeds() -> Mapping[str, bytes]:
    """Files by format and what is special about them."""
    picture, clear = Image.fromarray(scene()), Image.fromarray(scene()).convert("RGBA")
    clear.putalpha(100)
    others = [Image.fromarray(scene(seed=number)) for number in range(1, 4)]
    grey, profile = scene()[..., 0], pictures.linear_profile()
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": others}
    tiles = {"t322": (4, 1, 16), "t323": (4, 1, 16), "t324": (4, 1, 8)}
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    return {
        **{f"{name}/plain": encoded(picture, name) for name in SUFFIXES},
        **{f"{name}/frames": encoded(picture, name, **more) for name in ("PNG", "WEBP", "TIFF", "GIF", "AVIF")},
        **{f"{name}/opacity": encoded(clear, name) for name in ("PNG", "WEBP", "TIFF", "AVIF")},
        **{f"{name}/turned": encoded(picture, name, exif=exif) for name in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")},
        **{f"{name}/profile": encoded(picture, name, icc_profile=profile) for name in ("PNG", "JPEG", "WEBP", "TIFF")},
        **{f"TIFF/{name}": encoded(noise, "TIFF", compression=name) for name in TIFF_COMPRESSIONS},
        "TIFF/group4": encoded(picture.convert("1"), "TIFF", compression="group4"),
        "TIFF/floats": encoded(grey.astype(np.float32) / 255, "TIFF"),
        "TIFF/tiles": hostile.tiff(hostile.grey_tiff(32, 16, **tiles), bytes(600)),
        "TIFF/big": hostile.tiff(hostile.grey_tiff(8, 8, t273=(4, 1, 16)), bytes(64), big=True),
        "JPEG/progressive": encoded(noise, "JPEG", progressive=True),
        "JPEG/scans": hostile.jpeg(20),
        "JPEG/CMYK": encoded(picture.convert("CMYK"), "JPEG"),
        "JPEG/EXIF": hostile.jpeg_with(hostile.segment(0xE1, hostile.exif_of(20, 40))),
        "PNG/palette": encoded(picture.quantize(8), transparency=0),
        "PNG/16 bits": pictures.png16(scene().astype(np.uint16) * 257),
        "PNG/bits": encoded(picture.convert("1")),
        "PNG/comments": hostile.small_png(pictures.png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5000))) * 3),
        "WEBP/lossless": encoded(noise, "WEBP", lossless=True),
        "GIF/comments": hostile.gif(b"!\xfe\x03abc\0!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", frames=3),
        "PPM/letters": b"P3\n# by hand\n4 2\n255\n" + b"10 20 30\n" * 8,
        "PPM/bits": encoded(picture.convert("1"), "PPM"),
        "PPM/ten bits": b"P5\n4 4\n1023\n" + bytes(32),
        "BMP/palette": encoded(picture.quantize(8), "BMP"),
        "BMP/runs": hostile.bmp_of_runs(8, 8, b"\x08\1\0\0" * 8 + b"\0\1"),
    }  # fmt: skip


def mend_png(data: bytearray, rng: random.Random) -> None:
    """Checksums that fit, so that what was changed is read; sometimes with a chunk more."""
    if data[:4] != b"\x89PNG":
        return
    out, at = bytes(data[:8]), 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = bytes(data[at + 4 : at + 8]), bytes(data[at + 8 : at + 8 + min(length, len(data))])
        if rng.random() < 0.1:
            out += pictures.png_chunk(rng.choice(PNG_CHUNKS), rng.randbytes(rng.choice((0, 8, 26, 100))))
        out += pictures.png_chunk(kind, body)
        at += 12 + length
    data[:] = out


def add_segments(data: bytearray, rng: random.Random) -> None:
    """Segments of a JPEG, one or many, in front or before the end."""
    if data[:2] != b"\xff\xd8":
        return
    body = rng.randbytes(rng.choice((0, 4, 6, 17, 200)))
    at = rng.choice((2, max(2, len(data) - 2)))
    data[at:at] = hostile.segment(rng.choice(JPEG_MARKERS), body) * rng.choice((1, 1, 3, 100, 3000))


def promise_size(data: bytearray, rng: random.Random) -> None:
    """Another size in the header, where the format has it."""
    width, height = (rng.choice((0, 1, 17, 1000, 9000, 11_000, 16_383, 40_000, 65_535, 1 << 20)) for _ in "wh")
    if data[:4] == b"\x89PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif data[:3] == b"GIF":
        data[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    elif data[:2] == b"BM":
        data[18:26] = struct.pack("<ii", width, height)
    elif data[:1] == b"P":
        data[2:2] = b" %d %d" % (width, height)
    elif data[12:16] == b"VP8X":
        data[24:30] = (width & 0xFFFFFF).to_bytes(3, "little") + (height & 0xFFFFFF).to_bytes(3, "little")
    elif (at := data.find(b"ispe")) > 0:
        data[at + 8 : at + 16] = struct.pack(">II", width, height)
    elif data[:2] == b"\xff\xd8" and (at := max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))) > 0:
        data[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    elif data[:2] in (b"II", b"MM") and (at := data.find(struct.pack("<HH", 256, 4))) > 0:
        data[at + 8 : at + 12] = struct.pack("<I", width)


def examine(_name: str, data: bytes) -> str | None:
    """Decodes an image; what else than pixels or a sentence comes of it, is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            decoded = decode_image(data, "picture")
        except ImageError as error:
            if isinstance(error.__cause__, MemoryError | RecursionError):
                raise error.__cause__ from None
            return str(error)
    image = decoded.image
    assert (image.mode, image.info) == ("RGB", {})
    image.getpixel((image.width - 1, image.height - 1))
    return None


IMAGES = FuzzKind(
    seeds=seeds,
    examine=examine,
    bytes_limit=MAX_MEMORY,
    seconds_limit=SECONDS_LIMIT,
    mutators=(mend_png, mend_png, add_segments, promise_size, promise_size),
)
