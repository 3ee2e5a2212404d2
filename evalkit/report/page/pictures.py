"""The pictures of a page: the edit folders of a comparison opened again, and thumbnails of a bounded size."""

import base64
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalkit.benchmarks.open import open_again
from evalkit.comparison.records import Comparison
from evalkit.edits.check import edits_digest
from evalkit.edits.item import EditItem
from evalkit.errors import BenchmarkError, EvalkitError
from evalkit.images.decode import read_image
from evalkit.images.stored import AnyImage
from evalkit.scores.run import FolderRecord

THUMBNAIL = 320
"""Pixels of the longer side: sharp at 160 on a fine screen, and enough to be compared at twice that."""
QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture of the gallery, or the reason why there is none."""

    data: str | None = None
    """A ``data:`` address."""
    alt: str = ""
    width: int = 0
    height: int = 0
    reason: str | None = None


@dataclass(slots=True)
class OpenedFolders:
    """The edit folders that could be opened: method to item to its first edit."""

    edits: dict[str, dict[str, EditItem]] = field(default_factory=dict)
    items: dict[str, EditItem] = field(default_factory=dict)
    """Every item as the first folder that knows its source image describes it."""
    problems: list[str] = field(default_factory=list)
    no_sources: str | None = None
    """Why the benchmark's own images cannot be had; it is not asked for them again."""


def open_folders(comparison: Comparison) -> OpenedFolders:
    """Open every folder that was scored, as it was for scoring."""
    found = OpenedFolders()
    for method in comparison.methods:
        if method.folder is None:
            continue
        try:
            items = _open(method.folder, found)
        except (EvalkitError, OSError) as failure:
            found.problems.append(f"The pictures of {method.name} are not shown: {failure}")
            continue
        if edits_digest(items) != method.folder.digest:
            found.problems.append(
                f"The pictures of {method.name} may not be those that were scored: {method.folder.path} has changed "
                f"since. Score it again: evalkit score {shlex.quote(method.folder.path)}"
            )
        edits = found.edits.setdefault(method.name, {})
        for item in items:
            if item.item_id not in found.items or found.items[item.item_id].source_image is None:
                found.items[item.item_id] = item
            if item.item_id not in edits or edits[item.item_id].edited_image is None:
                edits[item.item_id] = item
    if found.no_sources and not any(item.source_image for item in found.items.values()):
        found.problems.append(f"The source images are not shown: {found.no_sources}")
    return found


def _open(folder: FolderRecord, found: OpenedFolders) -> Sequence[EditItem]:
    """The items of a folder, which is opened as it was for scoring."""
    try:
        return open_again(folder, with_images=found.no_sources is None).folder.items
    except BenchmarkError as failure:  # edits without their sources are better than nothing
        found.no_sources = str(failure)
        return open_again(folder, with_images=False).folder.items


def source_picture(item: EditItem, sources: dict[AnyImage, GalleryPicture]) -> GalleryPicture:
    """The thumbnail of an item's source image; ``sources`` keeps it for the items that share it."""
    path = item.source_image
    if path is None:
        return GalleryPicture(reason="no source image")
    if path not in sources:
        sources[path] = thumbnail(path, f"Source image: {item.source_caption or path.stem}")
    return sources[path]


def edited_picture(method: str, item: EditItem | None) -> GalleryPicture:
    """The thumbnail of a method's edit, or why there is none."""
    if item is None or item.edited_image is None:
        return GalleryPicture(reason=(item.reason if item else None) or "no edited image")
    wanted = item.target_caption or item.instruction or item.item_id
    return thumbnail(item.edited_image, f"Edit by {method}, asked for: {wanted}")


def thumbnail(path: AnyImage, alt: str) -> GalleryPicture:
    """A small JPEG of an image file as a ``data:`` address, or the reason why it cannot be read."""
    try:
        image = read_image(path)
    except EvalkitError as failure:
        return GalleryPicture(reason=str(failure))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    return GalleryPicture(data=f"data:image/jpeg;base64,{data}", alt=alt, width=image.width, height=image.height)
