"""What people said of edits, each on a scale: a table of items, methods and labels, of one rater or of several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted, format_number, one_line
from evalkit.scores.columns import ColumnNames
from evalkit.scores.external import read_table


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
    notes: tuple[str, ...] = ()
    """How the table was read."""

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


def read_labels(path: Path, columns: ColumnNames | None = None, name: str | None = None) -> HumanLabels:
    """Read what people said: a row per item, method and rater, or any other table that scores can come in.

    Args:
        path: The table, see :func:`evalkit.scores.external.read_table`.
        columns: What cannot be guessed.
        name: The column of labels; it may be left out where there is only one of numbers.

    Raises:
        DataError: The table cannot be read, or has no such column.
        OptionError: It has several columns of numbers, and none was named.
    """
    named = replace(columns or ColumnNames(), metrics=() if name is None else (name,))
    table = read_table(path, named, by_rater=True)
    known = list(dict.fromkeys(metric for frame in table.methods.values() for metric in frame.metrics))
    if name is None and len(known) > 1:
        raise OptionError(
            f"{path} has several columns of numbers ({', '.join(known)}): which holds the labels? "
            "Name it: --human-column NAME"
        )
    name = known[0] if name is None else name
    if name not in known:
        raise DataError(
            f"{path} has no column of numbers '{name}': expected one of {', '.join(known)}. "
            "Name it: --human-column NAME"
        )
    methods: dict[str, dict[str, list[float]]] = {}
    for method, frame in table.methods.items():
        of_method = methods.setdefault(method, {})
        for (item, _), value in zip(frame.groups(), frame.column(name) if name in frame.metrics else (), strict=False):
            if not np.isnan(value):
                of_method.setdefault(item, []).append(float(value))
    return HumanLabels(
        source=path,
        name=name,
        methods={method: items for method, items in methods.items() if items},
        raters=table.raters,
        notes=table.notes,
    )
