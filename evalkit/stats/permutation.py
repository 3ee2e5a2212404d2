"""The primary test: does the mean difference survive flipping the signs of whole groups?

If nothing distinguishes two methods on a group of items, swapping their labels there changes nothing: each group's sum
of differences D_g is as likely as −D_g. The p-value is the share of sign permutations whose ``|Σ s_g D_g|`` reaches the
observed one (Fisher 1935; with random permutations (b+1)/(B+1), Phipson & Smyth 2010). The interval consists of
the means over the flipped subsets, ``Σ_F D_g / Σ_F m_g`` (Hartigan, JASA 1969): it excludes 0 exactly when p ≤ α.

Where random permutations are too few to resolve a p-value that must be corrected for many comparisons, its tail is
Robinson's saddlepoint approximation; beyond 5,000 groups the distribution is taken as normal.

Scores are counted in whole steps of a grid, so that every sum is exact and a tie is a tie.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.clusters import (
    GRID,
    ONE_GROUP,
    Groups,
    Labels,
    check_alpha,
    code_groups,
    finite_by_group,
    to_steps,
)
from evalkit.stats.multiplicity import permutations_needed
from evalkit.stats.signs import CHUNK_BYTES, ENUMERATED_GROUPS, n_permutations_of, subset_sums
from evalkit.stats.subset_means import subset_mean_interval

How = Literal["enumeration", "dynamic_programming", "monte_carlo", "saddlepoint", "normal"]

N_PERMUTATIONS = 99_999
MANY_GROUPS = 5_000
"""Beyond so many groups no permutation is drawn: the distribution is normal to four digits."""
RESOLVED = 20
"""Random permutations that must reach a statistic for its p-value to be told from them."""
SUMS_BYTES = 128 * 2**20
"""How much the subset sums of one batch of columns may take."""
_SAME_STATISTIC = 1 - 1e-12
"""Standardised statistics that are equal on paper may differ in their last bits."""


Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """One pair's differences by group, in steps."""

    pair: int
    totals: Floats
    """``(G,)``."""
    sizes: Floats
    """``(G,)`` items that have both scores."""
    columns: tuple[int, int, int]
    """Which columns of the table of group sums hold a, b and the sizes."""

    @property
    def statistic(self) -> float:
        """``|Σ D| / √ΣD²``, a monotone function of |t| whatever the signs; 0 where all differences are."""
        spread = float(np.sqrt(np.square(self.totals).sum()))
        return abs(float(self.totals.sum())) / spread if spread else 0.0


def group_sums(steps: Floats, groups: Groups, pairs: Sequence[Pair]) -> tuple[Floats, list[PairSums]]:
    """Sums by group of every column that some pair needs, on the items that the pair has in common."""
    present = ~np.isnan(steps)
    filled = np.where(present, steps, 0.0)
    table: list[Floats] = []
    index: dict[tuple[bytes, int], int] = {}

    def column_of(common: Mask, key: bytes, column: int) -> int:
        """Number of the table's column for the scores of the common items; column −1 is the number of items."""
        if (key, column) not in index:
            index[key, column] = len(table)
            table.append(groups.sums(np.where(common, filled[:, column] if column >= 0 else 1.0, 0.0)))
        return index[key, column]

    sums = []
    for number, (a, b) in enumerate(pairs):
        common = present[:, a] & present[:, b]
        key = common.tobytes()
        columns = column_of(common, key, a), column_of(common, key, b), column_of(common, key, -1)
        totals, sizes = table[columns[1]] - table[columns[0]], table[columns[2]]
        sums.append(PairSums(pair=number, totals=totals, sizes=sizes, columns=columns))
    return np.stack(table, axis=1) if table else np.zeros((groups.n_groups, 0)), sums


def batches(pairs: Sequence[PairSums], n_sums: int) -> Iterator[list[PairSums]]:
    """Runs of pairs that together need at most ``n_sums`` columns of subset sums (or one pair, if that is more)."""
    batch: list[PairSums] = []
    used: set[int] = set()
    for pair in pairs:
        needed = set(pair.columns)
        if batch and len(used | needed) > n_sums:
            yield batch
            batch, used = [], set()
        batch.append(pair)
        used |= needed
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """A sign-flip test of a mean paired difference by group, with its coherent interval."""

    difference: float | None = None
    """Mean over items, in the units of the scores; None without items."""
    low: float | None = None
    high: float | None = None
    """Ends of the 1 − α interval; None where no finite interval has that level."""
    p_value: float | None = None
    """Two-sided, in (0, 1]."""
    max_t_p_value: float | None = None
    """Adjusted within its family by the step-down maximum of |t| over the same signs; None if not asked for."""
    how: How | None = None
    """How the p-value was obtained; the interval comes from all or from random permutations."""
    n_items: int
    n_groups: int
    n_differing: int
    """Groups whose differences do not sum to 0: no p-value is below ``2^(1 − n_differing)``."""
    reason: str | None = None
    """Why there is no interval."""


def sign_flip_test(
    differences: Floats,
    groups: Labels,
    *,
    alpha: float = 0.05,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    grid: float = GRID,
    exact_steps: int = signs.EXACT_STEPS,
) -> SignFlip:
    """Test whether the mean paired difference is 0, by flipping the signs of whole groups.

    Up to 20 groups all permutations are enumerated; beyond that the p-value is counted exactly where the differences
    span at most ``exact_steps`` steps, and estimated from random permutations otherwise.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; items with the same label are flipped together.
        alpha: 1 − the level of the interval, in (0, 1).
        n_permutations: Random permutations.
        seed: Determines them.
        grid: Unit to which the differences are rounded.
        exact_steps: Largest ``Σ|D_g|``, in steps of the differences' common divisor, to count exactly.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> result = sign_flip_test(np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.4]), range(6))
    >>> result.p_value, result.low, result.high, result.how
    (0.03125, 0.1, 0.4, 'enumeration')
    """
    differences, coded = finite_by_group(differences, groups)
    steps = to_steps(differences, grid)
    found = sign_flip_tests(
        np.stack([np.zeros_like(steps), steps], axis=1),
        coded,
        [(0, 1)],
        alpha=alpha,
        n_permutations=n_permutations,
        seed=seed,
        exact_steps=exact_steps,
    )[0]
    difference, low, high = (
        None if steps is None else steps / (1 / grid) for steps in (found.difference, found.low, found.high)
    )
    return replace(found, difference=difference, low=low, high=high)


def sign_flip_tests(
    steps: Floats,
    groups: Labels,
    pairs: Sequence[Pair],
    *,
    alpha: float = 0.05,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    exact_steps: int = 20_000,
    n_tests: Sequence[int] | None = None,
    max_t_families: Sequence[int] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    sums_bytes: int = SUMS_BYTES,
) -> tuple[SignFlip, ...]:
    """`sign_flip_test` for many pairs of columns (methods × metrics) with the same signs.

    One matrix product serves all pairs, since ``Σ s_g (B_g − A_g) = Σ s_g B_g − Σ s_g A_g``. Memory is bounded by
    ``chunk_bytes + sums_bytes`` beside the data. A pair is tested on the items that both columns have.

    Args:
        steps: ``(n, columns)`` scores as whole numbers, each column pair in steps of one grid; NaN marks a missing
            value. Differences and ends of intervals are in these steps too.
        groups: ``(n,)``.
        pairs: ``(a, b)`` column numbers; the difference is b − a.
        alpha: As in `sign_flip_test`, as are ``n_permutations`` and ``seed``.
        n_permutations: Random permutations.
        seed: Determines them.
        exact_steps: As in `sign_flip_test`; smaller by default, since counting is done pair by pair.
        n_tests: For each pair the size of the family that its p-value is corrected in; 1 each by default.
        max_t_families: For each pair the number of its family (metric), within which p-values are also adjusted by
            step-down max-|t| (Westfall & Young 1993); None skips that.
        chunk_bytes: Memory for sign vectors; does not change the result.
        sums_bytes: Memory for subset sums; does not change the result.

    Raises:
        OptionError: Shapes do not fit, a score is infinite, or an option is out of range.
    """
    check_alpha(alpha)
    if n_permutations < 1:
        raise OptionError(f"There must be at least one random permutation; got {n_permutations}.")
    coded = _checked(steps, groups)
    table, sums = group_sums(steps, coded, pairs)
    if coded.n_groups > MANY_GROUPS and max_t_families is None:
        return tuple(_normal(pair, alpha) for pair in sums)
    resolved = [n == 1 or n_permutations >= permutations_needed(n, alpha) for n in n_tests or [1] * len(pairs)]
    order = sorted(sums, key=lambda pair: (max_t_families[pair.pair] if max_t_families else 0, pair.statistic))
    n_columns = sums_bytes // (8 * n_permutations_of(coded.n_groups, n_permutations))
    found: dict[int, SignFlip] = {}
    maxima = _Maxima()
    for batch in batches(order, n_columns):
        used = sorted({index for pair in batch for index in pair.columns})
        row_of = {index: row for row, index in enumerate(used)}
        flipped = subset_sums(table[:, used], n_permutations=n_permutations, seed=seed, chunk_bytes=chunk_bytes)
        for pair in batch:
            a, b, weight = (flipped[row_of[index]] for index in pair.columns)
            how, p_value = _p_value(pair, b - a, coded.n_groups, exact_steps, resolved=resolved[pair.pair])
            found[pair.pair] = _conclude(pair, b - a, weight, alpha=alpha, how=how, p_value=p_value)
            if max_t_families is not None and found[pair.pair].n_items:
                maxima.add(max_t_families[pair.pair], pair, b - a)
    adjusted = maxima.step_down()
    return tuple(replace(found[pair], max_t_p_value=adjusted.get(pair)) for pair in range(len(pairs)))


def _checked(steps: Floats, groups: Labels) -> Groups:
    if steps.ndim != 2 or len(steps) != len(groups):
        raise OptionError(f"Scores must be items × columns with a group per item: got {steps.shape}, {len(groups)}.")
    if np.isinf(steps).any():
        raise OptionError("Scores must not be infinite: leave undefined items out, with their reason.")
    return code_groups(groups)


def _p_value(pair: PairSums, flipped: Floats, n_groups: int, exact_steps: int, *, resolved: bool) -> tuple[How, float]:
    """The p-value and how it was obtained.

    Args:
        pair: The pair's differences.
        flipped: Sums over the flipped groups, in each permutation.
        n_groups: How many groups there are.
        exact_steps: Sums that are worth counting.
        resolved: Whether there are permutations enough for the corrected p-value.
    """
    if n_groups > ENUMERATED_GROUPS and signs.is_countable(pair.totals, exact_steps):
        return "dynamic_programming", signs.two_sided_tail(pair.totals)
    total = float(pair.totals.sum())
    reached = int(np.count_nonzero(np.abs(total - 2 * flipped) >= abs(total)))
    if n_groups <= ENUMERATED_GROUPS:
        return "enumeration", reached / len(flipped)
    if not resolved and reached <= RESOLVED:
        return "saddlepoint", signs.saddlepoint_tail(pair.totals)
    return "monte_carlo", reached / len(flipped)


def _conclude(pair: PairSums, flipped: Floats, weight: Floats, *, alpha: float, how: How, p_value: float) -> SignFlip:
    """The test of one pair, from its sums over the flipped groups."""
    if not pair.sizes.any():
        return _found(pair)
    ends = subset_mean_interval(
        flipped,
        weight,
        total=float(pair.totals.sum()),
        n_items=int(pair.sizes.sum()),
        alpha=alpha,
        exact_p_value=p_value if how in ("dynamic_programming", "saddlepoint") else None,
    )
    return _found(pair, ends, p_value, how)


def _normal(pair: PairSums, alpha: float) -> SignFlip:
    """The test of one pair by ``z = Σ D / √Σ D²``; the interval holds the θ at which D − θ·m is not significant."""
    if not pair.sizes.any():
        return _found(pair)
    critical = NormalDist().inv_cdf(1 - alpha / 2) ** 2
    total, n_items = float(pair.totals.sum()), float(pair.sizes.sum())
    # (Σ D − θ Σ m)² = z² Σ (D − θ m)² is quadratic in θ.
    square = n_items**2 - critical * float(np.square(pair.sizes).sum())
    middle = (total * n_items - critical * float((pair.totals * pair.sizes).sum())) / square
    root = middle**2 - (total**2 - critical * float(np.square(pair.totals).sum())) / square
    half = math.sqrt(max(0.0, root))
    p_value = signs.positive(math.erfc(pair.statistic / math.sqrt(2)))
    return _found(pair, (middle - half, middle + half) if square > 0 else None, p_value, "normal")


def _found(
    pair: PairSums, ends: tuple[float, float] | None = None, p_value: float | None = None, how: How | None = None
) -> SignFlip:
    """The record of one pair; an interval without width is none."""
    n_items, reason = int(pair.sizes.sum()), None
    if not n_items:
        reason = "no item has both scores"
    elif np.count_nonzero(pair.sizes) == 1:
        ends, reason = None, ONE_GROUP
    elif (pair.totals * n_items == pair.totals.sum() * pair.sizes).all():
        ends, reason = None, "all groups have the same difference: there is no spread to make an interval of"
    elif ends is None:
        reason = "no finite interval at this level"
    return SignFlip(
        difference=float(pair.totals.sum()) / n_items if n_items else None,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        p_value=p_value,
        how=how,
        n_items=n_items,
        n_groups=int(np.count_nonzero(pair.sizes)),
        n_differing=int(np.count_nonzero(pair.totals)),
        reason=reason,
    )


class _Maxima:
    """Step-down max-|t|: pairs are added from the smallest statistic of a family to its largest."""

    def __init__(self) -> None:
        self._largest: dict[int, Floats] = {}
        self._shares: list[tuple[int, int, float]] = []

    def add(self, family: int, pair: PairSums, flipped: Floats) -> None:
        """Take the share of permutations whose largest statistic so far reaches this pair's."""
        largest = self._largest.setdefault(family, np.zeros(len(flipped)))
        spread = float(np.sqrt(np.square(pair.totals).sum()))
        if spread:
            np.maximum(largest, np.abs(pair.totals.sum() - 2 * flipped) / spread, out=largest)
        share = int(np.count_nonzero(largest >= pair.statistic * _SAME_STATISTIC)) / len(largest)
        self._shares.append((family, pair.pair, share))

    def step_down(self) -> dict[int, float]:
        """Pair to adjusted p-value: from the largest statistic down, none is smaller than the one before it."""
        floor: dict[int, float] = {}
        adjusted = {}
        for family, pair, share in reversed(self._shares):
            adjusted[pair] = floor[family] = max(floor.get(family, 0.0), share)
        return adjusted
