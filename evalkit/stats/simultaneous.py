"""Intervals for many mean differences that hold all at once, by the bootstrap of the largest |t| over groups."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.errors import OptionError
from evalkit.stats.groups import Floats, Groups, group_error
from evalkit.stats.resample import studentized_means


@dataclass(frozen=True, slots=True, kw_only=True)
class Simultaneous:
    """Means of several columns with intervals and p-values adjusted for all of them."""

    means: Floats
    """``(c,)``."""
    lows: Floats
    highs: Floats
    """``(c,)``; infinite where there is no interval."""
    p_values: Floats
    """``(c,)`` single-step adjusted, in (0, 1]; at most α exactly where the interval excludes 0."""
    critical_value: float | None
    """None where no column has a usable spread."""
    thin: npt.NDArray[np.bool_]
    """``(c,)`` columns that differ in too few groups for the bootstrap to bound them."""


def simultaneous_intervals(
    columns: Floats, groups: Groups, *, alpha: float, n_resamples: int, seed: int
) -> Simultaneous:
    """Means ± c·SE with c the ⌊α(B+1)⌋-th largest of the B resamples' ``max_columns |x̄* − x̄|/SE*`` (bootstrap-t).

    A column that is the same on all items has no spread to resample; it is tested by flipping the signs of groups,
    Bonferroni-corrected. A column that differs on so few groups that many resamples miss them all cannot be bounded; it
    is set apart, unbounded, so that it does not unbound the others.

    Args:
        columns: ``(n, c)``, finite.
        groups: Of the same ``n`` items.
        alpha: Probability that any interval misses its mean.
        n_resamples: Number of resamples B.
        seed: Determines them.

    Raises:
        OptionError: There are too few resamples for this alpha.
    """
    rank = int(alpha * (n_resamples + 1) + 1e-9)
    if rank < 1:
        raise OptionError(f"An error rate of {alpha:g} needs more than {n_resamples} resamples.")
    n, count = columns.shape
    means = columns.mean(axis=0) if n else np.zeros(count)
    p_values, half, thin = np.ones(count), np.full(count, np.inf), np.zeros(count, dtype=np.bool_)
    critical = None
    if groups.n_groups > 1 and count:
        errors = np.array([group_error(column, groups) for column in columns.T], dtype=np.float64)
        constant = errors == 0
        p_values[constant] = np.where(means[constant] == 0, 1.0, min(1.0, count * 2.0 ** (1 - groups.n_groups)))
        half[constant & ((p_values <= alpha) | (means == 0))] = 0.0
        # Were it alone, a column with more unbounded resamples than this would still be without an interval.
        thin = ~constant & (_share_without_spread(columns, groups) > alpha / (2 * count))
        usable = ~constant & ~thin
        if usable.any():
            residuals = groups.sums(columns[:, usable] - means[usable])
            chunks = studentized_means(residuals, groups.sizes, n_resamples=n_resamples, seed=seed)
            largest = np.sort(np.concatenate([np.abs(t).max(axis=1) for t in chunks]))
            critical = float(largest[-rank]) if np.isfinite(largest[-rank]) else None
            p_values[usable] = _adjusted(np.abs(means[usable]) / errors[usable], largest)
            half[usable] = largest[-rank] * errors[usable]
    return Simultaneous(
        means=means, lows=means - half, highs=means + half, p_values=p_values, critical_value=critical, thin=thin
    )


def _share_without_spread(columns: Floats, groups: Groups) -> Floats:
    """Probability for each column that a resample draws only groups of one and the same mean."""
    shares = np.zeros(columns.shape[1])
    for number, sums in enumerate(groups.sums(columns).T):
        _, counts = np.unique(sums / groups.sizes, return_counts=True)
        shares[number] = ((counts / groups.n_groups) ** groups.n_groups).sum()
    return shares


def _adjusted(statistics: Floats, largest: Floats) -> Floats:
    """Share of resamples whose largest |t| (sorted) reaches each statistic, the observed one counted in."""
    reached = len(largest) - np.searchsorted(largest, statistics)
    return np.asarray((1 + reached) / (1 + len(largest)), dtype=np.float64)
