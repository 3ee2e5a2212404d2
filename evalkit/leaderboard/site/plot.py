"""The plot that the ◆ of a board speaks of: making the edit against keeping the rest, one point per ranked method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from evalkit.comparison.statements import boards
from evalkit.formatting import format_declared, shortened
from evalkit.leaderboard.ranking import Board
from evalkit.metrics.base import METRICS
from evalkit.scores.run import MetricSummary

LINE = 15
"""Units from one label to the next, so that no two touch."""
LONGEST_LABEL = 22
MOST_INTERVALS = 40
"""Of more points only those that are named have their intervals drawn: the others could not be told apart."""
_TICKS = 5
_LEFT, _TOP, _BOTTOM, _RIGHT = 54, 10, 46, 150


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A metric's values along an axis on which better lies to the right, or upwards."""

    metric: str
    low: float
    high: float
    length: float
    higher_is_better: bool

    def at(self, value: float) -> float:
        """How far along the axis a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.length * (share if self.higher_is_better else 1 - share), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values, about so many as there is room for."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
        return [step * n for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plotted:
    title: str
    summaries: tuple[MetricSummary, MetricSummary]
    """On the horizontal axis, and on the vertical one."""
    on_front: bool


def trade_off_plot(board: Board, *, width: int = 620, height: int = 400) -> Markup | None:
    """The plot as an element of a page, in the page's colours; None where nobody is ranked.

    Args:
        board: Whose ranked methods.
        width: Of the drawing, labels included.
        height: Of the drawing.
    """
    preserved, aligned = board.protocol.preservation, board.protocol.alignment
    points = [
        _Plotted(
            title=row.entry.card.title, summaries=(summaries[preserved], summaries[aligned]), on_front=row.on_front
        )
        for row in board.rows
        if row.unranked is None
        and all((summaries := row.entry.metrics)[name].mean is not None for name in (preserved, aligned))
    ]
    if not points:
        return None
    x = _axis(preserved, [point.summaries[0] for point in points], width - _LEFT - _RIGHT)
    y = _axis(aligned, [point.summaries[1] for point in points], height - _TOP - _BOTTOM)
    first = _named(points, y)
    spread = points if len(points) <= MOST_INTERVALS else first
    svg = "".join(
        [*_frame(x, y), *_front(points, x, y), *_intervals(spread, x, y), *_marks(points, x, y), *_labels(first, x, y)]
    )
    named = escape(boards.plot_alt(aligned, preserved, [point.title for point in points if point.on_front]))
    return Markup(  # noqa: S704 - what is not of this file is escaped
        f'<svg viewBox="0 0 {width} {height}" class="plot" role="img" aria-label="{named}" '
        f'style="--width:{width}px"><g transform="translate({_LEFT},{_TOP})">{svg}</g></svg>'
    )


def _axis(metric: str, summaries: Sequence[MetricSummary], length: float) -> _Axis:
    values = [v for s in summaries for v in (s.mean, s.ci_low, s.ci_high) if v is not None]
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.5
    return _Axis(
        metric=metric,
        low=low - room,
        high=high + room,
        length=length,
        higher_is_better=METRICS.get(metric).higher_is_better,
    )


def _position(point: _Plotted, x: _Axis, y: _Axis) -> tuple[float, float]:
    """Where a point lies; the drawing's second coordinate counts downwards."""
    across, up = (summary.mean or 0.0 for summary in point.summaries)
    return x.at(across), round(y.length - y.at(up), 1)


def _frame(x: _Axis, y: _Axis) -> list[str]:
    """Axes with their names, directions and round values."""
    drawn = [f'<path class="axis" d="M0 0V{y.length}H{x.length}"/>']
    for tick in x.ticks:
        drawn += [
            f'<path class="grid" d="M{x.at(tick)} 0V{y.length}"/>',
            f'<text x="{x.at(tick)}" y="{y.length + 16}" text-anchor="middle">{format_declared(tick)}</text>',
        ]
    for tick in y.ticks:
        drawn += [
            f'<path class="grid" d="M0 {y.length - y.at(tick):.1f}H{x.length}"/>',
            f'<text x="-6" y="{y.length - y.at(tick) + 4:.1f}" text-anchor="end">{format_declared(tick)}</text>',
        ]
    drawn += [
        f'<text class="name" x="{x.length / 2}" y="{y.length + 36}" text-anchor="middle">{escape(x.metric)}, '
        "better →</text>",
        f'<text class="name" transform="translate(-42,{y.length / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.metric)}, better →</text>",
    ]
    return drawn


def _front(points: Sequence[_Plotted], x: _Axis, y: _Axis) -> list[str]:
    """Steps through the points of the front: whatever lies below and to the left of them is no better on either."""
    corners = sorted(_position(point, x, y) for point in points if point.on_front)
    if not corners:
        return []
    steps = f"M0 {corners[0][1]}" + "".join(f"V{down}H{across}" for across, down in corners) + f"V{y.length}"
    return [f'<path class="front" d="{steps}"/>']


def _intervals(points: Sequence[_Plotted], x: _Axis, y: _Axis) -> list[str]:
    """All intervals as one path: there may be hundreds."""
    path = ""
    for point in points:
        across, down = _position(point, x, y)
        ends_x, ends_y = ((s.ci_low, s.ci_high) for s in point.summaries)
        if None not in ends_x:
            path += f"M{x.at(ends_x[0] or 0.0)} {down}H{x.at(ends_x[1] or 0.0)}"
        if None not in ends_y:
            path += f"M{across} {y.length - y.at(ends_y[0] or 0.0):.1f}V{y.length - y.at(ends_y[1] or 0.0):.1f}"
    return [f'<path class="interval" d="{path}"/>']


def _marks(points: Sequence[_Plotted], x: _Axis, y: _Axis) -> list[str]:
    """A diamond on the front and a dot elsewhere; each says its name when it is pointed at."""
    drawn = []
    for point in sorted(points, key=lambda point: point.on_front):
        across, down = _position(point, x, y)
        mark = "m0-6 6 6-6 6-6-6z" if point.on_front else "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0"
        named = boards.point_words(point.title, *((s.mean, s.ci_low, s.ci_high) for s in point.summaries[::-1]))
        drawn.append(
            f'<path class="{"best" if point.on_front else "dot"}" d="M{across} {down}{mark}">'
            f"<title>{escape(named)}</title></path>"
        )
    return drawn


def _named(points: Sequence[_Plotted], y: _Axis) -> list[_Plotted]:
    """Those whose names there is room for: on the front first, then the best at making the edit."""
    room = int((y.length + _BOTTOM) // LINE)
    return sorted(points, key=lambda point: not point.on_front)[:room]


def _labels(points: Sequence[_Plotted], x: _Axis, y: _Axis) -> list[str]:
    """Names in a column at the right, from top to bottom as their points lie, each with a line to its point."""
    ordered = sorted((_position(point, x, y)[::-1], point.title, point.on_front) for point in points)
    heights: list[float] = []
    for (down, _), *_rest in ordered:
        heights.append(max(down, heights[-1] + LINE if heights else 0.0))
    excess = max(0.0, heights[-1] - (y.length + _BOTTOM - LINE))
    for number in reversed(range(len(heights))):  # up again, as far as the lowest have run out of the drawing
        limit = heights[number + 1] - LINE if number + 1 < len(heights) else heights[number] - excess
        heights[number] = min(heights[number], limit)
    return [
        f'<path class="leader" d="M{across} {down}L{x.length + 6} {height:.1f}h6"/>'
        f'<text x="{x.length + 15}" y="{height + 4:.1f}">{"◆ " if on_front else ""}'
        f"{escape(shortened(title, LONGEST_LABEL))}</text>"
        for ((down, across), title, on_front), height in zip(ordered, heights, strict=True)
    ]
