"""Methods joined by item: one array per method and metric, on the same items, in the same groups."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.compare.load import Method
from evalkit.errors import OptionError, RunError
from evalkit.metrics.base import REASONS
from evalkit.results.external import ABSENT
from evalkit.results.table import ItemScores
from evalkit.stats.groups import GRID, Floats

NOT_COMMON = "not_common"
REASON_WORDS: Mapping[str, str] = {
    **REASONS,
    **ABSENT,
    NOT_COMMON: "another method has no value there, and all are compared on the same items",
}
"""Every reason why an item is left out, in words."""
_NOT_RUN = {"absent", "no_edited_image"}
"""Reasons that mean that a method was not run on the item, and not that the metric is undefined there."""


_USUAL = (1e-2, 1e5)
"""Metrics whose largest score lies here are counted in steps of 1e-6, others in millionths of that score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScores:
    """What every method scored on one metric."""

    tables: Mapping[str, Floats]
    """Method to ``(n, seeds)``, NaN where there is no value."""
    unit: float
    """What scores are multiplied by so that steps of 1e-6 suit them: 1 for usual scores, else a power of ten."""

    @property
    def grid(self) -> float:
        """The step to which scores are rounded."""
        return GRID / self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Every item that any method has, with what each method scored on it."""

    items: tuple[str, ...]
    groups: tuple[str, ...]
    """``(n,)``."""
    rows: Mapping[str, Mapping[str, Sequence[ItemScores]]]
    """Method to item to its rows, one per seed."""
    lacking: Mapping[tuple[str, str], Mapping[str, str]]
    """Method and metric to the items without a value, each with the reason."""
    unranked: Mapping[str, Mapping[str, str]]
    """Metric to the methods that cannot be ranked on it, each with the reason."""

    def scores(self, metric: str) -> MetricScores:
        """Every method's scores on a metric."""
        tables = {method: self.values(method, metric) for method in self.rows}
        return MetricScores(tables=tables, unit=_unit_of(tables.values()))

    def values(self, method: str, metric: str) -> Floats:
        """``(n, seeds)``, NaN where there is no value; an item's values stand first, in the order of its rows."""
        rows = self.rows[method]
        scored = [_values(rows.get(item, ()), metric) for item in self.items]
        table = np.full((len(self.items), max(1, *map(len, scored))), np.nan)
        for number, values in enumerate(scored):
            table[number, : len(values)] = values
        return table

    def dropped(self, metric: str) -> set[str]:
        """Items that some method which is ranked has no value for: all are compared on the same items."""
        ranked = [method for method in self.rows if method not in self.unranked[metric]]
        return {item for method in ranked for item in self.lacking[method, metric]}

    def not_run(self, a: str, b: str, metric: str) -> tuple[set[str], set[str]]:
        """Items that one of the two was not run on, and apart from these the items on which one is undefined."""
        lacking = [*self.lacking[a, metric].items(), *self.lacking[b, metric].items()]
        undefined = {item for item, reason in lacking if reason not in _NOT_RUN}
        return {item for item, _ in lacking} - undefined, undefined

    def n_missing(self, method: str) -> int:
        """Items without an edited image of this method."""
        return sum(not any(row.status == "ok" for row in self.rows[method].get(item, ())) for item in self.items)

    def excluded(self, a: str, b: str, metric: str) -> dict[str, int]:
        """Reason to number of the items that a pair leaves out."""
        others = dict.fromkeys(self.dropped(metric), NOT_COMMON)
        return dict(Counter({**others, **self.lacking[b, metric], **self.lacking[a, metric]}.values()))


def join(methods: Sequence[Method], metrics: Sequence[str], groups: Mapping[str, str] | None = None) -> Joined:
    """Put the methods' rows side by side.

    A method that was not run on some of the items, or has no value at all, is not ranked. The others are compared on
    the items for which all of them have a value, so that table and ranking fit together.

    Args:
        methods: Two or more.
        metrics: Which.
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
    lacking = {
        (method.name, metric): {
            item: reason for item in items if (reason := _reason(rows[method.name].get(item, ()), metric))
        }
        for method in methods
        for metric in metrics
    }
    return Joined(
        items=items,
        groups=tuple(group_of.get(item, item) for item in items),
        rows=rows,
        lacking=lacking,
        unranked={
            metric: _unranked([method.name for method in methods], metric, lacking, len(items)) for metric in metrics
        },
    )


def _unranked(
    names: Sequence[str], metric: str, lacking: Mapping[tuple[str, str], Mapping[str, str]], n_items: int
) -> dict[str, str]:
    """The methods that cannot be ranked, and why."""
    unranked = {}
    for name in names:
        reasons = lacking[name, metric]
        absent = sum(reason in _NOT_RUN for reason in reasons.values())
        if absent:
            unranked[name] = f"incomplete: {absent} of {n_items} items were not run"
        elif len(reasons) == n_items:
            unranked[name] = "it has no value for any item"
    return unranked


def _unit_of(tables: Iterable[Floats]) -> float:
    largest = max((float(np.abs(table[~np.isnan(table)]).max(initial=0.0)) for table in tables), default=0.0)
    if not largest or _USUAL[0] <= largest <= _USUAL[1]:
        return 1.0
    return 10.0 ** -math.floor(math.log10(largest))


def _values(rows: Sequence[ItemScores], metric: str) -> list[float]:
    return [value for row in rows if (value := row.values.get(metric)) is not None]


def _reason(rows: Sequence[ItemScores], metric: str) -> str | None:
    """Why an item has no value; None if it has one."""
    if any(row.values.get(metric) is not None for row in rows):
        return None
    return next((row.reasons[metric] for row in rows if metric in row.reasons), "absent")


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
