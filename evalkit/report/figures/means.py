"""Figures of means: the forest plot, and who is not told apart from whom."""

from matplotlib.axes import Axes

from evalkit.comparison.records import ComparedMetric, Comparison, RankedMethod
from evalkit.formatting import counted, decimals_of, format_p_relation, format_signed
from evalkit.report.comparison import how_tested, level_of
from evalkit.report.figures.data import Versus, ordered, reference_label, reference_of, sizes, versus
from evalkit.report.figures.style import (
    BAND,
    GREY,
    GRID,
    INK,
    DrawnFigure,
    Look,
    arrow,
    bare,
    direction,
    file_stem,
    is_miniature,
    looks,
    printable,
    sheet,
    sides_of,
)

ROW = 0.27
"""Inches per method."""


def basis(comparison: Comparison, metric: ComparedMetric) -> str:
    """What a figure's numbers rest on, in one line."""
    n_items, n_groups = sizes(comparison, metric.name)
    words = f"{counted(n_items, 'item')} in {counted(n_groups, 'group')}, resampled by group"
    return f"{words}; miniature encoder, not comparable" if is_miniature(metric) else words


def intervals_named(comparison: Comparison, metric: ComparedMetric) -> str:
    """The level of the intervals with what the numbers rest on."""
    return f"{level_of(comparison)} intervals; {basis(comparison, metric)}"


def forest(comparison: Comparison, metric: ComparedMetric) -> DrawnFigure | None:
    """Means, and differences to a reference, each with its interval; None where no method has a mean."""
    rows = [row for row in ordered(comparison, metric) if row.mean is not None]
    if not rows:
        return None
    style = looks(comparison)
    reference = reference_of(comparison, metric)
    others = {row.method: versus(comparison, metric.name, row.method, reference) for row in rows}
    height = 1.05 + ROW * len(rows)
    figure = sheet(height, f"{printable(metric.name)}: means and differences", intervals_named(comparison, metric))
    means, differences, text = figure.subplots(1, 3, sharey=True, width_ratios=[3, 3, 3.1])
    _draw_means(means, rows, style)
    means.set_xlabel(f"{printable(metric.name)}\n{direction(metric)}")
    _draw_differences(differences, rows, others, style, metric.margin)
    sides = sides_of(metric)
    label = reference_label(comparison, style[reference].label)
    differences.set_xlabel(
        f"difference to {label}\n{sides}" if len(label) < 28 else f"difference to the reference\n{sides}"
    )
    bare(text)
    for place, row in enumerate(rows):
        said = others[row.method]
        line = "reference" if row.method == reference else _figures(said)
        text.text(0, place, line, va="center", fontsize=6.8, color=GREY if line == "reference" else INK)
    text.set_xlim(0, 1)
    band = f" Shaded: differences smaller than the margin of {metric.margin:g}." if metric.margin else ""
    return DrawnFigure(
        name=f"forest_{file_stem(metric.name)}",
        metric=metric.name,
        title=f"Means and differences on {metric.name}",
        caption=f"Mean {metric.name} of each method (left) and its mean paired difference to {label} (right), with "
        f"{intervals_named(comparison, metric)}. p: {how_tested(comparison)}.{band}",
        alt=_forest_alt(metric, rows, others, reference),
        figure=figure,
        columns=("method", "mean", "ci_low", "ci_high", "reference", "difference", "difference_ci_low",
                 "difference_ci_high", "p_value", "adjusted_p_value", "margin"),
        rows=tuple(_forest_row(row, others[row.method], reference, metric.margin) for row in rows),
    )  # fmt: skip


def cliques(comparison: Comparison, metric: ComparedMetric) -> DrawnFigure | None:
    """Methods by mean, and beside them the sets that are not told apart; None where there are no such sets."""
    rows = [row for row in ordered(comparison, metric) if row.mean is not None]
    places = {row.method: place for place, row in enumerate(rows)}
    found = [
        sorted(places[name] for name in clique if name in places) for clique in comparison.cliques.get(metric.name, ())
    ]
    sets = sorted(clique for clique in found if clique)
    if len(rows) < 2 or not sets:
        return None
    style = looks(comparison)
    figure = sheet(1.05 + ROW * len(rows), f"{printable(metric.name)}: not told apart", basis(comparison, metric))
    means, marks = figure.subplots(1, 2, sharey=True, width_ratios=[3, max(1.5, 0.26 * len(sets))])
    _draw_means(means, rows, style, intervals=False)
    means.set_xlabel(f"mean {arrow(metric)}")
    bare(marks)
    for column, clique in enumerate(sets):
        marks.plot([column, column], [clique[0], clique[-1]], color=GREY, linewidth=1, zorder=1)
        marks.scatter([column] * len(clique), clique, s=26, color=INK, zorder=2)
    marks.set_xlim(-0.7, max(len(sets), 4) - 0.3)
    marks.set_xlabel("a column joins methods\nthat are not told apart", fontsize=7, loc="left")
    together = "; ".join(", ".join(rows[place].method for place in clique) for clique in sets if len(clique) > 1)
    return DrawnFigure(
        name=f"cliques_{file_stem(metric.name)}",
        metric=metric.name,
        title=f"Methods not told apart on {metric.name}",
        caption=f"Methods by mean {metric.name}. The dots of a column are a largest set of methods of which no two "
        f"were found to differ: {how_tested(comparison)} ({basis(comparison, metric)}). A line may "
        "pass a method by: only dots belong to the set. Not told apart is not the same as equal.",
        alt=f"Methods from best to worst on {metric.name}: {', '.join(row.method for row in rows)}. "
        + (f"Not told apart: {together}." if together else "Every two of them are told apart."),
        figure=figure,
        columns=("set", "method", "mean"),
        rows=tuple((n, rows[p].method, rows[p].mean) for n, clique in enumerate(sets, 1) for p in clique),
    )  # fmt: skip


def _draw_means(axes: Axes, rows: list[RankedMethod], style: dict[str, Look], *, intervals: bool = True) -> None:
    for place, row in enumerate(rows):
        low, high = (row.ci_low, row.ci_high) if intervals else (None, None)
        _point(axes, place, row.mean, low, high, style[row.method])
    axes.set_yticks(range(len(rows)), [style[row.method].label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_differences(
    axes: Axes,
    rows: list[RankedMethod],
    others: dict[str, Versus | None],
    style: dict[str, Look],
    margin: float | None,
) -> None:
    if margin:
        axes.axvspan(-margin, margin, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for place, row in enumerate(rows):
        said = others[row.method]
        if said:
            _point(axes, place, said.difference, said.low, said.high, style[row.method])
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=4)


def _point(axes: Axes, place: int, mean: float | None, low: float | None, high: float | None, look: Look) -> None:
    if mean is None:
        return
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=look.colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    axes.plot([mean], [place], look.marker, color=look.colour, markerfacecolor=look.face, markersize=5, zorder=3)


def _figures(said: Versus | None) -> str:
    """A difference in numbers, all with the decimals that the largest of them needs."""
    if said is None or said.difference is None:
        return "not compared"
    bounds = [end for end in (said.low, said.high) if end is not None]
    largest = max(map(abs, [said.difference, *bounds]))
    decimals = decimals_of(largest or 1, most=6)
    shown = format_signed(said.difference, decimals)
    if len(bounds) == 2:
        shown += f" [{format_signed(bounds[0], decimals)}, {format_signed(bounds[1], decimals)}]"
    p = said.pair.adjusted_p_value if said.pair.adjusted_p_value is not None else said.pair.p_value
    return shown + ("" if p is None else f"  p {format_p_relation(p)}")


def _forest_row(row: RankedMethod, said: Versus | None, reference: str, margin: float | None) -> tuple[object, ...]:
    pair = said.pair if said else None
    return (
        row.method,
        row.mean,
        row.ci_low,
        row.ci_high,
        reference,
        said.difference if said else None,
        said.low if said else None,
        said.high if said else None,
        pair.p_value if pair else None,
        pair.adjusted_p_value if pair else None,
        margin,
    )


def _forest_alt(
    metric: ComparedMetric, rows: list[RankedMethod], others: dict[str, Versus | None], reference: str
) -> str:
    parts = [f"{row.method} {row.mean:.4f}" for row in rows]
    said = [f"{v.method} {v.standing}" for v in others.values() if v]
    return f"Means on {metric.name}, best first: {', '.join(parts)}. Against {reference}: {', '.join(said)}."
