"""Which layout explains a folder: each proposes which file is which item's, the best counts, ties are refused."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.edits.caption_names import caption_layout
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.inferred_patterns import infer_patterns
from evalkit.edits.item import Problem
from evalkit.edits.layouts import Assignment, assign, by_names, by_patterns
from evalkit.edits.names import Pattern, bare_name, loose, numbered, path_parts
from evalkit.edits.problems import shown
from evalkit.edits.scan import Scan
from evalkit.errors import LayoutError, OptionError
from evalkit.formatting import counted, listed, series

_BY_NAME, _BY_WORDS = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What the user typed beside the folder, for commands that are suggested."""

    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Typed":
        """The options of :func:`evalkit.benchmarks.open.open_edits` as they are typed, but for patterns."""
        lines = [(name, line) for name, value in options.items() for line in str(value or "").splitlines()]
        named = {"mapped": "map", "source_pattern": "source-pattern"}
        words = [word for name, line in lines for word in (f"--{named.get(name, name)}", line)]
        return cls(words=tuple(words))

    def command(self, *more: str) -> str:
        """A command with the same options."""
        return shlex.join(["evalkit", "check", *more, *self.words])


def best_layout(scan: Scan, expected: ExpectedItems, patterns: Sequence[Pattern], typed: Typed) -> Assignment:
    """What the layout makes of the files that explains them best.

    Raises:
        LayoutError: None does, or two do as well as each other and differ.
        OptionError: A pattern asks for what is known of no item.
    """
    if patterns:
        for pattern in patterns:
            _refuse_unknown_values(pattern, expected)
        tried = [by_patterns(scan, expected, patterns)]
    else:
        tried = propose(scan, expected)
    best = best_of(tried)
    if not best.explains:
        raise LayoutError(_unexplained(scan, expected, tried, typed))
    _refuse_rivals(best, tried, scan, typed)
    return best


def best_numbering(scan: Scan, expected: ExpectedItems, patterns: Sequence[Pattern], typed: Typed) -> Assignment:
    """The same, of items whose ids are only their places in a table: counted from 0 or from 1, as the files are.

    Raises:
        LayoutError: As :func:`best_layout`, or the files are not numbered as the rows are.
    """
    if not expected.numbered:
        return best_layout(scan, expected, patterns, typed)
    for first in (0, 1):
        items = tuple(replace(item, item_id=str(number)) for number, item in enumerate(expected.items, start=first))
        rows = dict(zip((item.item_id for item in items), expected.rows.values(), strict=True))
        note = f"{expected.table}: its rows name no item and were counted from {first}, as the files are"
        counted = replace(expected, items=items, rows=rows, notes=(*expected.notes, note))
        with suppress(LayoutError):
            best = best_layout(scan, counted, patterns, typed)
            if {position for position, _ in best.files} == {*range(len(items))}:
                return best
    raise LayoutError(
        f"The {len(expected.items)} rows of {expected.table} name no item, and the {len(scan.images)} image files in "
        f"{scan.root} are not numbered as these are. Give the table a column item_id."
    )


def propose(scan: Scan, expected: ExpectedItems) -> list[Assignment]:
    """What all layouts make of a folder's files; those that look into names, only where whole names do not suffice."""
    tried = by_names(scan, expected)
    best = best_of(tried)
    if best.rank[1] == len(scan.images) or not expected.items:
        return tried
    inferred = infer_patterns(scan.images, scan.root, [item.item_id for item in expected.items], "item_id")
    inferred += infer_patterns(scan.images, scan.root, expected.source_names.values(), "source")
    edits = [each.pattern for each in inferred if each.role in (None, "edited_image")]
    inside = [by_patterns(scan, expected, [pattern], inferred=True) for pattern in edits]
    tried += [each for each in inside if _agrees(each, best)]
    by_caption = caption_layout(scan, expected)
    return (
        [*tried, assign(scan, "pattern", "the captions in their names", by_caption, expected)] if by_caption else tried
    )


def _agrees(one: Assignment, other: Assignment) -> bool:
    """Whether no file is one item's edit by one layout and another's by the other."""
    items = {path: position for (position, _), paths in other.files.items() for path in paths}
    return all(items.get(path, at) == at for (at, _), paths in one.files.items() for path in paths)


def best_of(tried: Sequence[Assignment]) -> Assignment:
    """The layout that finds most; of equals the first, which is the most specific."""
    return max(tried, key=lambda assignment: assignment.rank)


def notes_on(best: Assignment, scan: Scan) -> Iterator[Problem]:
    """What was guessed to say which file is which item's."""

    def note(message: str, path: Path) -> Problem:
        return Problem(code="guessed", message=message, path=path)

    items = best.expected.items
    matched = [(path, items[position].item_id) for (position, _), paths in best.files.items() for path in paths]
    if not matched:
        return
    if best.pattern:
        name = shown(matched[0][0], scan.root)
        yield note(
            f'Names such as {name} were read as "{best.pattern}": that one is an edit of {matched[0][1]}; to have it '
            f"otherwise: --pattern PATTERN",
            matched[0][0],
        )
    as_numbers = [(path, item_id) for path, item_id in matched if _only_as_numbers(path.name, item_id)]
    if as_numbers and best.pattern is None:
        path, item_id = as_numbers[0]
        yield note(
            f"{len(as_numbers)} item ids were compared with names of files as numbers: '{item_id}' is "
            f"{shown(path, scan.root)}.",
            path,
        )
    names = best.expected.edited_names
    moved = [
        (path, names[item_id])
        for path, item_id in matched
        if item_id in names and not _is_tail(path.relative_to(scan.root).as_posix(), names[item_id])
    ]
    if moved and best.expected.table:
        path, name = moved[0]
        yield note(
            f"{len(moved)} edited images were found by their bare names: '{name}' is {shown(path, scan.root)}.", path
        )


def _only_as_numbers(name: str, item_id: str) -> bool:
    one, other = bare_name(name), bare_name(item_id)
    return numbered(one) == numbered(other) and loose(one) != loose(other)


def _is_tail(one: str, other: str) -> bool:
    """Whether the folders of two paths do not contradict each other, as far as both name them."""
    folders = zip(reversed(path_parts(one)[:-1]), reversed(path_parts(other)[:-1]), strict=False)
    return all(loose(a) == loose(b) for a, b in folders)


def _refuse_unknown_values(pattern: Pattern, expected: ExpectedItems) -> None:
    """A placeholder for something that no item has can match nothing."""
    known = {"source": expected.source_names, "target_caption": any(item.target_caption for item in expected.items)}
    if expected.items and (unknown := [name for name in pattern.names if not known.get(name, True)]):
        raise OptionError(
            f'The pattern "{pattern.text}" asks for {{{unknown[0]}}}, which is known of no item. '
            "Say where it is to be had, with --data DIR or --captions FILE, or use another placeholder."
        )


def _refuse_rivals(best: Assignment, tried: Sequence[Assignment], scan: Scan, typed: Typed) -> None:
    """Two layouts that explain as much and disagree: there is no rule by which one would be right."""
    for rival in tried:
        if rival.rank != best.rank or _strictness(rival) != _strictness(best) or rival.files == best.files:
            continue
        if not (_strictness(best) and (options := [_option(each) for each in (best, rival)])):
            continue
        path = next(
            (path for slot, paths in best.files.items() for path in paths if path not in rival.files.get(slot, ()))
        )
        items = [_label(each, path) for each in (best, rival)]
        raise LayoutError(
            f"{shown(path, scan.root)} may be an edit of {series(items)}: {best.title} and {rival.title} fit "
            f"{best.n_matched} files each. Say which: "
            + " or ".join(typed.command(str(scan.root), "--pattern", option) for option in options)
        )


def _strictness(each: Assignment) -> int:
    """Names that a table or a benchmark prescribes come before ids and sources, and those before words in names."""
    return _BY_WORDS if each.layout == "pattern" else _BY_NAME if each.title.endswith(("ids", "source images")) else 0


def _option(each: Assignment) -> str:
    return each.pattern or ("{item_id}" if each.title.endswith("ids") else "{source}")


def _label(each: Assignment, path: Path) -> str:
    found = ((position, seed) for (position, seed), paths in each.files.items() if path in paths)
    position, seed = next(found, (None, None))
    if position is None:
        return "none"
    return each.expected.items[position].item_id + (f" (seed {seed})" if seed is not None else "")


def without_images(scan: Scan) -> str:
    """That a folder holds no image; and what to do where it holds links to files elsewhere."""
    said = f"{scan.root} was expected to hold edited images, and holds no image file"
    links = [shown(p.path, scan.root) for p in scan.problems if p.code == "symlink_outside_folder" and p.path]
    if not links:
        return f"{said}."
    copy = shlex.join(["cp", "-RL", str(scan.root), f"{scan.root}-copy"])
    verbs = ("leads", "is") if len(links) == 1 else ("lead", "are")
    out = f"{counted(len(links), 'symbolic link')} that {verbs[0]} out of it and {verbs[1]} not followed"
    return f"{said}, but {out}: {listed(links)}. Name the folder that the files are in, or copy them: {copy}"


def _unexplained(scan: Scan, expected: ExpectedItems, tried: Sequence[Assignment], typed: Typed) -> str:
    """What was compared with what, an example of each side, and what to type."""
    if not scan.images:
        return without_images(scan)
    fits = "; ".join(f"{each.title} fit {each.n_matched}" for each in tried if not each.pattern)
    ids = [expected.edited_names.get(item.item_id, item.item_id) for item in expected.items[:1]]
    wanted = f", and names such as '{ids[0]}' are expected" if ids else ""
    better = [each for each in tried if each.pattern and each.rank > best_of(tried[:2]).rank]
    best = max(better, key=lambda each: each.rank, default=None)
    remedy = (
        f"{best.n_matched} of them would be explained by: {typed.command(str(scan.root), '--pattern', best.pattern)}"
        if best and best.pattern and best.n_matched
        else "Say how they are named with --pattern, such as "
        '"{item_id}_edited" or "{source}-{target_caption}", or what they are edits of with --captions FILE.'
    )
    return (
        f"No layout explains the {len(scan.images)} image files in {scan.root}: {fits}. "
        f"The first is '{shown(scan.images[0], scan.root)}'{wanted}. {remedy}"
    )
