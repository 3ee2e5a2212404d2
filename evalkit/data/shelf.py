"""Long sequences that do not stay in memory: what a folder of a million edits is made of.

A record takes 8 bytes of memory; the rest lies in a temporary file as soon as it is more than :data:`IN_MEMORY`.
"""

import heapq
import marshal
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, TypeVar

from evalkit.data.growing import Growing
from evalkit.edits.item import EditItem

T = TypeVar("T")

IN_MEMORY = 1 << 20
"""Bytes of a shelf that are kept in memory; beyond, they go to a temporary file."""


class Shelf(Growing[T]):
    """A sequence that only grows at its end, and is read in any order; reading is safe from several threads.

    Args:
        values: What it holds to begin with.
        pack: Makes of a value what ``marshal`` can write: texts, numbers, bytes, None, tuples, lists and dicts of them.
        unpack: The way back.
    """

    def __init__(self, values: Iterable[T], *, pack: Callable[[T], Any], unpack: Callable[[Any], T]) -> None:
        self._pack, self._unpack = pack, unpack
        self._ends = array("Q")
        self._tail = bytearray()
        self._n_filed = 0
        self._file: IO[bytes] | None = None
        self.extend(values)

    def append(self, value: T) -> None:
        """Put one more at the end."""
        self._tail += marshal.dumps(self._pack(value))
        self._ends.append(self._n_filed + len(self._tail))
        if len(self._tail) > IN_MEMORY:
            self._put_away()

    def _put_away(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as the shelf
            weakref.finalize(self, self._file.close)
        self._file.write(self._tail)
        self._file.flush()
        self._n_filed += len(self._tail)
        self._tail = bytearray()

    def __len__(self) -> int:
        return len(self._ends)

    def _at(self, number: int) -> T:
        start, end = self._ends[number - 1] if number else 0, self._ends[number]
        if self._file is None or start >= self._n_filed:
            record = bytes(self._tail[start - self._n_filed : end - self._n_filed])
        else:
            record = os.pread(self._file.fileno(), end - start, start)
        return self._unpack(marshal.loads(record))  # noqa: S302 - our own, from a file without a name

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


_FIELDS = tuple(field.name for field in fields(EditItem))
_PATHS = tuple(number for number, name in enumerate(_FIELDS) if name.endswith("_image") or name == "edit_mask")
_PLAIN = (str, int, float)
_values_of = attrgetter(*_FIELDS)


def shelf_of_items(items: Iterable[EditItem] = ()) -> Shelf[EditItem]:
    """A shelf of items."""
    return Shelf(items, pack=_pack_item, unpack=_unpack_item)


def shelf_of_paths(paths: Iterable[Path] = ()) -> Shelf[Path]:
    """A shelf of paths."""
    return Shelf(paths, pack=os.fspath, unpack=Path)


class Sorter:
    """Texts in order, however many: sorted in runs that lie on shelves, and merged.

    Args:
        run: How many are sorted at a time.
    """

    def __init__(self, run: int = 20_000) -> None:
        self._size = run
        self._runs: list[Shelf[str]] = []
        self._run: list[str] = []

    def add(self, text: str) -> None:
        """One more."""
        self._run.append(text)
        if len(self._run) == self._size:
            self._runs.append(Shelf(sorted(self._run), pack=str, unpack=str))
            self._run = []

    def __iter__(self) -> Iterator[str]:
        return heapq.merge(*self._runs, sorted(self._run))


def _pack_item(item: EditItem) -> tuple[Any, ...]:
    return tuple(
        value if value is None or type(value) in _PLAIN else _plain(value)  # most are
        for value in _values_of(item)
    )


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _unpack_item(values: Sequence[Any]) -> EditItem:
    found = list(values)
    for number in _PATHS:
        if found[number] is not None:
            found[number] = Path(found[number])
    return EditItem(**dict(zip(_FIELDS, found, strict=True)))
