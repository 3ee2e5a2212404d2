"""Figures of means: the forest plot, and who is not told apart from whom."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from evalkit.comparison.records import PairResult, RankedMethod
from evalkit.comparison.statements.figures import (
    cliques_alt,
    cliques_caption,
    difference_p,
    forest_alt,
    forest_caption,
)
from evalkit.comparison.statements.pairs import verdict_on_words
from evalkit.formatting import format_alike
from evalkit.report.figures.style import (
    BAND,
    GREY,
    GRID,
    INK,
    DrawnFigure,
    MethodStyle,
    direction,
    hide_axes,
    new_figure,
    printable,
    sides_of,
)
from evalkit.report.figures.view import MetricView

ROW = 0.27
"""Inches per method."""
_DIFFERENCE = ("difference", "ci_low", "ci_high", "p_value", "adjusted_p_value")


def forest(view: MetricView) -> DrawnFigure | None:
    """Means, and differences to a reference, each with its interval; None where no method has a mean."""
    metric, rows = view.metric, view.with_mean
    if not rows:
        return None
    pairs = {row.method: view.pair(row.method) for row in rows}
    intervals = f"pointwise {view.level} intervals; {view.basis}"
    figure = new_figure(1.05 + ROW * len(rows), f"{printable(metric.name)}: means and differences", intervals)
    means, differences, text = figure.subplots(1, 3, sharey=True, width_ratios=[3, 3, 3.1])
    _draw_means(means, rows, view.styles)
    means.set_xlabel(f"{printable(metric.name)}\n{direction(metric)}")
    _draw_differences(differences, pairs, view.styles, metric.margin)
    label = view.reference_label
    differences.set_xlabel(
        f"difference to {label if len(label) < 28 else 'the reference'}\n{sides_of(metric)}",
    )
    hide_axes(text)
    for y, (method, pair) in enumerate(pairs.items()):
        is_reference = method == view.reference
        words = "reference" if is_reference else _difference_text(pair, view.alpha)
        text.text(0, y, words, va="center", fontsize=6.8, color=GREY if is_reference else INK)
    text.set_xlim(0, 1)
    verdicts = {method: verdict_on_words(pair, method) for method, pair in pairs.items() if pair}
    return DrawnFigure(
        name=f"forest_{view.stem}",
        title=f"Means and differences on {metric.name}",
        caption=forest_caption(view.comparison, metric, label),
        alt=forest_alt(metric, rows, view.reference, verdicts),
        figure=figure,
        columns=("method", "mean", "ci_low", "ci_high", "reference", "difference", "difference_ci_low",
                 "difference_ci_high", "p_value", "adjusted_p_value", "margin"),
        rows=tuple(
            (row.method, row.mean, row.ci_low, row.ci_high, view.reference,
             *(getattr(pairs[row.method], name, None) for name in _DIFFERENCE), metric.margin)
            for row in rows
        ),
    )  # fmt: skip


def cliques(view: MetricView) -> DrawnFigure | None:
    """Methods by mean, and beside them the sets that are not told apart; None where there are no such sets."""
    metric, rows = view.metric, view.with_mean
    position = {row.method: y for y, row in enumerate(rows)}
    found = view.comparison.cliques.get(metric.name, ())
    sets = sorted(filter(None, (sorted(position[name] for name in clique if name in position) for clique in found)))
    if len(rows) < 2 or not sets:
        return None
    figure = new_figure(1.05 + ROW * len(rows), f"{printable(metric.name)}: not told apart", view.basis)
    means, marks = figure.subplots(1, 2, sharey=True, width_ratios=[3, max(1.5, 0.26 * len(sets))])
    _draw_means(means, rows, view.styles, intervals=False)
    means.set_xlabel(f"mean {printable(metric.name)} {direction(metric)}")
    hide_axes(marks)
    for x, clique in enumerate(sets):
        marks.plot([x, x], [clique[0], clique[-1]], color=GREY, linewidth=1, zorder=1)
        marks.scatter([x] * len(clique), clique, s=26, color=INK, zorder=2)
    marks.set_xlim(-0.7, max(len(sets), 4) - 0.3)
    marks.set_xlabel("a column joins methods\nthat are not told apart", fontsize=7, loc="left")
    return DrawnFigure(
        name=f"cliques_{view.stem}",
        title=f"Methods not told apart on {metric.name}",
        caption=cliques_caption(view.comparison, metric),
        alt=cliques_alt(metric, [row.method for row in rows], [[rows[y].method for y in each] for each in sets]),
        figure=figure,
        columns=("set", "method", "mean"),
        rows=tuple((n, rows[y].method, rows[y].mean) for n, clique in enumerate(sets, 1) for y in clique),
    )


def _draw_means(
    axes: Axes, rows: Sequence[RankedMethod], styles: Mapping[str, MethodStyle], *, intervals: bool = True
) -> None:
    for y, row in enumerate(rows):
        low, high = (row.ci_low, row.ci_high) if intervals else (None, None)
        _draw_point(axes, y, row.mean, low, high, styles[row.method])
    axes.set_yticks(range(len(rows)), [styles[row.method].label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_differences(
    axes: Axes, pairs: Mapping[str, PairResult | None], styles: Mapping[str, MethodStyle], margin: float | None
) -> None:
    if margin:
        axes.axvspan(-margin, margin, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for y, (method, pair) in enumerate(pairs.items()):
        if pair:
            _draw_point(axes, y, pair.difference, pair.ci_low, pair.ci_high, styles[method])
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=4)


def _draw_point(
    axes: Axes, y: int, mean: float | None, low: float | None, high: float | None, style: MethodStyle
) -> None:
    if mean is None:
        return
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=style.colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    axes.plot([mean], [y], style.marker, color=style.colour, markerfacecolor=style.face, markersize=5, zorder=3)


def _difference_text(pair: PairResult | None, alpha: float) -> str:
    """A difference in numbers, all with the decimals that the largest of them needs."""
    if pair is None or pair.difference is None:
        return "not compared"
    numbers = [number for number in (pair.difference, pair.ci_low, pair.ci_high) if number is not None]
    difference, *ends = format_alike(numbers)
    return difference + (f" [{', '.join(ends)}]" if ends else "") + difference_p(pair, alpha)
