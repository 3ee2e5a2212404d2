"""Figures of pairs: how differences are distributed over items, and every method against every other."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.formatting import decimals_of, format_signed
from evalkit.report.comparison import level_of
from evalkit.report.figures.data import (
    JoinedValues,
    Versus,
    ordered,
    paired,
    reference_label,
    reference_of,
    versus,
)
from evalkit.report.figures.means import basis
from evalkit.report.figures.style import (
    GREY,
    INK,
    ON_DARK,
    ON_LIGHT,
    PAPER,
    DrawnFigure,
    Look,
    bare,
    file_stem,
    looks,
    printable,
    sheet,
    sides_of,
)

DIVERGING = LinearSegmentedColormap.from_list("worse_better", ["#d55e00", "#f3c7a5", "#f7f7f7", "#a3cbe3", "#0072b2"])
CELL = 0.5
"""Inches."""


def ecdf(comparison: Comparison, metric: ComparedMetric) -> DrawnFigure | None:
    """Share of items up to each difference to a reference, one panel per method; None without paired items."""
    style = looks(comparison)
    reference = reference_of(comparison, metric)
    panels: list[tuple[Versus, JoinedValues, Floats]] = []
    for row in ordered(comparison, metric):
        said = versus(comparison, metric.name, row.method, reference)
        both = paired(comparison, metric.name, row.method, reference)
        if said and len(both.item_ids):
            # Scores lie on a grid; rounding their difference keeps ties ties.
            panels.append((said, both, np.round(both.columns[:, 1] - both.columns[:, 0], 9)))
    if not panels:
        return None
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    label = reference_label(comparison, style[reference].label)
    title = f"{printable(metric.name)}: item by item, against {style[reference].label}"
    figure = sheet(0.95 + 1.65 * down, title, basis(comparison, metric), width=[4.2, 6.0, 7.2][across - 1])
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axes, (said, _, differences) in zip(grid.flat, panels, strict=False):
        _draw_ecdf(axes, said, differences, style[said.method])
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for column in range(across):
        last = grid[(len(panels) - 1 - column) // across, column]
        last.tick_params(labelbottom=True)
    sides = sides_of(metric)
    grid[-1, 0].set_xlabel(f"difference\n{sides}")
    grid[0, 0].set_ylabel("share of items")
    counts = [f"{v.method}: better on {v.win}, tied on {v.pair.tie}, worse on {v.loss}" for v, _, _ in panels]
    return DrawnFigure(
        name=f"ecdf_{file_stem(metric.name)}",
        metric=metric.name,
        title=f"Differences item by item on {metric.name}",
        caption=f"Share of items whose difference in {printable(metric.name)} to {label} is at most x ({sides}). The "
        "thick jump at 0 is the items that tie; the bar on the x axis is the mean difference with its "
        f"{level_of(comparison)} interval ({basis(comparison, metric)}).",
        alt=f"Cumulative shares of paired differences to {reference} on {metric.name}. {'; '.join(counts)}.",
        figure=figure,
        columns=("method", "reference", "item_id", "group", "difference"),
        rows=tuple(
            (said.method, reference, item_id, group, float(difference))
            for said, both, differences in panels
            for item_id, group, difference in zip(both.item_ids, both.groups, differences, strict=True)
        ),
    )


def _draw_ecdf(axes: Axes, said: Versus, differences: Floats, look: Look) -> None:
    x = np.sort(differences)
    share = np.arange(1, len(x) + 1) / len(x)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.step(
        np.concatenate([x[:1], x]), np.concatenate([[0.0], share]), where="post", color=look.colour, linewidth=1.2
    )
    below, upto = float((x < 0).mean()), float((x <= 0).mean())
    if upto > below:
        axes.plot([0, 0], [below, upto], color=look.colour, linewidth=3.6, solid_capstyle="butt")
    if said.difference is not None:
        ends = [said.difference if end is None else end for end in (said.low, said.high)]
        axes.plot(ends, [-0.07, -0.07], color=INK, linewidth=1.4, solid_capstyle="butt")
        axes.plot([said.difference], [-0.07], "o", color=INK, markersize=3.2)
    axes.set_ylim(-0.14, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(look.label, loc="left", fontsize=7.5, pad=13)
    words = f"better {said.win} · tied {said.pair.tie} · worse {said.loss}"
    axes.text(0, 1.03, words, transform=axes.transAxes, fontsize=6.5, color=GREY, va="bottom")


def heat_map(comparison: Comparison, metric: ComparedMetric) -> DrawnFigure | None:
    """Every method against every other; None with a baseline, where most pairs were not compared, or without any."""
    names = [row.method for row in ordered(comparison, metric) if row.mean is not None]
    if comparison.baseline or len(names) < 2:
        return None
    style = looks(comparison)
    cells = {(a, b): versus(comparison, metric.name, a, b) for a in names for b in names if a != b}
    sign = 1 if metric.higher_is_better else -1
    largest = max((abs(cell.difference) for cell in cells.values() if cell and cell.difference is not None), default=0)
    k = len(names)
    figure = sheet(1.15 + CELL * k, f"{printable(metric.name)}: each against each", basis(comparison, metric),
                   width=max(4.6, 3.5 + CELL * k))  # fmt: skip
    axes = figure.subplots()
    bare(axes)
    axes.set_aspect("equal")
    # Within the margin nothing may look large.
    widest = max(largest, 2 * (metric.margin or 0)) or 1
    decimals = decimals_of(largest or 1, most=6)
    scale = Normalize(-widest, widest)
    for (a, b), cell in cells.items():
        if cell and cell.difference is not None:
            _draw_cell(axes, names.index(b), names.index(a), cell, DIVERGING(scale(sign * cell.difference)), decimals)
    axes.set_xlim(-0.5, k - 0.5)
    axes.set_ylim(k - 0.5, -0.5)
    axes.tick_params(labeltop=True, labelleft=True)
    axes.set_xticks(range(k), [str(place + 1) for place in range(k)])
    axes.set_yticks(range(k), [f"{style[name].label}  {place}" for place, name in enumerate(names, 1)])
    axes.set_xlabel("blue: the row is better · orange: worse\nhatched: inconclusive · dot: equivalent", fontsize=7)
    better = [f"{a} better than {b}" for (a, b), cell in cells.items() if cell and cell.standing == "better"]
    return DrawnFigure(
        name=f"heat_map_{file_stem(metric.name)}",
        metric=metric.name,
        title=f"Each method against each on {metric.name}",
        caption=f"Colour: mean paired difference in {printable(metric.name)}, row against column, methods from best to "
        "worst. Numbers: the difference row − column (below the diagonal) and the share of items on which the row is "
        f"better, ties counted half (above). Verdicts at {level_of(comparison)} ({basis(comparison, metric)}).",
        alt=f"Pairs on {metric.name}: {'; '.join(better) if better else 'no method is better than another'}; "
        "all other pairs are equivalent or inconclusive.",
        figure=figure,
        columns=("row", "column", "difference", "win_rate", "adjusted_p_value", "standing_of_row"),
        rows=tuple(
            (a, b, cell.difference, cell.win_rate, cell.pair.adjusted_p_value, cell.standing)
            for (a, b), cell in cells.items()
            if cell
        ),
    )


def _draw_cell(
    axes: Axes, x: int, y: int, cell: Versus, colour: tuple[float, float, float, float], decimals: int
) -> None:
    hatch = "////" if cell.standing == "inconclusive" else None
    axes.add_patch(
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=GREY if hatch else PAPER,
                  hatch=hatch, linewidth=0)
    )  # fmt: skip
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=PAPER, linewidth=1.5))
    if cell.standing == "equivalent":
        axes.plot([x], [y + 0.28], "o", color=ON_LIGHT, markersize=3.5)
    dark = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 0.5
    rate = "" if cell.win_rate is None else f"{100 * cell.win_rate:.0f} %"
    words = rate if x > y else format_signed(cell.difference, decimals).replace("0.", ".", 1)
    box = {"boxstyle": "square,pad=0.12", "facecolor": colour, "linewidth": 0} if hatch else None
    axes.text(x, y, words, ha="center", va="center", fontsize=6.5, color=ON_DARK if dark else ON_LIGHT, bbox=box)
