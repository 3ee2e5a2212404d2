"""Tables and sentences laid out for a terminal of any width: no number, interval or word is broken, nothing is cut.

A line breaks between words, and a name that is longer than the line at its joints; a number, an interval and a sign
beside them stay whole. So a column has a least width and a whole one. Columns that do not fit side by side are stacked
under the same first column; where not even one fits beside it, each row becomes a block of lines.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

from evalkit.tables.table import TextTable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

INTERVAL = r"\[[^\s\[\]]+, [^\s\[\]]+\]"
_WORD = re.compile(rf"(?:{INTERVAL}\S*|\(\d[\d,]* \w+\)|(?:[<=] )?\S+)(?: [%•↑↓*^v](?!\S))?(?: \([\d–.,% -]+\)\S*)?")
"""What stays on one line: an interval, a count in brackets or a word, with a relation before and a sign or a number
behind it."""
_JOINT = re.compile(r"(?<=[_:/\\.\-])(?=[^\W\d_])")
"""Where a name may be broken: behind a sign and before a letter, so that no number in it is."""
_LONGEST = 24
"""A column of words is at least as wide as its longest part of a name, but no wider than this."""
_GAP = 2
_ABOVE = 5
"""Lines that a part takes beside those of its rows, nearly: heads, the line below them, a gap."""
_RULE = "    \n    \n ─  \n    \n    \n    \n    \n    "
"""Nothing but a line below the heads, column by column, as rich describes the frame of a table."""


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    head: str
    cells: tuple[str, ...]
    is_text: bool
    least: int
    """The width that breaks no number and no part of a name."""
    whole: int
    """The width that breaks nothing."""


_SideBySide = Mapping[_Measured, int]
"""Columns that stand side by side, and their widths."""


def terminal_table(table: TextTable, width: int) -> "RenderableType":
    """The table with its title for a terminal of that width; columns that are empty are left out."""
    from rich.console import Group
    from rich.text import Text

    key, *others = _columns(table)
    others, left_out = _spared(key, others, width, {table.header[number]: None for number in table.spare_columns})
    found = (_stacked(key, others, width, wish) for wish in (_whole, _least))
    layouts = [[(part, _body(part)) for part in parts] for parts in found if parts]
    if layouts:
        shortest = min(layouts, key=lambda parts: sum(body[0].count("\n") + _ABOVE for _, body in parts))
        drawn = [line for part, body in shortest for line in (_drawn(part, body), Text())][:-1]
    else:
        drawn = [Text("\n".join(_blocks(key, others, width)))]
    title, _, below = table.title.partition("\n")
    above = [(title, "bold"), *([(below, "")] if below else []), ("", "")] if title else []
    spare = [(f"left out on so narrow a terminal: {', '.join(left_out)}", "dim")] if left_out else []
    said = [[Text("\n".join(folded(text, width)), style) for text, style in texts] for texts in (above, spare)]
    return Group(*said[0], *drawn, *said[1])


def folded(text: str, width: int, indent: str = "", *, whole_words: bool = False) -> list[str]:
    """The text in lines of at most that width.

    Args:
        text: Lines, each of which is broken where it is longer.
        width: Columns that there are.
        indent: What the lines after the first of a line of the text begin with.
        whole_words: Whether a word that is longer than a line, such as a path, stays whole nevertheless.

    >>> folded("a difference of +0.1 [−0.1, +0.3] is shown", 22)
    ['a difference of +0.1', '[−0.1, +0.3] is shown']
    >>> folded("clip_directional_similarity ↑", 18)
    ['clip_directional_', 'similarity ↑']
    """
    return [line for each in text.split("\n") for line in _folded_line(each, width, indent, whole_words)]


def _folded_line(text: str, width: int, indent: str, whole_words: bool) -> Iterator[str]:
    if cell_len(text) <= width:
        yield text
        return
    line, end = "", 0
    for found in _WORD.finditer(text):
        word, gap = found[0], text[end : found.start()]
        if end and cell_len(line + gap + word) > width:
            yield line
            line, gap = indent, ""
        fits = whole_words or cell_len(line + gap + word) <= width
        *before, last = [gap + word] if fits else _broken(gap + word, width - len(indent), width - cell_len(line))
        for piece in before:
            yield line + piece
            line = indent
        line, end = line + last, found.end()
    yield line


def _broken(word: str, width: int, first: int) -> list[str]:
    """A word that is longer than a line in pieces, at its joints where there are any; the first line may be shorter."""
    pieces = [""]
    for part in _JOINT.split(word):
        room = first if len(pieces) == 1 else width
        if cell_len(pieces[-1] + part) <= room:
            pieces[-1] += part
        else:
            pieces += chop_cells(part, max(1, min(first, width)))
    return pieces if pieces[0] else pieces[1:]


def _columns(table: TextTable) -> list[_Measured]:
    """The columns that have something in them, measured once."""
    columns = []
    for number, (head, *cells) in enumerate(zip(table.header, *table.rows, strict=True)):
        if number and cells and not any(cells):
            continue
        is_text = number in table.text_columns
        if is_text:
            least = [min(cell_len(part), _LONGEST) for cell in cells for part in _parts(cell)]
        else:
            least = [cell_len(word) for cell in cells for word in _WORD.findall(cell)]
        whole = [cell_len(line) for cell in (head, *cells) for line in cell.split("\n")]
        columns.append(_Measured(head, tuple(cells), is_text, max([_least_of_head(head), *least, 1]), max(whole)))
    return columns


def _least_of_head(head: str) -> int:
    """The least width that breaks no part of a name and takes two lines, but for what is longer than anybody's."""
    longest = max(map(cell_len, _parts(head)), default=1)
    return next((width for width in range(longest, _LONGEST) if len(folded(head, width)) < 3), _LONGEST)


def _parts(text: str) -> list[str]:
    """Words, and those that are names in the parts that may stand on lines of their own."""
    return [part for word in _WORD.findall(text) for part in _JOINT.split(word)]


def _whole(column: _Measured, room: int) -> int:
    return column.whole if column.whole <= room else column.least


def _least(column: _Measured, _: int) -> int:
    return column.least


def _spared(
    key: _Measured, others: list[_Measured], width: int, spare: Mapping[str, None]
) -> tuple[list[_Measured], list[str]]:
    """The columns without as many spare ones as it takes for the others to stand side by side, and who is left out."""
    left_out: list[str] = []
    for name in spare:
        parts = _stacked(key, others, width, _least)
        if parts is not None and len(parts) < 2:
            break
        left_out.append(name)
        others = [column for column in others if column.head != name]
    return others, left_out


def _stacked(
    key: _Measured, others: Sequence[_Measured], width: int, wish: Callable[[_Measured, int], int]
) -> list[_SideBySide] | None:
    """The columns in as few parts as they need, each beside the first column; None where one does not fit at all."""
    first = min(key.whole, max(key.least, width // 3), width)
    room = width - first - _GAP
    parts: list[dict[_Measured, int]] = [{}]
    for column in others:
        wanted = wish(column, room)
        if wanted > room:
            return None
        if sum(parts[-1].values()) + _GAP * len(parts[-1]) + wanted > room:
            parts.append({})
        parts[-1][column] = wanted
    return [_widened({key: first, **part}, width) for part in parts]


def _widened(part: _SideBySide, width: int) -> _SideBySide:
    """Columns given what is left of the width: all numbers their whole width or none, so that they look alike."""
    room = width - sum(part.values()) - _GAP * (len(part) - 1)
    numbers = {column: column.whole for column in part if not column.is_text}
    widths = dict(part)
    if (more := sum(numbers.values()) - sum(part[column] for column in numbers)) <= room:
        widths |= numbers
        room -= more
    for column in sorted(part.keys() - numbers.keys(), key=lambda column: column.whole - part[column]):
        more = min(room, column.whole - part[column])
        widths[column] += more
        room -= more
    return widths


def _body(part: _SideBySide) -> list[str]:
    """Each column's cells as one text, in which the cells of a row begin on the same line."""
    rows = zip(*(_lines_of(column, width) for column, width in part.items()), strict=True)
    columns: list[list[str]] = [[] for _ in part]
    for row in rows:
        height = max(map(len, row))
        for column, lines in zip(columns, row, strict=True):
            column += [*lines, *[""] * (height - len(lines))]
    return ["\n".join(column) for column in columns]


def _lines_of(column: _Measured, width: int) -> list[list[str]]:
    """Each cell in lines; numbers that stand below one another do so only on one line."""
    return [
        [cell] if cell_len(cell) <= width and "\n" not in cell else folded(cell.strip(), width) for cell in column.cells
    ]


def _drawn(part: _SideBySide, body: Sequence[str]) -> "Table":
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=Box(_RULE, ascii=True), show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in part.items():
        head = Text("\n".join(folded(column.head, width)))
        drawn.add_column(
            head, width=width, no_wrap=True, vertical="bottom", justify="left" if column.is_text else "right"
        )
    # All rows are laid out as one row of many lines, which takes a tenth of the time. Text, and not str: a method may
    # be called "[red]".
    cells = [Text(text) for text in body]
    for cell, column in zip(cells, part, strict=True):
        if not column.is_text:
            cell.highlight_regex(INTERVAL, "dim")
            cell.highlight_regex(r"[•*] +\S+", "bold")
    if any(body):
        drawn.add_row(*cells)
    return drawn


def _blocks(key: _Measured, others: Sequence[_Measured], width: int) -> Iterator[str]:
    """Each row as a block of lines: what its first column says, and below it every other column by its head."""
    for number, name in enumerate(key.cells):
        yield from folded(name, width)
        for column in others:
            if column.cells[number]:
                yield from folded(f"  {column.head}: {' '.join(column.cells[number].split())}", width, indent="    ")
