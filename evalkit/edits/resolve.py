"""From what is expected and what was found to the items of a folder: each once, with its edit or why it has none."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from evalkit.edits.asked import Asked, Seed
from evalkit.edits.folder import ExpectedItems, LayoutName
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.manifest import Manifest
from evalkit.edits.names import composed, tolerant
from evalkit.edits.problems import shown
from evalkit.edits.scan import Scan
from evalkit.formatting import listed
from evalkit.images.stored import AnyImage, StoredImage

Candidates = Mapping[int, Mapping[Seed, Sequence[EditItem]]]
"""The edits that were found, by the position of the expected item that they are of, and by seed."""

_BY_METHOD = ("item_id", "seed", "edited_image", "status", "reason", "seconds", "cost", "currency")
_BY_BENCHMARK = tuple(field.name for field in fields(EditItem) if field.name not in _BY_METHOD)
"""What an item is belongs to its benchmark; the manifest says only what a method made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Which files of a folder are which items' edits, as a manifest or the names of the files say it."""

    layout: LayoutName
    items: tuple[EditItem, ...]
    """What is expected, in the order that the folder's items keep."""
    candidates: Candidates
    problems: tuple[Problem, ...]
    """Files that are no item's, and lines of a manifest that are none's."""
    n_files: int
    n_matched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One item per item and seed, and what was wrong with what was found."""

    items: tuple[EditItem, ...]
    problems: tuple[Problem, ...]


def resolve(matches: Matches, root: Path, asked: Asked | None = None) -> Resolved:
    """Takes what was found exactly once; everything else becomes ``missing``, with the reason.

    Of two files for one item none is taken: there is no rule by which one would be right. Where it is not known which
    seeds were asked for, one that at least half of the seeded items have is expected of every item that has no file
    without a seed.

    Args:
        matches: What was found.
        root: The folder, for messages.
        asked: What the folder was asked to hold, where it is known.
    """
    items: list[EditItem] = []
    problems: list[Problem] = []
    common = _common_seeds(matches.candidates)
    for position, expected in enumerate(matches.items):
        by_seed = matches.candidates.get(position, {})
        wanted = asked.get(expected.item_id, frozenset()) if asked else None
        for seed in _expected_seeds(by_seed, common if wanted is None else wanted, known=wanted is not None):
            candidates = by_seed.get(seed, ())
            if len(candidates) == 1 and candidates[0].status == "ok":
                items.append(candidates[0])
                continue
            item, problem = _without_edit(replace(expected, seed=seed), candidates, root)
            items.append(item)
            problems.append(problem)
    return Resolved(items=tuple(items), problems=tuple(problems))


def match_manifest(
    manifest: Manifest, scan: Scan, expected: ExpectedItems | None, asked: Asked | None = None
) -> Matches:
    """The edits that a manifest lists, as far as their files are there.

    Args:
        manifest: The folder's.
        scan: The folder's files.
        expected: The items of the benchmark that it holds edits of, which knows better what each item asks for;
            without one, the first line of each item counts.
        asked: What the folder was asked to hold, where it is known: no other item is expected.
    """
    rows, used = _with_files(manifest.items, scan)
    problems = [
        Problem(code="unmatched_file", message=f"{shown(path, scan.root)} is in no line of the manifest.", path=path)
        for path in scan.images
        if composed(str(path)) not in used
    ]
    known = {item.item_id: item for item in expected.items} if expected else _first_lines(rows)
    wanted = _wanted(known, rows, asked, expected) if asked else known
    positions = {item_id: position for position, item_id in enumerate(wanted)}
    candidates: dict[int, dict[Seed, list[EditItem]]] = {}
    differing: dict[str, Problem] = {}
    for row in rows:
        item = known.get(row.item_id)
        if item is None:
            problems.append(_unknown(row, expected))
            continue
        if row.item_id not in differing and _captions_differ(item, row):
            differing[row.item_id] = _caption_differs(item, row, expected)
            problems.append(differing[row.item_id])
        edit = _completed(item, row) if expected else row
        candidates.setdefault(positions[row.item_id], {}).setdefault(row.seed, []).append(edit)
    n_matched = sum(row.edited_image is not None and row.item_id in known for row in rows)
    return Matches(
        layout="manifest",
        items=tuple(wanted.values()),
        candidates=candidates,
        problems=tuple(problems),
        n_files=n_matched + sum(problem.code in ("unmatched_file", "unknown_item") for problem in problems),
        n_matched=n_matched,
    )


def _wanted(
    known: Mapping[str, EditItem], rows: Iterable[EditItem], asked: Asked, expected: ExpectedItems | None
) -> Mapping[str, EditItem]:
    """The items that the folder should hold, or holds; without a benchmark of some no more is known than the id."""
    if expected is None:
        return {**known, **{item_id: EditItem(item_id=item_id) for item_id in asked if item_id not in known}}
    wanted = {*asked, *(row.item_id for row in rows)}
    return {item_id: item for item_id, item in known.items() if item_id in wanted}


def _first_lines(rows: Iterable[EditItem]) -> dict[str, EditItem]:
    """What the first line of each item says of it, without what a method made of it."""
    first: dict[str, EditItem] = {}
    for row in rows:
        if row.item_id not in first:
            first[row.item_id] = replace(row, seed=None, edited_image=None, status="ok", reason=None)
    return first


def _with_files(rows: Iterable[EditItem], scan: Scan) -> tuple[list[EditItem], set[str]]:
    """The rows with only those files that exist, in whichever Unicode form the disk spells them; and those files."""
    # Nearly all names are spelled alike here and there, and are simply asked for.
    otherwise = {key: path for path in scan.images if (key := composed(str(path))) != str(path)}
    used: set[str] = set()

    def located(path: AnyImage) -> AnyImage | None:
        if isinstance(path, StoredImage):
            return path
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


def _completed(item: EditItem, row: EditItem) -> EditItem:
    """The row with everything that the benchmark knows better."""
    known = {name: getattr(item, name) for name in _BY_BENCHMARK}
    return replace(row, **{name: value for name, value in known.items() if value is not None})


def _captions_differ(item: EditItem, row: EditItem) -> bool:
    ours, theirs = item.target_caption, row.target_caption
    return ours is not None and theirs is not None and ours != theirs and tolerant(ours) != tolerant(theirs)


def _caption_differs(item: EditItem, row: EditItem, expected: ExpectedItems | None) -> Problem:
    ours, theirs = f"'{item.target_caption}'", f"'{row.target_caption}'"
    message = f"{row.item_id}: the manifest says {theirs}, the benchmark {ours}, which counts."
    if expected is None:
        message = f"{row.item_id}: of one edit the caption is {theirs}, of the first it is {ours}, which counts."
    return Problem(code="caption_differs", message=message, item_id=row.item_id)


def _unknown(row: EditItem, expected: ExpectedItems | None) -> Problem:
    owner = expected.benchmark if expected else "The folder"
    message = f"{owner} has no item '{row.item_id}'."
    return Problem(code="unknown_item", message=message, item_id=row.item_id, path=row.edited_image)


def _common_seeds(candidates: Candidates) -> set[int]:
    """The seeds of at least half of the items that have any."""
    counts = Counter(seed for by_seed in candidates.values() for seed in by_seed if seed is not None)
    n_seeded = sum(any(seed is not None for seed in by_seed) for by_seed in candidates.values())
    return {seed for seed, count in counts.items() if 2 * count >= n_seeded}


def _expected_seeds(present: Iterable[Seed], others: Iterable[Seed], *, known: bool) -> list[Seed]:
    """The seeds that the folder should hold of an item, in order; None, the file without a seed, comes first.

    Args:
        present: Those that it holds.
        others: Those that were asked for, or that items have in general.
        known: Whether it is known that they were asked for.
    """
    seeds = set(present)
    wanted = seeds if None in seeds and not known else seeds.union(others)
    return sorted(wanted or {None}, key=lambda seed: (seed is not None, seed or 0))


def _without_edit(expected: EditItem, candidates: Sequence[EditItem], root: Path) -> tuple[EditItem, Problem]:
    """The item of a seed that has no edit, or several, and its problem."""
    code, why = "missing_edited_image", "there is no file for it"
    if len(candidates) == 1:
        item = candidates[0]
        if item.status == "failed":
            code, why = "failed_edit", "the method gave no reason"
        why = item.reason or why
    else:
        if candidates:
            names = [shown(one.edited_image, root) if one.edited_image else one.status for one in candidates]
            code = "duplicate_item"
            why = f"{len(candidates)} files claim to be it, and none is taken: {listed(names)}"
        item = expected.without_edit("missing", why)
    verb = "failed" if item.status == "failed" else "has no edited image"
    return item, Problem(code=code, message=f"{item.label} {verb}: {why}.", item_id=item.item_id)
