"""What stands on a terminal, read back: tables by the lines below their heads."""

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass

from evalkit.cli.output import Output

RULE = re.compile(r"[─-]+( [─-]+)*")


@dataclass(kw_only=True)
class Part:
    """Columns of a table that stand side by side."""

    head: list[str]
    """The heads, each in one line."""
    lines: list[list[str]]
    """The lines below them, each cut where its columns are."""


@contextmanager
def written(width, encoding="utf-8"):
    """An output of that width, and a function that says what was written to it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
    output = Output(stdout=stream)
    output.__dict__["width"] = width
    yield output, lambda: stream.buffer.getvalue().decode(encoding)


def parts_of(text):
    """Every part of every table in a text."""
    lines, found = text.split("\n"), []
    for number, line in enumerate(lines):
        if RULE.fullmatch(line) and number and lines[number - 1].strip():
            ends = [at for at, letter in enumerate(line) if letter == " "]
            first = next(n for n in range(number, -1, -1) if n == 0 or not lines[n - 1].strip())
            last = next((n for n in range(number + 1, len(lines)) if not lines[n].strip()), len(lines))
            heads = zip(*(_cut(each, ends) for each in lines[first:number]), strict=True)
            body = [_cut(each, ends) for each in lines[number + 1 : last]]
            found.append(Part(head=[joined(head) for head in heads], lines=body))
    return found


def rows_of(part, names):
    """Name to the lines of its row, for the names in their order; a name may take several lines."""
    rows, lines = {}, list(part.lines)
    for name in names:
        taken = []
        while without_spaces("".join(line[0] for line in taken)) != without_spaces(name):
            taken.append(lines.pop(0))
        while lines and not lines[0][0]:
            taken.append(lines.pop(0))
        rows[name] = taken
    assert not lines, f"no row's: {lines}"
    return rows


def joined(lines):
    """The lines of a name or of a head as one: what ends with a joint goes on without a space."""
    return re.sub(r"(?<=[_:/.\\-]) (?=[^\W\d_])", "", " ".join(line for line in lines if line))


def without_spaces(text):
    """The letters alone: where a line is broken, it is not seen whether there was a space."""
    return "".join(text.split())


def _cut(line, ends):
    from rich.cells import set_cell_size

    cells, start = [], 0
    for end in [*ends, 10_000]:
        whole = set_cell_size(line, end).removeprefix(set_cell_size(line, start)) if end < 10_000 else line
        cells.append(whole[len(set_cell_size(line, start)) :].strip() if end == 10_000 else whole.strip())
        start = end
    return cells
