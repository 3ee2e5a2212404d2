"""Rank correlations of weighted items, many weightings at once: what a bootstrap needs."""

from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError

CorrelationKind = Literal["kendall", "spearman"]
KENDALL_ITEMS = 2_000
"""Kendall's τ looks at all pairs of items."""


def weighted_correlations(x: Floats, y: Floats, weights: Floats, kind: CorrelationKind) -> Floats:
    """Rank correlation of x and y where each item counts as often as its weight says; NaN where one is constant.

    Args:
        x: ``(n,)``.
        y: ``(n,)``.
        weights: ``(rows, n)``, not negative.
        kind: ``kendall`` (τ_b) or ``spearman``.

    Returns:
        ``(rows,)``, in [−1, 1].

    Raises:
        OptionError: The kind is unknown, or there are too many items for Kendall's τ.

    >>> weighted_correlations(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), np.array([[2.0, 1, 0]]), "kendall")
    array([1.])
    """
    if kind == "spearman":
        return _pearson(_midranks(x, weights), _midranks(y, weights), weights)
    if kind != "kendall":
        raise OptionError(f"The rank correlation must be 'kendall' or 'spearman'; got {kind!r}.")
    if len(x) > KENDALL_ITEMS:
        raise OptionError(f"Kendall's tau over {len(x):,} items looks at too many pairs: use 'spearman'.")
    signs_x, signs_y = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    both, only_x, only_y = (((weights @ s) * weights).sum(axis=1) for s in (signs_x * signs_y, signs_x**2, signs_y**2))
    return _divide(both, np.sqrt(only_x * only_y))


def _midranks(values: Floats, weights: Floats) -> Floats:
    """Rank of each item among the weighted items (up to a constant), ties sharing the mean."""
    _, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2)[:, inverse], dtype=np.float64)


def _pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    squares = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
    return _divide((weights * x * y).sum(axis=1), np.sqrt(squares))


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    ratio = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 1e-12)
    return np.asarray(np.clip(ratio, -1.0, 1.0), dtype=np.float64)
