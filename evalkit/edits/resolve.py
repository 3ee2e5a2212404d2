"""From what was found for each item and seed to the list of a folder's items, complete and without doubles."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.data.shelf import shelf_of_items
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.problems import shown

Seed = int | None


class Candidates:
    """What was found, each with the item, by its position among the expected ones, and the seed that it claims to be.

    There may be a million; beside the items themselves, which lie on a shelf, each takes 16 bytes.
    """

    def __init__(self) -> None:
        self._items = shelf_of_items()
        self._positions = array("q")
        self._seeds = array("q")
        self._numbers: dict[Seed, int] = {}
        self.n_files = 0
        """Claims that have an edited image."""

    def add(self, position: int, item: EditItem) -> None:
        """One more, with its own seed."""
        self._positions.append(position)
        self._seeds.append(self._numbers.setdefault(item.seed, len(self._numbers)))
        self._items.append(item)
        self.n_files += item.edited_image is not None

    def by_position(self, n_items: int) -> Iterator[dict[Seed, list[EditItem]]]:
        """For each expected item its claimants by seed, in the order in which they came."""
        positions = np.frombuffer(self._positions, dtype=np.int64) if self._positions else np.zeros(0, dtype=np.int64)
        order = np.argsort(positions, kind="stable")
        starts = np.searchsorted(positions[order], np.arange(n_items + 1))
        for position in range(n_items):
            found: dict[Seed, list[EditItem]] = {}
            for number in order[starts[position] : starts[position + 1]].tolist():
                item = self._items[number]
                found.setdefault(item.seed, []).append(item)
            yield found

    def common_seeds(self) -> set[int]:
        """The seeds that at least half of the items have that have any."""
        if not self._positions:
            return set()
        pairs = np.stack([np.frombuffer(self._positions, np.int64), np.frombuffer(self._seeds, np.int64)])
        order = np.lexsort(pairs[::-1])
        pairs = pairs[:, order]
        pairs = pairs[:, np.concatenate([[True], (np.diff(pairs) != 0).any(axis=0)])]
        counts = np.bincount(pairs[1], minlength=len(self._numbers)).tolist()
        seeded = len(np.unique(pairs[0, pairs[1] != self._numbers.get(None, -1)]))
        return {seed for seed, number in self._numbers.items() if seed is not None and 2 * counts[number] >= seeded}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One item per item and seed, and what was wrong with what was found."""

    items: Sequence[EditItem]
    problems: tuple[Problem, ...]


def resolve(expected: Sequence[EditItem], found: Candidates, root: Path) -> Resolved:
    """Takes what was found exactly once; everything else becomes ``missing``, with the reason.

    Of two files for one item none is taken: there is no rule by which one would be right. A seed that at least half
    of the seeded items have is expected of every item that has no file without a seed.

    Args:
        expected: The items that should be there, in the order that the result keeps.
        found: The items that claim to be one of them, with their edited images.
        root: The folder, for messages.
    """
    items = shelf_of_items()
    problems: list[Problem] = []
    common = found.common_seeds()
    for position, claims in enumerate(found.by_position(len(expected))):
        for seed in _wanted(claims.keys(), common):
            claimants = claims.get(seed, ())
            if len(claimants) == 1 and claimants[0].status == "ok":
                items.append(claimants[0])
                continue
            item, problem = _settled(replace(expected[position], seed=seed), claimants, root)
            items.append(item)
            problems.append(problem)
    return Resolved(items=items, problems=tuple(problems))


def _wanted(present: Iterable[Seed], common: set[int]) -> list[Seed]:
    """The seeds that the folder should hold of an item, in order."""
    seeds = set(present)
    wanted = seeds if None in seeds else seeds | common
    # None, the file without a seed, comes first.
    return sorted(wanted or {None}, key=lambda seed: (seed is not None, seed or 0))


def _settled(expected: EditItem, claims: Sequence[EditItem], root: Path) -> tuple[EditItem, Problem]:
    """The item of a slot that has no edit, or several, and its problem."""
    if len(claims) == 1:
        item = claims[0]
        code = "failed_edit" if item.status == "failed" else "missing_edited_image"
        why = item.reason or ("the method gave no reason" if item.status == "failed" else "there is no file for it")
    elif claims:
        names = [shown(claim.edited_image, root) if claim.edited_image else claim.status for claim in claims]
        code = "duplicate_item"
        why = f"{len(claims)} files claim to be it, and none is taken: {', '.join(names)}"
        item = expected.without_edit("missing", why)
    else:
        code, why = "missing_edited_image", "there is no file for it"
        item = expected.without_edit("missing", why)
    verb = "failed" if item.status == "failed" else "has no edited image"
    return item, Problem(code=code, message=f"{item.label} {verb}: {why}.", item_id=item.item_id)
