"""A comparison for a paper or a spreadsheet: Markdown, LaTeX and CSV, with every name escaped."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from evalkit.comparison.records import Comparison, PairResult
from evalkit.formatting import format_interval, format_ranks, format_score, one_line
from evalkit.report.comparison import (
    Mark,
    TextTable,
    comparison_notes,
    means_by_method,
    means_caption,
    metric_label,
    pairs_cells,
    verdict_sentences,
)
from evalkit.report.latex import latex

ExportFormat = Literal["md", "latex", "csv"]

PAIR_COLUMNS = (
    "metric", "a", "b", "n_items", "n_groups", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "p_value",
    "adjusted_p_value", "effect_size_dz", "win", "tie", "loss", "minimum_detectable_effect", "verdict",
)  # fmt: skip
"""The columns of the CSV and the keys of each comparison in ``--json``."""
_MARKS: Mapping[Mark, str] = {"best": "**", "tied": "*", "": ""}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def export(comparison: Comparison, to: ExportFormat) -> str:
    """The comparison in a format: two tables with their caption and notes, or for CSV one line per comparison."""
    if to == "csv":
        return pairs_csv(comparison.pairs)
    return markdown(comparison) if to == "md" else latex(comparison)


def markdown(comparison: Comparison) -> str:
    """Sentences, a table of means, a table of comparisons, and the notes, in GitHub's Markdown."""
    means = _means(comparison)
    return "\n".join(
        [
            *(f"- {_markdown(sentence)}" for sentence in verdict_sentences(comparison)),
            "",
            *_markdown_table(means[0], means[1:]),
            "",
            _markdown(means_caption(comparison, "Bold", "italics")),
            "",
            *markdown_cells(pairs_cells(comparison)),
            "",
            *(f"- {_markdown(note)}" for note in comparison_notes(comparison)),
            "",
        ]
    )


def pairs_csv(pairs: Iterable[PairResult], columns: Sequence[str] = (*PAIR_COLUMNS, "reason")) -> str:
    """One line per comparison, numbers in full; an empty cell is a value that is not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(pair, name) for name in columns] for pair in pairs)
    return text.getvalue()


def _means(comparison: Comparison) -> list[list[str]]:
    """Header and rows of methods × metrics."""
    rows = [["method", *(_markdown(metric_label(metric)) for metric in comparison.metrics)]]
    for method, places in means_by_method(comparison).items():
        row = [_markdown(method)]
        for place, mark in places:
            interval = "" if place.ci_low is None else f"{format_interval(place.ci_low, place.ci_high)} "
            shown = _markdown(f"{interval}({format_ranks(place.rank_low, place.rank_high)})")
            row.append(f"{_MARKS[mark]}{_markdown(format_score(place.mean))}{_MARKS[mark]} {shown}")
        rows.append(row)
    return rows


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def markdown_cells(cells: TextTable) -> list[str]:
    """A table of text in Markdown, line by line, every cell escaped."""
    return _markdown_table(
        [_markdown(name) for name in cells.header], [[_markdown(cell) for cell in row] for row in cells.rows]
    )


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
