"""Sources and edits in one folder, of which a table names one side: which side that is, and what the other pairs with.

The files that are named have something in common (``_input``, ``original/``), and so have the others; what is left of
both is the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Literal

from evalkit.edits.choose import Typed
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.headings import map_option
from evalkit.edits.inferred_patterns import Role, infer_patterns, role_of
from evalkit.edits.layouts import Assignment, by_patterns
from evalkit.edits.names import PathIndex, composed, stem
from evalkit.edits.problems import shown
from evalkit.edits.scan import Scan
from evalkit.errors import LayoutError
from evalkit.formatting import counted

Side = Literal["source_image", "edited_image"]
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[\W_]")
_SEPARATORS = " _-./"
_OTHER: Mapping[Side, Side] = {"source_image": "edited_image", "edited_image": "source_image"}


def with_sides(known: ExpectedItems, scan: Scan, typed: Typed) -> ExpectedItems:
    """What a table says of a folder that holds sources and edits, with the files of the side that it does not name.

    Args:
        known: What the table says. If the heading of its names does not tell whose they are, words in names do, and
            several files for each name, which are edits; where no other files pair with them, they are the edits.
        scan: The folder.
        typed: What was typed to open it.

    Raises:
        LayoutError: Files pair with those that are named, and nothing says which are the sources.
    """
    sure: Side | None = None if "source_image" in known.unsure else "source_image"
    names = known.source_names
    if not names:
        sure, names = "edited_image", known.edited_names
    elif known.edited_names:
        return known
    index = PathIndex((path.relative_to(scan.root).as_posix(), path) for path in scan.images)
    named = {item_id: found[0] for item_id, name in names.items() if len(found := index.find(name)) == 1}
    others = replace(scan, images=tuple(path for path in scan.images if path not in {*named.values()}))
    if not named or not others.images or known.seed_names:
        return known
    affix, keys = _without_common({item_id: _text(path, scan) for item_id, path in named.items()})
    pairs = _best_pairs(replace(known, source_names=keys), others)
    if sure and (pairs is None or pairs.rank[1] < len(others.images)):
        return known
    path = next(iter(named.values()))
    side = sure or _side(affix, pairs)
    if pairs and side is None:
        heading = known.unsure["source_image"]
        commands = (typed.command(str(scan.root), "--map", f"{field}={heading}") for field in _OTHER)
        other = next(iter(pairs.files.values()))[0]
        raise LayoutError(
            f"{known.table}: '{heading}' names {shown(path, scan.root)}, which pairs with {shown(other, scan.root)}: "
            f"either may be the source image. Say which is named: {' or '.join(commands)}"
        )
    return _with_pairs(known, side, pairs, scan) if side else known


def _text(path: Path, scan: Scan) -> str:
    return composed(stem(path.relative_to(scan.root).as_posix()))


def _without_common(names: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What all names begin and end with, folder by folder, as a pattern, and the names without it.

    >>> _without_common({"x": "a/cat_0_in", "y": "b/cat_1_in"})
    ('{source}/cat_{source}_in', {'x': 'a/0', 'y': 'b/1'})
    """
    distinct = list(dict.fromkeys(names.values()))
    if len(distinct) == 1:  # only the words of a side are not the image's own
        words = [word for word in _TOKEN.findall(distinct[0]) if role_of(word)][-1:]
        left, word, right = distinct[0].rpartition(words[0]) if words else ("", "", distinct[0])
        key = max(left.strip(_SEPARATORS), right.strip(_SEPARATORS), key=len)
        return f"{{source}}{word}", dict.fromkeys(names, key)
    split = [name.split("/") for name in distinct]
    levels = list(zip(*split, strict=True)) if len({*map(len, split)}) == 1 else [tuple(distinct)]
    stripped = [_level([_TOKEN.findall(text) for text in level]) for level in levels]
    parts = zip(*(keys for _, keys in stripped), strict=True)
    keys = {name: "/".join(filter(None, each)) for name, each in zip(distinct, parts, strict=True)}
    return "/".join(affix for affix, _ in stripped), {item_id: keys[name] for item_id, name in names.items()}


def _level(names: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """The same of names by their words, of which nothing is left where all are the same."""
    if all(name == names[0] for name in names):
        return "".join(names[0]), [""] * len(names)
    shortest = min(map(len, names)) - 1
    before = _common(names, shortest)
    behind = _common([name[::-1] for name in names], shortest - before)
    affix = "".join([*names[0][:before], "{source}", *names[0][len(names[0]) - behind :]])
    return affix, ["".join(name[before : len(name) - behind]).strip(_SEPARATORS) for name in names]


def _common(names: Sequence[Sequence[str]], most: int) -> int:
    """How many words all begin with."""
    columns = list(zip(*names, strict=False))[:most]
    return len(list(takewhile(lambda column: len({*column}) == 1, columns)))


def _best_pairs(keyed: ExpectedItems, others: Scan) -> Assignment | None:
    """Which other files are named as those that the table names, if that explains most of them."""
    inferred = infer_patterns(others.images, others.root, keyed.source_names.values(), "source")
    sides = [each.pattern for each in inferred if each.role in (None, *_OTHER)]
    tried = [by_patterns(others, keyed, [pattern], inferred=True) for pattern in sides]
    best = max(tried, key=lambda each: each.rank, default=None)
    return best if best and best.rank[0] and best.explains else None


def _side(affix: str, pairs: Assignment | None) -> Side | None:
    """Whose the names are, by the words that only one side has, else by several files for a name, or by 0 and 1."""
    pattern = pairs.pattern if pairs and pairs.pattern else ""
    own, other = _role_apart(affix, pattern), _role_apart(pattern, affix)
    said = {side for side in _OTHER if own == side or other == _OTHER[side]}
    if said:
        return said.pop() if len(said) == 1 else None
    ends = [text.rpartition("{source}")[2].strip(_SEPARATORS) for text in (affix, pattern)]
    return "source_image" if "{seed}" in pattern or ends == ["0", "1"] else None


def _role_apart(text: str, other: str) -> Role | None:
    """What the words of a pattern say that another does not have."""
    shared = {*_TOKEN.findall(other)}
    return role_of(" ".join(token for token in _TOKEN.findall(text.replace("{source}", " ")) if token not in shared))


def _with_pairs(known: ExpectedItems, side: Side, pairs: Assignment | None, scan: Scan) -> ExpectedItems:
    """The items with the files that pair with theirs."""
    unsure = {} if side == "source_image" else known.unsure
    clear = {slot: paths[0] for slot, paths in pairs.files.items() if len(paths) == 1} if pairs else {}
    if not clear:
        return replace(known, unsure=unsure)
    items = list(known.items)
    names: dict[tuple[str, int | None], str] = {}
    for (position, seed), path in clear.items():
        if side == "source_image":
            names[items[position].item_id, seed] = path.relative_to(scan.root).as_posix()
        elif seed is None:
            items[position] = replace(items[position], source_image=path)
    (position, _), path = next(iter(clear.items()))
    what = "edited" if side == "source_image" else "source"
    heading = known.unsure.get("source_image")
    otherwise = map_option(_OTHER[side], heading) if heading else "--pattern PATTERN --source-pattern PATTERN"
    note = (
        f"{known.table}: its images are the {side.removesuffix('_image')} images; {shown(path, scan.root)} was read as "
        f"the {what} image of {items[position].item_id}, and so on for {counted(len(clear), 'file')}; to have it "
        f"otherwise: {otherwise}"
    )
    return replace(
        known,
        items=tuple(items),
        unsure=unsure,
        notes=(*known.notes, note),
        edited_names={
            **known.edited_names,
            **{item_id: name for (item_id, seed), name in names.items() if seed is None},
        },
        seed_names={(item_id, seed): name for (item_id, seed), name in names.items() if seed is not None},
    )
