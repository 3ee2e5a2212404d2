"""The panel that shows what metrics are worth: preferences, sensitivity to damage, agreement with the truth."""

from collections.abc import Sequence

from matplotlib.axes import Axes

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
from evalkit.validity.records import Scope, Validity
from evalkit.validity.report import (
    against,
    agreement_with,
    control_names,
    headed,
    level,
    relative_shift,
    true_edit,
    truths_of,
)

LINE = 0.1
"""Inches per point of a metric."""
Point = tuple[float, float | None, float | None]
"""Value, and the ends of its interval where it has one."""


def draw_panel(validity: Validity) -> DrawnFigure:
    """All metrics in one figure."""
    with figure_style():
        return with_fixed_layout(_panel(validity))


def _panel(validity: Validity) -> DrawnFigure:
    scope: Scope = "all" if any(a.scope == "all" for m in validity.metrics for a in m.agreements) else "methods"
    controls, damages = control_names(validity, damage=False), control_names(validity, damage=True)
    truths = truths_of(validity)
    n_lines = max(len(controls), len(damages), len(truths)) + 1
    height = 1.75 + LINE * n_lines * len(validity.metrics)
    figure = new_figure(height, f"What metrics are worth on {validity.benchmark}", _basis(validity))
    axes = figure.subplots(1, 3 if truths else 2, sharey=True)
    _draw(axes[0], [[_preference(validity, m, name) for m in range(len(validity.metrics))] for name in controls],
          controls, n_lines)  # fmt: skip
    _draw(axes[1], [[_shift(validity, m, name) for m in range(len(validity.metrics))] for name in damages],
          damages, n_lines)  # fmt: skip
    axes[0].set_xlabel(f"P({true_edit(validity)}\nbeats control)")
    axes[0].set_xlim(-0.04, 1.04)
    for place, style in ((0.5, "-"), (USABLE, ":")):
        axes[0].axvline(place, color=GREY, linewidth=0.8, linestyle=style, zorder=1)
    axes[1].set_xlabel("shift by damage\n(−1: as another source)")
    axes[1].axvline(0, color=GREY, linewidth=0.8, zorder=1)
    if truths:
        _draw(axes[2], [[_tau(validity, m, name, scope) for m in range(len(validity.metrics))] for name in truths],
              truths, n_lines)  # fmt: skip
        axes[2].set_xlabel("rank correlation\nwith the truth")
        axes[2].axvline(0, color=GREY, linewidth=0.8, zorder=1)
        axes[2].set_xlim(-1.05, 1.05)
    axes[0].set_yticks(range(len(validity.metrics)), [printable(headed(metric)) for metric in validity.metrics])
    axes[0].set_ylim(len(validity.metrics) - 0.5, -0.5)
    return DrawnFigure(
        name="validity",
        title=f"What metrics are worth on {validity.benchmark}",
        caption=f"Left: how often the {true_edit(validity)} scores better than a control on the same item, ties one "
        f"half; a metric below {USABLE:g} (dotted) cannot rank single items. Middle: how far damage moves the mean, + "
        "towards better, in shares of the way to another source image. Right: mean rank correlation with the truth "
        "across the edits of an item. "
        f"{level(validity)} intervals; {_basis(validity)}.",
        alt=" ".join(f"{metric.metric}: {metric.verdict}." for metric in validity.metrics),
        figure=figure,
        columns=("metric", "panel", "name", "value", "ci_low", "ci_high"),
        rows=tuple(_rows(validity, controls, damages, truths, scope)),
    )


def _draw(axes: Axes, series: Sequence[Sequence[Point | None]], names: Sequence[str], n_lines: int) -> None:
    """One colour and marker per name, below each other within a metric's band."""
    for number, (name, points) in enumerate(zip(names, series, strict=True)):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        offset = (number + 1) / n_lines - 0.5
        label = name
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
    for metric in range(1, len(series[0]) if series else 0):
        axes.axhline(metric - 0.5, color=GRID, linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), fontsize=6.5, handletextpad=0.2, borderpad=0, labelcolor=INK
    )


def _preference(validity: Validity, metric: int, name: str) -> Point | None:
    found = against(validity.metrics[metric], name)
    return None if found is None or found.probability is None else (found.probability, found.ci_low, found.ci_high)


def _shift(validity: Validity, metric: int, name: str) -> Point | None:
    found = against(validity.metrics[metric], name)
    share = relative_shift(validity.metrics[metric], found) if found else None
    return None if share is None else (share, None, None)


def _tau(validity: Validity, metric: int, name: str, scope: Scope) -> Point | None:
    found = agreement_with(validity.metrics[metric], name, scope, None)
    return None if found is None or found.value is None else (found.value, found.ci_low, found.ci_high)


def _rows(
    validity: Validity, controls: Sequence[str], damages: Sequence[str], truths: Sequence[str], scope: Scope
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, metric in enumerate(validity.metrics):
        named = [
            *(("control", name, _preference(validity, number, name)) for name in controls),
            *(("damage", name, _shift(validity, number, name)) for name in damages),
            *(("agreement", name, _tau(validity, number, name, scope)) for name in truths),
        ]
        rows += [(metric.metric, kind, name, *point) for kind, name, point in named if point is not None]
    return rows


def _basis(validity: Validity) -> str:
    words = f"{validity.n_items} items in {validity.n_groups} groups, resampled by group"
    return f"{words}; miniature encoder, not comparable" if validity.miniature else words
