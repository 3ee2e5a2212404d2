"""A comparison for a paper or a spreadsheet: Markdown, LaTeX and CSV, with every name escaped."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from evalkit.report.comparison import (
    Cells,
    comparison_notes,
    headed,
    metric_places,
    pairs_cells,
    percent,
    ranks,
    span,
    tested_by,
    verdict_sentences,
)
from evalkit.report.tables import number
from evalkit.results.comparison import Comparison, RankedMethod

Format = Literal["md", "latex", "csv"]

PAIR_COLUMNS = (
    "metric", "a", "b", "n_items", "n_groups", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "p_value",
    "adjusted_p_value", "effect_size_dz", "win", "tie", "loss", "minimum_detectable_effect", "verdict",
)  # fmt: skip
"""The columns of the CSV and the keys of each comparison in ``--json``."""
_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "α": r"$\alpha$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "≤": r"$\leq$", "–": "--", "…": r"\ldots{}", "’": "'",
}  # fmt: skip
"""Brackets too: one that opens a row would be read as the argument of the line break before it."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def export(comparison: Comparison, to: Format) -> str:
    """The comparison in a format: two tables with their caption and notes, or for CSV one line per comparison."""
    return {"md": markdown, "latex": latex, "csv": pairs_csv}[to](comparison)


def markdown(comparison: Comparison) -> str:
    """Sentences, a table of means, a table of comparisons, and the notes, in GitHub's Markdown."""
    means = _means(comparison, _markdown, best=lambda text: f"**{text}**", tied=lambda text: f"*{text}*")
    return "\n".join(
        [
            *(f"- {_markdown(sentence)}" for sentence in verdict_sentences(comparison)),
            "",
            *_markdown_table(means[0], means[1:]),
            "",
            _markdown(_caption(comparison, "Bold", "italics")),
            "",
            *_markdown_cells(pairs_cells(comparison)),
            "",
            *(f"- {_markdown(note)}" for note in comparison_notes(comparison)),
            "",
        ]
    )


def latex(comparison: Comparison) -> str:
    """Two ``table`` environments for a document that loads ``booktabs``."""
    means = _means(
        comparison, _latex, best=lambda text: rf"\textbf{{{text}}}", tied=lambda text: rf"\underline{{{text}}}"
    )
    pairs = pairs_cells(comparison)
    right = "".join("r" if column in pairs.numeric else "l" for column in range(len(pairs.header)))
    notes = [f"% {_comment(note)}" for note in comparison_notes(comparison)]
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs}.",
            *_latex_table(
                means[0], means[1:], "l" + "r" * (len(means[0]) - 1), _latex(_caption(comparison, "Bold", "underlined"))
            ),
            "",
            *_latex_table(
                [_latex(name) for name in pairs.header],
                [[_latex(cell) for cell in row] for row in pairs.rows],
                right,
                _latex(f"{pairs.title}. Intervals at {percent(comparison)}; MDE: minimum detectable effect."),
            ),
            *notes,
            "",
        ]
    )


def pairs_csv(comparison: Comparison) -> str:
    """One line per comparison, numbers in full; an empty cell is a value that is not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*PAIR_COLUMNS, "reason"])
    for pair in comparison.pairs:
        values = (getattr(pair, name) for name in (*PAIR_COLUMNS, "reason"))
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def _means(
    comparison: Comparison,
    escape: Callable[[str], str],
    *,
    best: Callable[[str], str],
    tied: Callable[[str], str],
) -> list[list[str]]:
    """Header and rows of methods × metrics, methods in the order of the first metric."""
    places = {metric.name: metric_places(comparison, metric.name) for metric in comparison.metrics}
    header = [escape("method"), *(escape(headed(metric)) for metric in comparison.metrics)]
    rows = []
    for first in places[comparison.metrics[0].name]:
        row = [escape(first.method)]
        for metric in comparison.metrics:
            place = next(place for place in places[metric.name] if place.method == first.method)
            mark = best if place is _best(places[metric.name]) else tied if place.tied_with_best else _plain
            shown = f"{span(place.ci_low, place.ci_high)} ({ranks(place)})"
            row.append(f"{mark(escape(number(place.mean)))} {escape(shown)}")
        rows.append(row)
    return [header, *rows]


def _best(places: Sequence[RankedMethod]) -> RankedMethod | None:
    return next((place for place in places if place.rank_low is not None), None)


def _plain(text: str) -> str:
    return text


def _caption(comparison: Comparison, best: str, tied: str) -> str:
    settings = comparison.settings
    return (
        f"Means with {percent(comparison)} intervals and, in brackets, the ranks that the data allow, over "
        f"{settings['n_items']} items in {settings['n_groups']} groups. {best}: best mean; {tied}: statistically tied "
        f"with the best (simultaneous bootstrap-t intervals of all differences). Pairwise comparisons: "
        f"{tested_by(comparison)}."
    )


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _comment(text: str) -> str:
    return _one_line(text)


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a cell, a row or a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _markdown_cells(cells: Cells) -> list[str]:
    return _markdown_table(
        [_markdown(name) for name in cells.header], [[_markdown(cell) for cell in row] for row in cells.rows]
    )


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], columns: str, caption: str) -> list[str]:
    body = [rf"{' & '.join(row)} \\" for row in (header, *rows)]
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
