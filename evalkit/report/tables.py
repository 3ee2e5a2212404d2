"""Tables of text, drawn for a terminal or in Markdown."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

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
    spare_columns: tuple[int, ...] = ()
    """Columns that a narrow terminal does without, the first of them first."""
    continues: bool = False
    """Whether it goes on below, with the first column again, where a terminal is too narrow for all columns."""


def terminal_table(table: TextTable, width: int) -> "Table":
    """The table for a terminal of that width; what its first column says stands only where it changes."""
    from rich.table import Table
    from rich.text import Text

    table, left_out = _narrowed(table, width)
    caption = Text(f"left out on so narrow a terminal: {', '.join(left_out)}") if left_out else None
    drawn = Table(title=Text(table.title), title_justify="left", caption=caption, caption_justify="left")
    widths = _column_widths(table, width)
    for index, name in enumerate(table.header):
        justify: Literal["left", "right"] = "left" if index in table.text_columns else "right"
        drawn.add_column(name, justify=justify, overflow="fold", width=widths[index] if widths else None)
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


def parts_of(table: TextTable, width: int) -> list[TextTable]:
    """What stands below each other on a terminal of that width: a table that continues is cut between columns."""
    if not table.continues:
        return [table]
    found, first = list[TextTable](), 1
    while first < len(table.header):
        last = first + 1
        while last < len(table.header) and _frame(_columns(table, [0, *range(first, last + 1)])) <= width:
            last += 1
        part = _columns(table, [0, *range(first, last)])
        found.append(replace(part, title="" if found else table.title))
        first = last
    return found


def markdown_table(table: TextTable) -> list[str]:
    """The table in Markdown, line by line, every cell escaped."""
    return markdown_rows([list(map(escape_markdown, row)) for row in (table.header, *table.rows)])


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of escaped cells in Markdown, the first of them the header."""
    return [f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]


def escape_markdown(text: str) -> str:
    """The text on one line, and nothing but text to Markdown."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def _narrowed(table: TextTable, width: int) -> tuple[TextTable, list[str]]:
    """The table without as many spare columns as it takes for no word and number to be broken, and their names."""
    left_out: set[int] = set()
    for column in table.spare_columns:
        if _column_widths(_without(table, left_out), width) is not None:
            break
        left_out.add(column)
    return _without(table, left_out), [table.header[column] for column in sorted(left_out)]


def _without(table: TextTable, columns: Set[int]) -> TextTable:
    return _columns(table, [column for column in range(len(table.header)) if column not in columns])


def _columns(table: TextTable, kept: Sequence[int]) -> TextTable:
    return TextTable(
        title=table.title,
        header=tuple(table.header[column] for column in kept),
        rows=tuple(tuple(row[column] for column in kept) for row in table.rows),
        text_columns=frozenset(new for new, column in enumerate(kept) if column in table.text_columns),
    )


def _column_widths(table: TextTable, width: int) -> list[int] | None:
    """Widths at which cells break at spaces only, the widest columns given what is left; None where none are."""
    from rich.cells import cell_len

    columns = list(zip(table.header, *table.rows, strict=True))
    whole = [max(cell_len(line) for cell in column for line in cell.splitlines() or [""]) for column in columns]
    widths = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    room = width - (3 * len(columns) + 1) - sum(widths)
    if room < 0:
        return None
    while room and widths != whole:
        narrowest = max(range(len(widths)), key=lambda column: whole[column] - widths[column])
        widths[narrowest] += 1
        room -= 1
    return widths


def _frame(table: TextTable) -> int:
    """The width at which no line of a cell is broken."""
    from rich.cells import cell_len

    lines = [[line for cell in column for line in cell.splitlines()] for column in zip(*table.rows, strict=True)]
    widths = (max(map(cell_len, [name, *column])) for name, column in zip(table.header, lines, strict=True))
    return 3 * len(table.header) + 1 + sum(widths)


def _fits(table: TextTable, width: int) -> bool:
    """Whether every cell stands on one line."""
    from rich.cells import cell_len

    columns = list(zip(table.header, *table.rows, strict=True))
    frame = 3 * len(columns) + 1
    whole = not any("\n" in cell for column in columns for cell in column)
    return whole and frame + sum(max(map(cell_len, column)) for column in columns) <= width
