"""Planning a study: what so many items can show, and how many items, images and seeds an effect needs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evalkit.arrays import Floats
from evalkit.comparison.join import join
from evalkit.comparison.load import check_comparable, load_methods
from evalkit.errors import OptionError
from evalkit.planning.records import Basis, Detectable, LabelsNeeded, Needed, SeedPlan, StudyPlan
from evalkit.registry import nearest
from evalkit.scores.columns import ColumnNames
from evalkit.scores.external import read_groups
from evalkit.scores.run import ScoredRun
from evalkit.scores.signatures import of_miniature
from evalkit.stats.clusters import Labels, code_groups
from evalkit.stats.power import (
    POWER,
    design_effect,
    equivalence_items_needed,
    groups_needed,
    intraclass_correlation,
    items_needed,
    smallest_p,
)
from evalkit.stats.prediction_powered import labels_needed
from evalkit.stats.scores import MetricScores
from evalkit.stats.seeds import VarianceComponents, variance_components

USUAL_CORRELATION = 0.5
"""Between two methods' scores of the same items, where only one method is known; the differences then vary as much as
the scores do."""
NOTEWORTHY = (0.1, 0.2, 0.3, 0.5)
"""Effects to plan for where none is named, in standard deviations of the differences."""
USUAL_ITEMS = (20, 50, 100, 200, 500, 1000)
USUAL_SEEDS = (1, 2, 3, 5, 10)


def basis_from_deviation(deviation: float, *, icc: float = 0.0, items_per_group: float = 1.0) -> Basis:
    """What is known where somebody names the standard deviation of the differences.

    Raises:
        OptionError: The deviation is not positive, the correlation not in [0, 1], or a group has less than one item.
    """
    if not (math.isfinite(deviation) and deviation > 0):
        raise OptionError(f"The standard deviation must be a positive number; got {deviation}.")
    if not 0 <= icc <= 1 or not items_per_group >= 1:
        raise OptionError(
            f"The correlation within groups must lie in [0, 1] and a group hold an item; got {icc}, {items_per_group}."
        )
    return Basis(
        standard_deviation=deviation,
        intraclass_correlation=icc,
        items_per_group=items_per_group,
        design_effect=1 + (items_per_group - 1) * icc,
        group_sizes=(items_per_group,),
    )


def basis_from_pilot(
    sources: Sequence[str | Path | ScoredRun],
    *,
    metric: str | None = None,
    correlation: float = USUAL_CORRELATION,
    columns: ColumnNames | None = None,
    groups: str | Path | None = None,
) -> Basis:
    """Measure the differences of two methods, or guess them from the scores of one.

    Args:
        sources: One or two runs, directories of runs, or tables, with one or two methods.
        metric: Which; the first that all have, if none is given.
        correlation: For one method: that of its scores with another method's; the standard deviation of differences is
            then ``s·√(2(1 − correlation))``.
        columns: Of the tables, what cannot be guessed.
        groups: A table of items and groups.

    Raises:
        OptionError: There are not one or two methods, the metric is unknown, or the correlation is not in [−1, 1).
        RunError: The runs are not comparable.
        DataError: A table cannot be read.
    """
    loaded = load_methods(sources, columns, () if metric is None else (metric,))
    methods, names = loaded.methods, [method.name for method in loaded.methods]
    if len(methods) > 2:
        raise OptionError(f"A pilot has one method or two; got {len(names)}: {', '.join(names)}. Leave some out.")
    if not -1 <= correlation < 1:
        raise OptionError(f"The correlation must lie in [−1, 1); got {correlation}.")
    shared = [name for name in methods[0].table.metrics if all(name in method.table.metrics for method in methods)]
    if not shared or (metric is not None and metric not in shared):
        near = nearest(metric or "", shared)
        raise OptionError(
            f"The pilot has no metric '{metric or ''}': expected one of {', '.join(shared)}. {near}".rstrip()
        )
    metric = metric or shared[0]
    notes = [*loaded.how_read, *loaded.warnings, *check_comparable(methods, [metric])]
    joined = join(methods, [metric], None if groups is None else read_groups(groups, columns))
    scores = MetricScores(metric=metric, scores=joined.scores(metric), higher_is_better=True)
    tables = list(scores.scores.values())
    means = scores.means.T
    if len(means) == 2:
        values, factor = means[1] - means[0], 1.0
        notes.append(f"measured on the differences {names[1]} − {names[0]} in {metric}")
    else:
        values, factor = means[0], math.sqrt(2 * (1 - correlation))
        notes.append(
            f"guessed from the scores of {names[0]} in {metric}, as if another method's correlated {correlation:g} "
            "with them: a pilot of two methods would measure it"
        )
    there = ~np.isnan(values)
    labels_of_seeds = [joined.seed_labels(name, metric) for name in scores.scores]
    measured = _measured(values[there] * factor, joined.groups[there], _components(tables, labels_of_seeds), notes)
    toys = [method.record for method in methods if method.record]
    return replace(measured, miniature=any(of_miniature(toy.metrics[metric].signature) for toy in toys))


def power(
    *pilot: str | Path | ScoredRun,
    standard_deviation: float | None = None,
    icc: float = 0.0,
    items_per_group: float = 1.0,
    metric: str | None = None,
    correlation: float = USUAL_CORRELATION,
    columns: ColumnNames | None = None,
    groups: str | Path | None = None,
    items: int | Sequence[int] = (),
    effects: float | Sequence[float] = (),
    alpha: float = 0.05,
    power: float = POWER,
    comparisons: int = 1,
    metric_correlation: float | None = None,
) -> StudyPlan:
    """How large a study must be, as ``evalkit power`` says it.

    Args:
        pilot: One or two runs, directories of runs, or tables; or none, with a standard deviation.
        standard_deviation: Of the items' differences, in the units of the scores.
        icc: With a standard deviation: the correlation within groups, in [0, 1].
        items_per_group: With a standard deviation: at least 1.
        metric: Of the pilot; the first that all have by default.
        correlation: Of one run's scores with another method's, in [−1, 1).
        columns: Of tables, what cannot be guessed.
        groups: A table of items and groups.
        items: Number of items to consider, or several; usual ones and the pilot's by default.
        effects: Difference to find, or several, in the units of the scores; fractions of the standard deviation by
            default.
        alpha: Error rate of all comparisons together, in (0, 1).
        power: Probability of finding the effect, in (alpha, 1).
        comparisons: How many pairs will be compared; alpha is divided by it.
        metric_correlation: Where labels are planned, and the standard deviation or the pilot is of labels: how these
            correlate with a metric of all items in the difference of two methods, in [−1, 1].

    Returns:
        The plan, which shows its tables when it is printed.

    Raises:
        OptionError: There is neither a pilot nor a standard deviation, or both; or an argument is out of range.
        RunError: The pilot's runs are not comparable.
        DataError: A table cannot be read.

    >>> power(standard_deviation=0.03, effects=0.01)
    <StudyPlan: 73 items to find a true difference of 0.0100>
    """
    if bool(pilot) == (standard_deviation is not None):
        raise OptionError("Give a pilot (one run or two) or a standard deviation, and not both.")
    if standard_deviation is not None:
        basis = basis_from_deviation(standard_deviation, icc=icc, items_per_group=items_per_group)
    else:
        basis = basis_from_pilot(pilot, metric=metric, correlation=correlation, columns=columns, groups=groups)
    numbers, wanted = (np.atleast_1d(values).tolist() for values in (items, effects))
    return plan_study(
        basis,
        items=numbers,
        effects=wanted,
        alpha=alpha,
        power=power,
        comparisons=comparisons,
        metric_correlation=metric_correlation,
    )


def plan_study(
    basis: Basis,
    *,
    items: Sequence[int] = (),
    effects: Sequence[float] = (),
    alpha: float = 0.05,
    power: float = POWER,
    comparisons: int = 1,
    metric_correlation: float | None = None,
) -> StudyPlan:
    """What each number of items can show, and what each effect needs.

    Args:
        basis: What is known about the differences.
        items: Numbers of items to consider; usual ones and the pilot's, if none is given.
        effects: Differences to find, in the units of the scores; fractions of the standard deviation, if none is given.
        alpha: Error rate of the family.
        power: Probability of finding the effect, in (alpha, 1).
        comparisons: Size of the family; alpha is divided by it.
        metric_correlation: Of labels with a metric, where labels are planned.

    Raises:
        OptionError: An argument is out of range.
    """
    if comparisons < 1:
        raise OptionError(f"There must be at least one comparison; got {comparisons}.")
    if metric_correlation is not None and not -1 <= metric_correlation <= 1:
        raise OptionError(f"The correlation of labels with the metric must lie in [−1, 1]; got {metric_correlation}.")
    family_alpha, alpha = alpha, alpha / comparisons
    numbers = items or sorted({*USUAL_ITEMS, *([basis.n_items] if basis.n_items else [])})
    wanted = effects or [share * basis.standard_deviation for share in NOTEWORTHY]
    needed = tuple(_needed(basis, effect, alpha, power) for effect in wanted)
    return StudyPlan(
        basis=basis,
        detectable=tuple(_detectable(basis, number, alpha, power) for number in numbers),
        needed=needed,
        metric_correlation=metric_correlation,
        labels=tuple(_labels(row, number, metric_correlation) for row in needed for number in numbers)
        if metric_correlation is not None
        else (),
        seeds=_seeds(basis, wanted[0], alpha, power),
        alpha=alpha,
        family_alpha=family_alpha,
        comparisons=comparisons,
        power=power,
        fewest_groups=groups_needed(alpha),
        fewest_items=basis.design.items_in(groups_needed(alpha)),
        named_effects=bool(effects),
    )


def _measured(values: Floats, labels: Labels, components: VarianceComponents | None, notes: Sequence[str]) -> Basis:
    if len(values) < 2 or (values == values[0]).all():
        raise OptionError(f"The pilot's {len(values)} values do not vary: no study can be planned from it.")
    coded = code_groups(labels)
    measured = intraclass_correlation(values, labels)
    icc = min(1.0, max(0.0, measured or 0.0))
    remarks = list(notes)
    if measured is None:
        remarks.append("every item is its own group, so nothing is known about correlation within groups")
    elif measured < 0:
        remarks.append(f"the correlation within groups came out as {measured:.2f}, by chance; 0 was used")
    return Basis(
        standard_deviation=float(values.std(ddof=1)),
        intraclass_correlation=icc,
        items_per_group=len(coded) / coded.n_groups,
        group_sizes=tuple(coded.sizes.tolist()),
        design_effect=design_effect(coded.sizes, icc),
        n_items=len(coded),
        n_groups=coded.n_groups,
        components=components,
        notes=tuple(remarks),
    )


def _components(tables: Sequence[Floats], labels: Sequence[tuple[str, ...] | None]) -> VarianceComponents | None:
    """Items against seeds, on the items for which both methods have every seed; by seed where these have the same."""
    if len(tables) < 2:
        return None
    paired = labels[0] is not None and labels[0] == labels[1]
    complete = ~np.isnan(np.concatenate(tables, axis=1)).any(axis=1)
    return variance_components(tables[0][complete], tables[1][complete], paired=paired)


def _detectable(basis: Basis, items: int, alpha: float, power: float) -> Detectable:
    if items < 1:
        raise OptionError(f"There must be at least one item; got {items}.")
    groups = basis.design.groups_in(items)
    effect = basis.design.detectable(groups, alpha=alpha, power=power)
    reason = None
    if effect is None and groups > 1:
        reason = f"the smallest p-value of {groups} groups is {smallest_p(groups):.2g}, above α = {alpha:.2g}"
    elif effect is None:
        reason = "two groups are the least that can be compared"
    return Detectable(items=items, groups=groups, effect=effect, reason=reason)


def _needed(basis: Basis, effect: float, alpha: float, power: float) -> Needed:
    items = _items(basis, effect, basis.standard_deviation, alpha, power)
    return Needed(
        effect=effect,
        items=items,
        groups=None if items is None else basis.design.groups_in(items),
        equivalence_items=equivalence_items_needed(
            abs(effect),
            standard_deviation=basis.standard_deviation,
            alpha=alpha,
            power=power,
            design_effect=basis.design_effect,
            group_sizes=basis.group_sizes,
        ),
    )


def _labels(row: Needed, items: int, correlation: float) -> LabelsNeeded:
    labels = None if row.items is None else labels_needed(row.items, correlation, items)
    return LabelsNeeded(effect=row.effect, items=items, labels=labels, labels_alone=row.items)


def _seeds(basis: Basis, effect: float, alpha: float, power: float) -> tuple[SeedPlan, ...]:
    """Items needed with each number of seeds: ``SE² = [ω² + σ_d²/K]/n`` (Miller 2024)."""
    if basis.components is None:
        return ()
    plans = []
    for seeds in USUAL_SEEDS:
        deviation = basis.components.deviation(seeds)
        items = _items(basis, effect, deviation, alpha, power)
        images = None if items is None else 2 * seeds * items
        plans.append(SeedPlan(seeds=seeds, items=items, images=images, standard_deviation=deviation))
    return tuple(plans)


def _items(basis: Basis, effect: float, deviation: float, alpha: float, power: float) -> int | None:
    return items_needed(
        effect,
        standard_deviation=deviation,
        alpha=alpha,
        power=power,
        design_effect=basis.design_effect,
        group_sizes=basis.group_sizes,
    )
