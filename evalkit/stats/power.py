"""Planning: what a study can detect, how many items it needs, and what groups cost.

All of it is meant for the design stage, or to stand beside a difference that was not significant. "Observed power" is
left out on purpose: it is the p-value in other units.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import Labels, check_alpha, finite_by_group, satterthwaite
from evalkit.stats.few_groups import COUNTED, sign_flip_noncentrality
from evalkit.stats.noncentral import noncentrality_at

POWER = 0.8
MAX_ITEMS = 10**9
"""More items than this is "never"."""
EXACT_GROUPS = 40
"""Beyond so many groups the p-values of a sign-flip test lie closer than any level is declared."""
COUNTED_GROUPS = 5_000
"""Beyond so many groups the degrees of freedom grow in proportion."""
NODES = 200
"""Of Gauss and Legendre's rule."""


def smallest_p(n_groups: int) -> float:
    """The least p-value of a two-sided sign-flip test: ``2^(1−G)``, where all G groups agree.

    >>> smallest_p(5)
    0.0625
    """
    return 2.0 ** (1 - n_groups)


def groups_needed(alpha: float) -> int:
    """Fewest groups with which a sign-flip test can be significant: the least G with ``2^(1−G) ≤ α``.

    Args:
        alpha: Two-sided error rate, divided by the number of comparisons where there are many.

    Raises:
        OptionError: alpha is not in (0, 1).

    >>> groups_needed(0.05), groups_needed(0.05 / 10), groups_needed(0.05 / 45)
    (6, 9, 11)
    """
    check_alpha(alpha)
    return 1 + math.ceil(-math.log2(alpha))


def minimum_detectable_effect(
    *,
    standard_error: float,
    degrees_of_freedom: float,
    alpha: float = 0.05,
    power: float = POWER,
    n_groups: int | None = None,
) -> float | None:
    """Smallest true difference that a two-sided test finds, in its right direction, with the given power.

    ``δ·SE`` with δ the noncentrality at which ``P(T > t_{1−α/2,ν}) = power``; close to
    ``(t_{1−α/2,ν} + t_{power,ν})·SE``. With a standard error of 1/√n it is the smallest standardised effect dz.

    A sign-flip test of G groups has only the p-values k·2^(1−G), and near the smallest finds less than a t test of that
    level. For k up to 3 its power is counted; its ratio to that of t fades with ``3/k``. Simulated studies of normal
    groups then keep .79 to .81 of a power of .80 at any level, where t alone keeps .64 (6 groups, α = .05) to .69 (12
    groups, α = .001).

    Args:
        standard_error: Of the mean difference, positive, in the units of the scores.
        degrees_of_freedom: Groups − 1, or Satterthwaite's where groups differ in size; positive.
        alpha: Two-sided error rate, divided by the number of comparisons where there are many.
        power: In (α, 1).
        n_groups: Groups of a sign-flip test; None for a t test, which has no smallest p-value.

    Returns:
        None where no difference, however large, could be significant: ``2^(1−G) > α``.

    Raises:
        OptionError: An argument is out of range.

    >>> round(minimum_detectable_effect(standard_error=0.1, degrees_of_freedom=99), 3)
    0.283
    >>> minimum_detectable_effect(standard_error=0.1, degrees_of_freedom=4, n_groups=5) is None
    True
    """
    _positive("standard error", standard_error)
    check_alpha(alpha)
    if not alpha < power < 1:
        raise OptionError(f"The power must be between alpha and 1; got {power}.")
    if n_groups is not None and n_groups < groups_needed(alpha):
        return None
    if n_groups is None or n_groups > EXACT_GROUPS:
        return _t_noncentrality(alpha, degrees_of_freedom, power) * standard_error
    arrangements = math.floor(alpha / smallest_p(n_groups))
    counted = min(arrangements, COUNTED)
    of_t = _t_noncentrality(counted * smallest_p(n_groups), n_groups - 1, power)
    fading = counted / arrangements
    ratio: float = (sign_flip_noncentrality(n_groups, counted, power) / of_t) ** fading
    found = _t_noncentrality(arrangements * smallest_p(n_groups), degrees_of_freedom, power)
    return found * ratio * standard_error


def items_needed(
    effect: float,
    *,
    standard_deviation: float,
    alpha: float = 0.05,
    power: float = POWER,
    design_effect: float = 1.0,
    group_sizes: Sequence[float] | Floats = (1.0,),
) -> int | None:
    """Smallest number of items, in whole groups, at which a sign-flip test finds a true difference.

    It is never below what `groups_needed` asks for.

    Args:
        effect: Difference to find, in the units of the scores, not 0: one that was declared, such as a margin. For the
            difference that was observed the number is the p-value in other units.
        standard_deviation: Of the items' differences, positive.
        alpha: Two-sided error rate.
        power: In (α, 1).
        design_effect: How much the groups inflate the variance of the mean (see `design_effect`).
        group_sizes: Items per group, each at least 1: those of a pilot, whose mix the study keeps (Satterthwaite's
            degrees of freedom follow from it), or one number for groups of one size.

    Returns:
        Items of the fewest groups that are enough; None where no number up to a billion is.

    Raises:
        OptionError: An argument is out of range.

    >>> items_needed(0.01, standard_deviation=0.03)
    73
    >>> items_needed(0.6, standard_deviation=0.3, group_sizes=[20])
    120
    """
    _positive("effect", abs(effect))
    design = Design(standard_deviation=standard_deviation, design_effect=design_effect, group_sizes=tuple(group_sizes))

    def enough(groups: int) -> bool:
        detectable = design.detectable(groups, alpha=alpha, power=power)
        return detectable is not None and detectable <= abs(effect)

    return _items(design, _first(enough, groups_needed(alpha)))


def equivalence_items_needed(
    margin: float,
    *,
    standard_deviation: float,
    alpha: float = 0.05,
    power: float = POWER,
    design_effect: float = 1.0,
    group_sizes: Sequence[float] | Floats = (1.0,),
) -> int | None:
    """Smallest number of items, in whole groups, at which two one-sided t tests show that equal methods are equivalent.

    Args:
        margin: Half-width Δ of the zone of equivalence, positive.
        standard_deviation: Of the items' differences, positive.
        alpha: Error rate of each one-sided test.
        power: Of showing it where there is no difference, in (0, 1).
        design_effect: How much the groups inflate the variance of the mean.
        group_sizes: Items per group, as for `items_needed`.

    Returns:
        Items of the fewest groups that are enough; None where no number up to a billion is.

    Raises:
        OptionError: An argument is out of range.

    >>> equivalence_items_needed(0.2, standard_deviation=1.0)
    216
    """
    check_alpha(alpha)
    _positive("margin", margin)
    if not 0 < power < 1:
        raise OptionError(f"The power must be between 0 and 1; got {power}.")
    design = Design(standard_deviation=standard_deviation, design_effect=design_effect, group_sizes=tuple(group_sizes))

    def enough(groups: int) -> bool:
        return equivalence_power(margin / design.error(groups), design.freedom(groups, agreeing=True), alpha) >= power

    return _items(design, _first(enough, 2))


def equivalence_power(margin: float, degrees_of_freedom: float, alpha: float = 0.05) -> float:
    """Probability that two one-sided t tests show equivalence where there is no difference.

    They do where ``|d̄| + t_{1−α,ν}·SE < Δ``. Given the estimated standard error, S times the true one, that has the
    probability ``2Φ(Δ − t·S) − 1``; it is averaged over S² ~ χ²_ν/ν (Phillips 1990).

    Args:
        margin: Half-width Δ of the zone of equivalence, in standard errors of the mean difference; positive.
        degrees_of_freedom: Positive.
        alpha: Error rate of each one-sided test.

    >>> round(equivalence_power(3.0, 38), 3)
    0.807
    """
    from scipy.special import chdtri, gammaln, ndtr

    critical, half = _critical(2 * alpha, degrees_of_freedom), degrees_of_freedom / 2
    least, most = (math.sqrt(chdtri(degrees_of_freedom, tail) / degrees_of_freedom) for tail in (1 - 1e-15, 1e-15))
    most = min(most, margin / critical)
    if most <= least:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    spread = least + (most - least) * (nodes + 1) / 2
    log_density = (
        math.log(2) + half * math.log(half) - gammaln(half) + (2 * half - 1) * np.log(spread) - half * spread**2
    )
    shown = 2 * ndtr(margin - critical * spread) - 1
    return float((most - least) / 2 * (weights * np.exp(log_density) * shown).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A study that can grow by whole groups, and keeps their mix of sizes."""

    standard_deviation: float
    """Of the items' differences, positive, in the units of the scores."""
    design_effect: float = 1.0
    """How much the groups inflate the variance of the mean."""
    group_sizes: tuple[float, ...] = (1.0,)
    """Items per group, each at least 1: those of a pilot, or one number for groups of one size."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a figure is out of range."""
        _positive("standard deviation", self.standard_deviation)
        _positive("design effect", self.design_effect)
        if not self.group_sizes or not all(1 <= size < math.inf for size in self.group_sizes):
            raise OptionError(f"Every group must hold at least one item; got {self.group_sizes}.")

    @property
    def items_per_group(self) -> float:
        """The mean size of a group."""
        return sum(self.group_sizes) / len(self.group_sizes)

    def items_in(self, groups: int) -> int:
        """How many items so many groups hold.

        >>> Design(standard_deviation=1.0, group_sizes=(2.5,)).items_in(11)
        28
        """
        return math.ceil(groups * self.items_per_group - 1e-9)

    def groups_in(self, items: int) -> int:
        """How many whole groups so many items make.

        >>> Design(standard_deviation=1.0, group_sizes=(2.5,)).groups_in(28)
        11
        """
        return math.floor(items / self.items_per_group + 1e-9)

    def error(self, groups: int) -> float:
        """Standard error of the mean difference."""
        return self.standard_deviation * math.sqrt(self.design_effect / (groups * self.items_per_group))

    def freedom(self, groups: int, *, agreeing: bool = False) -> float:
        """Degrees of freedom with so many groups of this mix; two groups of whatever sizes have one.

        They are Satterthwaite's for whole multiples of the mix, and lie on a line between two of them.

        Args:
            groups: At least 2.
            agreeing: Whether the items of a group agree, as tests of equivalence assume.
        """
        if len(set(self.group_sizes)) == 1:
            return groups - 1.0
        times, most = groups / len(self.group_sizes), max(1, COUNTED_GROUPS // len(self.group_sizes))
        if times <= 1:
            return max(1.0, (_freedom(self.group_sizes, 1, agreeing) + 1) * times - 1)
        if times >= most:
            return _freedom(self.group_sizes, most, agreeing) * times / most
        low, high = (_freedom(self.group_sizes, math.floor(times) + more, agreeing) for more in (0, 1))
        return low + (high - low) * (times - math.floor(times))

    def detectable(
        self, groups: int, *, alpha: float = 0.05, power: float = POWER, sign_flip: bool = True
    ) -> float | None:
        """The minimum detectable effect with so many groups; None where they are too few for any.

        Args:
            groups: At least 0.
            alpha: Two-sided error rate, corrected.
            power: In (α, 1).
            sign_flip: Whether the test is one whose smallest p-value is ``2^(1−G)``.
        """
        if groups < 2 or (sign_flip and groups < groups_needed(alpha)):
            return None
        return minimum_detectable_effect(
            standard_error=self.error(groups),
            degrees_of_freedom=self.freedom(groups),
            alpha=alpha,
            power=power,
            n_groups=groups if sign_flip else None,
        )


@lru_cache(maxsize=4096)
def _freedom(group_sizes: tuple[float, ...], times: int, agreeing: bool) -> float:
    """Satterthwaite's degrees of freedom with so many groups of each size."""
    return satterthwaite(np.tile(group_sizes, times), agreeing=agreeing)


def _items(design: Design, groups: int | None) -> int | None:
    """How many items the groups hold; None for more than anybody has."""
    items = None if groups is None else design.items_in(groups)
    return None if items is None or items > MAX_ITEMS else items


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


def _t_noncentrality(alpha: float, degrees_of_freedom: float, power: float) -> float:
    """The mean difference, in standard errors, that a t test finds."""
    return noncentrality_at(_critical(alpha, degrees_of_freedom), degrees_of_freedom, 1 - power)


def _critical(alpha: float, degrees_of_freedom: float) -> float:
    from scipy.special import stdtrit

    check_alpha(alpha)
    _positive("number of degrees of freedom", degrees_of_freedom)
    return float(stdtrit(degrees_of_freedom, 1 - alpha / 2))


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"The {name} must be a positive number; got {value}.")
