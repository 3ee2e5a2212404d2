"""A few edits of an entry as small pictures, where the licences of benchmark and method allow showing them."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image, write_image
from evalkit.leaderboard.store import PICTURES

N_PICTURES = 8
"""So many items, the same for every entry of a benchmark."""
SIDE = 128
"""Pixels of the longer side."""


def shown_items(items: Sequence[EditItem]) -> list[EditItem]:
    """Items that stand for all: of each edit type in turn the next, so that as many types as possible are seen."""
    by_type: dict[str | None, dict[str, EditItem]] = {}
    for item in items:
        by_type.setdefault(item.edit_type, {}).setdefault(item.item_id, item)
    columns = [list(of_type.values()) for of_type in by_type.values()]
    longest = max(map(len, columns), default=0)
    turns = [column[turn] for turn in range(longest) for column in columns if turn < len(column)]
    return turns[:N_PICTURES]


def write_pictures(entry: Path, items: Sequence[EditItem]) -> None:
    """Write the entry's pictures, ``pictures/ITEM.png``; an edit that failed has none.

    Raises:
        ImageError: An edited image cannot be read.
        OSError: The folder cannot be written.
    """
    for item in shown_items(items):
        if item.edited_image:
            image = read_image(item.edited_image)
            image.thumbnail((SIDE, SIDE))
            write_image(entry / PICTURES / f"{item.item_id}.png", image)
