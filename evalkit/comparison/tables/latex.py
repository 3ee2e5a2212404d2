"""A comparison as LaTeX tables that fit a column of text."""

import math
from collections.abc import Mapping, Sequence

from evalkit.comparison.records import Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.captions import about_marks, edit_types_title, means_caption, pairs_caption
from evalkit.comparison.statements.pairs import effect_cells, verdict_words, win_tie_loss
from evalkit.comparison.statements.terms import Inference, metric_label
from evalkit.comparison.tables.edit_types import edit_type_notes, type_heads
from evalkit.comparison.tables.text import (
    Mark,
    comparison_notes,
    mde_cell,
    means_by_method,
    miniature_note,
)
from evalkit.formatting import DASH, format_interval, format_p, format_ranks, format_score, one_line
from evalkit.tables.latex import (
    LatexBlock,
    escape_latex,
    latex_document,
    latex_lines,
    latex_row,
    latex_small,
    latex_tables,
)

_PAIR_COLUMNS = "lrrrrrl"
_MARKS: Mapping[Mark, str] = {"best": r"\textbf{%s}", "tied": r"\underline{%s}", "": "%s"}
_SIDE_BY_SIDE = 4
"""Metrics, or edit types, in one row."""
_WRAP = 17
"""Letters of a metric's name on one line of a column's head."""
_STACK = 24
"""Letters of a pair of names that stand on one line; longer ones take two."""


def latex(comparison: Comparison) -> str:
    """``table`` environments for a document that loads ``booktabs`` and ``graphicx``: means, pairs, edit types.

    Intervals stand in small type below their estimates, so that four metrics fit a column; what is wider still is
    scaled down to the width of the text, and what is longer than a page goes on in another table.
    """
    types = _edit_types(comparison)
    untold = [] if types else edit_type_notes(comparison)
    return latex_document([*_means(comparison), *_pairs(comparison), *types], [*comparison_notes(comparison), *untold])


def _means(comparison: Comparison) -> list[str]:
    """Methods × metrics."""
    warning = "".join(f" {note[0].upper()}{note[1:]}." for note in miniature_note(comparison))
    caption = means_caption(comparison, "Bold", "underlined") + warning
    return _side_by_side(caption, list(map(metric_label, comparison.metrics)), means_by_method(comparison))


def _edit_types(comparison: Comparison) -> list[str]:
    """Methods × edit types, a table for each metric, where they were asked for."""
    types = comparison.edit_types.of if comparison.edit_types else {}
    found = [means_by_method(of_type) for of_type in types.values()]
    about = [f"{' '.join(edit_type_notes(comparison))} In brackets: ranks; {about_marks('bold', 'underlined')}."]
    tables = []
    for number, metric in enumerate(next((of_type.metrics for of_type in types.values()), ())):
        means = {method: [of_type[method][number] for of_type in found] for method in means_by_method(comparison)}
        caption = " ".join([f"{edit_types_title(metric)}.", *(about if number == 0 else [])])
        tables += _side_by_side(caption, type_heads(types), means)
    return tables


def _side_by_side(
    caption: str, heads: Sequence[str], means: Mapping[str, Sequence[tuple[RankedMethod, Mark]]]
) -> list[str]:
    """Methods × what the heads say; many columns in blocks one below the other."""
    width = math.ceil(len(heads) / math.ceil(len(heads) / _SIDE_BY_SIDE))
    blocks: list[LatexBlock] = []
    for start in range(0, len(heads), width):
        rest = [("", "")] * (start + width - len(heads))
        above = [*map(_stacked, heads[start : start + width]), *("" for _ in rest)]
        rows = [
            latex_lines(
                [(escape_latex(method), ""), *(_mean(*ranked) for ranked in of_method[start : start + width]), *rest]
            )
            for method, of_method in means.items()
        ]
        blocks.append(([latex_row(["method", *above]), r"\midrule"], rows))
    return latex_tables(caption, "l" + "r" * width, [], blocks)


def _mean(ranked: RankedMethod, mark: Mark) -> tuple[str, str]:
    interval = "" if ranked.ci_low is None else format_interval(ranked.ci_low, ranked.ci_high)
    below = f"{interval} ({format_ranks(ranked.rank_low, ranked.rank_high)})".strip()
    return _MARKS[mark] % escape_latex(format_score(ranked.mean)), latex_small(below)


def _pairs(comparison: Comparison) -> list[str]:
    """The comparisons under the name of their metric."""
    inference = Inference.of(comparison.settings)
    stacked = any(len(pair.a + pair.b) > _STACK for pair in comparison.pairs)
    blocks: list[LatexBlock] = []
    for metric in comparison.metrics:
        heading = rf"\multicolumn{{{len(_PAIR_COLUMNS)}}}{{l}}{{\emph{{{escape_latex(metric_label(metric))}}}}} \\"
        pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
        rows = [latex_lines(_pair(pair, inference, stacked=stacked)) for pair in pairs]
        blocks.append(([heading, r"\addlinespace[2pt]"], rows))
    effect = "rank-biserial" if inference.is_about_ranks else "difference"
    head = latex_row(["comparison", effect, "$p$", "adjusted $p$", "win/tie/loss", "MDE", "verdict"])
    return latex_tables(pairs_caption(comparison), _PAIR_COLUMNS, [head], blocks)


def _pair(pair: PairResult, inference: Inference, *, stacked: bool) -> list[tuple[str, str]]:
    label = (
        (escape_latex(pair.b), escape_latex(f"− {pair.a}")) if stacked else (escape_latex(f"{pair.b} − {pair.a}"), "")
    )
    verdict, _, more = verdict_words(pair, ranks=inference.is_about_ranks).partition(", ")
    effect, interval = effect_cells(pair, ranks=inference.is_about_ranks)
    return [
        label,
        (escape_latex(effect), latex_small("" if interval == DASH else interval)),
        (escape_latex(format_p(pair.p_value, inference.alpha)), ""),
        (escape_latex(format_p(pair.adjusted_p_value, inference.alpha)), ""),
        (win_tie_loss(pair), ""),
        (escape_latex(mde_cell(pair, inference)), ""),
        (escape_latex(verdict), latex_small(more)),
    ]


def _stacked(name: str) -> str:
    """A name on as many lines as it takes to be narrow."""
    lines = [""]
    for part in one_line(name).replace("_", "_\n").replace(":", ":\n").replace(" (", " \n(").split("\n"):
        if lines[-1] and len(lines[-1] + part) > _WRAP:
            lines.append("")
        lines[-1] += part
    text = r" \\ ".join(map(escape_latex, lines))
    return text if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{text}\end{{tabular}}"
