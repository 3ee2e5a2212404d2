"""Score tables of other tools, in whatever shape they come: a frame for each method, and what is missing and why."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import DataError
from evalkit.formatting import counted, listed, one_line, one_line_names
from evalkit.scores.cells import LABELS_ARE, VOTES_ARE, Shape, cells_of, rows_of, told_apart
from evalkit.scores.columns import ColumnNames, is_column, name_of, resolve, says_groups
from evalkit.scores.directions import distance_in
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.raters import as_repeats
from evalkit.scores.summary_rows import is_summary_name, without_summaries
from evalkit.storage import tables

if TYPE_CHECKING:
    import pandas as pd

SMALLEST, LARGEST = 1e-100, 1e100
"""Sizes between which scores can be squared and summed; what is smaller counts as 0, what is larger is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadCell:
    """A cell of a column of numbers that holds something else."""

    where: str
    """Its row, as ``line 4``."""
    method: str
    item: str
    metric: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTable:
    """A table of another tool, read: a frame of scores for each of its methods."""

    methods: Mapping[str, ScoreFrame]
    ungrouped: frozenset[str]
    """Items of which no column says with which others they belong together: each is a group of its own."""
    guessed_groups: str | None
    """The column that was taken for one of groups, though its name does not say so."""
    zeroed: frozenset[str]
    """Metrics with values so small that they count as 0."""
    notes: tuple[str, ...]
    """How the table was read."""
    raters: tuple[str, ...] = ()
    """Whose the repeats are, where raters were asked for: these are numbered as seeds in the frames."""
    unread: tuple[UnreadCell, ...] = ()
    """Cells that hold something else than a finite number."""


def read_table(
    path: Path, columns: ColumnNames | None = None, *, is_alone: bool = False, by_rater: bool = False
) -> ExternalTable:
    """Read a per-item table that another tool wrote.

    A table is *long* if it has a metric and a value column, *wide* otherwise: then every column that mostly holds
    numbers is a metric, or, where names look like ``method|metric``, a metric of that method. Columns of lists, and of
    a judge's text with lines ``Name: number``, are several metrics; of the latter ``average`` is their mean.

    Args:
        path: CSV, TSV, Excel, Parquet, JSON Lines, JSON or YAML: see :func:`evalkit.storage.tables.read_table`.
        columns: What cannot be guessed.
        is_alone: Whether no other table gives other methods, so that columns without a metric's name are methods.
        by_rater: Whether several raters may give values of one item and method.

    Raises:
        DataError: The table cannot be read, a column is absent, an item has no name, two rows give the same value, an
            item has two groups, or a value is larger than any score.
    """
    named = columns or ColumnNames()
    table, how, doubtful = _read(path, named)
    table, chosen = resolve(path, table, named)
    table, chosen, raters = as_repeats(path, table, chosen) if by_rater else (table, chosen, ())
    table, unowned = _without_unowned_summaries(path, table, chosen)
    shape = Shape(value=_value_of(path), is_alone=is_alone, remedy=LABELS_ARE if by_rater else VOTES_ARE)
    cells, remarks = cells_of(path, table, chosen, shape)
    _refuse_doubtful(path, doubtful, {*chosen.taken(), *cells["metric"], *cells["method"]})
    cells, left_out = without_summaries(path, cells)
    cells["metric"] = cells["metric"].map(one_line_names(cells["metric"]))
    tiny = _without_extremes(path, cells)
    groups, about_groups = _groups(path, cells, chosen.group, is_guessed=named.group is None)
    chosen = chosen if groups else replace(chosen, group=None)
    return ExternalTable(
        methods=_frames(path, cells, groups, lambda: told_apart(table, chosen)),
        ungrouped=frozenset(set(cells["item"]) - groups.keys()),
        guessed_groups=chosen.group if named.group is None and not says_groups(chosen.group) else None,
        zeroed=frozenset(tiny),
        notes=(
            *how,
            f"{path.name} was read by its columns: {chosen.described()}",
            *unowned,
            *remarks,
            *left_out,
            *about_groups,
            *_about_tiny(path, tiny),
        ),
        raters=raters,
        unread=tuple(_unread(cells)),
    )


def read_groups(path: str | Path, columns: ColumnNames | None = None) -> dict[str, str]:
    """Item to group, from a table with a column for each.

    Raises:
        DataError: The table cannot be read, has no such columns, or gives an item two groups.
    """
    path = Path(path)
    table, _, doubtful = _read(path, columns or ColumnNames())
    table, chosen = resolve(path, table, columns or ColumnNames())
    _refuse_doubtful(path, doubtful, chosen.taken())
    if chosen.group is None:
        raise DataError(f"{path} has no group column: expected one called 'group' beside the item's.")
    return _groups(path, rows_of(path, table, replace(chosen, method=None)), chosen.group, is_guessed=False)[0]


def _read(path: Path, named: ColumnNames) -> tuple["pd.DataFrame", tuple[str, ...], frozenset[str]]:
    """The table, indexed by where each record stands, what was guessed to read it, and columns of doubtful texts."""
    import pandas as pd

    table = tables.read_table(
        path, value=_value_of(path), known=is_column, items_are=named.items_are, needs_texts=False
    )
    where, records = zip(*table.rows, strict=True)
    return pd.DataFrame(records, index=where, columns=table.columns, dtype=object), table.notes, table.doubtful


def _refuse_doubtful(path: Path, doubtful: frozenset[str], needed: Iterable[str]) -> None:
    """Refuses names that could not be decoded for certain."""
    if names := sorted(doubtful.intersection(needed)):
        raise DataError(
            f"{path}: it is not UTF-8 text, which encoding it has cannot be told, and '{names[0]}' is needed. "
            f"{tables.SAVE}"
        )


def _unread(cells: "pd.DataFrame") -> Iterator[UnreadCell]:
    for cell in cells[cells["reason"].notna()].itertuples():
        text = name_of(cell.raw)
        if text is not None:
            yield UnreadCell(where=cell.Index, method=cell.method, item=cell.item, metric=cell.metric, text=text)


def _value_of(path: Path) -> str:
    """What values without a heading are called: by the file's name if it says that they are distances."""
    return distance_in(path.stem) or "score"


def _without_unowned_summaries(
    path: Path, table: "pd.DataFrame", columns: ColumnNames
) -> tuple["pd.DataFrame", list[str]]:
    """The table without rows that are called summaries and have no method, as one over all methods has none."""
    if columns.method is None:
        return table, []
    named = table[columns.item].map(lambda cell: is_summary_name(name_of(cell) or ""))
    unowned = named & table[columns.method].map(lambda cell: name_of(cell) is None)
    if not unowned.any():
        return table, []
    names = listed([str(item) for item in table[columns.item][unowned]])
    return table[~unowned], [f"{path.name}: no items, and left out: what sums up all methods ({names})"]


def _without_extremes(path: Path, cells: "pd.DataFrame") -> dict[str, list[str]]:
    """Refuses what is too large, and sets what is too small to 0: metric to where that was."""
    tiny: dict[str, list[str]] = {}
    values: list[float | None] = cells["value"].tolist()
    for at, value in enumerate(values):
        if value is None or SMALLEST <= abs(value) <= LARGEST:
            continue
        cell = cells.iloc[at]
        if abs(value) > LARGEST:
            raise DataError(
                f"{path}, {cell.name}: {cell.metric} of item '{one_line(cell['item'])}' is {_shown(value, cell.raw)}: "
                f"expected a number up to {LARGEST:g}. Divide the column by a power of ten, or leave it out."
            )
        if value:
            tiny.setdefault(cell.metric, []).append(str(cell.name))
        values[at] = 0.0  # of −0.0 too
    cells["value"] = np.array(values, dtype=object)  # so that None stays
    return tiny


def _shown(value: float, raw: object) -> str:
    """A large number in a few characters."""
    return f"{value:g}" if math.isfinite(value) else f"{str(raw).strip():.12}…"


def _about_tiny(path: Path, tiny: Mapping[str, Sequence[str]]) -> list[str]:
    said = f"{path.name}: counted as 0, being smaller than {SMALLEST:g}:"
    return [f"{said} {counted(len(at), 'value')} of {metric} ({listed(at)})" for metric, at in tiny.items()]


def _groups(
    path: Path, rows: "pd.DataFrame", column: str | None, *, is_guessed: bool
) -> tuple[dict[str, str], list[str]]:
    """Item to group, of those items that have one, and what is to be said of a column that was only guessed."""
    found: dict[str, tuple[str, str]] = {}
    is_unsaid = is_guessed and column is not None and not says_groups(column)
    for where, item, group in zip(rows.index, rows["item"], rows["group"], strict=True):
        other, before = found.setdefault(item, (group, where)) if group is not None else (None, "")
        if other != group and is_unsaid:
            return {}, [f"{path.name}: '{column}' differs between rows of one item, and is no column of groups"]
        if other != group:
            raise DataError(
                f"{path}: item '{item}' is in group '{other}' in {before} and in '{group}' in {where}: expected one "
                "group per item. Name another column with --groups NAME, or none: --groups none"
            )
    groups = {item: group for item, (group, _) in found.items()}
    shared = len(groups) - len(set(groups.values()))
    if is_unsaid and column is not None and not shared and "image" in column.lower() and "source" not in column.lower():
        return {}, []  # the edited image, as likely as not
    said = f"{path.name}: items of the same '{column}' count as one group; if these are no source images: --groups none"
    return groups, [said] if is_unsaid and shared else []


def _frames(
    path: Path, cells: "pd.DataFrame", group_of: Mapping[str, str], remedy: Callable[[], str]
) -> dict[str, ScoreFrame]:
    """A frame per method."""
    where: dict[tuple[str, str, int | None, str], str] = {}
    methods: dict[str, dict[tuple[str, int | None], tuple[dict[str, float | None], dict[str, str]]]] = {}
    type_of = {item: name for item, name in zip(cells["item"], cells["edit_type"], strict=True) if name}
    for cell in cells.itertuples():
        first = where.setdefault((cell.method, cell.item, cell.seed, cell.metric), cell.Index)
        if first != cell.Index:
            seed = "" if cell.seed is None else f", seed {cell.seed}"
            raise DataError(
                f"{path}: {first} and {cell.Index} both give {cell.metric} of item '{cell.item}'{seed} for method "
                f"'{cell.method}'. Keep one, or name the column that tells them apart: {remedy()}"
            )
        values, reasons = methods.setdefault(cell.method, {}).setdefault((cell.item, cell.seed), ({}, {}))
        values[cell.metric] = cell.value
        if cell.reason:
            reasons[cell.metric] = cell.reason
    frames = {}
    for method, items in methods.items():
        metrics = tuple(dict.fromkeys(metric for values, _ in items.values() for metric in values))
        rows = [
            ItemScores(
                item_id=item,
                group=group_of.get(item, item),
                seed=seed,
                edit_type=type_of.get(item),
                values=values,
                reasons={**dict.fromkeys(set(metrics) - values.keys(), "absent"), **reasons},
            )
            for (item, seed), (values, reasons) in items.items()
        ]
        frames[method] = ScoreFrame.from_rows(rows, metrics)
    return frames
