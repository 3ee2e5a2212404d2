"""Methods joined by item: one array per method and metric, on the same items, in the same groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.compare.load import Method
from evalkit.errors import OptionError, RunError
from evalkit.results.table import ItemScores
from evalkit.stats.groups import Floats

_NOT_RUN = {"absent", "no_edited_image"}
"""Reasons that mean that a method was not run on the item, and not that the metric is undefined there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Every item that any method has, with what each method scored on it."""

    items: tuple[str, ...]
    groups: tuple[str, ...]
    """``(n,)``."""
    rows: Mapping[str, Mapping[str, Sequence[ItemScores]]]
    """Method to item to its rows, one per seed."""

    def values(self, method: str, metric: str) -> Floats:
        """``(n, seeds)``, NaN where there is no value; an item's values stand first, in the order of its rows."""
        scored = [self._values(method, metric, item) for item in self.items]
        table = np.full((len(self.items), max(1, *map(len, scored))), np.nan)
        for number, values in enumerate(scored):
            table[number, : len(values)] = values
        return table

    def reason(self, method: str, metric: str, item: str) -> str | None:
        """Why a method has no value for an item; None if it has one."""
        rows = self.rows[method].get(item, ())
        if any(row.values.get(metric) is not None for row in rows):
            return None
        return next((row.reasons[metric] for row in rows if metric in row.reasons), "absent")

    def not_run(self, method: str, metric: str) -> int:
        """Items that others have and this method was not run on."""
        return sum(self.reason(method, metric, item) in _NOT_RUN for item in self.items)

    def n_missing(self, method: str) -> int:
        """Items without an edited image of this method."""
        return sum(not any(row.status == "ok" for row in self.rows[method].get(item, ())) for item in self.items)

    def excluded(self, a: str, b: str, metric: str) -> dict[str, int]:
        """Reason to number of the items that a pair leaves out."""
        reasons = (self.reason(a, metric, item) or self.reason(b, metric, item) for item in self.items)
        return dict(Counter(reason for reason in reasons if reason))

    def _values(self, method: str, metric: str, item: str) -> list[float]:
        rows = self.rows[method].get(item, ())
        return [value for row in rows if (value := row.values.get(metric)) is not None]


def join(methods: Sequence[Method], groups: Mapping[str, str] | None = None) -> Joined:
    """Put the methods' rows side by side.

    Args:
        methods: Two or more.
        groups: Item to group, instead of what the runs and tables say.

    Raises:
        RunError: The methods have no item in common, or put one item into different groups.
        OptionError: ``groups`` lacks an item.
    """
    rows: dict[str, dict[str, list[ItemScores]]] = {method.name: {} for method in methods}
    for method in methods:
        for row in method.table.rows:
            rows[method.name].setdefault(row.item_id, []).append(row)
    items = tuple(dict.fromkeys(row.item_id for method in methods for row in method.table.rows))
    _refuse_strangers(methods, rows)
    group_of = _given(items, groups) if groups is not None else _agreed(methods)
    return Joined(items=items, groups=tuple(group_of.get(item, item) for item in items), rows=rows)


def _refuse_strangers(methods: Sequence[Method], rows: Mapping[str, Mapping[str, object]]) -> None:
    first = methods[0]
    for other in methods[1:]:
        if not rows[first.name].keys() & rows[other.name].keys():
            one, two = (next(iter(rows[method.name]), "none at all") for method in (first, other))
            raise RunError(
                f"{first.name} and {other.name} have no item in common: items are joined by their id, and got ids like "
                f"'{one}' and '{two}'. Score both on the same benchmark, or name the column of ids: --item-column NAME"
            )


def _given(items: Sequence[str], groups: Mapping[str, str]) -> Mapping[str, str]:
    lacking = [item for item in items if item not in groups]
    if lacking:
        raise OptionError(
            f"The table of groups lacks {len(lacking)} of {len(items)} items, '{lacking[0]}' first: expected a group "
            "for each."
        )
    return groups


def _agreed(methods: Sequence[Method]) -> dict[str, str]:
    """Item to group, from the methods that know it."""
    group_of: dict[str, str] = {}
    said_by: dict[str, str] = {}
    for method in methods:
        if not method.has_groups:
            continue
        for row in method.table.rows:
            if group_of.setdefault(row.item_id, row.group) != row.group:
                raise RunError(
                    f"{said_by[row.item_id]} and {method.name} disagree about the group of item '{row.item_id}': "
                    f"got '{group_of[row.item_id]}' and '{row.group}'. Score both on the same benchmark, or give the "
                    "groups: --groups FILE.csv"
                )
            said_by.setdefault(row.item_id, method.name)
    return group_of
