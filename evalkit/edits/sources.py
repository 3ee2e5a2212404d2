"""The user's own pictures as items to be edited."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.edits.captions import read_captions
from evalkit.edits.expected import with_groups, with_sources
from evalkit.edits.item import EditItem
from evalkit.edits.scan import scan_folder
from evalkit.errors import LayoutError
from evalkit.formatting import listed
from evalkit.images.decode import SUFFIXES, image_digest, sniff_format
from evalkit.storage.atomic import atomic_write


def source_items(sources: Path, captions: Path) -> tuple[EditItem, ...]:
    """The rows of a captions table, each with its source image.

    Args:
        sources: The folder of source images.
        captions: See :func:`evalkit.edits.captions.read_captions`. A row without the name of its source image is
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
        raise LayoutError(
            f"{len(lacking)} of the {len(items)} rows of {captions} have no source image in {sources}, or several "
            f"files of that name: {listed(lacking)}. Name the file in the column source_image_file_name."
        )
    return tuple(with_groups(items, table.source_names).items)


def copy_sources(items: Sequence[EditItem], folder: Path) -> tuple[EditItem, ...]:
    """The items with their source images copied to ``folder``, one file for equal bytes.

    Raises:
        ImageError: A source image cannot be read.
        OSError: The folder cannot be written.
    """

    def copied(path: Path | None) -> Path | None:
        if path is None:
            return None
        # By its content, as everybody else who reads the folder goes by the suffix.
        suffix = SUFFIXES[found][0] if (found := sniff_format(path)) else path.suffix.lower()
        copy = folder / f"{image_digest(path)[:16]}{suffix}"
        if not copy.exists():
            with atomic_write(copy) as draft:
                shutil.copyfile(path, draft)
        return copy

    return tuple(replace(item, source_image=copied(item.source_image)) for item in items)
