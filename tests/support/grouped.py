"""Items in TEdBench's groups, scores of one metric, and brute force over all permutations of signs."""

from itertools import product

import numpy as np

from evalkit.stats.compare import compare_methods
from evalkit.stats.records import PairComparison
from evalkit.stats.scores import InferenceOptions, MetricScores

TEDBENCH_GROUP_SIZES = (1,) * 15 + (2,) * 6 + (3,) * 7 + (4,) * 4 + (5,) * 6 + (6,)
"""Items per source picture; bird.png and bird.jpeg are the same picture, so 40 files make 39 groups."""


def tedbench_groups() -> list[int]:
    """100 labels for the 39 pictures."""
    return np.repeat(np.arange(len(TEDBENCH_GROUP_SIZES)), TEDBENCH_GROUP_SIZES).tolist()


def metric_scores(values, *, higher_is_better=True, **fields) -> MetricScores:
    """Scores on a metric: method to ``(n,)`` or ``(n, seeds)`` values, None where there is none."""
    tables = {name: np.asarray(column, dtype=np.float64) for name, column in values.items()}
    tables = {name: table[:, None] if table.ndim == 1 else table for name, table in tables.items()}
    return MetricScores(metric="score", scores=tables, higher_is_better=higher_is_better, **fields)


def compare_two(a, b, groups, *, higher_is_better=True, margin=None, **options) -> PairComparison:
    """Method b against method a by the pipeline that compares any number."""
    metric = metric_scores({"a": a, "b": b}, higher_is_better=higher_is_better, margin=margin)
    return compare_methods([metric], groups, InferenceOptions(**options))[0]


def group_differences(rng, groups, correlation, shape="normal"):
    """Differences of mean 0 and variance 1 whose items correlate within groups."""
    labels = np.asarray(groups)

    def draw(size):
        return rng.normal(size=size) if shape == "normal" else rng.exponential(size=size) - 1

    between, within = draw(labels.max() + 1)[labels], draw(len(labels))
    return np.sqrt(correlation) * between + np.sqrt(1 - correlation) * within


def all_permutations(differences, groups):
    """Sums of the differences under every assignment of signs to groups, the observed one first."""
    labels = list(dict.fromkeys(groups))
    totals = np.array([sum(d for d, g in zip(differences, groups, strict=True) if g == label) for label in labels])
    return np.array([np.dot(signs, totals) for signs in product((1, -1), repeat=len(labels))])
