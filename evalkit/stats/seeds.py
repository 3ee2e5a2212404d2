"""Seeds against items: whether running every edit again or finding new images makes a difference clearer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import check_level
from evalkit.stats.intervals import Estimate
from evalkit.stats.power import POWER, items_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Where the spread of paired differences comes from (Miller 2024, arXiv 2411.00640)."""

    items: float
    """Variance of the items' true differences, ω²; never negative."""
    seeds_a: float
    """Variance between seeds within an item, of the first method."""
    seeds_b: float
    """Of the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPlan:
    """How many items are needed with so many seeds per item."""

    seeds: int
    items: int | None
    """None where no number of items up to a billion is enough."""
    images: int | None
    """Edited images of both methods together: ``2 · seeds · items``."""
    standard_deviation: float
    """Of an item's difference, its seeds averaged: ``√(ω² + (σ_a² + σ_b²)/K)``."""


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


def plan_seeds(
    components: VarianceComponents,
    effect: float,
    *,
    seeds: Sequence[int] = (1, 2, 3, 5, 10),
    alpha: float = 0.05,
    power: float = POWER,
    design_effect: float = 1.0,
    items_per_group: float = 1.0,
) -> tuple[SeedPlan, ...]:
    """Items needed for an effect with each number of seeds: ``SE² = [ω² + (σ_a² + σ_b²)/K]/n`` (Miller 2024).

    Args:
        components: From a pilot.
        effect: Difference to find, not 0.
        seeds: Numbers of seeds per item to consider.
        alpha: As in `items_needed`, as are the others.
        power: In (α, 1).
        design_effect: Of the groups.
        items_per_group: Mean size of a group.

    Raises:
        OptionError: An argument is out of range.

    >>> plan_seeds(VarianceComponents(items=1 / 9, seeds_a=0.0, seeds_b=0.0), 0.03, seeds=[1])[0].items
    971
    """
    plans = []
    for number in seeds:
        if number < 1:
            raise OptionError(f"There must be at least one seed; got {number}.")
        deviation = math.sqrt(components.items + (components.seeds_a + components.seeds_b) / number)
        items = items_needed(
            effect,
            standard_deviation=deviation,
            alpha=alpha,
            power=power,
            design_effect=design_effect,
            items_per_group=items_per_group,
        )
        images = None if items is None else 2 * number * items
        plans.append(SeedPlan(seeds=number, items=items, images=images, standard_deviation=deviation))
    return tuple(plans)


def enough_seeds(components: VarianceComponents) -> int | None:
    """Seeds beyond which only new images help: the least K with ``(σ_a² + σ_b²)/K ≤ ω²/4``; None if items do not vary.

    >>> enough_seeds(VarianceComponents(items=4.0, seeds_a=2.0, seeds_b=1.0))
    3
    """
    if components.items == 0:
        return None
    return max(1, math.ceil(4 * (components.seeds_a + components.seeds_b) / components.items - 1e-9))


def fixed_items_interval(values_a: Floats, values_b: Floats, *, level: float = 0.95) -> Estimate:
    """The mean difference b − a on exactly these items, uncertain only through the seeds.

    ``SE² = Σ_i (σ²_ia/K_ia + σ²_ib/K_ib) / n²``, with as many degrees of freedom as there are repeats; an item that was
    run once takes the method's mean variance over the others. It answers "these items, new seeds"; all else in this
    library answers "new items like these".

    Args:
        values_a: ``(n, seeds)`` scores of the first method; NaN where an item has fewer seeds, but at least one.
        values_b: ``(n, seeds)`` of the second.
        level: Coverage, in (0, 1).

    Returns:
        An estimate without ends, and the reason, where a method was never run twice on an item.

    Raises:
        OptionError: The items differ in number, or an item has no score.

    >>> values = np.array([[0.1, 0.3], [0.2, 0.2]])
    >>> round(fixed_items_interval(values, values + 0.5).value, 12)
    0.5
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
    difference = float((means[1] - means[0]).mean())
    half = float(stdtrit(sum(repeats), 0.5 + level / 2)) * math.sqrt(variance) if all(repeats) else None
    return Estimate(
        value=difference,
        low=None if half is None else difference - half,
        high=None if half is None else difference + half,
        level=level,
        n_items=len(means[0]),
        n_groups=len(means[0]),
        method="fixed_items_t",
        reason=None if half is not None else "one seed per item: the spread between seeds is unknown",
    )
