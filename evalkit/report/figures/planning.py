"""Figures for judging and planning: alignment against preservation, and what more items would show."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMethod, ComparedMetric, Comparison
from evalkit.formatting import counted
from evalkit.report.comparison import level_of
from evalkit.report.figures.data import (
    joined,
    ordered,
    paired,
    reference_label,
    reference_of,
    versus,
)
from evalkit.report.figures.means import basis
from evalkit.report.figures.style import (
    GREY,
    GRID,
    INK,
    DrawnFigure,
    Look,
    alpha_of,
    arrow,
    file_stem,
    is_miniature,
    looks,
    printable,
    sheet,
)
from evalkit.stats.clusters import code_groups as coded
from evalkit.stats.clusters import group_error

POINTS = 33
FROM, TO = 1 / 4, 16
"""The range of a power curve, in multiples of the present number of items."""


def trade_off(comparison: Comparison, preserved: ComparedMetric, aligned: ComparedMetric) -> DrawnFigure | None:
    """Two metrics' means with the joint confidence region of each; None where no item has both."""
    style = looks(comparison)
    columns = {
        m.name: [(m, preserved.name), (m, aligned.name)] for m in comparison.methods if _has(m, preserved, aligned)
    }
    together = joined([column for pair in columns.values() for column in pair])
    n, n_groups = len(together.item_ids), len(set(together.groups))
    if not n:
        return None
    subtitle = (
        f"{level_of(comparison)} regions; {counted(n, 'item')} in {counted(n_groups, 'group')}, resampled by group"
    )
    if is_miniature(preserved) or is_miniature(aligned):
        subtitle += "; miniature encoder, not comparable"
    figure = sheet(max(3.6, 1.3 + 0.2 * len(columns)), "Doing what was asked against keeping the rest", subtitle)
    axes = figure.subplots()
    rows: list[tuple[object, ...]] = []
    for number, name in enumerate(columns):
        values = together.columns[:, 2 * number : 2 * number + 2]
        x, y = (float(mean) for mean in values.mean(axis=0))
        covariance = mean_covariance(values, together.groups)
        if covariance is not None:
            _draw_region(axes, (x, y), covariance, n_groups, alpha_of(comparison), style[name])
        _draw_mean(axes, x, y, style[name])
        spread: tuple[object, ...] = (None,) * 3
        if covariance is not None:
            spread = (float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1]))
        rows.append((name, x, y, *spread, n, n_groups))
    _finish_trade_off(axes, preserved, aligned)
    figure.legend(loc="outside right upper", fontsize=7.5, handlelength=1)
    best = " · ".join(f"{row[0]}: {row[1]:.3f}, {row[2]:.3f}" for row in rows)
    return DrawnFigure(
        name=f"trade_off_{file_stem(aligned.name)}_{file_stem(preserved.name)}",
        metric=aligned.name,
        title=f"{aligned.name} against {preserved.name}",
        caption=f"Mean {aligned.name} against mean {preserved.name}; the better corner is at the top right, axes of "
        f"lower-is-better metrics are reversed. Ellipses are {level_of(comparison)} confidence regions of the mean "
        f"from the joint group-robust covariance ({counted(n, 'item')} in {counted(n_groups, 'group')}, the unit of "
        "resampling); hollow markers are controls.",
        alt=f"Mean {preserved.name} and mean {aligned.name} of each method: {best}.",
        figure=figure,
        columns=("method", preserved.name, aligned.name, "variance_x", "variance_y", "covariance", "items", "groups"),
        rows=tuple(rows),
    )


def mean_covariance(values: Floats, groups: tuple[str, ...]) -> Floats | None:
    """Group-robust (CR1) covariance of a vector of means; None for fewer than three groups.

    ``G/(G−1) · Σ_g r_g r_gᵀ / n²`` with ``r_g`` the sum of a group's residuals: the square of
    :func:`~evalkit.stats.clusters.group_error` on the diagonal.

    Args:
        values: ``(n, 2)``.
        groups: ``(n,)``.
    """
    grouped = coded(groups)
    if grouped.n_groups < 3:
        return None
    sums = grouped.sums(values - values.mean(axis=0))
    covariance: Floats = grouped.n_groups / (grouped.n_groups - 1) * (sums.T @ sums) / len(values) ** 2
    return covariance


def region_radius(n_groups: int, alpha: float) -> float:
    """Hotelling's radius of a confidence region of two means, in standard errors, for three groups or more."""
    from scipy.special import fdtri

    freedom = n_groups - 1
    return math.sqrt(2 * freedom / (freedom - 1) * float(fdtri(2, freedom - 1, 1 - alpha)))


def _has(method: ComparedMethod, *metrics: ComparedMetric) -> bool:
    return all(
        metric.name in method.table.metrics and len(method.table.item_means(metric.name).item_ids) for metric in metrics
    )


def _draw_mean(axes: Axes, x: float, y: float, look: Look) -> None:
    axes.plot(
        [x], [y], look.marker, color=look.colour, markerfacecolor=look.face, markersize=6, label=look.label, zorder=3
    )


def _draw_region(
    axes: Axes, centre: tuple[float, float], covariance: Floats, n_groups: int, alpha: float, look: Look
) -> None:
    lengths, directions = np.linalg.eigh(covariance)
    width, height = 2 * region_radius(n_groups, alpha) * np.sqrt(np.maximum(lengths, 0))
    angle = math.degrees(math.atan2(directions[1, 0], directions[0, 0]))
    for face, opacity, line in ((look.colour, 0.08, "none"), ("none", 1.0, look.colour)):
        axes.add_patch(
            Ellipse(centre, width, height, angle=angle, facecolor=face, edgecolor=line, linestyle=look.line,
                    alpha=opacity, linewidth=1)
        )  # fmt: skip


def _finish_trade_off(axes: Axes, preserved: ComparedMetric, aligned: ComparedMetric) -> None:
    axes.margins(0.08)
    axes.autoscale_view()
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(nbins=6)
    axes.set_xlabel(f"{arrow(preserved)}  →")
    axes.set_ylabel(f"{arrow(aligned)}  →")
    # Better always lies to the right and upwards.
    if not preserved.higher_is_better:
        axes.invert_xaxis()
    if not aligned.higher_is_better:
        axes.invert_yaxis()


def power_curve(comparison: Comparison, metric: ComparedMetric) -> DrawnFigure | None:
    """What so many items would detect, for each method against a reference; None where no difference varies."""
    style = looks(comparison)
    reference = reference_of(comparison, metric)
    alpha = planning_alpha(comparison, metric)
    curves: dict[str, tuple[Floats, Floats, int]] = {}
    for row in ordered(comparison, metric):
        both = paired(comparison, metric.name, row.method, reference)
        if versus(comparison, metric.name, row.method, reference) and len(both.item_ids):
            error = group_error(both.columns[:, 1] - both.columns[:, 0], coded(both.groups))
            n, n_groups = len(both.item_ids), len(set(both.groups))
            if error and n_groups > 2:
                curves[row.method] = (*detectable(error, n, n_groups, alpha), n)
    if not curves:
        return None
    label = reference_label(comparison, style[reference].label)
    figure = sheet(max(3.3, 1.3 + 0.2 * len(curves)), f"{printable(metric.name)}: what more items would show",
                   basis(comparison, metric))  # fmt: skip
    axes = figure.subplots()
    for name, (n_items, effects, _) in curves.items():
        axes.plot(n_items, effects, color=style[name].colour, linestyle=style[name].line, label=style[name].label)
    now = sorted({n for _, _, n in curves.values()})
    for n in now:
        axes.axvline(n, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    _finish_power(axes, now[-1], metric)
    figure.legend(
        loc="outside right upper",
        fontsize=7.5,
        title=f"against\n{style[reference].label}",
        alignment="left",
        title_fontsize=7,
        handlelength=1.6,
    )
    at_present = [f"{name} {float(np.interp(n, x, y)):.4f}" for name, (x, y, n) in curves.items()]
    return DrawnFigure(
        name=f"power_{file_stem(metric.name)}",
        metric=metric.name,
        title=f"Differences on {metric.name} that more items would detect",
        caption=f"Smallest true difference to {label} in {metric.name} that a two-sided test finds with a probability "
        f"of 80 % at α = {alpha:.3g}{' (corrected)' if alpha < alpha_of(comparison) else ''}, by number "
        f"of items, had they the spread and the groups of these: {basis(comparison, metric)}. The dotted line is the "
        "present number.",
        alt=f"Detectable difference to {reference} on {metric.name} at present: {', '.join(at_present)}; it "
        "halves with every four times as many items.",
        figure=figure,
        columns=("method", "reference", "items", "minimum_detectable_effect"),
        rows=tuple(
            (name, reference, int(n), float(effect))
            for name, (x, y, _) in curves.items()
            for n, effect in zip(x, y, strict=True)
        ),
    )


def planning_alpha(comparison: Comparison, metric: ComparedMetric) -> float:
    """The error rate of one comparison: where the family's is corrected, its share, as in the table of pairs."""
    primary = {other.name for other in comparison.metrics if other.primary}
    if not metric.primary or comparison.settings.get("correction") not in ("holm", "max_t"):
        return alpha_of(comparison)
    tests = sum(pair.metric in primary and pair.p_value is not None for pair in comparison.pairs)
    return alpha_of(comparison) / max(1, tests)


def detectable(error: float, n: int, n_groups: int, alpha: float) -> tuple[Floats, Floats]:
    """Numbers of items, and the smallest difference that each detects with a probability of 80 %.

    Args:
        error: Group-robust standard error of the mean difference over the present items.
        n: Present number of items.
        n_groups: Present number of groups; it grows with the items.
        alpha: Two-sided error rate.
    """
    from evalkit.stats.power import minimum_detectable_effect

    least = max(FROM, 3 / n_groups)
    n_items = np.unique(np.rint(np.append(np.geomspace(least * n, TO * n, POINTS), n)))
    effects = [
        minimum_detectable_effect(
            standard_error=error * math.sqrt(n / items), degrees_of_freedom=n_groups * items / n - 1, alpha=alpha
        )
        for items in n_items
    ]
    return n_items, np.array(effects)


def _finish_power(axes: Axes, now: int, metric: ComparedMetric) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_xlim()
    ticks = [n for n in (10, 20, 50, *(m * 10**e for e in range(2, 8) for m in (1, 2, 5))) if low <= n <= high]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    bottom, top = axes.get_ylim()
    steps = [m * 10.0**e for e in range(-7, 8) for m in (1, 2, 5) if bottom <= m * 10.0**e <= top]
    axes.set_yticks(steps, [f"{step:g}" for step in steps])
    axes.grid(color=GRID, linewidth=0.6)
    axes.annotate(f" {now:,} items now", (now, 1), xycoords=("data", "axes fraction"), fontsize=7, color=INK, va="top")
    if metric.margin:
        axes.axhline(metric.margin, color=GREY, linewidth=0.8)
        axes.annotate(
            f"margin {metric.margin:g}",
            (1, metric.margin),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=7,
        )
    axes.set_xlabel("items")
    axes.set_ylabel(f"detectable difference in {printable(metric.name)}")
