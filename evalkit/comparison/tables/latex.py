"""A comparison as LaTeX tables that fit a column of text."""

import math
from collections.abc import Mapping, Sequence

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
from evalkit.formatting import DASH, format_interval, format_p, format_ranks, format_score, one_line

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "α": r"$\alpha$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "≤": r"$\leq$", "–": "--", "…": r"\ldots{}", "’": "'",
}  # fmt: skip
"""Brackets too: one that opens a row would be read as the argument of the line break before it."""
_PAIR_COLUMNS = "lrrrrrl"
_MARKS: Mapping[Mark, str] = {"best": r"\textbf{%s}", "tied": r"\underline{%s}", "": "%s"}
_METRICS = 4
"""Metrics side by side."""
_WRAP = 17
"""Letters of a metric's name on one line of a column's head."""
_STACK = 24
"""Letters of a pair of names that stand on one line; longer ones take two."""
_LINES = 40
"""Lines of a table that fit a page, below its caption."""
_PLAIN_ENGINE = 0x17F
"""Letters beyond Latin ones are not known to pdfTeX."""


_TABLE = r"""\begin{table}
\centering
%(again)s\caption{%(caption)s}
\medskip
\footnotesize
\setlength{\tabcolsep}{4pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
\begin{tabular}{%(columns)s}
\toprule
%(lines)s
\bottomrule
\end{tabular}}
\end{table}"""
"""Not a longtable: that can neither be scaled nor stand in a column of a page with two."""
_Block = tuple[list[str], list[list[str]]]
"""A head that is repeated where its rows go on in another table, and rows of lines that stay together."""


def latex(comparison: Comparison) -> str:
    """``table`` environments for a document that loads ``booktabs`` and ``graphicx``: the means, then the pairs.

    Intervals stand in small type below their estimates, so that four metrics fit a column; what is wider still is
    scaled down to the width of the text, and what is longer than a page goes on in another table.
    """
    notes = [f"% {one_line(note)}" for note in comparison_notes(comparison)]
    body = "\n".join(f"{table}\n" for table in [*_means(comparison), *_pairs(comparison)])
    beyond = "".join(sorted({letter for letter in body if ord(letter) > _PLAIN_ENGINE}))
    needs = [r"% Needs \usepackage{booktabs,graphicx}."]
    if beyond:
        needs.append(f"% Needs xelatex or lualatex, and a font that has {beyond}")
    return "\n".join([*needs, body, *notes, ""])


def _means(comparison: Comparison) -> list[str]:
    """Methods × metrics; many metrics in blocks one below the other."""
    metrics = comparison.metrics
    width = math.ceil(len(metrics) / math.ceil(len(metrics) / _METRICS))
    blocks: list[_Block] = []
    for start in range(0, len(metrics), width):
        rest = [("", "")] * (start + width - len(metrics))
        heads = [*map(_stacked, metrics[start : start + width]), *("" for _ in rest)]
        rows = [
            _lines([(_escape(method), ""), *(_mean(*ranked) for ranked in means[start : start + width]), *rest])
            for method, means in means_by_method(comparison).items()
        ]
        blocks.append(([_row(["method", *heads]), r"\midrule"], rows))
    warning = "".join(f" {note[0].upper()}{note[1:]}." for note in miniature_note(comparison))
    caption = means_caption(comparison, "Bold", "underlined") + warning
    return _tables(caption, "l" + "r" * width, [], blocks)


def _mean(ranked: RankedMethod, mark: Mark) -> tuple[str, str]:
    interval = "" if ranked.ci_low is None else format_interval(ranked.ci_low, ranked.ci_high)
    below = f"{interval} ({format_ranks(ranked.rank_low, ranked.rank_high)})".strip()
    return _MARKS[mark] % _escape(format_score(ranked.mean)), _small(below)


def _pairs(comparison: Comparison) -> list[str]:
    """The comparisons under the name of their metric."""
    inference = Inference.of(comparison.settings)
    stacked = any(len(pair.a + pair.b) > _STACK for pair in comparison.pairs)
    blocks: list[_Block] = []
    for metric in comparison.metrics:
        heading = rf"\multicolumn{{{len(_PAIR_COLUMNS)}}}{{l}}{{\emph{{{_escape(metric_label(metric))}}}}} \\"
        pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
        rows = [_lines(_pair(pair, inference, stacked=stacked)) for pair in pairs]
        blocks.append(([heading, r"\addlinespace[2pt]"], rows))
    effect = "rank-biserial" if inference.is_about_ranks else "difference"
    head = _row(["comparison", effect, "$p$", "adjusted $p$", "win/tie/loss", "MDE", "verdict"])
    return _tables(pairs_caption(comparison), _PAIR_COLUMNS, [head], blocks)


def _pair(pair: PairResult, inference: Inference, *, stacked: bool) -> list[tuple[str, str]]:
    label = (_escape(pair.b), _escape(f"− {pair.a}")) if stacked else (_escape(f"{pair.b} − {pair.a}"), "")
    verdict, _, more = verdict_words(pair, ranks=inference.is_about_ranks).partition(", ")
    effect, interval = effect_cells(pair, ranks=inference.is_about_ranks)
    return [
        label,
        (_escape(effect), _small("" if interval == DASH else interval)),
        (_escape(format_p(pair.p_value, inference.alpha)), ""),
        (_escape(format_p(pair.adjusted_p_value, inference.alpha)), ""),
        (win_tie_loss(pair), ""),
        (_escape(mde_cell(pair, inference)), ""),
        (_escape(verdict), _small(more)),
    ]


def _lines(cells: Sequence[tuple[str, str]]) -> list[str]:
    """A row, and a second one with what stands below its cells, where anything does."""
    below = [second for _, second in cells]
    return [_row([first for first, _ in cells]), *([_row(below)] if any(below) else [])]


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _stacked(metric: ComparedMetric) -> str:
    """A metric's name on as many lines as it takes to be narrow."""
    lines = [""]
    for part in metric_label(metric).replace("_", "_\n").replace(":", ":\n").split("\n"):
        if lines[-1] and len(lines[-1] + part) > _WRAP:
            lines.append("")
        lines[-1] += part
    text = r" \\ ".join(map(_escape, lines))
    return text if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{text}\end{{tabular}}"


def _small(text: str) -> str:
    return rf"{{\scriptsize {_escape(text)}}}" if text else ""


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in one_line(text)).replace(r" \%", r"\,\%")


def _tables(caption: str, columns: str, top: list[str], blocks: Sequence[_Block]) -> list[str]:
    """As many tables of one number as it takes for each to fit a page."""
    return [
        _TABLE
        % {
            "again": "\\addtocounter{table}{-1}\n" if number else "",
            "caption": "(continued)" if number else _escape(caption),
            "columns": columns,
            "lines": "\n".join([*top, *page[0 if top else 1 :]]),
        }
        for number, page in enumerate(_pages(blocks))
    ]


def _pages(blocks: Sequence[_Block]) -> list[list[str]]:
    """The blocks' lines, a rule before each head, in pages."""
    pages: list[list[str]] = [[]]
    room = _LINES
    for head, rows in blocks:
        headless = True
        for row in rows:
            if len(row) + headless > room:
                pages.append([])
                room, headless = _LINES, True
            pages[-1] += [r"\midrule", *head] if headless else [r"\addlinespace[2pt]"]
            pages[-1] += row
            room -= len(row) + headless
            headless = False
    return pages
