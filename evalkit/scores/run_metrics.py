"""The metrics of a run: those that are registered, and those of the rubrics that its record holds."""

from evalkit.judges.metrics import metrics_of
from evalkit.metrics.base import METRICS, Metric
from evalkit.scores.run import RunRecord


def metrics_in(record: RunRecord) -> dict[str, Metric]:
    """The metrics of a run that are known here, by name."""
    judged = {metric.name: metric for judge in record.judges.values() for metric in metrics_of(judge.rubric)}
    known = set(METRICS.names())
    return {
        name: judged[name] if name in judged else METRICS.get(name)
        for name in record.metrics
        if name in judged or name in known
    }
