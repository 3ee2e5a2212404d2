"""Hartigan's interval: the mean of every subset of the groups is a typical value of the mean."""

import numpy as np

from evalkit.arrays import Floats


def subset_mean_interval(
    flipped: Floats,
    weight: Floats,
    *,
    total: float,
    n_items: int,
    alpha: float,
    exact_p_value: float | None = None,
) -> tuple[float, float] | None:
    """Hartigan's interval: of the N non-empty subsets' means the k-th from either end, ``k = ⌊α/2·(N+1)⌋``.

    It holds the values θ for which flipping the signs of ``D_g − θ·m_g`` gives p > α; so it excludes 0 exactly when
    the test's p ≤ α (Hartigan, "Using subsample values as typical values", JASA 1969).

    Args:
        flipped: ``(R,)`` sums of differences over the flipped groups, in whole steps; the first is the observed
            permutation, which flips nothing. Each stands for its complement too.
        weight: ``(R,)`` numbers of items in the flipped groups.
        total: Sum of all differences, in steps.
        n_items: Number of items.
        alpha: 1 − the level.
        exact_p_value: The test's p-value where it was counted exactly while these permutations are random. Then it
            is known how many of all subset means lie beyond 0, and the draws are weighted to agree (post-stratified).

    Returns:
        Ends in steps, or None where no finite interval has that level.
    """
    rank = int(np.floor(alpha * len(flipped) + 1e-9))
    if rank < 1 or len(flipped) < 2:
        return None
    lesser, greater = _means(flipped[1:], weight[1:], total, n_items)
    low, high = _kth(lesser, rank), -_kth(-greater, rank)
    if exact_p_value is not None and total > 0:
        low = _stratified(lesser, alpha, exact_p_value)
    elif exact_p_value is not None and total < 0:
        high = -_stratified(-greater, alpha, exact_p_value)
    return (low, high) if np.isfinite(low) and np.isfinite(high) else None


def _means(flipped: Floats, weight: Floats, total: float, n_items: int) -> tuple[Floats, Floats]:
    """The lesser and the greater of each subset's mean and its complement's.

    One is at most the overall mean and the other at least, so the k-th smallest of all is the k-th smallest of the
    lesser ones. An empty subset has no mean: counting it beyond both ends keeps the interval in step with the p-value,
    which counts the permutation that it belongs to.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = flipped / weight, (total - flipped) / (n_items - weight)
    empty = (weight == 0) | (weight == n_items)
    return np.where(empty, -np.inf, np.minimum(one, other)), np.where(empty, np.inf, np.maximum(one, other))


def _stratified(means: Floats, alpha: float, p_value: float) -> float:
    """The α-quantile of means of which a share ``p_value`` is known to be at most 0."""
    below = int(np.count_nonzero(means <= 0))
    if p_value > alpha:
        return min(0.0, _kth(means, max(1, int(np.ceil(alpha / p_value * below)))))
    above = len(means) - below
    return _kth(means, min(len(means), below + 1 + int((alpha - p_value) / (1 - p_value) * above)))


def _kth(values: Floats, rank: int) -> float:
    """The ``rank``-th smallest value, counted from 1."""
    return float(np.partition(values, rank - 1)[rank - 1])
