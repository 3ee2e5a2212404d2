"""Seeds against items: what new seeds on the same items would change, and whether seeds or items make a study clearer.

A *crossed* seed effect is one that all items of a seed share, as of one training run: averaging over more items leaves
it as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.formatting import degrees_of_freedom
from evalkit.stats.clusters import Groups, Labels, check_level, cluster_error, code_groups

FEWEST_DEGREES = 10
"""Of freedom that a spread between seeds needs to give an interval."""
POOLING_LEVEL = 0.25
"""An effect that all items of a seed share is counted where the F test has a p-value up to this: the usual level of a
test that decides on pooling (Bozivich, Bancroft & Hartley 1956)."""
TWO_SEEDS_LEVEL = 0.05
"""The same for tests with two seeds, which have one degree of freedom: counting the effect leaves them little power."""
_ROUNDING = 1e-24
"""Mean squares below this share of the largest score's square are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Where the spread of paired differences comes from (Miller 2024, arXiv 2411.00640)."""

    items: float
    """Variance of the items' true differences, ω²; never negative."""
    seeds_a: float
    """Variance between seeds within an item, of the first method."""
    seeds_b: float
    """Of the second."""
    paired: bool = False
    """Whether both methods were run with the same seeds."""
    seeds_difference: float
    """Variance between seeds within an item of the difference with one seed: that of the per-seed differences where
    seeds are paired, else ``σ_a² + σ_b²``."""
    crossed: "CrossedSeedEffect | None" = None
    """The part of ``seeds_difference`` that all items of a seed share, where seeds are paired; None where unknown."""

    def deviation(self, seeds: int) -> float:
        """Standard deviation of an item's difference, so many seeds averaged: ``√(ω² + σ_d²/K)``."""
        return math.sqrt(self.items + self.seeds_difference / seeds)

    @property
    def enough_seeds(self) -> int | None:
        """Seeds beyond which only new images help: the least K with ``σ_d²/K ≤ ω²/4``; None for ω = 0.

        >>> VarianceComponents(items=4.0, seeds_a=2.0, seeds_b=1.0, seeds_difference=3.0).enough_seeds
        3
        """
        return max(1, math.ceil(4 * self.seeds_difference / self.items - 1e-9)) if self.items else None


def variance_components(values_a: Floats, values_b: Floats, *, paired: bool = False) -> VarianceComponents | None:
    """Split the spread of paired differences into items and seeds.

    Args:
        values_a: ``(n, seeds)`` scores of the first method.
        values_b: ``(n, seeds)`` of the second, not necessarily as many seeds.
        paired: Whether the columns of both are the same seeds.

    Returns:
        None for fewer than two items, or fewer than two seeds of either method.

    Raises:
        OptionError: The items, or the paired seeds, differ in number, or a value is not finite.
    """
    values_a, values_b = _tables(values_a, values_b, paired=paired)
    if not (np.isfinite(values_a).all() and np.isfinite(values_b).all()):
        raise OptionError("Scores must be finite: leave undefined items out, with their reason.")
    if len(values_a) < 2 or min(values_a.shape[1], values_b.shape[1]) < 2:
        return None
    seeds_a, seeds_b = (float(values.var(axis=1, ddof=1).mean()) for values in (values_a, values_b))
    total = float((values_b.mean(axis=1) - values_a.mean(axis=1)).var(ddof=1))
    if paired:
        differences = values_b - values_a
        within = float(differences.var(axis=1, ddof=1).mean())
        of_mean, crossed = within / differences.shape[1], crossed_seed_effect(differences)
    else:
        of_mean, crossed = seeds_a / values_a.shape[1] + seeds_b / values_b.shape[1], None
        within = seeds_a + seeds_b
    return VarianceComponents(
        items=max(0.0, total - of_mean),
        seeds_a=seeds_a,
        seeds_b=seeds_b,
        paired=paired,
        seeds_difference=within,
        crossed=crossed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedSeedEffect:
    """An effect that all items of a seed share, from the two-way layout of items by seeds."""

    variance: float
    """``max(0, (MS_seed − MS_error)/n)``: of the shared effect of one seed."""
    p_value: float
    """Of the F test that there is none, ``MS_seed/MS_error`` with K − 1 and the residual degrees of freedom."""
    seed_mean_square: float
    error_mean_square: float
    error_freedom: float
    n_items: int
    n_seeds: int

    @property
    def counts(self) -> bool:
        """Whether the mean squares of seeds and of errors differ too much to be pooled."""
        return self.variance > 0 and self.p_value <= POOLING_LEVEL

    @property
    def counts_in_tests(self) -> bool:
        """Whether a test of differences takes seeds as a sample beside the items."""
        return self.counts and (self.n_seeds > 2 or self.p_value <= TWO_SEEDS_LEVEL)


def crossed_seed_effect(table: Floats, groups: Labels | None = None) -> CrossedSeedEffect | None:
    """Whether the items of a seed share an effect, on the items that have every seed.

    ``MS_seed = n Σ_k (x̄_k − x̄)²/(K−1)``; ``MS_error = Σ_ik r_ik²/((n−1)(K−1))`` with r what is left after the means of
    items and of seeds. Items of a group may also share an effect of their own with each seed (one picture edited from
    one noise): with groups, ``MS_error`` is made of the groups' sums of r, so that this does not pass for an effect of
    all: ``Σ_gk (Σ_{i∈g} r_ik)²/(n (1 − Σh_g²) (K−1))``, ``h_g = m_g/n``.

    Args:
        table: ``(n, seeds)`` scores, or per-seed differences of two methods; NaN where there is none.
        groups: ``(n,)``.

    Returns:
        None for fewer than two items (or groups) with every seed, or fewer than two seeds.

    >>> effect = crossed_seed_effect(np.array([[1.0, 2.0, 3.1], [2.0, 3.1, 4.0], [0.0, 1.1, 2.0]]))
    >>> round(effect.variance, 3), effect.p_value < 0.001
    (1.033, True)
    """
    from scipy.special import fdtrc

    complete = np.isfinite(table).all(axis=1)
    values = table[complete]
    n_items, n_seeds = values.shape
    coded = code_groups(np.arange(n_items) if groups is None else code_groups(groups).codes[complete])
    if coded.n_groups < 2 or n_seeds < 2:
        return None
    values = values - values.mean(axis=1, keepdims=True)
    of_seed = values.mean(axis=0)
    concentration = float(np.square(coded.sizes / n_items).sum())
    residuals = np.square(coded.sums(values - of_seed)).sum()
    error = float(residuals / (n_items * (1 - concentration) * (n_seeds - 1)))
    seed = float(n_items * np.square(of_seed).sum() / (n_seeds - 1))
    rounding = _ROUNDING * float(np.square(table[complete]).max())
    seed, error = (value if value > rounding else 0.0 for value in (seed, error))
    freedom = (1 / concentration - 1) * (n_seeds - 1)
    ratio = seed / error if error else math.inf if seed else 0.0
    return CrossedSeedEffect(
        variance=max(0.0, (seed - error) / n_items),
        p_value=float(fdtrc(n_seeds - 1, freedom, ratio)) if math.isfinite(ratio) else 0.0,
        seed_mean_square=seed,
        error_mean_square=error,
        error_freedom=freedom,
        n_items=n_items,
        n_seeds=n_seeds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedError:
    """How uncertain a mean difference is through items and through an effect that all items of a seed share."""

    error: float
    freedom: float
    """Degrees of freedom by Satterthwaite's rule."""
    seed_effect: float
    """Standard deviation of the shared effect of one seed on the difference; 0 where the layout shows none."""


def crossed_error(differences: Floats, tables: Sequence[Floats], groups: Labels) -> CrossedError | None:
    """Standard error of the mean difference where both items and seeds are samples.

    ``SE² = CR2 + Σ max(0, MS_seed − MS_error)/(nK)``: the group-robust variance of the items' differences, which holds
    what seeds do to single items, plus what they do to all of them, table by table. ``ν = SE⁴ / (CR2²/ν_CR2 +
    Σ ((MS_seed/nK)²/(K−1) + (MS_error/nK)²/ν_error))``, or CR2's own where the shared part is 0.

    False positives of t at .05 (30 items, item variance 1 and seed variance 1, 200,000 draws) with a shared effect of
    variance 0, .03, .1, .3, 1, 10: without the shared part .050, .074, .133, .266, .489, .816 for 3 seeds; with it
    .039, .043, .053, .066, .074, .061, and at most .057 for 5 seeds and .118 for 2. By F test: at .25 at most .077 for
    3 seeds; for 2 at most .122, and .159 at .05. Where nothing is shared, the power of .78 is .72 then for 3 seeds, and
    for 2 .64 at .25, .74 at .05 (20,000 draws), which is why these are counted only where the effect is shown.

    Args:
        differences: ``(n,)``, each item the mean over its seeds.
        tables: ``(n, seeds)`` each: the per-seed differences of methods that were run with the same seeds, or else each
            method's own scores. NaN where there is none, but not in all seeds of an item.
        groups: ``(n,)``.

    Returns:
        None for fewer than two groups.

    Raises:
        OptionError: An item of a table has no score.
    """
    coded = code_groups(groups)
    spread = cluster_error(differences, coded)
    if spread is None:
        return None
    total, shared = spread.error**2, 0.0
    parts = [(total, spread.freedom)]
    for table in tables:
        counts, effect = _counts(table), crossed_seed_effect(table, coded)
        if effect is None or not effect.variance:
            continue
        share = _share_of_seeds(np.isfinite(table), counts)
        seed, error = (share * ms / effect.n_items for ms in (effect.seed_mean_square, effect.error_mean_square))
        total += seed - error
        parts += [(seed, effect.n_seeds - 1.0), (error, effect.error_freedom)]
        shared += effect.variance
    freedom = _satterthwaite(total, parts) if shared else spread.freedom
    return CrossedError(error=math.sqrt(total), freedom=freedom, seed_effect=math.sqrt(shared))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedInterval:
    """What new seeds on exactly these items would leave of a mean difference."""

    low: float | None
    """None where ``reason`` says why."""
    high: float | None
    freedom: float | None
    """Degrees of freedom of the spread between seeds; None where nothing was run twice."""
    paired: bool
    """Whether it rests on the per-seed differences of methods that were run with the same seeds."""
    reason: str | None = None
    crossed: float
    """Variance of the effect on the difference that all items of a seed share; 0 where the layout shows none."""
    crossed_p_value: float | None
    """Of the F test that there is none, the smaller of both methods' where seeds are not paired; None where items do
    not share seeds."""


def fixed_items_interval(
    values_a: Floats,
    values_b: Floats,
    *,
    level: float = 0.95,
    groups: Labels | None = None,
    paired: bool = False,
    widest: float | None = None,
    crossed: bool = True,
) -> SeedInterval:
    """The interval of the mean difference b − a on exactly these items, uncertain only through the seeds.

    Where the seeds of both methods are the same, it rests on their per-seed differences; else on each method's own
    scores. The spread within items gives ``SE² = Σ_i σ²_i/K_i / n²`` with as many degrees of freedom as there are
    repeats (of groups' sums where items come in groups, which count as ``1/Σh_g²`` items, ``h_g = m_g/n``); an item
    that was run once takes the mean variance over the others. Where the seeds' means differ by more
    than that explains (F test of ``MS_seed/MS_error`` in the two-way layout of items by seeds, p ≤ .25), an effect that
    all items share is counted: ``SE² = component/K + MS_error/(nK) = MS_seed/(nK)``, with K − 1 degrees of freedom.
    Both methods' parts are added, with Satterthwaite's degrees of freedom. Below 10 of these there is no interval.

    Intervals that miss the difference (nominal .05; 30 or 100 items, paired, 200,000 draws): .037 without a shared
    effect, whatever the methods' correlation, since a quarter has none; with a shared effect of the worst size .046 for
    10 seeds, .073 for 4, .093 for 3, .148 for 2. Not counting it misses up to .8; counting it only where p ≤ .05,
    .137 for 4 seeds and .247 for 2; wherever MS_seed > MS_error, .053 and .134, at the price of two intervals in five.

    It answers "these items, new seeds"; all else in this library answers "new items like these".

    Args:
        values_a: ``(n, seeds)`` scores of the first method; NaN where an item has fewer seeds, but at least one.
        values_b: ``(n, seeds)`` of the second.
        level: Coverage, in (0, 1).
        groups: ``(n,)``; items of a group may share what a seed does to them. By default each is its own.
        paired: Whether the columns of both are the same seeds. An item of which one method lacks a seed unpairs them.
        widest: Half-width of the interval over new items and new seeds: fixed items are never less certain.
        crossed: Whether the items of a seed may share an effect; not where each item has repeats of its own, as of a
            judge.

    Raises:
        OptionError: The items, or the paired seeds, differ in number, or an item has no score.

    >>> values = np.array([[0.1, 0.3, 0.2], [0.2, 0.3, 0.2], [0.0, 0.1, 0.2], [0.1, 0.1, 0.3], [0.5, 0.2, 0.3]])
    >>> interval = fixed_items_interval(values, values + 0.5)
    >>> round(interval.low + interval.high, 12), interval.freedom
    (1.0, 20.0)
    """
    from scipy.special import stdtrit

    check_level(level)
    values_a, values_b = _tables(values_a, values_b, paired=paired)
    means = [_means(values) for values in (values_a, values_b)]
    coded = code_groups(np.arange(len(values_a)) if groups is None else groups)
    paired = paired and bool((np.isfinite(values_a) == np.isfinite(values_b)).all())
    parts = [
        _spread(values, coded, crossed=crossed)
        for values in ([values_b - values_a] if paired else [values_a, values_b])
    ]
    variance, freedom, reason = _together(parts)
    p_values = [part.crossed.p_value for part in parts if part is not None and part.crossed is not None]
    half = None if reason else float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(variance)
    if half is not None and widest is not None:
        half = min(half, widest)
    difference = float((means[1] - means[0]).mean())
    return SeedInterval(
        low=None if half is None else difference - half,
        high=None if half is None else difference + half,
        freedom=freedom,
        paired=paired,
        reason=reason,
        crossed=sum(part.crossed.variance for part in parts if part is not None and part.crossed is not None),
        crossed_p_value=min(p_values, default=None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """What seeds do to the mean over the items of one table."""

    variance: float
    freedom: float
    crossed: CrossedSeedEffect | None


def _spread(values: Floats, groups: Groups, *, crossed: bool) -> _Spread | None:
    """The variance of the mean through seeds; None where no item was run twice."""
    counts, n_items = _counts(values), len(values)
    again = counts > 1
    if not again.any():
        return None
    effect = crossed_seed_effect(values, groups) if crossed else None
    if effect is not None and effect.counts:
        shared = effect.variance * _share_of_seeds(np.isfinite(values), counts)
        variance = shared + effect.error_mean_square * float((1 / counts).sum()) / n_items**2
        return _Spread(variance=variance, freedom=effect.n_seeds - 1.0, crossed=effect)
    deviations = np.nan_to_num(values - _means(values)[:, None])
    if np.square(deviations).max() <= _ROUNDING * np.nanmax(np.square(values)):
        deviations[:] = 0.0
    squares = np.square(deviations).sum(axis=1)
    mean_variance = float((squares[again] / (counts[again] - 1)).mean())
    # Squared and summed over seeds, an item's row is the variance of its mean; a group's, that of its items' sum.
    scaled = deviations / np.sqrt(counts * np.maximum(counts - 1, 1))[:, None]
    variance = (float(np.square(groups.sums(scaled)).sum()) + mean_variance * float((~again).sum())) / n_items**2
    repeats = float((counts - 1).sum())
    return _Spread(variance=variance, freedom=repeats * n_items / float(np.square(groups.sizes).sum()), crossed=effect)


def _together(parts: list[_Spread | None]) -> tuple[float, float | None, str | None]:
    """The variances added, Satterthwaite's degrees of freedom, and why no interval follows from them."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return 0.0, None, "a method was not run twice on any item: the spread between seeds is unknown"
    variance = sum(part.variance for part in known)
    if not variance:
        return 0.0, None, "the seeds make no difference on these items"
    freedom = _satterthwaite(variance, [(part.variance, part.freedom) for part in known])
    if freedom >= FEWEST_DEGREES:
        return variance, freedom, None
    reason = f"the spread between seeds has {degrees_of_freedom(freedom)}, fewer than {FEWEST_DEGREES}"
    if any(part.crossed is not None and part.crossed.counts for part in known):
        reason += ", since items may share an effect of the seed"
    return variance, freedom, reason


def _satterthwaite(total: float, parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a variance that is made of others, each with its own; of whatever size they are."""
    return 1 / sum((variance / total) ** 2 / freedom for variance, freedom in parts)


def _share_of_seeds(there: Mask, counts: Floats) -> float:
    """What one seed's variance is multiplied by in that of the mean: ``Σ_k w_k²``, 1/K where every item has all."""
    return float(np.square((there / counts[:, None]).mean(axis=0)).sum())


def _counts(values: Floats) -> Floats:
    """``(n,)`` seeds of each item."""
    counts: Floats = np.isfinite(values).sum(axis=1).astype(np.float64)
    if not len(values) or (counts == 0).any():
        raise OptionError("Every item needs a score with at least one seed.")
    return counts


def _means(values: Floats) -> Floats:
    """``(n,)`` mean over each item's seeds."""
    means: Floats = np.nansum(values, axis=1) / _counts(values)
    return means


def _tables(values_a: Floats, values_b: Floats, *, paired: bool) -> tuple[Floats, Floats]:
    values_a, values_b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if values_a.ndim != 2 or values_b.ndim != 2 or len(values_a) != len(values_b):
        raise OptionError(f"Two tables of the same items by seeds are needed; got {values_a.shape}, {values_b.shape}.")
    if paired and values_a.shape != values_b.shape:
        raise OptionError(f"Paired seeds are the same columns; got {values_a.shape[1]} and {values_b.shape[1]}.")
    return values_a, values_b
