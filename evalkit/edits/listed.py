"""What a folder's manifest claims, held against the files that are there and the benchmark it names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.edits.folder import ItemList
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.manifest import Manifest
from evalkit.edits.names import composed, tolerant
from evalkit.edits.problems import shown
from evalkit.edits.resolve import Candidates
from evalkit.edits.scan import Scan

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

    items: Sequence[EditItem]
    """What is expected: the benchmark's items, else one for each id in the manifest."""
    claims: Candidates
    problems: tuple[Problem, ...]


def claims_of_manifest(manifest: Manifest, scan: Scan, expected: ItemList | None) -> Listed:
    """Finds the files that a manifest names and completes its items with what the benchmark knows of them."""
    rows, used = _with_files(manifest.items, scan)
    problems = [
        Problem(code="unmatched_file", message=f"{shown(path, scan.root)} is in no line of the manifest.", path=path)
        for path in scan.images
        if composed(str(path)) not in used
    ]
    first: dict[str, EditItem] = {item.item_id: item for item in expected.items} if expected else {}
    if not expected:
        for row in rows:
            first.setdefault(row.item_id, row)
    positions = {item_id: position for position, item_id in enumerate(first)}
    claims = Candidates()
    disputed: set[str] = set()
    for row in rows:
        base = first.get(row.item_id)
        if base is None:
            problems.append(_unknown(row, expected))
            continue
        if base is not row and row.item_id not in disputed and _captions_differ(base, row):
            disputed.add(row.item_id)
            problems.append(_disputed(base, row))
        claims.add(positions[row.item_id], _completed(base, row) if expected else row)
    items = tuple(first.values()) if expected else tuple(map(_without_edit, first.values()))
    return Listed(items=items, claims=claims, problems=tuple(problems))


def _without_edit(row: EditItem) -> EditItem:
    """What a line says of its item, without what a method made of it."""
    return replace(row, seed=None, edited_image=None, status="ok", reason=None)


def _with_files(rows: Iterable[EditItem], scan: Scan) -> tuple[list[EditItem], set[str]]:
    """The rows with only those files that exist, in whichever Unicode form the disk spells them; and those files."""
    # Nearly all names are spelled alike here and there, and are simply asked for.
    otherwise = {key: path for path in scan.images if (key := composed(str(path))) != str(path)}
    used: set[str] = set()

    def located(path: Path) -> Path | None:
        if not path.is_file():
            key = composed(str(path))
            path = otherwise.get(key, Path(key))
            if not path.is_file():
                return None
        used.add(composed(str(path)))
        return path

    def with_files(row: EditItem) -> EditItem:
        item = row.with_images(located)
        if row.edited_image and not item.edited_image:
            item = item.without_edit("missing", f"{shown(row.edited_image, scan.root)} is not there")
        return item

    return [with_files(row) for row in rows], used


def _completed(base: EditItem, row: EditItem) -> EditItem:
    """The row with everything that the benchmark knows better."""
    known = {name: getattr(base, name) for name in _FROM_BENCHMARK}
    return replace(row, **{name: value for name, value in known.items() if value is not None})


def _captions_differ(base: EditItem, row: EditItem) -> bool:
    if base.target_caption is None or row.target_caption is None or base.target_caption == row.target_caption:
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
