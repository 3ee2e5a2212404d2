"""One self-contained HTML page for a comparison: no request leaves it, and nothing in a file name can act in it."""

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult
from evalkit.comparison.statements.captions import about_page, about_ranking, pairs_caption
from evalkit.comparison.statements.methods import methods_section, signatures
from evalkit.comparison.statements.pairs import effect_cells, effect_of, verdict_words, win_tie_loss
from evalkit.comparison.statements.rankings import headline, row_note, set_notes
from evalkit.comparison.statements.terms import Inference, is_miniature, metric_label
from evalkit.formatting import format_declared, format_interval, format_p, format_ranks, format_score, format_signed
from evalkit.report.comparison import by_mean, mde_cell, miniature_note, pairs_header, verdict_sentences
from evalkit.report.figures.style import (
    BAND,
    GREY,
    GRID,
    INK,
    PAPER,
    DrawnFigure,
    rendered,
)
from evalkit.report.figures.write import draw_figures
from evalkit.report.page import asset
from evalkit.report.page.gallery import build_gallery
from evalkit.storage.atomic import atomic_write
from evalkit.storage.names import file_stem

_COLOURS = {INK: "currentColor", GREY: "var(--muted)", GRID: "var(--line)", BAND: "var(--band)", PAPER: "var(--paper)"}
_ENLARGED = 1.3
"""Type of 8 points is small among a page's 12."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page; it is there whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    page = render_page(comparison).encode("utf-8", "replace")
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)


def render_page(comparison: Comparison) -> str:
    """The page as text: verdicts first, then tables, figures, the items, and the methods section to paste."""
    script = Markup(asset("page.js"))  # noqa: S704 - a file of this package
    style = Markup(asset("page.css"))  # noqa: S704 - a file of this package
    metrics = sorted(comparison.metrics, key=lambda metric: not metric.primary)
    inference = Inference.of(comparison.settings)
    return (
        _environment(inference)
        .get_template("page.html")
        .render(
            comparison=comparison,
            metrics=metrics,
            title=_title(comparison),
            about=about_page(comparison),
            about_ranking=about_ranking(comparison),
            about_pairs=pairs_caption(comparison),
            effect=pairs_header(inference)[2],
            sets=set_notes(comparison),
            headlines=[headline(comparison, metric) for metric in metrics],
            sentences=verdict_sentences(comparison),
            miniature=miniature_note(comparison),
            figures=[(drawn, inline_svg(drawn)) for drawn in draw_figures(comparison, primary_only=True)],
            gallery=build_gallery(comparison),
            methods=methods_section(comparison),
            signatures=signatures(comparison),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=style,
        )
    )


def inline_svg(drawn: DrawnFigure) -> Markup:
    """A figure as an element of a page: it scales, follows the page's colours, and shares no id with another.

    Ids that are referred to hold a hash of the figure's name; those of groups count from one in every figure, and go.
    """
    svg = rendered(drawn, "svg").decode()
    svg = re.sub(r'<metadata>.*?</metadata>|<style.*?</style>|(?<=<g) id="[^"]*"', "", svg, flags=re.DOTALL)
    for ours, of_page in _COLOURS.items():
        svg = svg.replace(ours, of_page)
    head, _, rest = svg[svg.index("<svg") :].partition(">")
    head = re.sub(r' (?:width|height)="[\d.]+pt"', "", head)
    points = _ENLARGED * 72 * drawn.figure.get_figwidth()
    named = f'{head} role="img" aria-label="{escape(drawn.alt)}" style="--width: {points:.0f}pt">'
    return Markup(named + rest)  # noqa: S704 - matplotlib has escaped what is in it


def sort_keys(values: "dict[str, float] | None", metrics: list[ComparedMetric]) -> str:
    """A cell's values, metric by metric, as the script reads them."""
    found = values or {}
    return "|".join("" if (value := found.get(metric.name)) is None else f"{value:.9g}" for metric in metrics)


def breakable(name: str) -> Markup:
    """A name that may be broken after the signs that join its words.

    >>> breakable("a_b<c")
    Markup('a_<wbr>b&lt;c')
    """
    return Markup(re.sub(r"([-_:])", r"\1<wbr>", str(escape(name))))  # noqa: S704 - escaped here


def _environment(inference: Inference) -> Environment:
    environment = Environment(
        loader=PackageLoader("evalkit.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_score,
        signed=format_signed,
        declared=format_declared,
        mde=partial(mde_cell, inference=inference),
        p=partial(format_p, alpha=inference.alpha),
        headed=metric_label,
        span=lambda row: format_interval(row.ci_low, row.ci_high),
        effect=partial(effect_cells, ranks=inference.is_about_ranks),
        effect_value=lambda pair: effect_of(pair, ranks=inference.is_about_ranks)[0],
        wins=win_tie_loss,
        note=row_note,
        ranks=lambda row: format_ranks(row.rank_low, row.rank_high),
        verdict=partial(verdict_words, ranks=inference.is_about_ranks),
        miniature=is_miniature,
        stem=file_stem,
        keys=sort_keys,
        breakable=breakable,
    )
    environment.globals.update(ranking=by_mean, pairs=_pairs)
    return environment


def _pairs(comparison: Comparison, metric: ComparedMetric) -> Iterator[PairResult]:
    return (pair for pair in comparison.pairs if pair.metric == metric.name)


def _title(comparison: Comparison) -> str:
    names = [method.name for method in comparison.methods]
    who = f"{names[0]} against {names[1]}" if len(names) == 2 else f"{len(names)} methods"
    return f"{who} on {comparison.benchmark}" if comparison.benchmark else f"{who}, compared"
