"""The figure of a trade-off: doing what was asked against keeping the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMethod, ComparedMetric
from evalkit.comparison.statements.figures import basis_of, trade_off_alt, trade_off_caption
from evalkit.report.figures.style import (
    GREY,
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

CROWDED = 1 / 8
"""Of the area that all regions fill: regions within less get a panel of their own."""


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
    points = tuple(
        _point(method.name, joined.columns[:, 2 * number : 2 * number + 2], joined.groups, view)
        for number, method in enumerate(methods)
    )
    close = crowded([point.box for point in points])
    figure = _new_figure(view, len(methods), basis_of(view.comparison, metrics, n, n_groups), zoomed=bool(close))
    panels = figure.subplots(*([2, 1] if view.narrow else [1, 2])) if close else [figure.subplots()]
    for axes in panels:
        for point in points:
            _draw_region(axes, point)
            axes.plot([point.x], [point.y], point.style.marker, color=point.style.colour,
                      markerfacecolor=point.style.face, markersize=6, label=point.style.label, zorder=3)  # fmt: skip
        _label(axes, *metrics)
    if close:
        _zoom(panels[0], panels[1], [points[number].box for number in close])
    for axes in panels:  # better always lies to the right and upwards
        if not preserved.higher_is_better:
            axes.invert_xaxis()
        if not view.metric.higher_is_better:
            axes.invert_yaxis()
    _legend(figure, panels[0], view, len(methods))
    asked, kept = view.metric.name, preserved.name
    return DrawnFigure(
        name=f"trade_off_{view.stem}_{file_stem(kept)}",
        title=f"{asked} against {kept}",
        caption=trade_off_caption(view.comparison, view.metric, preserved, n, n_groups, zoomed=bool(close)),
        alt=trade_off_alt(view.metric, preserved, {point.method: (point.x, point.y) for point in points}),
        figure=figure,
        columns=("method", kept, asked, "variance_x", "variance_y", "covariance", "items", "groups"),
        rows=tuple((point.method, point.x, point.y, *point.spread, n, n_groups) for point in points),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A method's two means with their joint confidence region."""

    method: str
    x: float
    y: float
    style: MethodStyle
    covariance: Floats | None
    radius: float

    @property
    def spread(self) -> tuple[float | None, float | None, float | None]:
        """Variance of x, of y, and their covariance."""
        if self.covariance is None:
            return None, None, None
        return float(self.covariance[0, 0]), float(self.covariance[1, 1]), float(self.covariance[0, 1])

    @property
    def box(self) -> Floats:
        """``((x, y) least, (x, y) greatest)`` of the region."""
        half = np.zeros(2) if self.covariance is None else self.radius * np.sqrt(np.diag(self.covariance))
        centre = np.array([self.x, self.y])
        return np.stack([centre - half, centre + half])


def _point(name: str, values: Floats, groups: tuple[str, ...], view: MetricView) -> _Point:
    x, y = (float(mean) for mean in values.mean(axis=0))
    found = mean_covariance(values, groups)
    return _Point(
        method=name,
        x=x,
        y=y,
        style=view.styles[name],
        covariance=found[0] if found else None,
        radius=region_radius(found[1], view.alpha) if found else 0.0,
    )


def crowded(boxes: Sequence[Floats]) -> list[int]:
    """Three or more regions that crowd in a small part of what all of them fill; empty where none do.

    Of several such sets the one that the next region lies farthest from.

    Args:
        boxes: Each ``((x, y) least, (x, y) greatest)``.
    """
    stacked = np.stack(boxes)
    size = np.ptp(stacked, axis=(0, 1))
    if not size.all():
        return []
    centres = stacked.mean(axis=1)
    distance = (np.abs(centres - np.median(centres, axis=0)) / size).max(axis=1)
    order = np.argsort(distance, kind="stable")
    shares = {k: float((np.ptp(stacked[order[:k]], axis=(0, 1)) / size).prod()) for k in range(3, len(order) + 1)}
    steps = {k: shares[k + 1] / shares[k] for k in shares if 0 < shares[k] < CROWDED and k + 1 in shares}
    return sorted(order[: max(steps, key=steps.__getitem__)].tolist()) if steps else []


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


def _draw_region(axes: Axes, point: _Point) -> None:
    if point.covariance is None:
        return
    lengths, directions = np.linalg.eigh(point.covariance)
    width, height = 2 * point.radius * np.sqrt(np.maximum(lengths, 0))
    angle = math.degrees(math.atan2(directions[1, 0], directions[0, 0]))
    style = point.style
    for face, opacity, line in ((style.colour, 0.08, "none"), ("none", 1.0, style.colour)):
        axes.add_patch(
            Ellipse((point.x, point.y), width, height, angle=angle, facecolor=face, edgecolor=line,
                    linestyle=style.line, alpha=opacity, linewidth=1)
        )  # fmt: skip


def _new_figure(view: MetricView, n_methods: int, basis: str, *, zoomed: bool) -> Figure:
    title = "Doing what was asked, keeping the rest"
    rows = math.ceil(n_methods / 2) if view.narrow else 0
    height = (5.6 if zoomed else 3.3) + 0.2 * rows if view.narrow else max(3.6, 1.3 + 0.2 * n_methods)
    foot = "" if view.narrow else f"pointwise {view.level} regions; {basis}"
    return new_figure(height, title, foot, width=view.width)


def _label(axes: Axes, preserved: ComparedMetric, aligned: ComparedMetric) -> None:
    axes.margins(0.08)
    axes.autoscale_view()
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(nbins=5)
    axes.set_xlabel(f"{printable(preserved.name)} {direction(preserved)}  →")
    axes.set_ylabel(f"{printable(aligned.name)} {direction(aligned)}  →")


def _zoom(whole: Axes, part: Axes, boxes: Sequence[Floats]) -> None:
    """The second panel holds what crowds in the first, where a frame marks it."""
    stacked = np.stack(boxes)
    low, high = stacked[:, 0].min(axis=0), stacked[:, 1].max(axis=0)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)
    part.set_xlim(low[0], high[0])
    part.set_ylim(low[1], high[1])
    part.set_title("the framed part, enlarged", loc="left", fontsize=7.5)
    whole.add_patch(Rectangle(low, *(high - low), fill=False, edgecolor=GREY, linewidth=0.8, linestyle=(0, (3, 2))))


def _legend(figure: Figure, axes: Axes, view: MetricView, n_methods: int) -> None:
    handles = axes.get_legend_handles_labels()
    if view.narrow:
        figure.legend(*handles, loc="outside lower left", fontsize=7, handlelength=1, ncols=2)
    else:
        figure.legend(*handles, loc="outside right upper", fontsize=7.5, handlelength=1, ncols=1 + n_methods // 40)
