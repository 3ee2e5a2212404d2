"""Figures of pairs: how differences are distributed over items, and every method against every other."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMetric, PairResult
from evalkit.comparison.statements.figures import ecdf_alt, ecdf_caption, heat_map_alt, heat_map_caption
from evalkit.formatting import decimals_of, format_signed
from evalkit.report.figures.style import (
    COLLAPSED,
    GREY,
    INK,
    ON_DARK,
    ON_LIGHT,
    PAPER,
    DrawnFigure,
    MethodStyle,
    hide_axes,
    new_figure,
    printable,
    sides_of,
)
from evalkit.report.figures.view import JoinedValues, MetricView

DIVERGING = LinearSegmentedColormap.from_list("worse_better", ["#d55e00", "#f3c7a5", "#f7f7f7", "#a3cbe3", "#0072b2"])
CELL = 0.5
"""Inches."""


def ecdf(view: MetricView) -> DrawnFigure | None:
    """Share of items up to each difference to a reference, one panel per method; None without paired items."""
    metric, styles, reference = view.metric, view.styles, view.reference
    panels: list[tuple[PairResult, JoinedValues, Floats]] = []
    for row in view.methods:
        pair, both = view.pair(row.method), view.with_reference(row.method)
        if pair and both.item_ids:
            # Scores lie on a grid; rounding their difference keeps ties ties.
            panels.append((pair, both, np.round(both.columns[:, 1] - both.columns[:, 0], 9)))
    if not panels:
        return None
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    title = f"{printable(metric.name)}: item by item, against {styles[reference].label}"
    figure = new_figure(0.95 + 1.65 * down, title, view.basis, width=[4.2, 6.0, 7.2][across - 1])
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    scales = common_scales([_ends(pair, differences) for pair, _, differences in panels])
    for axes, (pair, _, differences), scale in zip(grid.flat, panels, scales, strict=False):
        _draw_ecdf(axes, pair, differences, styles[pair.b], metric)
        axes.set_xlim(*scale)
        if scale != max(scales, key=lambda ends: ends[1] - ends[0]):
            axes.spines["bottom"].set_linestyle((0, (3, 2)))
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    grid[-1, 0].set_xlabel(f"difference\n{sides_of(metric)}")
    grid[0, 0].set_ylabel("share of items")
    return DrawnFigure(
        name=f"ecdf_{view.stem}",
        title=f"Differences item by item on {metric.name}",
        caption=ecdf_caption(
            view.comparison, metric, view.reference_label, sides_of(metric), n_scales=len(set(scales))
        ),
        alt=ecdf_alt(metric, reference, [pair for pair, _, _ in panels]),
        figure=figure,
        columns=("method", "reference", "item_id", "group", "difference"),
        rows=tuple(
            (pair.b, reference, item_id, group, float(difference))
            for pair, both, differences in panels
            for item_id, group, difference in zip(both.item_ids, both.groups, differences, strict=True)
        ),
    )


def common_scales(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The ends of each panel's axis: one for all, but panels that would collapse on it have one of their own.

    >>> common_scales([(-1.0, 0.5), (0.0, 1.0), (-0.01, 0.01)])
    [(-1.1, 1.1), (-1.1, 1.1), (-0.011, 0.011)]
    """
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    small = [number for number, (least, most) in enumerate(spans) if most - least < COLLAPSED * (high - low)]
    room = 0.05 * (high - low) or 1.0
    found = [(round(low - room, 9), round(high + room, 9))] * len(spans)
    if small:
        for number, scale in zip(small, common_scales([spans[number] for number in small]), strict=True):
            found[number] = scale
    return found


def _ends(pair: PairResult, differences: Floats) -> tuple[float, float]:
    """What a panel must show: every difference, the interval, and 0."""
    shown = [0.0, float(differences.min()), float(differences.max()), *filter(None, (pair.ci_low, pair.ci_high))]
    return min(shown), max(shown)


def _draw_ecdf(axes: Axes, pair: PairResult, differences: Floats, style: MethodStyle, metric: ComparedMetric) -> None:
    x = np.sort(differences)
    share = np.arange(len(x) + 1) / len(x)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.step(np.concatenate([x[:1], x]), share, where="post", color=style.colour, linewidth=1.2)
    below, upto = float((x < 0).mean()), float((x <= 0).mean())
    if upto > below:
        axes.plot([0, 0], [below, upto], color=style.colour, linewidth=3.6, solid_capstyle="butt")
    if pair.difference is not None:
        ends = [pair.difference if end is None else end for end in (pair.ci_low, pair.ci_high)]
        axes.plot(ends, [-0.07, -0.07], color=INK, linewidth=1.4, solid_capstyle="butt")
        axes.plot([pair.difference], [-0.07], "o", color=INK, markersize=3.2)
    axes.set_ylim(-0.14, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(style.label, loc="left", fontsize=7.5, pad=13)
    better, worse, _, _ = metric.words
    words = f"{better} {pair.win} · tied {pair.tie} · {worse} {pair.loss}"
    axes.text(0, 1.03, words, transform=axes.transAxes, fontsize=6.5, color=GREY, va="bottom")


def heat_map(view: MetricView) -> DrawnFigure | None:
    """Every method against every other; None with a baseline, where most pairs were not compared, or without any."""
    metric, names = view.metric, [row.method for row in view.with_mean]
    if view.comparison.baseline or len(names) < 2:
        return None
    pairs = {(a, b): pair for a in names for b in names if a != b and (pair := view.pair(a, b))}
    largest = max((abs(pair.difference) for pair in pairs.values() if pair.difference is not None), default=0)
    k = len(names)
    title, width = f"{printable(metric.name)}: each against each", max(4.6, 3.5 + CELL * k)
    figure = new_figure(1.15 + CELL * k, title, view.basis, width=width)
    axes = figure.subplots()
    hide_axes(axes)
    axes.set_aspect("equal")
    # Within the margin nothing may look large.
    widest = max(largest, 2 * (metric.margin or 0)) or 1
    scale = Normalize(-widest, widest)
    for (a, b), pair in pairs.items():
        if pair.difference is not None:
            colour = DIVERGING(scale(pair.difference if metric.higher_is_better else -pair.difference))
            _draw_cell(axes, names.index(b), names.index(a), pair, colour, decimals_of(largest or 1, most=6))
    _label_cells(axes, [view.styles[name].label for name in names], metric)
    better = [(a, b) for (a, b), pair in pairs.items() if pair.winner == a]
    return DrawnFigure(
        name=f"heat_map_{view.stem}",
        title=f"Each method against each on {metric.name}",
        caption=heat_map_caption(view.comparison, metric),
        alt=heat_map_alt(metric, better),
        figure=figure,
        columns=("row", "column", "difference", "win_rate", "adjusted_p_value", "standing_of_row"),
        rows=tuple(
            (a, b, pair.difference, pair.win_rate, pair.adjusted_p_value, pair.verdict_on(a))
            for (a, b), pair in pairs.items()
        ),
    )


def _label_cells(axes: Axes, labels: Sequence[str], metric: ComparedMetric) -> None:
    better, worse, _, _ = metric.words
    k = len(labels)
    axes.set_xlim(-0.5, k - 0.5)
    axes.set_ylim(k - 0.5, -0.5)
    axes.tick_params(labeltop=True, labelleft=True)
    axes.set_xticks(range(k), [str(number) for number in range(1, k + 1)])
    axes.set_yticks(range(k), [f"{label}  {number}" for number, label in enumerate(labels, 1)])
    axes.set_xlabel(f"blue: the row is {better} · orange: {worse}\nhatched: inconclusive · dot: equivalent", fontsize=7)


def _draw_cell(
    axes: Axes, x: int, y: int, pair: PairResult, colour: tuple[float, float, float, float], decimals: int
) -> None:
    hatch = "////" if pair.verdict == "inconclusive" else None
    corner, edge = (x - 0.5, y - 0.5), GREY if hatch else PAPER
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor=edge, hatch=hatch, linewidth=0))
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=PAPER, linewidth=1.5))
    if pair.verdict == "equivalent":
        axes.plot([x], [y + 0.28], "o", color=ON_LIGHT, markersize=3.5)
    dark = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 0.5
    rate = "" if pair.win_rate is None else f"{100 * pair.win_rate:.0f} %"
    words = rate if x > y else format_signed(pair.difference, decimals).replace("0.", ".", 1)
    box = {"boxstyle": "square,pad=0.12", "facecolor": colour, "linewidth": 0} if hatch else None
    axes.text(x, y, words, ha="center", va="center", fontsize=6.5, color=ON_DARK if dark else ON_LIGHT, bbox=box)
