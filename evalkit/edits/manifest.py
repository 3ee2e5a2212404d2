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
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import IO, Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.errors import ManifestError
from evalkit.formatting import listed
from evalkit.storage import documents
from evalkit.storage.atomic import atomic_write
from evalkit.storage.files import open_regular
from evalkit.storage.paths import Resolve, is_within, name_within

MANIFEST_NAME = "metadata.jsonl"
RECIPE_NAME = "method.json"
"""Beside it, where ``evalkit edit`` made the folder: how its edits were made."""
_FIELDS = tuple(field.name for field in fields(EditItem))
_HINTS = get_type_hints(EditItem, include_extras=True)
_Row = create_model(  # type: ignore[call-overload]  # an item as a line may have it, with its types checked
    "_Row",
    __config__=ConfigDict(strict=True, extra="ignore"),
    **{
        field.name: (_HINTS[field.name], ... if field.default is MISSING else field.default)
        for field in fields(EditItem)
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a ``metadata.jsonl`` says, line by line; whether the files exist is for the reader of the folder."""

    items: tuple[EditItem, ...]
    """In the order of the lines; an item and seed that stand on two lines are here twice."""
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
        for name in ("benchmark", "method"):
            _agree(facts, name, record.get(name), number, where)
        items.append(_item(record, root, resolve, where))
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


def is_manifest(path: Path) -> bool:
    """Whether a ``metadata.jsonl`` says what was edited, and not what else lies in a Hugging Face imagefolder.

    One that cannot be read is taken for one, so that what is wrong with it is said.
    """
    try:
        first = next(json_lines(path), (1, {"status": "ok"}))[1]
    except ManifestError:
        return True
    return "edited_image_file_name" in first or "status" in first


def write_manifest(
    folder: Path, items: Iterable[EditItem], *, benchmark: str | None = None, method: str | None = None
) -> Path:
    """Writes the manifest of a folder in one step: a reader sees the old one or the new one, never half of it.

    Args:
        folder: The folder that the edited images lie in; made if it is not there.
        items: One per line. A source image, reference image or edit mask outside the folder is left out of its line:
            it belongs to the benchmark or the data set.
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
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
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
        _drop_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def mend_manifest(folder: Path) -> None:
    """Removes what a killed writer left of a last line.

    Raises:
        OSError: The manifest is not there, or cannot be written.
    """
    with (folder / MANIFEST_NAME).open("r+b") as file:
        _drop_torn_line(file)


def json_lines(path: Path, *, holding: bytes = b"") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its line number; blank lines are passed over.

    Args:
        path: The file.
        holding: Lines without these bytes are passed over too.

    Raises:
        ManifestError: The file cannot be read, or a line is not one JSON object in UTF-8 within the bounds of
            :mod:`evalkit.storage.documents`.
    """
    try:
        with open_regular(path) as file:
            for number, record in documents.json_lines(file, holding=holding):
                if not isinstance(record, dict):
                    raise ManifestError(f"{path}:{number}: expected one JSON object, got {_short(record)}.")
                yield number, record
    except documents.LineError as error:
        raise ManifestError(
            f"{path}:{error.number}: expected one JSON object in UTF-8, got {_short(error.line)} ({error})."
        ) from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}.") from error


def _item(record: Mapping[str, Any], root: Path, resolve: Resolve, where: str) -> EditItem:
    """The item that a line stands for, with its files located."""
    edited, status = record.get("edited_image_file_name"), record.get("status")
    if edited is None and status is None:
        raise ManifestError(
            f"{where}: expected the column edited_image_file_name, or a status that says why there is none "
            f'("failed", "missing"); got the columns {listed([*map(repr, record)], 20) or "of an empty object"}.'
        )
    values = {name: value for name, value in record.items() if value is not None}
    for name in ("source_attributes", "target_attributes"):
        if isinstance(given := values.get(name), dict):  # table formats put nulls where an item lacks an attribute
            values[name] = {key: value for key, value in given.items() if value is not None}
    for name in IMAGE_FIELDS:
        values[name] = _located(record.get(f"{name}_file_name"), f"{name}_file_name", root, resolve, where)
    try:
        item = EditItem(**dict(_Row.model_validate(values)))
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(str(part) for part in first["loc"])
        got = "nothing" if first["type"] == "missing" else _short(first["input"])
        raise ManifestError(f"{where}, column {column}: {_lower(first['msg'])}; got {got}.") from error
    if (item.status == "ok") != (item.edited_image is not None):
        wanted = "a file" if item.status == "ok" else "null"
        raise ManifestError(
            f'{where}, column edited_image_file_name: expected {wanted} for status "{item.status}", '
            f"got {_short(edited)}."
        )
    return item


def _located(name: object, column: str, root: Path, resolve: Resolve, where: str) -> Path | None:
    """The file that a column names, refused if it is not one of the folder's."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise ManifestError(f"{where}, column {column}: input should be a valid string; got {_short(name)}.")
    path, parts = root / name, name.split("/")
    # What consists of empty parts and full stops is no file but the folder itself.
    if name.startswith("/") or ".." in parts or not {*parts} - {"", "."} or not is_within(path, root, resolve):
        raise ManifestError(
            f"{where}, column {column}: expected a file inside the folder, got {_short(name)}, which "
            f"is none. Copy the file into the folder and name it relative to {MANIFEST_NAME}."
        )
    return path


def _agree(facts: dict[str, tuple[str, int]], name: str, value: object, number: int, where: str) -> None:
    """Notes a fact that every line repeats, and refuses a second opinion."""
    if value is None:
        return
    if not isinstance(value, str):
        raise ManifestError(f"{where}, column {name}: input should be a valid string; got {_short(value)}.")
    known, line = facts.setdefault(name, (value, number))
    if known != value:
        raise ManifestError(
            f"{where}, column {name}: expected {_short(known)} as in line {line}, got {_short(value)}. "
            f"One folder holds one method's edits of one benchmark."
        )


def _line(item: EditItem, folder: Path, resolve: Resolve, benchmark: str | None, method: str | None) -> str:
    """One line of a manifest, with its line end."""
    row: dict[str, object] = {}
    for name in _FIELDS:
        value = getattr(item, name)
        if name in IMAGE_FIELDS:
            row[f"{name}_file_name"] = name_within(value, folder, resolve) if isinstance(value, Path) else None
        else:
            row[name] = dict(value) if isinstance(value, Mapping) else value
    if item.edited_image and row["edited_image_file_name"] is None:
        raise ManifestError(
            f"The edited image of {item.label} must lie inside the folder of its manifest, got {item.edited_image}."
        )
    row |= {"benchmark": benchmark, "method": method}
    filled = {name: value for name, value in row.items() if value not in (None, "", {})}
    return json.dumps(filled, ensure_ascii=False) + "\n"


def _drop_torn_line(file: IO[bytes]) -> None:
    """Cuts off what follows the last line end; afterwards writing goes on there."""
    end = kept = file.seek(0, os.SEEK_END)
    while kept:
        file.seek(kept - 1)
        if file.read(1) == b"\n":
            break
        kept -= 1
    if kept < end:
        file.truncate(kept)


def _short(value: object) -> str:
    """A value as it reads in a message."""
    text = value[:320].decode(errors="replace") if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _lower(message: str) -> str:
    """A sentence that goes on after a colon."""
    return message[:1].lower() + message[1:]
