"""Methods joined by item: one array per method and metric, on the same items, in the same groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats, Mask
from evalkit.comparison.load import Method
from evalkit.data.keys import Numbers, numbered
from evalkit.data.texts import Texts
from evalkit.errors import OptionError, RunError
from evalkit.metrics.base import REASONS
from evalkit.results.item_rows import ItemRows
from evalkit.scores.external import ABSENT

NOT_COMMON = "not_common"
REASON_WORDS: Mapping[str, str] = {
    **REASONS,
    **ABSENT,
    NOT_COMMON: "another method has no value there, and all are compared on the same items",
}
"""Every reason why an item is left out, in words."""
_NOT_RUN = {"absent", "no_edited_image"}
"""Reasons that mean that a method was not run on the item, and not that the metric is undefined there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """One method's rows among the joined items."""

    rows: ItemRows
    items: Numbers
    """``(rows,)``, which item each row is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Every item that any method has, with what each method scored on it; there may be a million, so all is arrays."""

    items: Texts
    groups: Numbers
    """``(n,)``, a number for each group."""
    group_names: Texts | None
    """``(n,)``, where the runs and tables do not all say the groups themselves."""
    rows: Mapping[str, _Rows]
    """By method."""
    lacking: Mapping[tuple[str, str], Numbers]
    """Method and metric to ``(n,)`` numbers of reasons in ``reasons`` why there is no value; 0 where there is one."""
    reasons: tuple[str, ...]
    unranked: Mapping[str, Mapping[str, str]]
    """Metric to the methods that cannot be ranked on it, each with the reason."""

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return int(self.groups.max(initial=-1)) + 1

    def scores(self, metric: str) -> dict[str, Floats]:
        """Method to ``(n, seeds)`` scores on a metric, NaN where there is no value."""
        return {method: self.values(method, metric) for method in self.rows}

    def values(self, method: str, metric: str) -> Floats:
        """``(n, seeds)``, NaN where there is no value; an item's values stand first, in the order of its rows."""
        found, there = self.rows[method].rows.values(metric)
        items = self.rows[method].items[there]
        order = np.argsort(items, kind="stable")
        counts = np.bincount(items, minlength=len(self.items))
        place = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.full((len(self.items), max(1, int(counts.max(initial=0)))), np.nan)
        table[items[order], place] = found[there][order]
        return table

    def dropped(self, metric: str) -> Mask:
        """Items that some method which is ranked has no value for: all are compared on the same items."""
        ranked = [method for method in self.rows if method not in self.unranked[metric]]
        lacking = [self.lacking[method, metric] > 0 for method in ranked]
        return np.any(lacking, axis=0) if lacking else np.zeros(len(self.items), dtype=np.bool_)

    def not_run(self, method: str, metric: str) -> Mask:
        """``(n,)``: items that a method was not run on; without a value on any other the metric is undefined there."""
        not_run = np.array([reason in _NOT_RUN for reason in self.reasons])
        return np.asarray(not_run[self.lacking[method, metric]])

    def n_missing(self, method: str) -> int:
        """Items without an edited image of this method."""
        rows = self.rows[method]
        return len(self.items) - len(np.unique(rows.items[rows.rows.is_ok()]))

    def excluded(self, a: str, b: str, metric: str) -> dict[str, int]:
        """Reason to number of the items that a pair leaves out."""
        ours, theirs = self.lacking[a, metric], self.lacking[b, metric]
        numbers = np.where(ours > 0, ours, theirs)
        only = int((self.dropped(metric) & (numbers == 0)).sum())
        counts = np.bincount(numbers, minlength=len(self.reasons)).tolist()[1:]
        named = dict(zip(self.reasons[1:], counts, strict=True))
        return {reason: count for reason, count in {NOT_COMMON: only, **named}.items() if count}

    def without(self, method: str, metric: str) -> dict[str, Sequence[int]]:
        """Reason to the numbers of the items for which a method has no value."""
        numbers = self.lacking[method, metric]
        return {self.reasons[n]: np.flatnonzero(numbers == n).tolist() for n in np.unique(numbers).tolist() if n}


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
    tables = [method.table.rows for method in methods]
    numbers, first = numbered(np.concatenate([table.item_ids.keys() for table in tables]))
    of_method = np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])
    items = Texts(_at(tables, first))
    rows = {m.name: _Rows(rows=m.table.rows, items=n) for m, n in zip(methods, of_method, strict=True)}
    _refuse_strangers(items, rows)
    names = None
    if groups is not None:
        names = _given(items, groups)
        keys = names.keys()
    else:
        keys = _agreed(methods, rows, items)
        if not all(method.has_groups for method in methods):
            names = _names_of_groups(methods, rows, items)
    reasons: dict[str, int] = {"": 0}
    lacking = {
        (name, metric): _lacking(of_name, metric, len(items), reasons)
        for name, of_name in rows.items()
        for metric in metrics
    }
    return Joined(
        items=items,
        groups=numbered(keys)[0],
        group_names=names,
        rows=rows,
        lacking=lacking,
        reasons=tuple(reasons),
        unranked={metric: _unranked(list(rows), metric, lacking, tuple(reasons)) for metric in metrics},
    )


def _at(tables: Sequence[ItemRows], places: Numbers) -> Iterator[str]:
    """Item ids by their places in all tables, one after the other; places ascend."""
    start = 0
    for table in tables:
        end = start + len(table)
        for place in places[(places >= start) & (places < end)].tolist():
            yield table.item_ids[place - start]
        start = end


def _lacking(of_method: _Rows, metric: str, n_items: int, reasons: dict[str, int]) -> Numbers:
    """``(n,)`` numbers of the reasons why items have no value, 0 for those that have one; new reasons are added."""
    _, there = of_method.rows.values(metric)
    numbers, words = of_method.rows.reasons(metric)
    ours = np.array([0 if word is None else reasons.setdefault(word, len(reasons)) for word in words], dtype=np.intp)
    said = np.flatnonzero(ours[numbers])
    # Of an item's rows the first that gives a reason counts.
    items, first = np.unique(of_method.items[said], return_index=True)
    result = np.full(n_items, reasons.setdefault("absent", len(reasons)), dtype=np.intp)
    result[items] = ours[numbers[said[first]]]
    result[of_method.items[there]] = 0
    return result


def _unranked(
    names: Sequence[str], metric: str, lacking: Mapping[tuple[str, str], Numbers], reasons: Sequence[str]
) -> dict[str, str]:
    """The methods that cannot be ranked, and why."""
    not_run = np.array([reason in _NOT_RUN for reason in reasons])
    unranked = {}
    for name in names:
        numbers = lacking[name, metric]
        absent = int(not_run[numbers].sum())
        if absent:
            unranked[name] = f"incomplete: {absent} of {len(numbers)} items were not run"
        elif (numbers > 0).all():
            unranked[name] = "it has no value for any item"
    return unranked


def _refuse_strangers(items: Texts, rows: Mapping[str, _Rows]) -> None:
    present = {name: np.bincount(of_name.items, minlength=len(items)) > 0 for name, of_name in rows.items()}
    first, *others = rows
    for other in others:
        if not (present[first] & present[other]).any():
            ids = [rows[name].rows.item_ids[:1] for name in (first, other)]
            one, two = (found[0] if found else "none at all" for found in ids)
            raise RunError(
                f"{first} and {other} have no item in common: items are joined by their id, and got ids like "
                f"'{one}' and '{two}'. Score both on the same benchmark, or name the column of ids: --item-column NAME"
            )


def _given(items: Texts, groups: Mapping[str, str]) -> Texts:
    lacking = [item for item in items if item not in groups]
    if lacking:
        raise OptionError(
            f"The table of groups lacks {len(lacking)} of {len(items)} items, '{lacking[0]}' first: expected a group "
            "for each."
        )
    return Texts(groups[item] for item in items)


def _agreed(methods: Sequence[Method], rows: Mapping[str, _Rows], items: Texts) -> npt.NDArray[np.bytes_]:
    """``(n,)`` keys of the items' groups, from the methods that know them; else every item is its own."""
    keys, said_by = items.keys(), np.full(len(items), -1)
    for number, method in enumerate(methods):
        if not method.has_groups:
            continue
        of_rows, theirs = rows[method.name].items, method.table.rows.groups.keys()
        found, first = np.unique(of_rows, return_index=True)
        new = said_by[found] < 0
        keys[found[new]], said_by[found[new]] = theirs[first[new]], number
        for row in np.flatnonzero(keys[of_rows] != theirs).tolist()[:1]:
            item = items[of_rows[row]]
            other = methods[said_by[of_rows[row]]]
            before = rows[other.name].items.tolist().index(of_rows[row])
            raise RunError(
                f"{other.name} and {method.name} disagree about the group of item '{item}': "
                f"got '{other.table.rows.groups[before]}' and '{method.table.rows.groups[row]}'. Score both on the "
                "same benchmark, or give the groups: --groups FILE.csv"
            )
    return keys


def _names_of_groups(methods: Sequence[Method], rows: Mapping[str, _Rows], items: Texts) -> Texts:
    """``(n,)`` names of the groups on which the methods that know them agree."""
    names = list(items)
    for method in methods:
        if method.has_groups:
            for item, group in zip(rows[method.name].items.tolist(), method.table.rows.groups, strict=True):
                names[item] = group
    return Texts(names)
