"""Tables of text, drawn for a terminal or in Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.formatting import one_line

if TYPE_CHECKING:
    from rich.table import Table

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table of text, before it is drawn in some format."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int] = frozenset({0})
    """Columns of words; all others hold numbers and are set flush right."""


def terminal_table(table: TextTable, width: int) -> "Table":
    """The table for a terminal of that width; what its first column says stands only where it changes."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(table.title), title_justify="left")
    for index, name in enumerate(table.header):
        drawn.add_column(name, justify="left" if index in table.text_columns else "right", overflow="fold")
    names = [row[0] for row in table.rows]
    first = ["" if name == before else name for name, before in zip(names, [None, *names], strict=False)]
    rows = [(name, *row[1:]) for name, row in zip(first, table.rows, strict=True)]
    if rows and _fits(table, width):
        # Laid out as one row of many lines, hundreds of rows take a tenth of the time.
        rows = [tuple("\n".join(column) for column in zip(*rows, strict=True))]
    for row in rows:
        # Text, and not str: a method may be called "[red]".
        drawn.add_row(*map(Text, row))
    return drawn


def markdown_table(table: TextTable) -> list[str]:
    """The table in Markdown, line by line, every cell escaped."""
    return markdown_rows([list(map(escape_markdown, row)) for row in (table.header, *table.rows)])


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of escaped cells in Markdown, the first of them the header."""
    return [f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]


def escape_markdown(text: str) -> str:
    """The text on one line, and nothing but text to Markdown."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def _fits(table: TextTable, width: int) -> bool:
    """Whether every cell stands on one line."""
    from rich.cells import cell_len

    columns = list(zip(table.header, *table.rows, strict=True))
    frame = 3 * len(columns) + 1
    whole = not any("\n" in cell for column in columns for cell in column)
    return whole and frame + sum(max(map(cell_len, column)) for column in columns) <= width
