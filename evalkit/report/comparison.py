"""A comparison as text: its sentences, the ranking and the pairs as cells, and what must stand below.

What is said comes from `evalkit.comparison.statements`; here it is placed.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Literal

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.captions import mde_words, pairs_title, ranking_title
from evalkit.comparison.statements.pairs import detectable, effect_cells, pair_reasons, verdict_words, win_tie_loss
from evalkit.comparison.statements.rankings import about_ranks, set_notes
from evalkit.comparison.statements.terms import Inference, is_miniature, metric_label
from evalkit.formatting import format_interval, format_number, format_p, format_ranks, format_score
from evalkit.report.runs import MINIATURE_NOTE
from evalkit.report.tables import TextTable

SENTENCES = 12
"""With more comparisons than this only those on primary metrics are put into sentences, and of these so many."""
PAIRS_SHOWN = 100
"""Rows of a terminal's table of pairs; exports have them all."""
RANKING_HEADER = ("metric", "method", "mean", "interval", "rank")
Mark = Literal["best", "tied", ""]
"""The best mean, one that no method is decided better than, or neither."""


def verdict_sentences(comparison: Comparison) -> list[str]:
    """One line per comparison, on all metrics while these are few, else on the primary ones."""
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    everything = len(comparison.pairs) <= SENTENCES
    return [pair.sentence for pair in comparison.pairs if everything or pair.metric in primary]


def shown_sentences(comparison: Comparison) -> list[str]:
    """The sentences that a terminal shows: at most so many, the decided ones first, and how many more there are."""
    sentences = verdict_sentences(comparison)
    if len(sentences) <= SENTENCES:
        return sentences
    decided = {pair.sentence for pair in comparison.pairs if pair.winner is not None}
    first = sorted(range(len(sentences)), key=lambda number: sentences[number] not in decided)[:SENTENCES]
    more = f"… and {len(sentences) - SENTENCES:,} more comparisons on primary metrics: --export md has all sentences"
    return [*(sentences[number] for number in sorted(first)), more]


def ranking_table(comparison: Comparison) -> TextTable:
    """Every method's mean with its interval and the ranks it may have, metric by metric, best first."""
    metrics = {metric.name: metric for metric in comparison.metrics}
    rows = tuple(
        (
            metric_label(metrics[row.metric]),
            row.method,
            format_score(row.mean),
            format_interval(row.ci_low, row.ci_high),
            format_ranks(row.rank_low, row.rank_high),
        )
        for row in comparison.ranking
    )
    title = ranking_title(comparison)
    return TextTable(title=title, header=RANKING_HEADER, rows=rows, text_columns=frozenset({0, 1, 4}))


def pairs_table(comparison: Comparison, most: int | None = None) -> TextTable:
    """Comparisons with their effect, p-values and verdict.

    Args:
        comparison: What was found.
        most: So many of them, those on primary metrics first and among these the decided ones; None for all.
    """
    metrics = {metric.name: metric for metric in comparison.metrics}
    inference = Inference.of(comparison.settings)
    rows = tuple(_pair_row(pair, metrics[pair.metric], inference) for pair in shown_pairs(comparison, most))
    header = pairs_header(inference)
    return TextTable(
        title=pairs_title(comparison),
        header=header,
        rows=rows,
        text_columns=frozenset({0, 1, 8}),
        spare_columns=tuple(header.index(name) for name in ("MDE", "win/tie/loss", "p")),
    )


def pairs_header(inference: Inference) -> tuple[str, ...]:
    """The heads of a table of pairs: the effect is the one that was tested."""
    effect = "rank-biserial" if inference.is_about_ranks else "difference"
    return ("metric", "comparison", effect, "interval", "p", "adjusted p", "win/tie/loss", "MDE", "verdict")


def shown_pairs(comparison: Comparison, most: int | None) -> tuple[PairResult, ...]:
    """The comparisons, or the most important of them, in their own order."""
    pairs = comparison.pairs
    if most is None or len(pairs) <= most:
        return pairs
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    first = sorted(range(len(pairs)), key=lambda n: (pairs[n].metric not in primary, pairs[n].winner is None))
    return tuple(pairs[number] for number in sorted(first[:most]))


def omitted_pairs(comparison: Comparison) -> Iterator[str]:
    """Where the rows are that a terminal's table leaves out."""
    if len(comparison.pairs) > PAIRS_SHOWN:
        yield (
            f"{PAIRS_SHOWN} of {len(comparison.pairs):,} comparisons are shown, decided ones on primary metrics first; "
            "all of them: --export csv, or --json"
        )


def comparison_notes(comparison: Comparison) -> list[str]:
    """What has to stand below: what ranks and sets are, what is missing, signatures, and all else to be known."""
    signatures = [metric.signature for metric in comparison.metrics if metric.signature]
    return [
        *set_notes(comparison),
        *filter(None, (about_ranks(comparison), mde_words(comparison))),
        *missing_reasons(comparison),
        *comparison.notes,
        *signatures,
        *miniature_note(comparison),
    ]


def missing_reasons(comparison: Comparison) -> list[str]:
    """Why pairs lack a figure."""
    return [reason for pair in comparison.pairs for reason in pair_reasons(pair)]


def miniature_note(comparison: Comparison) -> list[str]:
    """That the numbers are a toy network's, where any is."""
    return [MINIATURE_NOTE] if any(map(is_miniature, comparison.metrics)) else []


def means_by_method(comparison: Comparison) -> dict[str, list[tuple[RankedMethod, Mark]]]:
    """Every method's mean and ranks on each metric, marked; methods in the order of the first metric."""
    columns: list[dict[str, tuple[RankedMethod, Mark]]] = []
    for metric in comparison.metrics:
        rows = metric_ranking(comparison, metric.name)
        best = next((row for row in rows if row.rank_low is not None), None)
        columns.append({r.method: (r, "best" if r is best else "tied" if r.tied_with_best else "") for r in rows})
    return {method: [column[method] for column in columns] for method in columns[0]}


def mde_cell(pair: PairResult, inference: Inference) -> str:
    """What would be found by the share of studies asked for."""
    return format_number(detectable(pair, inference))


def by_mean(comparison: Comparison, metric: ComparedMetric) -> list[RankedMethod]:
    """A metric's methods from the best mean to the worst; those without a mean come last."""
    rows = metric_ranking(comparison, metric.name)
    with_mean = [row for row in rows if row.mean is not None]
    best_first = sorted(with_mean, key=attrgetter("mean"), reverse=metric.higher_is_better)
    return best_first + [row for row in rows if row.mean is None]


def metric_ranking(comparison: Comparison, metric: str) -> list[RankedMethod]:
    """The methods' ranks on one metric, in the order of the comparison's record."""
    return [row for row in comparison.ranking if row.metric == metric]


def _pair_row(pair: PairResult, metric: ComparedMetric, inference: Inference) -> tuple[str, ...]:
    return (
        metric_label(metric),
        f"{pair.b} − {pair.a}",
        *effect_cells(pair, ranks=inference.is_about_ranks),
        format_p(pair.p_value, inference.alpha),
        format_p(pair.adjusted_p_value, inference.alpha),
        win_tie_loss(pair),
        mde_cell(pair, inference),
        verdict_words(pair, ranks=inference.is_about_ranks),
    )
