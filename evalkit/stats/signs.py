"""Sums of whole numbers with random signs: counted exactly, listed, or drawn.

Every test here that flips signs (of differences, of signed ranks, of plain signs) asks how often a random subset of
given numbers sums to at most some value. Counting subsets by their sum takes one pass over the attainable sums per
number, whatever the ties (Pagano & Tritchler, JASA 1983).

Random numbers come in numbered blocks, each with a Philox generator of its own, keyed by the seed and the block's
number: however many blocks are held in memory at once, in whatever order they are made, draw ``i`` is the same draw.
"""

import math
import sys

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import OptionError

EXACT_STEPS = 2_000_000
"""Largest sum of absolute values, in units of their common divisor, that is worth counting for up to 100 of them."""
_RESCALE_EVERY = 512
"""Counts of subsets reach 2^512 and are scaled back long before float64 overflows."""
_MIDDLE = 1e-2
"""Standard deviations within which a sum is in the middle of its distribution."""
_ROUNDING = 1e-12
"""Sums of numbers of one sign differ by less than this share, in whatever order they are summed."""
_NEWTON = 100
"""Steps of Newton's method at most; ten are usual."""
SIGN_BLOCK = 1024
"""Sign vectors per generator; a bit per sign, so 100,000 groups take 13 MB."""
CHUNK_BYTES = 32 * 2**20
"""How much a chunk of sign vectors may take; a larger one is not faster."""
ENUMERATED_GROUPS = 20
"""Up to so many groups all 2^G permutations are looked at."""
SIGNS, WEIGHTS = 0, 1
"""Purposes of generators, whose streams must not share their bits."""


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
    return 1.0 if total == 0 else positive(min(1.0, 2 * _upper_tail(scores, total)))


def saddlepoint_tail(scores: Floats) -> float:
    """`two_sided_tail` by Robinson's saddlepoint approximation, for tails too far out for random signs to reach.

    With ``K(t) = Σ log cosh(t a_g)`` and t such that ``K'(t) = Σ a_g``: ``w² = 2(t Σ a_g − K(t))``, ``u² = t² K''(t)``
    and ``P(Σ s_g a_g ≥ x) ≈ 1 − Φ(w) + φ(w)(1/u − 1/w)`` (Lugannani & Rice 1980; Robinson, JRSS B 1982). A few percent
    off in tails that two groups or more make; exact where all numbers have one sign.

    Args:
        scores: ``(G,)`` numbers of any sign and unit; zeros change nothing.

    >>> saddlepoint_tail(np.array([3.0, 1.0, 4.0, 1.5, 9.0])) == 2 / 2**5
    True
    """
    sizes = np.abs(scores[scores != 0])
    least, total = 2.0 ** (1 - len(sizes)), abs(float(scores.sum()))
    if not len(sizes) or not total:
        return 1.0
    if total >= float(sizes.sum()) * (1 - _ROUNDING):
        return positive(least)
    sizes, total = sizes / sizes.max(), total / float(sizes.max())
    t = total / float(np.square(sizes).sum())
    for _ in range(_NEWTON):  # K' is concave: from the left Newton's steps never pass the root
        slope, curvature = np.tanh(t * sizes), 1 / np.square(np.cosh(np.minimum(t * sizes, 300.0)))
        spread = float((np.square(sizes) * curvature).sum())
        step = (total - float((sizes * slope).sum())) / spread
        t += step
        if abs(step) <= 1e-9 * t:
            break
    grown = t * sizes
    cumulant = float((grown + np.log1p(np.exp(-2 * grown)) - math.log(2)).sum())
    w, u = math.sqrt(max(2 * (t * total - cumulant), sys.float_info.min)), t * math.sqrt(spread)
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    # In the middle the correction is the difference of two large numbers, and goes to 0.
    correction = density * (1 / u - 1 / w) if w > _MIDDLE else 0.0
    tail = math.erfc(w / math.sqrt(2)) / 2 + correction
    return positive(min(1.0, max(2 * tail, least)))


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


def subset_sums(columns: Floats, *, n_permutations: int, seed: int, chunk_bytes: int = CHUNK_BYTES) -> Floats:
    """Sums of each column over the groups whose sign is flipped, one permutation after the other.

    A permutation of signs and its mirror image (all reversed) give the same two-sided statistic, so each is listed
    once; the mirror image's sum is the column's total minus the sum. Permutation 0 is the observed one: nothing is
    flipped. Up to 20 groups all ``2^(G−1)`` are listed, each once; beyond that ``n_permutations`` random ones follow.

    Args:
        columns: ``(G, c)``, whole numbers, so that the sums are exact.
        n_permutations: Random permutations for more than 20 groups.
        seed: Determines them.
        chunk_bytes: Bounds the memory beside the result; does not change it.

    Returns:
        ``(c, permutations)``.

    >>> subset_sums(np.array([[1.0], [2.0], [4.0]]), n_permutations=9, seed=0).tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """
    n_groups = len(columns)
    if n_groups <= ENUMERATED_GROUPS:
        return _all_subset_sums(columns)
    sums = np.zeros((columns.shape[1], 1 + n_permutations))
    rows = max(1, min(SIGN_BLOCK, n_permutations, chunk_bytes // (8 * n_groups)))
    buffer = np.empty((rows, n_groups))
    for start in range(0, n_permutations, SIGN_BLOCK):
        bits = _sign_bits(seed, start // SIGN_BLOCK, n_groups)[: n_permutations - start]
        for row in range(0, len(bits), rows):
            some = bits[row : row + rows]
            flipped = buffer[: len(some)]
            np.copyto(flipped, np.unpackbits(some, axis=1, count=n_groups))
            first = 1 + start + row
            np.matmul(columns.T, flipped.T, out=sums[:, first : first + len(some)])
    return sums


def n_permutations_of(n_groups: int, n_permutations: int) -> int:
    """How many permutations `subset_sums` lists, the observed one included."""
    return 2 ** max(n_groups - 1, 0) if n_groups <= ENUMERATED_GROUPS else 1 + n_permutations


def _all_subset_sums(columns: Floats) -> Floats:
    sums = np.zeros((columns.shape[1], 1))
    for group in columns[:-1]:  # the last group is never flipped: the mirror image does that
        sums = np.concatenate([sums, sums + group[:, None]], axis=1)
    return sums


def _sign_bits(seed: int, block: int, n_groups: int) -> npt.NDArray[np.uint8]:
    width = -(-n_groups // 8)
    drawn = generator_of(seed, block, SIGNS).bytes(SIGN_BLOCK * width)
    return np.frombuffer(drawn, np.uint8).reshape(SIGN_BLOCK, width)


def generator_of(seed: int, block: int, purpose: int) -> np.random.Generator:
    """The generator of one block of draws.

    Raises:
        OptionError: The seed is negative, or too large.
    """
    if not 0 <= seed < 2**64:
        raise OptionError(f"The seed must be a whole number from 0 to 2^64 − 1; got {seed}.")
    return np.random.Generator(np.random.Philox(key=np.array([seed, block | purpose << 56], dtype=np.uint64)))
