"""The figure of what more items would show."""

import math

import numpy as np
from matplotlib.axes import Axes

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMetric
from evalkit.report.comparison import alpha_of
from evalkit.report.figures.style import GREY, GRID, INK, DrawnFigure, new_figure, printable
from evalkit.report.figures.view import MetricView
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.power import minimum_detectable_effect

POINTS = 33
FROM, TO = 1 / 4, 16
"""The range of a power curve, in multiples of the present number of items."""


def power_curve(view: MetricView) -> DrawnFigure | None:
    """What so many items would detect, for each method against a reference; None where no difference varies."""
    metric, styles = view.metric, view.styles
    alpha = planning_alpha(view)
    curves = _curves(view, alpha)
    if not curves:
        return None
    title = f"{printable(metric.name)}: what more items would show"
    figure = new_figure(max(3.3, 1.3 + 0.2 * len(curves)), title, view.basis)
    axes = figure.subplots()
    for name, (n_items, effects, _) in curves.items():
        axes.plot(n_items, effects, color=styles[name].colour, linestyle=styles[name].line, label=styles[name].label)
    present = sorted({n for _, _, n in curves.values()})
    for n in present:
        axes.axvline(n, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    _finish(axes, present[-1], metric)
    legend = f"against\n{styles[view.reference].label}"
    figure.legend(loc="outside right upper", fontsize=7.5, title=legend, alignment="left", title_fontsize=7,
                  handlelength=1.6)  # fmt: skip
    at_present = ", ".join(f"{name} {float(np.interp(n, x, y)):.4f}" for name, (x, y, n) in curves.items())
    corrected = " (corrected)" if alpha < alpha_of(view.comparison) else ""
    return DrawnFigure(
        name=f"power_{view.stem}",
        title=f"Differences on {metric.name} that more items would detect",
        caption=f"Smallest true difference to {view.reference_label} in {metric.name} that a two-sided test finds with "
        f"a probability of 80 % at α = {alpha:.3g}{corrected}, by number of items, had they the spread and the groups "
        f"of these: {view.basis}. The dotted line is the present number.",
        alt=f"Detectable difference to {view.reference} on {metric.name} at present: {at_present}; it "
        "halves with every four times as many items.",
        figure=figure,
        columns=("method", "reference", "items", "minimum_detectable_effect"),
        rows=tuple(
            (name, view.reference, int(n), float(effect))
            for name, (x, y, _) in curves.items()
            for n, effect in zip(x, y, strict=True)
        ),
    )


def _curves(view: MetricView, alpha: float) -> dict[str, tuple[Floats, Floats, int]]:
    """Method to numbers of items, what each detects, and the present number."""
    curves: dict[str, tuple[Floats, Floats, int]] = {}
    for row in view.methods:
        both = view.with_reference(row.method)
        n, n_groups = len(both.item_ids), len(set(both.groups))
        if view.pair(row.method) and n_groups > 2:
            error = cluster_error(both.columns[:, 1] - both.columns[:, 0], code_groups(both.groups))
            if error:
                curves[row.method] = (*detectable(error, n, n_groups, alpha), n)
    return curves


def planning_alpha(view: MetricView) -> float:
    """The error rate of one comparison: where the family's is corrected, its share, as in the table of pairs."""
    comparison, alpha = view.comparison, alpha_of(view.comparison)
    if not view.metric.primary or comparison.settings.get("correction") not in ("holm", "max_t"):
        return alpha
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    return alpha / max(1, sum(pair.metric in primary and pair.p_value is not None for pair in comparison.pairs))


def detectable(error: float, n: int, n_groups: int, alpha: float) -> tuple[Floats, Floats]:
    """Numbers of items, and the smallest difference that each detects with a probability of 80 %.

    Args:
        error: Group-robust standard error of the mean difference over the present items.
        n: Present number of items.
        n_groups: Present number of groups; it grows with the items.
        alpha: Two-sided error rate.
    """
    least = max(FROM, 3 / n_groups)
    n_items = np.unique(np.rint(np.append(np.geomspace(least * n, TO * n, POINTS), n)))
    effects = [
        minimum_detectable_effect(
            standard_error=error * math.sqrt(n / items), degrees_of_freedom=n_groups * items / n - 1, alpha=alpha
        )
        for items in n_items
    ]
    return n_items, np.array(effects)


def _finish(axes: Axes, present: int, metric: ComparedMetric) -> None:
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
    axes.annotate(f" {present:,} items now", (present, 1), xycoords=("data", "axes fraction"), fontsize=7, color=INK,
                  va="top")  # fmt: skip
    if metric.margin:
        axes.axhline(metric.margin, color=GREY, linewidth=0.8)
        axes.annotate(f"margin {metric.margin:g}", (1, metric.margin), xycoords=("axes fraction", "data"), ha="right",
                      va="bottom", fontsize=7)  # fmt: skip
    axes.set_xlabel("items")
    axes.set_ylabel(f"detectable difference in {printable(metric.name)}")
