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
from evalkit.errors import OptionError
from evalkit.stats import exact
from evalkit.stats.clusters import GRID, Groups, Labels, finite_by_group, group_error, to_steps

Zeros = Literal["drop", "pratt"]
RANK_STEPS = 10_000_000
"""Ranks are counted further than differences: 1,000 items take half a second."""
TestName = Literal["group_t", "wilcoxon_signed_rank", "sign", "mcnemar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityTest:
    """A two-sided test of paired differences."""

    test: TestName
    p_value: float | None
    """None without items; 1 where all differences are zero."""
    how: Literal["exact_dp", "normal", "student_t"] | None
    """Counted exactly, or by the normal approximation where that would take too long; the t test has its own."""
    statistic: float
    """Sum of the ranks of the positive differences, number of positive differences, or t."""
    n_positive: int
    n_negative: int
    n_zero: int
    n_groups: int
    reason: str | None = None
    """Why the test says nothing."""


def group_t_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> SensitivityTest:
    """Paired t test on the group-robust (CR1) standard error, with G−1 degrees of freedom.

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
    error = group_error(steps, coded)
    t = float(steps.mean()) / error if error else 0.0
    if len(steps) and not steps.any():
        p_value, reason = 1.0, "all differences are zero"
    elif error:
        p_value, reason = exact.positive(2 * float(stdtr(coded.n_groups - 1, -abs(t)))), None
    else:
        p_value, reason = None, "no spread between groups is known" if len(steps) else "no items"
    return SensitivityTest(
        test="group_t",
        p_value=p_value,
        how=None if p_value is None else "student_t",
        statistic=t,
        n_positive=int((steps > 0).sum()),
        n_negative=int((steps < 0).sum()),
        n_zero=int((steps == 0).sum()),
        n_groups=coded.n_groups,
        reason=reason,
    )


def wilcoxon_signed_rank(
    differences: Floats,
    groups: Labels,
    *,
    zeros: Zeros = "drop",
    grid: float = GRID,
    exact_steps: int = RANK_STEPS,
) -> SensitivityTest:
    """Wilcoxon's signed-rank test with midranks, the signs of a group flipped together.

    The statistic ``Σ sign(d_i)·rank|d_i|`` is summed by group; its null distribution is that of random signs of these
    sums (Rosner, Glynn & Lee, Biometrics 2006), counted exactly up to about 1,000 items and normal beyond.

    Args:
        differences: ``(n,)``, finite; rounded to the grid, so that ties do not hang on the last bit.
        groups: ``(n,)``.
        zeros: ``drop`` leaves zeros out before ranking (Wilcoxon 1949), ``pratt`` after it (Pratt 1959).
        grid: Unit to which the differences are rounded.
        exact_steps: Largest sum of doubled ranks to count exactly.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is unknown.

    >>> wilcoxon_signed_rank(np.array([1.0, 2.0, 3.0, -4.0]), range(4)).p_value
    0.875
    """
    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    ranks = signed_doubled_ranks(steps, zeros)
    positive = float(ranks[ranks > 0].sum()) / 2
    return _flip_signs("wilcoxon_signed_rank", np.sign(steps), ranks, coded, positive, exact_steps)


def sign_test(differences: Floats, groups: Labels, *, grid: float = GRID) -> SensitivityTest:
    """Exact sign test: are positive differences as frequent as negative ones? Zeros say nothing.

    With one item per group it is the binomial test of wins against losses.

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
    return _flip_signs("sign", signs, signs, coded, float((signs > 0).sum()), exact.EXACT_STEPS)


def mcnemar(values_a: Floats, values_b: Floats, groups: Labels) -> SensitivityTest:
    """McNemar's exact test of two success rates on the same items.

    Args:
        values_a: ``(n,)`` zeros and ones.
        values_b: ``(n,)`` zeros and ones.
        groups: ``(n,)``; the signs of a group are flipped together.

    Raises:
        OptionError: Lengths differ, or a value is neither 0 nor 1.

    >>> mcnemar(np.array([0.0, 0, 0, 0, 1]), np.array([1.0, 1, 1, 1, 1]), range(5)).p_value
    0.125
    """
    values_a, coded = finite_by_group(values_a, groups)
    values_b, _ = finite_by_group(values_b, groups)
    if not np.isin([values_a, values_b], (0, 1)).all():
        raise OptionError("McNemar's test compares successes (1) and failures (0); got other values.")
    signs = values_b - values_a
    return _flip_signs("mcnemar", signs, signs, coded, float((signs > 0).sum()), exact.EXACT_STEPS)


def signed_doubled_ranks(steps: Floats, zeros: Zeros = "drop") -> Floats:
    """Twice the signed rank of each difference; a zero has rank 0."""
    if zeros not in ("drop", "pratt"):
        raise OptionError(f"Zeros must be 'drop' or 'pratt'; got {zeros!r}.")
    ranked = steps != 0 if zeros == "drop" else np.ones(len(steps), dtype=np.bool_)
    ranks = np.zeros(len(steps))
    ranks[ranked] = doubled_midranks(np.abs(steps[ranked]))
    return ranks * np.sign(steps)


def flip_p_value(
    scores: Floats, exact_steps: int, *, one_sided: bool = False
) -> tuple[float, Literal["exact_dp", "normal"]]:
    """P-value of flipping the signs of whole numbers, one per group: two-sided, or against "greater"."""
    if exact.is_countable(scores, exact_steps):
        return (exact.upper_tail if one_sided else exact.two_sided_tail)(scores), "exact_dp"
    z = float(scores.sum()) / math.sqrt(float(np.square(scores).sum()))
    tail = math.erfc((z if one_sided else abs(z)) / math.sqrt(2))
    return exact.positive(tail / 2 if one_sided else tail), "normal"


def _flip_signs(
    test: TestName,
    signs: Floats,
    scores: Floats,
    groups: Groups,
    statistic: float,
    exact_steps: int,
) -> SensitivityTest:
    p_value, how = flip_p_value(groups.sums(scores), exact_steps)
    reason = "no items" if not len(signs) else None if signs.any() else "all differences are zero"
    return SensitivityTest(
        test=test,
        p_value=p_value if len(signs) else None,
        how=how if len(signs) else None,
        statistic=statistic,
        n_positive=int((signs > 0).sum()),
        n_negative=int((signs < 0).sum()),
        n_zero=int((signs == 0).sum()),
        n_groups=groups.n_groups,
        reason=reason,
    )


def doubled_midranks(values: Floats) -> Floats:
    """Twice the rank of each value, ties sharing the mean of their ranks.

    >>> doubled_midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [5.0, 2.0, 5.0]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((2 * last - counts + 1)[inverse], dtype=np.float64)
