"""Score tables of other tools, in whatever shape they come: which column is what, and what is missing and why."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.scores.external_rows import ExternalRow, read_rows
from evalkit.scores.frame import ItemScores, ScoreFrame

GUESSES: Mapping[str, tuple[str, ...]] = {
    "item": (
        "item_id",
        "item",
        "image_id",
        "file_id",
        "sample_id",
        "id",
        "key",
        "index",
        "name",
        "file_name",
        "file",
        "image",
    ),
    "method": ("method", "model", "system", "method_name", "model_name"),
    "seed": ("seed", "random_seed"),
    "group": ("group", "group_id", "source_image", "source_id", "source", "cluster_id", "cluster", "image"),
    "metric": ("metric", "metric_name", "measure"),
    "value": ("value", "score"),
}
"""Column names, in lower case, from which a column's part is plain; the first that is there stands."""
ABSENT: Mapping[str, str] = {
    "empty": "the cell is empty, or says that there is no value",
    "infinite": "the value is infinite",
    "not_a_number": "the cell holds text where a number was expected",
    "absent": "the table has no row for it",
}
"""Why another tool's table has no value."""
_EMPTY = {"", "nan", "none", "null", "na", "n/a", "-", "–"}
_TRUTHS = {"true": 1.0, "false": 0.0}
_BETWEEN = "|"
"""What stands between method and metric where each pair of them has a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """Which column is what; None is guessed from the names."""

    item: str | None = None
    method: str | None = None
    seed: str | None = None
    group: str | None = None
    metric: str | None = None
    """Of a long table, where each row holds one value: whose it is."""
    value: str | None = None
    """Of a long table: the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTable:
    """Another tool's scores."""

    methods: Mapping[str, ScoreFrame]
    has_groups: bool
    """Whether a column says which items belong together; if not, every item is its own group."""
    notes: tuple[str, ...]
    """How the table was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One value and whose it is."""

    method: str
    item: str
    seed: int | None
    group: str | None
    metric: str
    raw: Any
    where: str


def read_table(path: Path, columns: ColumnNames | None = None) -> ExternalTable:
    """Read a per-item table that another tool wrote.

    A table is *long* if it has a metric and a value column, *wide* otherwise: then every column that mostly holds
    numbers is a metric, or, where names look like ``method|metric``, a metric of that method.

    Args:
        path: CSV, TSV, JSON Lines, JSON or Parquet.
        columns: What cannot be guessed.

    Raises:
        DataError: The table cannot be read, a column is absent, an item has no name, two rows give the same value, or
            an item has two groups.
    """
    rows = read_rows(path)
    chosen = _resolve(path, rows, columns or ColumnNames())
    if chosen.metric and chosen.value:
        remarks: list[str] = []
        cells = _long_cells(path, rows, chosen)
    else:
        cells, remarks = _wide_cells(path, rows, chosen)
    shown = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    read_as = ", ".join(f"{part} '{name}'" for part, name in shown.items() if name)
    return ExternalTable(
        methods=_tables(path, cells),
        has_groups=chosen.group is not None,
        notes=(f"{path.name} was read by its columns: {read_as}", *remarks),
    )


def read_groups(path: Path, columns: ColumnNames | None = None) -> dict[str, str]:
    """Item to group, from a table with a column for each.

    Raises:
        DataError: The table cannot be read, has no such columns, or gives an item two groups.
    """
    rows = read_rows(path)
    chosen = _resolve(path, rows, columns or ColumnNames())
    if chosen.group is None:
        raise DataError(f"{path} has no group column: expected one called 'group' beside the item's.")
    cells = [_cell(path, row, replace(chosen, method=None), "", None) for row in rows]
    return {item: cell.group or item for item, cell in _groups(path, cells).items()}


def number_of(raw: Any) -> tuple[float | None, str | None]:  # noqa: ANN401 - a cell of any kind of table
    """A cell's value, or None and the reason why there is none (a key of :data:`ABSENT`).

    >>> number_of("0.5"), number_of("nan"), number_of("-inf"), number_of("error")
    ((0.5, None), (None, 'empty'), (None, 'infinite'), (None, 'not_a_number'))
    """
    if raw is None:
        return None, "empty"
    if isinstance(raw, str):
        text = raw.strip().lower()
        if text in _EMPTY:
            return None, "empty"
        raw = _TRUTHS.get(text, text)
    try:
        value = float(raw)
    except (TypeError, ValueError):
        return None, "not_a_number"
    if math.isnan(value):
        return None, "empty"
    return (None, "infinite") if math.isinf(value) else (value, None)


def _resolve(path: Path, rows: Sequence[ExternalRow], named: ColumnNames) -> ColumnNames:
    """The columns as named by the user, the others guessed."""
    present = list(dict.fromkeys(name for row in rows for name in row.cells))
    found = named
    for part, guesses in GUESSES.items():
        name = getattr(named, part)
        if name is not None and name not in present:
            raise DataError(f"{path} has no column '{name}': expected one of {', '.join(present)}.")
        taken = {getattr(found, field.name) for field in fields(found)}
        by_lower = {column.lower(): column for column in reversed(present) if column not in taken}
        if name is None:
            found = replace(found, **{part: next((by_lower[guess] for guess in guesses if guess in by_lower), None)})
    if found.item is None:
        raise DataError(
            f"It is not plain which column of {path} names the items: got {', '.join(present)}. "
            "Say which: --item-column NAME"
        )
    if named.metric and not found.value:
        raise DataError(f"It is not plain which column of {path} holds the values. Say which: --value-column NAME")
    # A wide table may well have a metric that is called "score".
    return found if found.metric and found.value else replace(found, metric=None, value=named.value)


def _long_cells(path: Path, rows: Sequence[ExternalRow], columns: ColumnNames) -> list[_Cell]:
    metric, value = columns.metric or "", columns.value or ""
    return [_cell(path, row, columns, _needed(path, row, metric), row.cells.get(value)) for row in rows]


def _wide_cells(path: Path, rows: Sequence[ExternalRow], columns: ColumnNames) -> tuple[list[_Cell], list[str]]:
    taken = {getattr(columns, field.name) for field in fields(columns)}
    others = [name for name in dict.fromkeys(name for row in rows for name in row.cells) if name and name not in taken]
    metrics = [
        name for name in others if not _numbers_rows(name) and _mostly_numbers(row.cells.get(name) for row in rows)
    ]
    metrics = [columns.value] if columns.value else metrics
    crossed = [name for name in metrics if _BETWEEN in name]
    if crossed and columns.method is None:
        metrics = crossed
    if not metrics:
        raise DataError(f"{path} has no column of numbers beside the item's: got {', '.join(others) or 'none'}.")
    left_out = [name for name in others if name not in metrics]
    remarks = [f"{path.name}: columns that are no scores were left out: {', '.join(left_out)}"] if left_out else []
    cells = []
    for row in rows:
        for name in metrics:
            method, _, metric = name.rpartition(_BETWEEN) if name in crossed and not columns.method else ("", "", name)
            cell = _cell(path, row, columns, metric, row.cells.get(name))
            cells.append(replace(cell, method=method) if method else cell)
    return cells, remarks


def _numbers_rows(name: str) -> bool:
    """Whether a column, by its name, only counts or names the rows: a second id, or an index that a tool added."""
    return name.lower() in GUESSES["item"] or name.lower().startswith("unnamed:")


def _mostly_numbers(column: Iterable[Any]) -> bool:
    reasons = [number_of(raw)[1] for raw in column]
    numbers = reasons.count(None) + reasons.count("infinite")
    return numbers > reasons.count("not_a_number")


def _cell(path: Path, row: ExternalRow, columns: ColumnNames, metric: str, raw: Any) -> _Cell:  # noqa: ANN401 - any cell
    seed = _name(row.cells.get(columns.seed)) if columns.seed else None
    if seed is not None and not seed.lstrip("-").isdigit():
        raise DataError(f"{path}, {row.where}: the seed must be a whole number, got '{seed}'.")
    return _Cell(
        method=_needed(path, row, columns.method) if columns.method else path.stem,
        item=_needed(path, row, columns.item or ""),
        seed=None if seed is None else int(seed),
        group=_name(row.cells.get(columns.group)) if columns.group else None,
        metric=metric,
        raw=raw,
        where=row.where,
    )


def _needed(path: Path, row: ExternalRow, column: str) -> str:
    """What a cell names, which every row must."""
    name = _name(row.cells.get(column))
    if name is None:
        raise DataError(f"{path}, {row.where}: the column '{column}' is empty: expected a name in every row.")
    return name


def _name(raw: Any) -> str | None:  # noqa: ANN401 - a cell of any kind of table
    """A cell that names something, as text: 1 and 1.0 and "1" are the same item."""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return str(raw).strip() or None


def _tables(path: Path, cells: Sequence[_Cell]) -> dict[str, ScoreFrame]:
    """One table per method."""
    first: dict[tuple[str, str, int | None, str], _Cell] = {}
    group_of = {item: cell.group or item for item, cell in _groups(path, cells).items()}
    for cell in cells:
        key = (cell.method, cell.item, cell.seed, cell.metric)
        if key in first:
            seed = "" if cell.seed is None else f", seed {cell.seed}"
            raise DataError(
                f"{path}: {first[key].where} and {cell.where} both give {cell.metric} of item '{cell.item}'{seed} "
                f"for method '{cell.method}'. Keep one, or name the column that tells them apart: --seed-column NAME"
            )
        first[key] = cell
    by_method: dict[str, dict[tuple[str, int | None], dict[str, _Cell]]] = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        by_method[cell.method][cell.item, cell.seed][cell.metric] = cell
    return {name: _table(scored, group_of) for name, scored in by_method.items()}


def _groups(path: Path, cells: Sequence[_Cell]) -> dict[str, _Cell]:
    """Item to the first cell that names its group."""
    groups: dict[str, _Cell] = {}
    for cell in cells:
        if cell.group is not None and groups.setdefault(cell.item, cell).group != cell.group:
            other = groups[cell.item]
            raise DataError(
                f"{path}: item '{cell.item}' is in group '{other.group}' in {other.where} and in '{cell.group}' in "
                f"{cell.where}: expected one group per item."
            )
    return groups


def _table(scored: Mapping[tuple[str, int | None], Mapping[str, _Cell]], group_of: Mapping[str, str]) -> ScoreFrame:
    metrics = tuple(dict.fromkeys(metric for cells in scored.values() for metric in cells))
    rows = []
    for (item, seed), cells in scored.items():
        values: dict[str, float | None] = {}
        reasons: dict[str, str] = {}
        for metric in metrics:
            value, reason = number_of(cells[metric].raw) if metric in cells else (None, "absent")
            values[metric] = value
            if reason:
                reasons[metric] = reason
        group = group_of.get(item, item)
        rows.append(ItemScores(item_id=item, group=group, seed=seed, values=values, reasons=reasons))
    return ScoreFrame.from_rows(rows, metrics)
