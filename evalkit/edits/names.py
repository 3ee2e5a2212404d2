"""Names that mean the same although they are not spelled the same, and naming schemes that a user spells out.

People rename files: upper case, blanks for underscores, another suffix, a suffix twice, a full stop at the end. Two
names are compared on several levels from the exact spelling to the loosest, and the strictest one at which anything is
found decides, so that tolerance never blurs a difference that the names at hand really have.
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Generic, TypeVar

from evalkit.errors import OptionError
from evalkit.images.decode import IMAGE_SUFFIXES

T = TypeVar("T")

PLACEHOLDERS = ("item_id", "source", "target_caption", "seed")
_TOKEN = re.compile(r"\{([^{}]*)\}|(\*)")
_EXAMPLE = 'for example --pattern "{item_id}_edited.png" or --pattern "{source}-{target_caption}.png"'
_SUFFIX = "(?:" + "|".join(sorted(re.escape(suffix) for suffix in IMAGE_SUFFIXES)) + ")"
_FINAL_SUFFIX = re.compile(rf"{_SUFFIX}$", re.IGNORECASE)
_FINAL_SUFFIXES = re.compile(rf"(?:{_SUFFIX})+$", re.IGNORECASE)
_ANY_SUFFIX = re.compile(rf"{_SUFFIX}(?![a-z0-9])")
_BLANKS = re.compile(r"[\s_]+")
_NUMBER = re.compile(r"(.*/)?(\d{1,40}(?:\.\d{1,40})?(?:e\+?\d\d?)?)", re.DOTALL)


def composed(name: str) -> str:
    """The name in Unicode's composed form; macOS writes the decomposed one."""
    return unicodedata.normalize("NFC", name)


def stem(name: str) -> str:
    """The name without image suffixes, however many: ``road1.png.png`` is ``road1``."""
    return _FINAL_SUFFIXES.sub("", name)


def without_suffix(name: str) -> str:
    """The name without its last image suffix."""
    return _FINAL_SUFFIX.sub("", name)


def tolerant(name: str) -> str:
    """A key that is equal for names differing in case, blanks, underscores, Unicode form or a final full stop."""
    # Folding case can undo the normal form, hence twice: Unicode's canonical caseless matching.
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    return _BLANKS.sub(" ", folded).strip(" .")


def loose(name: str) -> str:
    """As :func:`tolerant`, and suffixes do not count wherever they stand: ``bird.jpeg-a dog`` is ``bird-a dog``."""
    return _ANY_SUFFIX.sub("", tolerant(stem(name)))


def _composed_stem(name: str) -> str:
    return stem(composed(name))


def _tolerant_stem(name: str) -> str:
    return tolerant(stem(name))


def numbered(name: str) -> str:
    """As :func:`loose`, and a whole number is a number: a spreadsheet makes ``1`` or ``1.0`` of ``0001``."""
    key = loose(name)
    found = _NUMBER.fullmatch(key)
    number = Fraction(found[2]) if found else None
    return f"{found[1] or ''}{number}" if found and number is not None and number.denominator == 1 else key


LEVELS: tuple[Callable[[str], str], ...] = (composed, tolerant, _composed_stem, _tolerant_stem, loose, numbered)
"""What names are compared by, from the exact spelling to the loosest."""


class NameIndex(Generic[T]):
    """Values by name, found again under a name that is spelled differently.

    Args:
        named: Names with what they stand for; one name may stand for several.
    """

    def __init__(self, named: Iterable[tuple[str, T]]) -> None:
        self._levels: tuple[dict[str, dict[T, None]], ...] = tuple({} for _ in LEVELS)
        for name, value in named:
            for level, key in zip(self._levels, LEVELS, strict=True):
                level.setdefault(key(name), {})[value] = None

    def find(self, name: str) -> tuple[T, ...]:
        """What the name stands for on the strictest level that knows it; several if it is ambiguous there."""
        level = self.level(name)
        return () if level is None else tuple(self._levels[level][LEVELS[level](name)])

    def level(self, name: str) -> int | None:
        """The strictest level that knows the name, 0 being the exact spelling; None if it is unknown."""
        return next((i for i, key in enumerate(LEVELS) if key(name) in self._levels[i]), None)

    def find_loosely(self, name: str) -> tuple[T, ...]:
        """Everything that the name could stand for on the loosest level."""
        return tuple(self._levels[-1].get(LEVELS[-1](name), ()))


class PathIndex(Generic[T]):
    """Values by the names of files, which may say in which folders these lie, found again by a path.

    A name and a path fit as far as both say something: the whole of one of them is the end of the other. Where their
    folders contradict each other, their bare names must do, which they can only where no two names are alike.

    Args:
        named: Names, as a table or a benchmark gives them, with what they stand for.
    """

    def __init__(self, named: Iterable[tuple[str, T]]) -> None:
        split = [(path_parts(name), value) for name, value in named]
        bare = Counter(LEVELS[-1](parts[-1]) for parts in {parts for parts, _ in split if parts})
        self._bare_names_differ = all(count == 1 for count in bare.values())
        self._ends = NameIndex(
            ("/".join(parts[at:]), (value, at == 0)) for parts, value in split for at in range(len(parts))
        )

    def find(self, path: str | PurePath) -> tuple[T, ...]:
        """What fits most of a path, and that as strictly as possible; several values if that is ambiguous."""
        parts = path_parts(str(path))
        for at in range(len(parts)):
            found = self._ends.find("/".join(parts[at:]))
            if fitting := [value for value, whole in found if whole or at == 0]:
                return tuple(dict.fromkeys(fitting))
        found = self._ends.find(parts[-1]) if parts and self._bare_names_differ else ()
        return tuple(dict.fromkeys(value for value, _ in found))


def path_parts(name: str) -> tuple[str, ...]:
    """The parts of a path as anybody writes it, with slashes of either kind."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def bare_name(name: str) -> str:
    """The name of a file without its folders."""
    return (path_parts(name) or (name,))[-1]


def flattened(name: str) -> tuple[str, ...]:
    """A name, and as scripts write it that make one folder of several: ``cats/1`` is ``cats_1`` or ``cats-1``."""
    return (name, name.replace("/", "_"), name.replace("/", "-")) if "/" in name else (name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way in which a file name fits a pattern."""

    values: tuple[tuple[str, str], ...]
    """Placeholder and the text that stands for it, in the pattern's order."""
    skipped: int
    """Characters that ``*`` stands for."""

    def get(self, name: str) -> str | None:
        """The text that stands for a placeholder, None if the pattern does not have it."""
        return dict(self.values).get(name)


@dataclass(frozen=True, slots=True)
class _Literal:
    """Characters that stand in a name as they are."""

    regex: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _Gap:
    """A placeholder of a pattern: any characters."""

    name: str | None
    """None for ``*``."""


_Part = _Literal | _Gap


class Pattern:
    """A naming scheme, such as ``seed{seed}/{source}__{target_caption}.png``.

    A pattern without a slash is compared with the file name, one with slashes with as many last parts of the path.
    Its suffix does not matter, nor do case, and underscores or blanks.

    Args:
        text: The pattern as the user gave it.

    Raises:
        OptionError: It has no placeholder that tells items apart, one that does not exist or stands twice, or two
            next to each other with nothing to tell where one ends.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        levels = text.strip("/").split("/")
        levels[-1] = stem(levels[-1].removesuffix(".*")).rstrip(".")
        self._levels = [_parse(level, text) for level in levels]
        gaps = [(part.name, at) for at, parts in enumerate(self._levels) for part in parts if isinstance(part, _Gap)]
        names = [name for name, _ in gaps if name]
        self.names = frozenset(names)
        """The placeholders in it."""
        self.levels = {name: at for name, at in gaps if name}
        """In which part of a path each of them stands."""
        self.depth = len(self._levels)
        """Parts of a path that it says something about."""
        if len(names) > len(self.names):
            raise OptionError(f'The pattern "{text}" must have each placeholder once; {_EXAMPLE}.')
        if not self.names - {"seed"}:
            raise OptionError(
                f'The pattern "{text}" must say which item a file belongs to, with one of '
                f"{{item_id}}, {{source}}, {{target_caption}}; {_EXAMPLE}."
            )

    def folders_of(self, relative: PurePath, level: int) -> list[str]:
        """The folders above a part of the pattern of which it says nothing."""
        inside = zip(relative.parts[-self.depth :], self._levels[:level], strict=False)
        return [*relative.parts[: -self.depth], *(part for part, gaps in inside if gaps == [_Gap(None)])]

    def readings(self, relative: PurePath) -> Iterator[Reading]:
        """Every way in which a file fits, by its path relative to the folder.

        The last suffix is taken off, and where the file has several, all of them are as a second attempt.
        """
        parts = relative.parts[-len(self._levels) :]
        if len(parts) < len(self._levels):
            return
        for name in dict.fromkeys((without_suffix(parts[-1]), stem(parts[-1]))):
            yield from _match_levels(self._levels, [composed(part) for part in (*parts[:-1], name)])


def _parse(level: str, pattern: str) -> list[_Part]:
    """One path part of the pattern as what stands in it, from left to right."""
    parts: list[_Part] = []
    end = 0
    for token in _TOKEN.finditer(level):
        if token.start() > end:
            parts.append(_literal(level[end : token.start()], pattern))
        elif parts:
            raise OptionError(
                f'The pattern "{pattern}" must have something before {token.group()}, such as "-", that tells where '
                f"the placeholder before it ends; {_EXAMPLE}."
            )
        name = None if token.group(2) else token.group(1)
        if name is not None and name not in PLACEHOLDERS:
            raise OptionError(_unknown(name, pattern))
        parts.append(_Gap(name))
        end = token.end()
    if end < len(level):
        parts.append(_literal(level[end:], pattern))
    return parts


def _literal(text: str, pattern: str) -> _Literal:
    """Text that must stand there, in any case and with any blanks or underscores."""
    if "{" in text or "}" in text:
        raise OptionError(f'The pattern "{pattern}" has a brace that is not closed or not opened; {_EXAMPLE}.')
    pieces = re.split(r"[\s_]+", composed(text))
    return _Literal(re.compile(r"[\s_]+".join(map(re.escape, pieces)), re.IGNORECASE))


def _unknown(name: str, pattern: str) -> str:
    near = difflib.get_close_matches(name, PLACEHOLDERS, n=1, cutoff=0.4)
    hint = f"Did you mean {{{near[0]}}}? " if near else ""
    known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
    return f'The pattern "{pattern}" has the unknown placeholder {{{name}}}. {hint}There are {known} and *.'


def _match_levels(levels: list[list[_Part]], texts: list[str]) -> Iterator[Reading]:
    """The readings of several path parts, each part read on its own."""
    if not levels:
        yield Reading(values=(), skipped=0)
        return
    for first in _match(levels[0], texts[0], 0):
        for rest in _match_levels(levels[1:], texts[1:]):
            yield Reading(values=first.values + rest.values, skipped=first.skipped + rest.skipped)


def _match(parts: list[_Part], text: str, start: int) -> Iterator[Reading]:
    """The readings of ``text`` from ``start``; as gaps never touch, few positions are tried."""
    if not parts:
        if start == len(text):
            yield Reading(values=(), skipped=0)
        return
    head, rest = parts[0], parts[1:]
    if isinstance(head, _Literal):
        found = head.regex.match(text, start)
        if found:
            yield from _match(rest, text, found.end())
        return
    shortest = start if head.name is None else start + 1
    # The last gap can only end with the text.
    for end in range(shortest if rest else max(shortest, len(text)), len(text) + 1):
        value = text[start:end]
        if head.name == "seed" and not value.isdecimal():
            continue
        for after in _match(rest, text, end):
            if head.name is None:
                yield Reading(values=after.values, skipped=after.skipped + len(value))
            else:
                yield Reading(values=((head.name, value), *after.values), skipped=after.skipped)
