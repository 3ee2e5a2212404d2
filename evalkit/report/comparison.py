"""A comparison as text: the verdicts in sentences, the ranking and the pairs as cells, and what must stand below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.compare.sentence import CORRECTION_NAMES, TEST_NAMES, p_text, plain, signed
from evalkit.report.tables import MINIATURE_NOTE, number
from evalkit.results.comparison import ComparedMetric, Comparison, PairResult, RankedMethod

if TYPE_CHECKING:
    from rich.table import Table

SENTENCES = 12
"""With more comparisons than this only those on primary metrics are put into sentences; the table has them all."""
RANKING_HEADER = ("metric", "method", "mean", "interval", "rank")
PAIRS_HEADER = ("metric", "comparison", "difference", "interval", "p", "adjusted p", "win/tie/loss", "MDE", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A table of text, before it is drawn in some format."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    """Columns that are set flush right."""


def verdict_sentences(comparison: Comparison) -> list[str]:
    """One line per comparison, on all metrics while these are few, else on the primary ones."""
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    everything = len(comparison.pairs) <= SENTENCES
    return [pair.sentence for pair in comparison.pairs if everything or pair.metric in primary]


def ranking_cells(comparison: Comparison) -> Cells:
    """Every method's mean with its interval and the ranks it may have, metric by metric, best first."""
    metrics = {metric.name: metric for metric in comparison.metrics}
    rows = tuple(
        (
            headed(metrics[place.metric]),
            place.method,
            number(place.mean),
            span(place.ci_low, place.ci_high),
            ranks(place),
        )
        for place in comparison.ranking
    )
    title = f"Ranking{_on(comparison)}: {percent(comparison)} intervals, ranks that the data allow"
    return Cells(title=title, header=RANKING_HEADER, rows=rows, numeric=frozenset({2, 3}))


def pairs_cells(comparison: Comparison) -> Cells:
    """Every comparison with its difference, p-values and verdict."""
    metrics = {metric.name: metric for metric in comparison.metrics}
    rows = tuple(
        (
            headed(metrics[pair.metric]),
            f"{pair.b} − {pair.a}",
            "–" if pair.difference is None else signed(pair.difference),
            difference_span(pair),
            _p(pair.p_value),
            _p(pair.adjusted_p_value),
            f"{pair.win}/{pair.tie}/{pair.loss}",
            "–" if pair.minimum_detectable_effect is None else plain(pair.minimum_detectable_effect),
            verdict_words(pair),
        )
        for pair in comparison.pairs
    )
    title = f"Comparisons{_on(comparison)}: {tested_by(comparison)}"
    return Cells(title=title, header=PAIRS_HEADER, rows=rows, numeric=frozenset({2, 3, 4, 5, 6, 7}))


def terminal_table(cells: Cells, width: int) -> "Table":
    """The cells as a table for a terminal of that width; a metric's name stands only where it changes."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(cells.title), title_justify="left")
    for index, name in enumerate(cells.header):
        table.add_column(name, justify="right" if index in cells.numeric else "left", overflow="fold")
    names = [row[0] for row in cells.rows]
    first = ["" if name == before else name for name, before in zip(names, [None, *names], strict=False)]
    rows = [(name, *row[1:]) for name, row in zip(first, cells.rows, strict=True)]
    if rows and _fits(cells, width):
        # Laid out as one row of many lines, hundreds of rows take a tenth of the time.
        rows = [tuple("\n".join(column) for column in zip(*rows, strict=True))]
    for row in rows:
        # Text, and not str: a method may be called "[red]".
        table.add_row(*map(Text, row))
    return table


def _fits(cells: Cells, width: int) -> bool:
    """Whether every cell stands on one line."""
    from rich.cells import cell_len

    columns = list(zip(cells.header, *cells.rows, strict=True))
    frame = 3 * len(columns) + 1
    whole = not any("\n" in cell for column in columns for cell in column)
    return whole and frame + sum(max(map(cell_len, column)) for column in columns) <= width


def comparison_notes(comparison: Comparison) -> list[str]:
    """What has to stand below: how it was tested, signatures, and everything that a reader must know."""
    cliques = [
        f"not told apart on {metric}: {'; '.join(', '.join(members) for members in sets)}"
        for metric, sets in comparison.cliques.items()
        if sets
    ]
    signatures = [metric.signature for metric in comparison.metrics if metric.signature]
    toy = [MINIATURE_NOTE] if any("|enc:miniature" in line for line in signatures) else []
    reasons = [
        f"{pair.b} − {pair.a} on {pair.metric}: {pair.reason}" for pair in comparison.pairs if pair.reason is not None
    ]
    return [*cliques, *reasons, *comparison.notes, *signatures, *toy]


def tested_by(comparison: Comparison) -> str:
    """How p-values were made and corrected, as a caption says it."""
    settings = comparison.settings
    test, correction = TEST_NAMES[settings["test"]], CORRECTION_NAMES[settings["correction"]]  # type: ignore[index]
    words = f"{test} test by group, α = {settings['alpha']}"
    if len(comparison.pairs) > 1:
        words += f", {correction}{'' if settings['correction'] == 'none' else '-corrected'}"
        if not all(metric.primary for metric in comparison.metrics) and settings["correction"] != "none":
            exploratory = CORRECTION_NAMES[settings["exploratory_correction"]]  # type: ignore[index]
            named = ", ".join(metric.name for metric in comparison.metrics if metric.primary)
            words += f" on {named}; the other metrics are exploratory ({exploratory})"
    return words


def verdict_words(pair: PairResult) -> str:
    """The verdict with the better method's name."""
    if pair.verdict in ("a_better", "b_better"):
        return f"{pair.a if pair.verdict == 'a_better' else pair.b} better"
    if pair.practically_equivalent:
        return "equivalent in practice"
    needed = f", {pair.items_needed:,} items needed" if pair.items_needed is not None else ""
    return pair.verdict + needed


def headed(metric: ComparedMetric) -> str:
    """A metric's name with an arrow towards the better values."""
    return f"{metric.name} {'↑' if metric.higher_is_better else '↓'}"


def ranks(place: RankedMethod) -> str:
    """A rank set: ``1`` or ``2–4``."""
    if place.rank_low is None or place.rank_high is None:
        return "not ranked"
    return str(place.rank_low) if place.rank_low == place.rank_high else f"{place.rank_low}–{place.rank_high}"


def span(low: float | None, high: float | None) -> str:
    """A mean's interval."""
    return "–" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def difference_span(pair: PairResult) -> str:
    """A difference's interval."""
    return "–" if pair.ci_low is None or pair.ci_high is None else f"[{signed(pair.ci_low)}, {signed(pair.ci_high)}]"


def percent(comparison: Comparison) -> str:
    """The intervals' level: ``95 %``."""
    alpha = comparison.settings["alpha"]
    return f"{100 * (1 - float(str(alpha))):.4g} %"


def metric_places(comparison: Comparison, metric: str) -> Sequence[RankedMethod]:
    """One metric's ranking."""
    return [place for place in comparison.ranking if place.metric == metric]


def _p(value: float | None) -> str:
    return "–" if value is None else p_text(value).removeprefix("= ")


def _on(comparison: Comparison) -> str:
    return f" on {comparison.benchmark}" if comparison.benchmark else ""
