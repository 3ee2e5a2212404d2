"""What is said of many methods on one metric: who leads, who is not told apart, who is not ranked."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from evalkit.comparison.records import ComparedMetric, Comparison, RankedMethod
from evalkit.comparison.statements.pairs import floor_words, plain_verdict
from evalkit.comparison.statements.terms import FALSE_DISCOVERY, Inference, metric_label
from evalkit.formatting import counted, format_ranks, listed, one_line
from evalkit.stats.records import PairComparison

SHOWN = 6
"""Names in one sentence; the others are counted."""


def key_sentences(comparison: Comparison) -> Iterator[str]:
    """What was found on each primary metric: one pair's own sentence, or who leads, and what could not be decided."""
    inference = Inference.of(comparison.settings)
    for metric in comparison.metrics:
        pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
        if not metric.primary:
            continue
        if len(pairs) == 1:
            yield pairs[0].sentence
            continue
        yield headline(comparison, metric)
        floors = Counter(floor_words(pair, inference) for pair in pairs if pair.floor is not None)
        for words, count in floors.items():
            yield f"{count:,} of {counted(len(pairs), 'comparison')} on {one_line(metric.name)} {words}."


def headline(comparison: Comparison, metric: ComparedMetric) -> str:
    """What was found on one metric, in words, and where there are several comparisons how many ended how."""
    pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
    found = answer(comparison, metric)
    return found if len(pairs) == 1 else f"{found} {tally(pairs, Inference.of(comparison.settings))}"


def answer(comparison: Comparison, metric: ComparedMetric) -> str:
    """What was found on one metric, in one sentence."""
    pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
    inference = Inference.of(comparison.settings)
    if len(pairs) == 1:
        return f"On {metric_label(metric)}: {plain_verdict(pairs[0], inference)}"
    found = (
        against_baseline(pairs, comparison.baseline, inference)
        if comparison.baseline is not None
        else leaders([row for row in comparison.ranking if row.metric == metric.name], inference)
    )
    return f"On {metric_label(metric)}: {found}."


def tally(pairs: Sequence[PairComparison], inference: Inference) -> str:
    """How many comparisons ended how."""
    decided = sum(pair.winner is not None or pair.undirected for pair in pairs)
    equivalent = sum(pair.verdict == "equivalent" for pair in pairs)
    also = sum(pair.practically_equivalent for pair in pairs)
    unknown = sum(pair.difference is None for pair in pairs)
    undecided = len(pairs) - decided - equivalent - unknown
    of_ranks = " in ranks" if inference.is_about_ranks else ""
    small = f" ({counted(also, 'of them shows', 'of them show')} a difference, smaller than the margin)" if also else ""
    ends = [
        f"{counted(decided, 'shows', 'show')} a difference{of_ranks}",
        f"{counted(equivalent, 'shows', 'show')} equivalence{small}",
        f"{counted(undecided, 'is', 'are')} inconclusive",
        *([f"{unknown:,} cannot be made"] if unknown else []),
    ]
    return f"Of {counted(len(pairs), 'comparison')}, {', '.join(ends[:-1])}, and {ends[-1]}."


def leaders(rows: Sequence[RankedMethod], inference: Inference) -> str:
    """Who is best: one where its only rank is the first, else all that no decision puts another above."""
    ranked = [row for row in rows if row.rank_low is not None]
    best = [row.method for row in ranked if row.rank_low == 1]
    if not ranked:
        return "no method could be ranked"
    of_ranks = " in ranks" if inference.is_about_ranks else ""
    if ranked[0].rank_high == 1 and len(best) == 1:
        of_ranked = f" of the {len(ranked)} that are ranked" if len(ranked) < len(rows) else ""
        return f"{best[0]} is best{of_ranks}{of_ranked}"
    ranks = {row.method: f"{row.method} ({format_ranks(row.rank_low, row.rank_high)})" for row in ranked}
    return (
        f"no method is shown to be the best{of_ranks}; by the ranks that the decisions allow it may be any of "
        f"{listed([ranks[name] for name in best], SHOWN)}"
    )


def against_baseline(pairs: Sequence[PairComparison], baseline: str, inference: Inference) -> str:
    """Who is better and who is worse than the baseline."""
    others = {pair.b if pair.a == baseline else pair.a: pair.winner for pair in pairs}
    found = {
        "better": [other for other, winner in others.items() if winner == other],
        "worse": [other for other, winner in others.items() if winner == baseline],
    }
    of_ranks = " in ranks" if inference.is_about_ranks else ""
    said = [f"{word} than {baseline}{of_ranks}: {listed(names, SHOWN)}" for word, names in found.items() if names]
    return "; ".join(said) or f"no method is shown to be better or worse than {baseline}"


def set_notes(comparison: Comparison) -> list[str]:
    """The sets of methods without a decided pair, and what such a set is."""
    found = [
        f"not told apart on {one_line(metric)}: {'; '.join(', '.join(members) for members in sets)}"
        for metric, sets in comparison.cliques.items()
        if sets
    ]
    meaning = (
        "not told apart: of the methods of a set no two were decided to be one better, the other worse; it does not "
        "mean equal"
    )
    return [*found, meaning] if found else []


def about_ranks(comparison: Comparison) -> str:
    """What the ranks of a comparison are, and what holds for them; empty where nobody is ranked."""
    if all(row.rank_low is None for row in comparison.ranking):
        return ""
    inference = Inference.of(comparison.settings)
    baseline = f"; only pairs with {comparison.baseline} were compared" if comparison.baseline is not None else ""
    by = ", by decisions on ranks of the items' differences and not on means" if inference.is_about_ranks else ""
    return (
        "Ranks are sets, from 1 + the number of methods decided better to the number of ranked methods less those "
        f"decided worse{by}{baseline}{_what_holds(comparison, inference)}"
    )


def _what_holds(comparison: Comparison, inference: Inference) -> str:
    """What error rate the sets have, by the corrections of the decisions that they follow from."""
    used = {inference.correction_of(metric) for metric in comparison.metrics}
    if len(comparison.methods) < 3 and len(comparison.metrics) == 1:
        return "."
    false_discovery = sorted(used & FALSE_DISCOVERY)
    parts = []
    if used - FALSE_DISCOVERY - {"none"}:
        where = " on primary metrics" if len(used) > 1 else ""
        parts.append(f"they hold at once{where}, since the family-wise error of the decisions is held")
    if false_discovery:
        where = " of exploratory metrics" if len(used) > 1 else ""
        parts.append(
            f"those{where} follow from decisions whose false discovery rate is held, and need not hold at once"
        )
    if "none" in used:
        parts.append("those of uncorrected decisions hold one pair at a time")
    return f"; {'; '.join(parts)}."


def unranked_notes(rows: Sequence[RankedMethod], about: Collection[str] | None = None) -> Iterator[str]:
    """Who is not ranked on which metrics: each reason once for those that share it.

    Nobody is ranked where the reason holds for every method that has a mean.

    Args:
        rows: The rankings of all metrics.
        about: Only reasons that hold on one of these metrics; by default all.
    """
    unranked: dict[tuple[str, str], set[str]] = {}
    means: dict[str, set[str]] = {row.metric: set() for row in rows}
    for row in rows:
        if row.reason:
            unranked.setdefault((row.reason, row.metric), set()).add(row.method)
        if row.mean is not None:
            means[row.metric].add(row.method)
    shared: dict[tuple[str, str], list[str]] = {}
    for (reason, metric), methods in unranked.items():
        be = "is" if len(methods) == 1 else "are"
        who = "no method is" if methods >= means[metric] else f"{listed(sorted(methods), SHOWN)} {be} not"
        shared.setdefault((reason, who), []).append(one_line(metric))
    for (reason, who), metrics in shared.items():
        if about is not None and not {one_line(name) for name in about}.intersection(metrics):
            continue
        where = "" if len(metrics) == len(means) else f" on {listed(metrics, SHOWN)}"
        yield f"{who} ranked{where}: {reason}"


def ranked_items_notes(n_items: Mapping[str, int], n_total: int) -> Iterator[str]:
    """Over how many items a ranking is, where these are not all.

    Args:
        n_items: Metric to items of its ranking.
        n_total: Items of the whole comparison.
    """
    for metric, n in n_items.items():
        if 0 < n < n_total:
            yield (
                f"the ranking on {one_line(metric)} is over the {n:,} of {n_total:,} items for which all ranked "
                "methods have a value"
            )
