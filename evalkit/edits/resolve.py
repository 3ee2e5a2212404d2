"""From what was found for each item and seed to the list of a folder's items, complete and without doubles."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.edits.item import EditItem, Problem
from evalkit.edits.problems import shown

Seed = int | None


class Candidates:
    """The items that were found, by their position among the expected ones and by seed."""

    def __init__(self) -> None:
        self._found: dict[int, dict[Seed, list[EditItem]]] = {}
        self.n_files = 0
        """How many have an edited image."""

    def add(self, position: int, item: EditItem) -> None:
        """Adds an item that claims to be the expected one at ``position``, with its own seed."""
        self._found.setdefault(position, {}).setdefault(item.seed, []).append(item)
        self.n_files += item.edited_image is not None

    def at(self, position: int) -> Mapping[Seed, Sequence[EditItem]]:
        """The candidates for an expected item by seed, in the order in which they were added."""
        return self._found.get(position, {})

    def common_seeds(self) -> set[int]:
        """The seeds of at least half of the items that have any."""
        counts = Counter(seed for by_seed in self._found.values() for seed in by_seed if seed is not None)
        n_seeded = sum(any(seed is not None for seed in by_seed) for by_seed in self._found.values())
        return {seed for seed, count in counts.items() if 2 * count >= n_seeded}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One item per item and seed, and what was wrong with what was found."""

    items: tuple[EditItem, ...]
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
    items: list[EditItem] = []
    problems: list[Problem] = []
    common = found.common_seeds()
    for position, base in enumerate(expected):
        claims = found.at(position)
        for seed in _wanted(claims.keys(), common):
            claimants = claims.get(seed, ())
            if len(claimants) == 1 and claimants[0].status == "ok":
                items.append(claimants[0])
                continue
            item, problem = _settled(replace(base, seed=seed), claimants, root)
            items.append(item)
            problems.append(problem)
    return Resolved(items=tuple(items), problems=tuple(problems))


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
