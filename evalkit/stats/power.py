"""Planning: what a study can detect, how many items it needs, and what groups cost.

All of it is meant for the design stage, or to stand beside a difference that was not significant. "Observed power" is
left out on purpose: it is the p-value in other units.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import Labels, check_alpha, finite_by_group

POWER = 0.8
MAX_ITEMS = 10**9
"""More items than this is "never"."""


def minimum_detectable_effect(
    *, standard_error: float, degrees_of_freedom: float, alpha: float = 0.05, power: float = POWER
) -> float:
    """Smallest true difference that a two-sided t test finds, in its right direction, with the given power.

    ``δ·SE`` with δ the noncentrality at which ``P(T > t_{1−α/2,ν}) = power``; close to
    ``(t_{1−α/2,ν} + t_{power,ν})·SE``. With a standard error of 1/√n it is the smallest standardised effect dz.

    Args:
        standard_error: Of the mean difference, positive, in the units of the scores.
        degrees_of_freedom: Groups − 1, positive.
        alpha: Two-sided error rate, divided by the number of comparisons where there are many.
        power: In (α, 1).

    Raises:
        OptionError: An argument is out of range.

    >>> round(minimum_detectable_effect(standard_error=0.1, degrees_of_freedom=99), 3)
    0.283
    """
    _positive("standard error", standard_error)
    critical = _critical(alpha, degrees_of_freedom)
    if not alpha < power < 1:
        raise OptionError(f"The power must be between alpha and 1; got {power}.")
    return noncentrality_at(critical, degrees_of_freedom, 1 - power) * standard_error


def items_needed(
    effect: float,
    *,
    standard_deviation: float,
    alpha: float = 0.05,
    power: float = POWER,
    design_effect: float = 1.0,
    items_per_group: float = 1.0,
) -> int | None:
    """Smallest number of items at which the minimum detectable effect is at most ``effect``.

    Args:
        effect: Difference to find, in the units of the scores, not 0.
        standard_deviation: Of the items' differences, positive.
        alpha: Two-sided error rate.
        power: In (α, 1).
        design_effect: How much the groups inflate the variance of the mean (see `design_effect`).
        items_per_group: Mean size of a group; sets the degrees of freedom.

    Returns:
        None where no number up to a billion is enough.

    Raises:
        OptionError: An argument is out of range.

    >>> items_needed(0.01, standard_deviation=0.03)
    73
    """
    _positive("effect", abs(effect))
    _positive("standard deviation", standard_deviation)
    _positive("design effect", design_effect)
    if items_per_group < 1:
        raise OptionError(f"A group holds at least one item; got {items_per_group} items per group.")

    def enough(n: int) -> bool:
        error = standard_deviation * math.sqrt(design_effect / n)
        freedom = n / items_per_group - 1
        detectable = minimum_detectable_effect(
            standard_error=error, degrees_of_freedom=freedom, alpha=alpha, power=power
        )
        return detectable <= abs(effect)

    # The normal approximation is a little too low: start the search just below it.
    least = math.ceil(2 * items_per_group)
    guess = (_z(1 - alpha / 2) + _z(power)) ** 2 * design_effect * (standard_deviation / effect) ** 2
    start = max(least, int(0.9 * min(guess, MAX_ITEMS)))
    return _first(enough, start if start == least or not enough(start) else least)


def equivalence_items_needed(
    margin: float, *, standard_deviation: float, alpha: float = 0.05, power: float = POWER
) -> int | None:
    """Smallest number of independent items at which two one-sided tests show that equal methods are equivalent.

    Normal approximation ``2Φ(Δ√n/s − z_{1−α}) − 1 ≥ power``, which is ``n = (z_{1−α} + z_{(1+power)/2})² (s/Δ)²``, or
    8.56 (s/Δ)² for the default rates.

    Args:
        margin: Half-width Δ of the zone of equivalence, positive.
        standard_deviation: Of the items' differences, positive; multiply by the root of the design effect for groups.
        alpha: Error rate of each one-sided test.
        power: Of showing it, in (0, 1).

    Raises:
        OptionError: An argument is out of range.

    >>> equivalence_items_needed(0.2, standard_deviation=1.0)
    215
    """
    check_alpha(alpha)
    _positive("margin", margin)
    _positive("standard deviation", standard_deviation)
    needed = ((_z(1 - alpha) + _z((1 + power) / 2)) * standard_deviation / margin) ** 2
    return max(2, math.ceil(needed)) if needed <= MAX_ITEMS else None


def design_effect(group_sizes: Sequence[int] | Floats, intraclass_correlation: float) -> float:
    """How much correlation within groups inflates the variance of a mean: ``1 + (m̃ − 1)·ρ`` with ``m̃ = Σm²/Σm``.

    Dividing the number of items by it gives the number of independent items that are worth as much (Kish 1965).

    >>> round(100 / design_effect([1] * 16 + [2] * 6 + [3] * 7 + [4] * 5 + [5] * 5 + [6], 0.2), 1)
    67.2
    """
    sizes = np.asarray(group_sizes, dtype=np.float64)
    if not len(sizes) or (sizes < 1).any():
        raise OptionError("Every group must hold at least one item.")
    return float(1 + (np.square(sizes).sum() / sizes.sum() - 1) * intraclass_correlation)


def intraclass_correlation(values: Floats, groups: Labels) -> float | None:
    """Correlation of items of the same group, by analysis of variance; can be slightly negative by chance.

    ``ρ = (MSB − MSW) / (MSB + (m₀ − 1)·MSW)``, ``m₀ = (n − Σm²/n)/(G − 1)`` (Donner 1986).

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``.

    Returns:
        None where it cannot be told: fewer than two groups, no group of two, or values that are all equal.

    >>> intraclass_correlation(np.array([1.0, 1.0, 2.0, 2.0]), "aabb")
    1.0
    """
    values, coded = finite_by_group(values, groups)
    n, n_groups = len(coded), coded.n_groups
    if n_groups < 2 or n == n_groups:
        return None
    centred = values - values.mean()
    between = float((np.square(coded.sums(centred)) / coded.sizes).sum())
    within = max(0.0, float(np.square(centred).sum()) - between) / (n - n_groups)
    mean_size = (n - float(np.square(coded.sizes).sum()) / n) / (n_groups - 1)
    spread = between / (n_groups - 1) + (mean_size - 1) * within
    return (between / (n_groups - 1) - within) / spread if spread > 0 else None


def _first(enough: Callable[[int], bool], least: int) -> int | None:
    """The smallest number from ``least`` on that is enough, where more is never less."""
    low, step = least - 1, 1
    while not enough(low + step):
        low, step = low + step, 2 * step
        if low > MAX_ITEMS:
            return None
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _critical(alpha: float, degrees_of_freedom: float) -> float:
    from scipy.special import stdtrit

    check_alpha(alpha)
    _positive("number of degrees of freedom", degrees_of_freedom)
    return float(stdtrit(degrees_of_freedom, 1 - alpha / 2))


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"The {name} must be a positive number; got {value}.")


TINY = 1e-30


def noncentral_t_cdf(t: float, degrees_of_freedom: float, noncentrality: float) -> float:
    """``P(T ≤ t)`` for a noncentral t.

    scipy's is NaN deep in the tails (at t = −1.98 with 99 degrees of freedom and noncentrality 10, say), where the
    probability is 0 or 1 to every digit that matters, and for some t of 1e-100 and less.

    >>> noncentral_t_cdf(-1.98, 99, 10)
    0.0
    """
    from scipy.special import nctdtr  # importing scipy.stats costs a second

    t = 0.0 if abs(t) < TINY else t
    probability = float(nctdtr(degrees_of_freedom, noncentrality, t))
    return probability if not math.isnan(probability) else float(noncentrality < t)


@lru_cache(maxsize=4096)
def noncentrality_at(t: float, degrees_of_freedom: float, probability: float) -> float:
    """The noncentrality at which ``P(T ≤ t)`` is the given probability, which lies in (0, 1).

    scipy's own inverse is off by up to 0.7 near 0, so this one halves an interval.

    >>> round(noncentrality_at(2.0, 20, 0.5), 4)
    1.9744
    """
    low, high = t - 10 - 4 * abs(t), t + 10 + 4 * abs(t)
    while high - low > 1e-13 * max(1.0, abs(low), abs(high)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if noncentral_t_cdf(t, degrees_of_freedom, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
