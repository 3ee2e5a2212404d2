"""A comparison for a paper or a spreadsheet: Markdown, LaTeX and CSV, with every name escaped."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from evalkit.comparison.records import Comparison, PairResult
from evalkit.formatting import format_interval, format_ranks, format_score
from evalkit.report import ExportFormat
from evalkit.report.comparison import (
    Mark,
    comparison_notes,
    means_by_method,
    means_caption,
    metric_label,
    pairs_table,
    verdict_sentences,
)
from evalkit.report.latex import latex
from evalkit.report.tables import escape_markdown, markdown_rows, markdown_table

PAIR_COLUMNS = (
    "metric", "a", "b", "n_items", "n_groups", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "p_value",
    "adjusted_p_value", "effect_size_dz", "win", "tie", "loss", "minimum_detectable_effect", "verdict",
)  # fmt: skip
"""The columns of the CSV and the keys of each comparison in ``--json``."""
_MARKS: Mapping[Mark, str] = {"best": "**", "tied": "*", "": ""}


def export(comparison: Comparison, to: ExportFormat) -> str:
    """The comparison in a format: two tables with their caption and notes, or for CSV one line per comparison."""
    return {"md": markdown, "latex": latex, "csv": comparison_csv}[to](comparison)


def markdown(comparison: Comparison) -> str:
    """Sentences, a table of means, a table of comparisons, and the notes, in GitHub's Markdown."""
    return "\n".join(
        [
            *(f"- {escape_markdown(sentence)}" for sentence in verdict_sentences(comparison)),
            "",
            *markdown_rows(_means(comparison)),
            "",
            escape_markdown(means_caption(comparison, "Bold", "italics")),
            "",
            *markdown_table(pairs_table(comparison)),
            "",
            *(f"- {escape_markdown(note)}" for note in comparison_notes(comparison)),
            "",
        ]
    )


def comparison_csv(comparison: Comparison) -> str:
    """One line per comparison, with the reason of what is not defined."""
    return pairs_csv(comparison.pairs, (*PAIR_COLUMNS, "reason"))


def pairs_csv(pairs: Iterable[PairResult], columns: Sequence[str] = PAIR_COLUMNS) -> str:
    """One line per comparison, numbers in full; an empty cell is a value that is not defined."""
    return csv_text(columns, ([getattr(pair, name) for name in columns] for pair in pairs))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _means(comparison: Comparison) -> list[list[str]]:
    """Header and rows of methods × metrics, escaped."""
    rows = [["method", *(escape_markdown(metric_label(metric)) for metric in comparison.metrics)]]
    for method, means in means_by_method(comparison).items():
        cells = []
        for ranked, mark in means:
            interval = "" if ranked.ci_low is None else f"{format_interval(ranked.ci_low, ranked.ci_high)} "
            beside = escape_markdown(f"{interval}({format_ranks(ranked.rank_low, ranked.rank_high)})")
            cells.append(f"{_MARKS[mark]}{escape_markdown(format_score(ranked.mean))}{_MARKS[mark]} {beside}")
        rows.append([escape_markdown(method), *cells])
    return rows
