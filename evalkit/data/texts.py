"""Many texts in little memory: the bytes of each, and once where the same one follows itself."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from evalkit.data.growing import Growing
from evalkit.data.keys import Keys, Numbers


class Texts(Growing[str]):
    """A sequence of texts that only grows at its end."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])
        self._runs = array("q")
        self._last: str | None = None
        self.extend(texts)

    def append(self, value: str) -> None:
        """Put one more at the end."""
        if value != self._last:
            self._bytes += value.encode("utf-8", "surrogatepass")
            self._ends.append(len(self._bytes))
            self._last = value
        self._runs.append(len(self._ends) - 2)

    def numbered(self) -> tuple[Numbers, Numbers]:
        """As :meth:`evalkit.data.keys.Keys.numbered`: equal texts under one number, and where each first appears."""
        numbers, first = Keys(self._run(number) for number in range(len(self._ends) - 1)).numbered()
        runs = np.array(self._runs, dtype=np.intp)
        return numbers[runs], np.searchsorted(runs, first)

    def keys(self) -> npt.NDArray[np.bytes_]:
        """``(n,)`` keys, equal where the texts are."""
        keys = Keys(self._run(number) for number in range(len(self._ends) - 1)).array
        return keys[np.array(self._runs, dtype=np.intp)]

    def at(self, places: Iterable[int]) -> "Texts":
        """The texts at some places."""
        return Texts(self[place] for place in places)

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[str]:
        return map(self._run, self._runs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return (self._bytes, self._ends, self._runs) == (other._bytes, other._ends, other._runs)
        return super().__eq__(other)

    __hash__ = None  # it grows

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _at(self, number: int) -> str:
        return self._run(self._runs[number])

    def _run(self, number: int) -> str:
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")
