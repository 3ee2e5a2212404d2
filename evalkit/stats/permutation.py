"""The primary test: does the mean difference survive flipping the signs of whole groups?

If nothing distinguishes two methods on a group of items, swapping their labels there changes nothing: each group's sum
of differences D_g is as likely as −D_g. The p-value is the share of sign arrangements whose ``|Σ s_g D_g|`` reaches the
observed one (Fisher 1935; with random arrangements (b+1)/(B+1), Phipson & Smyth 2010). The interval consists of
the means over the flipped subsets, ``Σ_F D_g / Σ_F m_g`` (Hartigan, JASA 1969): it excludes 0 exactly when p ≤ α.

Scores are counted in whole steps of a grid, so that every sum is exact and a tie is a tie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import exact
from evalkit.stats.clusters import GRID, Groups, Labels, check_alpha, code_groups, finite_by_group, to_steps
from evalkit.stats.resampling import CHUNK_BYTES, ENUMERATED_GROUPS, n_arrangements, subset_mean_interval, subset_sums

How = Literal["exact_enumeration", "exact_dp", "monte_carlo"]

N_FLIPS = 99_999
N_FLIPS_MANY_GROUPS = 9_999
MANY_GROUPS = 5_000
"""Beyond so many groups a tenth of the arrangements do: the distribution is normal to four digits."""
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
    places: tuple[int, int, int]
    """Where the table of group sums holds a, b and the sizes."""

    @property
    def statistic(self) -> float:
        """``|Σ D| / √ΣD²``, a monotone function of |t| whatever the signs; 0 where all differences are."""
        spread = float(np.sqrt(np.square(self.totals).sum()))
        return abs(float(self.totals.sum())) / spread if spread else 0.0


def checked_steps(scores: Floats, groups: Labels, grid: float) -> tuple[Floats, Groups]:
    """Scores in steps of the grid, NaN for missing ones, and the coded groups."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(groups):
        raise OptionError(f"Scores must be items × columns with a group per item: got {scores.shape}, {len(groups)}.")
    if np.isinf(scores).any():
        raise OptionError("Scores must not be infinite: leave undefined items out, with their reason.")
    return to_steps(scores, grid), code_groups(groups)


def group_sums(steps: Floats, groups: Groups, pairs: Sequence[Pair]) -> tuple[Floats, list[PairSums]]:
    """Sums by group of every column that some pair needs, on the items that the pair has in common."""
    present = ~np.isnan(steps)
    filled = np.where(present, steps, 0.0)
    table: list[Floats] = []
    where: dict[tuple[bytes, int], int] = {}

    def place(mask: npt.NDArray[np.bool_], key: bytes, column: int) -> int:
        """Number of the table's column for the masked scores; column −1 is the number of items."""
        if (key, column) not in where:
            where[key, column] = len(table)
            table.append(groups.sums(np.where(mask, filled[:, column] if column >= 0 else 1.0, 0.0)))
        return where[key, column]

    columns = []
    for number, (a, b) in enumerate(pairs):
        mask = present[:, a] & present[:, b]
        key = mask.tobytes()
        places = place(mask, key, a), place(mask, key, b), place(mask, key, -1)
        totals, sizes = table[places[1]] - table[places[0]], table[places[2]]
        columns.append(PairSums(pair=number, totals=totals, sizes=sizes, places=places))
    return np.stack(table, axis=1) if table else np.zeros((groups.n_groups, 0)), columns


def batches(columns: Sequence[PairSums], n_sums: int) -> Iterator[list[PairSums]]:
    """Runs of pairs that together need at most ``n_sums`` columns of subset sums (or one pair, if that is more)."""
    batch: list[PairSums] = []
    used: set[int] = set()
    for column in columns:
        needed = set(column.places)
        if batch and len(used | needed) > n_sums:
            yield batch
            batch, used = [], set()
        batch.append(column)
        used |= needed
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """A group sign-flip test of a mean paired difference, with its coherent interval."""

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
    """How the p-value was obtained; the interval comes from all or from random arrangements."""
    n_arrangements: int
    """Arrangements looked at up to mirror images, the observed one included."""
    smallest_p_value: float | None = None
    """The least that the groups which differ at all (or so many random arrangements) could give."""
    alpha: float
    n_items: int
    n_groups: int
    reason: str | None = None
    """Why there is no interval, or why no data on these groups could have been significant."""


def sign_flip_test(
    differences: Floats,
    groups: Labels,
    *,
    alpha: float = 0.05,
    n_flips: int | None = None,
    seed: int = 0,
    grid: float = GRID,
    exact_steps: int = exact.EXACT_STEPS,
) -> SignFlip:
    """Test whether the mean paired difference is 0, by flipping the signs of whole groups.

    Up to 20 groups all arrangements are enumerated; beyond that the p-value is counted exactly where the differences
    span at most ``exact_steps`` steps, and estimated from random arrangements otherwise.

    Args:
        differences: ``(n,)``, finite; rounded to the grid.
        groups: ``(n,)``; items with the same label are flipped together.
        alpha: 1 − the level of the interval, in (0, 1).
        n_flips: Random arrangements; by default 99,999, or 9,999 beyond 5,000 groups.
        seed: Determines them.
        grid: Unit to which the differences are rounded.
        exact_steps: Largest ``Σ|D_g|``, in steps of the differences' common divisor, to count exactly.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> result = sign_flip_test(np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.4]), range(6))
    >>> result.p_value, result.low, result.high, result.how
    (0.03125, 0.1, 0.4, 'exact_enumeration')
    """
    differences, _ = finite_by_group(differences, groups)
    scores = np.stack([np.zeros_like(differences), differences], axis=1)
    return sign_flip_tests(
        scores, groups, [(0, 1)], alpha=alpha, n_flips=n_flips, seed=seed, grid=grid, exact_steps=exact_steps
    )[0]


def sign_flip_tests(
    scores: Floats,
    groups: Labels,
    pairs: Sequence[Pair],
    *,
    alpha: float = 0.05,
    n_flips: int | None = None,
    seed: int = 0,
    grid: float = GRID,
    exact_steps: int = 20_000,
    max_t_families: Sequence[int] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    sums_bytes: int = SUMS_BYTES,
) -> tuple[SignFlip, ...]:
    """`sign_flip_test` for many pairs of columns (methods × metrics) with the same signs.

    One matrix product serves all pairs, since ``Σ s_g (B_g − A_g) = Σ s_g B_g − Σ s_g A_g``. Memory is bounded by
    ``chunk_bytes + sums_bytes`` beside the data. A pair is tested on the items that both columns have.

    Args:
        scores: ``(n, columns)``; NaN marks a missing value.
        groups: ``(n,)``.
        pairs: ``(a, b)`` column numbers; the difference is b − a.
        alpha: As in `sign_flip_test`, as are ``n_flips``, ``seed`` and ``grid``.
        n_flips: Random arrangements.
        seed: Determines them.
        grid: Unit to which the scores are rounded.
        exact_steps: As in `sign_flip_test`; smaller by default, since counting is done pair by pair.
        max_t_families: For each pair the number of its family (metric), within which p-values are also adjusted by
            step-down max-|t| (Westfall & Young 1993); None skips that.
        chunk_bytes: Memory for sign vectors; does not change the result.
        sums_bytes: Memory for subset sums; does not change the result.

    Raises:
        OptionError: Shapes do not fit, a score is infinite, or an option is out of range.
    """
    check_alpha(alpha)
    steps, coded = checked_steps(scores, groups, grid)
    if n_flips is None:
        n_flips = default_flips(coded.n_groups)
    if n_flips < 1:
        raise OptionError(f"There must be at least one random arrangement; got {n_flips}.")
    table, columns = group_sums(steps, coded, pairs)
    order = sorted(columns, key=lambda column: (_family(max_t_families, column), column.statistic))
    arrangements = n_arrangements(coded.n_groups, n_flips)
    found: dict[int, SignFlip] = {}
    maxima: dict[int, Floats] = {}
    for batch in batches(order, sums_bytes // (8 * arrangements)):
        used = sorted({index for column in batch for index in column.places})
        place = {index: number for number, index in enumerate(used)}
        sums = subset_sums(table[:, used], n_flips=n_flips, seed=seed, chunk_bytes=chunk_bytes)
        for column in batch:
            a, b, weight = (sums[place[index]] for index in column.places)
            flipped = b - a
            found[column.pair] = _conclude(
                column, flipped, weight, n_groups=coded.n_groups, alpha=alpha, grid=grid, exact_steps=exact_steps
            )
            if max_t_families is not None:
                maximum = maxima.setdefault(max_t_families[column.pair], np.zeros(arrangements))
                found[column.pair] = replace(
                    found[column.pair], max_t_p_value=_share_of_maxima(column, flipped, maximum)
                )
    results = [found[pair] for pair in range(len(pairs))]
    return tuple(results if max_t_families is None else _step_down(results, order, max_t_families))


def default_flips(n_groups: int) -> int:
    """How many random arrangements are drawn for so many groups."""
    return N_FLIPS if n_groups <= MANY_GROUPS else N_FLIPS_MANY_GROUPS


def _conclude(
    column: PairSums, flipped: Floats, weight: Floats, *, n_groups: int, alpha: float, grid: float, exact_steps: int
) -> SignFlip:
    """The test of one pair, from its sums over the flipped groups."""
    n_items, present = int(column.sizes.sum()), int(np.count_nonzero(column.sizes))
    if n_items == 0:
        return SignFlip(
            alpha=alpha, n_items=0, n_groups=0, n_arrangements=len(flipped), reason="no item has both scores"
        )
    how, p_value = _p_value(column, flipped, n_groups, exact_steps)
    differing = int(np.count_nonzero(column.totals))
    smallest = min(1.0, exact.positive(2.0 ** (1 - differing)))
    if how == "monte_carlo":
        smallest = max(smallest, 1 / len(flipped))
    ends = subset_mean_interval(
        flipped,
        weight,
        total=float(column.totals.sum()),
        n_items=n_items,
        alpha=alpha,
        exact_p_value=p_value if how == "exact_dp" else None,
    )
    return SignFlip(
        alpha=alpha,
        n_items=n_items,
        n_groups=present,
        n_arrangements=len(flipped),
        difference=float(column.totals.sum()) / n_items / (1 / grid),
        low=None if ends is None else ends[0] / (1 / grid),
        high=None if ends is None else ends[1] / (1 / grid),
        p_value=p_value,
        how=how,
        smallest_p_value=smallest,
        reason=_why_not(smallest, alpha, differing, present) or (None if ends else "no finite interval at this level"),
    )


def _p_value(column: PairSums, flipped: Floats, n_groups: int, exact_steps: int) -> tuple[How, float]:
    if n_groups > ENUMERATED_GROUPS and exact.is_countable(column.totals, exact_steps):
        return "exact_dp", exact.two_sided_tail(column.totals)
    total = float(column.totals.sum())
    reached = np.count_nonzero(np.abs(total - 2 * flipped) >= abs(total))
    return "exact_enumeration" if n_groups <= ENUMERATED_GROUPS else "monte_carlo", int(reached) / len(flipped)


def _why_not(smallest: float, alpha: float, differing: int, n_groups: int) -> str | None:
    if smallest <= alpha:
        return None
    groups = f"{n_groups} group{'s' * (n_groups != 1)}"
    which = groups if differing == n_groups else f"{groups}, of which {differing} differ{'s' * (differing == 1)}"
    return f"cannot reach alpha = {alpha:g} with {which}: the smallest possible p is {smallest:.3g}"


def _family(families: Sequence[int] | None, column: PairSums) -> int:
    return 0 if families is None else families[column.pair]


def _share_of_maxima(column: PairSums, flipped: Floats, maximum: Floats) -> float:
    """Share of arrangements whose largest statistic so far, updated in place, reaches this pair's."""
    spread = float(np.sqrt(np.square(column.totals).sum()))
    if spread:
        np.maximum(maximum, np.abs(column.totals.sum() - 2 * flipped) / spread, out=maximum)
    return int(np.count_nonzero(maximum >= column.statistic * _SAME_STATISTIC)) / len(maximum)


def _step_down(results: Sequence[SignFlip], order: Sequence[PairSums], families: Sequence[int]) -> tuple[SignFlip, ...]:
    """From the largest statistic down, no adjusted p-value is smaller than the one before it."""
    adjusted = list(results)
    floor: dict[int, float] = {}
    for column in reversed(order):
        family, share = families[column.pair], adjusted[column.pair].max_t_p_value
        if share is None or adjusted[column.pair].p_value is None:
            adjusted[column.pair] = replace(adjusted[column.pair], max_t_p_value=None)
            continue
        floor[family] = max(floor.get(family, 0.0), share)
        adjusted[column.pair] = replace(adjusted[column.pair], max_t_p_value=floor[family])
    return tuple(adjusted)
