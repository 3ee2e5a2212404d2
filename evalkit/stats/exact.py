"""Exact tails of a sum of whole numbers with random signs, by dynamic programming over its values.

Every test here that flips signs (of differences, of signed ranks, of plain signs) asks how often a random subset of
given numbers sums to at most some value. Counting subsets by their sum takes one pass over the attainable sums per
number, whatever the ties (Pagano & Tritchler, JASA 1983).
"""

import sys

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats

EXACT_STEPS = 2_000_000
"""Largest sum of absolute values, in units of their common divisor, that is worth counting for up to 100 of them."""
_RESCALE_EVERY = 512
"""Counts of subsets reach 2^512 and are scaled back long before float64 overflows."""


def is_countable(scores: Floats, limit: int = EXACT_STEPS) -> bool:
    """Whether the attainable sums of these whole numbers are few enough for `two_sided_tail`."""
    sizes = np.abs(scores[scores != 0])
    if not len(sizes) or (sizes == sizes[0]).all():
        return True
    steps = float(sizes.sum()) / _divisor(scores)
    return steps <= limit and steps * len(sizes) <= 100 * limit


def two_sided_tail(scores: Floats) -> float:
    """``P(|Σ s_g a_g| ≥ |Σ a_g|)`` for independent fair signs s: the p-value of an exact sign-flip test.

    Args:
        scores: ``(G,)`` whole numbers of any sign; zeros change nothing.

    >>> two_sided_tail(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    total = abs(float(scores.sum()))
    return 1.0 if total == 0 else positive(2 * _upper_tail(scores, total))


def positive(p_value: float) -> float:
    """The p-value, or the least positive number where it is too small for one: no p-value is 0."""
    return max(p_value, sys.float_info.min)


def _upper_tail(scores: Floats, at_least: float) -> float:
    divisor = _divisor(scores)
    sizes = np.sort(np.abs(scores[scores != 0])).astype(np.int64) // divisor
    # Flipping the subset F turns the sum of sizes into that sum minus twice the sum over F.
    return _subset_tail(sizes, (int(sizes.sum()) - round(at_least / divisor)) // 2)


def _subset_tail(sizes: npt.NDArray[np.int64], at_most: int) -> float:
    """Share of the subsets of positive ``sizes`` (ascending) whose sum is at most ``at_most``."""
    total = int(sizes.sum())
    if at_most < 0 or at_most >= total:
        return float(at_most >= 0)
    if 2 * at_most >= total:  # a subset and its complement: count the smaller side
        return 1 - _subset_tail(sizes, total - at_most - 1)
    if sizes[0] == sizes[-1]:
        from scipy.special import bdtr  # importing scipy.stats costs a second

        return float(bdtr(at_most // int(sizes[0]), len(sizes), 0.5))
    counts = np.zeros(at_most + 1)
    counts[0] = 1.0
    reach = 0
    for number, size in enumerate(sizes.tolist(), start=1):
        reach = min(at_most, reach + size)
        if size <= at_most:
            counts[size : reach + 1] += counts[: reach + 1 - size]
        if number % _RESCALE_EVERY == 0:
            counts *= 2.0**-_RESCALE_EVERY
    return float(counts.sum() * 2.0 ** -(len(sizes) % _RESCALE_EVERY))


def _divisor(scores: Floats) -> int:
    """Greatest common divisor, at least 1: ratings in halves are few steps however fine the grid."""
    return int(np.gcd.reduce(np.abs(scores).astype(np.int64))) or 1 if len(scores) else 1
