"""Captions tables: what was edited, for folders that have neither a manifest nor a benchmark."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import json_lines
from evalkit.edits.names import stem
from evalkit.errors import ManifestError
from evalkit.formatting import listed
from evalkit.storage.delimited import csv_rows
from evalkit.storage.documents import LineError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "item_id": ("item_id",),
    "source": ("source_image_file_name", "source_image", "source"),
    "edited": ("edited_image_file_name", "edited_image", "edited"),
    "source_caption": ("source_caption",),
    "target_caption": ("target_caption",),
    "instruction": ("instruction",),
    "edit_type": ("edit_type",),
    "group": ("group",),
}
"""What a row can say, with the headings that say it; the first are the manifest's."""
_TEXTS = ("source_caption", "target_caption", "instruction", "edit_type", "group")


def read_captions(path: Path) -> ExpectedItems:
    """Reads a captions table.

    Args:
        path: CSV (with a heading; commas, semicolons or tabs) or JSON Lines. A row needs an ``item_id``, a
            ``source_image_file_name`` or an ``edited_image_file_name``; without the first, the stem of the edited
            image's name identifies the item, else that of the source image's.

    Returns:
        The rows as items without files, in their order, and the names of their files as far as the table gives them.

    Raises:
        ManifestError: The table cannot be read, a row names nothing, or two rows are one item. The message names
            the line.
    """
    items: dict[str, EditItem] = {}
    lines: dict[str, int] = {}
    names: dict[str, dict[str, str]] = {"source": {}, "edited": {}}
    for number, record in _records(path):
        where = f"{path}:{number}"
        row = _row(record, where)
        item_id = row["item_id"] or stem(PurePath(row["edited"] or row["source"] or "").name)
        if not item_id:
            raise ManifestError(
                f"{where}: expected an item_id, a source_image_file_name or an edited_image_file_name; "
                f"got the columns {listed([repr(name) for name in record], 20) or 'of an empty row'}."
            )
        if item_id in items:
            raise ManifestError(
                f"{where}: the item '{item_id}' stands in line {lines[item_id]} already. "
                f"Give every row an item_id of its own."
            )
        lines[item_id] = number
        for kind, by_item in names.items():
            if name := row[kind]:
                by_item[item_id] = name
        texts: dict[str, Any] = {name: row[name] for name in _TEXTS}
        items[item_id] = EditItem(item_id=item_id, **texts)
    _require_texts(path, items.values())
    return ExpectedItems(items=tuple(items.values()), source_names=names["source"], edited_names=names["edited"])


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows with their line numbers, whatever the format."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        yield from json_lines(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        yield from _csv_records(path)
    else:
        raise ManifestError(f"{path}: expected a captions table named .csv, .tsv or .jsonl, got '{path.suffix}'.")


def _csv_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        rows = csv_rows(path)
        first, heading = next(rows, (1, []))
        if twice := next((name for name, count in Counter(heading).items() if count > 1), None):
            raise ManifestError(f"{path}:{first}: the heading '{twice}' stands there twice. Rename one of them.")
        for number, cells in rows:
            if len(cells) > len(heading):
                raise ManifestError(
                    f"{path}:{number}: expected {len(heading)} cells as in the heading, got {len(cells)}. Put a text "
                    "that holds what separates the cells in double quotes."
                )
            yield number, dict(zip(heading, cells, strict=False))
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}.") from error
    except LineError as error:
        raise ManifestError(f"{path}:{error.number}: expected CSV in UTF-8, got something else ({error}).") from error
    except ValueError as error:
        raise ManifestError(f"{path}: expected CSV in UTF-8, got something else ({error}).") from error


def _require_texts(path: Path, items: Collection[EditItem]) -> None:
    """A table without any text has other headings than ours, or is not a captions table."""
    if not any(item.target_caption or item.source_caption or item.instruction for item in items):
        raise ManifestError(
            f"{path}: expected rows with a target_caption, a source_caption or an instruction, got "
            f"{len(items)} rows without any. The headings that are read: "
            f"{', '.join(headings[0] for headings in COLUMNS.values())}."
        )


def _row(record: Mapping[str, Any], where: str) -> dict[str, str | None]:
    """A row under our own names; an empty cell says nothing."""
    row: dict[str, str | None] = dict.fromkeys(COLUMNS)
    for ours, headings in COLUMNS.items():
        for heading in headings:
            value = record.get(heading)
            if value is None or value == "":
                continue
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise ManifestError(f"{where}, column {heading}: expected a text, got {value!r}.")
            row[ours] = str(value).strip()
            break
    return row
