"""A few edits of an entry as small pictures, where the licences of benchmark and method allow showing them."""

import struct
from collections.abc import Sequence
from pathlib import Path

from evalkit.edits.item import EditItem
from evalkit.errors import ImageError
from evalkit.images.decode import decode_image, read_image, write_image
from evalkit.leaderboard.files import PICTURES

N_PICTURES = 8
"""So many items, the same for every entry of a benchmark."""
SIDE = 128
"""Pixels of the longer side."""
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def shown_items(items: Sequence[EditItem]) -> list[EditItem]:
    """Items that stand for all: of each edit type in turn the next, so that as many types as possible are seen."""
    by_type: dict[str | None, dict[str, EditItem]] = {}
    for item in items:
        by_type.setdefault(item.edit_type, {}).setdefault(item.item_id, item)
    columns = [list(of_type.values()) for of_type in by_type.values()]
    longest = max(map(len, columns), default=0)
    turns = [column[turn] for turn in range(longest) for column in columns if turn < len(column)]
    return turns[:N_PICTURES]


def write_pictures(entry: Path, items: Sequence[EditItem], *, keep: bool = False) -> None:
    """Write the entry's pictures, ``pictures/ITEM.png``; an edit that failed has none.

    Args:
        entry: Its folder.
        items: Its edits.
        keep: Whether pictures that are there stay as they are, being those of an entry that has landed.

    Raises:
        ImageError: An edited image cannot be read.
        OSError: The folder cannot be written.
    """
    for item in shown_items(items):
        path = entry / PICTURES / f"{item.file_stem}.png"
        if keep and path.exists():
            continue
        path.unlink(missing_ok=True)
        if item.edited_image:
            image = read_image(item.edited_image)
            image.thumbnail((SIDE, SIDE))
            write_image(path, image)


def picture_fault(data: bytes) -> str | None:
    """Why bytes are no picture of an entry; None if they are one.

    The header is asked first, so that nothing large is decoded; neither here nor by whoever looks at the site.
    """
    if not data.startswith(_PNG) or len(data) < len(_PNG) + 8:
        return "it is no PNG"
    width, height = struct.unpack_from(">II", data, len(_PNG))
    if not 0 < max(width, height) <= SIDE:
        return f"it has {width:,} × {height:,} pixels, and {SIDE} a side are allowed"
    try:
        decode_image(data, "it")
    except ImageError as failure:
        return str(failure).rstrip(".")
    return None
