"""One self-contained HTML page for a comparison: no request leaves it, and nothing in a file name can act in it."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from evalkit.comparison.edit_types import by_edit_type
from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.comparison.statements.captions import (
    about_edit_types,
    about_marks,
    about_page,
    about_ranking,
    pairs_caption,
)
from evalkit.comparison.statements.methods import methods_section, signatures
from evalkit.comparison.statements.rankings import answer, headline, set_notes, tally
from evalkit.comparison.statements.terms import Inference, is_miniature, metric_label
from evalkit.comparison.tables.text import by_mean, miniature_note, verdict_sentences
from evalkit.formatting import counted, format_declared, format_interval, format_ranks, format_score
from evalkit.report.figures.style import BAND, GREY, GRID, INK, PAPER, DrawnFigure, rendered
from evalkit.report.figures.write import draw_for_page
from evalkit.report.page import SCRIPTS, asset
from evalkit.report.page.cells import MARKS, means_columns, pair_cells, pair_heads, type_panels
from evalkit.report.page.gallery import Gallery, build_gallery
from evalkit.storage.atomic import atomic_write

_COLOURS = {INK: "currentColor", GREY: "var(--muted)", GRID: "var(--line)", BAND: "var(--band)", PAPER: "var(--paper)"}
_ENLARGED = 1.3
"""Type of 8 points is small among a page's 12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFigure:
    """A figure as a page holds it."""

    name: str
    caption: str
    wide: Markup
    narrow: Markup
    """For a phone."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page; it is there whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    page = render_page(comparison).encode("utf-8", "replace")
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)


def render_page(comparison: Comparison) -> str:
    """The page as text: the answer, edit types, the trade-off, pairs, items, and the methods section to paste."""
    script = Markup(asset(*SCRIPTS, "page.js"))  # noqa: S704 - files of this package
    metrics = sorted(comparison.metrics, key=lambda metric: not metric.primary)
    figures = page_figures(draw_for_page(comparison), draw_for_page(comparison, narrow=True))
    gallery = build_gallery(comparison)
    return (
        environment()
        .get_template("page.html")
        .render(
            **_answer(comparison, metrics),
            **_edit_types(comparison, metrics),
            **_pairs(comparison, metrics),
            figures=[figure for figure in figures if figure.name.startswith("means")],
            trade_offs=[figure for figure in figures if figure.name.startswith("trade_off")],
            gallery=gallery,
            about_gallery=_about_gallery(comparison, gallery),
            across=balanced(len(comparison.methods) + gallery.pictures),
            edit_types=list(dict.fromkeys(row.edit_type for row in gallery.rows if row.edit_type)),
            paragraphs=methods_section(comparison),
            signatures=signatures(comparison),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=Markup(asset("page.css")),  # noqa: S704 - a file of this package
        )
    )


def inline_svg(drawn: DrawnFigure, suffix: str = "") -> Markup:
    """A figure as an element of a page: it scales, follows the page's colours, and shares no id with another.

    Ids that are referred to hold a hash of the figure's name; those of groups count from one in every figure, and go.
    """
    svg = rendered(drawn, "svg", salt=suffix).decode()
    svg = re.sub(r'<metadata>.*?</metadata>|<style.*?</style>|(?<=<g) id="[^"]*"', "", svg, flags=re.DOTALL)
    for ours, of_page in _COLOURS.items():
        svg = svg.replace(ours, of_page)
    head, _, rest = svg[svg.index("<svg") :].partition(">")
    head = re.sub(r' (?:width|height)="[\d.]+pt"', "", head)
    points = _ENLARGED * 72 * drawn.figure.get_figwidth()
    named = f'{head} role="img" aria-label="{escape(drawn.alt)}" style="--width: {points:.0f}pt">'
    return Markup(named + rest)  # noqa: S704 - matplotlib has escaped what is in it


def sort_keys(values: Mapping[str, float], metrics: Sequence[ComparedMetric]) -> str:
    """An edit's scores, metric by metric, as the script shows and sorts them."""
    return "|".join(format_score(values.get(metric.name)) for metric in metrics)


def breakable(name: str) -> Markup:
    """A name that may be broken after the signs that join its words.

    >>> breakable("a_b<c")
    Markup('a_<wbr>b&lt;c')
    """
    return Markup(re.sub(r"([-_:|/])", r"\1<wbr>", str(escape(name))))  # noqa: S704 - escaped here


def script_data(value: object) -> Markup:
    r"""A value as JSON inside a script element, which nothing in it can end.

    >>> print(script_data(["</script>"]))
    ["\u003c/script>"]
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704


def sentence(text: str) -> str:
    """A note as a sentence of its own.

    >>> sentence("a note")
    'A note.'
    """
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _answer(comparison: Comparison, metrics: Sequence[ComparedMetric]) -> dict[str, object]:
    """What the first section shows."""
    return {
        "comparison": comparison,
        "metrics": metrics,
        "title": _title(comparison),
        "about": about_page(comparison),
        "miniature": miniature_note(comparison),
        "answers": {metric.name: answer(comparison, metric) for metric in metrics},
        "headlines": {metric.name: headline(comparison, metric) for metric in metrics},
        "columns": means_columns(comparison, metrics),
        "methods": [row.method for row in by_mean(comparison, metrics[0])],
        "marks": MARKS,
        "legend": about_marks(MARKS["best"], MARKS["tied"]),
        "about_ranking": about_ranking(comparison),
        "sets": set_notes(comparison),
        "notes": list(comparison.notes),
    }


def _edit_types(comparison: Comparison, metrics: Sequence[ComparedMetric]) -> dict[str, object]:
    """What the section of edit types shows: all metrics where that was asked for, else the primary ones."""
    types = comparison.edit_types
    if types is None:
        types = by_edit_type(comparison, [metric for metric in metrics if metric.primary])
    return {
        "types": types,
        "type_panels": type_panels(types, metrics),
        "about_types": about_edit_types(types.of, types.left_out, types.n_untyped) if types.of else "",
    }


def _pairs(comparison: Comparison, metrics: Sequence[ComparedMetric]) -> dict[str, object]:
    """What the section of pairs shows, and the data that the script shows on demand."""
    inference = Inference.of(comparison.settings)
    matrix, cells = pair_cells(comparison, metrics)
    first = [pair for pair in comparison.pairs if pair.metric == metrics[0].name]
    data = {
        "heads": pair_heads(inference),
        "pairs": cells,
        "higher": [metric.higher_is_better if metric.direction_known else None for metric in metrics],
    }
    return {
        "about_pairs": pairs_caption(comparison),
        "tally": f"{metric_label(metrics[0])}. {tally(first, inference)}",
        "matrix": matrix,
        "sentences": verdict_sentences(comparison),
        "data": script_data(data),
    }


def page_figures(wide: Iterable[DrawnFigure], narrow: Iterable[DrawnFigure]) -> list[PageFigure]:
    """Figures that were drawn twice, for a desktop and for a phone."""
    return [
        PageFigure(name=one.name, caption=one.caption, wide=inline_svg(one), narrow=inline_svg(other, "narrow"))
        for one, other in zip(wide, narrow, strict=True)
    ]


@cache
def environment() -> Environment:
    """The templates of pages, with the filters that they share."""
    environment = Environment(
        loader=PackageLoader("evalkit.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_score,
        declared=format_declared,
        counted=counted,
        headed=metric_label,
        sentence=sentence,
        span=lambda row: format_interval(row.ci_low, row.ci_high),
        ranks=lambda row: format_ranks(row.rank_low, row.rank_high),
        miniature=is_miniature,
        keys=sort_keys,
        breakable=breakable,
    )
    environment.globals.update(ranking=by_mean)
    return environment


def balanced(n: int, most: int = 7) -> int:
    """How many of n pictures stand side by side, so that all rows have as many.

    >>> balanced(3), balanced(8), balanced(21)
    (3, 4, 7)
    """
    return math.ceil(n / math.ceil(n / most))


def _about_gallery(comparison: Comparison, gallery: Gallery) -> str:
    chosen, seeds = gallery.chosen, max((pair.n_seeds for pair in comparison.pairs), default=1)
    shown = f"All {gallery.n_items:,} items are shown."
    if len(gallery.rows) < gallery.n_items:
        shown = (
            f"{len(gallery.rows):,} of {gallery.n_items:,} items are shown, by {gallery.metric}: the "
            f"{len(chosen.disputed)} on which methods differ most, of the others the {len(chosen.worst)} on which "
            f"their mean is worst, and {len(chosen.spread)} spread evenly between."
        )
    if seeds > 1:
        shown += " Scores are means over seeds; where there are several, the picture is of the first."
    return f"{shown} A picture opens beside its source." if gallery.pictures else shown


def _title(comparison: Comparison) -> str:
    names = [method.name for method in comparison.methods]
    who = f"{names[0]} against {names[1]}" if len(names) == 2 else f"{len(names)} methods"
    return f"{who} on {comparison.benchmark}" if comparison.benchmark else f"{who}, compared"
