"""Scores item by item, with a reason for each missing value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evalkit.data.item import Status
from evalkit.stats.intervals import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """What was scored for one item and seed."""

    item_id: str
    group: str
    seed: int | None = None
    edit_type: str | None = None
    status: Status = "ok"
    values: Mapping[str, float | None] = field(default_factory=dict)
    """Metric name to value; None where there is a reason."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Metric name to the reason why its value is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemMeans:
    """One metric's values, averaged over the seeds of each item; undefined items are left out and counted."""

    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: Floats
    """``(n,)``."""
    undefined: Mapping[str, int]
    """Reason to number of rows without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Item × metric."""

    metrics: tuple[str, ...]
    rows: tuple[ItemScores, ...]
    """One per item and seed."""

    def item_means(self, metric: str) -> ItemMeans:
        """A metric's value per item: the mean over the seeds for which it is defined."""
        by_item: dict[str, list[float]] = {}
        groups: dict[str, str] = {}
        undefined: dict[str, int] = {}
        for row in self.rows:
            value = row.values.get(metric)
            if value is None:
                reason = row.reasons[metric]
                undefined[reason] = undefined.get(reason, 0) + 1
                continue
            by_item.setdefault(row.item_id, []).append(value)
            groups[row.item_id] = row.group
        return ItemMeans(
            item_ids=tuple(by_item),
            groups=tuple(groups[item_id] for item_id in by_item),
            values=np.array([np.mean(values) for values in by_item.values()], dtype=np.float64),
            undefined=undefined,
        )
