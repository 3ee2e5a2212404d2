"""A comparison as LaTeX tables that fit a column of text."""

import math
from collections.abc import Mapping

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.captions import means_caption, pairs_caption
from evalkit.comparison.statements.pairs import effect_cells, verdict_words, win_tie_loss
from evalkit.comparison.statements.terms import Inference, metric_label
from evalkit.comparison.tables.text import (
    Mark,
    comparison_notes,
    mde_cell,
    means_by_method,
    miniature_note,
)
from evalkit.formatting import DASH, format_interval, format_p, format_ranks, format_score
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
_METRICS = 4
"""Metrics side by side."""
_WRAP = 17
"""Letters of a metric's name on one line of a column's head."""
_STACK = 24
"""Letters of a pair of names that stand on one line; longer ones take two."""


def latex(comparison: Comparison) -> str:
    """``table`` environments for a document that loads ``booktabs`` and ``graphicx``: the means, then the pairs.

    Intervals stand in small type below their estimates, so that four metrics fit a column; what is wider still is
    scaled down to the width of the text, and what is longer than a page goes on in another table.
    """
    return latex_document([*_means(comparison), *_pairs(comparison)], comparison_notes(comparison))


def _means(comparison: Comparison) -> list[str]:
    """Methods × metrics; many metrics in blocks one below the other."""
    metrics = comparison.metrics
    width = math.ceil(len(metrics) / math.ceil(len(metrics) / _METRICS))
    blocks: list[LatexBlock] = []
    for start in range(0, len(metrics), width):
        rest = [("", "")] * (start + width - len(metrics))
        heads = [*map(_stacked, metrics[start : start + width]), *("" for _ in rest)]
        rows = [
            latex_lines(
                [(escape_latex(method), ""), *(_mean(*ranked) for ranked in means[start : start + width]), *rest]
            )
            for method, means in means_by_method(comparison).items()
        ]
        blocks.append(([latex_row(["method", *heads]), r"\midrule"], rows))
    warning = "".join(f" {note[0].upper()}{note[1:]}." for note in miniature_note(comparison))
    caption = means_caption(comparison, "Bold", "underlined") + warning
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


def _stacked(metric: ComparedMetric) -> str:
    """A metric's name on as many lines as it takes to be narrow."""
    lines = [""]
    for part in metric_label(metric).replace("_", "_\n").replace(":", ":\n").split("\n"):
        if lines[-1] and len(lines[-1] + part) > _WRAP:
            lines.append("")
        lines[-1] += part
    text = r" \\ ".join(map(escape_latex, lines))
    return text if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{text}\end{{tabular}}"
