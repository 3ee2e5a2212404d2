"""Scores as columns: items by metrics, with a reason for each missing value."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from evalkit.arrays import Floats, Indices, Mask
from evalkit.edits.item import Status

if TYPE_CHECKING:
    import pandas

_BATCH = 2_000
"""Rows that are Python objects at one time, while columns are made of them."""
NO_EDIT = "no_edited_image"
"""The reason of a row without an edited image."""
_IN_ORDER = 8
"""Fewer numbers than this numpy adds one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScores:
    """One row: what was scored for one item and seed."""

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
    """One metric's values, averaged over the seeds of each item; items without any are left out."""

    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: Floats
    """``(n,)``."""

    def by_item(self) -> dict[str, float]:
        """Item id to mean."""
        return dict(zip(self.item_ids, self.values.tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScoreFrame:
    """Items × metrics, a row per item and seed: three tables side by side, so that a metric may have any name."""

    items: pa.Table
    """``item_id``, ``group``, ``seed``, ``edit_type`` and ``status``, all as categories; seeds as their digits, since
    they can be larger than any integer of Arrow."""
    values: pa.Table
    """A float64 column per metric; null where there is no value."""
    reasons: pa.Table
    """A column of categories per metric: why there is no value; null where there is one."""

    @classmethod
    def from_rows(cls, rows: Iterable[ItemScores], metrics: Sequence[str]) -> "ScoreFrame":
        """The columns of some rows.

        Args:
            rows: One per item and seed.
            metrics: The columns; what a row has beside them is left out.
        """
        rest, batches = iter(rows), [_of_batch([], metrics)]
        while batch := list(islice(rest, _BATCH)):
            batches.append(_of_batch(batch, metrics))
        return cls.concatenate(batches)

    @classmethod
    def concatenate(cls, frames: Sequence["ScoreFrame"]) -> "ScoreFrame":
        """Frames of the same metrics, one below the other."""
        items, values, reasons = (
            pa.concat_tables(tables).unify_dictionaries().combine_chunks()
            for tables in zip(*((frame.items, frame.values, frame.reasons) for frame in frames), strict=True)
        )
        return cls(items=items, values=values, reasons=reasons)

    def __len__(self) -> int:
        return int(self.items.num_rows)

    def __repr__(self) -> str:
        return f"<ScoreFrame: {len(self):,} rows of {', '.join(self.metrics)}>"

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row per item and seed: ``item_id``, ``group``, ``seed``, ``edit_type``, ``status``, and every metric.

        A value that is not defined is NaN; `reasons` says why.
        """
        import pandas

        items = {
            name: _listed(column)
            for name, column in zip(self.items.column_names, self.items.itercolumns(), strict=True)
        }
        items["seed"] = [None if seed is None else int(seed) for seed in items["seed"]]
        values = {metric: self.column(metric) for metric in self.metrics}
        return pandas.concat([pandas.DataFrame(items), pandas.DataFrame(values)], axis=1)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, in their order."""
        return tuple(self.values.column_names)

    @property
    def n_items(self) -> int:
        """Items, each counted once whatever its seeds."""
        return len(factorize(self.items["item_id"])[1])

    @property
    def rows(self) -> tuple[ItemScores, ...]:
        """Every row as a record, made anew each time."""
        return tuple(self._rows())

    def groups(self) -> Iterator[tuple[str, str]]:
        """Each row's item and group."""
        return zip(_listed(self.items["item_id"]), _listed(self.items["group"]), strict=True)

    def edit_types(self) -> Iterator[tuple[str, str | None]]:
        """Each row's item and edit type."""
        return zip(_listed(self.items["item_id"]), _listed(self.items["edit_type"]), strict=True)

    def where(self, rows: Mask) -> "ScoreFrame":
        """Some of the rows: those that are true."""
        texts = [
            {
                name: _categories([text for text, chosen in zip(_listed(column), rows, strict=True) if chosen])
                for name, column in zip(table.column_names, table.itercolumns(), strict=True)
            }
            for table in (self.items, self.reasons)
        ]
        values = {metric: _numbers(self.column(metric)[rows]) for metric in self.metrics}
        return ScoreFrame(items=pa.table(texts[0]), values=pa.table(values), reasons=pa.table(texts[1]))

    def column(self, metric: str) -> Floats:
        """``(rows,)`` values of a metric, NaN where there is none."""
        values, valid = _to_numpy(self.values[metric].combine_chunks(), np.float64)
        return np.where(valid, values, np.nan)

    def is_ok(self) -> Mask:
        """``(rows,)``, true where there was an edited image."""
        return self.has_status("ok")

    def has_status(self, status: Status) -> Mask:
        """``(rows,)``, true where this became of the edit."""
        return _is_one_of(self.items["status"], {status})

    def is_failed(self, metric: str, *, all_missing: bool = False) -> Mask:
        """``(rows,)``, true where the method gave no edited image, which counts as its worst edit.

        That is so where it declared a failure, and where a row without an edited image has a value all the same: it was
        scored with ``--missing floor``. Where the metric is undefined for another reason there is nothing to score.

        Args:
            metric: Whose value is asked for.
            all_missing: Whether every row without an edited image counts, declared or not.
        """
        failed = ~self.is_ok() if all_missing else self.has_status("failed")
        given = ~self.is_ok() & ~np.isnan(self.column(metric))
        return (failed & _is_one_of(self.reasons[metric], {NO_EDIT})) | given

    def n_floored(self, metric: str) -> int:
        """Rows without an edited image that have a value all the same, which was given to them."""
        return int((~np.isnan(self.column(metric)) & ~self.is_ok()).sum())

    def with_metric(self, metric: str, values: Floats, reasons: Sequence[str | None]) -> "ScoreFrame":
        """The same rows with a column more, or another one in place of the metric's.

        Args:
            metric: Its name.
            values: ``(rows,)``, NaN where there is none.
            reasons: Why there is none, for each row; None where there is a value.
        """
        return replace(
            self,
            values=_with_column(self.values, metric, _numbers(values)),
            reasons=_with_column(self.reasons, metric, _categories(reasons)),
        )

    def with_given(self, metric: str, rows: Mask, value: float) -> "ScoreFrame":
        """The same scores with one value for some rows, which then need no reason.

        Args:
            metric: Whose values.
            rows: ``(rows,)``, which.
            value: The value.
        """
        reasons = [None if given else reason for given, reason in zip(rows, _listed(self.reasons[metric]), strict=True)]
        return self.with_metric(metric, np.where(rows, value, self.column(metric)), reasons)

    def undefined(self, metric: str) -> dict[str, int]:
        """Reason to number of rows without a value, in the order in which the reasons first appear."""
        codes, reasons = factorize(self.reasons[metric])
        counts = Counter(codes[np.isnan(self.column(metric))].tolist())
        if -1 in counts:
            raise ValueError(f"{metric} has no value and no reason for {counts[-1]} rows")
        return {reasons[code]: count for code, count in counts.items()}

    def item_means(self, metric: str) -> ItemMeans:
        """A metric's value per item: the mean over the seeds for which it is defined.

        Items stand in the order in which they first have a value, each with the group of that row.
        """
        values = self.column(metric)
        (defined,) = np.nonzero(~np.isnan(values))
        codes, item_ids = factorize(self.items["item_id"])
        found, first = np.unique(codes[defined], return_index=True)
        order = np.argsort(first)
        position = np.empty(len(item_ids), dtype=np.intp)
        position[found[order]] = np.arange(len(order))
        group_codes, groups = factorize(self.items["group"])
        return ItemMeans(
            item_ids=tuple(item_ids[item] for item in found[order].tolist()),
            groups=tuple(groups[group] for group in group_codes[defined[first[order]]].tolist()),
            values=_means(values[defined], position[codes[defined]], len(order)),
        )

    def with_groups(self, group_of: Mapping[str, str]) -> "ScoreFrame":
        """The same scores with items in other groups.

        Args:
            group_of: Item id to group, of every item.
        """
        codes, item_ids = factorize(self.items["item_id"])
        groups = [group_of[item] for item in item_ids]
        column = _categories([groups[code] for code in codes.tolist()])
        return replace(self, items=self.items.set_column(self.items.column_names.index("group"), "group", column))

    def _rows(self) -> Iterator[ItemScores]:
        items = zip(*(_listed(column) for column in self.items.itercolumns()), strict=True)
        values = {metric: _optional(self.column(metric)) for metric in self.metrics}
        reasons = {metric: _listed(self.reasons[metric]) for metric in self.metrics}
        for row, (item_id, group, seed, edit_type, status) in enumerate(items):
            yield ItemScores(
                item_id=item_id,
                group=group,
                seed=None if seed is None else int(seed),
                edit_type=edit_type,
                status=status,
                values={metric: column[row] for metric, column in values.items()},
                reasons={metric: column[row] for metric, column in reasons.items() if column[row] is not None},
            )


def factorize(column: pa.ChunkedArray | pa.DictionaryArray) -> tuple[Indices, list[Any]]:
    """A column of categories as ``(rows,)`` codes and the categories in the order of their first appearance.

    The code of a null is −1, as it is pandas'.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes, valid = _to_numpy(array, np.int32)
    return np.where(valid, codes, -1).astype(np.intp), array.dictionary.to_pylist()


def _is_one_of(column: pa.ChunkedArray, categories: Collection[str]) -> Mask:
    codes, names = factorize(column)
    return np.array([*(name in categories for name in names), False], dtype=np.bool_)[codes]


def _with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _means(values: Floats, items: Indices, n_items: int) -> Floats:
    """Each item's mean, to the last bit that of ``np.mean`` over its values."""
    counts = np.bincount(items, minlength=n_items)
    if counts.max(initial=0) < _IN_ORDER:
        means: Floats = np.bincount(items, weights=values, minlength=n_items) / counts
        return means
    by_item = np.split(values[np.argsort(items, kind="stable")], np.cumsum(counts)[:-1])
    return np.array([np.mean(of_item) for of_item in by_item], dtype=np.float64)


def _of_batch(rows: Sequence[ItemScores], metrics: Sequence[str]) -> ScoreFrame:
    items: dict[str, list[str | None]] = {
        "item_id": [row.item_id for row in rows],
        "group": [row.group for row in rows],
        "seed": [None if row.seed is None else str(row.seed) for row in rows],
        "edit_type": [row.edit_type for row in rows],
        "status": [row.status for row in rows],
    }
    return ScoreFrame(
        items=pa.table({name: _categories(column) for name, column in items.items()}),
        values=pa.table({metric: _numbers([row.values.get(metric) for row in rows]) for metric in metrics}),
        reasons=pa.table({metric: _categories([row.reasons.get(metric) for row in rows]) for metric in metrics}),
    )


# What follows pyarrow does too, but it imports pandas for it, which takes a third of a small comparison's time.


def _numbers(values: Sequence[float | None] | Floats) -> pa.Array:
    """A column of float64, null for None."""
    found = np.array(values, dtype=np.float64)  # None becomes NaN
    return pa.Array.from_buffers(pa.float64(), len(values), [_validity(~np.isnan(found)), pa.py_buffer(found)])


def _categories(values: Sequence[str | None]) -> pa.DictionaryArray:
    """A column of categories in the order of their first appearance, null for None."""
    code_of: dict[str | None, int] = {}
    codes = np.array([-1 if value is None else code_of.setdefault(value, len(code_of)) for value in values], np.int32)
    texts = [text.encode() for text in code_of if text is not None]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    buffers = [_validity(codes >= 0), pa.py_buffer(np.maximum(codes, 0))]
    return pa.DictionaryArray.from_arrays(
        pa.Array.from_buffers(pa.int32(), len(codes), buffers),
        pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]),
    )


def _validity(valid: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _to_numpy(array: pa.Array, dtype: type[np.number[Any]]) -> tuple[npt.NDArray[Any], Mask]:
    """``(rows,)`` numbers of a column, or codes of its categories, and where they are not null."""
    validity, data, *_ = array.buffers()
    rows = slice(array.offset, array.offset + len(array))
    values = np.frombuffer(data or b"", dtype)[rows]
    if not array.null_count:
        return values, np.ones(len(array), dtype=np.bool_)
    return values, np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[rows].astype(np.bool_)


def _listed(column: pa.ChunkedArray) -> list[Any]:
    codes, texts = factorize(column)
    texts.append(None)
    return [texts[code] for code in codes.tolist()]


def _optional(values: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
