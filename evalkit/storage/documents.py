"""Reads JSON and JSON Lines within bounds, whatever their bytes are.

YAML: :mod:`evalkit.storage.plain_yaml`; tables, in whatever format: :mod:`evalkit.storage.tables`.

Depth, size, digits and cells are limited far beyond what anybody needs, so that no file takes all the memory, waits for
ever, or ends in the exhausted stack of a parser. What is wrong is a :class:`ValueError` whose text is the end of a
sentence; who reads a file says which, and raises its own error.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from evalkit.storage.files import read_regular

MAX_DEPTH = 64
"""Lists and objects inside of each other."""
MAX_DIGITS = 4300
"""Of a whole number, as in Python itself, where it takes time that grows with their square."""
MAX_LINE_BYTES = 1 << 20
"""Of a line of JSON Lines."""
MAX_JSON_BYTES = 16 << 20
"""Of a JSON file, which has to be in memory at once: what is parsed takes up to 50 times as much."""
MAX_TABLE_BYTES = 1 << 30
"""Of a file of CSV."""
MAX_CELLS = 10_000_000
"""Of a table in text: those of a million items of two methods, with five columns."""
_BOM = b"\xef\xbb\xbf"


class LineError(ValueError):
    """What is wrong with a line of a text, as the end of a sentence."""

    def __init__(self, number: int, reason: object, line: bytes = b"") -> None:
        super().__init__(str(reason))
        self.number = number
        """The line's, from 1."""
        self.line = line


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The value in a JSON file.

    Raises:
        OSError: The file cannot be read, is no regular file, or has more bytes than ``limit``.
        ValueError: See :func:`parse_json`.
    """
    return parse_json(read_regular(path, limit=limit))


def parse_json(data: bytes | str, *, long_number: Callable[[str], Any] | None = None) -> Any:  # noqa: ANN401
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Args:
        data: The text.
        long_number: Makes something of a whole number of more than :data:`MAX_DIGITS` digits, which is else refused.

    Raises:
        ValueError: It is no JSON, is nested deeper than :data:`MAX_DEPTH`, has a number of too many digits, or an
            object that names a key twice.

    Example:
        >>> parse_json('{"item_id": "a", "item_id": "b"}')
        Traceback (most recent call last):
        ValueError: the key 'item_id' is there twice
    """
    try:
        text = (data.decode("utf-8") if isinstance(data, bytes) else data).removeprefix("\ufeff")
    except UnicodeDecodeError as failure:
        raise ValueError(f"it is not UTF-8 text: byte {failure.start} is wrong") from None

    def whole(digits: str) -> Any:  # noqa: ANN401 - whatever the caller makes of it
        if len(digits) <= MAX_DIGITS:
            return int(digits)
        return long_number(digits) if long_number else _refuse_number(digits)

    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=whole)
    except json.JSONDecodeError as failure:
        line = f"line {failure.lineno}, " if "\n" in text.strip() else ""
        raise ValueError(f"it is not JSON: {failure.msg}, {line}column {failure.colno}") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half a character, a lone \\ud800 to \\udfff") from None
    # So many levels take as many brackets: few texts have to be looked at twice.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def json_lines(
    file: IO[bytes], *, holding: bytes = b"", long_number: Callable[[str], Any] | None = None
) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON Lines, each with its line number; blank lines are passed over.

    Args:
        file: Open at its beginning.
        holding: Lines without these bytes are passed over too.
        long_number: As for :func:`parse_json`.

    Raises:
        LineError: A line is longer than :data:`MAX_LINE_BYTES`, or what :func:`parse_json` refuses.
    """
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise LineError(number, f"the line has more than {MAX_LINE_BYTES:,} bytes", raw)
        line = raw.removeprefix(_BOM).strip()
        if line and holding in line:
            try:
                value = parse_json(line, long_number=long_number)
            except ValueError as failure:
                raise LineError(number, failure, line) from failure
            yield number, value


_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""One half of a character beyond the first 65,536, beside its other half or not."""


def too_many_cells() -> str:
    """Why a table is refused, and what helps."""
    return f"the table has more than {MAX_CELLS:,} cells up to here; so large a one is read from Parquet"


TOO_DEEP = f"it is nested too deeply: more than {MAX_DEPTH} lists and objects inside of each other"


def _refuse_number(digits: str) -> NoReturn:
    raise ValueError(f"the number {digits[:12]}… has {len(digits):,} digits, and {MAX_DIGITS:,} are allowed")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        refuse_twice([name for name, _ in pairs])
    return found


def refuse_twice(names: Sequence[Hashable]) -> None:
    """Refuses an object whose keys are not all different.

    Raises:
        ValueError: One of the names is there twice.
    """
    [(name, count)] = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"the key '{name}' is there twice")


def _is_deep(value: object) -> bool:
    """Whether lists and objects are nested more than :data:`MAX_DEPTH` deep; asked level by level."""
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = (each for each in level if isinstance(each, dict | list))
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, dict | list) for each in level)
