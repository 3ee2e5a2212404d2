"""The figures of a comparison, drawn and written: SVG, PDF and PNG, with the numbers behind each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from evalkit.comparison.records import Comparison
from evalkit.report.figures.means import cliques, forest, means
from evalkit.report.figures.pairs import ecdf, heat_map
from evalkit.report.figures.power_curve import power_curve
from evalkit.report.figures.style import DrawnFigure, FigureFormat, figure_style, rendered, with_fixed_layout
from evalkit.report.figures.trade_off import trade_off
from evalkit.report.figures.view import MetricView
from evalkit.storage.atomic import atomic_write
from evalkit.tables.table import csv_text

FORMATS: tuple[FigureFormat, ...] = ("svg", "pdf", "png")
INDEX = "index.html"
Draw = Callable[[], DrawnFigure | None]


def draw_figures(comparison: Comparison, *, everything: bool = False) -> Iterator[DrawnFigure]:
    """Draw the handful of figures that say what was found, or all that there are, one at a time.

    The handful, on the first primary metric: means with ranks, the forest plot, the distribution of differences, the
    heat map, and one trade-off. With everything, for each metric also the sets of methods that are not told apart and
    the power curve; for each alignment metric with each preservation metric the trade-off. A figure without data is
    left out: with a baseline there are no sets and no heat map, as most pairs are not compared.

    Args:
        comparison: What was found.
        everything: Whether all of them are wanted.
    """
    views = [MetricView(comparison=comparison, metric=metric) for metric in comparison.metrics]
    return finished(_all(views) if everything else _handful(views))


def draw_for_page(comparison: Comparison, *, narrow: bool = False) -> Iterator[DrawnFigure]:
    """The figures of a page: means with ranks on each primary metric, then one trade-off.

    Args:
        comparison: What was found.
        narrow: Whether they are for a phone.
    """
    views = [MetricView(comparison=comparison, metric=metric, narrow=narrow) for metric in comparison.metrics]
    primary = [view for view in views if view.metric.primary]
    return finished([*(partial(means, view) for view in primary), *_trade_off(views)])


def write_figures(figures: Iterable[DrawnFigure], directory: Path, *, title: str = "Figures") -> list[Path]:
    """Write every figure as SVG, PDF and PNG with a CSV of its numbers, and an index that shows them all.

    Equal data give equal files.

    Args:
        figures: As :func:`draw_figures` gives them.
        directory: Made if it is not there; files of the same names are replaced, others are left alone.
        title: Of the index.

    Returns:
        The files, in the order in which they were written.

    Raises:
        OSError: The directory cannot be written.
    """
    written: list[Path] = []
    entries: list[DrawnFigure] = []
    for drawn in figures:
        files = {f"{drawn.name}.{suffix}": rendered(drawn, suffix) for suffix in FORMATS}
        files[f"{drawn.name}.csv"] = _table(drawn)
        written += [_write(directory / name, content) for name, content in files.items()]
        entries.append(replace(drawn, figure=Figure(), rows=()))  # its words only: figures are large
    if entries:
        written.append(_write(directory / INDEX, _index(entries, title)))
    return written


def finished(draws: Iterable[Draw]) -> Iterator[DrawnFigure]:
    """What can be drawn, with its layout fixed."""
    for draw in draws:
        with figure_style():
            drawn = draw()
            finished = drawn and with_fixed_layout(drawn)
        if finished:
            yield finished


def _handful(views: Sequence[MetricView]) -> Iterator[Draw]:
    """Those of the first primary metric that has a mean, and one trade-off."""
    of = next((view for view in views if view.metric.primary and view.with_mean), None)
    if of is not None:
        yield from (partial(draw, of) for draw in (means, forest, ecdf, heat_map))
    yield from _trade_off(views)


def _all(views: Sequence[MetricView]) -> Iterator[Draw]:
    """Every figure that might be drawn."""
    for view in views:
        if view.with_mean:
            yield from (partial(draw, view) for draw in (means, forest, cliques, ecdf, heat_map, power_curve))
    for aligned in views:
        for preserved in views:
            if (aligned.metric.family, preserved.metric.family) == ("alignment", "preservation"):
                yield partial(trade_off, aligned, preserved.metric)


def _trade_off(views: Sequence[MetricView]) -> list[Draw]:
    """The trade-off between the first metrics of the two families, primary ones before others."""
    ordered = sorted(views, key=lambda view: not view.metric.primary)
    aligned, preserved = (
        next((view for view in ordered if view.metric.family == family and view.with_mean), None)
        for family in ("alignment", "preservation")
    )
    return [partial(trade_off, aligned, preserved.metric)] if aligned and preserved else []


def _index(entries: Sequence[DrawnFigure], title: str) -> bytes:
    """A page of all figures of a directory, with their captions, alternative texts and files."""
    environment = Environment(loader=PackageLoader("evalkit.report.figures"), autoescape=True, trim_blocks=True)
    template = environment.get_template("index.html")
    return template.render(title=title, figures=entries, formats=(*FORMATS, "csv")).encode("utf-8", "replace")


def _table(drawn: DrawnFigure) -> bytes:
    """The numbers behind a figure."""
    return csv_text(drawn.columns, drawn.rows).encode("utf-8", "replace")


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path
