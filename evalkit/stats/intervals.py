"""Confidence intervals for a mean over items that come in groups."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from evalkit.errors import OptionError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval, or with the reason why there is no interval."""

    mean: float | None
    """None when there is nothing to average."""
    low: float | None
    high: float | None
    n_items: int
    n_groups: int
    level: float
    method: str
    """How the interval was made: ``group_t`` or ``group_wilson``."""
    reason: str | None = None
    """Why there is no interval (or no mean)."""


def group_t_interval(values: Floats, groups: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """Mean over items with Student's t interval on the group-robust (CR1) standard error.

    ``SE² = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n²``, with G−1 degrees of freedom; with one item per group it is the
    textbook interval.

    Args:
        values: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).

    Returns:
        An interval without ends, and the reason, for fewer than two groups, where no spread can be known.

    >>> group_t_interval(np.array([1.0, 2.0, 3.0]), "abc").mean
    2.0
    """
    from scipy.special import stdtrit  # importing scipy.stats costs a second

    values, sums, sizes = _by_group(values, groups, level)
    n, n_groups = len(values), len(sums)
    if n_groups < 2:
        return _undecided(values, n_groups, level, "group_t")
    mean = float(values.mean())
    error = np.sqrt(n_groups / (n_groups - 1) * np.square(sums - sizes * mean).sum()) / n
    half = float(stdtrit(n_groups - 1, 0.5 + level / 2) * error)
    return Interval(
        mean=mean, low=mean - half, high=mean + half, n_items=n, n_groups=n_groups, level=level, method="group_t"
    )


def group_wilson_interval(values: Floats, groups: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """Success rate with Wilson's score interval, the number of items shrunk by the design effect of the groups.

    The design effect is the group-robust variance over that of independent items, at least 1; where all items agree it
    cannot be estimated and every group counts as one trial.

    Args:
        values: ``(n,)`` zeros and ones, or their means over seeds, in [0, 1].
        groups: ``(n,)``; items with the same label are dependent.
        level: Coverage, in (0, 1).

    >>> interval = group_wilson_interval(np.ones(10), range(10))
    >>> round(interval.low, 4), interval.high
    (0.7225, 1.0)
    """
    values, sums, sizes = _by_group(values, groups, level)
    n, n_groups = len(values), len(sums)
    if n_groups < 2:
        return _undecided(values, n_groups, level, "group_wilson")
    rate = float(values.mean())
    variance = rate * (1 - rate) / n
    robust = n_groups / (n_groups - 1) * np.square(sums - sizes * rate).sum() / n**2
    trials = n / max(1.0, float(robust / variance)) if variance > 0 else float(n_groups)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    return Interval(
        mean=rate,
        # At a rate of 0 or 1 the exact end is the rate itself; rounding must not put the estimate outside.
        low=min(rate, max(0.0, float(centre - half))),
        high=max(rate, min(1.0, float(centre + half))),
        n_items=n,
        n_groups=n_groups,
        level=level,
        method="group_wilson",
    )


def _by_group(values: Floats, groups: Sequence[Hashable], level: float) -> tuple[Floats, Floats, Floats]:
    """The values checked, with each group's sum and size."""
    values = np.asarray(values, dtype=np.float64)
    if not 0 < level < 1:
        raise OptionError(f"The confidence level must be between 0 and 1; got {level}.")
    if values.shape != (len(groups),):
        raise OptionError(f"Every value needs its group: got {values.size} values and {len(groups)} groups.")
    if not np.isfinite(values).all():
        raise OptionError("Values for an interval must be finite: leave undefined items out, with their reason.")
    index = {label: number for number, label in enumerate(dict.fromkeys(groups))}
    codes = np.array([index[label] for label in groups], dtype=np.intp)
    sums = np.zeros(len(index))
    sizes = np.zeros(len(index))
    np.add.at(sums, codes, values)
    np.add.at(sizes, codes, 1.0)
    return values, sums, sizes


def _undecided(values: Floats, n_groups: int, level: float, method: str) -> Interval:
    reason = "no values" if not len(values) else "one group only: no spread between groups can be known"
    mean = float(values.mean()) if len(values) else None
    return Interval(
        mean=mean,
        low=None,
        high=None,
        n_items=len(values),
        n_groups=n_groups,
        level=level,
        method=method,
        reason=reason,
    )
