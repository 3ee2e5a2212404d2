"""Whether metrics order edits and methods as people do, and whether one metric does it better than another."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.metrics.base import Metric
from evalkit.stats.multiplicity import adjust
from evalkit.stats.pairwise import (
    Statistic,
    accuracy_with,
    pairwise_accuracy,
    permute_both,
    soft_accuracy_with,
    soft_pairwise_accuracy,
)
from evalkit.validity.records import Measure, MetricContrast, PairwiseAgreement
from evalkit.validity.trial import Trial


def pairwise_agreement(metric: Metric, trial: Trial) -> PairwiseAgreement | None:
    """Of a metric with people; None where they did not label edits of two methods."""
    people = _people(trial)
    if people is None:
        return None
    names, theirs = people
    ours = _values(metric, trial, names)
    kept = _complete(ours, theirs)
    agreement = PairwiseAgreement(
        truth=trial.people or "",
        n_systems=len(names),
        n_items=int(kept.sum()),
        n_groups=trial.groups.where(kept).n_groups,
    )
    if not kept.any():
        return replace(agreement, reason="no item has the metric and a label of every method")
    groups, level, seed = trial.groups.where(kept), trial.level, trial.seed
    found = pairwise_accuracy(ours[kept], theirs[kept], groups, level=level, seed=seed)
    soft = soft_pairwise_accuracy(ours[kept], theirs[kept], groups, level=level, seed=seed)
    return replace(
        agreement,
        accuracy=found.accuracy.value,
        accuracy_low=found.accuracy.low,
        accuracy_high=found.accuracy.high,
        threshold=found.threshold,
        n_pairs=found.n_pairs,
        n_ties=found.n_ties,
        soft=soft.value,
        soft_low=soft.low,
        soft_high=soft.high,
        reason=found.accuracy.reason or soft.reason,
    )


def contrasts_of(metrics: Sequence[Metric], trial: Trial) -> tuple[MetricContrast, ...]:
    """Every two metrics on the items that both have; p-values are corrected (Holm), measure by measure."""
    people = _people(trial)
    if people is None:
        return ()
    names, theirs = people
    found: list[MetricContrast] = []
    for first, second in combinations(metrics, 2):
        one, other = (_values(metric, trial, names) for metric in (first, second))
        kept = _complete(one, theirs) & _complete(other, theirs)
        groups = trial.groups.where(kept)
        if groups.n_groups < 2:
            continue
        measures: dict[Measure, Statistic] = {
            "pairwise accuracy": accuracy_with(theirs[kept]),
            "soft pairwise accuracy": soft_accuracy_with(theirs[kept], groups, trial.seed),
        }
        for measure, statistic in measures.items():
            found.append(
                MetricContrast(
                    truth=trial.people or "",
                    first=first.name,
                    second=second.name,
                    measure=measure,
                    difference=statistic(one[kept]) - statistic(other[kept]),
                    p_value=permute_both(one[kept], other[kept], groups, statistic, seed=trial.seed),
                )
            )
    return tuple(_corrected(found))


def _corrected(found: Sequence[MetricContrast]) -> list[MetricContrast]:
    corrected = list(found)
    for measure in dict.fromkeys(contrast.measure for contrast in found):
        numbers = [number for number, contrast in enumerate(found) if contrast.measure == measure]
        for number, p_value in zip(numbers, adjust([found[n].p_value for n in numbers]), strict=True):
            corrected[number] = replace(found[number], adjusted_p_value=p_value)
    return corrected


def _people(trial: Trial) -> tuple[list[str], Floats] | None:
    """The methods that people labelled, two or more, and ``(n, methods)`` labels."""
    columns = trial.truths.get(trial.people or "", {})
    names = [name for name in trial.systems.methods if name in columns]
    return None if len(names) < 2 else (names, np.stack([columns[name] for name in names], axis=1))


def _values(metric: Metric, trial: Trial, names: Sequence[str]) -> Floats:
    """``(n, methods)``, more is better."""
    sign = 1.0 if metric.higher_is_better else -1.0
    return sign * np.stack([trial.values(name, metric.name) for name in names], axis=1)


def _complete(ours: Floats, theirs: Floats) -> Mask:
    return np.logical_not(np.isnan(ours).any(axis=1) | np.isnan(theirs).any(axis=1))
