"""What people said of edits, each on a scale: a table of items, methods and labels, of one rater or of several."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted, format_number, listed, one_line
from evalkit.scores.columns import ColumnNames
from evalkit.scores.external import ExternalTable, UnreadCell, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterNoise:
    """How far raters of one and the same edit are apart."""

    n_raters: float
    """Labels of an edit, on average."""
    deviation: float
    """Standard deviation between raters of an edit, in units of the labels."""
    share: float
    """Of the variance of the edits' mean labels what comes from who happened to rate them, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanLabels:
    """What people said of edits."""

    source: Path
    name: str
    """The column of labels."""
    methods: Mapping[str, Mapping[str, Sequence[float]]]
    """Method to item to the labels of its raters."""
    raters: tuple[str, ...]
    """Who they are; nobody where the table does not say it."""
    raters_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Method to those of them who labelled its edits."""
    notes: tuple[str, ...] = ()
    """How the table was read."""
    left_out: tuple[str, ...] = ()
    """Which of its cells are no labels."""

    def means(self, method: str) -> dict[str, float]:
        """Item to the mean of its labels: raters of an edit are averaged before anything else."""
        return {item: float(np.mean(labels)) for item, labels in self.methods[method].items()}

    @property
    def noise(self) -> RaterNoise | None:
        """Between the raters of an edit; None where no edit has two, or edits do not differ."""
        edits = [[np.asarray(labels) for labels in items.values()] for items in self.methods.values()]
        every = [labels for of_method in edits for labels in of_method]
        freedom = sum(len(labels) - 1 for labels in every)
        spread = sum(len(of_method) - 1 for of_method in edits)
        if freedom < 1 or spread < 1:
            return None
        within = sum(float(np.square(labels - labels.mean()).sum()) for labels in every) / freedom
        means = [np.array([labels.mean() for labels in of_method]) for of_method in edits]
        between = sum(float(np.square(of_method - of_method.mean()).sum()) for of_method in means) / spread
        if not between:
            return None
        of_means = within * float(np.mean([1 / len(labels) for labels in every]))
        n_raters = float(np.mean([len(labels) for labels in every]))
        return RaterNoise(n_raters=n_raters, deviation=within**0.5, share=min(1.0, of_means / between))


def rater_words(labels: HumanLabels) -> Iterator[str]:
    """How many raters there are of an edit, and how far they are apart; nothing where each has one."""
    noise = labels.noise
    if noise is not None:
        by = f" by {counted(len(labels.raters), 'rater')}" if labels.raters else ""
        yield (
            f"{one_line(labels.name)}: {noise.n_raters:.3g} labels per edit{by}, averaged first; raters of one edit "
            f"differ by a standard deviation of {format_number(noise.deviation)}, which is {100 * noise.share:.0f} % "
            "of the variance of these averages"
        )


def read_labels(
    path: Path, columns: ColumnNames | None = None, name: str | None = None, methods: Collection[str] = ()
) -> HumanLabels:
    """Read what people said: a row per item, method and rater, or any other table that scores can come in.

    Args:
        path: The table, see :func:`evalkit.scores.external.read_table`.
        columns: What cannot be guessed.
        name: The column of labels; it may be left out where there is only one of numbers, or one for each method.
        methods: Names of methods: two columns or more that are called like them hold the labels of each.

    Raises:
        DataError: The table cannot be read, or has no such column.
        OptionError: It has several columns of numbers, and none was named.
    """
    named = replace(columns or ColumnNames(), metrics=() if name is None else (name,))
    table = read_table(path, named, by_rater=True)
    known = _columns_of(table)
    of_methods, notes = tuple(column for column in known if column in methods), []
    if name is None and len(of_methods) > 1 and len(table.methods) == 1:
        table = read_table(path, replace(named, methods=of_methods), by_rater=True)
        known, notes = _columns_of(table), [f"{path.name}: its columns {listed(of_methods)} hold the labels of each"]
    if name is None and len(known) > 1:
        of_each = f", or head a column for each method as that is called ({listed([*methods])})" if methods else ""
        raise OptionError(
            f"{path} has several columns of numbers ({', '.join(known)}): which holds the labels? "
            f"Name it: --human-column NAME{of_each}"
        )
    name = known[0] if name is None else name
    if name not in known:
        raise DataError(
            f"{path} has no column of numbers '{name}': expected one of {', '.join(known)}. "
            "Name it: --human-column NAME"
        )
    labels, raters_of = _by_method(table, name)
    return HumanLabels(
        source=path,
        name=name,
        methods=labels,
        raters=tuple(dict.fromkeys(table.raters)),
        raters_of=raters_of,
        notes=(*table.notes, *notes),
        left_out=tuple(_left_out(path, [cell for cell in table.unread if cell.metric == name])),
    )


def _by_method(table: ExternalTable, name: str) -> tuple[dict[str, dict[str, list[float]]], dict[str, frozenset[str]]]:
    """Method to item to its labels, and method to who gave them."""
    labels: dict[str, dict[str, list[float]]] = {}
    raters_of: dict[str, set[str]] = {}
    for method, frame in table.methods.items():
        if name not in frame.metrics:
            continue
        for row in frame.rows:
            value = row.values.get(name)
            if value is None:
                continue
            labels.setdefault(method, {}).setdefault(row.item_id, []).append(value)
            if table.raters and row.seed is not None:
                raters_of.setdefault(method, set()).add(table.raters[row.seed])
    return labels, {method: frozenset(raters) for method, raters in raters_of.items()}


def _columns_of(table: ExternalTable) -> list[str]:
    """Its columns of numbers, whichever methods have them."""
    return list(dict.fromkeys(metric for frame in table.methods.values() for metric in frame.metrics))


def _left_out(path: Path, cells: Sequence[UnreadCell]) -> Iterator[str]:
    """How many labels are no numbers, and which, each text once."""
    first = {cell.text: cell for cell in reversed(cells)}
    shown = [f"'{cell.text:.20}' in {cell.where}, item {cell.item}" for cell in reversed(first.values())]
    if cells:
        yield (
            f"{path.name}: {counted(len(cells), 'label')} of {one_line(cells[0].metric)} left out, being no finite "
            f"{'number' if len(cells) == 1 else 'numbers'} ({'; '.join(shown[:3])})"
        )
