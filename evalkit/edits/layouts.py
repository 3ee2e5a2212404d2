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
from evalkit.edits.names import LEVELS, NameIndex, PathIndex, Pattern, Reading, bare_name, flattened, tolerant
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
    pattern: str | None = None
    """How the files are named, where that was inferred from their names."""

    @property
    def n_matched(self) -> int:
        """How many of the files are an edited image of some item."""
        return sum(map(len, self.files.values()))

    @property
    def rank(self) -> tuple[int, int, int]:
        """How well it explains the folder: items that are found without doubt, edits that are, and files."""
        clear = [slot for slot, paths in self.files.items() if len(paths) == 1]
        return len({position for position, _ in clear}), len(clear), self.n_matched

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


def assign(
    scan: Scan, layout: LayoutName, title: str, slots_of: Layout, expected: ExpectedItems, pattern: str | None = None
) -> Assignment:
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
        pattern=pattern,
    )


def by_names(scan: Scan, expected: ExpectedItems) -> list[Assignment]:
    """What the layouts that compare whole names make of a folder's files, the most specific first."""
    items, owner = expected.items, expected.benchmark
    positions = {item.item_id: position for position, item in enumerate(items)}
    named: list[tuple[str, Slot]] = [
        (name, (positions[item_id], None)) for item_id, name in expected.edited_names.items()
    ]
    named += [(name, (positions[item_id], seed)) for (item_id, seed), name in expected.seed_names.items()]
    ids = [(name, (position, None)) for position, item in enumerate(items) for name in flattened(item.item_id)]
    if owner:
        kinds: list[tuple[LayoutName, str, Sequence[tuple[str, Slot]]]] = [
            ("official", f"the file names of {owner}", named),
            ("item_id", f"the item ids of {owner}", ids),
        ]
    else:
        sources = [(name, (positions[item_id], None)) for item_id, name in expected.source_names.items()]
        kinds = [
            ("parallel", "the table's names of edited images", named),
            ("parallel", "the item ids", ids),
            ("parallel", "the names of the source images", sources),
        ]
    layouts = [
        (kind, title, item_id_layout(names) if names is ids else name_layout(names)) for kind, title, names in kinds
    ]
    return [assign(scan, kind, title, slots_of, expected) for kind, title, slots_of in layouts]


def by_patterns(
    scan: Scan, expected: ExpectedItems, patterns: Sequence[Pattern], *, inferred: bool = False
) -> Assignment:
    """What patterns make of a folder's files; of several the first that fits a file counts."""
    layouts = [pattern_layout(pattern, expected) for pattern in patterns]
    texts = " or ".join(f'"{pattern.text}"' for pattern in patterns)
    return assign(
        scan,
        "pattern",
        f"names like {texts}",
        lambda relative: next((slots for layout in layouts if (slots := layout(relative))), ()),
        expected,
        patterns[0].text if inferred else None,
    )


def name_layout(named: Sequence[tuple[str, Slot]]) -> Layout:
    """Files that carry one of the names: an official one, the table's, an item's id, or its source image's."""
    return PathIndex(named).find


def item_id_layout(named: Sequence[tuple[str, Slot]]) -> Layout:
    """Files named ``<item_id>.<ext>``, or ``<item_id>/<seed>.<ext>``."""
    index = PathIndex(named)

    def slots_of(relative: PurePath) -> Sequence[Slot]:
        seed = _SEED.fullmatch(relative.name)
        # The folder's name is an item's, or else the number is: benchmarks do have numbers for ids.
        inside = index.find(relative.parent) if seed and len(relative.parts) > 1 else ()
        return [(position, int(seed[1])) for position, _ in inside] if seed and inside else index.find(relative)

    return slots_of


def pattern_layout(pattern: Pattern, expected: ExpectedItems) -> Layout:
    """Files named as a pattern says, with values that are the items' own.

    Of several readings of a name the one counts in which ``*`` stands for least.
    """
    items = expected.items
    positions = {item.item_id: position for position, item in enumerate(items)}
    sources = [(name, positions[item_id]) for item_id, name in expected.source_names.items() if item_id in positions]
    ids = [(name, i) for i, item in enumerate(items) for name in flattened(item.item_id)]
    named = {"item_id": ids, "source": sources}
    paths = {name: PathIndex(values) for name, values in named.items()}
    indices = {name: NameIndex((bare_name(text), i) for text, i in values) for name, values in named.items()}
    indices["target_caption"] = NameIndex(
        (item.target_caption, i) for i, item in enumerate(items) if item.target_caption
    )

    def fitting(name: str, value: str, folders: Sequence[str], *, strict: bool) -> Sequence[int]:
        if strict and name in paths:
            return paths[name].find("/".join([*folders, value]))
        return indices[name].find(value) if strict else indices[name].find_loosely(value)

    def slots_of(relative: PurePath) -> Sequence[Slot]:
        above = {name: pattern.folders_of(relative, at) for name, at in pattern.levels.items()}
        for strict in (True, False):
            found: dict[int, dict[Slot, None]] = defaultdict(dict)
            for reading in pattern.readings(relative):
                values = dict(reading.values)
                seed = int(values.pop("seed")) if "seed" in values else None
                fits = [fitting(name, value, above[name], strict=strict) for name, value in values.items()]
                for position in _common(fits):
                    found[reading.skipped][position, seed] = None
            if found:
                return tuple(found[min(found)])
        return ()

    return slots_of


def items_by_patterns(scan: Scan, patterns: Sequence[Pattern], source_files: Sequence[Path]) -> ExpectedItems:
    """The items that a folder's own file names describe.

    A name that can be read in several ways describes none, unless the source images decide. Where most names are there
    in several folders, an item's id begins with its folder.
    """
    sources = NameIndex((path.name, path.name) for path in source_files)
    unclear: set[Path] = set()
    read: list[tuple[str, dict[str, str]]] = []
    for path in scan.images:
        relative = path.relative_to(scan.root)
        found = ((pattern, list(pattern.readings(relative))) for pattern in patterns)
        pattern, readings = next(((pattern, each) for pattern, each in found if each), (patterns[0], []))
        plausible = _plausible(readings, sources)
        if len(plausible) > 1:
            unclear.add(path)
        elif plausible:
            read.append(("/".join(relative.parts[: -pattern.depth]), plausible[0]))
    folders: dict[str, set[str]] = defaultdict(set)
    for folder, values in read:
        folders[tolerant(_id_in(values))].add(folder)
    apart = 2 * sum(len(each) > 1 for each in folders.values()) >= len(folders)
    items: dict[str, EditItem] = {}
    source_names: dict[str, str] = {}
    for folder, values in read:
        item_id = f"{folder}/{_id_in(values)}" if apart and folder else _id_in(values)
        caption = " ".join(values.get("target_caption", "").replace("_", " ").split())
        # Two spellings of one name are two files for one item.
        items.setdefault(tolerant(item_id), EditItem(item_id=item_id, target_caption=caption or None))
        if "source" in values:
            source_names[item_id] = values["source"]
    return ExpectedItems(items=tuple(items.values()), source_names=source_names, unclear=frozenset(unclear))


def _id_in(values: Mapping[str, str]) -> str:
    return values.get("item_id") or "-".join(values.values())


def _common(fitting: Sequence[Sequence[int]]) -> Iterator[int]:
    """The items that every value fits."""
    shortest, *others = sorted(fitting, key=len)
    sets = [frozenset(positions) for positions in others]
    return (position for position in shortest if all(position in positions for positions in sets))


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
