"""Score tables of other tools, in whatever shape they come: which column is what, and what is missing and why."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.formatting import counted, listed, one_line, one_line_names
from evalkit.scores.directions import higher_is_better
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.storage import tables

if TYPE_CHECKING:
    import pandas as pd

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
SMALLEST, LARGEST = 1e-100, 1e100
"""Sizes between which scores can be squared and summed; what is smaller counts as 0, what is larger is refused."""
_EMPTY = {"", "nan", "none", "null", "na", "n/a", "-", "–"}
_TRUTHS = {"true": 1.0, "false": 0.0}
_SEED = re.compile(r"-?[0-9]{1,100}")
_JUDGED_NAME = re.compile(r"\W*([A-Za-z](?:.*\w)?)\W*")
_JUDGED_NUMBER = re.compile(r"\W*(\d+(?:\.\d+)?)\W*")
"""What stands before and behind the colon of a line ``Name: number`` of a judge's answer."""
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
    """A table of another tool, read: a frame of scores for each of its methods."""

    methods: Mapping[str, ScoreFrame]
    ungrouped: frozenset[str]
    """Items of which no column says with which others they belong together: each is a group of its own."""
    zeroed: frozenset[str]
    """Metrics with values so small that they count as 0."""
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
        DataError: The table cannot be read, a column is absent, an item has no name, two rows give the same value, an
            item has two groups, or a value is larger than any score.
    """
    table, how = _read(path)
    chosen = _resolve(path, list(table.columns), columns or ColumnNames())
    cells, remarks = (_long if chosen.metric and chosen.value else _melted)(path, table, chosen)
    cells["metric"] = cells["metric"].map(one_line_names(cells["metric"]))
    scores, tiny = _scores(path, cells)
    read_as = ", ".join(f"{part} '{name}'" for part, name in asdict(chosen).items() if name)
    groups = _groups(path, cells)
    return ExternalTable(
        methods=_frames(path, cells, scores, groups),
        ungrouped=frozenset(set(cells["item"]) - groups.keys()),
        zeroed=frozenset(tiny),
        notes=(*how, f"{path.name} was read by its columns: {read_as}", *remarks, *_about_tiny(path, tiny)),
    )


def read_groups(path: Path, columns: ColumnNames | None = None) -> dict[str, str]:
    """Item to group, from a table with a column for each.

    Raises:
        DataError: The table cannot be read, has no such columns, or gives an item two groups.
    """
    table, _ = _read(path)
    chosen = _resolve(path, list(table.columns), columns or ColumnNames())
    if chosen.group is None:
        raise DataError(f"{path} has no group column: expected one called 'group' beside the item's.")
    return _groups(path, _rows(path, table, replace(chosen, method=None)))


def _read(path: Path) -> tuple["pd.DataFrame", tuple[str, ...]]:
    """The table, indexed by where each record stands, and what was guessed to read it."""
    import pandas as pd

    table = tables.read_table(path, value="score", known=_is_column)
    index, rows = zip(*((where, _with_judged(record)) for where, record in table.rows), strict=True)
    return pd.DataFrame(rows, index=index, dtype=object), table.notes


def _with_judged(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record whose only value is a judge's answer, with what its lines ``Name: number`` say."""
    answer = record.get("score")
    named = dict(_judged(answer)) if isinstance(answer, str) else {}
    if not named:
        return record
    rest = {name: cell for name, cell in record.items() if name != "score"}
    return {**rest, **named, "average": sum(named.values()) / len(named)}


def _judged(answer: str) -> Iterator[tuple[str, float]]:
    """What the lines ``Name: number`` of a judge's answer say."""
    for line in answer.splitlines():
        before, _, behind = line.partition(":")
        name, number = _JUDGED_NAME.fullmatch(before), _JUDGED_NUMBER.fullmatch(behind)
        if name and number:
            yield name[1].strip(), float(number[1])


def _is_column(name: str) -> bool:
    """Whether a name is a column's, as far as names say it."""
    return higher_is_better(name) is not None or any(name.lower() in guesses for guesses in GUESSES.values())


def number_of(raw: Any) -> tuple[float | None, str | None]:  # noqa: ANN401 - a cell of any kind of table
    """A cell's value, or None and the reason why there is none (a key of :data:`ABSENT`); infinite if it is too large.

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
    except OverflowError:  # a whole number, which JSON writes to the last digit
        return math.inf, None
    except (TypeError, ValueError):
        return None, "not_a_number"
    if math.isnan(value):
        return None, "empty"
    # Digits without end are a number all the same, too large as it is; the word is not.
    written_out = isinstance(raw, str) and "inf" not in raw
    return (None, "infinite") if math.isinf(value) and not written_out else (value, None)


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


def _long(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> tuple["pd.DataFrame", list[str]]:
    """A table of one value per row, and what is to be said of columns beside it."""
    cells = _rows(path, table, columns).assign(metric=_needed(path, table[columns.metric]), raw=table[columns.value])
    left_out = [name for name in table.columns if name and name not in asdict(columns).values()]
    said = f"{path.name}: a row gives one value, so that other columns were left out: {', '.join(left_out)}"
    return cells, [said] if left_out else []


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


def _scores(path: Path, cells: "pd.DataFrame") -> tuple[list[tuple[float | None, str | None]], dict[str, list[str]]]:
    """Each cell's value, or why there is none; and metric to where values are so small that they count as 0."""
    scores: list[tuple[float | None, str | None]] = []
    tiny: dict[str, list[str]] = {}
    for cell in cells.itertuples():
        value, reason = number_of(cell.raw)
        if value is not None and abs(value) > LARGEST:
            raise DataError(
                f"{path}, {cell.Index}: {cell.metric} of item '{one_line(cell.item)}' is {_shown(value, cell.raw)}: "
                f"expected a number up to {LARGEST:g}. Divide the column by a power of ten, or leave it out."
            )
        if value is not None and abs(value) < SMALLEST:
            if value:
                tiny.setdefault(cell.metric, []).append(cell.Index)
            value = 0.0  # of −0.0 too
        scores.append((value, reason))
    return scores, tiny


def _shown(value: float, raw: object) -> str:
    """A large number in a few characters."""
    return f"{value:g}" if math.isfinite(value) else f"{str(raw).strip():.12}…"


def _about_tiny(path: Path, tiny: Mapping[str, Sequence[str]]) -> list[str]:
    said = f"{path.name}: counted as 0, being smaller than {SMALLEST:g}:"
    return [f"{said} {counted(len(at), 'value')} of {metric} ({listed(at)})" for metric, at in tiny.items()]


def _seed(path: Path, where: str, raw: Any) -> int | None:  # noqa: ANN401 - a cell of any kind of table
    seed = _name(raw)
    if seed is not None and not _SEED.fullmatch(seed):
        raise DataError(f"{path}, {where}: the seed must be a whole number, got '{seed:.40}'.")
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


def _frames(
    path: Path,
    cells: "pd.DataFrame",
    scores: Sequence[tuple[float | None, str | None]],
    group_of: Mapping[str, str],
) -> dict[str, ScoreFrame]:
    """A frame per method."""
    where: dict[tuple[str, str, int | None, str], str] = {}
    methods: dict[str, dict[tuple[str, int | None], tuple[dict[str, float | None], dict[str, str]]]] = {}
    for cell, (value, reason) in zip(cells.itertuples(), scores, strict=True):
        first = where.setdefault((cell.method, cell.item, cell.seed, cell.metric), cell.Index)
        if first != cell.Index:
            seed = "" if cell.seed is None else f", seed {cell.seed}"
            raise DataError(
                f"{path}: {first} and {cell.Index} both give {cell.metric} of item '{cell.item}'{seed} for method "
                f"'{cell.method}'. Keep one, or name the column that tells them apart: --seed-column NAME"
            )
        values, reasons = methods.setdefault(cell.method, {}).setdefault((cell.item, cell.seed), ({}, {}))
        values[cell.metric] = value
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
