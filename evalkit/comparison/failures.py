"""Edits that failed: what they score where methods are compared, and how often each method fails, as a metric."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.comparison.load import Method
from evalkit.comparison.records import ComparedMetric
from evalkit.formatting import format_score
from evalkit.metrics.base import score_of_failed
from evalkit.scores.frame import NO_EDIT, ScoreFrame

FAILURE_RATE = ComparedMetric(
    name="failure_rate",
    higher_is_better=False,
    family="unknown",
    primary=False,
    signature=None,
    margin=None,
    is_rate=True,
    range=(0.0, 1.0),
)
"""The share of a method's edits that failed."""


def with_failures_scored(
    methods: Sequence[Method], metrics: Sequence[ComparedMetric]
) -> tuple[list[Method], tuple[ComparedMetric, ...], list[str]]:
    """The methods with one score for failed edits on each metric, and with the failure rate where any has failed.

    A run alone cannot know what the methods that it will be compared with attain: whatever it gave its failed edits,
    they score here the worse of the worst that any of these methods attained and of what an edit without merit scores.
    In the tables of other tools a blank cell is no failure.

    Args:
        methods: All that are compared.
        metrics: On which.

    Returns:
        The methods, the metrics, and what a reader must know of it.
    """
    failed = {method.name: _failed(method.table, metrics) for method in methods}
    if not any(rows.any() for rows in failed.values()):
        return list(methods), tuple(metrics), []
    tables = {method.name: method.table for method in methods}
    notes = []
    for metric in metrics:
        attained = [table.column(metric.name)[table.is_ok()] for table in tables.values()]
        score = score_of_failed(
            np.concatenate(attained), higher_is_better=metric.higher_is_better, neutral=metric.neutral
        )
        if score is None:
            continue
        given = {name: table.is_failed(metric.name) for name, table in tables.items()}
        tables = {name: table.with_given(metric.name, given[name], score) for name, table in tables.items()}
        if any(rows.any() for rows in given.values()):
            notes.append(_note(metric, score, np.concatenate(attained)))
    rate = () if any(metric.name == FAILURE_RATE.name for metric in metrics) else (FAILURE_RATE,)
    if rate:
        tables = {name: _with_rate(table, failed[name]) for name, table in tables.items()}
    return [replace(method, table=tables[method.name]) for method in methods], (*metrics, *rate), notes


def _failed(table: ScoreFrame, metrics: Sequence[ComparedMetric]) -> Mask:
    """``(rows,)``: edits that a method declared failed, or that are missing and were scored all the same."""
    failed = table.has_status("failed")
    for metric in metrics:
        failed = failed | table.is_failed(metric.name)
    return failed


def _with_rate(table: ScoreFrame, failed: Mask) -> ScoreFrame:
    """The scores with a column of ones and zeros: whether the edit failed."""
    known = table.is_ok() | failed
    values: Floats = np.where(known, failed.astype(np.float64), np.nan)
    return table.with_metric(FAILURE_RATE.name, values, [None if there else NO_EDIT for there in known])


def _note(metric: ComparedMetric, score: float, attained: Floats) -> str:
    what = "the worst that any edit attained" if score in attained else "as an edit without merit"
    return f"failed edits score {format_score(score)} on {metric.name}, {what}"
