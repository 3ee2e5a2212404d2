"""Numbers that were recorded, held against what they follow from."""

import math
from collections.abc import Iterator

from evalkit.metrics.base import Metric
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import RunRecord
from evalkit.scoring.summaries import summarize

CLOSE = 1e-9
"""Relative difference of means that the order of summing can make."""


def is_close(computed: object, given: object) -> bool:
    """Whether two values are equal, numbers but for rounding."""
    if isinstance(computed, float) and isinstance(given, float):
        return math.isclose(computed, given, rel_tol=CLOSE, abs_tol=CLOSE)
    return computed == given


def wrong_means(record: RunRecord, table: ScoreFrame, metrics: list[Metric]) -> Iterator[str]:
    """What a record says of metrics otherwise than their per-item scores do, in a sentence each."""
    for metric in metrics:
        recorded = record.metrics[metric.name]
        found = summarize(metric, table, recorded.signature, record.level)
        for field in type(recorded).model_fields:
            computed, given = getattr(found, field), getattr(recorded, field)
            if not is_close(computed, given):
                yield f"{metric.name}, {field}: the per-item scores give {computed}, run.json says {given}"
