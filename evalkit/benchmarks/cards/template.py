"""Texts with the names of columns in braces, as cards use them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any

_PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


class Template:
    """A text in which ``{name}`` stands for a column's value.

    ``{name:0>12}`` formats it as Python does; ``{name.key}`` is a value inside of an object, and ``{name.stem}`` or
    ``{name.name}`` of a text the end of the path that it is.

    Args:
        text: The text.

    Example:
        >>> Template("{id:0>4}-{turn}").value({"id": 7, "turn": 2})
        '0007-2'
        >>> Template("{image.stem}").value({"image": "cats/tom.jpeg"})
        'tom'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = list(_split(text))

    @property
    def columns(self) -> list[str]:
        """The names in it, as they are written."""
        return [name for _, name, _ in self._parts if name]

    def check(self) -> None:
        """Raises a ValueError if a value could not be formatted as it says, or a brace is alone."""
        for literal, name, form in self._parts:
            if "{" in literal or "}" in literal:
                raise ValueError(f"a brace is alone in '{self.text}'")
            try:
                format("", form)
            except ValueError as failure:
                raise ValueError(f"{{{name}:{form}}}: {failure}") from None

    @property
    def glob(self) -> str:
        """A pattern of file names that it could give."""
        return "".join(literal if name is None else "*" for literal, name, _ in self._parts)

    def value(self, record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever a column holds
        """What it gives for a record: the value itself where it is one name, else a text; None if a value is missing.

        A list stands in a text as its members, separated by semicolons.
        """
        if len(self._parts) == 1 and (name := self._parts[0][1]) and not self._parts[0][2]:
            return _found(record, name)
        texts = []
        for literal, name, form in self._parts:
            if name is None:
                texts.append(literal)
            elif (value := _found(record, name)) is None:
                return None
            else:
                texts.append(format(as_text(value), form))
        return "".join(texts)

    def parts_of(self, path: PurePath) -> dict[str, str] | None:
        """What its names stand for in a path; None if the path is not such a one.

        >>> Template("{kind}/{kind}.json").parts_of(PurePath("snow/snow.json"))
        {'kind': 'snow'}
        """
        pattern, met = "", set[str]()
        for literal, name, _ in self._parts:
            if name is None:
                pattern += re.escape(literal).replace(r"\*", "[^/]*")
            else:
                pattern += f"(?P={name})" if name in met else f"(?P<{name}>[^/]+)"
                met.add(name)
        found = re.fullmatch(pattern, path.as_posix())
        return found.groupdict() if found else None


def as_text(value: object) -> str:
    """A value as it stands in a text."""
    return "; ".join(map(as_text, value)) if isinstance(value, list) else str(value)


def _split(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Literal texts, and names with their formats."""
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        if found.start() > end:
            yield text[end : found.start()], None, ""
        yield "", found[1], found[2] or ""
        end = found.end()
    if end < len(text):
        yield text[end:], None, ""


def _found(record: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    if name in record:
        return record[name]
    first, _, rest = name.partition(".")
    value = record.get(first)
    if isinstance(value, Mapping) and rest:
        return _found(value, rest)
    if isinstance(value, str) and rest in ("stem", "name"):
        return getattr(PurePosixPath(value), rest)
    return None
