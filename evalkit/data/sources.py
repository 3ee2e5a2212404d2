"""The user's own pictures as items to be edited."""

import shutil
from dataclasses import replace
from pathlib import Path

from evalkit.data.captions import read_captions
from evalkit.data.described import with_groups, with_sources
from evalkit.data.images import image_digest
from evalkit.data.item import EditItem
from evalkit.data.scan import scan_folder
from evalkit.errors import LayoutError


def source_items(sources: Path, captions: Path) -> tuple[EditItem, ...]:
    """The rows of a captions table, each with its source image.

    Args:
        sources: The folder of source images.
        captions: See :func:`evalkit.data.captions.read_captions`. A row without the name of its source image is
            matched by its item id.

    Raises:
        LayoutError: There is no such folder, the table is empty, or a row has no source image there.
        ManifestError: The table cannot be read.
    """
    if not sources.is_dir():
        raise LayoutError(f"Expected a folder of source images, got {sources}, which is none.")
    table = read_captions(captions)
    items = with_sources(table.items, table.source_names, scan_folder(sources).images)
    if not items:
        raise LayoutError(f"{captions} has no rows: there is nothing to edit.")
    lacking = [item.item_id for item in items if item.source_image is None]
    if lacking:
        named = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise LayoutError(
            f"{len(lacking)} of the {len(items)} rows of {captions} have no source image in {sources}, or several "
            f"files of that name: {named}. Name the file in the column source_image_file_name."
        )
    return with_groups(items, table.source_names).items


def copy_sources(items: tuple[EditItem, ...], folder: Path) -> tuple[EditItem, ...]:
    """The items with their source images copied to ``folder``, one file for equal bytes.

    Raises:
        ImageError: A source image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def copied(path: Path | None) -> Path | None:
        if path is None:
            return None
        copy = folder / f"{image_digest(path)[:16]}{path.suffix.lower()}"
        if not copy.exists():
            shutil.copyfile(path, copy)
        return copy

    return tuple(replace(item, source_image=copied(item.source_image)) for item in items)
