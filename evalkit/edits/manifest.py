"""``metadata.jsonl``: one line per edit, at the same time the metadata of a Hugging Face imagefolder.

A line leaves out the columns it has nothing for. Hugging Face ``datasets`` then reads the folder whatever its size:
a column that is null throughout the first ten megabytes and filled later would be refused, one that is absent is not.
Where file names hold words like ``train`` or ``test``, ``datasets`` takes them for splits unless it is told otherwise:
``load_dataset("imagefolder", data_dir=..., data_files="**")``.
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.edits.item import IMAGE_FIELDS, EditItem, Status
from evalkit.errors import ManifestError
from evalkit.storage.atomic import atomic_write
from evalkit.storage.paths import Resolve, is_within, name_within

MANIFEST_NAME = "metadata.jsonl"
RECIPE_NAME = "method.json"
"""Beside it, where ``evalkit edit`` made the folder: how its edits were made."""
_TEXT_COLUMNS = (
    "item_id",
    "seed",
    "source_caption",
    "target_caption",
    "instruction",
    "edit_type",
    "group",
    "source_attributes",
    "target_attributes",
    "status",
    "reason",
    "seconds",
    "cost",
    "currency",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a ``metadata.jsonl`` says, line by line; whether the files exist is for the reader of the folder."""

    items: tuple[EditItem, ...]
    """In the order of the lines; an item and seed that stand on two lines are here twice."""
    benchmark: str | None = None
    method: str | None = None


class _Row(BaseModel):
    """One line as it may look; columns we do not know are somebody else's and left alone."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    item_id: str = Field(min_length=1)
    seed: int | None = None
    source_image_file_name: str | None = None
    edited_image_file_name: str | None = None
    reference_image_file_name: str | None = None
    edit_mask_file_name: str | None = None
    source_caption: str | None = None
    target_caption: str | None = None
    instruction: str | None = None
    edit_type: str | None = None
    group: str | None = None
    source_attributes: dict[str, str | None] | None = None
    target_attributes: dict[str, str | None] | None = None
    status: Status | None = None
    reason: str | None = None
    seconds: float | None = None
    cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    currency: str | None = None
    benchmark: str | None = None
    method: str | None = None


def read_manifest(path: Path) -> Manifest:
    """Reads the manifest of a folder.

    Args:
        path: The ``metadata.jsonl``, or the folder that holds it. File names in it are relative to that folder.

    Raises:
        ManifestError: A line is not a JSON object, a column has a wrong value, a file name leads out of the folder,
            or two lines name different benchmarks or methods. The message names the line and the column.
    """
    path = path / MANIFEST_NAME if path.is_dir() else path
    root, resolve = path.parent, functools.cache(os.path.realpath)
    if not is_within(path, root, resolve):
        raise ManifestError(f"{path} must be a file of its folder, got a link out of it. Copy the file there.")
    items: list[EditItem] = []
    facts: dict[str, tuple[str, int]] = {}
    for number, record in json_lines(path):
        where = f"{path}:{number}"
        row = _validated(record, where)
        for name in ("benchmark", "method"):
            _agree(facts, name, getattr(row, name), number, where)
        items.append(_item(row, root, resolve, where))
    return Manifest(
        items=tuple(items), benchmark=facts.get("benchmark", (None,))[0], method=facts.get("method", (None,))[0]
    )


def benchmark_of(path: Path) -> str | None:
    """The benchmark that the manifest of a folder names first, for those who must know it before they read the rest.

    Raises:
        ManifestError: The file cannot be read, or a line up to there is not a JSON object.
    """
    for _, record in json_lines(path / MANIFEST_NAME, holding=b'"benchmark"'):
        if isinstance(record.get("benchmark"), str):
            return str(record["benchmark"])
    return None


def write_manifest(
    folder: Path, items: Iterable[EditItem], *, benchmark: str | None = None, method: str | None = None
) -> Path:
    """Writes the manifest of a folder in one step: a reader sees the old one or the new one, never half of it.

    Args:
        folder: The folder that the edited images lie in; made if it is not there.
        items: One per line. A source image, reference image or edit mask outside the folder is left out of its line:
            such a file belongs to the benchmark.
        benchmark: Name of the benchmark, repeated on every line.
        method: Name of the method, repeated on every line.

    Returns:
        The file that was written.

    Raises:
        ManifestError: An edited image lies outside the folder.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, resolve = folder / MANIFEST_NAME, functools.cache(os.path.realpath)
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for item in items:
            file.write(_line(item, folder, resolve, benchmark, method))
    return path


def append_item(folder: Path, item: EditItem, *, benchmark: str | None = None, method: str | None = None) -> None:
    """Adds one line to a folder's manifest, for writers that must lose nothing when they are killed.

    What a killed writer left of a last line is removed first.

    Raises:
        ManifestError: The edited image lies outside the folder.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    line = _line(item, folder, os.path.realpath, benchmark, method).encode()
    with (folder / MANIFEST_NAME).open("a+b") as file:
        _drop_torn_line(file.fileno())
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def mend_manifest(folder: Path) -> None:
    """Removes what a killed writer left of a last line.

    Raises:
        OSError: The manifest is not there, or cannot be written.
    """
    with (folder / MANIFEST_NAME).open("r+b") as file:
        _drop_torn_line(file.fileno())


def json_lines(path: Path, *, holding: bytes = b"") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its line number; blank lines are passed over.

    Args:
        path: The file.
        holding: Lines without these bytes are passed over too.

    Raises:
        ManifestError: The file cannot be read, or a line is not one JSON object in UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text and holding in text:
                    yield number, _object(text, f"{path}:{number}")
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}.") from error


def _object(text: bytes, where: str) -> dict[str, Any]:
    """One line's JSON object."""
    try:
        record = json.loads(text)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ManifestError(f"{where}: expected one JSON object in UTF-8, got {_short(text)} ({error}).") from error
    if not isinstance(record, dict):
        raise ManifestError(f"{where}: expected one JSON object, got {_short(text)}.")
    return record


def _validated(record: Mapping[str, Any], where: str) -> _Row:
    """The line with its types checked."""
    if record.get("edited_image_file_name") is None and record.get("status") is None:
        raise ManifestError(
            f"{where}: expected the column edited_image_file_name, or a status that says why there is none "
            f'("failed", "missing"); got the columns {", ".join(record) or "of an empty object"}.'
        )
    try:
        row = _Row.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(str(part) for part in first["loc"])
        got = "nothing" if first["type"] == "missing" else _short(first["input"])
        raise ManifestError(f"{where}, column {column}: {_lower(first['msg'])}; got {got}.") from error
    if (row.status or "ok") == "ok" and row.edited_image_file_name is None:
        raise ManifestError(f'{where}, column edited_image_file_name: expected a file for status "ok", got null.')
    if row.status in ("failed", "missing") and row.edited_image_file_name is not None:
        raise ManifestError(
            f'{where}, column edited_image_file_name: expected null for status "{row.status}", '
            f"got {_short(row.edited_image_file_name)}."
        )
    return row


def _item(row: _Row, root: Path, resolve: Resolve, where: str) -> EditItem:
    """The item that a line stands for, with its files located."""
    files = {name: _located(getattr(row, f"{name}_file_name"), name, root, resolve, where) for name in IMAGE_FIELDS}
    return EditItem(
        item_id=row.item_id,
        seed=row.seed,
        **files,
        source_caption=row.source_caption,
        target_caption=row.target_caption,
        instruction=row.instruction,
        edit_type=row.edit_type,
        group=row.group,
        source_attributes=_attributes(row.source_attributes),
        target_attributes=_attributes(row.target_attributes),
        status=row.status or "ok",
        reason=row.reason,
        seconds=row.seconds,
        cost=row.cost,
        currency=row.currency,
    )


def _attributes(given: Mapping[str, str | None] | None) -> dict[str, str] | None:
    """Attributes without the nulls that table formats put where an item lacks one that another has."""
    return None if given is None else {name: value for name, value in given.items() if value is not None}


def _located(name: str | None, field: str, root: Path, resolve: Resolve, where: str) -> Path | None:
    """The file that a column names, refused if it is not one of the folder's."""
    if name is None:
        return None
    path, parts = root / name, name.split("/")
    # What consists of empty parts and full stops is no file but the folder itself.
    if name.startswith("/") or ".." in parts or not {*parts} - {"", "."} or not is_within(path, root, resolve):
        raise ManifestError(
            f"{where}, column {field}_file_name: expected a file inside the folder, got {_short(name)}, which "
            f"is none. Copy the file into the folder and name it relative to {MANIFEST_NAME}."
        )
    return path


def _agree(facts: dict[str, tuple[str, int]], name: str, value: str | None, number: int, where: str) -> None:
    """Notes a fact that every line repeats, and refuses a second opinion."""
    if value is None:
        return
    known, line = facts.setdefault(name, (value, number))
    if known != value:
        raise ManifestError(
            f"{where}, column {name}: expected {_short(known)} as in line {line}, got {_short(value)}. "
            f"One folder holds one method's edits of one benchmark."
        )


def _line(item: EditItem, folder: Path, resolve: Resolve, benchmark: str | None, method: str | None) -> str:
    """One line of a manifest, with its line end."""
    row: dict[str, object] = {}
    for name in _TEXT_COLUMNS[:2]:
        row[name] = getattr(item, name)
    for name in IMAGE_FIELDS:
        file: Path | None = getattr(item, name)
        row[f"{name}_file_name"] = name_within(file, folder, resolve) if file else None
    if item.edited_image and row["edited_image_file_name"] is None:
        raise ManifestError(
            f"The edited image of {item.label} must lie inside the folder of its manifest, got {item.edited_image}."
        )
    for name in _TEXT_COLUMNS[2:]:
        value = getattr(item, name)
        value = dict(value) if isinstance(value, Mapping) else value
        row[name] = None if value in ("", {}) else value  # 0.0 is a cost
    row |= {"benchmark": benchmark, "method": method}
    return json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False) + "\n"


def _drop_torn_line(descriptor: int) -> None:
    """Cuts off what follows the last line end."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - 65536)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position < end:
        os.ftruncate(descriptor, position)


def _short(value: object) -> str:
    """A value as it reads in a message."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _lower(message: str) -> str:
    """A sentence that goes on after a colon."""
    return message[:1].lower() + message[1:]
