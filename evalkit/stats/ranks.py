"""Midranks, doubled so that they are whole numbers."""

import numpy as np

from evalkit.stats.groups import Floats


def doubled_midranks(values: Floats) -> Floats:
    """Twice the rank of each value, ties sharing the mean of their ranks.

    >>> doubled_midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [5.0, 2.0, 5.0]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((2 * last - counts + 1)[inverse], dtype=np.float64)
