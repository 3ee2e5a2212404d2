"""Equivalence: two one-sided tests that a difference lies inside a margin which was declared before scoring.

The absence of a significant difference is not equivalence; this is (Schuirmann 1987).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import exact
from evalkit.stats.clusters import GRID, Groups, Labels, check_alpha, finite_by_group, to_steps, unbiased_group_error
from evalkit.stats.resampling import ENUMERATED_GROUPS, subset_sums

Margin = float | tuple[float, float]
"""Half-width of a symmetric zone around 0, or its two ends; in the units of the scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether a mean difference is shown to lie inside the margin."""

    equivalent: bool
    p_value: float | None
    """The larger of the two one-sided p-values; None where none is defined."""
    low: float | None
    high: float | None
    """Ends of the 1 − 2α interval, which lies inside the margin exactly when p ≤ α."""
    margin_low: float
    margin_high: float
    alpha: float
    n_items: int
    n_groups: int
    test: Literal["group_t", "group_sign_flip"]
    reason: str | None = None
    """Why there is no p-value."""


def group_tost(differences: Floats, groups: Labels, *, margin: Margin, alpha: float = 0.05) -> Equivalence:
    """Two one-sided t tests on the group-robust (CR2) standard error, with Satterthwaite's degrees of freedom.

    ``p = max(P(t ≥ (d̄ − Δ_low)/SE), P(t ≤ (d̄ − Δ_high)/SE))``. The usual CR1 error with G−1 degrees of freedom errs
    too often at the margin where large groups correlate. Differences that are all the same have no error: they are
    equivalent by definition if they lie strictly inside the margin, and the p-value is undefined.

    Args:
        differences: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are dependent.
        margin: Zone of equivalence.
        alpha: Error rate of each one-sided test, in (0, ½).

    Raises:
        OptionError: Lengths differ, a value is not finite, 0 is not inside the margin, or alpha is out of range.

    >>> group_tost(np.array([0.1, -0.1, 0.2, -0.1, 0.0]), range(5), margin=0.5).equivalent
    True
    """
    from scipy.special import stdtr, stdtrit

    differences, coded = finite_by_group(differences, groups)
    low, high = _ends(margin, alpha)
    spread = unbiased_group_error(differences, coded)
    mean = float(differences.mean()) if len(differences) else 0.0
    result = _nothing(coded, low, high, alpha, "group_t")
    if spread is None:
        return result
    error, freedom = spread
    if error == 0:
        if (differences == differences[0]).all():
            mean = float(differences[0])  # their computed mean may differ in the last digit
        reason = "the groups do not differ: equivalent or not by definition"
        return replace(result, equivalent=low < mean < high, low=mean, high=mean, reason=reason)
    one_sided = stdtr(freedom, (low - mean) / error), stdtr(freedom, (mean - high) / error)
    p_value = exact.positive(float(max(one_sided)))
    half = float(stdtrit(freedom, 1 - alpha)) * error
    return replace(result, equivalent=p_value <= alpha, p_value=p_value, low=mean - half, high=mean + half, reason=None)


def sign_flip_tost(
    differences: Floats,
    groups: Labels,
    *,
    margin: Margin,
    alpha: float = 0.05,
    n_flips: int = 99_999,
    seed: int = 0,
    grid: float = GRID,
    exact_steps: int = exact.EXACT_STEPS,
) -> Equivalence:
    """Two one-sided group sign-flip tests: ``D_g − Δ_low·m_g`` against "greater", ``D_g − Δ_high·m_g`` against "less".

    Exact for symmetric differences: by enumeration up to 20 groups, by counting where the steps are few, and from
    random arrangements otherwise. It gives no interval.

    Args:
        differences: ``(n,)``, finite; rounded to the grid, as is the margin.
        groups: ``(n,)``; items with the same label are flipped together.
        margin: Zone of equivalence.
        alpha: Error rate of each one-sided test, in (0, ½).
        n_flips: Random arrangements.
        seed: Determines them.
        grid: Unit to which the differences are rounded.
        exact_steps: Largest ``Σ|D_g − Δ·m_g|`` in steps to count exactly.

    Raises:
        OptionError: As for `group_tost`.

    >>> sign_flip_tost(np.array([0.1, -0.1, 0.2, -0.1, 0.0]), range(5), margin=0.5).p_value
    0.03125
    """
    differences, coded = finite_by_group(differences, groups)
    low, high = _ends(margin, alpha)
    result = _nothing(coded, low, high, alpha, "group_sign_flip")
    if not len(differences):
        return result
    totals = coded.sums(to_steps(differences, grid))
    ends = to_steps(np.array([low, high]), grid)
    shifted = np.stack([totals - ends[0] * coded.sizes, ends[1] * coded.sizes - totals], axis=1)
    p_value = max(_one_sided(shifted, n_flips, seed, exact_steps))
    return replace(result, equivalent=p_value <= alpha, p_value=p_value, reason=None)


def _one_sided(columns: Floats, n_flips: int, seed: int, exact_steps: int) -> list[float]:
    """P-value of each column of group sums against "greater"."""
    if len(columns) > ENUMERATED_GROUPS and all(exact.is_countable(column, exact_steps) for column in columns.T):
        return [exact.upper_tail(column) for column in columns.T]
    sums = subset_sums(columns, n_flips=n_flips, seed=seed)
    # Flipping a subset leaves the total at least as large when the subset's sum is at most 0; so with its complement.
    reached = (sums <= 0).sum(axis=1) + (columns.sum(axis=0)[:, None] - sums <= 0).sum(axis=1)
    return [int(number) / (2 * sums.shape[1]) for number in reached]


def _ends(margin: Margin, alpha: float) -> tuple[float, float]:
    check_alpha(2 * alpha)
    low, high = margin if isinstance(margin, tuple) else (-margin, margin)
    if not (np.isfinite(low) and np.isfinite(high) and low < 0 < high):
        raise OptionError(f"The margin must be a positive number, or two ends with 0 between them; got {margin}.")
    return low, high


def _nothing(
    groups: Groups, low: float, high: float, alpha: float, test: Literal["group_t", "group_sign_flip"]
) -> Equivalence:
    return Equivalence(
        equivalent=False,
        p_value=None,
        low=None,
        high=None,
        margin_low=low,
        margin_high=high,
        alpha=alpha,
        n_items=groups.n_items,
        n_groups=groups.n_groups,
        test=test,
        reason="one group only: no spread between groups can be known" if groups.n_items else "no values",
    )
