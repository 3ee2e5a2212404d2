"""Effect sizes of a paired comparison, each with an interval that respects groups. Raw units come first."""

from dataclasses import dataclass, replace

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import GRID, Labels, check_level, finite_by_group, group_error, to_steps
from evalkit.stats.intervals import Estimate, Interval, estimate_of, group_wilson_interval
from evalkit.stats.power import noncentrality_at


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """How often the second method is the better one, ties counting half."""

    win: int
    """Items on which b is better than a."""
    tie: int
    loss: int
    rate: Interval
    """``P(b better) + ½ P(tie)`` with Wilson's interval on the effective number of items."""


def win_rate(
    differences: Floats, groups: Labels, *, higher_is_better: bool = True, level: float = 0.95, grid: float = GRID
) -> WinRate:
    """Wins, ties and losses over items.

    Args:
        differences: ``(n,)`` of b − a, finite; rounded to the grid, so that ties are ties.
        groups: ``(n,)``.
        higher_is_better: Direction of the metric.
        level: Coverage of the interval.
        grid: Unit to which the differences are rounded.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> rate = win_rate(np.array([0.1, 0.0, -0.2, 0.3]), range(4))
    >>> rate.win, rate.tie, rate.loss, rate.rate.mean
    (2, 1, 1, 0.625)
    """
    differences, _ = finite_by_group(differences, groups)
    signs = np.sign(to_steps(differences, grid)) * (1 if higher_is_better else -1)
    return WinRate(
        win=int((signs > 0).sum()),
        tie=int((signs == 0).sum()),
        loss=int((signs < 0).sum()),
        rate=group_wilson_interval((signs + 1) / 2, groups, level=level),
    )


def cohens_dz(differences: Floats, groups: Labels, *, level: float = 0.95) -> Estimate:
    """Standardised mean difference of pairs, ``dz = d̄/s_d``, with its noncentral t interval.

    The interval is that of the noncentrality of ``t = d̄/SE`` with G−1 degrees of freedom (Cumming & Finch 2001), times
    ``SE/s_d``; with one item per group that factor is 1/√n. It is not ``d_av``, which some packages print under the
    same name.

    Args:
        differences: ``(n,)``, finite.
        groups: ``(n,)``.
        level: Coverage.

    Raises:
        OptionError: Lengths differ, a value is not finite, or the level is out of range.

    >>> round(cohens_dz(np.array([1.0, 2.0, 3.0]), range(3)).value, 6)
    2.0
    """
    check_level(level)
    differences, coded = finite_by_group(differences, groups)
    if coded.n_items < 2:
        return estimate_of(coded, level, "noncentral_t", reason="fewer than two items: no standard deviation")
    if (differences == differences[0]).all():
        return estimate_of(coded, level, "noncentral_t", reason="all differences are the same: no standard deviation")
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    error = group_error(differences, coded)
    if not error:
        reason = "one group only" if error is None else "groups do not differ"
        return estimate_of(coded, level, "noncentral_t", mean / deviation, reason=f"{reason}: no standard error")
    t, freedom = mean / error, coded.n_groups - 1
    low, high = (noncentrality_at(t, freedom, p) * error / deviation for p in (0.5 + level / 2, 0.5 - level / 2))
    return estimate_of(coded, level, "noncentral_t", mean / deviation, (low, high))


def hedges_gz(differences: Floats, groups: Labels, *, level: float = 0.95) -> Estimate:
    """`cohens_dz` without its small-sample bias: times ``J = Γ(ν/2) / (√(ν/2)·Γ((ν−1)/2))``, ν = n − 1 (Hedges 1981).

    >>> round(hedges_gz(np.array([1.0, 2.0, 3.0, 4.0]), range(4)).value, 6)
    1.401248
    """
    from scipy.special import gammaln

    dz = cohens_dz(differences, groups, level=level)
    if dz.n_items < 3:
        return replace(
            dz, value=None, low=None, high=None, reason="fewer than three items: the correction is undefined"
        )
    half = (dz.n_items - 1) / 2
    return scaled(dz, float(np.exp(gammaln(half) - gammaln(half - 0.5)) / np.sqrt(half)))


def share_of_headroom(difference: Interval | Estimate, *, floor: float, ceiling: float) -> Estimate:
    """A difference as a share of what separates the controls: ``d̄ / (ceiling − floor)``, positive for the better.

    Args:
        difference: In the units of the scores.
        floor: Mean score of the control that should be worst (an unedited or a random image).
        ceiling: Mean score of the one that should be best (a reference edit); below the floor if lower is better.

    Raises:
        OptionError: The two are equal or not finite.
    """
    if not (np.isfinite(floor) and np.isfinite(ceiling) and floor != ceiling):
        raise OptionError(f"Floor and ceiling must be two different numbers; got {floor} and {ceiling}.")
    value = difference.mean if isinstance(difference, Interval) else difference.value
    estimate = Estimate(
        value=value,
        low=difference.low,
        high=difference.high,
        level=difference.level,
        n_items=difference.n_items,
        n_groups=difference.n_groups,
        method=difference.method,
        reason=difference.reason,
    )
    return scaled(estimate, 1 / (ceiling - floor))


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate and its interval times a factor, which turns the ends round if it is negative."""
    value = None if estimate.value is None else estimate.value * factor
    if estimate.low is None or estimate.high is None:
        return replace(estimate, value=value)
    low, high = sorted((estimate.low * factor, estimate.high * factor))
    return replace(estimate, value=value, low=low, high=high)


def missing_bounds(values_a: Floats, values_b: Floats, *, lowest: float, highest: float) -> tuple[float, float] | None:
    """Least and greatest mean difference b − a that the missing scores of a bounded metric could make.

    Args:
        values_a: ``(n,)``; NaN marks a missing score.
        values_b: ``(n,)``.
        lowest: Least value of the metric.
        highest: Its greatest.

    Returns:
        None without items.

    >>> missing_bounds(np.array([0.5, np.nan]), np.array([0.7, 0.4]), lowest=0, highest=1)
    (-0.2, 0.3)
    """
    values_a, values_b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if values_a.shape != values_b.shape or not lowest < highest:
        raise OptionError(f"Bounds need scores of the same items and lowest < highest; got {lowest}, {highest}.")
    if not len(values_a):
        return None
    least = np.where(np.isnan(values_b), lowest, values_b) - np.where(np.isnan(values_a), highest, values_a)
    most = np.where(np.isnan(values_b), highest, values_b) - np.where(np.isnan(values_a), lowest, values_a)
    return float(least.mean()), float(most.mean())
