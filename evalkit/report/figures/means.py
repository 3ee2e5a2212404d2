"""Figures of means: with ranks, with differences to a reference, and who is not told apart from whom."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalkit.comparison.records import PairResult, RankedMethod
from evalkit.comparison.statements.figures import (
    cliques_alt,
    cliques_caption,
    difference_p,
    forest_alt,
    forest_caption,
    means_alt,
    means_caption,
)
from evalkit.comparison.statements.pairs import verdict_on_words
from evalkit.formatting import format_alike
from evalkit.report.figures.style import (
    BAND,
    COLLAPSED,
    GREY,
    GRID,
    INK,
    NARROW,
    WIDTH,
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
MEANS_COLUMNS = ("method", "mean", "ci_low", "ci_high", "rank_low", "rank_high", "tied_with_best")
_DIFFERENCE = ("difference", "ci_low", "ci_high", "p_value", "adjusted_p_value")


def means(view: MetricView) -> DrawnFigure | None:
    """Means with their intervals, and beside them the ranks that the decisions allow; None where there is no mean."""
    metric, rows = view.metric, view.with_mean
    if not rows:
        return None
    figure = means_and_ranks(
        rows,
        view.styles,
        title=f"{printable(metric.name)}: means and ranks",
        foot=f"pointwise {view.level} intervals; {view.basis}",
        axis=direction(metric),
        narrow=view.narrow,
    )
    return DrawnFigure(
        name=f"means_{view.stem}",
        title=f"Means and ranks on {metric.name}",
        caption=means_caption(view.comparison, metric),
        alt=means_alt(metric, rows),
        figure=figure,
        columns=MEANS_COLUMNS,
        rows=tuple(tuple(getattr(row, name) for name in MEANS_COLUMNS) for row in rows),
    )


def means_and_ranks(
    rows: Sequence[RankedMethod], styles: Mapping[str, MethodStyle], *, title: str, foot: str, axis: str, narrow: bool
) -> Figure:
    """Means with their intervals on the left, on the right the ranks that the decisions allow.

    Args:
        rows: Methods with a mean, the best first.
        styles: Of all of them.
        title: Above.
        foot: Below, where there is room.
        axis: What the means are.
        narrow: Whether it is for a phone.
    """
    leaders = [] if narrow else crowded_leaders(rows)
    figure = new_figure(0.92 + 0.19 * len(rows), title, "" if narrow else foot, width=NARROW if narrow else WIDTH)
    ratios = [1.6, 1.4, 1] if leaders else [2.4, 1]
    left, *enlarged, right = figure.subplots(1, len(ratios), sharey=True, width_ratios=ratios)
    _draw_means(left, rows, styles)
    left.set_xlabel(axis)
    for axes in enlarged:
        _draw_means(axes, leaders, styles)
        _enlarge(left, axes, len(leaders))
    for y, row in enumerate(rows):
        if row.tied_with_best:
            for axes in (left, *enlarged, right):
                axes.axhspan(y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=0)
        _draw_ranks(right, y, row, styles[row.method])
    left.set_yticks(range(len(rows)), [styles[row.method].label for row in rows])
    left.set_ylim(len(rows) - 0.4, -0.6)
    _finish_ranks(right, rows, ticks=5 if narrow else 9)
    return figure


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


def crowded_leaders(rows: Sequence[RankedMethod]) -> list[RankedMethod]:
    """The methods that no other is decided better than, where the axis of all means does not tell them apart.

    They must be the first ones, so that they stand in the same rows of their own panel.
    """
    leaders = list(takewhile(lambda row: row.tied_with_best, rows))
    whole, part = _span(rows), _span(leaders)
    return leaders if 1 < len(leaders) < len(rows) and 0 < part < COLLAPSED * whole else []


def _span(rows: Sequence[RankedMethod]) -> float:
    """From the least end of their intervals to the greatest."""
    shown = [end for row in rows for end in (row.mean, row.ci_low, row.ci_high) if end is not None]
    return max(shown, default=0.0) - min(shown, default=0.0)


def _enlarge(whole: Axes, part: Axes, n_leaders: int) -> None:
    """Mark in the panel of all means what the other one holds."""
    low, high = part.get_xlim()
    frame = Rectangle((low, -0.5), high - low, n_leaders, fill=False, edgecolor=GREY, linewidth=0.8, zorder=4)
    frame.set_linestyle((0, (3, 2)))
    whole.add_patch(frame)
    part.tick_params(axis="y", length=0, labelleft=False)
    part.spines["left"].set_visible(False)
    part.locator_params(axis="x", nbins=4)
    part.set_xlabel("framed part, enlarged")


def _finish_ranks(axes: Axes, rows: Sequence[RankedMethod], *, ticks: int) -> None:
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0.5, max(sum(row.rank_low is not None for row in rows), 2) + 0.5)
    axes.locator_params(axis="x", integer=True, nbins=ticks)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("rank")


def _draw_ranks(axes: Axes, y: int, row: RankedMethod, style: MethodStyle) -> None:
    """The set of a method's ranks, as a bar from the least to the greatest."""
    if row.rank_low is None or row.rank_high is None:
        return
    ends = [row.rank_low - 0.32, row.rank_high + 0.32]
    axes.plot(ends, [y, y], color=style.colour, linewidth=5, solid_capstyle="butt", zorder=2)


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
