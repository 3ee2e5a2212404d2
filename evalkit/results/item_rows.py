"""The rows of a score table as columns: some tens of bytes for each, however many metrics' names and reasons repeat."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evalkit.data.growing import Growing
from evalkit.data.keys import Numbers
from evalkit.data.texts import Texts
from evalkit.edits.item import Status

_ABSENT, _NONE, _VALUE = range(3)
_EXACT = 2**53
"""Whole numbers up to here are the same as floating-point numbers."""


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


class _Repeated:
    """A column in which few different things stand."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self.things: list[Any] = []
        self.numbers = array("l")

    def append(self, thing: Any) -> None:  # noqa: ANN401 - whatever can be a key
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        self.numbers.append(number)

    def __getitem__(self, place: int) -> Any:  # noqa: ANN401
        return self.things[self.numbers[place]]


@dataclass(slots=True)
class _Column:
    """A metric's values."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    states: bytearray = field(default_factory=bytearray)

    def pad(self, length: int) -> None:
        """Absent up to there."""
        more = length - len(self.states)
        self.values.frombytes(bytes(8 * more))
        self.states += bytes(more)


class ItemRows(Growing[ItemScores]):
    """A sequence of rows that only grows at its end."""

    def __init__(self, rows: Iterable[ItemScores] = ()) -> None:
        self.item_ids, self.groups = Texts(), Texts()
        self._seeds, self._edit_types, self._statuses = _Repeated(), _Repeated(), _Repeated()
        self._columns: dict[str, _Column] = {}
        self._reasons: dict[str, _Repeated] = {}
        self._odd: dict[int, ItemScores] = {}
        self.extend(rows)

    @classmethod
    def of(cls, rows: Sequence[ItemScores]) -> "ItemRows":
        """The rows in this form, if they are not."""
        return rows if isinstance(rows, ItemRows) else cls(rows)

    def append(self, value: ItemScores) -> None:
        """Put one more at the end."""
        place, row = len(self), value
        values = row.values
        if not _is_plain(row):  # a damaged file may hold anything: it is given back as it came
            self._odd[place] = row
            row, values = ItemScores(item_id=str(row.item_id), group=str(row.group), status="failed"), {}
        self.item_ids.append(row.item_id)
        self.groups.append(row.group)
        self._seeds.append(row.seed)
        self._edit_types.append(row.edit_type)
        self._statuses.append(row.status)
        for name, score in values.items():
            if name not in self._columns:
                self._columns[name] = _Column()
            column = self._columns[name]
            if len(column.states) < place:
                column.pad(place)
            column.values.append(0.0 if score is None else score)
            column.states.append(_NONE if score is None else _VALUE)
        for name, reason in row.reasons.items():
            if name not in self._reasons:
                self._reasons[name] = _Repeated()
            self._pad_reasons(name, place)
            self._reasons[name].append(reason)

    @property
    def n_items(self) -> int:
        """Items, each counted once whatever its seeds."""
        return len(self.item_ids.numbered()[1])

    @property
    def names(self) -> set[str]:
        """Every metric that a row has a value, or None, of."""
        return {*self._columns, *(name for row in self._odd.values() for name in row.values)}

    def is_ok(self) -> npt.NDArray[np.bool_]:
        """``(n,)``, true where there was an edited image."""
        ok = np.array([status == "ok" for status in self._statuses.things], dtype=np.bool_)
        return ok[np.array(self._statuses.numbers, dtype=np.intp)] if len(self) else ok

    def values(self, metric: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """``(n,)`` values of a metric, and where there is one."""
        if self._odd:
            raise TypeError(f"row {min(self._odd)} is not a row of scores: {self._odd[min(self._odd)]}")
        column = self._columns.get(metric, _Column())
        column.pad(len(self))
        return np.array(column.values), np.frombuffer(bytes(column.states), dtype=np.uint8) == _VALUE

    def reasons(self, metric: str) -> tuple[Numbers, list[str | None]]:
        """``(n,)`` numbers of reasons why a metric has no value, and the reasons by their numbers, None for none."""
        if metric not in self._reasons:
            return np.zeros(len(self), dtype=np.intp), [None]
        self._pad_reasons(metric, len(self))
        column = self._reasons[metric]
        return np.array(column.numbers, dtype=np.intp), column.things

    def _pad_reasons(self, metric: str, length: int) -> None:
        column = self._reasons[metric]
        while len(column.numbers) < length:
            column.append(None)

    def __len__(self) -> int:
        return len(self.item_ids)

    def _at(self, number: int) -> ItemScores:
        if number in self._odd:
            return self._odd[number]
        return ItemScores(
            item_id=self.item_ids[number],
            group=self.groups[number],
            seed=self._seeds[number],
            edit_type=self._edit_types[number],
            status=self._statuses[number],
            values={
                name: column.values[number] if column.states[number] == _VALUE else None
                for name, column in self._columns.items()
                if number < len(column.states) and column.states[number] != _ABSENT
            },
            reasons={
                name: column[number]
                for name, column in self._reasons.items()
                if number < len(column.numbers) and column[number] is not None
            },
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return ItemRows, (tuple(self),)


def _is_plain(row: ItemScores) -> bool:
    """Whether a row is what its types say."""
    texts = (row.item_id, row.group, row.status, row.edit_type or "", *_held(row.reasons))
    return (
        all(type(text) is str for text in texts)
        and (row.seed is None or type(row.seed) is int)
        and all(value is None or _is_number(value) for value in row.values.values())
    )


def _held(reasons: object) -> list[object]:
    return list(reasons.values()) if isinstance(reasons, Mapping) else [None]


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= _EXACT)
