"""Reads the files of ``leaderboard/`` into their records, and says of any other content in a sentence what is wrong."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evalkit.errors import EntryError
from evalkit.storage.atomic import atomic_write

MAX_BYTES = 256 * 1024
"""Of a file that a person writes."""
MAX_LINES_BYTES = 64 * 1024 * 1024
"""Of a file with a line per edit."""
R = TypeVar("R", bound=BaseModel)


def read_yaml(path: Path, record: type[R]) -> R:
    """A file that a person wrote.

    Raises:
        EntryError: It is absent, too large, no YAML, uses anchors, or says too little or too much.
    """
    text = _text(path, MAX_BYTES)
    try:
        # An alias can stand for a billion nodes; nobody needs one in a card.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise EntryError(f"{path} uses a YAML alias (*name), which is not read. Write the value out.")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        reason = (str(failure).splitlines() or [type(failure).__name__])[0].rstrip(".")
        raise EntryError(f"{path} is not YAML that can be read: {reason}. Correct it.") from None
    with _refusing(str(path)):
        return record.model_validate(value)


def read_json(path: Path, record: type[R]) -> R:
    """A file that a command wrote.

    Raises:
        EntryError: It is absent, too large, no JSON, or not of its schema.
    """
    text = _text(path, MAX_BYTES)
    with _refusing(str(path)):
        return record.model_validate_json(text)


def read_lines(path: Path, record: type[R]) -> tuple[R, ...]:
    """A file with a record per line.

    Raises:
        EntryError: It is absent, too large, or one of its lines is no JSON or not of the schema.
    """
    found = []
    for number, line in enumerate(_text(path, MAX_LINES_BYTES).split("\n"), start=1):
        if line:
            with _refusing(f"{path}, line {number}"):
                found.append(record.model_validate_json(line))
    return tuple(found)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Puts the first thing that is wrong with a record into a sentence."""
    try:
        yield
    except RecursionError:
        raise EntryError(f"{where} is nested too deeply to be read.") from None
    except ValidationError as failure:
        first = failure.errors()[0]
        field, given = ".".join(str(part) for part in first["loc"]) or "the whole", first.get("input")
        if first["type"] == "json_invalid":
            raise EntryError(f"{where} is not JSON: {first['msg']}. Make it again with: evalkit submit") from None
        if first["type"] == "missing" or given is None:
            what = "is not filled in"
        elif first["type"] == "extra_forbidden":
            what = "is no field that is known"
        else:
            shown = repr(given)
            shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
            what = f"is not as it must be: {first['msg']}; got {shown}"
        more = f" ({failure.error_count() - 1} more like this)" if failure.error_count() > 1 else ""
        raise EntryError(f"{where}: {field} {what}{more}. See leaderboard/README.md for every field.") from None


def write_text(path: Path, text: str) -> None:
    """Write a file; it is there whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, record: BaseModel) -> None:
    """Write a record as :func:`read_json` reads it."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def write_yaml(path: Path, record: BaseModel) -> None:
    """Write a record as a person would."""
    write_text(path, yaml.safe_dump(record.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110))


def write_lines(path: Path, records: Iterable[BaseModel]) -> None:
    """Write records as :func:`read_lines` reads them, each without what is as by default."""
    lines = (json.dumps(record.model_dump(exclude_defaults=True), ensure_ascii=False) for record in records)
    write_text(path, "".join(f"{line}\n" for line in lines))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: Path, limit: int) -> str:
    try:
        if path.stat().st_size > limit:
            raise EntryError(f"{path} has {path.stat().st_size:,} bytes: expected at most {limit:,}.")
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise EntryError(f"{path} is not UTF-8 text. Convert it, and run the same command again.") from None
    except OSError as failure:
        raise EntryError(f"{path} cannot be read: {failure.strerror or failure}.") from None
