"""Other tests of the same differences, to be shown beside the primary one and never instead of it.

With skewed differences Wilcoxon's test rejects a true "no mean difference" up to three times in four: it asks about
another quantity. The rank and sign tests flip the signs of whole groups, as the primary test does; with one item per
group they are the textbook's, exact with ties and zeros.
"""

import math

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats import signs
from evalkit.stats.clusters import GRID, Groups, Labels, cluster_error, finite_by_group, to_steps

RANK_STEPS = 10_000_000
"""Ranks are counted further than differences: 1,000 items take half a second."""


def t_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> float | None:
    """P-value of the paired t test on the cluster-robust (CR1) standard error, with G−1 degrees of freedom.

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
    error = cluster_error(steps, coded)
    if len(steps) and not steps.any():
        return 1.0
    return signs.positive(2 * float(stdtr(coded.n_groups - 1, -abs(float(steps.mean()) / error)))) if error else None


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


def sign_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> float | None:
    """P-value of the exact sign test: are positive differences as frequent as negative ones? Zeros say nothing.

    With one item per group it is the binomial test of wins against losses; of successes and failures it is McNemar's.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; the signs of a group are flipped together.
        grid: Unit to which the differences are rounded.

    Raises:
        OptionError: Lengths differ or a value is not finite.

    >>> sign_test(np.array([1.0, 2.0, 0.0, 3.0, 0.5]), range(5))
    0.125
    """
    differences, coded = finite_by_group(differences, groups)
    return _flip_signs(np.sign(to_steps(differences, grid)), coded, signs.EXACT_STEPS)


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
