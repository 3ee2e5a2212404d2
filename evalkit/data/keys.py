"""Texts by their digests: 16 bytes each, however long and however many, compared all at once by numpy."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.intp]


def numbered(keys: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
    """Equal keys under one number, in the order of their first appearance.

    Returns:
        ``(n,)`` numbers from 0 on, and for each number where it first appears.
    """
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse], first[order]


class Keys:
    """Digests of texts, in the order in which they were added; two texts never share one in practice."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """One more."""
        self._bytes += blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def __len__(self) -> int:
        return len(self._bytes) // 16

    @property
    def array(self) -> npt.NDArray[np.bytes_]:
        """``(n,)``."""
        return np.frombuffer(bytes(self._bytes), dtype="S16")

    def numbered(self) -> tuple[Numbers, Numbers]:
        """Equal texts under one number, in the order of their first appearance.

        Returns:
            ``(n,)`` numbers from 0 on, and for each number where it first appears.

        >>> [part.tolist() for part in Keys(["dog", "cat", "dog"]).numbered()]
        [[0, 1, 0], [0, 1]]
        """
        return numbered(self.array)

    def repeated(self) -> Iterator[list[int]]:
        """The places of each text that is there more than once, in the order of their first appearance.

        >>> list(Keys(["dog", "cat", "bird", "cat"]).repeated())
        [[1, 3]]
        """
        numbers, _ = self.numbered()
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(order)]):
            if end - start > 1:
                yield order[start:end].tolist()

    def known(self, others: "Keys") -> npt.NDArray[np.bool_]:
        """``(n,)``, true where a text is also among the others."""
        return np.isin(self.array, others.array)
