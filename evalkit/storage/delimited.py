"""Reads tables of lines of cells (CSV and its kin) within the bounds of :mod:`evalkit.storage.documents`."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from evalkit.storage.documents import MAX_CELLS, MAX_TABLE_BYTES, LineError, too_many_cells
from evalkit.storage.files import open_regular
from evalkit.storage.text import Encoding, encoding_of

_DELIMITERS = ",;\t|"
_SAMPLE = 1 << 16
"""Characters from which the delimiter is told."""
_SAMPLE_ROWS = 50
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The line with which a spreadsheet names the delimiter."""
_NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*%?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Layout:
    skipped: int
    """Lines before the heading."""
    delimiter: str
    is_commented: bool = False
    """Whether the heading begins with ``#``."""


def text_encoding(path: Path) -> Encoding:
    """The encoding of a file of text.

    Raises:
        OSError: The file cannot be read, is no regular file, or has more than :data:`MAX_TABLE_BYTES`.
        ValueError: It cannot be told.
    """
    with open_regular(path, limit=MAX_TABLE_BYTES) as file:
        return encoding_of(file)


def csv_rows(path: Path, encoding: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, each with the number of its last line; the heading first, without empty ones.

    What separates the cells (comma, semicolon, tab or ``|``) is what gives every row as many as the heading. Lines
    before the heading that begin with ``#``, and a spreadsheet's ``sep=;``, are passed over.

    Args:
        path: The file.
        encoding: Of the text; found out by default.

    Raises:
        OSError: The file cannot be read, is no regular file, or has more than :data:`MAX_TABLE_BYTES`.
        LineError: A row that is no CSV, has a cell of more than 131,072 characters, or is beyond :data:`MAX_CELLS`.
        ValueError: It is no text, or text in an encoding that cannot be told.
    """
    encoding = encoding or text_encoding(path).name
    with io.TextIOWrapper(open_regular(path, limit=MAX_TABLE_BYTES), encoding=encoding, newline="") as file:
        sample = file.read(_SAMPLE)
        lines = list(io.StringIO(sample, newline=""))
        layout = _layout(lines if len(sample) < _SAMPLE or len(lines) == 1 else lines[:-1])
        file.seek(0)
        for _ in range(layout.skipped):
            file.readline()
        reader, n_cells = csv.reader(file, delimiter=layout.delimiter, strict=True), 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as failure:
                raise LineError(layout.skipped + reader.line_num, failure) from failure
            if cells is None:
                return
            n_cells += len(cells)
            if n_cells > MAX_CELLS:
                raise LineError(layout.skipped + reader.line_num, too_many_cells())
            if layout.is_commented and cells:
                cells[0], layout = cells[0].lstrip("# ") or "#", replace(layout, is_commented=False)
            if any(map(str.strip, cells)):
                yield layout.skipped + reader.line_num, cells


def is_number(cell: object) -> bool:
    """Whether a cell of text is a number, as a heading hardly ever is."""
    return isinstance(cell, int | float) or (isinstance(cell, str) and _NUMBER.fullmatch(cell) is not None)


def _layout(lines: Sequence[str]) -> _Layout:
    """Where the heading is, and what stands between cells."""
    skipped, named = 0, None
    for line in lines:
        named = named or (_SEPARATOR.fullmatch(line.strip("\r\n")) if skipped == 0 else None)
        if not (skipped == 0 and named) and line.strip() and not line.startswith("#"):
            break
        skipped += 1
    if skipped and lines[skipped - 1].startswith("#") and _is_heading(lines[skipped - 1 : skipped + 1]):
        return _Layout(skipped - 1, named[1] if named else _delimiter(lines[skipped - 1 :]), is_commented=True)
    return _Layout(skipped, named[1] if named else _delimiter(lines[skipped:]))


def _is_heading(lines: Sequence[str]) -> bool:
    """Whether a line that begins with ``#`` heads the columns of the next one, a row of numbers."""
    rows = _parsed(lines, _delimiter(lines))
    return len(rows) == 2 and len(rows[0]) == len(rows[1]) > 1 and any(map(is_number, rows[1]))


def _delimiter(lines: Sequence[str]) -> str:
    """What gives most rows as many cells as the heading, and of several such signs the one that gives more."""

    def fit(delimiter: str) -> tuple[float, int]:
        lengths = [len(row) for row in _parsed(lines, delimiter)] or [0]
        return (lengths.count(lengths[0]) / len(lengths), lengths[0]) if lengths[0] > 1 else (0.0, 0)

    return max(_DELIMITERS, key=fit)


def _parsed(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The first rows, without what cannot be read or may be cut off."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows += (row for row in islice(csv.reader(lines, delimiter=delimiter, strict=True), _SAMPLE_ROWS) if row)
    return rows
