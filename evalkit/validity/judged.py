"""What a judge is worth beyond any metric: whether it agrees with itself, and what the form of a picture does to it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from evalkit.arrays import Floats
from evalkit.edits.item import EditItem
from evalkit.formatting import abridged, counted, series
from evalkit.images.decode import image_size
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.judgement import Judgement
from evalkit.judges.reading import UNREADABLE
from evalkit.judges.rubric import Rubric
from evalkit.metrics.base import REASONS, Metric
from evalkit.scores.run import ScoredRun
from evalkit.stats.clusters import Groups
from evalkit.stats.intervals import Estimate, group_t_interval, group_wilson_interval
from evalkit.validity.records import Drift, JudgeWorth, Rate
from evalkit.validity.trial import Trial

SMALLEST = 16
"""Pixels of the longer side, below which pictures are not made smaller."""
_LONGEST = 80
"""Letters of an answer that is quoted."""


def other_forms(options: JudgeOptions, items: Sequence[EditItem]) -> Iterator[JudgeOptions]:
    """The judge as it would be asked with pictures in the other format, and with pictures half as large."""
    settings = options.settings
    other = "jpeg" if settings.image_format == "png" else "png"
    sizes = [max(image_size(item.edited_image)) for item in items if item.edited_image]
    half = min(settings.image_size, max(sizes, default=0)) // 2
    forms: list[dict[str, Any]] = [{"image_format": other}, *([{"image_size": half}] if half >= SMALLEST else [])]
    for changed in forms:
        yield replace(options, settings=settings.model_copy(update=changed))


def worth_of(metric: Metric, trial: Trial, forms: Mapping[str, ScoredRun]) -> JudgeWorth:
    """What a judge is worth on one of its metrics.

    Args:
        metric: Which.
        trial: With answers about every system.
        forms: Runs of the true edits with pictures in other forms, by how these were sent.
    """
    rubric, _, score = metric.name.partition(":")
    every = [each for run in trial.runs.values() for each in run.judgements if each.rubric == rubric]
    tables = [_table(trial, run.judgements, rubric, score) for run in trial.runs.values()]
    differences = np.stack([np.abs(first - second) for table in tables for first, second in combinations(table.T, 2)]
                           or [np.full(len(trial.items), np.nan)])  # fmt: skip
    true = trial.values(trial.systems.true.name, metric.name)
    known = differences[~np.isnan(differences)]
    return JudgeWorth(
        metric=metric.name,
        repeats=max((each.repeat + 1 for each in every), default=0),
        n_answers=len(every),
        n_unread=sum(each.scores is None for each in every),
        differing=rate_of(_mean(np.where(np.isnan(differences), np.nan, differences > 0)), trial),
        distance=float(known.mean()) if len(known) else None,
        reversing=rate_of(_mean(_reversed(tables)), trial),
        drifts=tuple(
            _drift(image, _mean(_table(trial, run.judgements, rubric, score).T) - true, trial, metric)
            for image, run in forms.items()
        ),
    )


def unreadable(rubrics: Sequence[Rubric], trial: Trial) -> Iterator[str]:
    """That no answer to a rubric has scores, over all edits, and why."""
    for rubric in rubrics:
        every = [each for run in trial.runs.values() for each in run.judgements if each.rubric == rubric.name]
        reasons = Counter(each.reason or UNREADABLE for each in every if each.scores is None)
        if every and reasons.total() == len(every):
            why = series([f"{n:,} because {REASONS[reason]}" for reason, n in reasons.items()], "and")
            words = abridged(every[0].text, _LONGEST) if every[0].text else "nothing"
            yield (
                f"none of {counted(len(every), 'answer')} to the rubric {rubric.name} has scores: {why}; the first was "
                f"'{words}'"
            )


def _table(trial: Trial, judgements: Sequence[Judgement], rubric: str, score: str) -> Floats:
    """``(n, repeats)`` scores of a system's edits, NaN where an answer has none."""
    place = {item.item_id: number for number, item in enumerate(trial.items)}
    own = [each for each in judgements if each.rubric == rubric and each.item_id in place]
    table = np.full((len(place), 1 + max((each.repeat for each in own), default=0)), np.nan)
    for each in own:
        if each.scores is not None:
            table[place[each.item_id], each.repeat] = each.scores[score]
    return table


def _reversed(tables: Sequence[Floats]) -> Floats:
    """``(comparisons, n)``: 1 where two answers rank an item's two edits in opposite ways, NaN where one ranks none."""
    found = [np.full(len(tables[0]), np.nan)]
    for one, two in combinations(tables, 2):
        if one.shape != two.shape:
            continue
        for first, second in combinations(np.sign(one - two).T, 2):
            product = first * second
            found.append(np.where(np.isnan(product) | (product == 0), np.nan, product < 0))
    return np.stack(found)


def _mean(rows: Floats) -> Floats:
    """``(rows, n)`` to the mean of each column's numbers, NaN where it has none."""
    counts = (~np.isnan(rows)).sum(axis=0)
    return np.where(counts > 0, np.nansum(rows, axis=0) / np.maximum(counts, 1), np.nan)


def rate_of(values: Floats, trial: Trial, bounds: tuple[float, float] | None = None) -> Rate:
    """The mean of ``(n,)`` values, NaN where an item has none, with its interval by group; without bounds a rate."""
    known = ~np.isnan(values)
    if not known.any():
        return Rate(value=None, ci_low=None, ci_high=None, n_items=0, reason="no item has two answers to compare")
    groups: Groups = trial.groups.where(known)
    found: Estimate = (
        group_wilson_interval(values[known], groups, level=trial.level)
        if bounds is None
        else group_t_interval(values[known], groups, level=trial.level, bounds=bounds)
    )
    return Rate(value=found.value, ci_low=found.low, ci_high=found.high, n_items=int(known.sum()), reason=found.reason)


def _drift(image: str, shifts: Floats, trial: Trial, metric: Metric) -> Drift:
    span = metric.highest - metric.lowest
    known = shifts[~np.isnan(shifts)]
    return Drift(
        image=image,
        shift=rate_of(shifts, trial, (-span, span)),
        distance=float(np.abs(known).mean()) if len(known) else None,
    )
