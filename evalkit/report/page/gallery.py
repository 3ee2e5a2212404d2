"""The per-item gallery of a page: source, every method's edit and its scores, with thumbnails of a bounded size."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evalkit.benchmarks.open import open_edits
from evalkit.comparison.records import ComparedMethod, Comparison
from evalkit.edits.check import edits_digest
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.errors import BenchmarkError, EvalkitError, LayoutError
from evalkit.images.decode import read_image
from evalkit.images.stored import AnyImage
from evalkit.scores.run import FolderRecord
from evalkit.storage.paths import is_url
from evalkit.storage.remote import Remote

THUMBNAIL = 160
"""Pixels of the longer side."""
QUALITY = 78
MAX_THUMBNAILS = 480
MAX_ITEMS = 60
ItemValues = Mapping[str, float]
"""Metric to value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture of the gallery, or the reason why there is none."""

    data: str | None = None
    """A ``data:`` address."""
    alt: str = ""
    width: int = 0
    height: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRow:
    """One item as the page shows it: its texts, its source, and the edits of every method with their scores."""

    item_id: str
    edit_type: str | None
    texts: tuple[tuple[str, str], ...]
    """What was known and asked: the name of a text, and the text."""
    source: GalleryPicture
    edits: Mapping[str, GalleryPicture]
    """Method to its edit."""
    scores: Mapping[str, ItemValues]
    """Method to its scores, means over seeds."""
    differences: ItemValues
    """Of two methods second − first; of more the largest score − the smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The items that a page shows."""

    rows: tuple[GalleryRow, ...]
    n_items: int
    """Items of the comparison, shown or not."""
    difference: str
    """What the column of differences holds."""
    chosen_by: str
    """The metric whose differences the shown items are spread over."""
    pictures: bool
    problems: tuple[str, ...] = ()
    """Why pictures are missing."""


@dataclass(slots=True)
class _Folders:
    """The edit folders that could be opened: method to item to its first edit."""

    edits: dict[str, dict[str, EditItem]] = field(default_factory=dict)
    items: dict[str, EditItem] = field(default_factory=dict)
    """Every item as the first folder that knows its source image describes it."""
    problems: list[str] = field(default_factory=list)
    no_sources: str | None = None
    """Why the benchmark's own images cannot be had; it is not asked for them again."""


def build_gallery(comparison: Comparison) -> Gallery:
    """Choose items evenly over the range of differences on the first primary metric, and make their thumbnails."""
    names = [method.name for method in comparison.methods]
    scores = {method.name: _scores(method) for method in comparison.methods}
    item_ids = list(dict.fromkeys(item_id for by_item in scores.values() for item_id in by_item))
    metric = next((metric for metric in comparison.metrics if metric.primary), comparison.metrics[0]).name
    differences = {item_id: _differences(item_id, names, scores) for item_id in item_ids}
    limit = max(1, min(MAX_ITEMS, MAX_THUMBNAILS // (len(names) + 1)))
    chosen = spread_over(item_ids, {i: d[metric] for i, d in differences.items() if metric in d}, limit)
    folders = _open_folders(comparison)
    sources: dict[AnyImage, GalleryPicture] = {}
    rows = tuple(_row(item_id, names, scores, differences[item_id], folders, sources) for item_id in chosen)
    return Gallery(
        rows=rows,
        n_items=len(item_ids),
        difference=f"{names[1]} − {names[0]}" if len(names) == 2 else "largest − smallest",
        chosen_by=metric,
        pictures=bool(folders.edits),
        problems=tuple(folders.problems),
    )


def spread_over(item_ids: Sequence[str], differences: Mapping[str, float], limit: int) -> list[str]:
    """At most ``limit`` items: both ends of the differences and evenly many between them, in their own order.

    >>> spread_over(list("abcde"), {"a": 0.5, "b": 0.1, "c": 0.9, "d": 0.3, "e": 0.7}, 3)
    ['a', 'b', 'c']
    """
    if len(item_ids) <= limit:
        return list(item_ids)
    by_difference = sorted(item_ids, key=lambda item_id: differences.get(item_id, math.inf))
    last = len(item_ids) - 1
    chosen = {by_difference[round(number * last / max(1, limit - 1))] for number in range(limit)}
    return [item_id for item_id in item_ids if item_id in chosen]


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


def _scores(method: ComparedMethod) -> dict[str, dict[str, float]]:
    by_item: dict[str, dict[str, float]] = {item_id: {} for item_id, _ in method.table.groups()}
    for metric in method.table.metrics:
        for item_id, value in method.table.item_means(metric).by_item().items():
            by_item[item_id][metric] = value
    return by_item


def _differences(
    item_id: str, names: Sequence[str], scores: Mapping[str, Mapping[str, ItemValues]]
) -> dict[str, float]:
    of_item = [scores[name].get(item_id, {}) for name in names]
    common = [metric for metric in of_item[0] if all(metric in values for values in of_item)]
    if len(names) == 2:
        return {metric: of_item[1][metric] - of_item[0][metric] for metric in common}
    return {metric: max(v[metric] for v in of_item) - min(v[metric] for v in of_item) for metric in common}


def _open_folders(comparison: Comparison) -> _Folders:
    found = _Folders()
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
                f"since. Score it again: evalkit score {method.folder.path}"
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


def _open(folder: FolderRecord, found: _Folders) -> Sequence[EditItem]:
    """The items of a folder, which is opened as it was for scoring."""
    root: Path | str = folder.path if folder.layout == "dataset" else Path(folder.path)
    if is_url(folder.path) and folder.layout != "dataset":
        root = Remote(folder.path, index=MANIFEST_NAME).pull()
    if not is_url(str(root)) and not Path(root).exists():
        raise LayoutError(f"{folder.path} is not there any more.")
    paths = ("data", "captions")
    options = {name: Path(value) if name in paths else value for name, value in folder.opened_with.items()}
    open_again = partial(open_edits, root, **options)  # type: ignore[arg-type]
    try:
        return open_again(with_images=found.no_sources is None).folder.items
    except BenchmarkError as failure:  # edits without their sources are better than nothing
        found.no_sources = str(failure)
        return open_again(with_images=False).folder.items


def _row(
    item_id: str,
    names: Sequence[str],
    scores: Mapping[str, Mapping[str, ItemValues]],
    differences: ItemValues,
    folders: _Folders,
    sources: dict[AnyImage, GalleryPicture],
) -> GalleryRow:
    item = folders.items.get(item_id, EditItem(item_id=item_id))
    texts = (("source", item.source_caption), ("asked for", item.target_caption), ("instruction", item.instruction))
    return GalleryRow(
        item_id=item_id,
        edit_type=item.edit_type,
        texts=tuple((name, text) for name, text in texts if text),
        source=_source(item, sources),
        edits={name: _edit(name, folders.edits[name].get(item_id)) for name in names if name in folders.edits},
        scores={name: scores[name].get(item_id, {}) for name in names},
        differences=differences,
    )


def _source(item: EditItem, sources: dict[AnyImage, GalleryPicture]) -> GalleryPicture:
    path = item.source_image
    if path is None:
        return GalleryPicture(reason="no source image")
    if path not in sources:
        sources[path] = thumbnail(path, f"Source image: {item.source_caption or path.stem}")
    return sources[path]


def _edit(method: str, item: EditItem | None) -> GalleryPicture:
    if item is None or item.edited_image is None:
        return GalleryPicture(reason=(item.reason if item else None) or "no edited image")
    wanted = item.target_caption or item.instruction or item.item_id
    return thumbnail(item.edited_image, f"Edit by {method}, asked for: {wanted}")
