"""Ranks that carry their uncertainty, from intervals for all pairwise differences at once.

A method's rank set counts who is certainly better and who is certainly worse (Mogstad, Romano, Shaikh & Wilhelm,
Review of Economic Studies 2023). "Certainly" means at once for all pairs: the critical value is a quantile of the
largest |t| over pairs in bootstrap resamples of the groups, each studentised anew. Resampling the ranks themselves
would cover a tie of ten methods one time in five instead of nineteen in twenty.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import GRID, Groups, Labels, check_alpha, code_groups, group_error, labels_where, to_steps
from evalkit.stats.intervals import Interval, group_t_interval
from evalkit.stats.paired import ScoreArray, item_means, seed_table
from evalkit.stats.resampling import studentized_means


@dataclass(frozen=True, slots=True, kw_only=True)
class Simultaneous:
    """Means of several columns with intervals and p-values adjusted for all of them."""

    means: Floats
    """``(c,)``."""
    lows: Floats
    highs: Floats
    """``(c,)``; infinite where there is no interval."""
    p_values: Floats
    """``(c,)`` single-step adjusted, in (0, 1]; at most α exactly where the interval excludes 0."""
    critical_value: float | None
    """None where no column has a usable spread."""
    thin: npt.NDArray[np.bool_]
    """``(c,)`` columns that differ in too few groups for the bootstrap to bound them."""


def simultaneous_intervals(
    columns: Floats, groups: Groups, *, alpha: float, n_resamples: int, seed: int
) -> Simultaneous:
    """Means ± c·SE with c the ⌊α(B+1)⌋-th largest of the B resamples' ``max_columns |x̄* − x̄|/SE*`` (bootstrap-t).

    A column that is the same on all items has no spread to resample; it is tested by flipping the signs of groups,
    Bonferroni-corrected. A column that differs on so few groups that many resamples miss them all cannot be bounded; it
    is set apart, unbounded, so that it does not unbound the others.

    Args:
        columns: ``(n, c)``, finite.
        groups: Of the same ``n`` items.
        alpha: Probability that any interval misses its mean.
        n_resamples: Number of resamples B.
        seed: Determines them.

    Raises:
        OptionError: There are too few resamples for this alpha.
    """
    rank = int(alpha * (n_resamples + 1) + 1e-9)
    if rank < 1:
        raise OptionError(f"An error rate of {alpha:g} needs more than {n_resamples} resamples.")
    n, count = columns.shape
    means = columns.mean(axis=0) if n else np.zeros(count)
    p_values, half, thin = np.ones(count), np.full(count, np.inf), np.zeros(count, dtype=np.bool_)
    critical = None
    if groups.n_groups > 1 and count:
        errors = np.array([group_error(column, groups) for column in columns.T], dtype=np.float64)
        constant = errors == 0
        p_values[constant] = np.where(means[constant] == 0, 1.0, min(1.0, count * 2.0 ** (1 - groups.n_groups)))
        half[constant & ((p_values <= alpha) | (means == 0))] = 0.0
        # Were it alone, a column with more unbounded resamples than this would still be without an interval.
        thin = ~constant & (_share_without_spread(columns, groups) > alpha / (2 * count))
        usable = ~constant & ~thin
        if usable.any():
            residuals = groups.sums(columns[:, usable] - means[usable])
            chunks = studentized_means(residuals, groups.sizes, n_resamples=n_resamples, seed=seed)
            largest = np.sort(np.concatenate([np.abs(t).max(axis=1) for t in chunks]))
            critical = float(largest[-rank]) if np.isfinite(largest[-rank]) else None
            p_values[usable] = _adjusted(np.abs(means[usable]) / errors[usable], largest)
            half[usable] = largest[-rank] * errors[usable]
    return Simultaneous(
        means=means, lows=means - half, highs=means + half, p_values=p_values, critical_value=critical, thin=thin
    )


def _share_without_spread(columns: Floats, groups: Groups) -> Floats:
    """Probability for each column that a resample draws only groups of one and the same mean."""
    shares = np.zeros(columns.shape[1])
    for number, sums in enumerate(groups.sums(columns).T):
        _, counts = np.unique(sums / groups.sizes, return_counts=True)
        shares[number] = ((counts / groups.n_groups) ** groups.n_groups).sum()
    return shares


def _adjusted(statistics: Floats, largest: Floats) -> Floats:
    """Share of resamples whose largest |t| (sorted) reaches each statistic, the observed one counted in."""
    reached = len(largest) - np.searchsorted(largest, statistics)
    return np.asarray((1 + reached) / (1 + len(largest)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRanks:
    """A method's place: its mean, and the ranks that it may have."""

    method: str
    interval: Interval
    """Of its own mean, over the items that all methods have."""
    rank_low: int
    """1 + the number of methods that are certainly better."""
    rank_high: int
    """The number of methods less those that are certainly worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimultaneousDifference:
    """Difference b − a with an interval that holds for all pairs at once."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p_value: float
    """Single-step adjusted: at most α exactly when the interval excludes 0."""
    reason: str | None = None
    """Why there is no interval; the pair then counts as not distinguishable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Methods from best to worst, on the items that all of them have."""

    methods: tuple[MethodRanks, ...]
    differences: tuple[SimultaneousDifference, ...]
    cliques: tuple[tuple[str, ...], ...]
    """Maximal sets of two methods or more of which no two are distinguishable; they need not be neighbours."""
    alpha: float
    critical_value: float | None
    """Of the largest |t|; None where no pair has a spread."""
    n_items: int
    n_groups: int
    left_out: tuple[int, ...]
    """Positions of the items that some method lacks."""
    reason: str | None = None
    """Why nothing can be told apart."""


def rank_sets(
    values: Mapping[str, ScoreArray],
    groups: Labels,
    *,
    higher_is_better: bool,
    alpha: float = 0.05,
    n_resamples: int = 9_999,
    seed: int = 0,
    grid: float = GRID,
) -> Ranking:
    """Rank methods by their mean, each with the set of ranks that the data allow at level 1 − α for all at once.

    Args:
        values: Method to ``(n,)`` or ``(n, seeds)`` scores; None or NaN marks a missing one. Items that any method
            lacks are left out for all, and listed.
        groups: ``(n,)``; items with the same label are drawn together.
        higher_is_better: Direction of the metric.
        alpha: Probability that any rank set misses, in (0, 1).
        n_resamples: Bootstrap resamples of the groups.
        seed: Determines them.
        grid: Unit to which scores are rounded.

    Raises:
        OptionError: There is no method, lengths differ, a score is infinite, or an option is out of range.

    >>> rng = np.random.default_rng(0)
    >>> scores = {"old": rng.normal(0, 1, 60), "new": rng.normal(2, 1, 60), "twin": rng.normal(2, 1, 60)}
    >>> ranking = rank_sets(scores, range(60), higher_is_better=True)
    >>> [(place.method, place.rank_low, place.rank_high) for place in ranking.methods]
    [('new', 1, 2), ('twin', 1, 2), ('old', 3, 3)]
    >>> ranking.cliques
    (('new', 'twin'),)
    """
    check_alpha(alpha)
    if not values:
        raise OptionError("A ranking needs at least one method.")
    scores = np.stack([item_means(seed_table(table, len(groups)), grid) for table in values.values()], axis=1)
    common = np.logical_not(np.isnan(scores).any(axis=1))
    labels = labels_where(groups, common)
    names, coded = list(values), code_groups(labels)
    steps = to_steps(scores[common], grid)
    pairs = list(combinations(range(len(names)), 2))
    differences = np.stack([steps[:, b] - steps[:, a] for a, b in pairs], axis=1) if pairs else steps[:, :0]
    found = simultaneous_intervals(differences, coded, alpha=alpha, n_resamples=n_resamples, seed=seed)
    better = _certainly_better(len(names), pairs, found, alpha, higher_is_better)
    places = [
        MethodRanks(
            method=name,
            interval=group_t_interval(scores[common, number], labels, level=1 - alpha),
            rank_low=1 + int(better[:, number].sum()),
            rank_high=len(names) - int(better[number].sum()),
        )
        for number, name in enumerate(names)
    ]
    direction = -1 if higher_is_better else 1
    order = sorted(range(len(names)), key=lambda number: direction * (places[number].interval.mean or 0.0))
    reason = "no item has all scores" if not coded.n_items else "one group only" if coded.n_groups < 2 else None
    return Ranking(
        methods=tuple(places[number] for number in order),
        differences=tuple(
            _difference(names[a], names[b], found, number, 1 / grid)
            for number, (a, b) in enumerate(pairs if coded.n_items else [])
        ),
        cliques=tuple(tuple(names[number] for number in clique) for clique in _cliques(better, order)),
        alpha=alpha,
        critical_value=found.critical_value,
        n_items=coded.n_items,
        n_groups=coded.n_groups,
        left_out=tuple(np.flatnonzero(~common).tolist()),
        reason=reason,
    )


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


def _certainly_better(
    n_methods: int, pairs: list[tuple[int, int]], found: Simultaneous, alpha: float, higher_is_better: bool
) -> npt.NDArray[np.bool_]:
    """``[winner, loser]`` is true where the interval of their difference excludes 0."""
    better = np.zeros((n_methods, n_methods), dtype=np.bool_)
    for (a, b), mean, p_value in zip(pairs, found.means, found.p_values, strict=True):
        if p_value <= alpha and mean:
            winner, loser = (b, a) if (mean > 0) == higher_is_better else (a, b)
            better[winner, loser] = True
    return better


def _cliques(better: npt.NDArray[np.bool_], order: list[int]) -> list[list[int]]:
    """Cliques of two or more that are not distinguishable, members and cliques in the order of the ranking."""
    place = {number: position for position, number in enumerate(order)}
    cliques = maximal_cliques(~(better | better.T))
    ordered = [sorted(clique, key=place.__getitem__) for clique in cliques if len(clique) > 1]
    return sorted(ordered, key=lambda clique: [place[number] for number in clique])


def _difference(a: str, b: str, found: Simultaneous, number: int, unit: float) -> SimultaneousDifference:
    low, high = float(found.lows[number]) / unit, float(found.highs[number]) / unit
    bounded = math.isfinite(low) and math.isfinite(high)
    thin = "the two differ in too few groups for an interval"
    return SimultaneousDifference(
        a=a,
        b=b,
        difference=float(found.means[number]) / unit,
        low=low if bounded else None,
        high=high if bounded else None,
        p_value=float(found.p_values[number]),
        reason=None if bounded else thin if found.thin[number] else "too few groups for an interval",
    )
