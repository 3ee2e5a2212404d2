"""PNG files that hold their pixels and nothing else: what decodes one and writes it again gains nothing."""

import zlib
from collections.abc import Iterator
from itertools import islice

from evalkit.images.bounds import MAX_PARTS

MAX_PLAIN_BYTES = 16 << 20
"""Of a file and of its pixels; larger ones are decoded, under the limits of :mod:`evalkit.images.bounds`."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_8 = bytes([8, 2, 0, 0, 0])
"""The end of a header (PNG, §11.2.1): 8 bits, colour, the one compression, the one set of filters, not interlaced."""
_AROUND = 12
"""Bytes of a chunk beside its body: length, kind and checksum."""
_N_FILTERS = 5


def is_plain_png(data: bytes, *, longest_side: int, decoded: bool = False) -> bool:
    """Whether every reader finds in a file the pixels that decoding gives, and nothing beside them.

    It is a PNG of 8-bit RGB whose chunks are IHDR, IDAT and IEND, with nothing of colour, size or text among or behind
    them; it is complete, and its checksums are right. Of anything else decoding says what it is.

    Args:
        data: The whole file.
        longest_side: Pixels that either side has at most.
        decoded: Whether these bytes were decoded without an error already: then they are not inflated.
    """
    header, compressed = _header_and_pixels(data)
    width, height = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
    row = 1 + 3 * width
    if header[8:] != _RGB_8 or not 1 <= min(width, height) <= max(width, height) <= longest_side:
        return False
    return row * height <= MAX_PLAIN_BYTES and (decoded or _holds_rows(compressed, row, height))


def _header_and_pixels(data: bytes) -> tuple[bytes, bytes]:
    """What IHDR holds, and what all IDAT hold; nothing where there is anything else, or a damaged chunk."""
    chunks = list(islice(_chunks(data), MAX_PARTS)) if len(data) <= MAX_PLAIN_BYTES else []
    kinds = [kind for kind, _ in chunks]
    n_bytes = len(_SIGNATURE) + sum(_AROUND + len(body) for _, body in chunks)
    if n_bytes != len(data) or kinds != [b"IHDR", *[b"IDAT"] * (len(kinds) - 2), b"IEND"]:
        return b"", b""
    return chunks[0][1], b"".join(body for _, body in chunks[1:])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of a PNG's chunks (§5.3), up to one whose checksum is wrong."""
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return
        yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end + 4


def _holds_rows(compressed: bytes, row: int, height: int) -> bool:
    """Whether a zlib stream is complete, and just as many rows, each behind a filter that there is (PNG, §9)."""
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(compressed, row * height + 1)
    except zlib.error:
        return False
    is_whole = stream.eof and not stream.unused_data and len(rows) == row * height
    return is_whole and max(rows[::row]) < _N_FILTERS
