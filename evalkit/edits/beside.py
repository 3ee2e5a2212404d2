"""Folders that hold source images beside the edits, and say so by words in their names: ``input_0``, ``output_0``."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.edits.captions import read_captions
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.headings import normalised
from evalkit.edits.inferred_patterns import ROLES, Role
from evalkit.edits.item import EditItem
from evalkit.edits.names import composed, stem, tolerant
from evalkit.edits.problems import shown
from evalkit.edits.scan import Scan
from evalkit.errors import DataError, LayoutError, OptionError

_WORD = re.compile(r"[^\W\d_]+")
_SEPARATORS = " _-./"
_SEED = re.compile(r"(.+?)[ _-]*(?:seed[ _-]?)?(\d+)", re.IGNORECASE)
_TEXTS = ("source_caption", "target_caption", "instruction", "edit_type", "group")
_BEFORE, _AFTER = "0", "1"
"""What InstructPix2Pix calls its pairs: ``900_0`` and ``900_1``, with a file of captions for each."""
Marked = tuple[Role | None, str, str]
"""What a name is of which item: the role that a word of it has, the word, and the name without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Files that two words split into sources and edits of the same names; one of the words may be none at all."""

    source: str
    edited: str
    sources: Mapping[str, Path]
    """By what their names are without the word."""
    edits: Mapping[str, Path]

    def of_source(self, name: str) -> tuple[str, int | None]:
        """The source and the seed that the name of an edit says; a number behind a source's name is a seed."""
        found = _SEED.fullmatch(name) if name not in self.sources else None
        return (found[1], int(found[2])) if found and found[1] in self.sources else (name, None)

    @property
    def n_pairs(self) -> int:
        """Sources that have an edit."""
        return len({source for name in self.edits if (source := self.of_source(name)[0]) in self.sources})

    @property
    def n_files(self) -> int:
        """Sources that have an edit, and edits that have a source."""
        return self.n_pairs + sum(self.of_source(name)[0] in self.sources for name in self.edits)


def pairs_beside(scan: Scan) -> ExpectedItems | None:
    """The items whose source images lie beside their edits; None where no words say which are which.

    Masks and references of the same names are theirs.

    Raises:
        LayoutError: Two pairs of words explain as many files.
    """
    texts = {path: composed(stem(path.relative_to(scan.root).as_posix())) for path in scan.images}
    read = {path: list(_readings(text)) for path, text in texts.items()}
    everywhere = set.intersection(*({word for _, word, _ in each} for each in read.values())) if read else set()
    read = {path: [each for each in readings if each[1] not in everywhere] for path, readings in read.items()}
    splits = sorted(_splits(read, texts), key=lambda split: split.n_files, reverse=True)
    if not splits or 2 * splits[0].n_files < len(scan.images):
        splits = [split for split in [_numbered_pairs(texts, scan)] if split]
    if not splits:
        return None
    best, *others = splits
    if others and others[0].n_files == best.n_files:
        both = [f"'{each.source or 'no word'}' and '{each.edited or 'no word'}'" for each in (best, others[0])]
        raise LayoutError(
            f"{scan.root} holds {best.n_pairs} pairs of source and edited images that are told apart by {both[0]}, and "
            f'as many by {both[1]}. Say which: --pattern "{{item_id}}_WORD" --source-pattern "{{item_id}}_WORD"'
        )
    return _items(best, read, scan)


def with_captions_beside(expected: ExpectedItems, scan: Scan) -> ExpectedItems:
    """The items with the captions that lie beside the images in files of their own, if every item has one."""
    if not {path.suffix.lower() for path in scan.other_files} & {".txt", ".json"}:
        return expected
    try:
        captions = read_captions(scan.root)
    except (DataError, OptionError):  # files of another kind
        return expected
    texts = {tolerant(item.item_id): item for item in captions.items}
    found = [
        texts.get(tolerant(item.item_id)) or texts.get(tolerant(item.item_id.rpartition("/")[0]))
        for item in expected.items
    ]
    if not all(found):
        return expected
    items = [
        replace(item, **{name: getattr(caption, name) or getattr(item, name) for name in _TEXTS})
        for item, caption in zip(expected.items, found, strict=True)
    ]
    note = f"{scan.root}: captions were read from {len(captions.caption_files)} files beside the images"
    notes = (*expected.notes, note, *captions.notes)
    return replace(expected, items=tuple(items), caption_files=captions.caption_files, notes=notes)


def _readings(text: str) -> Iterator[Marked]:
    """What each word of a name that is known says that it is."""
    for match in _WORD.finditer(text):
        word = normalised(match[0])
        for role, words in ROLES.items():
            if word in words and (rest := _without(text, *match.span())):
                yield role, word, rest


def _without(text: str, start: int, end: int) -> str:
    """What is left of a name when a word is taken out, with one separator where there were two.

    >>> _without("before/cat", 0, 6), _without("cat_in_1", 4, 6), _without("run/in_1", 4, 6)
    ('cat', 'cat_1', 'run/1')
    """
    left, right = text[:start].rstrip(_SEPARATORS), text[end:].lstrip(_SEPARATORS)
    gap = text[len(left) : start] if right else ""
    return f"{left}{('/' if '/' in gap else gap[:1]) if left else ''}{right}"


def _splits(read: Mapping[Path, Sequence[Marked]], texts: Mapping[Path, str]) -> Iterator[_Split]:
    """Every pair of words, or of one and none, that splits files into sources and edits."""
    files: dict[tuple[Role | None, str], dict[str, Path]] = defaultdict(dict)
    for path, readings in read.items():
        for role, word, rest in readings:
            files[role, word][rest] = path
        if not readings:
            files[None, ""][texts[path]] = path
    for (role, word), sources in files.items():
        for (other_role, other), edits in files.items():
            if role in (None, "source_image") and other_role in (None, "edited_image") and word != other:
                split = _Split(source=word, edited=other, sources=sources, edits=edits)
                if split.n_pairs:
                    yield split


def _numbered_pairs(texts: Mapping[Path, str], scan: Scan) -> _Split | None:
    """Pairs that end in 0 and 1, in folders of which each has a file of captions."""
    described = {path.parent for path in scan.other_files if path.suffix == ".json"}
    files: dict[str, dict[str, Path]] = {_BEFORE: {}, _AFTER: {}}
    for path, text in texts.items():
        name, _, number = text.rpartition("_")
        if number not in files or path.parent not in described:
            return None
        files[number][name] = path
    split = _Split(source=_BEFORE, edited=_AFTER, sources=files[_BEFORE], edits=files[_AFTER])
    return split if split.n_pairs else None


def _items(split: _Split, read: Mapping[Path, Sequence[Marked]], scan: Scan) -> ExpectedItems:
    """The items of which the files are sources, edits, masks and references."""
    files: dict[str, dict[str, Any]] = {name: {"source_image": path} for name, path in split.sources.items()}
    edited_names: dict[str, str] = {}
    seed_names: dict[tuple[str, int], str] = {}
    for name, path in split.edits.items():
        item_id, seed = split.of_source(name)
        files.setdefault(item_id, {})
        relative = path.relative_to(scan.root).as_posix()
        if seed is None:
            edited_names[item_id] = relative
        else:
            seed_names[item_id, seed] = relative
    for path, readings in read.items():
        for role, word, rest in readings:
            if role in ("edit_mask", "reference_image") and word != split.edited and rest in files:
                files[rest][role] = path
    name = next(name for name in split.edits if split.of_source(name)[0] in split.sources)
    source, edited = split.sources[split.of_source(name)[0]], split.edits[name]
    note = (
        f"{scan.root}: {shown(source, scan.root)} was read as the source image of {shown(edited, scan.root)}, and so "
        f"on for {len(files)} items; to have it otherwise: --pattern PATTERN --source-pattern PATTERN"
    )
    return ExpectedItems(
        items=tuple(EditItem(item_id=item_id, **found) for item_id, found in files.items()),
        edited_names=edited_names,
        seed_names=seed_names,
        notes=(note,),
    )
