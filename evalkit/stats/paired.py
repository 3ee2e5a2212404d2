"""Two methods on the same items: one call, and everything a report line needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import exact
from evalkit.stats.clusters import GRID, Labels, code_groups, group_error, labels_where, to_steps
from evalkit.stats.equivalence import Equivalence, Margin, group_tost
from evalkit.stats.intervals import Estimate
from evalkit.stats.permutation import SignFlip, sign_flip_tests
from evalkit.stats.power import POWER, items_needed, minimum_detectable_effect
from evalkit.stats.seeds import fixed_items_interval
from evalkit.stats.verdict import Verdict, decide

ScoreArray = npt.ArrayLike
"""``(n,)`` scores, or ``(n, seeds)``; None or NaN marks one that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Method b against method a on the items that both have; differences are b − a, in the units of the scores."""

    n_items: int
    n_groups: int
    left_out: tuple[int, ...]
    """Positions of the items that lack a score of either method."""
    mean_a: float | None
    """Over the common items, each item the mean of its seeds. None without common items, as everything below."""
    mean_b: float | None
    test: SignFlip
    """The primary test: difference, interval, p-value, and how they were obtained."""
    adjusted_p_value: float | None = None
    """Within the family of comparisons; None where there is no family."""
    correction: str | None = None
    n_comparisons: int = 1
    """Size of the family."""
    standard_error: float | None = None
    """Group-robust (CR1); None for fewer than two groups."""
    effect_size_dz: float | None = None
    """``d̄/s_d``; None where the differences do not vary."""
    win: int
    """Items on which b is better."""
    tie: int
    loss: int
    minimum_detectable_effect: float | None = None
    """Smallest true difference that would be found four times in five; None where the differences do not vary."""
    minimum_detectable_effect_alpha: float
    """The error rate that it is for: α, over the number of comparisons where they are corrected."""
    equivalence: Equivalence | None = None
    """None where no margin was declared."""
    adjusted_equivalence_p_value: float | None = None
    fixed_items: Estimate | None = None
    """The difference on exactly these items, uncertain only through the seeds; None without several seeds."""
    higher_is_better: bool
    power: float
    """For the minimum detectable effect and the items needed."""

    @property
    def verdict(self) -> Verdict:
        """What the p-values support, the adjusted ones where there are any."""
        test, equivalence = self.test, self.equivalence
        p_value = test.p_value if self.correction is None else self.adjusted_p_value
        significant = p_value is not None and p_value <= test.alpha
        equivalent = None if equivalence is None else equivalence.equivalent
        if self.adjusted_equivalence_p_value is not None:
            equivalent = self.adjusted_equivalence_p_value <= test.alpha
        if self.n_groups > 1 and self.tie == self.n_items:
            equivalent = True  # identical scores are equivalent at any margin
        needed, needed_for = (None, None) if significant or equivalent else _items_to_decide(self)
        return decide(
            oriented_difference=test.difference if self.higher_is_better else -(test.difference or 0.0),
            significant=significant,
            equivalent=equivalent,
            reason=test.reason,
            items_needed=needed,
            items_needed_for=needed_for,
        )


def compare_paired(
    values_a: ScoreArray,
    values_b: ScoreArray,
    groups: Labels,
    *,
    higher_is_better: bool,
    margin: Margin | None = None,
    alpha: float = 0.05,
    power: float = POWER,
    seed: int = 0,
    n_flips: int | None = None,
    grid: float = GRID,
    exact_steps: int = exact.EXACT_STEPS,
) -> PairedComparison:
    """Compare two methods by the group sign-flip test of the mean paired difference.

    Several seeds are averaged within the item first; every item counts once, however many seeds it has.

    Args:
        values_a: ``(n,)`` or ``(n, seeds)`` scores of method a; None or NaN marks a missing one.
        values_b: Of method b on the same items, not necessarily with as many seeds.
        groups: ``(n,)``; items with the same label are dependent.
        higher_is_better: Direction of the metric; decides who wins, not the sign of the difference.
        margin: Difference below which methods count as equivalent, declared before scoring; in the metric's units.
        alpha: Error rate of the test, and 1 − the level of its interval.
        power: For the minimum detectable effect and the items needed.
        seed: Determines random arrangements, where there are too many to look at all.
        n_flips: Their number; by default 99,999, or 9,999 beyond 5,000 groups.
        grid: Unit to which scores are rounded, so that ties are ties.
        exact_steps: Largest ``Σ|D_g|`` in steps to count exactly instead.

    Raises:
        OptionError: Lengths differ, a score is infinite, or an option is out of range.

    >>> a = [0.20, 0.21, 0.25, 0.22, 0.19, 0.24, 0.20]
    >>> b = [0.22, 0.25, 0.26, 0.26, 0.20, 0.29, None]
    >>> result = compare_paired(a, b, range(7), higher_is_better=True)
    >>> result.verdict.verdict, result.test.p_value, result.win, result.left_out
    ('b_better', 0.03125, 6, (6,))
    """
    tables = [seed_table(values, len(groups)) for values in (values_a, values_b)]
    scores = np.stack([item_means(table, grid) for table in tables], axis=1)
    test = sign_flip_tests(
        scores, groups, [(0, 1)], alpha=alpha, n_flips=n_flips, seed=seed, grid=grid, exact_steps=exact_steps
    )[0]
    comparison = summarize_pair(
        scores, groups, test, higher_is_better=higher_is_better, margin=margin, grid=grid, mde_alpha=alpha, power=power
    )
    return replace(comparison, fixed_items=seeds_only(tables, scores, 1 - alpha))


def seed_table(values: ScoreArray, n_items: int) -> Floats:
    """Scores as ``(n, seeds)``, NaN where missing.

    Raises:
        OptionError: There is not one row per item, or a score is infinite.
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n_items:
        raise OptionError(f"Every item needs its row of scores and its group: got {table.shape} for {n_items} groups.")
    if np.isinf(table).any():
        raise OptionError("Scores must not be infinite: mark undefined ones as missing, with their reason.")
    return table


def item_means(table: Floats, grid: float = GRID) -> Floats:
    """Mean over each item's seeds, on the grid; NaN for an item without any. ``(n, seeds)`` to ``(n,)``."""
    counts = (~np.isnan(table)).sum(axis=1)
    means = np.where(counts > 0, np.nansum(table, axis=1) / np.maximum(counts, 1), np.nan)
    return to_steps(means, grid) / (1 / grid)


def seeds_only(tables: Sequence[Floats], scores: Floats, level: float) -> Estimate | None:
    """The fixed-items interval on the common items, where there are several seeds."""
    common = ~np.isnan(scores).any(axis=1)
    if max(table.shape[1] for table in tables) < 2 or not common.any():
        return None
    return fixed_items_interval(tables[0][common], tables[1][common], level=level)


def summarize_pair(
    scores: Floats,
    groups: Labels,
    test: SignFlip,
    *,
    higher_is_better: bool,
    margin: Margin | None,
    grid: float,
    mde_alpha: float,
    power: float,
) -> PairedComparison:
    """Everything about one pair beside its test.

    Args:
        scores: ``(n, 2)`` of a and b, NaN where missing.
        groups: ``(n,)``.
        test: Of their differences.
        higher_is_better: Direction of the metric.
        margin: Zone of equivalence, if declared.
        grid: Unit of the scores.
        mde_alpha: Error rate for the minimum detectable effect.
        power: Its power.
    """
    common = ~np.isnan(scores[:, 0]) & ~np.isnan(scores[:, 1])
    pairs = scores[common]
    labels = labels_where(groups, common)
    steps = to_steps(pairs, grid)
    differences = (steps[:, 1] - steps[:, 0]) / (1 / grid)
    error = group_error(differences, code_groups(labels))
    varies = len(differences) > 1 and bool((differences != differences[0]).any())
    signs = np.sign(differences) * (1 if higher_is_better else -1)
    return PairedComparison(
        n_items=len(pairs),
        n_groups=test.n_groups,
        left_out=tuple(np.flatnonzero(~common).tolist()),
        mean_a=float(pairs[:, 0].mean()) if len(pairs) else None,
        mean_b=float(pairs[:, 1].mean()) if len(pairs) else None,
        test=test,
        standard_error=error,
        effect_size_dz=float(differences.mean() / differences.std(ddof=1)) if varies else None,
        win=int((signs > 0).sum()),
        tie=int((signs == 0).sum()),
        loss=int((signs < 0).sum()),
        minimum_detectable_effect=minimum_detectable_effect(
            standard_error=error, degrees_of_freedom=test.n_groups - 1, alpha=mde_alpha, power=power
        )
        if error
        else None,
        minimum_detectable_effect_alpha=mde_alpha,
        equivalence=None if margin is None else group_tost(differences, labels, margin=margin, alpha=test.alpha),
        higher_is_better=higher_is_better,
        power=power,
    )


def corrected(
    comparison: PairedComparison,
    *,
    adjusted_p_value: float | None,
    correction: str,
    n_comparisons: int,
    adjusted_equivalence_p_value: float | None = None,
) -> PairedComparison:
    """The comparison as one of a family: with its adjusted p-values, which its verdict then follows."""
    return replace(
        comparison,
        adjusted_p_value=adjusted_p_value,
        correction=correction,
        n_comparisons=n_comparisons,
        adjusted_equivalence_p_value=adjusted_equivalence_p_value,
    )


def _items_to_decide(comparison: PairedComparison) -> tuple[int | None, float | None]:
    """Items, grouped as these are, that would find the margin; where these should have, a difference like the observed.

    Without a margin it is the observed difference too.
    """
    equivalence = comparison.equivalence
    effects = [abs(comparison.test.difference or 0.0)]
    if equivalence is not None:
        effects.insert(0, min(-equivalence.margin_low, equivalence.margin_high))
    for effect in effects:
        if not effect or not comparison.standard_error:
            continue
        needed = items_needed(
            effect,
            standard_deviation=comparison.standard_error * math.sqrt(comparison.n_items),
            alpha=comparison.minimum_detectable_effect_alpha,
            power=comparison.power,
            items_per_group=comparison.n_items / comparison.n_groups,
        )
        if needed is not None and needed > comparison.n_items:
            return needed, effect
    return None, None
