"""Each method's mean, and the set of ranks that it may have."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.comparison.join import Joined, MetricScores
from evalkit.comparison.options import ComparisonOptions
from evalkit.comparison.records import ComparedMetric, RankedMethod
from evalkit.stats.intervals import Interval, group_t_interval, group_wilson_interval
from evalkit.stats.paired import item_means
from evalkit.stats.ranking import rank_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One metric's ranking, best first, those without a rank last."""

    methods: tuple[RankedMethod, ...]
    cliques: tuple[tuple[str, ...], ...]
    n_items: int
    """Items that all ranked methods have a value for."""


def rank_methods(joined: Joined, scores: MetricScores, metric: ComparedMetric, plan: ComparisonOptions) -> Ranked:
    """Rank the methods that were run on every item, on the items for which all of these have a value.

    A method that was not run on some items is shown with its mean and not ranked, and so is one without any value.
    """
    names, values = list(scores.tables), scores.tables
    unranked = joined.unranked[metric.name]
    eligible = [name for name in names if name not in unranked]
    if len(eligible) < 2:
        alone = "there is no other complete method to be ranked against"
        return Ranked(
            methods=tuple(_unranked(joined, name, metric, scores, unranked.get(name, alone), plan) for name in names),
            cliques=(),
            n_items=0,
        )
    ranking = rank_sets(
        {name: values[name] for name in eligible},
        joined.groups,
        higher_is_better=metric.higher_is_better,
        alpha=plan.alpha,
        n_resamples=plan.n_resamples,
        seed=plan.seed,
        grid=scores.grid,
    )
    kept = np.ones(len(joined.items), dtype=np.bool_)
    kept[list(ranking.left_out)] = False
    placed = []
    for place in ranking.methods:
        interval = _interval(joined, metric, values[place.method], scores.grid, kept, plan)
        ranked = ranking.reason is None
        placed.append(
            RankedMethod(
                metric=metric.name,
                method=place.method,
                mean=interval.mean,
                ci_low=interval.low,
                ci_high=interval.high,
                rank_low=place.rank_low if ranked else None,
                rank_high=place.rank_high if ranked else None,
                tied_with_best=ranked and place.rank_low == 1,
                reason=ranking.reason,
            )
        )
    rest = [_unranked(joined, name, metric, scores, reason, plan) for name, reason in unranked.items()]
    return Ranked(
        methods=(*placed, *rest), cliques=ranking.cliques if ranking.reason is None else (), n_items=ranking.n_items
    )


def _unranked(
    joined: Joined, name: str, metric: ComparedMetric, scores: MetricScores, reason: str, plan: ComparisonOptions
) -> RankedMethod:
    every = np.ones(len(joined.items), dtype=np.bool_)
    interval = _interval(joined, metric, scores.tables[name], scores.grid, every, plan)
    return RankedMethod(
        metric=metric.name,
        method=name,
        mean=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        rank_low=None,
        rank_high=None,
        tied_with_best=False,
        reason=reason,
    )


def _interval(
    joined: Joined,
    metric: ComparedMetric,
    values: Floats,
    grid: float,
    kept: npt.NDArray[np.bool_],
    plan: ComparisonOptions,
) -> Interval:
    """A method's mean with its interval, made as for its run: Wilson's for a rate, Student's for anything else."""
    means = item_means(values, grid)
    there = kept & ~np.isnan(means)
    labels = joined.groups[there]
    make = group_wilson_interval if metric.name in plan.rates else group_t_interval
    return make(means[there], labels, level=1 - plan.alpha)
