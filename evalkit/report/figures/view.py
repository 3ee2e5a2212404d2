"""What the figures of a metric are drawn from: its methods by mean, each held against one reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.arrays import Floats
from evalkit.comparison.records import ComparedMethod, ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.figures import figure_basis
from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.tables.text import by_mean
from evalkit.report.figures.style import LONGEST_LABEL, LONGEST_NARROW, NARROW, WIDTH, MethodStyle, method_styles
from evalkit.storage.names import file_stem


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedValues:
    """Columns of values for the items that have all of them."""

    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    columns: Floats
    """``(n, columns)``."""


def join_values(columns: Sequence[tuple[ComparedMethod, str]]) -> JoinedValues:
    """Item means of several methods or metrics, for the items that have every one of them."""
    means = [method.table.item_means(metric) for method, metric in columns if metric in method.table.metrics]
    if not means or len(means) < len(columns):
        return JoinedValues(item_ids=(), groups=(), columns=np.zeros((0, len(columns))))
    by_item = [mean.by_item() for mean in means]
    groups = dict(zip(means[0].item_ids, means[0].groups, strict=True))
    common = tuple(item_id for item_id in groups if all(item_id in values for values in by_item))
    return JoinedValues(
        item_ids=common,
        groups=tuple(groups[item_id] for item_id in common),
        columns=np.array([[values[item_id] for values in by_item] for item_id in common]).reshape(-1, len(columns)),
    )


@dataclass(frozen=True, kw_only=True)
class MetricView:
    """A comparison on one metric. The reference is the baseline, or else the method with the best mean."""

    comparison: Comparison
    metric: ComparedMetric
    narrow: bool = False
    """Whether figures are for a phone: half as wide, with shorter labels."""

    @cached_property
    def methods(self) -> list[RankedMethod]:
        """From the best mean to the worst; those without a mean come last."""
        return by_mean(self.comparison, self.metric)

    @property
    def with_mean(self) -> list[RankedMethod]:
        """The methods that have a mean."""
        return [row for row in self.methods if row.mean is not None]

    @cached_property
    def styles(self) -> dict[str, MethodStyle]:
        """Method to its colour, marker and label, the same in every figure."""
        longest = LONGEST_NARROW if self.narrow else LONGEST_LABEL
        return method_styles([method.name for method in self.comparison.methods], longest)

    @property
    def width(self) -> float:
        """Inches."""
        return NARROW if self.narrow else WIDTH

    @property
    def reference(self) -> str:
        """The name of the method that the others are compared with: the baseline, or the best mean."""
        return self.comparison.baseline or self.methods[0].method

    @property
    def reference_label(self) -> str:
        """The reference with the reason why it is one."""
        reason = "baseline" if self.comparison.baseline else f"{self.metric.words[2]} mean"
        return f"{self.styles[self.reference].label} ({reason})"

    @property
    def level(self) -> str:
        """The level of all intervals."""
        return Inference.of(self.comparison.settings).level

    @property
    def alpha(self) -> float:
        """The error rate that was asked for."""
        return Inference.of(self.comparison.settings).alpha

    @property
    def stem(self) -> str:
        """The metric's name as a part of a file name."""
        return file_stem(self.metric.name)

    @property
    def basis(self) -> str:
        """What a figure's numbers rest on, in one line."""
        return figure_basis(self.comparison, self.metric)

    def pair(self, method: str, other: str | None = None) -> PairResult | None:
        """A method against another, or against the reference; None where that pair was not compared."""
        names = {method, other or self.reference}
        found = (
            pair for pair in self.comparison.pairs if pair.metric == self.metric.name and {pair.a, pair.b} == names
        )
        return next((pair.seen_from(method) for pair in found), None)

    def with_reference(self, method: str) -> JoinedValues:
        """Values of the reference and of the method on the items of their pair.

        Methods that are ranked are compared on the items that all of them have, so an item must have their values too.
        """
        ranked = [row.method for row in self.methods if row.rank_low is not None]
        names = list(dict.fromkeys([self.reference, method, *ranked]))
        methods = {found.name: found for found in self.comparison.methods}
        joined = join_values([(methods[name], self.metric.name) for name in names])
        both = joined.columns[:, [0, names.index(method)]]
        return JoinedValues(item_ids=joined.item_ids, groups=joined.groups, columns=both)
