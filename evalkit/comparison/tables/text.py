"""A comparison as text: its sentences, the ranking and the pairs as cells, and what must stand below.

What is said comes from `evalkit.comparison.statements`; here it is placed.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Literal

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.captions import mde_words, means_title, pairs_on_title, pairs_title
from evalkit.comparison.statements.pairs import (
    detectable,
    effect_cells,
    pair_reasons,
    reasons_counted,
    verdict_words,
    win_tie_loss,
)
from evalkit.comparison.statements.rankings import about_ranks, set_notes
from evalkit.comparison.statements.terms import Inference, is_miniature, metric_label
from evalkit.formatting import DASH, format_interval, format_number, format_p, format_ranks, format_score
from evalkit.scores.signatures import short_signature
from evalkit.scores.tables import MINIATURE_NOTE, SignatureLength
from evalkit.stats.clusters import GRID
from evalkit.tables.table import TextTable, in_columns

SENTENCES = 12
"""With more comparisons than this only those on primary metrics are put into sentences."""
PAIRS_SHOWN = 100
"""Rows of a terminal's tables of pairs; exports have them all."""
NOTES_SHOWN = 5
"""Notes below a terminal's table beside the warnings; ``--details`` has them all."""
TIED = "•"
"""Marks means of a terminal's table than which no method is decided better."""
Mark = Literal["best", "tied", ""]
"""The best mean, one that no method is decided better than, or neither."""


def verdict_sentences(comparison: Comparison) -> list[str]:
    """One line per comparison, on all metrics while these are few, else on the primary ones."""
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    everything = len(comparison.pairs) <= SENTENCES
    return [pair.sentence for pair in comparison.pairs if everything or pair.metric in primary]


def means_table(comparison: Comparison) -> TextTable:
    """Methods by metrics, primary ones first: the ranks that each method may have, its mean and its interval."""
    metrics = primary_first(comparison)
    rankings = [{row.method: row for row in metric_ranking(comparison, metric.name)} for metric in metrics]
    methods = list(rankings[0])
    columns = [in_columns(mean_cells(ranking[method]) for method in methods) for ranking in rankings]
    return TextTable(
        title="\n".join([means_title(comparison, TIED), *miniature_note(comparison)]),
        header=("method", *map(metric_label, metrics)),
        rows=tuple(zip(methods, *columns, strict=True)),
    )


def primary_first(comparison: Comparison) -> list[ComparedMetric]:
    """The metrics, those first that are confirmed."""
    return sorted(comparison.metrics, key=lambda metric: not metric.primary)


def pairs_table(comparison: Comparison) -> TextTable:
    """Every comparison with its effect, p-values and verdict."""
    metrics = {metric.name: metric for metric in comparison.metrics}
    inference = Inference.of(comparison.settings)
    rows = ((metric_label(metrics[pair.metric]), *_pair_row(pair, inference)) for pair in comparison.pairs)
    return TextTable(title=pairs_title(comparison), header=pairs_header(inference), rows=tuple(rows))


def pairs_tables(comparison: Comparison, most: int) -> list[TextTable]:
    """The comparisons, metric by metric, for a terminal: each effect with its interval in one column.

    Args:
        comparison: What was found.
        most: So many of them, those on primary metrics first and among these the decided ones.
    """
    inference = Inference.of(comparison.settings)
    _, pair, effect, _, *others = pairs_header(inference)
    header = (pair, effect, *others)
    found = []
    for metric in primary_first(comparison):
        rows = [_pair_row(p, inference) for p in shown_pairs(comparison, most) if p.metric == metric.name]
        effects = in_columns(("" if row[2] == row[1] == DASH else row[1], row[2]) for row in rows)
        found.append(
            TextTable(
                title=pairs_on_title(comparison, metric),
                header=header,
                rows=tuple((row[0], effect, *row[3:]) for row, effect in zip(rows, effects, strict=True)),
                text_columns=frozenset({0, len(header) - 1}),
                spare_columns=tuple(header.index(name) for name in ("MDE", "win/tie/loss", "p")),
            )
        )
    return [table for table in found if table.rows]


def pairs_header(inference: Inference) -> tuple[str, ...]:
    """The heads of a table of pairs: the effect is the one that was tested."""
    effect = "rank-biserial" if inference.is_about_ranks else "difference"
    return ("metric", "comparison", effect, "interval", "p", "adjusted p", "win/tie/loss", "MDE", "verdict")


def shown_pairs(comparison: Comparison, most: int) -> tuple[PairResult, ...]:
    """The comparisons, or the most important of them, in their own order."""
    pairs = comparison.pairs
    if len(pairs) <= most:
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
    """What has to stand below exported tables: all that is to be known, signatures, and that a network is a toy."""
    return [*all_notes(comparison), *signatures_of(comparison, "full"), *miniature_note(comparison)]


def all_notes(comparison: Comparison) -> list[str]:
    """What ranks and sets are, what is missing, and all else to be known."""
    meanings = filter(None, (about_ranks(comparison), mde_words(comparison)))
    return [
        *set_notes(comparison),
        *meanings,
        *bound_notes(comparison),
        *comparison.warnings,
        *reasons_counted(comparison.pairs),
        *comparison.other_notes,
    ]


def shown_notes(comparison: Comparison) -> list[str]:
    """All warnings, the first of the notes on these runs and their primary metrics, and how many more there are."""
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    reasons = reasons_counted(pair for pair in comparison.pairs if pair.metric in primary)
    first, notes = [*list(bound_notes(comparison))[:1], *comparison.warnings], [*comparison.other_notes, *reasons]
    more = len(notes) - NOTES_SHOWN
    if more < 2:  # a note takes no more room than that there is one more
        return [*first, *notes]
    return [*first, *notes[:NOTES_SHOWN], f"… and {more:,} more notes: --details"]


def bound_notes(comparison: Comparison) -> Iterator[str]:
    """What the intervals are of means at an end of a metric's range, where no value differs from another."""
    ends = {metric.name: metric.range for metric in comparison.metrics if not metric.is_rate}
    found = (
        format_interval(row.ci_low, row.ci_high)
        for row in comparison.ranking
        if row.ci_low is not None
        and any(end is not None and abs((row.mean or 0.0) - end) <= GRID for end in ends.get(row.metric, ()))
    )
    for interval in dict.fromkeys(found):
        yield f"{interval}: all values are equal: it is the bound that the groups allow"


def signatures_of(comparison: Comparison, length: SignatureLength) -> list[str]:
    """One line for all metrics that carry a signature, or the signature of each."""
    lines = [metric.signature for metric in comparison.metrics if metric.signature]
    return lines if length == "full" or not lines else [short_signature(lines)]


def missing_reasons(comparison: Comparison) -> list[str]:
    """Why pairs lack a figure."""
    return [reason for pair in comparison.pairs for reason in pair_reasons(pair)]


def miniature_note(comparison: Comparison) -> list[str]:
    """That the numbers are a toy network's, where any is."""
    return [MINIATURE_NOTE] if any(map(is_miniature, comparison.metrics)) else []


def means_by_method(comparison: Comparison) -> dict[str, list[tuple[RankedMethod, Mark]]]:
    """Every method's mean and ranks on each metric, marked; methods in the order of the first metric."""
    columns = [marked(metric_ranking(comparison, metric.name)) for metric in comparison.metrics]
    return {method: [column[method] for column in columns] for method in columns[0]}


def marked(rows: Sequence[RankedMethod]) -> dict[str, tuple[RankedMethod, Mark]]:
    """Methods on one metric, best first, each with its mark."""
    best = next((row.mean for row in rows if row.rank_low is not None), None)
    return {row.method: (row, _mark(row, best)) for row in rows}


def _mark(row: RankedMethod, best: float | None) -> Mark:
    """Whether a ranked method has the best mean, alone or with others."""
    if row.rank_low is not None and row.mean == best:
        return "best"
    return "tied" if row.tied_with_best else ""


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


def mean_cells(row: RankedMethod, unranked: str = DASH) -> tuple[str, ...]:
    """Ranks, the mark of those that no method is decided better than, mean and interval."""
    if row.mean is None:
        return ("", "", "", DASH)
    ranks = format_ranks(row.rank_low, row.rank_high, unranked=unranked)
    return ranks, TIED if row.tied_with_best else "", format_score(row.mean), format_interval(row.ci_low, row.ci_high)


def _pair_row(pair: PairResult, inference: Inference) -> tuple[str, ...]:
    return (
        f"{pair.b} − {pair.a}",
        *effect_cells(pair, ranks=inference.is_about_ranks),
        format_p(pair.p_value, inference.alpha),
        format_p(pair.adjusted_p_value, inference.alpha),
        win_tie_loss(pair),
        mde_cell(pair, inference),
        verdict_words(pair, ranks=inference.is_about_ranks),
    )
