"""The panels that show what metrics are worth: preferences, sensitivity to damage, agreement with truth and people."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from evalkit.formatting import format_percent
from evalkit.report.figures.style import (
    COLOURS,
    GREY,
    GRID,
    INK,
    MARKERS,
    PAPER,
    DrawnFigure,
    figure_style,
    new_figure,
    printable,
    with_fixed_layout,
)
from evalkit.stats.agreement import USABLE
from evalkit.validity.records import MetricValidity, Scope, Validity

LINE = 0.1
"""Inches per point of a metric."""
Point = tuple[float, float | None, float | None]
"""Value, and the ends of its interval where it has one."""
Series = Mapping[str, Sequence[Point | None]]
"""The name of a control, a kind of damage, a truth or a measure of agreement to a point of each metric."""
PEOPLE = {
    "of edits": ("accuracy", "accuracy_low", "accuracy_high"),
    "of methods, soft": ("soft", "soft_low", "soft_high"),
}
"""The pairs of which accuracy is shown, and the fields of its value and interval."""


def draw_panel(validity: Validity) -> DrawnFigure:
    """All metrics in one figure."""
    with figure_style():
        return with_fixed_layout(_panel(validity))


def _panel(validity: Validity) -> DrawnFigure:
    metrics = validity.metrics
    scope: Scope = "all" if any(a.scope == "all" for m in metrics for a in m.agreements) else "methods"
    panels = {
        "control": _series(metrics, validity.controls(damage=False), _preference),
        "damage": _series(metrics, validity.controls(damage=True), _shift),
        "agreement": _series(metrics, validity.truths, lambda metric, truth: _correlation(metric, truth, scope)),
        "people": _series(metrics, [*PEOPLE] if any(metric.people for metric in metrics) else [], _accuracy),
    }
    shown = [kind for kind in panels if kind in ("control", "damage") or panels[kind]]
    n_lines = max(map(len, panels.values())) + 1
    basis = f"{validity.n_items} items in {validity.n_groups} groups; intervals by group"
    basis += "; miniature encoder, not comparable" if validity.miniature else ""
    title = f"What metrics are worth on {validity.benchmark}"
    figure = new_figure(1.75 + LINE * n_lines * len(metrics), title, basis)
    axes = dict(zip(shown, figure.subplots(1, len(shown), sharey=True), strict=True))
    for kind, one in axes.items():
        _draw(one, panels[kind], n_lines, ticks=5 if len(axes) < 4 else 3)
    _finish(axes, validity)
    return DrawnFigure(
        name="validity",
        title=title,
        caption=f"Left: how often the {validity.true_edit_words} scores better than a control on the same item, ties "
        f"one half; a metric below {USABLE:g} (dotted) cannot rank single items. Middle: how far damage moves the "
        "mean, + towards better, in shares of the way to another source image. "
        f"{_about_agreement(shown)}{format_percent(validity.level)} intervals; {basis}.",
        alt=" ".join(f"{metric.metric}: {metric.verdict}." for metric in metrics),
        figure=figure,
        columns=("metric", "panel", "name", "value", "ci_low", "ci_high"),
        rows=tuple(
            (metric.metric, kind, name, *point)
            for number, metric in enumerate(metrics)
            for kind, series in panels.items()
            for name, points in series.items()
            if (point := points[number]) is not None
        ),
    )


def _about_agreement(shown: Sequence[str]) -> str:
    """What the panels on the right are."""
    said = {
        "agreement": "mean rank correlation with the truth across the edits of an item. ",
        "people": "share of pairs of edits of an item that the metric orders as people do, ties calibrated, and soft "
        "accuracy of pairs of methods; 1 is perfect. ",
    }
    found = [said[kind] for kind in shown if kind in said]
    places = ["Right: "] if len(found) == 1 else ["Third: ", "Right: "]
    return "".join(place + words for place, words in zip(places, found, strict=False))


def _finish(axes: Mapping[str, Axes], validity: Validity) -> None:
    axes["control"].set_xlabel(f"P({validity.true_edit_words}\nbeats control)")
    axes["control"].set_xlim(-0.04, 1.04)
    for x, style in ((0.5, "-"), (USABLE, ":")):
        axes["control"].axvline(x, color=GREY, linewidth=0.8, linestyle=style, zorder=1)
    axes["damage"].set_xlabel("shift by damage\n(−1: as another source)")
    axes["damage"].axvline(0, color=GREY, linewidth=0.8, zorder=1)
    if "agreement" in axes:
        axes["agreement"].set_xlabel("rank correlation\nwith the truth")
        axes["agreement"].axvline(0, color=GREY, linewidth=0.8, zorder=1)
        axes["agreement"].set_xlim(-1.05, 1.05)
    if "people" in axes:
        axes["people"].set_xlabel("pairs ordered\nas people do")
        axes["people"].set_xlim(-0.04, 1.04)
    metrics = validity.metrics
    axes["control"].set_yticks(range(len(metrics)), [printable(metric.label) for metric in metrics])
    axes["control"].set_ylim(len(metrics) - 0.5, -0.5)


def _draw(axes: Axes, series: Series, n_lines: int, *, ticks: int) -> None:
    """One colour and marker per name, below each other within a metric's band."""
    for number, (name, points) in enumerate(series.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        offset, label = (number + 1) / n_lines - 0.5, name
        for metric, point in enumerate(points):
            if point is None:
                continue
            value, low, high = point
            if low is not None and high is not None:
                axes.plot([low, high], [metric + offset] * 2, color=colour, linewidth=1.1, zorder=2)
            axes.plot(
                [value], [metric + offset], marker, color=colour, markersize=4, markeredgecolor=PAPER,
                markeredgewidth=0.4, zorder=3, label=label, linestyle="none",
            )  # fmt: skip
            label = "_"
    for metric in range(1, max(map(len, series.values()), default=0)):
        axes.axhline(metric - 0.5, color=GRID, linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=ticks)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), fontsize=6.5, handletextpad=0.2, borderpad=0, labelcolor=INK
    )


def _series(
    metrics: Sequence[MetricValidity], names: Sequence[str], point: Callable[[MetricValidity, str], Point | None]
) -> Series:
    return {name: [point(metric, name) for metric in metrics] for name in names}


def _preference(metric: MetricValidity, control: str) -> Point | None:
    found = metric.against(control)
    return None if found is None or found.probability is None else (found.probability, found.ci_low, found.ci_high)


def _shift(metric: MetricValidity, damage: str) -> Point | None:
    shift = metric.relative_shift(damage)
    return None if shift is None else (shift, None, None)


def _correlation(metric: MetricValidity, truth: str, scope: Scope) -> Point | None:
    found = metric.agreement(truth, scope)
    return None if found is None or found.value is None else (found.value, found.ci_low, found.ci_high)


def _accuracy(metric: MetricValidity, pairs: str) -> Point | None:
    if metric.people is None:
        return None
    value, low, high = (getattr(metric.people, name) for name in PEOPLE[pairs])
    return None if value is None else (value, low, high)
