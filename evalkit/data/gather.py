"""From what was found for each item and seed to the list of a folder's items, complete and without doubles."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.data.item import EditItem, Problem
from evalkit.data.layouts import Slot
from evalkit.data.problems import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One item per item and seed, and what was wrong with what was found."""

    items: tuple[EditItem, ...]
    problems: tuple[Problem, ...]


def gather(expected: Sequence[EditItem], found: Mapping[Slot, Sequence[EditItem]], root: Path) -> Gathered:
    """Takes what was found exactly once; everything else becomes ``missing``, with the reason.

    Of two files for one item none is taken: there is no rule by which one would be right. A seed that at least half
    of the seeded items have is expected of every item that has no file without a seed.

    Args:
        expected: The items that should be there, in the order that the result keeps.
        found: For each slot, the items that claim it, with their edited images.
        root: The folder, for messages.
    """
    items: list[EditItem] = []
    problems: list[Problem] = []
    for position, seeds in enumerate(_seeds(len(expected), found)):
        for seed in seeds:
            item, problem = _settled(replace(expected[position], seed=seed), found.get((position, seed), ()), root)
            items.append(item)
            if problem:
                problems.append(problem)
    return Gathered(items=tuple(items), problems=tuple(problems))


def _seeds(n_items: int, found: Mapping[Slot, Sequence[EditItem]]) -> list[list[int | None]]:
    """For each item, the seeds that the folder should hold of it, in order."""
    present: dict[int, set[int | None]] = defaultdict(set)
    for position, seed in found:
        present[position].add(seed)
    counts = Counter(seed for seeds in present.values() for seed in seeds if seed is not None)
    seeded = sum(seeds != {None} for seeds in present.values())
    common = {seed for seed, count in counts.items() if 2 * count >= seeded}
    result = []
    for position in range(n_items):
        seeds = present.get(position, set())
        wanted = seeds if None in seeds else seeds | common
        # None, the file without a seed, comes first.
        result.append(sorted(wanted or {None}, key=lambda seed: (seed is not None, seed or 0)))
    return result


def _settled(expected: EditItem, claims: Sequence[EditItem], root: Path) -> tuple[EditItem, Problem | None]:
    """The item of one slot, and its problem if it has one."""
    if len(claims) == 1:
        item = claims[0]
        if item.status == "ok":
            return item, None
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
