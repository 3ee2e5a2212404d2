"""What stands around the pixels of a file, walked through before Pillow reads it, which takes all that there is.

Each walk looks at lengths and counts, stops where Pillow would, and leaves every complaint about damage to Pillow: it
only refuses what is too much (:mod:`evalkit.images.bounds`).
"""

import io
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from PIL import ImageFile

from evalkit.errors import ImageError
from evalkit.images.bounds import (
    MAX_BLOCKS,
    MAX_METADATA,
    MAX_PARTS,
    MAX_SCAN_BYTES,
    MAX_SCANNED,
    MAX_SCANS,
    MAX_SLOW_SAMPLES,
    MAX_SUBBLOCKS,
    check_canvas,
    limited,
)

_PPM_HEADER = 1 << 16
"""Bytes within which the header of a PPM must end, its comments included."""
_PPM_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*([^\s#]+)")
_PPM_COMMENTS = 1000
_PPM_DIGITS = 10
_JPEG_BARE = frozenset(bytes([code]) for code in (0x00, 0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)))
"""Second bytes of markers without a segment, and of those that Pillow reads as such."""
_EXIF = b"Exif\0\0"
_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes per value, by TIFF's types."""
_PARTS = (273, 279, 324, 325)
"""Tags that list where strips and tiles are, and how long."""
_DIRECTORIES = (34665, 34853, 40965)
"""Tags that point to another directory: EXIF, GPS, interoperability."""
_WIDTH, _HEIGHT = 256, 257
_BITS, _PHOTOMETRIC, _SAMPLES, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 258, 262, 277, 278, 322, 323
_YCBCR = 6
_RUN_LENGTHS = (1, 2)
"""BMP's compressions RLE8 and RLE4."""


def check_header(file: IO[bytes], format_name: str) -> None:
    """Refuses a file whose parts before the pixels are too many or too long.

    Args:
        file: The file, which is left at its start.
        format_name: Of its content.

    Raises:
        ImageError: Something passes its limit.
    """
    if check := _HEADERS.get(format_name):
        file.seek(0)
        check(file)
    file.seek(0)


def check_body(data: bytes, image: ImageFile.ImageFile) -> int:
    """Refuses a file that stores its pixels in too many pieces.

    Args:
        data: The whole file.
        image: The same with its header read, whose pixels are not decoded yet.

    Returns:
        The bytes that the decoder will keep besides the pixels, where the format alone does not say it.

    Raises:
        ImageError: Something passes its limit.
    """
    if image.format == "PNG":
        _check_png(io.BytesIO(data), whole=True)
    elif image.format == "JPEG":
        return _check_scans(data, image)
    elif image.format == "TIFF":
        return _part_bytes(image)
    elif image.format == "PPM" and image.tile and image.tile[0][0] == "ppm_plain":
        limited("its comments", data.count(b"#"), _PPM_COMMENTS)
    return 0


def has_second_frame(data: bytes) -> bool:
    """Whether a GIF has more than one frame; Pillow's own answer takes as long as the file wants.

    Raises:
        ImageError: It is stored in too many pieces.
    """
    file = io.BytesIO(data)
    if not _to_frame(file, first=True):
        return False
    packed = file.read(9)[8:]
    file.seek(_palette_bytes(packed) + 1, io.SEEK_CUR)
    n_blocks = 0
    while _subblock(file):
        n_blocks += 1
        limited("its blocks of pixels", n_blocks, MAX_SUBBLOCKS)
    return _to_frame(file, first=False)


# ---------------------------------------------------------------- PNG


def _check_png(file: IO[bytes], *, whole: bool = False) -> None:
    """Its chunks, up to the pixels or all."""
    n_parts = n_blocks = metadata = 0
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND" or (kind == b"IDAT" and not whole):
            return
        if kind in (b"IDAT", b"fdAT"):
            n_parts += 1
            limited("its chunks of pixels", n_parts, MAX_PARTS)
        elif kind != b"fcTL":
            n_blocks += 1
            limited("its chunks", n_blocks, MAX_BLOCKS)
            metadata += length
            limited("its bytes of metadata", metadata, MAX_METADATA)
        file.seek(length + 4, io.SEEK_CUR)


# ---------------------------------------------------------------- JPEG


def _check_jpeg(file: IO[bytes]) -> None:
    """Its segments up to the first scan, and what EXIF data ask for."""
    _to_scan(file)


def _to_scan(file: IO[bytes]) -> int:
    """Walks to the first scan, byte by byte as Pillow does; where its marker stands, or the file's end."""
    n_bytes = n_blocks = metadata = 0
    exif = b""
    byte = file.read(1)
    while byte:
        n_bytes += 1
        limited("its bytes between segments", n_bytes, MAX_PARTS)
        if byte != b"\xff" or (code := file.read(1)) == b"\xff":
            byte = file.read(1) if byte != b"\xff" else code
            continue
        if code == b"\xda":
            break
        if code not in _JPEG_BARE and len(head := file.read(2)) == 2:
            n_blocks += 1
            limited("its segments", n_blocks, MAX_BLOCKS)
            length = max(0, int.from_bytes(head, "big") - 2)
            metadata += length
            limited("its bytes of metadata", metadata, MAX_METADATA)
            if code == b"\xe1":
                segment = file.read(length)
                exif += segment[len(_EXIF) :] if segment.startswith(_EXIF) else b""
            else:
                file.seek(length, io.SEEK_CUR)
        byte = file.read(1)
    here = file.tell()
    check_exif(exif)
    return here - 2


def _check_scans(data: bytes, image: ImageFile.ImageFile) -> int:
    """The scans of a JPEG; the bytes of coefficients that are kept until the last one."""
    at = _to_scan(io.BytesIO(data))
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    if "progressive" not in image.info and data[at + 4 : at + 5] >= bytes([len(layers)]):
        return 0
    n_scans, (width, height) = data.count(b"\xff\xda", at), image.size
    limited("its scans", n_scans, MAX_SCANS)
    limited("its pixels, times its scans,", n_scans * width * height, MAX_SCANNED)
    limited("its bytes of scans", len(data) - at, MAX_SCAN_BYTES)
    most = max((across * down for _, across, down, _ in layers), default=1)
    per_pixel = sum(across * down for _, across, down, _ in layers) / max(1, most)
    return round(2 * per_pixel * width * height)


# ---------------------------------------------------------------- TIFF and EXIF


def check_exif(exif: bytes) -> None:
    """Refuses EXIF data whose directories have too many tags, or tags with too many bytes.

    Raises:
        ImageError: Something passes its limit.
    """
    while exif.startswith(_EXIF):
        exif = exif[len(_EXIF) :]
    limited("its bytes of EXIF data", len(exif), MAX_METADATA)
    _check_tiff(io.BytesIO(exif))


def _check_tiff(file: IO[bytes]) -> None:
    """The directories of the first image, those of its EXIF data included; Pillow and libtiff look at no other."""
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", head[2:3] == b"+"
    form = f"{order}Q" if big else f"{order}L"
    pending = [head[8:16] if big else head[4:8]]
    n_blocks = metadata = 0
    for pointer in pending:
        if len(pointer) < struct.calcsize(form) or len(pending) > MAX_BLOCKS:
            continue
        for tag, size, value in _tags(file, order, struct.unpack(form, pointer)[0], big=big):
            n_blocks += 1
            limited("its tags", n_blocks, MAX_BLOCKS)
            metadata += size
            limited("its bytes of tags", metadata, MAX_METADATA)
            if tag in _PARTS:
                limited("its strips or tiles", size // 4, MAX_PARTS)
            elif tag in _DIRECTORIES:
                pending.append(value)


def _tags(file: IO[bytes], order: str, offset: int, *, big: bool) -> Iterator[tuple[int, int, bytes]]:
    """Number, size in bytes, and value or offset of the tags of one directory."""
    if offset >= 1 << 63:
        return
    file.seek(offset)
    count = int.from_bytes(file.read(8 if big else 2), "little" if order == "<" else "big")
    form = f"{order}HHQ8s" if big else f"{order}HHL4s"
    for _ in range(count):
        entry = file.read(struct.calcsize(form))
        if len(entry) < struct.calcsize(form):
            return
        tag, kind, number, value = struct.unpack(form, entry)
        yield tag, number * _UNITS.get(kind, 0), value


def _part_bytes(image: ImageFile.ImageFile) -> int:
    """The bytes of the strip or tile that libtiff decodes at a time."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    compression = image.info.get("compression")
    if compression == "raw":
        return 0
    if compression == "lzma":
        raise ImageError("its LZMA compression is not read: its header may ask for any amount of memory")
    width, height = tags[_WIDTH], tags[_HEIGHT]
    rows = tags.get(_TILE_LENGTH) or min(tags.get(_ROWS_PER_STRIP, height), height)
    across = tags.get(_TILE_WIDTH) or width
    bits = max(tags.get(_BITS, (1,))) * tags.get(_SAMPLES, 1)
    return int(across * rows * (max(32, bits) if tags.get(_PHOTOMETRIC) == _YCBCR else bits)) // 8


# ---------------------------------------------------------------- GIF


def _check_gif(file: IO[bytes]) -> None:
    """Its blocks up to the first frame."""
    _to_frame(file, first=True)


def _to_frame(file: IO[bytes], *, first: bool) -> bool:
    """Walks as Pillow does to behind the byte that begins the next frame; whether there is one."""
    if first:
        file.seek(10)
        file.seek(2 + _palette_bytes(file.read(1)), io.SEEK_CUR)
    n_blocks = 0
    while (byte := file.read(1)) and byte != b";":
        if byte == b",":
            return True
        n_blocks += 1 + (_pass_extension(file, first=first) if byte == b"!" else 0)
        limited("its blocks of metadata", n_blocks, MAX_PARTS)
    return False


def _pass_extension(file: IO[bytes], *, first: bool) -> int:
    """Walks behind an extension; how many blocks it had."""
    label, block = file.read(1), _subblock(file)
    if label == b"\xff" and first and block.startswith(b"NETSCAPE2.0"):
        _subblock(file)
    n_blocks = 1
    # Pillow reads on where the first block of anything but a comment is empty.
    more = bool(block) or label != b"\xfe"
    while more:
        more = bool(_subblock(file))
        n_blocks += 1
        limited("its blocks of metadata", n_blocks, MAX_PARTS)
    return n_blocks


def _subblock(file: IO[bytes]) -> bytes:
    length = file.read(1)
    return file.read(length[0]) if length else b""


def _palette_bytes(packed: bytes) -> int:
    """Of a palette, by the byte that announces it."""
    return 3 << (packed[0] & 7) + 1 if packed and packed[0] & 0x80 else 0


# ---------------------------------------------------------------- PPM, BMP and WebP


def _check_ppm(file: IO[bytes]) -> None:
    """Its header, and the pixels of those kinds that are decoded slowly."""
    head = file.read(_PPM_HEADER)
    bare = head[1:2] in b"14"
    numbers: list[int] = []
    at = 2
    while len(numbers) < (2 if bare else 3):
        token = _PPM_TOKEN.match(head, at)
        if token is None or token.end() == _PPM_HEADER:
            if len(head) == _PPM_HEADER:
                raise ImageError(f"its header does not end within {_PPM_HEADER:,} bytes")
            return
        if not token[1].isdigit() or len(token[1]) > _PPM_DIGITS:
            return
        numbers.append(int(token[1]))
        at = token.end()
    if head[1:2] in b"123" or (not bare and numbers[2] not in (255, 65535)):
        n_bands = 3 if head[1:2] in b"36" else 1
        limited("its values of pixels in this kind of PPM", numbers[0] * numbers[1] * n_bands, MAX_SLOW_SAMPLES)


def _check_bmp(file: IO[bytes]) -> None:
    """One with run lengths, which is decoded slowly."""
    head = file.read(34)
    if len(head) == 34 and int.from_bytes(head[30:34], "little") in _RUN_LENGTHS:
        width, height = struct.unpack("<ii", head[18:26])
        limited("its pixels with run lengths", abs(width * height), MAX_SLOW_SAMPLES)
        limited("its bytes of run lengths", file.seek(0, io.SEEK_END), 2 * MAX_SLOW_SAMPLES)


def _check_webp(file: IO[bytes]) -> None:
    """Its canvas, which is made when it is opened."""
    head = file.read(30)
    kind, width, height = head[12:16], 0, 0
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    if width and height:
        check_canvas(width, height, "WEBP", file.seek(0, io.SEEK_END))


_HEADERS: dict[str, Callable[[IO[bytes]], None]] = {
    "PNG": _check_png,
    "JPEG": _check_jpeg,
    "TIFF": _check_tiff,
    "GIF": _check_gif,
    "PPM": _check_ppm,
    "BMP": _check_bmp,
    "WEBP": _check_webp,
}
