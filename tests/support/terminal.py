"""What stands on a terminal, read back: tables by the lines below their heads."""

import io
import itertools
import re
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from evalkit.cli.output import Output

RULE = re.compile(r"[─-]+( [─-]+)*")


@dataclass(kw_only=True)
class Part:
    """Columns of a table that stand side by side."""

    title: str
    """What stands above the table, in one line; empty where the part before it says it."""
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
            found.append(
                Part(title=_above(lines[: max(0, first - 1)]), head=[joined(head) for head in heads], lines=body)
            )
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


def _above(lines):
    """The lines before an empty one, up to another, as one; empty where they are a table's."""
    first = next((n + 1 for n in range(len(lines) - 1, -1, -1) if not lines[n].strip()), 0)
    above = lines[first:]
    return "" if any(RULE.fullmatch(line) for line in above) else " ".join(above)


def _cut(line, ends):
    """The cells of a line, which end where the rule has its gaps."""
    wide = cell_len(line) > len(line)
    places = [len(set_cell_size(line, end)) if wide else end for end in ends]
    return [line[start:end].strip() for start, end in itertools.pairwise([0, *places, None])]
