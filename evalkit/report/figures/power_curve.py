"""The figure of what more items would find."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from evalkit.comparison.records import ComparedMetric
from evalkit.comparison.statements.figures import power_alt, power_caption
from evalkit.comparison.statements.terms import Inference
from evalkit.formatting import counted
from evalkit.report.figures.style import GREY, GRID, INK, DrawnFigure, new_figure, printable
from evalkit.report.figures.view import MetricView
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.multiplicity import Procedure, level_share
from evalkit.stats.power import Design, groups_needed

POINTS = 33
_PROCEDURES: Mapping[str, Procedure] = {
    "holm": "holm",
    "max_t": "holm",
    "benjamini_hochberg": "bh",
    "benjamini_yekutieli": "by",
    "none": "none",
}
"""What sets the level of one comparison, by the correction's name in the settings."""
FROM, TO = 1 / 4, 16
"""The range of a power curve, in multiples of the present number of groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCurve:
    """What one method's difference to the reference would have to be, by the size of the study."""

    groups: tuple[int, ...]
    """Increasing, from the fewest with which anything can be found."""
    items: tuple[int, ...]
    effects: tuple[float, ...]
    """True difference that would be found by four of five such studies."""
    n_items: int
    """At present."""
    n_groups: int

    @property
    def now(self) -> float | None:
        """The effect at present; None where so few groups can find nothing."""
        return dict(zip(self.groups, self.effects, strict=True)).get(self.n_groups)


def power_curve(view: MetricView) -> DrawnFigure | None:
    """What so many items would find, for each method against a reference; None where no difference varies."""
    metric, styles = view.metric, view.styles
    if Inference.of(view.comparison.settings).is_about_ranks:
        return None  # a test of ranks finds no difference of means
    alpha, sign_flip = planning_alpha(view), view.comparison.settings.get("test") != "t"
    curves = _curves(view, alpha, sign_flip=sign_flip)
    if not curves:
        return None
    title = f"{printable(metric.name)}: what more items would find"
    figure = new_figure(max(3.3, 1.3 + 0.2 * len(curves)), title, view.basis)
    axes = figure.subplots()
    for name, curve in curves.items():
        style = styles[name]
        axes.plot(curve.groups, curve.effects, color=style.colour, linestyle=style.line, label=style.label)
    _finish(axes, list(curves.values()), metric)
    legend = f"against\n{styles[view.reference].label}"
    figure.legend(loc="outside right upper", fontsize=7.5, title=legend, alignment="left", title_fontsize=7,
                  handlelength=1.6)  # fmt: skip
    at_present = {name: curve.now for name, curve in curves.items()}
    return DrawnFigure(
        name=f"power_{view.stem}",
        title=f"Differences on {metric.name} that more items would find",
        caption=power_caption(view.comparison, metric, view.reference_label, alpha),
        alt=power_alt(view.comparison, metric, view.reference, at_present),
        figure=figure,
        columns=("method", "reference", "items", "minimum_detectable_effect", "groups"),
        rows=tuple(
            (name, view.reference, items, effect, groups)
            for name, curve in curves.items()
            for groups, items, effect in zip(curve.groups, curve.items, curve.effects, strict=True)
        ),
    )


def _curves(view: MetricView, alpha: float, *, sign_flip: bool) -> dict[str, PowerCurve]:
    """Method to its curve, where its difference to the reference varies and enough groups are within reach."""
    curves: dict[str, PowerCurve] = {}
    for row in view.methods:
        both = view.with_reference(row.method)
        coded = code_groups(both.groups)
        spread = cluster_error(both.columns[:, 1] - both.columns[:, 0], coded) if view.pair(row.method) else None
        if spread and spread.error:
            deviation = spread.error * math.sqrt(len(coded))
            design = Design(standard_deviation=deviation, group_sizes=tuple(coded.sizes.tolist()))
            curve = curve_of(design, len(coded), alpha, sign_flip=sign_flip)
            curves |= {row.method: curve} if curve else {}
    return curves


def planning_alpha(view: MetricView) -> float:
    """The error rate of one comparison, as in the table of pairs: its share in that of its family."""
    comparison, inference = view.comparison, Inference.of(view.comparison.settings)
    family = {metric.name for metric in comparison.metrics if metric.primary == view.metric.primary}
    adjusted = [p.adjusted_p_value for p in comparison.pairs if p.metric in family and p.adjusted_p_value is not None]
    n_found = sum(p_value <= inference.alpha for p_value in adjusted)
    procedure = _PROCEDURES[inference.correction_of(view.metric)]
    return inference.alpha * level_share(procedure, len(adjusted), n_found)


def curve_of(design: Design, n_items: int, alpha: float, *, sign_flip: bool = True) -> PowerCurve | None:
    """What whole groups would find, from a quarter of the present number to sixteen times as many.

    Args:
        design: Spread and sizes of the present groups.
        n_items: Present number of items.
        alpha: Two-sided error rate, corrected.
        sign_flip: Whether the test has a smallest p-value.

    Returns:
        None where even the largest could find nothing.
    """
    present = design.groups_in(n_items)
    least, most = max(3, groups_needed(alpha) if sign_flip else 3, round(FROM * present)), round(TO * present)
    if most < least:
        return None
    groups = {round(number) for number in np.geomspace(least, most, POINTS)} | {max(least, present)}
    found = {number: design.detectable(number, alpha=alpha, sign_flip=sign_flip) for number in sorted(groups)}
    effects = {number: effect for number, effect in found.items() if effect is not None}
    return PowerCurve(
        groups=tuple(effects),
        items=tuple(design.items_in(number) for number in effects),
        effects=tuple(effects.values()),
        n_items=n_items,
        n_groups=present,
    )


def _finish(axes: Axes, curves: Sequence[PowerCurve], metric: ComparedMetric) -> None:
    grouped = any(curve.n_groups < curve.n_items for curve in curves)
    largest = max(curves, key=lambda curve: curve.n_groups)
    for present in {curve.n_groups for curve in curves}:
        axes.axvline(present, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
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
    now = counted(largest.n_groups, "group" if grouped else "item")
    axes.annotate(f" {now} now", (largest.n_groups, 1), xycoords=("data", "axes fraction"), fontsize=7, color=INK,
                  va="top")  # fmt: skip
    if metric.margin:
        axes.axhline(metric.margin, color=GREY, linewidth=0.8)
        axes.annotate(f"margin {metric.margin:g}", (1, metric.margin), xycoords=("axes fraction", "data"), ha="right",
                      va="bottom", fontsize=7)  # fmt: skip
    mean_size = largest.n_items / largest.n_groups
    axes.set_xlabel(f"groups of {mean_size:.3g} items on average" if grouped else "items")
    axes.set_ylabel(f"true difference in {printable(metric.name)}")
