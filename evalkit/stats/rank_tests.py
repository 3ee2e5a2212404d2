"""Other tests of the same differences, to be shown beside the primary one and never instead of it.

With skewed differences Wilcoxon's test rejects a true "no mean difference" up to three times in four: it asks about
another quantity. The rank and sign tests flip the signs of whole groups, as the primary test does; with one item per
group they are the textbook's, exact with ties and zeros.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats import exact
from evalkit.stats.clusters import GRID, Groups, Labels, cluster_error, finite_by_group, to_steps

RANK_STEPS = 10_000_000
"""Ranks are counted further than differences: 1,000 items take half a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityTest:
    """A two-sided test of paired differences."""

    p_value: float | None
    """None without items, or without a spread; 1 where all differences are zero."""
    how: Literal["dynamic_programming", "normal", "student_t"] | None
    """Counted exactly, or by the normal approximation where that would take too long; the t test has its own."""
    statistic: float
    """Sum of the ranks of the positive differences, number of positive differences, or t."""
    reason: str | None = None
    """Why the test says nothing."""


def group_t_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> SensitivityTest:
    """Paired t test on the cluster-robust (CR1) standard error, with G−1 degrees of freedom.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; items with the same label are dependent.
        grid: Unit to which the differences are rounded.

    Returns:
        Without a p-value, and with the reason, where the groups show no spread.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> round(group_t_test(np.array([1.0, 2.0, 3.0, 2.0]), range(4)).p_value, 4)
    0.0163
    """
    from scipy.special import stdtr

    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    error = cluster_error(steps, coded)
    t = float(steps.mean()) / error if error else 0.0
    if len(steps) and not steps.any():
        return SensitivityTest(p_value=1.0, how="student_t", statistic=t, reason="all differences are zero")
    if error:
        p_value = exact.positive(2 * float(stdtr(coded.n_groups - 1, -abs(t))))
        return SensitivityTest(p_value=p_value, how="student_t", statistic=t)
    reason = "no spread between groups is known" if len(steps) else "no items"
    return SensitivityTest(p_value=None, how=None, statistic=t, reason=reason)


def wilcoxon_signed_rank(
    differences: Floats, groups: Labels, *, grid: float = GRID, exact_steps: int = RANK_STEPS
) -> SensitivityTest:
    """Wilcoxon's signed-rank test with midranks, the signs of a group flipped together; zeros are left out.

    The statistic ``Σ sign(d_i)·rank|d_i|`` is summed by group; its null distribution is that of random signs of these
    sums (Rosner, Glynn & Lee, Biometrics 2006), counted exactly up to about 1,000 items and normal beyond.

    Args:
        differences: ``(n,)``, finite; rounded to the grid, so that ties do not hang on the last bit.
        groups: ``(n,)``.
        grid: Unit to which the differences are rounded.
        exact_steps: Largest sum of doubled ranks to count exactly.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> wilcoxon_signed_rank(np.array([1.0, 2.0, 3.0, -4.0]), range(4)).p_value
    0.875
    """
    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    ranks = np.zeros(len(steps))
    ranks[steps != 0] = _doubled_midranks(np.abs(steps[steps != 0]))
    ranks *= np.sign(steps)
    return _flip_signs(ranks, coded, float(ranks[ranks > 0].sum()) / 2, exact_steps)


def sign_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> SensitivityTest:
    """Exact sign test: are positive differences as frequent as negative ones? Zeros say nothing.

    With one item per group it is the binomial test of wins against losses; of successes and failures it is McNemar's.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; the signs of a group are flipped together.
        grid: Unit to which the differences are rounded.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> sign_test(np.array([1.0, 2.0, 0.0, 3.0, 0.5]), range(5)).p_value
    0.125
    """
    differences, coded = finite_by_group(differences, groups)
    signs = np.sign(to_steps(differences, grid))
    return _flip_signs(signs, coded, float((signs > 0).sum()), exact.EXACT_STEPS)


def _flip_signs(scores: Floats, groups: Groups, statistic: float, exact_steps: int) -> SensitivityTest:
    """The test of flipping the signs of the groups' sums of whole numbers."""
    if not len(scores):
        return SensitivityTest(p_value=None, how=None, statistic=statistic, reason="no items")
    reason = None if scores.any() else "all differences are zero"
    sums = groups.sums(scores)
    if exact.is_countable(sums, exact_steps):
        p_value = exact.two_sided_tail(sums)
        return SensitivityTest(p_value=p_value, how="dynamic_programming", statistic=statistic, reason=reason)
    z = abs(float(sums.sum())) / math.sqrt(float(np.square(sums).sum()))
    p_value = exact.positive(math.erfc(z / math.sqrt(2)))
    return SensitivityTest(p_value=p_value, how="normal", statistic=statistic, reason=reason)


def _doubled_midranks(values: Floats) -> Floats:
    """Twice the rank of each value, ties sharing the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((2 * last - counts + 1)[inverse], dtype=np.float64)
