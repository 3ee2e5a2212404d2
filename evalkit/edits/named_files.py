"""The files that a table names: each the path as it is written, else its tail, else its bare name, and said."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import PathIndex
from evalkit.edits.scan import Scan
from evalkit.storage.paths import is_within


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFiles:
    """What became of the names in a table."""

    expected: ExpectedItems
    """The items with the images that were found."""
    problems: tuple[Problem, ...]
    """Files that are named and not there, and what was found by less than its path."""


def with_named_files(expected: ExpectedItems, edits: Scan, sources: Scan | None) -> NamedFiles:
    """Finds the sources, references and masks that a table names.

    A path is taken relative to the folder of sources, to the table's own, and to that of the edits.

    Args:
        expected: What the table says.
        edits: The folder that is read.
        sources: The folder of source images, if the user has named one.
    """
    by_field = {
        "source_image": expected.source_names,
        "reference_image": expected.reference_names,
        "edit_mask": expected.mask_names,
    }
    found: dict[str, dict[str, Path]] = {}
    problems: list[Problem] = []
    table = expected.table or edits.root
    base = table if table.is_dir() else table.parent
    for field, names in by_field.items():
        # Where the sources are elsewhere, a file of that name in the folder is the edit.
        places = [sources] if sources and field == "source_image" else [*([sources] if sources else []), edits]
        if field in expected.unsure:
            places = [sources] if sources else []
            roots = [scan.root for scan in places]
        else:
            roots = [*([sources.root] if sources else []), base, *([edits.root] if edits in places else [])]
        search = _Search(roots=tuple(roots), scans=tuple(places))
        found[field] = {item_id: path for item_id, name in names.items() if (path := search.one(name, item_id))}
        if field not in expected.unsure:
            problems += _absent(expected, field, names, found[field], sources)
        problems += _by_tail(field, names, found[field], search)
        problems += _outside(field, found[field], [edits.root, base, *([sources.root] if sources else [])])
    items = tuple(_with_files(item, found) for item in expected.items)
    return NamedFiles(expected=replace(expected, items=items), problems=tuple(problems))


class _Search:
    """Finds files by what a table calls them."""

    def __init__(self, roots: Sequence[Path], scans: Sequence[Scan]) -> None:
        self._roots = roots
        self._index = PathIndex(
            (path.relative_to(scan.root).as_posix(), path) for scan in scans for path in scan.images
        )

    def as_written(self, name: str) -> Path | None:
        """The file at the path that the name is."""
        for root in self._roots:
            with suppress(OSError, ValueError):
                if (path := root / name.replace("\\", "/")).is_file():
                    return path
        return None

    def one(self, name: str, item_id: str) -> Path | None:
        """The file that the name fits, if it is one; of several the one that the item's id fits too."""
        if path := self.as_written(name):
            return path
        fitting = self._index.find(name)
        if len(fitting) > 1:
            of_id = {*self._index.find(item_id), *self._index.find(f"{item_id}/{name}")}
            fitting = tuple(path for path in fitting if path in of_id)
        return fitting[0] if len(fitting) == 1 else None


def _with_files(item: EditItem, found: Mapping[str, Mapping[str, Path]]) -> EditItem:
    files: dict[str, Any] = {field: paths[item.item_id] for field, paths in found.items() if item.item_id in paths}
    return replace(item, **files) if files else item


def _absent(
    expected: ExpectedItems, field: str, names: Mapping[str, str], found: Mapping[str, Path], sources: Scan | None
) -> Iterator[Problem]:
    """The files that are named and not there: row by row, or in one sentence where none is."""
    what = field.replace("_", " ")
    absent = {item_id: name for item_id, name in names.items() if item_id not in found}
    where = f" in {sources.root}" if sources else ""
    if absent and not found:
        first, name = next(iter(absent.items()))
        remedy = "" if sources and field == "source_image" else " Give the folder that holds them: --sources DIR"
        message = (
            f"None of the {len(absent)} {what}s that {expected.table} names is there{where}, such as '{name}' "
            f"({expected.rows[first].rpartition(', ')[2]}).{remedy}"
        )
        yield Problem(code="missing_named_file", message=message, item_id=first)
        return
    for item_id, name in absent.items():
        message = f"{expected.rows[item_id]}: the {what} '{name}' of {item_id} is not there{where}, or not just once."
        yield Problem(code="missing_named_file", message=message, item_id=item_id)


def _by_tail(field: str, names: Mapping[str, str], found: Mapping[str, Path], search: _Search) -> Iterator[Problem]:
    """What was found under another path than the one that is written, in one sentence."""
    moved = [(names[item_id], path) for item_id, path in found.items() if not search.as_written(names[item_id])]
    if moved:
        name, path = moved[0]
        message = (
            f"{len(moved)} {field.replace('_', ' ')}s were found by the ends of their paths, such as '{name}': {path}."
        )
        yield Problem(code="guessed", message=message, path=path)


def _outside(field: str, found: Mapping[str, Path], roots: Sequence[Path]) -> Iterator[Problem]:
    """What lies in none of the folders that the user named, in one sentence."""
    outside = [path for path in found.values() if not any(is_within(path, root) for root in roots)]
    if outside:
        message = (
            f"{len(outside)} {field.replace('_', ' ')}s were read from outside of the folders that were given, as the "
            f"table names them, such as {outside[0]}."
        )
        yield Problem(code="guessed", message=message, path=outside[0])
