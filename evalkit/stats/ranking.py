"""Ranks that carry their uncertainty: sets that follow from the decisions on pairs, and from nothing else.

A method's rank set counts who is decided better and who worse. Where the decisions hold at once, with the family-wise
error controlled, so do the sets (Mogstad, Romano, Shaikh & Wilhelm, Review of Economic Studies 2024). Resampling the
ranks themselves would cover a tie of ten methods one time in five instead of nineteen in twenty.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from evalkit.formatting import degrees_of_freedom
from evalkit.stats.clusters import Groups, Labels, check_alpha, code_groups, satterthwaite
from evalkit.stats.intervals import Estimate, mean_interval, pooled_design_effect
from evalkit.stats.labelled import labelled_of
from evalkit.stats.records import PairComparison, RankedMethod, Ranking
from evalkit.stats.scores import InferenceOptions, MetricScores

FEWEST_DEGREES = 4.0
"""Methods are not ranked on groups that leave fewer degrees of freedom."""
NO_DIRECTION = "nobody knows which way is better"
MOST_CLIQUES = 100
"""More sets than this tell nobody anything."""


def rank_methods(
    metric: MetricScores, groups: Labels, pairs: Iterable[PairComparison], options: InferenceOptions
) -> Ranking:
    """Rank the methods by their mean, each with the set of ranks that the decisions on pairs allow.

    ``1 + (methods decided better) … K − (methods decided worse)``. Means are over the items for which all ranked
    methods have a value; the other methods are shown with their own mean.

    Args:
        metric: Every method's scores.
        groups: ``(n,)``; items with the same label are dependent.
        pairs: The decisions of `compare_methods` on this metric.
        options: α.

    Raises:
        OptionError: An option is out of range, or lengths differ.

    >>> from evalkit.stats.compare import compare_methods
    >>> rng = np.random.default_rng(0)
    >>> scores = {name: rng.normal(mean, 1, (60, 1)) for name, mean in (("old", 0), ("new", 2), ("twin", 2))}
    >>> metric, options = MetricScores(metric="score", scores=scores, higher_is_better=True), InferenceOptions()
    >>> ranking = rank_methods(metric, range(60), compare_methods([metric], range(60), options), options)
    >>> [(row.method, row.rank_low, row.rank_high) for row in ranking.methods]
    [('new', 1, 2), ('twin', 1, 2), ('old', 3, 3)]
    >>> ranking.cliques
    (('new', 'twin'),)
    """
    check_alpha(options.alpha)
    coded, ranked, names = code_groups(groups), metric.ranked, list(metric.scores)
    means = dict(zip(names, metric.means.T, strict=True))
    common = np.logical_not(np.isnan([means[name] for name in ranked]).any(axis=0))
    labelled = labelled_of(metric, coded)
    if labelled is not None:
        common = labelled.labelled_items(tuple(names.index(name) for name in ranked))
    kept = {name: common if name in ranked else ~np.isnan(means[name]) for name in names}
    pooled = (
        pooled_design_effect([means[name][common] for name in ranked], coded.where(common)) if metric.is_rate else None
    )
    reason = _why_unranked(ranked, coded.where(common)) or (None if metric.direction_known else NO_DIRECTION)
    reasons = {name: metric.unranked.get(name, reason) for name in names}
    tested = [pair for pair in pairs if pair.a in ranked and pair.b in ranked]
    ranks = rank_sets(ranked, tested)
    rows = {}
    for number, name in enumerate(names):
        if labelled is not None:
            interval = labelled.of_method(number, level=1 - options.alpha, bounds=metric.range)
        else:
            interval = mean_interval(
                means[name][kept[name]],
                coded.where(kept[name]),
                is_rate=metric.is_rate,
                level=1 - options.alpha,
                bounds=metric.range,
                design_effect=pooled,
            )
        rows[name] = _row(metric.metric, name, interval, reasons[name], None if reasons[name] else ranks[name])
    direction = -1 if metric.higher_is_better else 1
    order = sorted(ranked, key=lambda name: direction * (rows[name].mean or 0.0))
    return Ranking(
        methods=tuple(rows[name] for name in (*order, *metric.unranked)),
        cliques=() if reason else undecided_sets(order, tested),
        n_items=0 if len(ranked) < 2 else int(common.sum()) if labelled is None else labelled.n_items,
    )


def _row(
    metric: str, method: str, interval: Estimate, reason: str | None, ranks: tuple[int, int] | None
) -> RankedMethod:
    low, high = ranks or (None, None)
    return RankedMethod(
        metric=metric,
        method=method,
        mean=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        rank_low=low,
        rank_high=high,
        tied_with_best=low == 1,
        reason=reason,
    )


def _why_unranked(ranked: Sequence[str], common: Groups) -> str | None:
    """What forbids any ranking; None where nothing does."""
    if len(ranked) < 2:
        return "there is no other complete method to be ranked against"
    if not len(common):
        return "no item has all scores"
    if common.n_groups < 2:
        return "one group only"
    freedom = satterthwaite(common.sizes)
    if freedom >= FEWEST_DEGREES - 1e-9:
        return None
    largest = f", the largest with {common.sizes.max():.0f} of {len(common)} items," if common.sizes.max() > 1 else ""
    return (
        f"{common.n_groups} groups{largest} leave {degrees_of_freedom(freedom)}: a ranking needs {FEWEST_DEGREES:.0f}"
    )


def rank_sets(ranked: Sequence[str], pairs: Iterable[PairComparison]) -> dict[str, tuple[int, int]]:
    """Each method's least and greatest rank."""
    sets = {name: (1, len(ranked)) for name in ranked}
    for pair in pairs:
        if pair.winner is not None:
            winner, loser = pair.winner, pair.b if pair.winner == pair.a else pair.a
            sets[loser] = sets[loser][0] + 1, sets[loser][1]
            sets[winner] = sets[winner][0], sets[winner][1] - 1
    return sets


def undecided_sets(order: Sequence[str], pairs: Iterable[PairComparison]) -> tuple[tuple[str, ...], ...]:
    """Sets of two or more without a decided pair, members and sets in the order of the ranking."""
    position = {name: rank for rank, name in enumerate(order)}
    together = np.zeros((len(order),) * 2, dtype=np.bool_)
    for pair in pairs:
        if pair.winner is None and pair.difference is not None:
            a, b = position[pair.a], position[pair.b]
            together[a, b] = together[b, a] = True
    found = maximal_cliques(together, most=MOST_CLIQUES)
    return tuple(tuple(order[rank] for rank in ranks) for ranks in sorted(map(sorted, found)) if len(ranks) > 1)


def maximal_cliques(adjacent: npt.NDArray[np.bool_], *, most: int | None = None) -> list[frozenset[int]]:
    """All maximal sets of nodes of which any two are adjacent (Bron & Kerbosch 1973, with pivoting).

    Args:
        adjacent: ``(k, k)``, symmetric; the diagonal is ignored.
        most: With more sets than this none are listed: there can be as many as 3^(k/3).

    >>> sorted(sorted(clique) for clique in maximal_cliques(np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)))
    [[0, 1], [0, 2]]
    """
    neighbours = [set(np.flatnonzero(row).tolist()) - {node} for node, row in enumerate(adjacent)]
    found: list[frozenset[int]] = []

    def extend(clique: frozenset[int], candidates: set[int], excluded: set[int]) -> None:
        if most is not None and len(found) > most:
            return
        if not candidates and not excluded:
            found.append(clique)
            return
        pivot = max(candidates | excluded, key=lambda node: len(neighbours[node] & candidates))
        for node in sorted(candidates - neighbours[pivot]):
            extend(clique | {node}, candidates & neighbours[node], excluded & neighbours[node])
            candidates.discard(node)
            excluded.add(node)

    extend(frozenset(), set(range(len(adjacent))), set())
    return [] if most is not None and len(found) > most else found
