"""The one reader of tables that people and other tools wrote: its records, and where each of them stands."""

import codecs
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, MissingExtraError
from evalkit.formatting import listed, one_line
from evalkit.storage.delimited import csv_rows, is_number, text_encoding
from evalkit.storage.documents import (
    MAX_CELLS,
    MAX_JSON_BYTES,
    MAX_TABLE_BYTES,
    LineError,
    json_lines,
    parse_json,
    too_many_cells,
)
from evalkit.storage.files import open_regular
from evalkit.storage.orientation import ITEM, Hints, ItemsAre, Records, records_of
from evalkit.storage.plain_yaml import parse_yaml
from evalkit.storage.text import Encoding, UnknownEncodingError, encoding_of

MAX_COLUMNS = 4_000
"""Of a table: ten times those of a hundred methods with a few metrics each."""
MAX_WORKBOOK_BYTES = 256 << 20
"""Of a workbook, unpacked: its texts have to be in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, record by record."""

    path: Path
    rows: Sequence[tuple[str, Mapping[str, Any]]]
    """Where each record stands (``line 3``, ``row 3``, ``entry 'p0'``), and its cells by column; objects inside of
    others are columns ``outer.inner``."""
    columns: tuple[str, ...]
    """In the order in which they first appear."""
    notes: tuple[str, ...]
    """What was guessed to read it, a line each."""
    doubtful: frozenset[str] = frozenset()
    """Columns with texts that could not be decoded for certain."""


def read_table(
    path: Path,
    *,
    value: str,
    known: Callable[[str], bool] = lambda _: False,
    items_are: ItemsAre | None = None,
    needs_texts: bool = True,
) -> Table:
    """Every record of a table as it stands in the file.

    CSV in any usual delimiter and encoding, Excel, Parquet, JSON Lines, and JSON or YAML whichever way round: see
    :func:`evalkit.storage.orientation.records_of`.

    Args:
        path: Of one of the kinds in :data:`SUFFIXES`.
        value: The column of values where no heading names it, as in ``{name: value}``, beside ``item_id``.
        known: Whether a name is a column's.
        items_are: Decides which names of ``{a: {b: x}}`` are the items, where that cannot be told.
        needs_texts: Whether a table of CSV is refused whose encoding cannot be told; its texts are otherwise
            :attr:`Table.doubtful`.

    Raises:
        DataError: It cannot be read, it cannot be told how it is meant, or it holds no records.
        MissingExtraError: It is a workbook, and what reads one is not installed.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        remedy = " Save it as .xlsx." if kind in (".xls", ".xlsm", ".xlsb", ".ods") else ""
        raise DataError(
            f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}, got '{kind}'.{remedy}"
        )
    hints, notes = Hints(value=value, known=known, items_are=items_are, needs_texts=needs_texts), list[str]()
    try:
        return _table(
            path, SUFFIXES[kind](path, hints, notes), notes, largest=None if kind == ".parquet" else MAX_CELLS
        )
    except LineError as failure:
        raise DataError(f"{path}, line {failure.number}: {_clause(failure)}.") from None
    except UnicodeError:
        raise DataError(f"{path}: its text has bytes that are not of its encoding. {SAVE}") from None
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror or _clause(failure)}.") from failure
    except ValueError as failure:
        said = f" is not {_PACKED[kind]} file that can be read" if kind in _PACKED else ""
        remedy = f" {SAVE}" if "UTF-8" in str(failure) else ""
        raise DataError(f"{path}{said}: {_clause(failure)}.{remedy}") from failure


SAVE = "Save it as UTF-8, in a spreadsheet as 'CSV UTF-8', or convert it with iconv -f ENCODING -t UTF-8."
"""What to do about a text that cannot be decoded."""
_UNKNOWN = "some of its texts are in an encoding that cannot be told"
_PACKED = {".parquet": "a Parquet", ".xlsx": "an Excel"}


def _clause(failure: Exception) -> str:
    """What a library says, in several sentences and lines, as the end of one."""
    return one_line(str(failure)).rstrip(".")


def _table(path: Path, records: Records, notes: Sequence[str], *, largest: int | None) -> Table:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    columns: dict[str, None] = {}
    for where, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{path}, {where}: expected an object with a key per column, got {type(record).__name__}.")
        row = _flat(record) if any(isinstance(cell, dict) for cell in record.values()) else record
        rows.append((where, row))
        columns.update(dict.fromkeys(row))
        if len(columns) > MAX_COLUMNS:
            raise DataError(f"{path}, {where}: the table has more than {MAX_COLUMNS:,} columns up to here; split it.")
        if largest is not None and len(rows) * len(columns) > largest:
            raise DataError(f"{path}, {where}: {too_many_cells()}.")
    if not rows or not columns:
        raise DataError(f"{path} holds no rows: expected one per item.")
    said = tuple(f"{path.name}: {note}" for note in notes)
    doubtful = frozenset(_not_ascii(rows) if _UNKNOWN in notes else ())
    return Table(path=path, rows=rows, columns=tuple(columns), notes=said, doubtful=doubtful)


def _not_ascii(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """The columns with anything that every encoding would read differently."""
    for name in rows[0][1]:
        if not all(text.isascii() for text in (name, *(str(record[name]) for _, record in rows))):
            yield name


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Objects inside of others as columns ``outer.inner``, however deep."""
    row: dict[str, Any] = {}
    for name, cell in record.items():
        inner = (
            {f"{name}.{key}": below for key, below in _flat(cell).items()} if isinstance(cell, dict) else {name: cell}
        )
        row |= inner
    return row


def _csv_records(path: Path, hints: Hints, notes: list[str]) -> Records:
    try:
        encoding = text_encoding(path)
    except UnknownEncodingError:
        if hints.needs_texts:
            raise
        encoding = Encoding("latin-1")
        notes.append(_UNKNOWN)
    if encoding.note:
        notes.append(f"its text is not UTF-8 and was read as {encoding.note}; if not so, save it as UTF-8")
    rows = ((f"line {number}", cells) for number, cells in csv_rows(path, encoding.name))
    return _below_a_heading(path, rows, hints, notes)


def _excel_records(path: Path, hints: Hints, notes: list[str]) -> Records:
    """The rows of a workbook's first sheet with anything in it."""
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError(
            f"{path} is a workbook, which openpyxl reads. Install it: pip install 'evalkit-editing[excel]'"
        ) from None
    with open_regular(path, limit=MAX_TABLE_BYTES) as file:
        try:
            with zipfile.ZipFile(file) as parts:
                size = sum(part.file_size for part in parts.infolist())
        except zipfile.BadZipFile as failure:
            raise ValueError(failure) from failure
        if size > MAX_WORKBOOK_BYTES:
            raise ValueError(f"it has {size:,} bytes unpacked, and {MAX_WORKBOOK_BYTES:,} are allowed")
        try:
            sheets = openpyxl.load_workbook(file, read_only=True, data_only=True).worksheets
        except (KeyError, TypeError, AttributeError, SyntaxError) as failure:  # whatever a damaged part leads to
            raise ValueError(failure) from failure
        filled = [(sheet, first) for sheet in sheets if (first := next(_sheet_rows(sheet), None))]
        if len(filled) > 1:
            others = listed([f"'{sheet.title}'" for sheet, _ in filled[1:]])
            notes.append(f"its first sheet '{filled[0][0].title}' was read, and not {others}")
        if filled:
            yield from _below_a_heading(path, _sheet_rows(filled[0][0]), hints, notes)


def _sheet_rows(sheet: Any) -> Iterator[tuple[str, list[Any]]]:  # noqa: ANN401 - openpyxl has no types
    """The rows with anything in them, each as wide as its last cell that is not empty."""
    n_cells = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        n_cells += len(row)
        if n_cells > MAX_CELLS:
            raise ValueError(too_many_cells())
        width = max((at for at, cell in enumerate(row, start=1) if cell not in (None, "")), default=0)
        if width:
            yield f"row {number}", list(row[:width])


def _below_a_heading(path: Path, rows: Iterator[tuple[str, list[Any]]], hints: Hints, notes: list[str]) -> Records:
    """Each row by the names of the columns; a table of names and numbers alone may lack them."""
    where, first = next(rows, ("line 1", []))
    heading = ["" if name is None else str(name).strip() for name in first]
    second = next(rows, None)
    rows = chain([second] if second else [], rows)
    if second and _is_data(first, second[1], hints):
        if len(first) != 2:
            raise DataError(
                f"{path} has no line with the names of its columns: its first is {listed(list(map(repr, first)))}. "
                f"Write them above it, such as {ITEM},{hints.value}."
            )
        heading = [ITEM, hints.value] if is_number(first[1]) else [hints.value, ITEM]
        notes.append(f"it has no line with the names of its columns: they were taken for {' and '.join(heading)}")
        rows = chain([(where, first)], rows)
    twice = sorted(name for name, count in Counter(heading).items() if count > 1)
    if twice:
        raise DataError(f"{path}, {where}: the column '{twice[0]}' is there more than once. Rename one of them.")
    for where, cells in rows:
        if where.startswith("row"):  # a workbook's rows end where nothing follows
            cells += [None] * (len(heading) - len(cells))
        if len(cells) != len(heading):
            raise DataError(
                f"{path}, {where}: expected {len(heading)} cells as in the header, got {len(cells)}. Put a text that "
                "holds what separates the cells in double quotes."
            )
        yield where, dict(zip(heading, cells, strict=True))


def _is_data(first: Sequence[Any], second: Sequence[Any], hints: Hints) -> bool:
    """Whether what should be the heading is a row like the next: a number above a number, and no column's name."""
    return (
        any(is_number(above) and is_number(below) for above, below in zip(first, second, strict=False))
        and first[0] not in (None, "")
        and not any(hints.known(str(name).strip()) for name in first)
    )


def _json_records(path: Path, hints: Hints, notes: list[str]) -> Records:
    text = _text(path, notes)
    try:
        value = parse_json(text, long_number=str)  # a number of too many digits stays text, so that its row is named
    except ValueError:
        lines = [line for line in text.splitlines()[:2] if line.startswith("{") and line.endswith("}")]
        if len(lines) < 2:
            raise
        return _records_of_lines(io.BytesIO(text.encode()))
    return records_of(value, hints, notes)


def _line_records(path: Path, hints: Hints, notes: list[str]) -> Records:
    with open_regular(path, limit=MAX_TABLE_BYTES) as file:
        encoding = encoding_of(file).name
        if encoding in ("utf-8", "utf-8-sig") and not file.peek(4)[:4].removeprefix(codecs.BOM_UTF8).startswith(b"["):
            yield from _records_of_lines(file)
            return
    text = _text(path, notes)
    # Whatever its name, a list over several lines is no JSON Lines.
    is_list = text.lstrip("\ufeff").startswith("[")
    yield from _json_records(path, hints, []) if is_list else _records_of_lines(io.BytesIO(text.encode()))


def _records_of_lines(file: Any) -> Records:  # noqa: ANN401 - a binary file
    return ((f"line {number}", record) for number, record in json_lines(file, long_number=str))


def _yaml_records(path: Path, hints: Hints, notes: list[str]) -> Records:
    # As it is written: 0001 is no 1, and a caption "No" no false.
    return records_of(parse_yaml(_text(path, notes), as_written=True), hints, notes)


def _text(path: Path, notes: list[str]) -> str:
    """A text that has to be in memory at once, whichever encoding it has."""
    with open_regular(path, limit=MAX_JSON_BYTES) as file:
        encoding = encoding_of(file)
        if encoding.note:
            notes.append(f"its text is not UTF-8 and was read as {encoding.note}; if not so, save it as UTF-8")
        return file.read(MAX_JSON_BYTES).decode(encoding.name)


def _parquet_records(path: Path, _hints: Hints, _notes: list[str]) -> Records:
    """Each row; a large table takes a large file, or it is a few cells repeated without end."""
    from pyarrow import parquet

    with open_regular(path) as file, parquet.ParquetFile(file) as table:
        size = table.metadata
        if size.num_rows * size.num_columns > max(MAX_CELLS, os.fstat(file.fileno()).st_size):
            raise ValueError(f"it has {size.num_rows:,} rows of {size.num_columns:,} cells in a few bytes")
        for number, record in enumerate(table.read().to_pylist(), start=1):
            yield f"row {number}", record


SUFFIXES: Mapping[str, Callable[[Path, Hints, list[str]], Records]] = {
    ".csv": _csv_records,
    ".tsv": _csv_records,
    ".txt": _csv_records,
    ".xlsx": _excel_records,
    ".parquet": _parquet_records,
    ".jsonl": _line_records,
    ".ndjson": _line_records,
    ".json": _json_records,
    ".yaml": _yaml_records,
    ".yml": _yaml_records,
}
"""Kinds of files to what reads them."""
