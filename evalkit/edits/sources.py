"""Source images: which item's they are, what groups they make, and the user's own as items to be edited."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.edits.captions import read_captions
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import NameIndex, composed, stem, tolerant
from evalkit.edits.resolve import Resolved
from evalkit.edits.scan import scan_folder
from evalkit.errors import ImageError, LayoutError
from evalkit.formatting import listed
from evalkit.images.decode import SUFFIXES, image_digest, read_image_bytes, sniff_format
from evalkit.images.stored import AnyImage
from evalkit.storage.atomic import atomic_write


def with_sources(
    items: Sequence[EditItem], source_names: Mapping[str, str], source_files: Sequence[Path]
) -> tuple[EditItem, ...]:
    """The items with the source images that the user's own folder holds, found by their names, else by the item ids."""
    if not source_files:
        return tuple(items)
    index = NameIndex((path.name, path) for path in source_files)

    def with_source(item: EditItem) -> EditItem:
        files = index.find(source_names.get(item.item_id, item.item_id)) if item.source_image is None else ()
        return replace(item, source_image=files[0]) if len(files) == 1 else item

    return tuple(map(with_source, items))


def with_groups(items: Sequence[EditItem], source_names: Mapping[str, str]) -> Resolved:
    """Groups the items that nobody has grouped: by the bytes of their source images, else by the names of these.

    Returns:
        The items, and a problem for each source image that cannot be read.
    """
    digests: dict[AnyImage, str | None] = {}
    problems: list[Problem] = []

    def digest_of(source: AnyImage) -> str | None:
        try:
            return image_digest(source)
        except ImageError as error:
            problems.append(Problem(code="unreadable_image", message=str(error), path=source))
            return None

    grouped = []
    for item in items:
        group, source = item.group, item.source_image
        if group is None and source is not None:
            if source not in digests:
                digests[source] = digest_of(source)
            group = digests[source]
        elif group is None and item.item_id in source_names:
            group = f"source:{tolerant(stem(composed(source_names[item.item_id])))}"
        grouped.append(item if group == item.group else replace(item, group=group))
    return Resolved(items=tuple(grouped), problems=tuple(problems))


def source_items(sources: Path, captions: Path) -> tuple[EditItem, ...]:
    """The rows of a captions table as items to be edited, each with its source image.

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
    without = [item.item_id for item in items if item.source_image is None]
    if without:
        raise LayoutError(
            f"{len(without)} of the {len(items)} rows of {captions} have no source image in {sources}, or several "
            f"files of that name: {listed(without, shown=5)}. Name the file in the column source_image_file_name."
        )
    return with_groups(items, table.source_names).items


def copy_sources(items: Sequence[EditItem], folder: Path) -> tuple[EditItem, ...]:
    """The items with their images but the edited ones copied to ``folder``, one file for equal bytes.

    Raises:
        ImageError: An image cannot be read.
        OSError: The folder cannot be written.
    """

    def copied(path: AnyImage) -> Path:
        # By its content, as everybody else who reads the folder goes by the suffix.
        suffix = SUFFIXES[found][0] if (found := sniff_format(path)) else path.suffix.lower()
        copy = folder / f"{image_digest(path)[:16]}{suffix}"
        if not copy.exists():
            with atomic_write(copy) as temporary:
                temporary.write_bytes(read_image_bytes(path))
        return copy

    return tuple(replace(item, edited_image=None).with_images(copied) for item in items)
