"""Tables of text before they are drawn, in Markdown and in CSV; `evalkit.tables.terminal` draws them."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.formatting import one_line

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table of text, before it is drawn in some format."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int] = frozenset({0})
    """Columns of words; all others hold numbers and are set flush right."""
    spare_columns: tuple[int, ...] = ()
    """Columns that a narrow terminal does without, the first of them first."""


def in_columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Cells of several numbers, one below the other in a column of a table.

    >>> in_columns([("1–4", "0.5"), ("7", "−0.25")])
    ['1–4   0.5', '  7 −0.25']
    """
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [" ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in cells]


def markdown_table(table: TextTable) -> list[str]:
    """The table in Markdown, line by line, every cell escaped."""
    return markdown_rows([list(map(escape_markdown, row)) for row in (table.header, *table.rows)])


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of escaped cells in Markdown, the first of them the header."""
    return [f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]


def escape_markdown(text: str) -> str:
    """The text on one line, and nothing but text to Markdown."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV; None is an empty cell, and no spreadsheet takes a cell for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_plain_cell(value) for value in row] for row in (columns, *rows))
    return text.getvalue()


def _plain_cell(value: object) -> object:
    """A text that begins as a formula does with an apostrophe before it; no carriage return, which would end a row."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
