"""What a folder's manifest claims, held against the files that are there and the benchmark it names."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.data.folder import ItemList
from evalkit.data.item import EditItem, Problem
from evalkit.data.layouts import Slot
from evalkit.data.manifest import IMAGE_COLUMNS, Manifest
from evalkit.data.names import composed, tolerant
from evalkit.data.problems import shown
from evalkit.data.scan import Scan

_FROM_BENCHMARK = (
    "target_caption",
    "source_caption",
    "instruction",
    "edit_type",
    "group",
    "source_image",
    "reference_image",
    "edit_mask",
    "source_attributes",
    "target_attributes",
)
"""What an item is belongs to its benchmark; the manifest says only what a method made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A manifest's claims."""

    items: tuple[EditItem, ...]
    """What is expected: the benchmark's items, else one for each id in the manifest."""
    claims: Mapping[Slot, Sequence[EditItem]]
    n_matched: int
    problems: tuple[Problem, ...]


def claims_of_manifest(manifest: Manifest, scan: Scan, expected: ItemList | None) -> Listed:
    """Finds the files that a manifest names and completes its items with what the benchmark knows of them."""
    rows = _with_files(manifest.items, scan)
    problems = _unclaimed(rows, scan)
    items = expected.items if expected else _first_of_each(rows)
    positions = {item.item_id: position for position, item in enumerate(items)}
    claims: dict[Slot, list[EditItem]] = defaultdict(list)
    disputed: set[str] = set()
    for row in rows:
        position = positions.get(row.item_id)
        if position is None:
            problems.append(_unknown(row, expected))
            continue
        base = items[position]
        if row.item_id not in disputed and _captions_differ(base, row):
            disputed.add(row.item_id)
            problems.append(_disputed(base, row))
        claims[position, row.seed].append(_completed(base, row) if expected else row)
    n_matched = sum(claim.edited_image is not None for slot in claims.values() for claim in slot)
    return Listed(items=items, claims=claims, n_matched=n_matched, problems=tuple(problems))


def _with_files(rows: Sequence[EditItem], scan: Scan) -> list[EditItem]:
    """The rows with only those files that exist, found in whichever Unicode form the disk spells them."""
    on_disk = {composed(str(path)): path for path in scan.images}

    def located(path: Path | None) -> Path | None:
        if path is None:
            return None
        found = on_disk.get(composed(str(path)), path)
        return found if found in images or found.is_file() else None

    images = frozenset(scan.images)
    result = []
    for row in rows:
        item = replace(
            row,
            source_image=located(row.source_image),
            edited_image=located(row.edited_image),
            reference_image=located(row.reference_image),
            edit_mask=located(row.edit_mask),
        )
        if row.edited_image and not item.edited_image:
            item = item.without_edit("missing", f"{shown(row.edited_image, scan.root)} is not there")
        result.append(item)
    return result


def _unclaimed(rows: Sequence[EditItem], scan: Scan) -> list[Problem]:
    """The folder's images that no line names."""
    claimed = {getattr(row, name) for row in rows for name in IMAGE_COLUMNS}
    return [
        Problem(code="unmatched_file", message=f"{shown(path, scan.root)} is in no line of the manifest.", path=path)
        for path in scan.images
        if path not in claimed
    ]


def _first_of_each(rows: Sequence[EditItem]) -> tuple[EditItem, ...]:
    """One item for each id, with what its first line says and without an edit."""
    first: dict[str, EditItem] = {}
    for row in rows:
        first.setdefault(row.item_id, replace(row, seed=None, edited_image=None, status="ok", reason=None))
    return tuple(first.values())


def _completed(base: EditItem, row: EditItem) -> EditItem:
    """The row with everything that the benchmark knows better."""
    known = {name: getattr(base, name) for name in _FROM_BENCHMARK}
    return replace(row, **{name: value for name, value in known.items() if value is not None})


def _captions_differ(base: EditItem, row: EditItem) -> bool:
    if base.target_caption is None or row.target_caption is None:
        return False
    return tolerant(base.target_caption) != tolerant(row.target_caption)


def _disputed(base: EditItem, row: EditItem) -> Problem:
    message = (
        f"{row.item_id}: the manifest says '{row.target_caption}', the benchmark '{base.target_caption}', which counts."
    )
    return Problem(code="caption_differs", message=message, item_id=row.item_id)


def _unknown(row: EditItem, expected: ItemList | None) -> Problem:
    benchmark = expected.benchmark if expected else "The folder"
    return Problem(
        code="unknown_item",
        message=f"{benchmark} has no item '{row.item_id}'.",
        item_id=row.item_id,
        path=row.edited_image,
    )
