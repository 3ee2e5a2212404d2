"""Score tables of other tools, in whatever shape they come: which column is what, and what is missing and why."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.scores.frame import ItemScores, ScoreFrame

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
GUESSES: Mapping[str, tuple[str, ...]] = {
    "item": ("item_id", "item", "image_id", "file_id", "sample_id", "id", "key", "index", "name", "file_name", "file",
             "image"),
    "method": ("method", "model", "system", "method_name", "model_name"),
    "seed": ("seed", "random_seed"),
    "group": ("group", "group_id", "source_image", "source_id", "source", "cluster_id", "cluster", "image"),
    "metric": ("metric", "metric_name", "measure"),
    "value": ("value", "score"),
}  # fmt: skip
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
_JUDGED = re.compile(r"^\W*([A-Za-z][^:\n]*?)\W*:\W*(\d+(?:\.\d+)?)\W*$", re.MULTILINE)
"""A line ``Name: number`` of a judge's answer."""


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
    """A table of another tool, read: a frame of scores for each of its methods."""

    methods: Mapping[str, ScoreFrame]
    ungrouped: frozenset[str]
    """Items of which no column says with which others they belong together: each is a group of its own."""
    notes: tuple[str, ...]
    """How the table was read."""


def read_table(path: Path, columns: ColumnNames | None = None) -> ExternalTable:
    """Read a per-item table that another tool wrote.

    A table is *long* if it has a metric and a value column, *wide* otherwise: then every column that mostly holds
    numbers is a metric, or, where names look like ``method|metric``, a metric of that method.

    JSON may be a list of objects, an object that holds one such list, or an object of items: each with its scores, one
    number, or a judge's text with lines ``Name: number`` (whose mean is then the column ``average``).

    Args:
        path: CSV, TSV, JSON Lines, JSON or Parquet.
        columns: What cannot be guessed.

    Raises:
        DataError: The table cannot be read, a column is absent, an item has no name, two rows give the same value, or
            an item has two groups.
    """
    table = _read(path)
    chosen = _resolve(path, list(table.columns), columns or ColumnNames())
    remarks: list[str] = []
    if chosen.metric and chosen.value:
        metrics = _needed(path, table[chosen.metric])
        cells = _rows(path, table, chosen).assign(metric=metrics, raw=table[chosen.value])
    else:
        cells, remarks = _melted(path, table, chosen)
    read_as = ", ".join(f"{part} '{name}'" for part, name in asdict(chosen).items() if name)
    groups = _groups(path, cells)
    return ExternalTable(
        methods=_frames(path, cells, groups),
        ungrouped=frozenset(set(cells["item"]) - groups.keys()),
        notes=(f"{path.name} was read by its columns: {read_as}", *remarks),
    )


def read_groups(path: Path, columns: ColumnNames | None = None) -> dict[str, str]:
    """Item to group, from a table with a column for each.

    Raises:
        DataError: The table cannot be read, has no such columns, or gives an item two groups.
    """
    table = _read(path)
    chosen = _resolve(path, list(table.columns), columns or ColumnNames())
    if chosen.group is None:
        raise DataError(f"{path} has no group column: expected one called 'group' beside the item's.")
    return _groups(path, _rows(path, table, replace(chosen, method=None)))


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


def _read(path: Path) -> "pd.DataFrame":
    """Every record as it stands in the file, indexed by where: ``line 3``, ``entry 3`` or ``row 3``."""
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}, got '{kind}'.")
    try:
        if kind == ".parquet":
            from pyarrow import parquet

            rows = enumerate(parquet.read_table(path).to_pylist(), start=1)
            return _of_records(path, ((f"row {number}", record) for number, record in rows))
        text = path.read_bytes().decode("utf-8-sig")
        return _of_records(path, (_csv_records if kind in (".csv", ".tsv") else _json_records)(path, text))
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is not UTF-8 text: {failure}. Convert it, and run the same command again.") from None
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror or failure}.") from failure
    except (ValueError, csv.Error) as failure:  # pyarrow's are ValueErrors
        name = "Parquet" if kind == ".parquet" else kind[1:].upper()
        raise DataError(f"{path} is not a {name} file that can be read: {failure}.") from failure


def _of_records(path: Path, records: Iterable[tuple[str, Any]]) -> "pd.DataFrame":
    """A table of objects, those inside of others as ``outer.inner``."""
    import pandas as pd

    index, rows = [], []
    for where, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{path}, {where}: expected an object with a key per column, got {type(record).__name__}.")
        row: dict[str, Any] = {}
        for key, value in record.items():
            row |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        index.append(where)
        rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no rows: expected one per item.")
    return pd.DataFrame(rows, index=index, dtype=object)


def _csv_records(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Each line; pandas' own reader fills up short ones in silence, and cannot say which line a cell is from."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(lines, [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: the column '{twice[0]}' is there more than once. Rename one of them.")
    for cells in filter(None, lines):
        where = f"line {lines.line_num}"
        if len(cells) != len(header):
            raise DataError(f"{path}, {where}: expected {len(header)} cells as in the header, got {len(cells)}.")
        yield where, dict(zip(header, cells, strict=True))


def _json_records(path: Path, text: str) -> Iterable[tuple[str, Any]]:
    if path.suffix.lower() != ".json":
        lines = ((f"line {number}", line) for number, line in enumerate(text.split("\n"), start=1))
        return ((where, _parsed(path, line, where)) for where, line in lines if line.strip())
    value = _parsed(path, text, "the file")
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if isinstance(value, dict):
        return ((f"entry '{item}'", _scores_of(item, scores)) for item, scores in value.items())
    if isinstance(value, list):
        return ((f"entry {number}", entry) for number, entry in enumerate(value, start=1))
    raise DataError(f"{path} is no table: expected a list of objects, or an object of items.")


def _scores_of(item: str, scores: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """What an object of items says of one, as an object with the item's name."""
    if isinstance(scores, str) and (judged := _JUDGED.findall(scores)):
        named = {name.strip(): float(value) for name, value in judged}
        return {"item_id": item, **named, "average": sum(named.values()) / len(named)}
    if scores is None or isinstance(scores, int | float | str):
        return {"item_id": item, "score": scores}
    return {"item_id": item, **scores} if isinstance(scores, dict) else scores


def _parsed(path: Path, text: str, where: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return json.loads(text)
    except json.JSONDecodeError as failure:
        raise DataError(f"{path}, {where}: this is not JSON: {failure}.") from None


def _resolve(path: Path, present: Sequence[str], named: ColumnNames) -> ColumnNames:
    """The columns as named by the user, the others guessed."""
    found: dict[str, str | None] = asdict(named)
    for name in found.values():
        if name is not None and name not in present:
            raise DataError(f"{path} has no column '{name}': expected one of {', '.join(present)}.")
    for part, guesses in GUESSES.items():
        free = {column.lower(): column for column in reversed(present) if column not in found.values()}
        found[part] = found[part] or next((free[guess] for guess in guesses if guess in free), None)
    if found["item"] is None:
        raise DataError(
            f"It is not plain which column of {path} names the items: got {', '.join(present)}. "
            "Say which: --item-column NAME"
        )
    if named.metric and not found["value"]:
        raise DataError(f"It is not plain which column of {path} holds the values. Say which: --value-column NAME")
    if not (found["metric"] and found["value"]):  # a wide table may well have a metric that is called "score"
        found |= {"metric": None, "value": named.value}
    return ColumnNames(**found)


def _rows(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> "pd.DataFrame":
    """Whose each record is: its method, item, seed and group, None for a seed or group that is not said."""
    import pandas as pd

    nothing = [None] * len(table)
    rows = {
        "seed": [_seed(path, *cell) for cell in table[columns.seed].items()] if columns.seed else nothing,
        "method": _needed(path, table[columns.method]) if columns.method else [path.stem] * len(table),
        "item": _needed(path, table[columns.item]),
        "group": [_name(raw) for raw in table[columns.group]] if columns.group else nothing,
    }
    return pd.DataFrame(rows, index=table.index, dtype=object)


def _melted(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> tuple["pd.DataFrame", list[str]]:
    """A wide table with a row for each of its values, and what is to be said of the columns that are no scores."""
    import pandas as pd

    others = [name for name in table.columns if name and name not in asdict(columns).values()]
    metrics = [columns.value] if columns.value else [name for name in others if _is_metric(table[name])]
    crossed = [name for name in metrics if _BETWEEN in name] if columns.method is None else []
    metrics = crossed or metrics
    if not metrics:
        raise DataError(f"{path} has no column of numbers beside the item's: got {', '.join(others) or 'none'}.")
    left_out = [name for name in others if name not in metrics]
    rows, cells = _rows(path, table, columns), []
    for name in metrics:
        method, _, metric = name.rpartition(_BETWEEN) if crossed else ("", "", name)
        values = rows.assign(metric=metric, raw=table[name])
        cells.append(values.assign(method=method) if method else values)
    remarks = [f"{path.name}: columns that are no scores were left out: {', '.join(left_out)}"] if left_out else []
    return pd.concat(cells), remarks


def _is_metric(column: "pd.Series[Any]") -> bool:
    """Whether a column mostly holds numbers, and its name is not that of a second id or of an index."""
    if column.name.lower() in GUESSES["item"] or column.name.lower().startswith("unnamed:"):
        return False
    reasons = [number_of(raw)[1] for raw in column]
    return reasons.count(None) + reasons.count("infinite") > reasons.count("not_a_number")


def _seed(path: Path, where: str, raw: Any) -> int | None:  # noqa: ANN401 - a cell of any kind of table
    seed = _name(raw)
    if seed is not None and not seed.lstrip("-").isdigit():
        raise DataError(f"{path}, {where}: the seed must be a whole number, got '{seed}'.")
    return None if seed is None else int(seed)


def _needed(path: Path, column: "pd.Series[Any]") -> list[str]:
    """What the cells of a column name, which every row must."""
    names = [_name(raw) for raw in column]
    if None in names:
        where = column.index[names.index(None)]
        raise DataError(f"{path}, {where}: the column '{column.name}' is empty: expected a name in every row.")
    return [name for name in names if name is not None]


def _name(raw: Any) -> str | None:  # noqa: ANN401 - a cell of any kind of table
    """A cell that names something, as text: 1 and 1.0 and "1" are the same item."""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return str(raw).strip() or None


def _groups(path: Path, rows: "pd.DataFrame") -> dict[str, str]:
    """Item to group, of those items that have one."""
    found: dict[str, tuple[str, str]] = {}
    for where, item, group in zip(rows.index, rows["item"], rows["group"], strict=True):
        other, before = found.setdefault(item, (group, where)) if group is not None else (None, "")
        if other != group:
            raise DataError(
                f"{path}: item '{item}' is in group '{other}' in {before} and in '{group}' in {where}: expected one "
                "group per item."
            )
    return {item: group for item, (group, _) in found.items()}


def _frames(path: Path, cells: "pd.DataFrame", group_of: Mapping[str, str]) -> dict[str, ScoreFrame]:
    """A frame per method."""
    where: dict[tuple[str, str, int | None, str], str] = {}
    methods: dict[str, dict[tuple[str, int | None], tuple[dict[str, float | None], dict[str, str]]]] = {}
    for cell in cells.itertuples():
        first = where.setdefault((cell.method, cell.item, cell.seed, cell.metric), cell.Index)
        if first != cell.Index:
            seed = "" if cell.seed is None else f", seed {cell.seed}"
            raise DataError(
                f"{path}: {first} and {cell.Index} both give {cell.metric} of item '{cell.item}'{seed} for method "
                f"'{cell.method}'. Keep one, or name the column that tells them apart: --seed-column NAME"
            )
        values, reasons = methods.setdefault(cell.method, {}).setdefault((cell.item, cell.seed), ({}, {}))
        values[cell.metric], reason = number_of(cell.raw)
        if reason:
            reasons[cell.metric] = reason
    frames = {}
    for method, items in methods.items():
        metrics = tuple(dict.fromkeys(metric for values, _ in items.values() for metric in values))
        rows = [
            ItemScores(
                item_id=item,
                group=group_of.get(item, item),
                seed=seed,
                values=values,
                reasons={**dict.fromkeys(set(metrics) - values.keys(), "absent"), **reasons},
            )
            for (item, seed), (values, reasons) in items.items()
        ]
        frames[method] = ScoreFrame.from_rows(rows, metrics)
    return frames
