"""Which file is which item's, for folders that say so only by their names.

A layout is a function from a file's relative path to the items that it could be of. Pairing is by name alone: no
layout knows the order of the files or how many there are.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from evalkit.edits.asked import Seed
from evalkit.edits.folder import ExpectedItems, LayoutName
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import LEVELS, NameIndex, Pattern, Reading, tolerant
from evalkit.edits.problems import shown
from evalkit.edits.resolve import Matches
from evalkit.edits.scan import Scan

Slot = tuple[int, Seed]
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
    expected: ExpectedItems
    files: Mapping[Slot, Sequence[Path]]
    """More than one file for a slot is a problem of that item."""
    problems: tuple[Problem, ...]
    """Files that fit nothing, or several items."""
    n_files: int

    @property
    def n_matched(self) -> int:
        """How many of the files are an edited image of some item."""
        return sum(map(len, self.files.values()))

    @property
    def explains(self) -> bool:
        """Whether the layout accounts for half of the files, or for half of the items among many other files."""
        n_found = len({position for position, _ in self.files})
        return n_found > 0 and (2 * self.n_matched >= self.n_files or 2 * n_found >= len(self.expected.items))

    def matches(self) -> Matches:
        """The edits that the files are."""
        items = self.expected.items
        candidates: dict[int, dict[Seed, list[EditItem]]] = defaultdict(dict)
        for (position, seed), paths in self.files.items():
            edits = [replace(items[position], seed=seed, edited_image=path) for path in paths]
            candidates[position][seed] = edits
        return Matches(
            layout=self.layout,
            items=items,
            candidates=candidates,
            problems=self.problems,
            n_files=self.n_files,
            n_matched=self.n_matched,
        )


def assign(scan: Scan, layout: LayoutName, title: str, slots_of: Layout, expected: ExpectedItems) -> Assignment:
    """Goes through a folder's files with a layout; those that are unclear are taken for none of the items."""
    files: dict[Slot, list[Path]] = defaultdict(list)
    problems = []
    for path in scan.images:
        slots = slots_of(path.relative_to(scan.root))
        if len(slots) == 1 and path not in expected.unclear:
            files[slots[0]].append(path)
        elif slots or path in expected.unclear:
            message = f"{shown(path, scan.root)} fits several items equally well and is taken for none."
            problems.append(Problem(code="ambiguous_name", message=message, path=path))
        else:
            message = f"{shown(path, scan.root)} is no item's edited image."
            problems.append(Problem(code="unmatched_file", message=message, path=path))
    return Assignment(
        layout=layout,
        title=title,
        expected=expected,
        files=files,
        problems=tuple(problems),
        n_files=len(scan.images),
    )


def by_benchmark_names(scan: Scan, expected: ExpectedItems) -> list[Assignment]:
    """What the layouts of a benchmark make of a folder's files."""
    name, items = expected.benchmark, expected.items
    official = name_layout(items, expected.edited_names)
    return [
        assign(scan, "official", f"the file names of {name}", official, expected),
        assign(scan, "item_id", f"the item ids of {name}", item_id_layout(items), expected),
    ]


def by_table_names(scan: Scan, expected: ExpectedItems) -> list[Assignment]:
    """What the layouts of a captions table make of a folder's files."""
    items = expected.items
    by_edits, by_sources = (name_layout(items, names) for names in (expected.edited_names, expected.source_names))
    return [
        assign(scan, "parallel", "the table's names of edited images", by_edits, expected),
        assign(scan, "parallel", "the item ids", item_id_layout(items), expected),
        assign(scan, "parallel", "the names of the source images", by_sources, expected),
    ]


def name_layout(items: Sequence[EditItem], names: Mapping[str, str]) -> Layout:
    """Files that carry the name which ``names`` has for an item: its official one, the table's, or its source's."""
    index = _index_of(items, names)
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


def pattern_layout(pattern: Pattern, expected: ExpectedItems) -> Layout:
    """Files named as a pattern says, with values that are the items' own.

    Of several readings of a name the one counts in which ``*`` stands for least.
    """
    items = expected.items
    indices = {
        "item_id": NameIndex((item.item_id, i) for i, item in enumerate(items)),
        "source": _index_of(items, expected.source_names),
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


def items_by_pattern(scan: Scan, pattern: Pattern, source_files: Sequence[Path]) -> ExpectedItems:
    """The items that a folder's own file names describe.

    A name that can be read in several ways describes none, unless the source images decide.
    """
    sources = NameIndex((path.name, path.name) for path in source_files)
    items: dict[str, EditItem] = {}
    source_names: dict[str, str] = {}
    unclear: set[Path] = set()
    for path in scan.images:
        readings = _plausible(list(pattern.readings(path.relative_to(scan.root))), sources)
        if len(readings) > 1:
            unclear.add(path)
        elif readings:
            values = readings[0]
            item_id = values.get("item_id") or "-".join(values.values())
            caption = " ".join(values.get("target_caption", "").replace("_", " ").split())
            # Two spellings of one name are two files for one item.
            items.setdefault(tolerant(item_id), EditItem(item_id=item_id, target_caption=caption or None))
            if "source" in values:
                source_names[item_id] = values["source"]
    return ExpectedItems(items=tuple(items.values()), source_names=source_names, unclear=frozenset(unclear))


def _index_of(items: Sequence[EditItem], names: Mapping[str, str]) -> NameIndex[int]:
    """The positions of the items that have a name, by it."""
    return NameIndex((names[item.item_id], i) for i, item in enumerate(items) if item.item_id in names)


def _common(values: Mapping[str, str], indices: Mapping[str, NameIndex[int]], *, strict: bool) -> Iterator[int]:
    """The items that every value fits."""
    fitting = [
        indices[name].find(value) if strict else indices[name].find_loosely(value) for name, value in values.items()
    ]
    fitting.sort(key=len)
    others = [frozenset(positions) for positions in fitting[1:]]
    return (position for position in fitting[0] if all(position in positions for positions in others))


def _plausible(readings: Sequence[Reading], sources: NameIndex[str]) -> list[dict[str, str]]:
    """The readings to choose from, without their seeds.

    The most literal name of a known source image counts; else ``*`` stands for as little as possible.
    """

    def rank(reading: Reading) -> tuple[int, int]:
        level = sources.level(reading.get("source") or "")
        return len(LEVELS) if level is None else level, reading.skipped

    best = min(map(rank, readings), default=None)
    chosen: list[dict[str, str]] = []
    for reading in readings:
        values = {name: value for name, value in reading.values if name != "seed"}
        if rank(reading) == best and values not in chosen:
            chosen.append(values)
    return chosen
