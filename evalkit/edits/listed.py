"""What a folder's manifest claims, held against the files that are there and the benchmark it names."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.data.keys import Keys
from evalkit.data.shelf import shelf_of_items
from evalkit.edits.folder import ItemList
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.manifest import IMAGE_COLUMNS, Manifest
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
    rows, claimed, ids = _with_files(manifest.items, scan)
    problems = list(_unclaimed(claimed, scan))
    if expected:
        items: Sequence[EditItem] = expected.items
        known = {item.item_id: position for position, item in enumerate(items)}
        positions: Iterable[int | None] = (known.get(row.item_id) for row in rows)
        first: Sequence[int] = ()
    else:
        numbers, places = ids.numbered()
        first = array("q", places.tolist())
        items, positions = _FirstOfEach(rows, first), numbers.tolist()
    claims = Candidates()
    disputed: set[str] = set()
    for number, (position, row) in enumerate(zip(positions, rows, strict=True)):
        if position is None:
            problems.append(_unknown(row, expected))
            continue
        # Most lines of a folder without a benchmark are the first of their item, and agree with themselves.
        if (expected or first[position] != number) and row.item_id not in disputed:
            base = items[position]
            if _captions_differ(base, row):
                disputed.add(row.item_id)
                problems.append(_disputed(base, row))
        claims.add(position, _completed(items[position], row) if expected else row)
    return Listed(items=items, claims=claims, problems=tuple(problems))


class _FirstOfEach(Sequence[EditItem]):
    """One item for each id, with what its first line says and without an edit."""

    def __init__(self, rows: Sequence[EditItem], first: Sequence[int]) -> None:
        self._rows, self._first = rows, first

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, position: Any) -> Any:  # noqa: ANN401 - as Sequence has it
        row = self._rows[self._first[position]]
        return replace(row, seed=None, edited_image=None, status="ok", reason=None)


def _with_files(rows: Iterable[EditItem], scan: Scan) -> tuple[Sequence[EditItem], Keys, Keys]:
    """The rows with only those files that exist, in whichever Unicode form the disk spells them; the files; the ids."""
    # Nearly all names are spelled alike here and there, and are simply asked for.
    otherwise = {key: path for path in scan.images if (key := composed(str(path))) != str(path)}
    claimed, ids = Keys(), Keys()

    def located(path: Path | None) -> Path | None:
        if path is None:
            return None
        if not path.is_file():
            key = composed(str(path))
            path = otherwise.get(key, Path(key))
            if not path.is_file():
                return None
        claimed.add(composed(str(path)))
        return path

    def with_files(row: EditItem) -> EditItem:
        ids.add(row.item_id)
        files: dict[str, Any] = {name: getattr(row, name) for name in IMAGE_COLUMNS}
        found: dict[str, Any] = {name: located(path) for name, path in files.items()}
        item = row if found == files else replace(row, **found)
        if row.edited_image and not item.edited_image:
            item = item.without_edit("missing", f"{shown(row.edited_image, scan.root)} is not there")
        return item

    return shelf_of_items(map(with_files, rows)), claimed, ids


def _unclaimed(claimed: Keys, scan: Scan) -> Iterator[Problem]:
    """The folder's images that no line names."""
    named = Keys(composed(str(path)) for path in scan.images).known(claimed)
    for number in np.flatnonzero(~named).tolist():
        path = scan.images[number]
        yield Problem(
            code="unmatched_file", message=f"{shown(path, scan.root)} is in no line of the manifest.", path=path
        )


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
