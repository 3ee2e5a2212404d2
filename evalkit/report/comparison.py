"""A comparison as text: the verdicts in sentences, the ranking and the pairs as cells, and what must stand below."""

from operator import attrgetter
from typing import Literal

from evalkit.comparison.records import (
    CORRECTION_NAMES,
    TEST_NAMES,
    ComparedMetric,
    Comparison,
    PairResult,
    RankedMethod,
)
from evalkit.formatting import (
    format_interval,
    format_number,
    format_p,
    format_percent,
    format_ranks,
    format_score,
    format_signed,
)
from evalkit.report.runs import MINIATURE_NOTE
from evalkit.report.tables import TextTable

SENTENCES = 12
"""With more comparisons than this only those on primary metrics are put into sentences; the table has them all."""
RANKING_HEADER = ("metric", "method", "mean", "interval", "rank")
Mark = Literal["best", "tied", ""]
"""The best mean, one statistically tied with it, or neither."""
PAIRS_HEADER = ("metric", "comparison", "difference", "interval", "p", "adjusted p", "win/tie/loss", "MDE", "verdict")


def verdict_sentences(comparison: Comparison) -> list[str]:
    """One line per comparison, on all metrics while these are few, else on the primary ones."""
    primary = {metric.name for metric in comparison.metrics if metric.primary}
    everything = len(comparison.pairs) <= SENTENCES
    return [pair.sentence for pair in comparison.pairs if everything or pair.metric in primary]


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
    title = f"Ranking{on_benchmark(comparison)}: {level_of(comparison)} intervals, ranks that the data allow"
    return TextTable(title=title, header=RANKING_HEADER, rows=rows, text_columns=frozenset({0, 1, 4}))


def pairs_table(comparison: Comparison) -> TextTable:
    """Every comparison with its difference, p-values and verdict."""
    metrics = {metric.name: metric for metric in comparison.metrics}
    rows = tuple(
        (
            metric_label(metrics[pair.metric]),
            f"{pair.b} − {pair.a}",
            format_signed(pair.difference),
            format_interval(pair.ci_low, pair.ci_high, format_signed),
            format_p(pair.p_value),
            format_p(pair.adjusted_p_value),
            f"{pair.win}/{pair.tie}/{pair.loss}",
            format_number(pair.minimum_detectable_effect),
            verdict_words(pair),
        )
        for pair in comparison.pairs
    )
    title = f"Comparisons{on_benchmark(comparison)}: {how_tested(comparison)}"
    return TextTable(title=title, header=PAIRS_HEADER, rows=rows, text_columns=frozenset({0, 1, 8}))


def comparison_notes(comparison: Comparison) -> list[str]:
    """What has to stand below: how it was tested, signatures, and everything that a reader must know."""
    cliques = [
        f"not told apart on {metric}: {'; '.join(', '.join(members) for members in sets)}"
        for metric, sets in comparison.cliques.items()
        if sets
    ]
    signatures = [metric.signature for metric in comparison.metrics if metric.signature]
    return [*cliques, *missing_reasons(comparison), *comparison.notes, *signatures, *miniature_note(comparison)]


def missing_reasons(comparison: Comparison) -> list[str]:
    """Why a pair lacks a figure, or could not have been significant."""
    return [f"{pair.b} − {pair.a} on {pair.metric}: {pair.reason}" for pair in comparison.pairs if pair.reason]


def miniature_note(comparison: Comparison) -> list[str]:
    """That the numbers are a toy network's, where any is."""
    return [MINIATURE_NOTE] if any(map(is_miniature, comparison.metrics)) else []


def is_miniature(metric: ComparedMetric) -> bool:
    """Whether the metric was computed with a toy encoder."""
    return "|enc:miniature" in (metric.signature or "")


def how_tested(comparison: Comparison) -> str:
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


def means_by_method(comparison: Comparison) -> dict[str, list[tuple[RankedMethod, Mark]]]:
    """Every method's mean and ranks on each metric, marked; methods in the order of the first metric."""
    columns: list[dict[str, tuple[RankedMethod, Mark]]] = []
    for metric in comparison.metrics:
        rows = metric_ranking(comparison, metric.name)
        best = next((row for row in rows if row.rank_low is not None), None)
        columns.append({r.method: (r, "best" if r is best else "tied" if r.tied_with_best else "") for r in rows})
    return {method: [column[method] for column in columns] for method in columns[0]}


def means_caption(comparison: Comparison, best: str, tied: str) -> str:
    """What a table of means shows, with the names of the marks of the best and of those tied with it."""
    settings = comparison.settings
    each = ", each metric on those for which all ranked methods have a value" if _left_out(comparison) else ""
    return (
        f"Means{on_benchmark(comparison)} with {level_of(comparison)} intervals and, in brackets, the ranks that the "
        f"data allow, over {settings['n_items']} items in {settings['n_groups']} groups{each}. {best}: best mean; "
        f"{tied}: statistically tied with the best (simultaneous bootstrap-t intervals of all differences). Pairwise "
        f"comparisons: {how_tested(comparison)}."
    )


def verdict_words(pair: PairResult) -> str:
    """The verdict with the better method's name."""
    if pair.difference is None:
        return "not comparable"
    if pair.verdict in ("a_better", "b_better"):
        return f"{pair.a if pair.verdict == 'a_better' else pair.b} better"
    if pair.practically_equivalent:
        return "equivalent in practice"
    needed = f", {pair.items_needed:,} items needed" if pair.items_needed is not None else ""
    return pair.verdict + needed


def metric_label(metric: ComparedMetric) -> str:
    """A metric's name with an arrow towards the better values."""
    return f"{metric.name} {'↑' if metric.higher_is_better else '↓'}"


def alpha_of(comparison: Comparison) -> float:
    """The error rate that was asked for."""
    return float(str(comparison.settings["alpha"]))


def level_of(comparison: Comparison) -> str:
    """The intervals' level: ``95 %``."""
    return format_percent(1 - alpha_of(comparison))


def by_mean(comparison: Comparison, metric: ComparedMetric) -> list[RankedMethod]:
    """A metric's methods from the best mean to the worst; those without a mean come last."""
    rows = metric_ranking(comparison, metric.name)
    with_mean = [row for row in rows if row.mean is not None]
    best_first = sorted(with_mean, key=attrgetter("mean"), reverse=metric.higher_is_better)
    return best_first + [row for row in rows if row.mean is None]


def metric_ranking(comparison: Comparison, metric: str) -> list[RankedMethod]:
    """The methods' ranks on one metric, in the order of the comparison's record."""
    return [row for row in comparison.ranking if row.metric == metric]


def _left_out(comparison: Comparison) -> bool:
    return any(pair.n_items < comparison.settings["n_items"] for pair in comparison.pairs)  # type: ignore[operator]


def on_benchmark(comparison: Comparison) -> str:
    """Of which benchmark, where it is known, with a space before it."""
    return f" on {comparison.benchmark}" if comparison.benchmark else ""
