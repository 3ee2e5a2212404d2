"""The files of other tools' tables as records: CSV, JSON, JSON Lines and Parquet, and where each record stands."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_JUDGED = re.compile(r"^\W*([A-Za-z][^:\n]*?)\W*:\W*(\d+(?:\.\d+)?)\W*$", re.MULTILINE)
"""A line ``Name: number`` of a judge's answer."""


def read_records(path: Path) -> "pd.DataFrame":
    """Every record as it stands in the file, indexed by where: ``line 3``, ``entry 3`` or ``row 3``.

    Args:
        path: Of one of the kinds in :data:`SUFFIXES`.

    Raises:
        DataError: It cannot be read, or holds no records.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}, got '{kind}'.")
    try:
        if kind == ".parquet":
            from pyarrow import parquet

            rows = enumerate(parquet.read_table(path).to_pylist(), start=1)
            return _of_records(path, ((f"row {number}", record) for number, record in rows))
        text = path.read_bytes().decode("utf-8-sig")
        return _of_records(path, (_csv_records if kind in (".csv", ".tsv") else _json_records)(path, text))
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is not UTF-8 text: {failure}. Convert it, and run the same command again.") from None
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror or failure}.") from failure
    except (ValueError, csv.Error) as failure:  # pyarrow's are ValueErrors
        name = "Parquet" if kind == ".parquet" else kind[1:].upper()
        raise DataError(f"{path} is not a {name} file that can be read: {failure}.") from failure


def _of_records(path: Path, records: Iterable[tuple[str, Any]]) -> "pd.DataFrame":
    """A table of objects, those inside of others as ``outer.inner``."""
    import pandas as pd

    index, rows = [], []
    for where, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{path}, {where}: expected an object with a key per column, got {type(record).__name__}.")
        row: dict[str, Any] = {}
        for key, value in record.items():
            row |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        index.append(where)
        rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no rows: expected one per item.")
    return pd.DataFrame(rows, index=index, dtype=object)


def _csv_records(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Each line; pandas' own reader fills up short ones in silence, and cannot say which line a cell is from."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(lines, [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: the column '{twice[0]}' is there more than once. Rename one of them.")
    for cells in filter(None, lines):
        where = f"line {lines.line_num}"
        if len(cells) != len(header):
            raise DataError(f"{path}, {where}: expected {len(header)} cells as in the header, got {len(cells)}.")
        yield where, dict(zip(header, cells, strict=True))


def _json_records(path: Path, text: str) -> Iterable[tuple[str, Any]]:
    if path.suffix.lower() != ".json":
        lines = ((f"line {number}", line) for number, line in enumerate(text.split("\n"), start=1))
        return ((where, _parsed(path, line, where)) for where, line in lines if line.strip())
    value = _parsed(path, text, "the file")
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if isinstance(value, dict):
        return ((f"entry '{item}'", _scores_of(item, scores)) for item, scores in value.items())
    if isinstance(value, list):
        return ((f"entry {number}", entry) for number, entry in enumerate(value, start=1))
    raise DataError(f"{path} is no table: expected a list of objects, or an object of items.")


def _scores_of(item: str, scores: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """What an object of items says of one, as an object with the item's name."""
    if isinstance(scores, str) and (judged := _JUDGED.findall(scores)):
        named = {name.strip(): float(value) for name, value in judged}
        return {"item_id": item, **named, "average": sum(named.values()) / len(named)}
    if scores is None or isinstance(scores, int | float | str):
        return {"item_id": item, "score": scores}
    return {"item_id": item, **scores} if isinstance(scores, dict) else scores


def _parsed(path: Path, text: str, where: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return json.loads(text)
    except json.JSONDecodeError as failure:
        raise DataError(f"{path}, {where}: this is not JSON: {failure}.") from None
