"""Which file is which item's, for folders that say so only by their names.

A layout is a function from a file's relative path to the items that it could be of. Pairing is by name alone: no
layout knows the order of the files or how many there are.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from evalkit.edits.folder import LayoutName
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import NameIndex
from evalkit.edits.pattern import Pattern
from evalkit.edits.problems import shown
from evalkit.edits.scan import Scan

Slot = tuple[int, int | None]
"""An item, by its position in the list of expected items, and a seed."""
Layout = Callable[[PurePath], Sequence[Slot]]
"""From a path relative to the folder to what it fits: nothing, one slot, or several if the name is ambiguous."""

_SEED = re.compile(r"(?:seed[ _-]?)?(\d+)(?:\.\w+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a layout makes of a folder's files."""

    layout: LayoutName
    title: str
    """What the layout compares names with, as it reads in messages."""
    files: Mapping[Slot, tuple[Path, ...]]
    """More than one file for a slot is a problem of that item."""
    problems: tuple[Problem, ...]
    """Files that fit nothing, or several items."""
    n_files: int

    @property
    def n_matched(self) -> int:
        """Files that are an item's."""
        return sum(map(len, self.files.values()))

    def explains(self, n_items: int) -> bool:
        """Whether the layout accounts for half of the files, or for half of the items among many other files."""
        found = len({position for position, _ in self.files})
        return found > 0 and (2 * self.n_matched >= self.n_files or 2 * found >= n_items)


def assign(
    scan: Scan, layout: LayoutName, title: str, slots_of: Layout, unclear: Collection[Path] = frozenset()
) -> Assignment:
    """Goes through a folder's files with a layout; those that are unclear are taken for none of the items."""
    files: dict[Slot, list[Path]] = defaultdict(list)
    problems = []
    for path in scan.images:
        slots = slots_of(path.relative_to(scan.root))
        if len(slots) == 1 and path not in unclear:
            files[slots[0]].append(path)
        elif slots or path in unclear:
            message = f"{shown(path, scan.root)} fits several items equally well and is taken for none."
            problems.append(Problem(code="ambiguous_name", message=message, path=path))
        else:
            message = f"{shown(path, scan.root)} is no item's edited image."
            problems.append(Problem(code="unmatched_file", message=message, path=path))
    return Assignment(
        layout=layout,
        title=title,
        files={slot: tuple(paths) for slot, paths in files.items()},
        problems=tuple(problems),
        n_files=len(scan.images),
    )


def official_layout(items: Sequence[EditItem], edited_names: Mapping[str, str]) -> Layout:
    """Files that carry the name which the benchmark, or a captions table, gives each item's edited image."""
    index = NameIndex((edited_names[item.item_id], i) for i, item in enumerate(items) if item.item_id in edited_names)
    return lambda relative: [(position, None) for position in index.find(relative.name)]


def item_id_layout(items: Sequence[EditItem]) -> Layout:
    """Files named ``<item_id>.<ext>``, or ``<item_id>/<seed>.<ext>``."""
    index = NameIndex((item.item_id, i) for i, item in enumerate(items))

    def slots_of(relative: PurePath) -> Sequence[Slot]:
        seed = _SEED.fullmatch(relative.name)
        if seed and len(relative.parts) > 1:
            # The folder's name is an item's, or else the number is: benchmarks do have numbers for ids.
            inside = [(position, int(seed[1])) for position in index.find(relative.parts[-2])]
            if inside:
                return inside
        return [(position, None) for position in index.find(relative.name)]

    return slots_of


def source_layout(items: Sequence[EditItem], source_names: Mapping[str, str]) -> Layout:
    """Files named as their source image, for tables in which every source is edited once."""
    index = NameIndex((source_names[item.item_id], i) for i, item in enumerate(items) if item.item_id in source_names)
    return lambda relative: [(position, None) for position in index.find(relative.name)]


def pattern_layout(pattern: Pattern, items: Sequence[EditItem], source_names: Mapping[str, str]) -> Layout:
    """Files named as a pattern says, with values that are the items' own.

    Of several readings of a name the one counts in which ``*`` stands for least.
    """
    indices = {
        "item_id": NameIndex((item.item_id, i) for i, item in enumerate(items)),
        "source": NameIndex(
            (source_names[item.item_id], i) for i, item in enumerate(items) if item.item_id in source_names
        ),
        "target_caption": NameIndex((item.target_caption, i) for i, item in enumerate(items) if item.target_caption),
    }

    def slots_of(relative: PurePath) -> Sequence[Slot]:
        for strict in (True, False):
            found: dict[int, dict[Slot, None]] = defaultdict(dict)
            for reading in pattern.readings(relative):
                values = dict(reading.values)
                seed = int(values.pop("seed")) if "seed" in values else None
                for position in _common(values, indices, strict=strict):
                    found[reading.skipped][position, seed] = None
            if found:
                return tuple(found[min(found)])
        return ()

    return slots_of


def _common(values: Mapping[str, str], indices: Mapping[str, NameIndex[int]], *, strict: bool) -> Iterator[int]:
    """The items that every value fits."""
    fitting = [
        indices[name].find(value) if strict else indices[name].find_loosely(value) for name, value in values.items()
    ]
    fitting.sort(key=len)
    others = [frozenset(positions) for positions in fitting[1:]]
    return (position for position in fitting[0] if all(position in positions for positions in others))
