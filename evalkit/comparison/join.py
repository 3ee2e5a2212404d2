"""Methods joined by item: one array per method and metric, on the same items, in the same groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from evalkit.arrays import Floats, Indices, Mask
from evalkit.comparison.load import Method
from evalkit.errors import OptionError, RunError
from evalkit.metrics.base import REASONS
from evalkit.scores.frame import ScoreFrame, factorize
from evalkit.scores.numbers import ABSENT

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
class MethodRows:
    """One method's rows among the joined items."""

    table: ScoreFrame
    items: Indices
    """``(rows,)``, which item each row is of."""
    columns: Indices
    """``(rows,)``, which seed each row is of: the column of its values."""
    seeds: tuple[str, ...] | None
    """The columns' seeds in ascending order; None where rows name none, or each item drew its own: then an item's
    values stand in the order of its rows."""
    failed: Mask
    """``(rows,)``, where the edit failed: there is no edited image, and the values were given."""
    repeats: Mapping[str, Floats]
    """Metric to ``(rows, repeats)`` scores of a judge that answered several times, NaN where an answer has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Every item that any method has, with what each method scored on it."""

    items: Sequence[str]
    """In the order in which they first appear, method after method."""
    groups: Indices
    """``(n,)``, a code for each group."""
    group_names: Sequence[str]
    """``(n,)``, an item's own id where nobody names its group."""
    methods: Mapping[str, MethodRows]
    """By name."""
    missing: Mapping[tuple[str, str], Indices]
    """Method and metric to ``(n,)`` codes in ``reasons`` of why there is no value; 0 where there is one."""
    reasons: Sequence[str]
    unranked: Mapping[str, Mapping[str, str]]
    """Metric to the methods that cannot be ranked on it, each with the reason."""

    n_grouped: int
    """Items whose group somebody names; each of the others is a group of its own."""

    @property
    def n_total(self) -> int:
        """How many items there are, whoever has a value for them."""
        return len(self.items)

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return int(self.groups.max(initial=-1)) + 1

    def scores(self, metric: str) -> dict[str, Floats]:
        """Method to ``(n, seeds)`` scores on a metric, NaN where there is no value."""
        return {method: self.values(method, metric) for method in self.methods}

    def values(self, method: str, metric: str) -> Floats:
        """``(n, seeds)``, NaN where there is no value; of the seeds those with which there is any."""
        rows = self.methods[method]
        if metric in rows.repeats:
            table = np.full((len(self.items), rows.repeats[metric].shape[1]), np.nan)
            table[rows.items] = rows.repeats[metric]
            return table
        table = np.full((len(self.items), int(rows.columns.max(initial=0)) + 1), np.nan)
        table[rows.items, rows.columns] = rows.table.column(metric) + 0.0  # −0.0 would be shown with its sign
        return table[:, self._used(method, metric)]

    def seed_labels(self, method: str, metric: str) -> tuple[str, ...] | None:
        """The seed of each column of :meth:`values`; None where they have none that another method could share."""
        seeds = None if metric in self.methods[method].repeats else self.methods[method].seeds
        return None if seeds is None else tuple(seeds[column] for column in self._used(method, metric).tolist())

    def _used(self, method: str, metric: str) -> Indices:
        """The columns with any value, in their order; the first where there is none at all."""
        rows = self.methods[method]
        used = np.unique(rows.columns[~np.isnan(rows.table.column(metric))])
        return used if len(used) else np.zeros(1, dtype=np.intp)

    def failed(self, method: str) -> Mask:
        """``(n,)``: items of which an edit of this method failed; their scores were given, not measured."""
        rows = self.methods[method]
        result = np.zeros(len(self.items), dtype=np.bool_)
        result[rows.items[rows.failed]] = True
        return result

    def n_common(self, a: str, b: str, metric: str) -> int:
        """Items for which both methods have a value."""
        return int(((self.missing[a, metric] == 0) & (self.missing[b, metric] == 0)).sum())

    def dropped(self, metric: str) -> Mask:
        """Items that some method which is ranked has no value for: all are compared on the same items."""
        missing = [self.missing[method, metric] > 0 for method in self.methods if method not in self.unranked[metric]]
        return np.any(missing, axis=0) if missing else np.zeros(len(self.items), dtype=np.bool_)

    def not_run(self, method: str, metric: str) -> Mask:
        """``(n,)``: items that a method was not run on; without a value on any other the metric is undefined there."""
        return _not_run(self.reasons)[self.missing[method, metric]]

    def n_missing(self, method: str) -> int:
        """Items without an edited image of this method."""
        rows = self.methods[method]
        return len(self.items) - len(np.unique(rows.items[rows.table.is_ok()]))

    def excluded(self, a: str, b: str, metric: str, dropped: Mask) -> dict[str, int]:
        """Reason to number of the items that a pair leaves out; ``dropped`` are those of the metric."""
        codes = np.where(self.missing[a, metric] > 0, self.missing[a, metric], self.missing[b, metric])
        only = int((dropped & (codes == 0)).sum())
        counts = np.bincount(codes, minlength=len(self.reasons)).tolist()[1:]
        named = dict(zip(self.reasons[1:], counts, strict=True))
        return {reason: count for reason, count in {NOT_COMMON: only, **named}.items() if count}

    def without(self, method: str, metric: str) -> dict[str, Sequence[int]]:
        """Reason to the items (by their index) for which a method has no value."""
        codes = self.missing[method, metric]
        return {
            self.reasons[code]: np.flatnonzero(codes == code).tolist() for code in np.unique(codes).tolist() if code
        }


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
    together = pa.chunked_array([m.table.items["item_id"].combine_chunks() for m in methods]).unify_dictionaries()
    items = together.chunk(0).dictionary.to_pylist()
    rows = {
        method.name: replace(_rows_of(method.table, factorize(ids)[0]), repeats=_repeats_of(method, metrics))
        for method, ids in zip(methods, together.chunks, strict=True)
    }
    _refuse_disjoint(items, rows)
    group_of = _agreed(methods) if groups is None else groups
    if groups is not None:
        _refuse_incomplete(items, groups)
    group_names = [group_of.get(item, item) for item in items]
    code_of = {name: code for code, name in enumerate(dict.fromkeys(group_names))}
    reasons = {"": 0}
    missing = {
        (name, metric): _missing(of_method, metric, len(items), reasons)
        for name, of_method in rows.items()
        for metric in metrics
    }
    return Joined(
        items=items,
        groups=np.array([code_of[name] for name in group_names], dtype=np.intp),
        group_names=group_names,
        n_grouped=sum(item in group_of for item in items),
        methods=rows,
        missing=missing,
        reasons=tuple(reasons),
        unranked={
            metric: {name: why for name in rows if (why := _unranked(missing[name, metric], tuple(reasons)))}
            for metric in metrics
        },
    )


def _rows_of(table: ScoreFrame, items: Indices) -> MethodRows:
    """One method's rows, with the column of each: its seed's, where seeds are shared between items."""
    order = np.argsort(items, kind="stable")
    counts = np.bincount(items)
    position = np.empty(len(items), dtype=np.intp)
    position[order] = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
    codes, names = factorize(table.items["seed"])
    by_number = sorted(range(len(names)), key=lambda code: int(names[code]))
    seeds = tuple(names[code] for code in by_number)
    named = bool(len(codes)) and bool((codes >= 0).all())
    # As many seeds as items, or nearly so, were drawn for each item: columns of their own would be all but empty.
    shared = named and len(seeds) < 2 * counts.max() and len(np.unique(items * len(seeds) + codes)) == len(codes)
    return MethodRows(
        table=table,
        items=items,
        columns=np.argsort(by_number)[codes] if shared else position,
        seeds=seeds if shared else None,
        repeats={},
        failed=~table.is_ok() & np.any([~np.isnan(table.column(metric)) for metric in table.metrics], axis=0),
    )


def _repeats_of(method: Method, metrics: Sequence[str]) -> dict[str, Floats]:
    """The scores of each repeat of a judge; one that was given, as to a failed edit, is that of every repeat."""
    found: dict[str, Floats] = {}
    rows = {row.item_id: number for number, row in enumerate(method.table.rows)} if method.judgements else {}
    for metric in (name for name in metrics if rows and method.is_repeated(name)):
        rubric, _, score = metric.partition(":")
        own = [each for each in method.judgements if each.rubric == rubric and each.scores and each.item_id in rows]
        scores = np.full((len(rows), 1 + max((each.repeat for each in own), default=0)), np.nan)
        for each in own:
            scores[rows[each.item_id], each.repeat] = (each.scores or {})[score]
        given = np.isnan(scores).all(axis=1)
        scores[given] = method.table.column(metric)[given, None]
        found[metric] = scores
    return found


def _missing(rows: MethodRows, metric: str, n_items: int, code_of: dict[str, int]) -> Indices:
    """``(n,)`` codes of the reasons why items have no value, 0 for those that have one; new reasons are added."""
    codes, reasons = factorize(rows.table.reasons[metric])
    ours = np.array([code_of.setdefault(reason, len(code_of)) for reason in reasons], dtype=np.intp)
    result = np.full(n_items, code_of.setdefault("absent", len(code_of)), dtype=np.intp)
    # Of an item's rows the first that gives a reason counts.
    with_reason = np.flatnonzero(codes >= 0)
    items, first = np.unique(rows.items[with_reason], return_index=True)
    result[items] = ours[codes[with_reason[first]]]
    result[rows.items[~np.isnan(rows.table.column(metric))]] = 0
    return result


def _unranked(missing: Indices, reasons: Sequence[str]) -> str | None:
    """Why a method cannot be ranked, if it cannot."""
    absent = int(_not_run(reasons)[missing].sum())
    if absent:
        return f"incomplete: {absent} of {len(missing)} items were not run"
    return "no value for any item" if (missing > 0).all() else None


def _not_run(reasons: Sequence[str]) -> Mask:
    return np.array([reason in _NOT_RUN for reason in reasons], dtype=np.bool_)


def _refuse_disjoint(items: Sequence[str], methods: Mapping[str, MethodRows]) -> None:
    (first, its), *others = methods.items()
    for other, rows in others:
        if not np.isin(its.items, rows.items).any():
            one, two = (items[ids[0]] if len(ids) else "none at all" for ids in (its.items, rows.items))
            raise RunError(
                f"{first} and {other} have no item in common: items are joined by their id, and got ids like "
                f"'{one}' and '{two}'. Score both on the same benchmark, or name the column of ids: --item-column NAME"
            )


def _refuse_incomplete(items: Sequence[str], groups: Mapping[str, str]) -> None:
    missing = [item for item in items if item not in groups]
    if missing:
        raise OptionError(
            f"The table of groups lacks {len(missing)} of {len(items)} items, '{missing[0]}' first: expected a group "
            "for each."
        )


def _agreed(methods: Sequence[Method]) -> dict[str, str]:
    """Item to group, from the methods that know it."""
    found: dict[str, tuple[str, str]] = {}
    for method in methods:
        for item, group in method.table.groups():
            if item in method.ungrouped:
                continue
            other, said_by = found.setdefault(item, (group, method.name))
            if other != group:
                raise RunError(
                    f"{said_by} and {method.name} disagree about the group of item '{item}': got '{other}' and "
                    f"'{group}'. Score both on the same benchmark, or give the groups: --groups FILE.csv"
                )
    return {item: group for item, (group, _) in found.items()}
