"""The files of other tools' tables as records: CSV, JSON, JSON Lines and Parquet, and where each record stands."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.formatting import one_line
from evalkit.storage.documents import (
    MAX_CELLS,
    MAX_JSON_BYTES,
    MAX_TABLE_BYTES,
    LineError,
    csv_rows,
    json_lines,
    parse_json,
    too_many_cells,
)
from evalkit.storage.files import open_regular, read_regular

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
MAX_COLUMNS = 4_000
"""Of a table: ten times those of a hundred methods with a few metrics each."""
_JUDGED_NAME = re.compile(r"\W*([A-Za-z](?:.*\w)?)\W*")
_JUDGED_NUMBER = re.compile(r"\W*(\d+(?:\.\d+)?)\W*")
"""What stands before and behind the colon of a line ``Name: number`` of a judge's answer."""


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
            return _of_records(path, _parquet_records(path), math.inf)
        return _of_records(path, (_csv_records if kind in (".csv", ".tsv") else _json_records)(path), MAX_CELLS)
    except LineError as failure:
        raise DataError(f"{path}, line {failure.number}: {failure}.") from None
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is not UTF-8 text: {failure}. Convert it, and run the same command again.") from None
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror or _clause(failure)}.") from failure
    except ValueError as failure:
        name = "Parquet" if kind == ".parquet" else kind[1:].upper()
        raise DataError(f"{path} is not a {name} file that can be read: {_clause(failure)}.") from failure


def _clause(failure: Exception) -> str:
    """What pyarrow says, in several sentences and lines, as the end of one; its errors are OSErrors and ValueErrors."""
    return one_line(str(failure)).rstrip(".")


def _of_records(path: Path, records: Iterable[tuple[str, Any]], max_cells: float) -> "pd.DataFrame":
    """A table of objects, those inside of others as ``outer.inner``."""
    import pandas as pd

    index, rows, columns = [], [], set[str]()
    for where, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{path}, {where}: expected an object with a key per column, got {type(record).__name__}.")
        row: dict[str, Any] = {}
        for key, value in record.items():
            row |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        index.append(where)
        rows.append(row)
        columns.update(row)
        if len(columns) > MAX_COLUMNS:
            raise DataError(f"{path}, {where}: the table has more than {MAX_COLUMNS:,} columns up to here; split it.")
        if len(rows) * len(columns) > max_cells:
            raise DataError(f"{path}, {where}: {too_many_cells()}.")
    if not rows:
        raise DataError(f"{path} holds no rows: expected one per item.")
    return pd.DataFrame(rows, index=index, dtype=object)


def _parquet_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row; a large table takes a large file, or it is a few cells repeated without end."""
    from pyarrow import parquet

    with open_regular(path) as file, parquet.ParquetFile(file) as table:
        size = table.metadata
        if size.num_rows * size.num_columns > max(MAX_CELLS, os.fstat(file.fileno()).st_size):
            raise ValueError(f"it has {size.num_rows:,} rows of {size.num_columns:,} cells in a few bytes")
        for number, record in enumerate(table.read().to_pylist(), start=1):
            yield f"row {number}", record


def _csv_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Each line; pandas' own reader fills up short ones in silence, and cannot say which line a cell is from."""
    rows = csv_rows(path, delimiter="\t" if path.suffix.lower() == ".tsv" else None)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise DataError(f"{path}, line 1: the column '{twice[0]}' is there more than once. Rename one of them.")
    for number, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}, line {number}: expected {len(header)} cells as in the header, got {len(cells)}.")
        yield f"line {number}", dict(zip(header, cells, strict=True))


def _json_records(path: Path) -> Iterator[tuple[str, Any]]:
    # A number of too many digits stays text, so that its row can be named.
    if path.suffix.lower() != ".json":
        with open_regular(path, limit=MAX_TABLE_BYTES) as file:
            for number, record in json_lines(file, long_number=str):
                yield f"line {number}", record
        return
    try:
        value = parse_json(read_regular(path, limit=MAX_JSON_BYTES), long_number=str)
    except ValueError as failure:
        raise DataError(f"{path}: {failure}.") from None
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if isinstance(value, dict):
        yield from ((f"entry '{item}'", _scores_of(item, scores)) for item, scores in value.items())
    elif isinstance(value, list):
        yield from ((f"entry {number}", entry) for number, entry in enumerate(value, start=1))
    else:
        raise DataError(f"{path} is no table: expected a list of objects, or an object of items.")


def _scores_of(item: str, scores: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """What an object of items says of one, as an object with the item's name."""
    if isinstance(scores, str) and (named := dict(_judged(scores))):
        return {"item_id": item, **named, "average": sum(named.values()) / len(named)}
    if scores is None or isinstance(scores, int | float | str):
        return {"item_id": item, "score": scores}
    return {"item_id": item, **scores} if isinstance(scores, dict) else scores


def _judged(answer: str) -> Iterator[tuple[str, float]]:
    """What the lines ``Name: number`` of a judge's answer say."""
    for line in answer.splitlines():
        before, _, behind = line.partition(":")
        name, number = _JUDGED_NAME.fullmatch(before), _JUDGED_NUMBER.fullmatch(behind)
        if name and number:
            yield name[1].strip(), float(number[1])
