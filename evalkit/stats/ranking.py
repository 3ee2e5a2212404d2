"""Ranks that carry their uncertainty, from tests of all pairwise differences at once.

A method's rank set counts who is certainly better and who is certainly worse (Mogstad, Romano, Shaikh & Wilhelm,
Review of Economic Studies 2023). "Certainly" means at once for all pairs: the critical value is a quantile of the
largest |t| over pairs in bootstrap resamples of the groups, each studentised anew. Resampling the ranks themselves
would cover a tie of ten methods one time in five instead of nineteen in twenty.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats.bootstrap import studentized_means
from evalkit.stats.clusters import Groups, Labels, check_alpha, cluster_errors, code_groups, to_steps
from evalkit.stats.intervals import mean_interval
from evalkit.stats.records import RankedMethod, Ranking
from evalkit.stats.scores import InferenceOptions, MetricScores, item_means


def rank_methods(metric: MetricScores, groups: Labels, options: InferenceOptions) -> Ranking:
    """Rank the methods by their mean, each with the set of ranks that the data allow at level 1 − α for all at once.

    Methods are ranked on the items for which all of them have a value; the others are shown with their mean.

    Args:
        metric: Every method's scores.
        groups: ``(n,)``; items with the same label are drawn together.
        options: α, resamples and seed.

    Raises:
        OptionError: An option is out of range, or lengths differ.

    >>> rng = np.random.default_rng(0)
    >>> scores = {name: rng.normal(mean, 1, (60, 1)) for name, mean in (("old", 0), ("new", 2), ("twin", 2))}
    >>> metric = MetricScores(metric="score", scores=scores, higher_is_better=True)
    >>> ranking = rank_methods(metric, range(60), InferenceOptions())
    >>> [(row.method, row.rank_low, row.rank_high) for row in ranking.methods]
    [('new', 1, 2), ('twin', 1, 2), ('old', 3, 3)]
    >>> ranking.cliques
    (('new', 'twin'),)
    """
    check_alpha(options.alpha)
    coded, names, direction = code_groups(groups), metric.ranked, -1 if metric.higher_is_better else 1
    means = {name: item_means(table, metric.grid) for name, table in metric.scores.items()}

    def row(name: str, kept: Mask, reason: str | None, ranks: tuple[int, int] | None = None) -> RankedMethod:
        interval = mean_interval(
            means[name][kept], coded.where(kept), is_rate=metric.is_rate, level=1 - options.alpha, bounds=metric.range
        )
        low, high = ranks or (None, None)
        return RankedMethod(
            metric=metric.metric,
            method=name,
            mean=interval.value,
            ci_low=interval.low,
            ci_high=interval.high,
            rank_low=low,
            rank_high=high,
            tied_with_best=low == 1,
            reason=reason,
        )

    def unranked(reasons: Mapping[str, str]) -> list[RankedMethod]:
        return [row(name, ~np.isnan(means[name]), reason) for name, reason in reasons.items()]

    if len(names) < 2:
        alone = "there is no other complete method to be ranked against"
        return Ranking(methods=tuple(unranked({name: metric.unranked.get(name, alone) for name in means})))
    common = np.logical_not(np.isnan([means[name] for name in names]).any(axis=0))
    inside = coded.where(common)
    better = _certainly_better(np.stack([means[name][common] for name in names], axis=1), inside, metric, options)
    reason = "no item has all scores" if not len(inside) else "one group only" if inside.n_groups < 2 else None
    ranks = [(1 + int(better[:, n].sum()), len(names) - int(better[n].sum())) for n in range(len(names))]
    ranked = [row(name, common, reason, None if reason else ranks[n]) for n, name in enumerate(names)]
    order = sorted(range(len(names)), key=lambda number: direction * (ranked[number].mean or 0.0))
    return Ranking(
        methods=(*(ranked[number] for number in order), *unranked(metric.unranked)),
        cliques=() if reason else tuple(tuple(names[n] for n in clique) for clique in _cliques(better, order)),
        n_items=len(inside),
    )


def simultaneous_p_values(columns: Floats, groups: Groups, *, alpha: float, n_resamples: int, seed: int) -> Floats:
    """P-values against a mean of 0, adjusted for all columns: the share of resamples whose largest |t| is as large.

    With c the ⌊α(B+1)⌋-th largest of the B resamples' ``max_columns |x̄* − x̄|/SE*`` (bootstrap-t), p ≤ α exactly where
    the simultaneous interval, mean ± c·SE, excludes 0.

    A column that is the same on all items has no spread to resample; it is tested by flipping the signs of groups,
    Bonferroni-corrected. A column that differs on so few groups that many resamples miss them all cannot be bounded; it
    is set apart, with p = 1, so that it does not unbound the others.

    Args:
        columns: ``(n, c)``, finite.
        groups: Of the same ``n`` items.
        alpha: Probability that any interval misses its mean.
        n_resamples: Number of resamples B.
        seed: Determines them.

    Returns:
        ``(c,)``, in (0, 1].

    Raises:
        OptionError: There are too few resamples for this alpha.
    """
    if int(alpha * (n_resamples + 1) + 1e-9) < 1:
        raise OptionError(f"An error rate of {alpha:g} needs more than {n_resamples} resamples.")
    count = columns.shape[1]
    p_values = np.ones(count)
    if groups.n_groups < 2 or not count:
        return p_values
    means = columns.mean(axis=0)
    errors, _ = cluster_errors(columns, groups)
    constant = errors == 0
    p_values[constant] = np.where(means[constant] == 0, 1.0, min(1.0, count * 2.0 ** (1 - groups.n_groups)))
    # Were it alone, a column with more unbounded resamples than this would still be without an interval.
    usable = ~constant & (_share_without_spread(columns, groups) <= alpha / (2 * count))
    if usable.any():
        residuals = groups.sums(columns[:, usable] - means[usable])
        chunks = studentized_means(residuals, groups.sizes, n_resamples=n_resamples, seed=seed)
        largest = np.sort(np.concatenate([np.abs(t).max(axis=1) for t in chunks]))
        reached = len(largest) - np.searchsorted(largest, np.abs(means[usable]) / errors[usable])
        p_values[usable] = (1 + reached) / (1 + len(largest))  # the observed statistic is counted in
    return p_values


def _share_without_spread(columns: Floats, groups: Groups) -> Floats:
    """Probability for each column that a resample draws only groups of one and the same mean."""
    shares = np.zeros(columns.shape[1])
    for number, sums in enumerate(groups.sums(columns).T):
        _, counts = np.unique(sums / groups.sizes, return_counts=True)
        shares[number] = ((counts / groups.n_groups) ** groups.n_groups).sum()
    return shares


def _certainly_better(scores: Floats, groups: Groups, metric: MetricScores, options: InferenceOptions) -> Mask:
    """``(methods, methods)``: ``[winner, loser]`` is true where their difference is significant among all."""
    steps = to_steps(scores, metric.grid)
    pairs = list(combinations(range(steps.shape[1]), 2))
    differences = np.stack([steps[:, b] - steps[:, a] for a, b in pairs], axis=1)
    p_values = simultaneous_p_values(
        differences, groups, alpha=options.alpha, n_resamples=options.n_resamples, seed=options.seed
    )
    better = np.zeros((steps.shape[1],) * 2, dtype=np.bool_)
    for (a, b), column, p_value in zip(pairs, differences.T, p_values, strict=True):
        if p_value <= options.alpha and column.mean():
            winner, loser = (b, a) if (column.mean() > 0) == metric.higher_is_better else (a, b)
            better[winner, loser] = True
    return better


def maximal_cliques(adjacent: npt.NDArray[np.bool_]) -> list[frozenset[int]]:
    """All maximal sets of nodes of which any two are adjacent (Bron & Kerbosch 1973, with pivoting).

    Args:
        adjacent: ``(k, k)``, symmetric; the diagonal is ignored.

    >>> sorted(sorted(clique) for clique in maximal_cliques(np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)))
    [[0, 1], [0, 2]]
    """
    neighbours = [set(np.flatnonzero(row).tolist()) - {node} for node, row in enumerate(adjacent)]
    found: list[frozenset[int]] = []

    def extend(clique: frozenset[int], candidates: set[int], excluded: set[int]) -> None:
        if not candidates and not excluded:
            found.append(clique)
            return
        pivot = max(candidates | excluded, key=lambda node: len(neighbours[node] & candidates))
        for node in sorted(candidates - neighbours[pivot]):
            extend(clique | {node}, candidates & neighbours[node], excluded & neighbours[node])
            candidates.discard(node)
            excluded.add(node)

    extend(frozenset(), set(range(len(adjacent))), set())
    return found


def _cliques(better: Mask, order: Sequence[int]) -> list[list[int]]:
    """Cliques of two or more that are not distinguishable, members and cliques in the order of the ranking."""
    position = {number: rank for rank, number in enumerate(order)}
    cliques = maximal_cliques(~(better | better.T))
    ordered = [sorted(clique, key=position.__getitem__) for clique in cliques if len(clique) > 1]
    return sorted(ordered, key=lambda clique: [position[number] for number in clique])
