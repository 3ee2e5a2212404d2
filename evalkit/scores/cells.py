"""The cells of another tool's table: one value per row, whatever shape the table has."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.formatting import listed
from evalkit.scores.columns import ColumnNames, name_of, names_items, seed_of
from evalkit.scores.directions import higher_is_better
from evalkit.scores.judged import answers_of
from evalkit.scores.numbers import ParsedColumn, number_of, numbers_of
from evalkit.storage.documents import parse_json

if TYPE_CHECKING:
    import pandas as pd

_BETWEEN = "|"
"""What stands between method and metric where each pair of them has a column."""
_LONGEST = 24
"""Characters of a cell that could be a score, however it is written."""
_AVERAGE = "average"
VOTES_ARE = "Votes need columns of the winner and of both methods, as in item_id,model_a,model_b,winner."
LABELS_ARE = "--human takes a number for each label, in a row per item and method, as in item_id,method,rating."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is asked of a table beside its columns' names."""

    value: str
    """The metric of values that no heading names."""
    is_alone: bool = False
    """Whether no other table gives other methods: then columns that no name says to be metrics are methods."""
    remedy: str
    """What to do with a table without numbers, as a sentence."""


def cells_of(path: Path, table: "pd.DataFrame", columns: ColumnNames, shape: Shape) -> tuple["pd.DataFrame", list[str]]:
    """A row for each value: what :func:`rows_of` says of it, and ``metric``, ``value``, ``reason``, ``raw``.

    Returns:
        The cells, indexed by where they stand, and notes on what was left out or read as something else.

    Raises:
        DataError: There are no scores, or what looks like one cannot be read.
    """
    if columns.metric and columns.value:
        return _long(path, table, columns)
    names = [columns.value] if columns.value else [n for n in table.columns if n and n not in columns.taken()]
    scores, notes = _scores(path, table, [*names, *columns.methods], shape)
    methods = _crossed(scores, columns, shape)
    if methods and not columns.methods and not any(_BETWEEN in name for name in scores):
        notes.append(
            f"{path.name}: its columns {listed(list(methods))} were taken for methods; if not so, name a metric with "
            "--value-column, or head them like 'method|metric'"
        )
    rows = rows_of(path, table, columns)
    parts = []
    for name, numbers in scores.items():
        if methods and name not in methods:
            notes.append(f"{path.name}: {name} was left out: it is none of the methods")
            continue
        method, metric = methods.get(name, ("", name))
        part = _with_numbers(rows.assign(metric=metric), numbers)
        parts.append(part.assign(method=method) if method else part)
    import pandas as pd

    return pd.concat(parts), notes


def rows_of(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> "pd.DataFrame":
    """Whose each record is: method, item, seed, group and edit type, None for one of the last three if not said."""
    import pandas as pd

    nothing = [None] * len(table)
    rows = {
        "seed": [seed_of(path, *cell) for cell in table[columns.seed].items()] if columns.seed else nothing,
        "method": _needed(path, table[columns.method]) if columns.method else [path.stem] * len(table),
        "item": _needed(path, table[columns.item]),
        "group": [name_of(raw) for raw in table[columns.group]] if columns.group else nothing,
        "edit_type": [name_of(raw) for raw in table[columns.edit_type]] if columns.edit_type else nothing,
    }
    return pd.DataFrame(rows, index=table.index, dtype=object)


def told_apart(table: "pd.DataFrame", columns: ColumnNames) -> str:
    """The option that tells rows of one item apart, by the column that does so with the fewest values."""
    named = [table[name].map(name_of) for name in (columns.item, columns.method, columns.seed) if name]
    best: tuple[int, str] | None = None
    for name in table.columns:
        if higher_is_better(name) is not None or any((number_of(cell)[0] or 0) % 1 for cell in table[name]):
            continue  # a score
        cells = table[name].map(lambda raw: None if isinstance(raw, list | dict) else name_of(raw))
        keys = list(zip(*named, cells, strict=True))
        if (
            name
            and "," not in name
            and name not in columns.taken()
            and None not in cells.tolist()
            and len(set(keys)) == len(keys)
        ):
            is_seed = columns.seed is None and all(str(cell).isdecimal() for cell in cells)
            option = f"--seed-column {shlex.quote(name)}"
            if not is_seed:
                option = f"--item-column {shlex.quote(f'{name},{columns.item}')}"
            best = min(best or (len(table), option), (cells.nunique(), option))
    return best[1] if best else "--seed-column NAME"


def _needed(path: Path, column: "pd.Series[Any]") -> list[str]:
    """What the cells of a column name, which every row must."""
    names = [name_of(raw) for raw in column]
    if None in names:
        where = column.index[names.index(None)]
        raise DataError(f"{path}, {where}: the column '{column.name}' is empty: expected a name in every row.")
    return [name for name in names if name is not None]


def _with_numbers(rows: "pd.DataFrame", numbers: ParsedColumn) -> "pd.DataFrame":
    import pandas as pd

    values, reasons = zip(*numbers.values, strict=True)
    found = {"value": values, "reason": reasons, "raw": numbers.cells}
    return rows.assign(**{name: pd.Series(list(cells), rows.index, dtype=object) for name, cells in found.items()})


def _long(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> tuple["pd.DataFrame", list[str]]:
    """A table of one value per row."""
    import pandas as pd

    rows = rows_of(path, table, columns).assign(metric=_needed(path, table[columns.metric]))
    found, parts = {}, []
    for metric, of_metric in rows.groupby("metric", sort=False):
        numbers = numbers_of(table.loc[of_metric.index, columns.value])
        if numbers.fault:
            raise DataError(f"{path}: the values of {metric} cannot be read: {numbers.fault}.")
        found[metric] = numbers
        parts.append(_with_numbers(of_metric, numbers))
    left_out = [name for name in table.columns if name and name not in columns.taken()]
    notes = _about_numbers(path, found)
    if left_out:
        said = f"{path.name}: a row gives one value, so that other columns were left out: {', '.join(left_out)}"
        notes.append(said)
    return pd.concat(parts).loc[rows.index], notes


def _scores(
    path: Path, table: "pd.DataFrame", names: Sequence[str], shape: Shape
) -> tuple[dict[str, ParsedColumn], list[str]]:
    """The columns that are scores, and what is to be said of them and of the others."""
    spread, notes = _spread(path, table, names)
    found = {name: numbers for name, numbers in spread.items() if len(names) == 1 or not names_items(name)}
    scores = {name: numbers for name, numbers in found.items() if numbers.mostly}
    notes += _about_numbers(path, scores)
    others = [name for name in spread if name not in scores]
    if not scores:
        why = next((f"; {name}: {n.fault}" for name, n in found.items() if n.fault), "")
        raise DataError(
            f"{path} has no column of numbers beside the item's: got {', '.join(others) or 'none'}{why}. {shape.remedy}"
        )
    has_score = any(higher_is_better(name) is not None for name in scores)
    unread = [name for name in others if name in found and name in table and (found[name].fault or not has_score)]
    _refuse_unread(path, table, unread, found, list(scores))
    if others:
        said = [f"{name} ({found[name].fault})" if name in found and found[name].fault else name for name in others]
        notes.append(f"{path.name}: columns that are no scores were left out: {', '.join(said)}")
    return scores, notes


def _about_numbers(path: Path, scores: Mapping[str, ParsedColumn]) -> list[str]:
    """How columns were read whose numbers are not plain, those alike in one note."""
    alike: dict[str, list[str]] = {}
    for name, numbers in scores.items():
        if numbers.how:
            alike.setdefault(numbers.how, []).append(name)
    return [f"{path.name}: {listed(names)} read {how}" for how, names in alike.items()]


def _refuse_unread(
    path: Path, table: "pd.DataFrame", names: Sequence[str], found: Mapping[str, ParsedColumn], others: Sequence[str]
) -> None:
    """Refuses to take another column for the score, where one that is called like a score cannot be read."""
    for name in names:
        cells = {where: str(cell) for where, cell in table[name].items() if name_of(cell)}
        if higher_is_better(name) is not None and cells and max(map(len, cells.values())) <= _LONGEST:
            where, cell = next(iter(cells.items()))
            why = found[name].fault or f"'{cell}' in {where} is no number"
            raise DataError(
                f"{path}: the column '{name}' is called like a score and cannot be read: {why}. Write numbers into it, "
                f"or name another one: --value-column {shlex.quote(others[0])}"
            )


def _spread(path: Path, table: "pd.DataFrame", names: Sequence[str]) -> tuple[dict[str, ParsedColumn], list[str]]:
    """The columns, those of lists and of a judge's answers taken apart into several."""
    found: dict[str, ParsedColumn] = {}
    notes: list[str] = []
    for name in names:
        numbers = numbers_of(table[name])
        answers = None if numbers.mostly else answers_of(numbers.cells)
        if answers is None:
            found |= _elements(name, numbers)
            continue
        parts = {given: _elements(given, numbers_of(each)) for given, each in answers.cells.items()}
        criteria = {part: of for given, each in parts.items() if given not in answers.some for part, of in each.items()}
        prefix = f"{name}." if any(criterion in table.columns or criterion in found for criterion in criteria) else ""
        found |= {f"{prefix}{criterion}": of for criterion, of in criteria.items()}
        if _AVERAGE not in criteria and (average := _average(parts, answers.rated)):
            found[f"{prefix}{_AVERAGE}"] = numbers_of(average)
        left_out = {f"and is no part of {_AVERAGE}": answers.stray, f"and is part of {_AVERAGE} only": answers.some}
        for how, criteria_of in left_out.items():
            if criteria_of:
                said = listed(list(criteria_of))
                notes.append(f"{path.name}: what most answers do not rate was left out, {how}: {said}")
    return found, notes


def _average(
    parts: Mapping[str, Mapping[str, ParsedColumn]], rated: Sequence[frozenset[str]]
) -> list[float | None] | None:
    """Each answer's mean over the criteria by which its kind rates; None where they are not of one scale."""
    numbers = {given: [read for read in each.values() if read.mostly] for given, each in parts.items()}
    every = [read for reads in numbers.values() for read in reads]
    if len(every) < 2 or len({read.whole for read in every}) > 1:
        return None
    return [
        _mean([read.values[at][0] for given, reads in numbers.items() if given in names for read in reads])
        for at, names in enumerate(rated)
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _elements(name: str, numbers: ParsedColumn) -> dict[str, ParsedColumn]:
    """A column as it is, or one for each place in its lists."""
    if numbers.mostly:
        return {name: numbers}
    lists = [_list(cell) for cell in numbers.cells]
    longest = max((len(cell) for cell in lists if cell is not None), default=0)
    if not longest or sum(cell is not None for cell in lists) <= len(lists) / 2:
        return {name: numbers}
    places = range(longest)
    found = {at: [cell[at] if cell and at < len(cell) else None for cell in lists] for at in places}
    return {f"{name}.{at + 1}": numbers_of(cells) for at, cells in found.items()}


def _list(cell: Any) -> list[Any] | None:  # noqa: ANN401 - a cell of any kind of table
    if isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]"):
        try:
            cell = parse_json(cell.strip())
        except ValueError:
            return None
    return cell if isinstance(cell, list) else None


def _crossed(scores: Mapping[str, ParsedColumn], columns: ColumnNames, shape: Shape) -> dict[str, tuple[str, str]]:
    """Column to method and metric, where columns are methods."""
    if columns.methods:
        return {name: (name, shape.value) for name in columns.methods}
    if columns.method or columns.value:
        return {}
    named = {name: name.rpartition(_BETWEEN) for name in scores if _BETWEEN in name}
    if named:
        return {name: (method, metric) for name, (method, _, metric) in named.items()}
    unnamed = all(higher_is_better(name) is None for name in scores) and not scores.keys() & set(columns.metrics)
    if shape.is_alone and len(scores) > 1 and unnamed:
        return {name: (name, shape.value) for name in scores}
    return {}
