"""What a folder should hold, where no benchmark says it: from a captions table, source images or the file names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evalkit.edits.captions import CaptionTable
from evalkit.edits.folder import ItemList
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import LEVELS, NameIndex, composed, stem, tolerant
from evalkit.edits.pattern import Pattern, Reading
from evalkit.edits.scan import Scan
from evalkit.errors import ImageError
from evalkit.images.decode import image_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedItems:
    """Items that a folder is expected to hold, and the names of files that belong to them."""

    items: tuple[EditItem, ...]
    source_names: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the name of its source image, where it is known."""
    edited_names: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the name of its edited image, where one is prescribed."""
    benchmark: str | None = None
    unclear: frozenset[Path] = frozenset()
    """Files whose names describe several items equally well."""


def by_benchmark(expected: ItemList) -> ExpectedItems:
    """The items of a benchmark."""
    return ExpectedItems(
        items=expected.items,
        source_names={item.item_id: item.source_image.name for item in expected.items if item.source_image},
        edited_names=expected.edited_names,
        benchmark=expected.benchmark,
    )


def by_table(table: CaptionTable) -> ExpectedItems:
    """The rows of a captions table."""
    return ExpectedItems(items=table.items, source_names=table.source_names, edited_names=table.edited_names)


def by_sources(source_files: Sequence[Path]) -> ExpectedItems:
    """One item for each source image, to be edited under the same name."""
    stems = Counter(stem(path.name) for path in source_files)
    ids = [stem(path.name) if stems[stem(path.name)] == 1 else path.name for path in source_files]
    names = {item_id: path.name for item_id, path in zip(ids, source_files, strict=True)}
    return ExpectedItems(items=tuple(EditItem(item_id=item_id) for item_id in names), source_names=names)


def by_pattern(scan: Scan, pattern: Pattern, source_files: Sequence[Path]) -> ExpectedItems:
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


def with_sources(
    items: Sequence[EditItem], source_names: Mapping[str, str], source_files: Sequence[Path]
) -> tuple[EditItem, ...]:
    """The items with the source images that the user's own folder holds, found by their names, else by the item ids."""
    index = NameIndex((path.name, path) for path in source_files)

    def found(item: EditItem) -> EditItem:
        files = index.find(source_names.get(item.item_id, item.item_id)) if item.source_image is None else ()
        return replace(item, source_image=files[0]) if len(files) == 1 else item

    return tuple(map(found, items)) if source_files else tuple(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Items with their groups."""

    items: tuple[EditItem, ...]
    problems: tuple[Problem, ...]
    """Source images that cannot be read."""


def with_groups(items: Sequence[EditItem], source_names: Mapping[str, str]) -> Grouped:
    """Items that nobody has grouped, by the bytes of their source images; by its name where a source is not there."""
    digests: dict[Path, str | None] = {}
    problems = {}
    grouped: list[EditItem] = []
    for item in items:
        group, source = item.group, item.source_image
        if group is None and source is not None:
            if source not in digests:
                try:
                    digests[source] = image_digest(source)
                except ImageError as error:
                    digests[source] = None
                    problems[source] = Problem(code="unreadable_image", message=str(error), path=source)
            group = digests[source]
        elif group is None and item.item_id in source_names:
            group = f"source:{tolerant(stem(composed(source_names[item.item_id])))}"
        grouped.append(item if group == item.group else replace(item, group=group))
    return Grouped(items=tuple(grouped), problems=tuple(problems.values()))
