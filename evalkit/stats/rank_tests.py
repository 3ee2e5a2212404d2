"""Other tests than the primary one: t, and signed ranks with the effect that they are about.

With skewed differences Wilcoxon's test rejects a true "no mean difference" up to three times in four: it asks about
another quantity. It flips the signs of whole groups, as the primary test does; with one item per group it is the
textbook's, exact with ties and zeros.
"""

import math

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats import signs
from evalkit.stats.clusters import (
    GRID,
    ONE_GROUP,
    Groups,
    Labels,
    check_level,
    cluster_error,
    finite_by_group,
    to_steps,
)
from evalkit.stats.intervals import Estimate, estimate_of

RANK_STEPS = 10_000_000
"""Ranks are counted further than differences: 1,000 items take half a second."""


def t_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> float | None:
    """P-value of the paired t test on the cluster-robust (CR2) standard error, with Satterthwaite's degrees of freedom.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; items with the same label are dependent.
        grid: Unit to which the differences are rounded.

    Returns:
        1 where all differences are zero, None where the groups show no other spread or there is no item.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> round(t_test(np.array([1.0, 2.0, 3.0, 2.0]), range(4)), 4)
    0.0163
    """
    from scipy.special import stdtr

    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    if len(steps) and not steps.any():
        return 1.0
    spread = cluster_error(steps, coded)
    if spread is None or not spread.error:
        return None
    return signs.positive(2 * float(stdtr(spread.freedom, -abs(float(steps.mean()) / spread.error))))


def rank_biserial(differences: Floats, groups: Labels, *, grid: float = GRID, level: float = 0.95) -> Estimate:
    """Matched-pairs rank-biserial correlation: by how much the ranks of wins outweigh those of losses, in [−1, 1].

    ``r = Σ sign(d_i)·rank|d_i| / Σ rank|d_i|`` with midranks, zeros left out (Kerby 2014): the effect that Wilcoxon's
    test is about, and none about the mean. It is the mean over items of ``h_i``, the share of the sums ``d_i + d_j``
    that are positive less that of negative ones, and varies by twice as much as their mean does (Hoeffding 1948): the
    interval has the cluster-robust (CR2) error of 2h, Satterthwaite's t, and the scale ``arcsin r``, which stabilises
    the spread of such a difference of two shares and cannot leave [−1, 1]. On Fisher's ``artanh r`` it covered up to
    1.00 for .95 with 10 to 30 items, and held 0 ten times as often where Wilcoxon's test rejects it.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; items with the same label are dependent.
        grid: Unit to which the differences are rounded.
        level: Coverage, in (0, 1).

    Returns:
        An interval without ends, and the reason, for fewer than two groups, or where nothing but wins or nothing but
        losses leaves no spread.

    Raises:
        OptionError: Lengths differ, a value is not finite, or the level is out of range.

    >>> rank_biserial(np.array([1.0, 2.0, 3.0, -4.0]), range(4)).value
    0.2
    """
    from scipy.special import stdtrit

    check_level(level)
    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    steps, coded = steps[steps != 0], coded.where(steps != 0)
    n = len(steps)
    if not n:
        return estimate_of(coded, "rank_biserial", reason="no item differs")
    ordered = np.sort(steps)
    positive = n - np.searchsorted(ordered, -steps, side="right")
    negative = np.searchsorted(ordered, -steps, side="left")
    balance = positive - negative + np.sign(steps)  # an item's own sum counts twice, as it does in the rank sum
    value, spread = float(balance.sum()) / (n * (n + 1)), cluster_error(balance / (n + 1), coded)
    if abs(value) == 1:
        reason = "all differences have the same sign" if spread else ONE_GROUP
        return estimate_of(coded, "rank_biserial", value, reason=reason)
    if spread is None or not spread.error:
        reason = "all groups have the same balance of ranks" if spread else ONE_GROUP
        return estimate_of(coded, "rank_biserial", value, reason=reason)
    half = float(stdtrit(spread.freedom, 0.5 + level / 2)) * 2 * spread.error / math.sqrt(1 - value**2)
    low = math.sin(max(-math.pi / 2, math.asin(value) - half))
    high = math.sin(min(math.pi / 2, math.asin(value) + half))
    return estimate_of(coded, "rank_biserial", value, (low, high), freedom=spread.freedom)


def wilcoxon_signed_rank(
    differences: Floats, groups: Labels, *, grid: float = GRID, exact_steps: int = RANK_STEPS
) -> float | None:
    """P-value of Wilcoxon's signed-rank test with midranks, the signs of a group flipped together, zeros left out.

    The statistic ``Σ sign(d_i)·rank|d_i|`` is summed by group; its null distribution is that of random signs of these
    sums (Rosner, Glynn & Lee, Biometrics 2006), counted exactly up to about 1,000 items and normal beyond.

    Args:
        differences: ``(n,)``, finite; rounded to the grid, so that ties do not hang on the last bit.
        groups: ``(n,)``.
        grid: Unit to which the differences are rounded.
        exact_steps: Largest sum of doubled ranks to count exactly.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> wilcoxon_signed_rank(np.array([1.0, 2.0, 3.0, -4.0]), range(4))
    0.875
    """
    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    ranks = np.zeros(len(steps))
    ranks[steps != 0] = _doubled_midranks(np.abs(steps[steps != 0]))
    ranks *= np.sign(steps)
    return _flip_signs(ranks, coded, exact_steps)


def _flip_signs(scores: Floats, groups: Groups, exact_steps: int) -> float | None:
    """P-value of flipping the signs of the groups' sums of whole numbers; None without items."""
    if not len(scores):
        return None
    sums = groups.sums(scores)
    if signs.is_countable(sums, exact_steps):
        return signs.two_sided_tail(sums)
    z = abs(float(sums.sum())) / math.sqrt(float(np.square(sums).sum()))
    return signs.positive(math.erfc(z / math.sqrt(2)))


def _doubled_midranks(values: Floats) -> Floats:
    """Twice the rank of each value, ties sharing the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((2 * last - counts + 1)[inverse], dtype=np.float64)
