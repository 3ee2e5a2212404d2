"""Reads YAML of plain values within the bounds of :mod:`evalkit.storage.documents`."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from evalkit.storage.documents import MAX_DEPTH, MAX_DIGITS, TOO_DEEP, refuse_twice

MAX_YAML_BYTES = 256 << 10
"""Of a YAML file, which people write."""
_DIGITS = re.compile(r"[-+_.\d][-+_.:\w]*", re.ASCII)
"""Whatever YAML might take for a number: decimal, hexadecimal, or in minutes and seconds."""


def parse_yaml(text: str, *, as_written: bool = False) -> Any:  # noqa: ANN401 - whatever YAML can hold
    """The value of a YAML text.

    Args:
        text: The text.
        as_written: Whether numbers, truths and dates stay texts: ``0001``, ``No``, ``1_000``.

    Raises:
        ValueError: It is no YAML of plain values, has more than :data:`MAX_YAML_BYTES`, is nested deeper than
            :data:`MAX_DEPTH`, has a number of more than :data:`MAX_DIGITS` digits, uses aliases, or names a key twice.
    """
    if len(text.encode()) > MAX_YAML_BYTES:
        raise ValueError(f"it has more than {MAX_YAML_BYTES:,} bytes")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_AsWritten if as_written else _UniqueKeys)  # noqa: S506 - plain values only
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{failure.problem or failure.context}") from None
    except yaml.YAMLError as failure:
        raise ValueError(str(failure).partition("\n")[0]) from None
    except (LookupError, AttributeError, TypeError, RecursionError):  # a value that its own tag does not fit
        raise ValueError("a value is not what its tag says") from None


def _check_events(text: str) -> None:
    """Refuses, while it is only taken apart, what would take long to put together."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"line {event.start_mark.line + 1}" if event.start_mark else "a line"
        if isinstance(event, yaml.AliasEvent):  # one can stand for a billion nodes
            raise ValueError(f"{line} uses an alias (*{event.anchor}), which is not read: write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"{line}: {TOO_DEEP}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_DIGITS and _DIGITS.fullmatch(event.value):
            raise ValueError(f"{line}: a number has more than {MAX_DIGITS:,} digits")


class _UniqueKeys(yaml.SafeLoader):
    """Plain values only, and no key twice in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node."""
        refuse_twice([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return super().construct_mapping(node, deep=deep)


class _AsWritten(_UniqueKeys):
    """Texts, where nothing is not meant."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class has it that it is derived from
        sign: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
        for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
