"""The figures of a comparison, drawn and written: SVG, PDF and PNG, with the numbers behind each."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.report.figures.means import cliques, forest
from evalkit.report.figures.pairs import ecdf, heat_map
from evalkit.report.figures.planning import power_curve, trade_off
from evalkit.report.figures.style import DrawnFigure, FigureFormat, house_style, rendered, settled
from evalkit.storage.atomic import atomic_write
from evalkit.validity.figures import panel
from evalkit.validity.records import Validity

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
    shown = [metric for metric in comparison.metrics if metric.primary or not primary_only]
    for draw in _plans(comparison, shown):
        with house_style():
            drawn = draw()
            finished = drawn and settled(drawn)
        if finished:
            yield finished


def write_figures(comparison: Comparison, directory: Path) -> list[Path]:
    """Write every figure as SVG, PDF and PNG with a CSV of its numbers, and a page of captions.

    Equal comparisons give equal files.

    Args:
        comparison: What was found.
        directory: Made if it is not there; files of the same names are replaced, others are left alone.

    Returns:
        The files, in the order in which they were written.

    Raises:
        OSError: The directory cannot be written.
    """
    return _write_all(draw_figures(comparison), directory)


def write_panel(validity: Validity, directory: Path) -> list[Path]:
    """Write the panel of what metrics are worth, in the same files as :func:`write_figures`.

    Raises:
        OSError: The directory cannot be written.
    """
    with house_style():
        drawn = settled(panel(validity))
    return _write_all([drawn], directory)


def _write_all(figures: Iterable[DrawnFigure], directory: Path) -> list[Path]:
    written: list[Path] = []
    captions: list[str] = []
    for drawn in figures:
        files = {f"{drawn.name}.{suffix}": rendered(drawn, suffix) for suffix in FORMATS}
        files[f"{drawn.name}.csv"] = _table(drawn)
        for name, content in files.items():
            written.append(_write(directory / name, content))
        captions.append(f"## {drawn.name}\n\n{drawn.caption}\n\nAlternative text: {drawn.alt}\n")
    if captions:
        written.append(_write(directory / CAPTIONS, "\n".join(captions).encode()))
    return written


def _plans(comparison: Comparison, shown: list[ComparedMetric]) -> Iterator[Callable[[], DrawnFigure | None]]:
    """Every figure that might be drawn."""
    for metric in shown:
        if any(row.metric == metric.name and row.mean is not None for row in comparison.ranking):
            for draw in (forest, cliques, ecdf, heat_map, power_curve):
                yield partial(draw, comparison, metric)
    for aligned in _of(comparison, "alignment"):
        for preserved in _of(comparison, "preservation"):
            if aligned in shown or preserved in shown:
                yield partial(trade_off, comparison, preserved, aligned)


def _of(comparison: Comparison, family: str) -> list[ComparedMetric]:
    return [metric for metric in comparison.metrics if metric.family == family]


def _table(drawn: DrawnFigure) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(drawn.columns)
    writer.writerows(drawn.rows)
    return text.getvalue().encode("utf-8", "replace")


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path) as draft:
        draft.write_bytes(content)
    return path
