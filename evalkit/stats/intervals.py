"""Confidence intervals for a mean over items that come in groups."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.bootstrap import studentized_means
from evalkit.stats.clusters import Groups, Labels, check_level, cluster_error, finite_by_group


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
    method: str
    """How the interval was made: ``group_t``, ``group_bootstrap_t`` or ``group_wilson`` for a mean."""
    reason: str | None = None
    """Why there is no interval (or no value)."""


def group_t_interval(values: Floats, groups: Labels, *, level: float = 0.95) -> Estimate:
    """Mean over items with Student's t interval on the cluster-robust (CR1) standard error.

    ``SE² = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n²``, with G−1 degrees of freedom; with one item per group it is the
    textbook interval.

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).

    Returns:
        An interval without ends, and the reason, for fewer than two groups, where no spread can be known.

    Raises:
        OptionError: Lengths differ, a value is not finite, or the level is out of range.

    >>> group_t_interval(np.array([1.0, 2.0, 3.0]), "abc").value
    2.0
    """
    from scipy.special import stdtrit  # importing scipy.stats costs a second

    values, coded, error = _checked(values, groups, level)
    if error is None:
        return _undecided(values, coded, "group_t")
    half = float(stdtrit(coded.n_groups - 1, 0.5 + level / 2)) * error
    mean = float(values.mean())
    return estimate_of(coded, "group_t", mean, (mean - half, mean + half))


def group_bootstrap_t_interval(
    values: Floats, groups: Labels, *, level: float = 0.95, n_resamples: int = 9_999, seed: int = 0
) -> Estimate:
    """Mean over items with a bootstrap-t interval over groups, for skewed or bounded scores of few items.

    Groups are drawn with replacement and the mean is studentised in each resample with its own cluster-robust error:
    ``[x̄ − q_{1−α/2}·SE, x̄ − q_{α/2}·SE]`` with q the quantiles of ``t* = (x̄* − x̄)/SE*`` (Efron 1981; Cameron, Gelbach
    & Miller 2008).

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are drawn together.
        level: Coverage, in (0, 1).
        n_resamples: Number of bootstrap resamples.
        seed: Determines them.

    Returns:
        An interval without ends, and the reason, for fewer than two groups, or where so many resamples have no spread
        that the quantiles are unbounded.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> interval = group_bootstrap_t_interval(np.array([0.1, 0.2, 0.2, 0.3, 0.9, 0.1, 0.4, 0.2]), range(8))
    >>> interval.low < 0.3 < interval.high and interval.high - 0.3 > 0.3 - interval.low
    True
    """
    values, coded, error = _checked(values, groups, level)
    tail = int((1 - level) / 2 * (n_resamples + 1) + 1e-9)
    if tail < 1:
        raise OptionError(f"A {level:.0%} bootstrap-t interval needs more than {n_resamples} resamples.")
    if error is None:
        return _undecided(values, coded, "group_bootstrap_t")
    mean = float(values.mean())
    if error == 0:
        return estimate_of(coded, "group_bootstrap_t", mean, (mean, mean))
    residuals = coded.sums(values - mean)[:, None]
    t = np.concatenate(list(studentized_means(residuals, coded.sizes, n_resamples=n_resamples, seed=seed)))[:, 0]
    t.sort()
    low, high = mean - t[-tail] * error, mean - t[tail - 1] * error
    if not (np.isfinite(low) and np.isfinite(high)):
        reason = f"too many resamples of {coded.n_groups} groups have no spread"
        return estimate_of(coded, "group_bootstrap_t", mean, reason=reason)
    return estimate_of(coded, "group_bootstrap_t", mean, (float(low), float(high)))


def mean_interval(values: Floats, groups: Labels, *, is_rate: bool, level: float = 0.95) -> Estimate:
    """A mean over items with the interval that runs, rankings and the board give it.

    Args:
        values: ``(n,)``.
        groups: ``(n,)``; items with the same label are dependent.
        is_rate: Whether they are zeros and ones, or means of such: Wilson's interval; Student's for anything else.
        level: Coverage, in (0, 1).

    Raises:
        OptionError: As for the two intervals.
    """
    interval = group_wilson_interval if is_rate else group_t_interval
    return interval(values, groups, level=level)


def group_wilson_interval(values: Floats, groups: Labels, *, level: float = 0.95) -> Estimate:
    """Success rate with Wilson's score interval, the number of items shrunk by the design effect of the groups.

    The design effect is the cluster-robust variance over that of independent items, at least 1; where all items agree
    it cannot be estimated and every group counts as one trial.

    Args:
        values: ``(n,)`` zeros and ones, or their means over seeds, in [0, 1].
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).

    Returns:
        An interval without ends, and the reason, for fewer than two groups.

    Raises:
        OptionError: Lengths differ, a value is outside [0, 1], or the level is out of range.

    >>> interval = group_wilson_interval(np.ones(10), range(10))
    >>> round(interval.low, 4), interval.high
    (0.7225, 1.0)
    """
    values, coded, error = _checked(values, groups, level)
    if ((values < 0) | (values > 1)).any():
        raise OptionError("Success rates must lie in [0, 1].")
    if error is None:
        return _undecided(values, coded, "group_wilson")
    rate = float(values.mean())
    trials = min(len(coded), effective_trials(rate, error) or coded.n_groups)
    return estimate_of(coded, "group_wilson", rate, wilson_ends(rate, trials, level))


def effective_trials(rate: float, error: float) -> float | None:
    """Number of independent trials whose success rate would have this standard error; None if it has none."""
    return rate * (1 - rate) / error**2 if error > 0 and 0 < rate < 1 else None


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
) -> Estimate:
    """An estimate from so many items and groups; without ends where there is a reason."""
    return Estimate(
        value=value,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        n_items=len(groups),
        n_groups=groups.n_groups,
        method=method,
        reason=reason,
    )


def _checked(values: Floats, groups: Labels, level: float) -> tuple[Floats, Groups, float | None]:
    """Finite values, their coded groups and the cluster-robust error of their mean."""
    check_level(level)
    values, coded = finite_by_group(values, groups)
    return values, coded, cluster_error(values, coded)


def _undecided(values: Floats, groups: Groups, method: str) -> Estimate:
    reason = "one group only: no spread between groups can be known" if len(values) else "no values"
    return estimate_of(groups, method, float(values.mean()) if len(values) else None, reason=reason)
