"""The rows of a benchmark: in the tables of a copy, or in a data set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from evalkit.benchmarks.cards.record import SUFFIXES, Source
from evalkit.benchmarks.cards.template import Template
from evalkit.edits.datasets import open_dataset
from evalkit.errors import BenchmarkError, DataError
from evalkit.storage.documents import read_json
from evalkit.storage.files import read_regular
from evalkit.storage.plain_yaml import parse_yaml

MAX_BYTES = 64 << 20
"""Of a table in JSON or YAML."""
MADE = ("first", "all", "position")
"""Columns that come of merging and exploding rows."""
NUMBER = "number"
"""What the position in a plain list of rows is called, where a row says nothing else by this name."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row under the names of its own table."""

    where: str
    """File and line or entry, as it reads in messages."""
    values: Mapping[str, Any]


def table_rows(root: Path, source: Source, notes: list[str]) -> list[TableRow]:
    """The rows of the tables in a copy.

    Args:
        root: The folder in which they lie.
        source: Which they are, and how they are nested.
        notes: Is given what was guessed to read them, a sentence each.

    Raises:
        BenchmarkError: One cannot be read, or is nested otherwise.
    """
    template = Template(source.table or "")
    return [
        TableRow(row.where, {**parts, **row.values})
        for path in tables_in(root, source)
        if (parts := template.parts_of(path.relative_to(root))) is not None
        for row in _read(path, source.levels, notes)
    ]


def tables_in(root: Path, source: Source) -> list[Path]:
    """The files in a folder that are a source's tables, in the order of their names."""
    template = Template(source.table or "")
    found = (path for path in root.glob(template.glob) if template.parts_of(path.relative_to(root)) is not None)
    return sorted(path for path in found if path.is_file())


def shaped(rows: Sequence[TableRow], source: Source, where: Mapping[str, str | tuple[str, ...]]) -> list[TableRow]:
    """The rows that count, one for each edit: with lists exploded, merged and filtered as the card says.

    Raises:
        BenchmarkError: The card names a column that no row has, or explodes one that holds no list.
    """
    for name in filter(None, (source.explode, source.merge, *where)):
        require_column(name, rows)
    wanted = {name: (value,) if isinstance(value, str) else value for name, value in where.items()}
    kept = [row for row in rows if all(str(row.values.get(name)) in values for name, values in wanted.items())]
    if source.explode:
        kept = [each for row in kept for each in _exploded(row, source.explode)]
    return _merged(kept, source.merge) if source.merge else kept


def require_column(name: str, rows: Sequence[TableRow]) -> None:
    """Raises a BenchmarkError if no row has a column."""
    if rows and not any(name in row.values for row in rows):
        refuse_column(name, rows[0].where, dict.fromkeys(key for row in rows for key in row.values))


def refuse_column(name: str, where: str, columns: Iterable[str]) -> NoReturn:
    """Raises a BenchmarkError that says what columns there are."""
    raise BenchmarkError(f"{where}: there is no column '{name}', which the card names. It has: {', '.join(columns)}.")


def read_document(path: Path) -> Any:  # noqa: ANN401 - whatever JSON and YAML can hold
    """The value in a file of JSON or YAML.

    Raises:
        BenchmarkError: It cannot be read.
    """
    try:
        if path.suffix.lower() in SUFFIXES:
            return parse_yaml(read_regular(path, limit=MAX_BYTES).decode("utf-8-sig"))
        return read_json(path, limit=MAX_BYTES)
    except (OSError, ValueError) as failure:
        reason = (failure.strerror if isinstance(failure, OSError) else None) or failure
        raise BenchmarkError(
            f"{path} cannot be read as a table of the benchmark: {reason}. Get the file anew."
        ) from failure


def _read(path: Path, levels: Sequence[str], notes: list[str]) -> Iterator[TableRow]:
    if path.suffix.lower() in (".json", *SUFFIXES):
        yield from _nested(read_document(path), levels or (NUMBER,), str(path), {})
        return
    if path.suffix.lower() == ".parquet":
        dataset = open_dataset(path)  # whose images stay where they are
        yield from (TableRow(f"{path}, {where}", row) for where, row in dataset.rows(None, dataset.stored_pictures))
        return
    from evalkit.storage.tables import read_table

    try:
        table = read_table(path, value="value")
    except DataError as failure:
        raise BenchmarkError(str(failure)) from failure
    notes += table.notes
    for where, record in table.rows:
        yield TableRow(f"{path}, {where}", record)


def _nested(value: Any, levels: Sequence[str], where: str, above: Mapping[str, Any]) -> Iterator[TableRow]:  # noqa: ANN401
    """The records at the bottom of nested objects and lists, each with the keys that lead to it."""
    if not levels:
        if not isinstance(value, dict):
            raise BenchmarkError(f"{where}: expected an object with the columns of an edit, got {_kind(value)}.")
        yield TableRow(where, {**above, **value})
        return
    if not isinstance(value, list) and (levels[0] == NUMBER or not isinstance(value, dict)):
        raise BenchmarkError(
            f"{where}: expected a list of {'edits' if levels[0] == NUMBER else levels[0]}, got {_kind(value)}. What "
            "the keys of an object stand for is said by levels, in the card."
        )
    keyed = value.items() if isinstance(value, dict) else enumerate(value, 1)
    for key, inner in keyed:
        yield from _nested(inner, levels[1:], f"{where}, entry '{key}'", {**above, levels[0]: key})


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), f"{value!r}")


def _exploded(row: TableRow, column: str) -> Iterator[TableRow]:
    values = row.values.get(column)
    if not isinstance(values, list):
        raise BenchmarkError(f"{row.where}, column {column}: expected a list, got {_kind(values)}.")
    for position, value in enumerate(values, 1):
        yield TableRow(row.where, {**row.values, column: value, "position": position})


def _merged(rows: Sequence[TableRow], column: str) -> list[TableRow]:
    members: dict[Any, list[TableRow]] = {}
    for row in rows:
        members.setdefault(row.values.get(column), []).append(row)
    return [
        TableRow(
            each[-1].where,
            {
                **each[-1].values,
                "first": each[0].values,
                "all": {name: [row.values.get(name) for row in each] for name in each[-1].values},
            },
        )
        for each in members.values()
    ]


def image_in(root: Path, named: str) -> Path | None:
    """The file that a row names: by the path that it is, else by a tail of it; None if there is none."""
    parts = [part for part in PurePosixPath(named.replace("\\", "/")).parts if part not in ("/", ".")]
    if ".." in parts:
        return None
    return next((path for start in range(len(parts)) if (path := root.joinpath(*parts[start:])).is_file()), None)
