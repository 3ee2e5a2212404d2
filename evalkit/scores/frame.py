"""Scores item by item, with a reason for each missing value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.data.keys import Numbers, numbered
from evalkit.data.texts import Texts
from evalkit.results.item_rows import ItemRows
from evalkit.results.item_rows import ItemScores as ItemScores  # a row of the table

_IN_ORDER = 8
"""Fewer numbers than this numpy adds one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemMeans:
    """One metric's values, averaged over the seeds of each item; undefined items are left out and counted."""

    item_ids: Sequence[str]
    groups: Texts
    values: Floats
    """``(n,)``."""
    undefined: Mapping[str, int]
    """Reason to number of rows without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Item × metric."""

    metrics: tuple[str, ...]
    rows: ItemRows = field(default_factory=ItemRows)
    """One per item and seed; any sequence of rows that is given is brought into this form."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", ItemRows.of(self.rows))

    def item_means(self, metric: str) -> ItemMeans:
        """A metric's value per item: the mean over the seeds for which it is defined."""
        values, there = self.rows.values(metric)
        numbers, _ = self.rows.item_ids.numbered()
        defined = np.flatnonzero(there)
        # In the order in which items first have a value.
        items, first = numbered(numbers[defined])
        places = defined[first]
        return ItemMeans(
            item_ids=self.rows.item_ids.at(places.tolist()),
            groups=self.rows.groups.at(places.tolist()),
            values=_means(values[defined], items, len(first)),
            undefined=self._undefined(metric, there),
        )

    def n_floored(self, metric: str) -> int:
        """Rows without an edited image that have a value all the same: the metric's floor."""
        return int((self.rows.values(metric)[1] & ~self.rows.is_ok()).sum())

    def _undefined(self, metric: str, there: npt.NDArray[np.bool_]) -> dict[str, int]:
        """Reason to number of rows without a value, in the order in which they first appear."""
        numbers, reasons = self.rows.reasons(metric)
        found, first, counts = np.unique(numbers[~there], return_index=True, return_counts=True)
        undefined = {}
        for place in np.argsort(first).tolist():
            reason = reasons[found[place]]
            if reason is None:
                raise KeyError(metric)
            undefined[reason] = int(counts[place])
        return undefined


def _means(values: Floats, items: Numbers, n_items: int) -> Floats:
    """Each item's mean, to the last bit that of ``np.mean`` over its values."""
    counts = np.bincount(items, minlength=n_items)
    if counts.max(initial=0) < _IN_ORDER:
        means: Floats = np.bincount(items, weights=values, minlength=n_items) / counts
        return means
    by_item = np.split(values[np.argsort(items, kind="stable")], np.cumsum(counts)[:-1])
    return np.array([np.mean(of_item) for of_item in by_item], dtype=np.float64)
