"""What a sign-flip test of few groups finds at its smallest p-values, where a t test of that level finds more."""

import math
from functools import lru_cache

import numpy as np

COUNTED = 3
"""Arrangements of signs up to which the power has a closed form."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


@lru_cache(maxsize=4096)
def sign_flip_noncentrality(n_groups: int, n_arrangements: int, power: float) -> float:
    """The mean difference, in standard errors, that is found where p may be so many times the smallest, ``2^(1−G)``.

    Args:
        n_groups: G, with normal sums of equal variance.
        n_arrangements: Of signs that may have a sum as large as the observed one, itself included: 1 to 3.
        power: In (0, 1).

    >>> round(sign_flip_noncentrality(6, 1, 0.8) / 6**0.5, 3)
    1.793
    """
    low, high = 0.0, 40.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if sign_flip_power(middle, n_groups, n_arrangements) < power else (low, middle)
    return high * math.sqrt(n_groups)


def sign_flip_power(effect: float, n_groups: int, n_arrangements: int) -> float:
    """Probability that at most ``n_arrangements`` of signs have a sum as large as that of normal group sums.

    One: all groups have the sign of the effect, ``Φ(δ)^G``. Two: or only the group with the smallest absolute sum has
    not, ``G ∫ φ(x+δ) Φ(δ−x)^(G−1) dx``. Three: or only that with the second smallest, ``G(G−1) ∫ φ(x+δ)
    (Φ(x−δ) − Φ(−δ)) Φ(δ−x)^(G−2) dx``.

    Args:
        effect: δ, the mean of a group's sum in its standard deviations.
        n_groups: G.
        n_arrangements: 1 to 3.
    """
    from scipy.special import ndtr

    x = 6 * (_NODES + 1)
    density = 6 * _WEIGHTS * np.exp(-np.square(x + effect) / 2) / math.sqrt(2 * math.pi)
    larger, smaller = ndtr(effect - x), ndtr(x - effect) - ndtr(-effect)
    found = float(ndtr(effect)) ** n_groups
    if n_arrangements > 1:
        found += n_groups * float((density * larger ** (n_groups - 1)).sum())
    if n_arrangements > 2:
        found += n_groups * (n_groups - 1) * float((density * smaller * larger ** (n_groups - 2)).sum())
    return found
