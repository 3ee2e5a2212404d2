"""The figures of a comparison, drawn and written: SVG, PDF and PNG, with the numbers behind each."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from evalkit.comparison.records import Comparison
from evalkit.report.export import csv_text
from evalkit.report.figures.means import cliques, forest
from evalkit.report.figures.pairs import ecdf, heat_map
from evalkit.report.figures.power_curve import power_curve
from evalkit.report.figures.style import DrawnFigure, FigureFormat, figure_style, rendered, with_fixed_layout
from evalkit.report.figures.trade_off import trade_off
from evalkit.report.figures.view import MetricView
from evalkit.storage.atomic import atomic_write

FORMATS: tuple[FigureFormat, ...] = ("svg", "pdf", "png")
CAPTIONS = "captions.md"


def draw_figures(comparison: Comparison, *, primary_only: bool = False) -> Iterator[DrawnFigure]:
    """Draw what can be drawn, one figure at a time.

    For each metric a forest plot, the sets of methods that are not told apart, the distribution of differences, the
    heat map and the power curve; for each alignment metric with each preservation metric the trade-off. A figure
    without data is left out: with a baseline there are no sets and no heat map, as most pairs are not compared.

    Args:
        comparison: What was found.
        primary_only: Leave out the figures of exploratory metrics; a trade-off is drawn if one of its metrics is
            primary.
    """
    for draw in _candidates(comparison, primary_only=primary_only):
        with figure_style():
            drawn = draw()
            finished = drawn and with_fixed_layout(drawn)
        if finished:
            yield finished


def write_figures(figures: Iterable[DrawnFigure], directory: Path) -> list[Path]:
    """Write every figure as SVG, PDF and PNG with a CSV of its numbers, and a page of captions.

    Equal data give equal files.

    Args:
        figures: As :func:`draw_figures` gives them.
        directory: Made if it is not there; files of the same names are replaced, others are left alone.

    Returns:
        The files, in the order in which they were written.

    Raises:
        OSError: The directory cannot be written.
    """
    written: list[Path] = []
    captions: list[str] = []
    for drawn in figures:
        files = {f"{drawn.name}.{suffix}": rendered(drawn, suffix) for suffix in FORMATS}
        files[f"{drawn.name}.csv"] = _table(drawn)
        written += [_write(directory / name, content) for name, content in files.items()]
        captions.append(f"## {drawn.name}\n\n{drawn.caption}\n\nAlternative text: {drawn.alt}\n")
    if captions:
        written.append(_write(directory / CAPTIONS, "\n".join(captions).encode()))
    return written


def _candidates(comparison: Comparison, *, primary_only: bool) -> Iterator[Callable[[], DrawnFigure | None]]:
    """Every figure that might be drawn."""
    views = [MetricView(comparison=comparison, metric=metric) for metric in comparison.metrics]
    for view in views:
        if view.with_mean and (view.metric.primary or not primary_only):
            for draw in (forest, cliques, ecdf, heat_map, power_curve):
                yield partial(draw, view)
    for aligned in views:
        for preserved in comparison.metrics:
            wanted = aligned.metric.primary or preserved.primary or not primary_only
            if wanted and (aligned.metric.family, preserved.family) == ("alignment", "preservation"):
                yield partial(trade_off, aligned, preserved)


def _table(drawn: DrawnFigure) -> bytes:
    return csv_text(drawn.columns, drawn.rows).encode("utf-8", "replace")


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path
