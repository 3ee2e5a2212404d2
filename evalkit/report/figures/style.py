"""How figures look: one colour per method in all of them, sizes that follow the content, equal files for equal data."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.benchmarks.controls import CONTROLS
from evalkit.comparison.records import ComparedMetric

INK = "#1b1f24"
"""Text and axes. Pages put their own colours in the place of this one and of the next four."""
GREY = "#656d76"
GRID = "#e4e7ea"
BAND = "#dde1e6"
PAPER = "#ffffff"
ON_LIGHT = "#101418"
ON_DARK = "#fefefe"
"""Text on coloured ground, which has the same colour on every page."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, "#b8a900")
"""Okabe & Ito's palette, its yellow darkened so that a thin line of it can be seen on white."""
MARKERS = "osD^vPX*ph<>"
LINES = ("-", "--", ":")
WIDTH = 7.2
"""Inches: the text width of a page."""
NARROW = 3.6
"""Inches: a column of two, and the screen of a phone."""
COLLAPSED = 1 / 6
"""Of a common axis: what fills less of it cannot be read there."""
LONGEST_LABEL = 34
LONGEST_NARROW = 18

FigureFormat = Literal["svg", "pdf", "png"]
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    "text.parse_math": False,  # a method may be called "a$b$"
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "hatch.color": GREY,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and edited
    "pdf.fonttype": 42,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFigure:
    """A figure with the words and the numbers that belong to it."""

    name: str
    """Stem of its files."""
    title: str
    caption: str
    """What is shown, with the level of intervals and the unit of resampling."""
    alt: str
    """What can be seen, for those who cannot see it."""
    figure: Figure
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    """The numbers behind the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodStyle:
    """What a method looks like in every figure."""

    label: str
    colour: str
    marker: str
    line: str
    hollow: bool
    """Controls are drawn with hollow markers."""

    @property
    def face(self) -> str:
        """The colour inside its marker."""
        return PAPER if self.hollow else self.colour


def method_styles(names: Sequence[str], longest: int = LONGEST_LABEL) -> dict[str, MethodStyle]:
    """Each method's style, by the order in which methods were given."""
    labels = short_labels(names, longest)
    return {
        name: MethodStyle(
            label=labels[name],
            colour=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            line=LINES[number // len(COLOURS) % len(LINES)],
            hollow=name in CONTROLS,
        )
        for number, name in enumerate(names)
    }


def short_labels(names: Sequence[str], longest: int = LONGEST_LABEL) -> dict[str, str]:
    """Names as they fit into a figure: printable, cut in the middle where long, and still different."""
    labels: dict[str, str] = {}
    for name in names:
        label = printable(name)
        if len(label) > longest:
            half = longest // 2
            label = f"{label[:half]}…{label[1 - half :]}"
        taken, number = set(labels.values()), 2
        uncounted = label
        while label in taken:
            label, number = f"{uncounted} ({number})", number + 1
        labels[name] = label
    return labels


def printable(text: str) -> str:
    """The text on one line, without characters that neither XML nor a font knows."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def sides_of(metric: ComparedMetric) -> str:
    """Which side of 0 is better, along an axis of differences; the spaces stay apart in SVG."""
    gap = "\N{NO-BREAK SPACE}" * 3
    if not metric.direction_known:
        return f"← less{gap}more →"
    return f"← worse{gap}better →" if metric.higher_is_better else f"← better{gap}worse →"


def direction(metric: ComparedMetric) -> str:
    """Which values are better, with an arrow."""
    if not metric.direction_known:
        return "(which way is better is not known)"
    return f"{'↑ higher' if metric.higher_is_better else '↓ lower'} is better"


def new_figure(height: float, title: str, subtitle: str, *, width: float = WIDTH) -> Figure:
    """An empty figure with its title and, below, what the numbers rest on."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.012, ha="left", fontsize=9.5, fontweight="bold")
    if subtitle:
        figure.supxlabel(subtitle, x=0.012, ha="left", fontsize=7, color=GREY)
    return figure


def hide_axes(axes: Axes) -> None:
    """Take away ticks and frame: the axes only hold text or marks."""
    axes.tick_params(length=0, labelbottom=False, labelleft=False, bottom=False, left=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


@contextmanager
def figure_style() -> Iterator[None]:
    """The settings of all figures; everything is drawn and saved inside, and nothing of it stays."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name in another script is drawn as boxes in PNG and PDF, and right in SVG: no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def with_fixed_layout(drawn: DrawnFigure) -> DrawnFigure:
    """The same figure with its layout fixed, so that it is not worked out again for each file."""
    drawn.figure.draw_without_rendering()
    drawn.figure.set_layout_engine("none")
    return drawn


def rendered(drawn: DrawnFigure, file_format: FigureFormat, *, salt: str = "") -> bytes:
    """The bytes of a figure's file; the same data give the same bytes.

    Args:
        drawn: The figure.
        file_format: Of the file.
        salt: Makes the ids in an SVG others than those of the same figure elsewhere on a page.
    """
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None, "Title": drawn.title}, "pdf": {"CreationDate": None}, "png": {}}[file_format]
    with figure_style(), mpl.rc_context({"svg.hashsalt": drawn.name + salt}):
        drawn.figure.savefig(buffer, format=file_format, dpi=200, metadata=metadata)
    data = buffer.getvalue()
    return data.replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif") if file_format == "svg" else data
