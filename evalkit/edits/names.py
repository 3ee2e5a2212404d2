"""Names that mean the same although they are not spelled the same.

People rename files: upper case, blanks for underscores, another suffix, a suffix twice, a full stop at the end. Two
names are compared on five levels from the exact spelling to the loosest, and the strictest level at which anything is
found decides, so that tolerance never blurs a difference that the names at hand really have.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from evalkit.images.decode import IMAGE_SUFFIXES

T = TypeVar("T")

_SUFFIX = "(?:" + "|".join(sorted(re.escape(suffix) for suffix in IMAGE_SUFFIXES)) + ")"
_FINAL_SUFFIX = re.compile(rf"{_SUFFIX}$", re.IGNORECASE)
_FINAL_SUFFIXES = re.compile(rf"(?:{_SUFFIX})+$", re.IGNORECASE)
_ANY_SUFFIX = re.compile(rf"{_SUFFIX}(?![a-z0-9])")
_BLANKS = re.compile(r"[\s_]+")


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


LEVELS: tuple[Callable[[str], str], ...] = (
    composed,
    tolerant,
    lambda name: stem(composed(name)),
    lambda name: tolerant(stem(name)),
    loose,
)


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
