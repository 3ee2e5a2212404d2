"""Records that show themselves: in a terminal, in a notebook, in Markdown, LaTeX, JSON, a data frame, or as scalars."""

import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

from evalkit.formatting import one_line, visible
from evalkit.tables.latex import latex_document, latex_table
from evalkit.tables.table import TextTable, escape_markdown, markdown_table

if TYPE_CHECKING:
    import pandas

_NOT_IN_NAMES = re.compile(r"[^\w. -]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a record shows of itself."""

    summary: str
    """What it is, in one line."""
    tables: tuple[TextTable, ...]
    answer: tuple[str, ...] = ()
    """Sentences that say what was found."""
    notes: tuple[str, ...] = ()
    """What must stand below."""


class Exportable(ABC):
    """A record that shows itself wherever it is asked to, with the numbers of the command."""

    __slots__ = ()

    @abstractmethod
    def to_dataframe(self) -> "pandas.DataFrame":
        """The numbers in full, as a pandas data frame."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The object that the command prints with ``--json``."""

    @abstractmethod
    def _shown(self) -> Shown:
        """What a person is shown."""

    def to_json(self) -> str:
        """That object as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """Tables, sentences and notes in GitHub's Markdown."""
        shown = self._shown()
        lines = [f"- {escape_markdown(sentence)}" for sentence in shown.answer]
        for table in shown.tables:
            lines += ["", *map(escape_markdown, table.title.split("\n")), "", *markdown_table(table)]
        return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in shown.notes), ""]).lstrip("\n")

    def to_latex(self) -> str:
        """``table`` environments for a document that loads ``booktabs`` and ``graphicx``; sentences are comments."""
        shown = self._shown()
        tables = [environment for table in shown.tables for environment in latex_table(table)]
        return latex_document(tables, [*shown.answer, *shown.notes])

    def __repr__(self) -> str:
        return visible(f"<{type(self).__name__}: {one_line(self._shown().summary)}>")

    def __str__(self) -> str:
        """The first table, what was found, the other tables and the notes, as wide as the terminal."""
        from evalkit.tables.terminal import folded

        shown, width = self._shown(), shutil.get_terminal_size().columns
        lines = [*_drawn(shown.tables[:1], width), *(line for text in shown.answer for line in folded(text, width))]
        lines += [""] if shown.answer else []
        lines += _drawn(shown.tables[1:], width)
        lines += [line for note in shown.notes for line in folded(f"  {note}", width, "    ", whole_words=True)]
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        """What notebooks show; colours are the notebook's."""
        shown = self._shown()
        answer = "".join(f"<p>{_html(sentence)}</p>" for sentence in shown.answer)
        tables = "".join(chain.from_iterable(map(_html_table, shown.tables)))
        notes = "".join(f"<li>{_html(note)}</li>" for note in shown.notes)
        more = f"<details><summary>Notes and signatures</summary><ul>{notes}</ul></details>" if notes else ""
        return f"<div>{answer}{tables}{more}</div>"


def scalars_of(values: Mapping[tuple[str, ...], float | None]) -> dict[str, float]:
    """Numbers by names that W&B, TensorBoard and MLflow take, without those that are not there.

    Args:
        values: The parts of a name, such as the metric and what the number is of it, to the number.

    >>> scalars_of({("clip_score:l14", "mean"): 0.31, ("l1", "ci_low"): None})
    {'clip_score.l14/mean': 0.31}
    """
    found: dict[str, float] = {}
    for parts, value in values.items():
        if value is not None:
            name = wanted = "/".join(map(_plain_name, parts))
            number = 1
            while name in found:
                number += 1
                name = f"{wanted}.{number}"
            found[name] = float(value)
    return found


def _plain_name(part: str) -> str:
    """Letters, digits, blanks, dots, dashes and underscores, and no path."""
    return _NOT_IN_NAMES.sub("_", part.replace(":", ".")).strip(". ") or "_"


def _drawn(tables: Sequence[TextTable], width: int) -> Iterator[str]:
    """The lines of tables, an empty one below each."""
    from rich.console import Console

    from evalkit.tables.terminal import terminal_table

    console = Console(width=width, color_system=None, highlight=False, markup=False, emoji=False)
    for table in tables:
        with console.capture() as captured:
            console.print(terminal_table(table, width))
        yield from (line.rstrip() for line in captured.get().splitlines())
        yield ""


def _html_table(table: TextTable) -> Iterator[str]:
    title = "<br/>".join(map(_html, table.title.split("\n")))
    yield f'<table style="white-space: nowrap"><caption style="text-align: left">{title}</caption>'
    for row, tag in ((table.header, "th"), *((row, "td") for row in table.rows)):
        yield f"<tr>{''.join(_html_cells(row, tag, table.text_columns))}</tr>"
    yield "</table>"


def _html_cells(row: Iterable[str], tag: str, text_columns: frozenset[int]) -> Iterator[str]:
    for number, cell in enumerate(row):
        side = "left" if number in text_columns else "right"
        yield f'<{tag} style="text-align: {side}">{_html(" ".join(cell.split()))}</{tag}>'


def _html(text: str) -> str:
    return escape(visible(text))
