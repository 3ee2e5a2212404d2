"""How much memory and time one image file may take, and what is refused from its header for asking for more.

Nothing here decodes a pixel. Three things are bounded, so that memory and time are:

* pixels, and the bytes that decoding them takes at once: the file, the pixels as they are stored, what the decoder of
  the format keeps besides, and the 8-bit RGB that comes out;
* everything that is read piece by piece in Python: chunks, segments, tags, strips, comments, and the pixels of the few
  kinds of file for which Pillow has no decoder in C;
* the scans of a progressive JPEG, each of which goes over all pixels.

The largest files that pass take some seconds of one core each (``tests/studies/fuzz.md`` has the figures).
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import ImageFile

from evalkit.errors import ImageError

Known = TypeVar("Known")
MAX_SIDE = 65_535
"""Pixels of one side: what a JPEG can have."""
MAX_PIXELS = 1 << 27
"""134 million; 12,000 × 9,000 are 108 million."""
MAX_BYTES = 384 << 20
"""Of a file: as many as 12,000 × 9,000 pixels have uncompressed, and some more."""
MAX_MEMORY = 768 << 20
"""Bytes that decoding one image may take at once, its file and the result included."""
MAX_METADATA = 16 << 20
"""Bytes of all that is not pixels: comments, EXIF, XMP, thumbnails and colour profiles."""
MAX_PROFILE = 4 << 20
"""Bytes of a colour profile; those of printing presses have two million."""
MAX_ELEMENTS = 64
MAX_ELEMENT_BYTES = 16 << 10
"""Of the chain by which a colour profile may describe a conversion."""
MAX_BLOCKS = 1000
"""Pieces of metadata: chunks, segments or tags."""
MAX_PARTS = 1 << 16
"""Pieces in which pixels are stored: chunks of a PNG, strips or tiles of a TIFF."""
MAX_SUBBLOCKS = 1 << 20
"""Pieces in which a GIF stores everything, of 255 bytes at most."""
MAX_SCANS = 64
"""Of a progressive JPEG; encoders write 20 at most."""
MAX_SCANNED = 1 << 31
"""Pixels times scans."""
MAX_SCAN_BYTES = 64 << 20
"""Of a JPEG with several scans: its bits are read one by one."""
MAX_SLOW_SAMPLES = 1 << 23
"""Values of pixels that Pillow decodes in Python: a PPM in letters, or of unusual depth, or a BMP with run lengths."""

_LARGE = 128 << 20
"""Bytes from which on images are decoded one at a time, so that threads do not multiply the memory of large ones."""
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes per pixel in Pillow's memory, by mode; 4 for others."""
_RGB = 4
_DECODER = {"WEBP": 13, "AVIF": 16, "HEIF": 16, "JPEG2000": 32, "JXL": 40}
"""Bytes per pixel that a decoder keeps besides the stored pixels, as measured: canvases, planes and copies."""
_COPIES = {"WEBP": 3, "AVIF": 3, "HEIF": 3, "JPEG2000": 2, "JXL": 3}
"""How often the file is in memory while it is read; once for others."""
_SMALL = 48 << 20
"""What is converted at a time, and everything else that does not grow with the image."""
_PROFILE_TAGS = 100
"""As many tags of a colour profile are looked at by lcms; it reads no profile that has more."""
_turn = threading.Lock()


def limited(what: str, found: int, limit: int) -> None:
    """Refuses what is above a limit.

    Args:
        what: The sentence's subject, in the plural.
        found: How many there are.
        limit: How many are allowed.

    Raises:
        ImageError: There are more.

    >>> limited("its scans", 2000, 64)
    Traceback (most recent call last):
    evalkit.errors.ImageError: its 2,000 scans are more than the 64 that are allowed
    """
    if found > limit:
        article, _, noun = what.partition(" ")
        raise ImageError(f"{article} {found:,} {noun} are more than the {limit:,} that are allowed")


def check_size(width: int, height: int) -> None:
    """Refuses sizes without pixels, and those with too many.

    Raises:
        ImageError: The size is not allowed.
    """
    if width < 1 or height < 1:
        raise ImageError(f"it has {width:,} × {height:,} pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(f"its {width:,} × {height:,} pixels are more than the {MAX_PIXELS:,} that are allowed")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"one side of its {width:,} × {height:,} pixels is longer than the {MAX_SIDE:,} allowed")


def memory_needed(image: ImageFile.ImageFile, n_bytes: int, *, decoder: int = 0, turned: bool = False) -> int:
    """The bytes that decoding takes at once, from the header.

    Args:
        image: An image whose header was read.
        n_bytes: Of its file.
        decoder: What the decoder of this file keeps besides, in bytes, where the format alone does not say it.
        turned: Whether it will be turned upright.
    """
    stored = _STORED.get(image.mode, 4)
    converted = 0 if image.mode == "RGB" else _RGB
    per_pixel = stored + converted + _RGB * turned + _DECODER.get(image.format or "", 0)
    width, height = image.size
    return per_pixel * width * height + decoder + (1 + _COPIES.get(image.format or "", 0)) * n_bytes + _SMALL


def check_memory(needed: int, size: tuple[int, int]) -> None:
    """Refuses an image that would take too much memory.

    Raises:
        ImageError: It would take more than :data:`MAX_MEMORY`.
    """
    if needed > MAX_MEMORY:
        raise ImageError(
            f"decoding its {size[0]:,} × {size[1]:,} pixels would take {needed >> 20:,} MiB of memory, "
            f"more than the {MAX_MEMORY >> 20} that are allowed"
        )


def check_canvas(width: int, height: int, format_name: str, n_bytes: int) -> None:
    """The same as :func:`check_memory` where opening alone already takes the memory.

    Raises:
        ImageError: It would take more than :data:`MAX_MEMORY`.
    """
    check_size(width, height)
    needed = (_RGB + _DECODER[format_name]) * width * height + (1 + _COPIES[format_name]) * n_bytes + _SMALL
    check_memory(needed, (width, height))


def check_profile(profile: bytes) -> None:
    """Refuses a colour profile that is too large, or takes too long to be evaluated.

    Profiles may describe a conversion as a chain of elements (ICC.1:2022, §10.16), which may be the same bytes a
    hundred thousand times. No camera, scanner or editor is known to write any.

    Raises:
        ImageError: It has more bytes than :data:`MAX_PROFILE`, or such a chain is too long.
    """
    limited("its bytes of colour profile", len(profile), MAX_PROFILE)
    n_tags = min(int.from_bytes(profile[128:132], "big"), _PROFILE_TAGS)
    for at in range(136, 136 + 12 * n_tags, 12):
        start, size = (int.from_bytes(profile[here : here + 4], "big") for here in (at, at + 4))
        if profile[start : start + 4] == b"mpet":
            n_elements = int.from_bytes(profile[start + 12 : start + 16], "big")
            limited("its elements of a colour profile", n_elements, MAX_ELEMENTS)
            limited("its bytes of elements of a colour profile", size, MAX_ELEMENT_BYTES)


def in_turn(needed: int, work: Callable[[], Known]) -> Known:
    """Does some work; if it is large, after that of all other threads, and in a thread of its own.

    Every thread keeps what it has freed for itself (the C library's arenas), so that large work in several would take
    several times the memory, even one after the other.

    Args:
        needed: The bytes that it takes.
        work: What is to be done.
    """
    if needed < _LARGE:
        return work()
    with _turn, ThreadPoolExecutor(1) as alone:
        return alone.submit(work).result()
