"""The figure of a trade-off: doing what was asked against keeping the rest."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMethod, ComparedMetric
from evalkit.comparison.statements.figures import basis_of, trade_off_alt, trade_off_caption
from evalkit.report.figures.style import (
    GRID,
    DrawnFigure,
    MethodStyle,
    direction,
    new_figure,
    printable,
)
from evalkit.report.figures.view import MetricView, join_values
from evalkit.stats.clusters import code_groups, group_deviations, satterthwaite
from evalkit.storage.names import file_stem


def trade_off(view: MetricView, preserved: ComparedMetric) -> DrawnFigure | None:
    """Two metrics' means with the joint confidence region of each; None where no item has both.

    Args:
        view: The metric of alignment.
        preserved: The metric of preservation.
    """
    metrics = (preserved, view.metric)
    methods = [method for method in view.comparison.methods if all(_has(method, metric) for metric in metrics)]
    joined = join_values([(method, metric.name) for method in methods for metric in metrics])
    n, n_groups = len(joined.item_ids), len(set(joined.groups))
    if not n:
        return None
    basis = basis_of(view.comparison, metrics, n, n_groups)
    height = max(3.6, 1.3 + 0.2 * len(methods))
    figure = new_figure(
        height, "Doing what was asked against keeping the rest", f"pointwise {view.level} regions; {basis}"
    )
    axes = figure.subplots()
    rows: list[tuple[object, ...]] = []
    means: dict[str, tuple[float, float]] = {}
    for number, method in enumerate(methods):
        values, style = joined.columns[:, 2 * number : 2 * number + 2], view.styles[method.name]
        x, y = (float(mean) for mean in values.mean(axis=0))
        spread: tuple[float | None, ...] = (None, None, None)
        if found := mean_covariance(values, joined.groups):
            covariance, freedom = found
            _draw_region(axes, (x, y), covariance, region_radius(freedom, view.alpha), style)
            spread = (float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1]))
        axes.plot([x], [y], style.marker, color=style.colour, markerfacecolor=style.face, markersize=6,
                  label=style.label, zorder=3)  # fmt: skip
        rows.append((method.name, x, y, *spread, n, n_groups))
        means[method.name] = x, y
    _finish(axes, *metrics)
    figure.legend(loc="outside right upper", fontsize=7.5, handlelength=1)
    asked, kept = view.metric.name, preserved.name
    return DrawnFigure(
        name=f"trade_off_{view.stem}_{file_stem(kept)}",
        title=f"{asked} against {kept}",
        caption=trade_off_caption(view.comparison, view.metric, preserved, n, n_groups),
        alt=trade_off_alt(view.metric, preserved, means),
        figure=figure,
        columns=("method", kept, asked, "variance_x", "variance_y", "covariance", "items", "groups"),
        rows=tuple(rows),
    )


def _has(method: ComparedMethod, metric: ComparedMetric) -> bool:
    return metric.name in method.table.metrics and bool(method.table.item_means(metric.name).item_ids)


def mean_covariance(values: Floats, groups: tuple[str, ...]) -> tuple[Floats, float] | None:
    """Group-robust (CR2) covariance of a vector of means, with its degrees of freedom; None where these are 1 or less.

    Args:
        values: ``(n, 2)``.
        groups: ``(n,)``.
    """
    grouped = code_groups(groups)
    if grouped.n_groups < 3 or (freedom := satterthwaite(grouped.sizes)) <= 1:
        return None
    deviations = group_deviations(values, grouped)
    return deviations.T @ deviations, freedom


def region_radius(freedom: float, alpha: float) -> float:
    """Hotelling's radius of a confidence region of two means, in standard errors, for more than 1 degree of freedom."""
    from scipy.special import fdtri

    return math.sqrt(2 * freedom / (freedom - 1) * float(fdtri(2, freedom - 1, 1 - alpha)))


def _draw_region(
    axes: Axes, centre: tuple[float, float], covariance: Floats, radius: float, style: MethodStyle
) -> None:
    lengths, directions = np.linalg.eigh(covariance)
    width, height = 2 * radius * np.sqrt(np.maximum(lengths, 0))
    angle = math.degrees(math.atan2(directions[1, 0], directions[0, 0]))
    for face, opacity, line in ((style.colour, 0.08, "none"), ("none", 1.0, style.colour)):
        axes.add_patch(
            Ellipse(centre, width, height, angle=angle, facecolor=face, edgecolor=line, linestyle=style.line,
                    alpha=opacity, linewidth=1)
        )  # fmt: skip


def _finish(axes: Axes, preserved: ComparedMetric, aligned: ComparedMetric) -> None:
    axes.margins(0.08)
    axes.autoscale_view()
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(nbins=6)
    axes.set_xlabel(f"{printable(preserved.name)} {direction(preserved)}  →")
    axes.set_ylabel(f"{printable(aligned.name)} {direction(aligned)}  →")
    # Better always lies to the right and upwards.
    if not preserved.higher_is_better:
        axes.invert_xaxis()
    if not aligned.higher_is_better:
        axes.invert_yaxis()
