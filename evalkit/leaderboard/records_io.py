"""Reads the files of ``leaderboard/`` into their records, and says of any other content in a sentence what is wrong."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evalkit.errors import EntryError
from evalkit.leaderboard.files import LIMITS, read_file
from evalkit.storage.atomic import atomic_write
from evalkit.storage.documents import LineError, json_lines, parse_json
from evalkit.storage.files import read_regular
from evalkit.storage.plain_yaml import MAX_YAML_BYTES, parse_yaml

R = TypeVar("R", bound=BaseModel)


def read_yaml(path: Path, record: type[R]) -> R:
    """A file that a person wrote.

    Raises:
        EntryError: It is no plain file, no YAML within bounds, or says too little or too much.
    """
    return parse_yaml_record(path, read_file(path), record)


def read_own_yaml(path: Path, record: type[R]) -> R:
    """A user's own file, which may lie anywhere, and be a link.

    Raises:
        EntryError: It is no YAML within bounds, or says too little or too much.
    """
    try:
        data = read_regular(path, limit=MAX_YAML_BYTES)
    except OSError as failure:
        raise EntryError(f"{path} cannot be read: {failure.strerror or failure}.") from None
    return parse_yaml_record(path, data, record)


def parse_yaml_record(path: Path, data: bytes, record: type[R]) -> R:
    """The record that a YAML text holds; as :func:`parse_record`."""
    try:
        value = parse_yaml(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise EntryError(f"{path} is not UTF-8 text. Convert it, and run the same command again.") from None
    except ValueError as failure:
        raise EntryError(f"{path} is not YAML that can be read: {failure}. Correct it.") from None
    with _refusing(str(path)):
        return record.model_validate(value)


def read_json(path: Path, record: type[R]) -> R:
    """A file that a command wrote.

    Raises:
        EntryError: It is no plain file, no JSON within bounds, or not of its schema.
    """
    return parse_record(path, read_file(path), record)


def parse_record(where: Path | str, data: bytes, record: type[R]) -> R:
    """The record that a JSON text holds.

    Args:
        where: What messages call it.
        data: The text.
        record: Its type.

    Raises:
        EntryError: It is no JSON within bounds, or not of its schema.
    """
    try:
        value = parse_json(data)
    except ValueError as failure:
        raise EntryError(f"{where} cannot be read: {failure}. Make it again with: evalkit submit") from None
    with _refusing(str(where)):
        return record.model_validate(value)


def read_lines(path: Path, record: type[R]) -> tuple[R, ...]:
    """A file with a record per line.

    Raises:
        EntryError: It is no plain file, or one of its lines is no JSON within bounds or not of the schema.
    """
    return _parse_lines(path, read_file(path), record)


def read_own_lines(path: Path, record: type[R]) -> tuple[R, ...]:
    """A user's own file with a record per line, which may lie anywhere, and be a link.

    Raises:
        EntryError: One of its lines is no JSON within bounds or not of the schema, or it is larger than a board's.
    """
    try:
        data = read_regular(path, limit=LIMITS[".jsonl"])
    except OSError as failure:
        raise EntryError(f"{path} cannot be read: {failure.strerror or failure}.") from None
    return _parse_lines(path, data, record)


def _parse_lines(path: Path, data: bytes, record: type[R]) -> tuple[R, ...]:
    found = []
    try:
        for number, value in json_lines(BytesIO(data)):
            with _refusing(f"{path}, line {number}"):
                found.append(record.model_validate(value))
    except LineError as failure:
        raise EntryError(f"{path}, line {failure.number}: {failure}. Make it again with: evalkit submit") from None
    return tuple(found)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Puts the first thing that is wrong with a record into a sentence."""
    try:
        yield
    except ValidationError as failure:
        first = failure.errors()[0]
        field, given = ".".join(str(part) for part in first["loc"]) or "the whole", first.get("input")
        if first["type"] == "missing" or given is None:
            what = "is not filled in"
        elif first["type"] == "extra_forbidden":
            what = "is no field that is known"
        else:
            shown = repr(given)
            shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
            what = f"is not as it must be: {first['msg']}; got {shown}"
        more = f" ({failure.error_count() - 1} more like this)" if failure.error_count() > 1 else ""
        raise EntryError(f"{where}: {field} {what}{more}. See every field with: evalkit guide leaderboard") from None


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
    """SHA-256 of a file's bytes.

    Raises:
        EntryError: It is no plain file.
    """
    return hashlib.sha256(read_file(path)).hexdigest()
