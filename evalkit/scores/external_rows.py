"""Tables of other tools as rows: CSV, JSON Lines, JSON and Parquet, each row with the place it came from."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_JUDGED = re.compile(r"^\W*([A-Za-z][^:\n]*?)\W*:\W*(\d+(?:\.\d+)?)\W*$", re.MULTILINE)
"""A line ``Name: number`` of a judge's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRow:
    """One record of a table."""

    where: str
    """``line 3``, ``entry 3`` or ``row 3``, as it reads in a message."""
    cells: Mapping[str, Any]


def read_rows(path: Path) -> list[ExternalRow]:
    """Every record of a table.

    JSON may be a list of objects, an object that holds one such list, or an object of items: each with its scores, one
    number, or a judge's text with lines ``Name: number`` (whose mean is then the column ``average``).

    Raises:
        DataError: The file cannot be read, is empty, or is no table.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}, got '{kind}'.")
    try:
        if kind == ".parquet":
            rows = list(_parquet_rows(path))
        else:
            text = path.read_bytes().decode("utf-8-sig")
            rows = list(_text_rows(path, kind, text))
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is not UTF-8 text: {failure}. Convert it, and run the same command again.") from None
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror or failure}.") from failure
    if not rows:
        raise DataError(f"{path} holds no rows: expected one per item.")
    return rows


def _text_rows(path: Path, kind: str, text: str) -> Iterator[ExternalRow]:
    if kind in (".csv", ".tsv"):
        return _csv_rows(path, text, "\t" if kind == ".tsv" else None)
    return _json_rows(path, text) if kind == ".json" else _json_lines(path, text)


def _csv_rows(path: Path, text: str, delimiter: str | None) -> Iterator[ExternalRow]:
    first = text.partition("\n")[0]
    if delimiter is None:
        delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: the column '{twice[0]}' is there more than once. Rename one of them.")
    for cells in reader:
        if not cells:
            continue
        where = f"line {reader.line_num}"
        if len(cells) != len(header):
            raise DataError(f"{path}, {where}: expected {len(header)} cells as in the header, got {len(cells)}.")
        yield ExternalRow(where=where, cells=dict(zip(header, cells, strict=True)))


def _json_lines(path: Path, text: str) -> Iterator[ExternalRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"line {number}"
            yield ExternalRow(where=where, cells=_record(_parsed(path, line, where), path, where))


def _json_rows(path: Path, text: str) -> Iterator[ExternalRow]:
    value = _parsed(path, text, "the file")
    if isinstance(value, dict):
        lists = [held for held in value.values() if isinstance(held, list) and held and isinstance(held[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if isinstance(value, dict):
        for item, scores in value.items():
            yield ExternalRow(where=f"entry '{item}'", cells={"item_id": item, **_scores_of(scores, path, item)})
        return
    if not isinstance(value, list):
        raise DataError(f"{path} is no table: expected a list of objects, or an object of items.")
    for number, entry in enumerate(value, start=1):
        where = f"entry {number}"
        yield ExternalRow(where=where, cells=_record(entry, path, where))


def _scores_of(scores: Any, path: Path, item: str) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(scores, str) and (judged := _JUDGED.findall(scores)):
        named = {name.strip(): float(value) for name, value in judged}
        return {**named, "average": sum(named.values()) / len(named)}
    if scores is None or isinstance(scores, int | float | str):
        return {"score": scores}
    return _record(scores, path, f"entry '{item}'")


def _record(value: Any, path: Path, where: str) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can hold
    """An object's cells, those of objects inside it as ``outer.inner``."""
    if not isinstance(value, dict):
        raise DataError(f"{path}, {where}: expected an object with a key per column, got {type(value).__name__}.")
    cells: dict[str, Any] = {}
    for key, held in value.items():
        if isinstance(held, dict):
            cells.update({f"{key}.{inner}": below for inner, below in held.items()})
        else:
            cells[key] = held
    return cells


def _parsed(path: Path, text: str, where: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return json.loads(text)
    except json.JSONDecodeError as failure:
        raise DataError(f"{path}, {where}: this is not JSON: {failure}.") from None


def _parquet_rows(path: Path) -> Iterator[ExternalRow]:
    import pyarrow
    from pyarrow import parquet

    try:
        records = parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as failure:
        raise DataError(f"{path} is not a Parquet file that can be read: {failure}.") from failure
    for number, record in enumerate(records, start=1):
        where = f"row {number}"
        yield ExternalRow(where=where, cells=_record(record, path, where))
