"""The rows of a data set as edits: those that it holds, or those that a folder is expected to hold."""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.edits.dataset_rows import Dataset
from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.headings import Columns, map_option, resolve_headings
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.edits.manifest import Manifest
from evalkit.edits.names import stem
from evalkit.edits.resolve import Resolved, match_manifest, resolve
from evalkit.edits.scan import Scan
from evalkit.edits.sources import with_groups
from evalkit.errors import LayoutError, ManifestError
from evalkit.formatting import listed
from evalkit.images.stored import AnyImage, StoredImage

_TEXTS = ("source_caption", "target_caption", "instruction", "edit_type", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetItems:
    """The rows of a data set as items, one for each row."""

    items: tuple[EditItem, ...]
    places: tuple[str, ...]
    """Where each of them stands, as messages call it."""
    columns: Columns
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What was guessed, and what revision is read, a sentence each."""


def dataset_folder(
    dataset: Dataset, mapped: Mapping[str, str] | None = None, expected: ExpectedItems | None = None
) -> EditFolder:
    """The edits that the rows of a data set hold, beside their sources and texts.

    Args:
        dataset: The data set.
        mapped: Our fields with the headings that the user says hold them.
        expected: The items of the benchmark that they are edits of.

    Raises:
        LayoutError: No column holds edited images.
        ManifestError: A row is damaged, or identifies nothing.
        OptionError: See :func:`evalkit.edits.headings.resolve_headings`.
        RemoteError: The Hub cannot be reached.
    """
    read = read_items(dataset, mapped or {})
    if "edited_image" not in read.columns.of:
        raise LayoutError(_without_edits(dataset, read.columns))
    root = Path(dataset.location if dataset.revision else dataset.given)
    scan = Scan(root=root, images=(), problems=())
    matches = match_manifest(Manifest(items=read.items), scan, expected)
    resolved = resolve(matches, root)
    grouped = with_groups(resolved.items, {})
    return EditFolder(
        root=root,
        layout="dataset",
        items=grouped.items,
        n_files=matches.n_files,
        n_matched=matches.n_matched,
        problems=(*_notices(read), *read.problems, *matches.problems, *resolved.problems, *grouped.problems),
        benchmark=expected.benchmark if expected else None,
        benchmark_items=tuple(item.item_id for item in expected.items) if expected else (),
        url=dataset.location if dataset.revision else None,
        title=dataset.name,
    )


def dataset_sources(dataset: Dataset, mapped: Mapping[str, str] | None = None) -> ExpectedItems:
    """What a folder should hold edits of: the rows of a data set, with their sources and texts.

    Args:
        dataset: The data set.
        mapped: Our fields with the headings that the user says hold them.

    Raises:
        LayoutError: No column holds source images.
        ManifestError: A row is damaged or identifies nothing, or two rows are one item.
        OptionError: See :func:`evalkit.edits.headings.resolve_headings`.
        RemoteError: The Hub cannot be reached.
    """
    read = read_items(dataset, mapped or {})
    if "source_image" not in read.columns.of:
        raise LayoutError(
            f"{dataset.given}: expected a column of source images, got {_headings(dataset)}. Say which it is: "
            "--map source_image=HEADING"
        )
    rows: dict[str, str] = {}
    for item, place in zip(read.items, read.places, strict=True):
        if item.item_id in rows:
            raise ManifestError(
                f"{place}: the item '{item.item_id}' stands in {rows[item.item_id]} already. "
                "Give every row an id of its own, in a column that you name: --map item_id=HEADING"
            )
        rows[item.item_id] = place
    items = tuple(replace(item, seed=None, edited_image=None, status="ok", reason=None) for item in read.items)
    names = {item.item_id: item.source_image.name for item in items if item.source_image and _is_named(item)}
    return ExpectedItems(items=items, source_names=names, problems=(*_notices(read), *read.problems))


def items_to_edit(dataset: Dataset, mapped: Mapping[str, str] | None = None) -> Resolved:
    """The rows of a data set as items to be edited, with their source images, and what is to be said of them.

    Raises:
        DataError: See :func:`dataset_sources`.
        OptionError: See :func:`dataset_sources`.
    """
    expected = dataset_sources(dataset, mapped)
    grouped = with_groups(expected.items, {})
    return replace(grouped, problems=(*expected.problems, *grouped.problems))


def read_items(dataset: Dataset, mapped: Mapping[str, str]) -> DatasetItems:
    """Every row of a data set as an item, with the images of its columns."""
    columns = resolve_headings(dataset.columns, mapped, where=dataset.given, pictures=dataset.pictures)
    pictures = [heading for field, heading in columns.of.items() if field in IMAGE_FIELDS]
    dataset.refuse_lists(pictures)
    rows = list(dataset.rows(columns.of.values(), pictures))
    if not rows:
        raise LayoutError(f"{dataset.given}: expected rows with images, got none.")
    ids, note = _ids(rows, columns)
    items, problems = list[EditItem](), list[Problem]()
    for item_id, (where, row) in zip(ids, rows, strict=True):
        images, absent = _images(dataset, row, columns)
        seed, texts = _seed(row, columns, where), {name: _text(row, columns, name, where) for name in _TEXTS}
        item = EditItem(item_id=item_id, seed=seed, **texts, **images)  # type: ignore[arg-type]
        if "edited_image" in columns.of and item.edited_image is None:
            item = item.without_edit("missing", absent["edited_image"])
        problems += [
            Problem(code="missing_named_file", message=f"{where}: {why}.", item_id=item_id)
            for field, why in absent.items()
            if field != "edited_image"
        ]
        items.append(item)
    notes = (*_revision(dataset), *_files(dataset), *columns.notes, *note)
    return DatasetItems(
        items=tuple(items),
        places=tuple(where for where, _ in rows),
        columns=columns,
        problems=tuple(problems),
        notes=notes,
    )


def _ids(rows: Sequence[tuple[str, Mapping[str, Any]]], columns: Columns) -> tuple[list[str], list[str]]:
    """What identifies each row: its id, the name of its edit or of its source, or its number; and what is guessed."""
    if heading := columns.of.get("item_id"):
        ids = [_text(row, columns, "item_id", where) for where, row in rows]
        for item_id, (where, _) in zip(ids, rows, strict=True):
            if not item_id:
                raise ManifestError(f"{where}, column {heading}: expected what identifies the row, got nothing.")
        return [str(item_id) for item_id in ids], []
    for field in ("edited_image", "source_image"):
        images = [row[columns.of[field]] for _, row in rows] if field in columns.of else []
        names = [stem(image.name) for image in images if image is not None and _has_name(image)]
        if len({*names}) == len(rows):
            return names, []
    return [*map(str, range(len(rows)))], [
        "No column identifies the rows, which are known by their number from 0; to have it otherwise: "
        "--map item_id=HEADING"
    ]


def _images(dataset: Dataset, row: Mapping[str, Any], columns: Columns) -> tuple[dict[str, AnyImage], dict[str, str]]:
    """The images of a row, and why others are not there; a reference or a mask may be missing."""
    found, absent = dict[str, AnyImage](), dict[str, str]()
    for field in IMAGE_FIELDS:
        heading = columns.of.get(field)
        image = row[heading] if heading else None
        if image is not None and dataset.has(image):
            found[field] = image
        elif image is not None:
            absent[field] = f"column {heading} names {image}, which is not there"
        elif field in ("source_image", "edited_image") and heading:
            absent[field] = f"column {heading} is empty"
    return found, absent


def _text(row: Mapping[str, Any], columns: Columns, field: str, where: str) -> str | None:
    """What a row says; an empty cell says nothing."""
    heading = columns.of.get(field)
    value = row[heading] if heading else None
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ManifestError(f"{where}, column {heading}: expected a text, got {value!r:.80}.")
    return str(value).strip()


def _seed(row: Mapping[str, Any], columns: Columns, where: str) -> int | None:
    text = _text(row, columns, "seed", where)
    if text is not None and not text.isdecimal():
        raise ManifestError(f"{where}, column {columns.of['seed']}: expected a whole number from 0, got '{text}'.")
    return None if text is None else int(text)


def _has_name(image: AnyImage) -> bool:
    """Whether the data set has a name for an image, which is more than the number of its row."""
    return not isinstance(image, StoredImage) or image.row is None or bool(image.file_name)


def _is_named(item: EditItem) -> bool:
    return item.source_image is not None and _has_name(item.source_image)


def _files(dataset: Dataset) -> Iterator[str]:
    """What is read as one data set, where its files are not plainly the parts of one."""
    names = [dataset.short(file) for file in dataset.files]
    if len({re.sub(r"\d+", "0", name) for name in names}) > 1:
        yield f"{dataset.given}: the rows of {len(names)} files are read as one data set: {listed(names, 5)}"


def _revision(dataset: Dataset) -> Iterator[str]:
    if dataset.revision:
        split = f", split {dataset.split}" if dataset.split else ""
        yield f"{dataset.given} was read at commit {dataset.revision}{split}"


def _notices(read: DatasetItems) -> list[Problem]:
    return [Problem(code="guessed", message=note) for note in read.notes]


def _headings(dataset: Dataset) -> str:
    return f"the columns {listed([repr(name) for name in dataset.columns], 20)}"


def _without_edits(dataset: Dataset, columns: Columns) -> str:
    """What is missing, and the two ways on."""
    given = shlex.quote(dataset.given)
    if not dataset.pictures:
        return (
            f"{dataset.given}: expected columns of images, of edits and of their sources, got {_headings(dataset)} "
            f"without any. If it holds the captions of a folder: evalkit score DIR --captions {given}"
        )
    images = listed([repr(name) for name in sorted(dataset.pictures)], 5)
    heading = columns.of.get("source_image", "HEADING")
    return (
        f"{dataset.given}: expected a column of edited images, got {_headings(dataset)} with images in {images}. Say "
        f"which it is: {map_option('edited_image', heading)}; or score a folder of edits of its rows: "
        f"evalkit score DIR --sources {given}"
    )
