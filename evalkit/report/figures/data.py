"""What figures are drawn from: values joined by item, and every pair seen from one reference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMethod, ComparedMetric, Comparison, PairResult, RankedMethod

Standing = Literal["better", "worse", "equivalent", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedValues:
    """Columns of values for the items that have all of them."""

    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    columns: Floats
    """``(n, columns)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """A method against a reference: a pair, turned so that the method comes second."""

    method: str
    reference: str
    pair: PairResult
    difference: float | None
    """``method − reference``."""
    low: float | None
    high: float | None
    win: int
    """Items on which the method is better."""
    loss: int
    standing: Standing

    @property
    def win_rate(self) -> float | None:
        """Share of items on which the method is better, ties counted half, in [0, 1]."""
        n = self.win + self.pair.tie + self.loss
        return (self.win + self.pair.tie / 2) / n if n else None


def versus(comparison: Comparison, metric: str, method: str, reference: str) -> Versus | None:
    """Two methods on a metric, or None where that pair was not compared."""
    for pair in comparison.pairs:
        if pair.metric == metric and {pair.a, pair.b} == {method, reference}:
            return _turned(pair, method, reference)
    return None


def _turned(pair: PairResult, method: str, reference: str) -> Versus:
    straight = pair.b == method
    sign = 1 if straight else -1
    ends = sorted(sign * end for end in (pair.ci_low, pair.ci_high) if end is not None)
    low, high = ends if len(ends) == 2 else (None, None)
    standing: Standing = "inconclusive"
    if pair.verdict == "equivalent":
        standing = "equivalent"
    elif pair.verdict != "inconclusive":
        standing = "better" if (pair.verdict == "b_better") == straight else "worse"
    return Versus(
        method=method,
        reference=reference,
        pair=pair,
        difference=None if pair.difference is None else sign * pair.difference,
        low=low,
        high=high,
        win=pair.win if straight else pair.loss,
        loss=pair.loss if straight else pair.win,
        standing=standing,
    )


def ordered(comparison: Comparison, metric: ComparedMetric) -> list[RankedMethod]:
    """A metric's methods from the best mean to the worst; those without a mean come last."""
    rows = [row for row in comparison.ranking if row.metric == metric.name]
    sign = -1 if metric.higher_is_better else 1
    return sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0)))


def reference_of(comparison: Comparison, metric: ComparedMetric) -> str:
    """What the others are held against: the baseline, or else the method with the best mean."""
    return comparison.baseline or ordered(comparison, metric)[0].method


def reference_label(comparison: Comparison, label: str) -> str:
    """The reference with the reason why it is one."""
    return f"{label} ({'baseline' if comparison.baseline else 'best mean'})"


def joined(columns: list[tuple[ComparedMethod, str]]) -> JoinedValues:
    """Values of several methods or metrics, for the items that have every one of them."""
    means = [method.table.item_means(metric) for method, metric in columns if metric in method.table.metrics]
    if not means or len(means) < len(columns):
        return JoinedValues(item_ids=(), groups=(), columns=np.zeros((0, len(columns))))
    by_item = [dict(zip(mean.item_ids, mean.values, strict=True)) for mean in means]
    common = [item_id for item_id in means[0].item_ids if all(item_id in values for values in by_item)]
    groups = dict(zip(means[0].item_ids, means[0].groups, strict=True))
    return JoinedValues(
        item_ids=tuple(common),
        groups=tuple(groups[item_id] for item_id in common),
        columns=np.array([[values[item_id] for values in by_item] for item_id in common]).reshape(-1, len(columns)),
    )


def paired(comparison: Comparison, metric: str, method: str, reference: str) -> JoinedValues:
    """Values of the reference and of the method on the items of their pair.

    Methods that are ranked are compared on the items that all of them have, so an item must have their values too.
    """
    ranked = [row.method for row in comparison.ranking if row.metric == metric and row.rank_low is not None]
    names = list(dict.fromkeys([reference, method, *ranked]))
    together = joined([(method_named(comparison, name), metric) for name in names])
    both = together.columns[:, [0, names.index(method)]]
    return JoinedValues(item_ids=together.item_ids, groups=together.groups, columns=both)


def method_named(comparison: Comparison, name: str) -> ComparedMethod:
    """The method of that name."""
    return next(method for method in comparison.methods if method.name == name)


def sizes(comparison: Comparison, metric: str) -> tuple[int, int]:
    """Items and groups behind a metric: those of its largest pair."""
    pairs = [pair for pair in comparison.pairs if pair.metric == metric]
    return max(((pair.n_items, pair.n_groups) for pair in pairs), default=(0, 0))
