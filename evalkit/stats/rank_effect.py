"""Effect sizes that go with rank tests: how far gains outweigh losses, and where the centre is."""

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats.clusters import (
    GRID,
    Groups,
    Labels,
    check_level,
    code_groups,
    finite_by_group,
    group_error,
    to_steps,
)
from evalkit.stats.intervals import Estimate, effective_trials, estimate_of, wilson_ends
from evalkit.stats.rank_tests import flip_p_value, signed_doubled_ranks

RANK_STEPS = 20_000
"""Signed-rank tests are inverted exactly up to this sum of doubled ranks (about 140 items)."""


def rank_biserial(differences: Floats, groups: Labels, *, level: float = 0.95, grid: float = GRID) -> Estimate:
    """Matched-pairs rank-biserial correlation ``(R⁺ − R⁻)/(R⁺ + R⁻)``, in [−1, 1]; zeros are left out.

    The companion of Wilcoxon's test (Kerby 2014). Its standard error is that of the U-statistic behind it,
    ``P(d_i + d_j > 0)``, whose projections (Hoeffding 1948) are summed by group; the interval is Wilson's on the number
    of trials that would have this error.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``.
        level: Coverage.
        grid: Unit to which the differences are rounded.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> rank_biserial(np.array([1.0, 2.0, -3.0, 4.0]), range(4)).value
    0.4
    """
    check_level(level)
    differences, _ = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    coded = code_groups([group for group, step in zip(groups, steps, strict=True) if step])
    if not coded.n_items:
        reason = "all differences are zero" if len(steps) else "no values"
        return estimate_of(coded, level, "wilson_u_statistic", reason=reason)
    steps = steps[steps != 0]
    ranks = signed_doubled_ranks(steps)
    value = float(ranks.sum() / np.abs(ranks).sum())
    error = group_error(2 * _share_above(steps, np.sort(-steps)), coded)
    if error is None:
        reason = "one group only: no spread between groups can be known"
        return estimate_of(coded, level, "wilson_u_statistic", value, reason=reason)
    rate = (value + 1) / 2
    low, high = wilson_ends(rate, effective_trials(rate, error) or coded.n_groups, level)
    return estimate_of(coded, level, "wilson_u_statistic", value, (2 * low - 1, 2 * high - 1))


def hodges_lehmann(differences: Floats, groups: Labels, *, level: float = 0.95, grid: float = GRID) -> Estimate:
    """Hodges–Lehmann estimate of the centre: the median of all averages of two differences (each with itself too).

    The interval holds the shifts that Wilcoxon's group signed-rank test does not reject (1963).

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``.
        level: Coverage.
        grid: Unit to which the differences are rounded.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> hodges_lehmann(np.array([1.0, 2.0, 6.0]), range(3)).value
    2.75
    """
    check_level(level)
    differences, coded = finite_by_group(differences, groups)
    if not len(differences):
        return estimate_of(coded, level, "signed_rank_inversion", reason="no values")
    # On four times the grid every average of two differences is even, so that odd shifts meet no tie.
    steps, unit = 4 * to_steps(differences, grid), 4 / grid
    centre = _median_of_averages(steps) / unit
    low, high = _lowest_shift(steps, coded, 1 - level), _lowest_shift(-steps, coded, 1 - level)
    if low is None or high is None:
        reason = f"{coded.n_groups} groups cannot reject any shift at this level"
        return estimate_of(coded, level, "signed_rank_inversion", centre, reason=reason)
    return estimate_of(coded, level, "signed_rank_inversion", centre, (low / unit, -high / unit))


def _median_of_averages(steps: Floats) -> float:
    """Median of ``(s_i + s_j)/2`` over i ≤ j of whole numbers, in O(n log n)."""
    ordered = np.sort(steps)
    count = len(ordered) * (len(ordered) + 1) // 2

    def at_most(bound: int) -> int:
        pairs = int(np.searchsorted(ordered, bound - ordered, side="right").sum())
        return (pairs + int(np.searchsorted(ordered, bound / 2, side="right"))) // 2

    def kth(number: int) -> int:
        low, high = int(2 * ordered[0]), int(2 * ordered[-1])
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if at_most(middle) >= number else (middle + 1, high)
        return low

    return (kth((count + 1) // 2) + kth(count // 2 + 1)) / 4


def _share_above(values: Floats, thresholds: Floats) -> Floats:
    """For each value the share of the sorted thresholds below it, ties counting half."""
    below = np.searchsorted(thresholds, values, side="left") + np.searchsorted(thresholds, values, side="right")
    return np.asarray(below / (2 * len(thresholds)), dtype=np.float64)


def _lowest_shift(steps: Floats, groups: Groups, alpha: float) -> float | None:
    """Least shift of these (even) whole numbers that the signed-rank test does not reject as too low."""

    def accepted(shift: int) -> bool:
        scores = groups.sums(signed_doubled_ranks(steps - shift))
        return flip_p_value(scores, RANK_STEPS, one_sided=True)[0] > alpha / 2

    low, high = int(steps.min()) - 1, int(steps.max()) + 1
    if accepted(low):
        return None
    while high - low > 2:  # both odd; low is rejected, high accepted
        middle = low + (high - low) // 4 * 2
        low, high = (low, middle) if accepted(middle) else (middle, high)
    return float(high - 1)
