"""What a judge's answer says in lines such as ``Name: 4/5``, or in an object of JSON among its text."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.storage.documents import parse_json

_NAME = r"(?P<name>[^\W\d_](?:[^:=：\n|;{}]{0,80}?[\w)])?)"
_WHOLE = r"(?:\s*%|[*_\s]*(?:/|out of|of)\s*\d+(?:\.\d+)?\b)"
_NUMBER = rf"(?P<number>[-+−]?(?:\d[\d.,]*)?\.?\d+(?P<whole>{_WHOLE})?)"
_QUOTES = r"\s*_\"'`"
_NEXT = r"[ \t]+[^\W\d_][\w \t&-]{0,40}[:=：]"
_END = rf"[{_QUOTES}\])>}}]*(?:$|\n|[|;,(}}]|\.(?!\d)|[ \t][-–—])|[*_\"'`\])>]+\s|{_NEXT}"
_ANSWER = re.compile(
    r"(?:^|[\n|;{,]|(?<=\d)[ \t])[ \t]*(?:[-*•>#]+[ \t]+|\(?\d+[.)][ \t]*)*"
    rf"[{_QUOTES}\[(]*{_NAME}[{_QUOTES}\]]*(?:[:=：→]|->|[ \t][-–—][ \t])[{_QUOTES}\[(<]*{_NUMBER}"
    rf"(?:(?={_END})|(?(whole)(?![\w/])|(?!)))",
    re.IGNORECASE,
)
"""A name and its number, from the beginning of a line, or behind what separates two of them in one line."""
_SCALE = re.compile(r"\s*[(\[][^()\[\]]*\d[^()\[\]]*[)\]]\s*$")
"""What stands behind a name to say which numbers can be given, such as ``(1-5)``."""
_Kind = frozenset[str]
"""The criteria of an answer."""
_MAX_KINDS = 100
"""How many of the commonest kinds others are compared with."""
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a judge's answers say, criterion by criterion."""

    cells: Mapping[str, Sequence[Any]]
    """Criterion to a cell for each answer, None where an answer lacks it."""
    some: tuple[str, ...]
    """Criteria of some kinds of answers, which most of all answers lack: a style is rated by others than a removal."""
    stray: tuple[str, ...]
    """Names that are no criteria: most answers lack them, and those of the same kind do."""
    rated: Sequence[_Kind]
    """The criteria by which answers of its kind rate, for each answer."""


def answers_of(texts: Sequence[Any]) -> Answers | None:
    r"""The criteria of a column of answers; None where it is none.

    >>> answers_of(["Quality: 4\nSky: blue", "**Quality**: 3/5", None]).cells
    {'Quality': ['4', '3/5', None]}
    """
    found = [dict(_criteria(text)) if isinstance(text, str) else {} for text in texts]
    n_texts = sum(isinstance(text, str) and bool(text.strip()) for text in texts)
    n_read = sum(map(bool, found))
    if not n_read or n_read < n_texts / 2:
        return None
    counts = Counter(name for answer in found for name in answer)
    kinds = Counter(frozenset(answer) for answer in found if answer)
    common = kinds.most_common(_MAX_KINDS)
    rare = [name for name, count in counts.items() if count <= n_read / 2]
    typical = {name for kind, count in kinds.items() for name in kind if not _is_stray(name, kind, count, common)}
    stray = tuple(name for name in rare if name not in typical)
    kept = [frozenset(answer).difference(stray) for answer in found]
    whole = _completed(Counter(kept))
    return Answers(
        cells={name: [answer.get(name) for answer in found] for name in counts if name not in stray},
        some=tuple(name for name in rare if name in typical),
        stray=stray,
        rated=[whole[kind] for kind in kept],
    )


def _is_stray(name: str, kind: _Kind, count: int, common: Sequence[tuple[_Kind, int]]) -> bool:
    """Whether nothing else rates the same, or more answers rate a part of it without the name."""
    return count == 1 or sum(times for less, times in common if less < kind and name not in less) > count


def _completed(kinds: Counter[_Kind]) -> dict[_Kind, _Kind]:
    """For what each answer rates what it should: an answer is incomplete where more answers rate the same and more."""
    common = kinds.most_common(_MAX_KINDS)
    whole = {}
    for kind, count in kinds.items():
        more = [(each, times) for each, times in common if kind < each]
        whole[kind] = more[0][0] if sum(times for _, times in more) > count else kind
    return whole


def _criteria(answer: str) -> Iterator[tuple[str, Any]]:
    """Names and numbers of one answer; a name with two different numbers has none."""
    if whole := _OBJECT.search(answer):
        try:
            inside = parse_json(whole[0])
        except ValueError:
            inside = None
        if isinstance(inside, dict):
            yield from _inside(inside)
            return
    found: dict[str, set[str]] = {}
    for match in _ANSWER.finditer(answer):
        name = _SCALE.sub("", match["name"]).strip(" *_\"'`")
        found.setdefault(name, set()).add(re.sub("[*_]", "", match["number"]))
    for name, numbers in found.items():
        if name:
            yield name, numbers.pop() if len(numbers) == 1 else " and ".join(sorted(numbers))


def _inside(answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an answer in JSON says, objects inside of it as ``outer.inner``."""
    for name, cell in answer.items():
        if isinstance(cell, dict):
            yield from ((f"{name}.{inner}", below) for inner, below in _inside(cell))
        else:
            yield name, cell
