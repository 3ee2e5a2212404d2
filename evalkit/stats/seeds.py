"""Seeds against items: whether running every edit again or finding new images makes a difference clearer."""

import math
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import check_level


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Where the spread of paired differences comes from (Miller 2024, arXiv 2411.00640)."""

    items: float
    """Variance of the items' true differences, ω²; never negative."""
    seeds_a: float
    """Variance between seeds within an item, of the first method."""
    seeds_b: float
    """Of the second."""

    def deviation(self, seeds: int) -> float:
        """Standard deviation of an item's difference, so many seeds averaged: ``√(ω² + (σ_a² + σ_b²)/K)``."""
        return math.sqrt(self.items + (self.seeds_a + self.seeds_b) / seeds)

    @property
    def enough_seeds(self) -> int | None:
        """Seeds beyond which only new images help: the least K with ``(σ_a² + σ_b²)/K ≤ ω²/4``; None for ω = 0.

        >>> VarianceComponents(items=4.0, seeds_a=2.0, seeds_b=1.0).enough_seeds
        3
        """
        return max(1, math.ceil(4 * (self.seeds_a + self.seeds_b) / self.items - 1e-9)) if self.items else None


def variance_components(values_a: Floats, values_b: Floats) -> VarianceComponents | None:
    """Split the spread of paired differences into items and seeds.

    Args:
        values_a: ``(n, seeds)`` scores of the first method.
        values_b: ``(n, seeds)`` of the second, not necessarily as many seeds.

    Returns:
        None for fewer than two items, or fewer than two seeds of either method.

    Raises:
        OptionError: The items differ in number, or a value is not finite.
    """
    values_a, values_b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if values_a.ndim != 2 or values_b.ndim != 2 or len(values_a) != len(values_b):
        raise OptionError(f"Two tables of the same items by seeds are needed; got {values_a.shape}, {values_b.shape}.")
    if not (np.isfinite(values_a).all() and np.isfinite(values_b).all()):
        raise OptionError("Scores must be finite: leave undefined items out, with their reason.")
    if len(values_a) < 2 or min(values_a.shape[1], values_b.shape[1]) < 2:
        return None
    seeds = [float(values.var(axis=1, ddof=1).mean()) for values in (values_a, values_b)]
    total = float((values_b.mean(axis=1) - values_a.mean(axis=1)).var(ddof=1))
    items = total - seeds[0] / values_a.shape[1] - seeds[1] / values_b.shape[1]
    return VarianceComponents(items=max(0.0, items), seeds_a=seeds[0], seeds_b=seeds[1])


def fixed_items_interval(values_a: Floats, values_b: Floats, *, level: float = 0.95) -> tuple[float, float] | None:
    """Ends of the interval of the mean difference b − a on exactly these items, uncertain only through the seeds.

    ``SE² = Σ_i (σ²_ia/K_ia + σ²_ib/K_ib) / n²``, with as many degrees of freedom as there are repeats; an item that was
    run once takes the method's mean variance over the others. It answers "these items, new seeds"; all else in this
    library answers "new items like these".

    Args:
        values_a: ``(n, seeds)`` scores of the first method; NaN where an item has fewer seeds, but at least one.
        values_b: ``(n, seeds)`` of the second.
        level: Coverage, in (0, 1).

    Returns:
        None where a method was never run twice on an item: the spread between seeds is then unknown.

    Raises:
        OptionError: The items differ in number, or an item has no score.

    >>> values = np.array([[0.1, 0.3], [0.2, 0.2]])
    >>> low, high = fixed_items_interval(values, values + 0.5)
    >>> round(low + high, 12)
    1.0
    """
    from scipy.special import stdtrit

    check_level(level)
    means, variance, repeats = [], 0.0, []
    for values in (np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)):
        counts = np.isfinite(values).sum(axis=1)
        if not len(values) or (counts == 0).any():
            raise OptionError("Every item needs a score with at least one seed.")
        means.append(np.nansum(values, axis=1) / counts)
        squares = np.nansum(np.square(values - means[-1][:, None]), axis=1)
        again = counts > 1
        repeats.append(int((counts - 1).sum()))
        if again.any():
            spread = np.where(again, squares / np.maximum(counts - 1, 1), (squares[again] / (counts[again] - 1)).mean())
            variance += float((spread / counts).sum()) / len(values) ** 2
    if len(means[0]) != len(means[1]):
        raise OptionError(f"Both methods need the same items; got {len(means[0])} and {len(means[1])}.")
    if not all(repeats):
        return None
    difference = float((means[1] - means[0]).mean())
    half = float(stdtrit(sum(repeats), 0.5 + level / 2)) * math.sqrt(variance)
    return difference - half, difference + half
