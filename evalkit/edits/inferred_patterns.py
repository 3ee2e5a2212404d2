"""How files are named, found out from their names and from what is known of the items: ``{item_id}_seed{seed}``.

What is known (an id, the name of a source image) stands somewhere in a name, between other words and numbers. Names
that differ in nothing but what is known, and in numbers, follow one pattern; a number that tells the files of an item
apart is the seed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Literal

from evalkit.edits.headings import WORDS, normalised
from evalkit.edits.names import Pattern, bare_name, composed, stem
from evalkit.errors import OptionError

Role = Literal["source_image", "edited_image", "reference_image", "edit_mask"]
_RUN = re.compile(r"[^\W\d_]+|\d+")
_PARTS = re.compile(r"(\d+)")
_LOOKED_AT = 2000
"""Files from whose names patterns are inferred."""
_TRIED = 6
"""Patterns that are tried on all files."""
_SEED = re.compile(r"(?:^|[^a-z])(?:seed|s)[ _=-]?$", re.IGNORECASE)
_FOLDER = "\0"
_NO_PATTERN = str.maketrans("{}*", "???")
_PLACEHOLDERS = (("{item_id}",), ("{source}",))


def _spelled(*sides: str) -> frozenset[str]:
    """The words of sides as names of files have them: bare, or with ``image``; in the plural for folders."""
    words = {normalised(word) for side in sides for word in WORDS[side]}
    images = {f"{word}{image}" for word in words for image in WORDS["IMAGE"]}
    return frozenset(words | images | {f"{word}s" for word in words | images})


ROLES: Mapping[Role, frozenset[str]] = {
    "source_image": _spelled("SOURCE"),
    "edited_image": _spelled("EDITED", "TARGET", "EDIT"),
    "reference_image": _spelled("TRUTH"),
    "edit_mask": frozenset({"mask", "masks"}),
}
"""Words in names of files that say which of an item's images these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredPattern:
    """A pattern that names of files follow, and what its words say that the files are."""

    pattern: Pattern
    role: Role | None


class ValuesInNames:
    """Finds what is known of items inside of names.

    Args:
        values: Ids, or names of source images. They are compared by letters and digits, numbers as numbers.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._keys = {_key(value) for value in values} - {""}
        self._longest = max(map(len, self._keys), default=0)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where known values stand in a text: the longest ones, which may stand at several places."""
        runs = [match.span() for match in _RUN.finditer(text)]
        found: list[tuple[int, int]] = []
        for at, (start, _) in enumerate(runs):
            longest = None
            for _, end in runs[at:]:
                key = _key(text[start:end])
                if len(key) > self._longest:
                    break
                if key in self._keys:
                    longest = end
            if longest is not None and not any(start >= begin and longest <= end for begin, end in found):
                found.append((start, longest))
        return found


def _key(text: str) -> str:
    """Letters and digits, numbers without the zeros before them, and two numbers apart: ``img_0001`` is ``img1``."""
    runs = _RUN.findall(stem(composed(text)).casefold())
    numbers = [(run.lstrip("0") or "0") if run.isdecimal() else run for run in runs]
    apart = ("_" if one.isdecimal() and other.isdecimal() else "" for one, other in pairwise(["", *numbers]))
    return "".join(f"{gap}{run}" for gap, run in zip(apart, numbers, strict=True))


def infer_patterns(
    files: Sequence[Path], root: Path, values: Iterable[str], placeholder: Literal["item_id", "source"]
) -> list[InferredPattern]:
    """The patterns that most names follow, the most frequent first.

    Args:
        files: Image files below ``root``.
        root: The folder.
        values: What is known of the items.
        placeholder: Which of the placeholders of patterns stands for the values.
    """
    values = [*values]
    known = ValuesInNames([*values, *(bare_name(value) for value in values)])  # their folders may stand before a word
    shapes: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for path in _some(files):
        text = composed(stem(path.relative_to(root).as_posix()))
        for start, end in known.spans(text):
            if _SEED.search(text[:start]):
                continue
            folders = f"{_FOLDER}/" * text.count("/", start, end)  # the value's own
            left, right = _PARTS.split(text[:start] + folders), _PARTS.split(text[end:])
            shape = (*left[::2], f"{{{placeholder}}}", *right[::2])
            shapes[shape].append((_key(text[start:end]), (*left[1::2], *right[1::2])))
    frequent = sorted(shapes, key=lambda shape: len({value for value, _ in shapes[shape]}), reverse=True)
    merged = dict.fromkeys(text for shape in frequent for text in _pattern(shape, shapes[shape]))
    inferred = []
    for text in merged:
        try:
            inferred.append(InferredPattern(pattern=Pattern(text), role=role_of(text)))
        except OptionError:  # two placeholders with nothing between them
            continue
    return inferred[:_TRIED]


def _some(files: Sequence[Path]) -> Sequence[Path]:
    """The files, or of very many some that stand side by side, and some from all over."""
    if len(files) <= _LOOKED_AT:
        return files
    return [*files[: _LOOKED_AT // 2], *files[:: 2 * len(files) // _LOOKED_AT]]


def _pattern(shape: Sequence[str], found: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    """The shape as a pattern, with its numbers as they are, as ``*``, or as the seed.

    A number in the name of a folder is a seed only if a word says so: it may as well be a method's, or a run's.
    """
    columns = zip(*(numbers for _, numbers in found), strict=True)
    several = max(Counter(value for value, _ in found).values()) > 1
    texts: list[str] = []
    n_seeds = 0
    for position, literal in enumerate(shape):
        texts.append(literal if literal.startswith("{") else literal.translate(_NO_PATTERN))
        if literal.startswith("{") or shape[position + 1 : position + 2] in ((), [], *_PLACEHOLDERS):
            continue
        column = next(columns)
        varies = len({*column}) > 1
        if _SEED.search("".join(texts)) or (several and varies and "/" not in "".join(shape[position + 1 :])):
            texts.append("{seed}")
            n_seeds += 1
        else:
            texts.append("*" if varies else column[0])
    if n_seeds <= 1:
        yield _last_parts("".join(texts))


def _last_parts(text: str) -> str:
    """The pattern without leading folders that say nothing, and with ``*`` for others that say nothing."""
    *folders, name = text.split("/")
    kept = [folder if "{" in folder or role_of(folder) else "*" for folder in folders]
    first = next((at for at, folder in enumerate(kept) if folder != "*"), len(kept))
    return "/".join([*kept[first:], name]).replace(_FOLDER, "*")


def role_of(text: str | PurePath) -> Role | None:
    """What the last word that says so says the image of that name is.

    >>> role_of("pairs/input_{item_id}"), role_of("key_SRCIMG"), role_of("0001")
    ('source_image', 'source_image', None)
    """
    found: Role | None = None
    for word in re.split(r"[\W_\d]+", re.sub(r"\{[^}]*\}", " ", str(text))):
        key = normalised(word)
        found = next((role for role, words in ROLES.items() if key in words), found)
    return found
