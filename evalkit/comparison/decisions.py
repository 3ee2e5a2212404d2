"""Between joined scores and statistics: what the tests are given, and their decisions as results with sentences."""

from collections.abc import Mapping, Sequence

from evalkit.arrays import Mask
from evalkit.comparison.failures import FAILURE_RATE
from evalkit.comparison.join import Joined
from evalkit.comparison.records import ComparedMetric, PairResult
from evalkit.comparison.statements.pairs import sentence_of
from evalkit.comparison.statements.terms import Inference
from evalkit.stats.records import PairComparison
from evalkit.stats.scores import MetricScores


def metric_scores(joined: Joined, metric: ComparedMetric) -> MetricScores:
    """One metric's scores, as the statistics take them; of people's labels with the metric beside them."""
    beside = None if metric.beside is None else metric_scores(joined, metric.beside)
    scores = joined.scores(metric.name)
    return MetricScores(
        metric=metric.name,
        scores=scores,
        higher_is_better=metric.higher_is_better,
        direction_known=metric.direction_known,
        primary=metric.primary,
        margin=metric.margin,
        range=metric.range,
        is_rate=metric.is_rate,
        unranked={**(beside.unranked if beside else {}), **joined.unranked[metric.name]},
        not_run={} if beside else {method: joined.not_run(method, metric.name) for method in scores},
        assisted_by=beside,
        # Of the failure rate nothing was given: failing is what it measures. Nor is a label ever given.
        failed={}
        if metric.name == FAILURE_RATE.name or beside
        else {method: joined.failed(method) for method in scores},
        own_repeats=metric.repeated and beside is None,
        seed_labels={method: joined.seed_labels(method, metric.name) for method in scores},
    )


def pair_results(
    joined: Joined, compared: Sequence[ComparedMetric], decided: Sequence[PairComparison], inference: Inference
) -> tuple[PairResult, ...]:
    """Every pair on every metric, with its sentence and the items that it leaves out."""
    metrics = {metric.name: metric for metric in compared}
    dropped = {name: joined.dropped(name) for name in metrics}
    return tuple(
        PairResult.of(
            pair,
            excluded=_excluded(joined, pair, metrics[pair.metric], dropped),
            sentence=sentence_of(pair, metrics[pair.metric], inference),
        )
        for pair in decided
    )


def _excluded(
    joined: Joined, pair: PairComparison, metric: ComparedMetric, dropped: Mapping[str, Mask]
) -> dict[str, int]:
    """Reason to number of the items that a pair leaves out; people need not have labelled an item."""
    name = metric.name if metric.beside is None else metric.beside.name
    return joined.excluded(pair.a, pair.b, name, dropped[name])
