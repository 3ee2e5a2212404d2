"""Confidence intervals for a mean over items that come in groups.

No interval leaves the range that a mean can have, and none has zero width: where the values do not differ there is
nothing to estimate a spread from, and only at an end of the range is there still something exact to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.bootstrap import studentized_means
from evalkit.stats.clusters import (
    GRID,
    ONE_GROUP,
    ClusterError,
    Groups,
    Labels,
    check_level,
    cluster_error,
    code_groups,
    finite_by_group,
)

Bounds = tuple[float | None, float | None]
"""The least and the greatest value that there can be; None where there is no such end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its confidence interval, or with the reason why there is none."""

    value: float | None
    """None when it cannot be computed."""
    low: float | None = None
    high: float | None = None
    n_items: int
    """Items that it is based on."""
    n_groups: int
    freedom: float | None = None
    """Satterthwaite's degrees of freedom of its standard error; None where it has none."""
    method: str
    """How the interval was made: ``group_t``, ``group_bootstrap_t``, ``group_wilson`` or ``exact_bound`` for a mean."""
    reason: str | None = None
    """Why there is no interval (or no value)."""


def mean_interval(
    values: Floats,
    groups: Labels,
    *,
    is_rate: bool,
    level: float = 0.95,
    bounds: Bounds | None = None,
    design_effect: float | None = None,
) -> Estimate:
    """A mean over items with the interval that runs, rankings and the board give it.

    Args:
        values: ``(n,)``.
        groups: ``(n,)``; items with the same label are dependent.
        is_rate: Whether they are zeros and ones, or means of such: Wilson's interval; Student's for anything else.
        level: Coverage, in (0, 1).
        bounds: Of what the values can be; rates lie in [0, 1] without being told.
        design_effect: For rates, `pooled_design_effect` of the methods that are looked at together.

    Raises:
        OptionError: As for the two intervals.
    """
    if is_rate:
        return group_wilson_interval(values, groups, level=level, design_effect=design_effect)
    return group_t_interval(values, groups, level=level, bounds=bounds)


def group_t_interval(values: Floats, groups: Labels, *, level: float = 0.95, bounds: Bounds | None = None) -> Estimate:
    """Mean over items with Student's t interval on the cluster-robust (CR2) standard error.

    With one item per group it is the textbook interval. An end beyond the bounds is cut to them, which costs no
    coverage.

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).
        bounds: Of what the values can be.

    Returns:
        Where all values are equal, the exact one-sided bound if they lie at an end of a finite range: G groups there
        leave room for a share of others of at most ``1 − α^(1/G)``. Otherwise, and for fewer than two groups, an
        interval without ends, and the reason.

    Raises:
        OptionError: Lengths differ, a value is not finite, or the level is out of range.

    >>> group_t_interval(np.array([1.0, 2.0, 3.0]), "abc").value
    2.0
    """
    from scipy.special import stdtrit  # importing scipy.stats costs a second

    values, coded, spread = _checked(values, groups, level)
    if spread is None or spread.error == 0:
        return _without_spread(values, coded, "group_t", level, bounds)
    half = float(stdtrit(spread.freedom, 0.5 + level / 2)) * spread.error
    mean = float(values.mean())
    ends = _cut((mean - half, mean + half), bounds)
    return estimate_of(coded, "group_t", mean, ends, freedom=spread.freedom)


def group_bootstrap_t_interval(
    values: Floats,
    groups: Labels,
    *,
    level: float = 0.95,
    bounds: Bounds | None = None,
    n_resamples: int = 9_999,
    seed: int = 0,
) -> Estimate:
    """Mean over items with a bootstrap-t interval over groups, for skewed or bounded scores of few items.

    Groups are drawn with replacement and the mean is studentised in each resample with its own cluster-robust error:
    ``[x̄ − q_{1−α/2}·SE, x̄ − q_{α/2}·SE]`` with q the quantiles of ``t* = (x̄* − x̄)/SE*`` (Efron 1981; Cameron, Gelbach
    & Miller 2008).

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are drawn together.
        level: Coverage, in (0, 1).
        bounds: Of what the values can be; the interval is cut to them.
        n_resamples: Number of bootstrap resamples.
        seed: Determines them.

    Returns:
        Where all values are equal, what `group_t_interval` gives. An interval without ends, and the reason, for fewer
        than two groups, or where so many resamples have no spread that the quantiles are unbounded.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> interval = group_bootstrap_t_interval(np.array([0.1, 0.2, 0.2, 0.3, 0.9, 0.1, 0.4, 0.2]), range(8))
    >>> interval.low < 0.3 < interval.high and interval.high - 0.3 > 0.3 - interval.low
    True
    """
    values, coded, spread = _checked(values, groups, level)
    tail = int((1 - level) / 2 * (n_resamples + 1) + 1e-9)
    if tail < 1:
        raise OptionError(f"A {level:.0%} bootstrap-t interval needs more than {n_resamples} resamples.")
    if spread is None or spread.error == 0:
        return _without_spread(values, coded, "group_bootstrap_t", level, bounds)
    mean, error = float(values.mean()), spread.error
    residuals = coded.sums(values - mean)[:, None]
    t = np.concatenate(list(studentized_means(residuals, coded.sizes, n_resamples=n_resamples, seed=seed)))[:, 0]
    t.sort()
    low, high = mean - float(t[-tail]) * error, mean - float(t[tail - 1]) * error
    if not (np.isfinite(low) and np.isfinite(high)):
        reason = f"too many resamples of {coded.n_groups} groups have no spread"
        return estimate_of(coded, "group_bootstrap_t", mean, reason=reason)
    return estimate_of(coded, "group_bootstrap_t", mean, _cut((low, high), bounds), freedom=spread.freedom)


def group_wilson_interval(
    values: Floats, groups: Labels, *, level: float = 0.95, design_effect: float | None = None
) -> Estimate:
    """Success rate with Wilson's score interval, the number of items shrunk by the design effect of the groups.

    The design effect is the cluster-robust variance over that of independent items, at least 1 and at least the one
    that is given; the number of items is divided by it and, for the few degrees of freedom that it is known with,
    multiplied by ``(t_{n−1}/t_ν)²`` (Korn & Graubard, Survey Methodology 1998). Of independent items it is Wilson's
    own.

    Args:
        values: ``(n,)`` zeros and ones, or their means over seeds, in [0, 1].
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).
        design_effect: Pooled over methods. A rate of 0 or 1 tells none of its own, and a single failure tells 1
            whatever the groups; with this one both count alike, so that a better rate never has a worse bound. Without
            it every group of a rate of 0 or 1 counts as one trial.

    Returns:
        An interval without ends, and the reason, for fewer than two groups.

    Raises:
        OptionError: Lengths differ, a value is outside [0, 1], or the level is out of range.

    >>> interval = group_wilson_interval(np.ones(10), range(10))
    >>> round(interval.low, 4), interval.high
    (0.7225, 1.0)
    """
    values, coded, spread = _checked(values, groups, level)
    if ((values < 0) | (values > 1)).any():
        raise OptionError("Success rates must lie in [0, 1].")
    if spread is None:
        return _without_spread(values, coded, "group_wilson", level, None)
    rate, n = float(values.mean()), len(coded)
    own = design_effect_of(rate, spread.error, n)
    known = [1.0, *(effect for effect in (own, design_effect) if effect is not None)]
    trials = min(float(n), effective_trials(n, max(known), spread.freedom, level)) if known[1:] else coded.n_groups
    return estimate_of(coded, "group_wilson", rate, wilson_ends(rate, trials, level), freedom=spread.freedom)


def design_effect_of(rate: float, error: float, n: int) -> float | None:
    """The variance of a rate over that of n independent trials, ``r(1−r)/(n−1)``; None for a rate of 0 or 1."""
    return error**2 * (n - 1) / (rate * (1 - rate)) if 0 < rate < 1 else None


def pooled_design_effect(rates: Iterable[Floats], groups: Labels) -> float | None:
    """The design effect of the groups over several methods' success rates, by which those of 0 and 1 are judged, too.

    The sum of their cluster-robust variances over that of the variances of as many independent items.

    Args:
        rates: ``(n,)`` of each method: zeros and ones, or their means over seeds; NaN where there is none.
        groups: ``(n,)``; items with the same label are dependent.

    Returns:
        None where every rate is 0 or 1, or there are fewer than two groups.

    >>> round(pooled_design_effect([np.array([1.0, 1.0, 0.0, 0.0]), np.ones(4)], "aabb"), 6)
    3.0
    """
    coded = code_groups(groups)
    clustered = independent = 0.0
    for values in rates:
        kept = np.logical_not(np.isnan(values))
        spread = cluster_error(values[kept], coded.where(kept))
        rate = float(values[kept].mean()) if spread else 0.0
        if spread and 0 < rate < 1:
            clustered += spread.error**2
            independent += rate * (1 - rate) / (int(kept.sum()) - 1)
    return clustered / independent if independent else None


def effective_trials(n: int, design_effect: float, freedom: float, level: float) -> float:
    """How many independent trials so many items are worth (Korn & Graubard 1998)."""
    from scipy.special import stdtrit

    few = stdtrit(n - 1, 0.5 + level / 2) / stdtrit(freedom, 0.5 + level / 2)
    return n / design_effect * float(few) ** 2


def wilson_ends(rate: float, trials: float, level: float) -> tuple[float, float]:
    """Ends of Wilson's score interval (JASA 1927) for a rate in [0, 1] seen in so many trials."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    # At a rate of 0 or 1 the exact end is the rate itself; rounding must not put the estimate outside.
    return min(rate, max(0.0, float(centre - half))), max(rate, min(1.0, float(centre + half)))


def estimate_of(
    groups: Groups,
    method: str,
    value: float | None = None,
    ends: tuple[float, float] | None = None,
    reason: str | None = None,
    freedom: float | None = None,
) -> Estimate:
    """An estimate from so many items and groups; without ends where there is a reason."""
    return Estimate(
        value=value,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        n_items=len(groups),
        n_groups=groups.n_groups,
        freedom=freedom,
        method=method,
        reason=reason,
    )


def _checked(values: Floats, groups: Labels, level: float) -> tuple[Floats, Groups, ClusterError | None]:
    """Finite values, their coded groups and the cluster-robust error of their mean."""
    check_level(level)
    values, coded = finite_by_group(values, groups)
    return values, coded, cluster_error(values, coded)


def _cut(ends: tuple[float, float], bounds: Bounds | None) -> tuple[float, float]:
    """The part of an interval that lies within the bounds."""
    (low, high), (lowest, highest) = ends, bounds or (None, None)
    return low if lowest is None else max(low, lowest), high if highest is None else min(high, highest)


def _without_spread(values: Floats, groups: Groups, method: str, level: float, bounds: Bounds | None) -> Estimate:
    """The exact bound of values that all lie at an end of their range, or the reason why there is no interval."""
    if not len(values):
        return estimate_of(groups, method, reason="no values")
    equal = bool((values == values[0]).all())
    value = float(values[0] if equal else values.mean()) + 0.0  # never −0
    if groups.n_groups < 2:
        return estimate_of(groups, method, value, reason=ONE_GROUP)
    lowest, highest = bounds or (None, None)
    if lowest is not None and highest is not None:
        room = (1 - (1 - level) ** (1 / groups.n_groups)) * (highest - lowest)
        # Rounding leaves a cosine of equals a little beside 1.
        for end, ends in ((lowest, (lowest, lowest + room)), (highest, (highest - room, highest))):
            if (np.abs(values - end) <= GRID).all():
                return estimate_of(groups, "exact_bound", value, ends)
    what = "all values are equal" if equal else "all groups have the same mean"
    return estimate_of(groups, method, value, reason=f"{what}: there is no spread to make an interval of")
