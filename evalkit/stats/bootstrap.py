"""Bootstrap resamples of whole groups, in numbered blocks as the signs of `signs` are."""

from collections.abc import Iterator

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats.signs import WEIGHTS, generator_of

WEIGHT_BLOCK = 64
"""Bootstrap resamples per generator; eight bytes per group."""


def group_weights(n_groups: int, *, n_resamples: int, seed: int) -> Iterator[Floats]:
    """Bootstrap resamples of the groups as counts, in chunks of ``(rows, G)``; every row sums to G."""
    for start in range(0, n_resamples, WEIGHT_BLOCK):
        generator = generator_of(seed, start // WEIGHT_BLOCK, WEIGHTS)
        drawn = generator.integers(0, n_groups, size=(WEIGHT_BLOCK, n_groups))[: n_resamples - start]
        drawn += n_groups * np.arange(len(drawn))[:, None]
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def studentized_means(residuals: Floats, sizes: Floats, *, n_resamples: int, seed: int) -> Iterator[Floats]:
    """``t* = (x̄* − x̄)/SE*`` of each column in bootstrap resamples of the groups, re-studentised in every resample.

    With W the number of times that each group was drawn, r the group sums of residuals, m the group sizes and
    n* = W·m: ``u = W·r / n*`` and ``SE*² = (V·r² − 2u V·(r m) + u² V·m²) / n*²`` with ``V = W / (1 − m/n*)``, the
    cluster-robust (CR2) error of `clusters.cluster_errors`, a group that is drawn twice being two groups.

    Args:
        residuals: ``(G, c)`` sums over each group of ``x_i − x̄``.
        sizes: ``(G,)``.
        n_resamples: Number of resamples.
        seed: Determines them.

    Yields:
        Chunks of ``(rows, c)``; infinite where a resample moved the mean but has no spread of its own.
    """
    largest = np.abs(residuals).max(axis=0)
    residuals = residuals / np.where(largest > 0, largest, 1.0)  # t* has no unit; squares of 1e300 are no numbers
    squares, crossed = np.square(residuals), residuals * sizes[:, None]
    for weights in group_weights(len(sizes), n_resamples=n_resamples, seed=seed):
        size = (weights @ sizes)[:, None]
        mean = weights @ residuals / size
        np.divide(weights, 1 - sizes / size, out=weights, where=weights > 0)
        square = weights @ squares
        spread = square - 2 * mean * (weights @ crossed) + np.square(mean) * (weights @ np.square(sizes))[:, None]
        spread[spread <= 1e-12 * square] = 0.0  # what rounding leaves of a difference of equals
        error = np.sqrt(spread) / size
        infinite = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
        yield np.divide(mean, error, out=infinite, where=error > 0)
