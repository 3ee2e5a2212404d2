"""Random numbers in numbered blocks, so that a result depends on the seed and on nothing else.

Each block of draws has its own Philox generator, keyed by the seed and the block's number. However many blocks are held
in memory at once, in whatever order they are made, draw ``i`` is the same draw.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import OptionError

SIGN_BLOCK = 1024
"""Sign vectors per generator; a bit per sign, so 100,000 groups take 13 MB."""
WEIGHT_BLOCK = 64
"""Bootstrap resamples per generator; eight bytes per group."""
CHUNK_BYTES = 32 * 2**20
"""How much a chunk of sign vectors may take; a larger one is not faster."""
ENUMERATED_GROUPS = 20
"""Up to so many groups all 2^G permutations are looked at."""
_SIGNS, _WEIGHTS = 0, 1


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


def group_weights(n_groups: int, *, n_resamples: int, seed: int) -> Iterator[Floats]:
    """Bootstrap resamples of the groups as counts, in chunks of ``(rows, G)``; every row sums to G."""
    for start in range(0, n_resamples, WEIGHT_BLOCK):
        generator = _generator(seed, start // WEIGHT_BLOCK, _WEIGHTS)
        drawn = generator.integers(0, n_groups, size=(WEIGHT_BLOCK, n_groups))[: n_resamples - start]
        drawn += n_groups * np.arange(len(drawn))[:, None]
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def studentized_means(residuals: Floats, sizes: Floats, *, n_resamples: int, seed: int) -> Iterator[Floats]:
    """``t* = (x̄* − x̄)/SE*`` of each column in bootstrap resamples of the groups, re-studentised in every resample.

    With W the number of times that each group was drawn, r the group sums of residuals and m the group sizes:
    ``u = W·r / W·m`` and ``SE*² = G/(G−1) · (W·r² − 2u W·(r m) + u² W·m²) / (W·m)²``, the cluster-robust (CR1) error.

    Args:
        residuals: ``(G, c)`` sums over each group of ``x_i − x̄``.
        sizes: ``(G,)``.
        n_resamples: Number of resamples.
        seed: Determines them.

    Yields:
        Chunks of ``(rows, c)``; infinite where a resample moved the mean but has no spread of its own.
    """
    n_groups = len(sizes)
    squares, crossed = np.square(residuals), residuals * sizes[:, None]
    for weights in group_weights(n_groups, n_resamples=n_resamples, seed=seed):
        size = (weights @ sizes)[:, None]
        mean, square = weights @ residuals / size, weights @ squares
        spread = square - 2 * mean * (weights @ crossed) + np.square(mean) * (weights @ np.square(sizes))[:, None]
        spread[spread <= 1e-12 * square] = 0.0  # what rounding leaves of a difference of equals
        error = np.sqrt(n_groups / (n_groups - 1) * spread) / size
        infinite = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
        yield np.divide(mean, error, out=infinite, where=error > 0)


def _all_subset_sums(columns: Floats) -> Floats:
    sums = np.zeros((columns.shape[1], 1))
    for group in columns[:-1]:  # the last group is never flipped: the mirror image does that
        sums = np.concatenate([sums, sums + group[:, None]], axis=1)
    return sums


def _sign_bits(seed: int, block: int, n_groups: int) -> npt.NDArray[np.uint8]:
    width = -(-n_groups // 8)
    drawn = _generator(seed, block, _SIGNS).bytes(SIGN_BLOCK * width)
    return np.frombuffer(drawn, np.uint8).reshape(SIGN_BLOCK, width)


def _generator(seed: int, block: int, purpose: int) -> np.random.Generator:
    if not 0 <= seed < 2**64:
        raise OptionError(f"The seed must be a whole number from 0 to 2^64 − 1; got {seed}.")
    # Streams for signs and for weights must not share their bits.
    return np.random.Generator(np.random.Philox(key=np.array([seed, block | purpose << 56], dtype=np.uint64)))
