"""Which column of a table says who rated, and its names as repeats of an item."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError
from evalkit.scores.columns import ColumnNames, name_of, plain_name

if TYPE_CHECKING:
    import pandas as pd

RATERS = (
    "rater", "rater_id", "annotator", "annotator_id", "worker", "worker_id", "participant", "participant_id",
    "evaluator", "assessor", "judge", "judge_id", "user", "user_id", "subject_id", "who",
)  # fmt: skip
"""Headings, in lower case, of the column that says who labelled or voted."""


def as_repeats(
    path: Path, table: "pd.DataFrame", columns: ColumnNames
) -> tuple["pd.DataFrame", ColumnNames, tuple[str, ...]]:
    """The table with repeats numbered as seeds are, so that several raters can label one edit; and the rater of each.

    Args:
        path: Of the table.
        table: Its rows.
        columns: As they are resolved; raters are guessed by the heading where nobody names it.

    Raises:
        DataError: The column that was named is not there, or a row has no rater.
    """
    if columns.rater is not None and columns.rater not in table.columns:
        raise DataError(f"{path} has no column '{columns.rater}': expected one of {', '.join(table.columns)}.")
    free = {plain_name(name): name for name in reversed(table.columns) if name not in columns.taken()}
    rater = columns.rater or next((free[guess] for guess in RATERS if guess in free), None)
    if rater is None:
        return table, columns, ()
    names = [name_of(cell) for cell in table[rater]]
    if None in names:
        where = table.index[names.index(None)]
        raise DataError(f"{path}, {where}: the column '{rater}' is empty: expected the rater of every row.")
    seeds = table[columns.seed].map(name_of) if columns.seed else [None] * len(table)
    repeats: dict[tuple[object, object], int] = {}
    codes = [repeats.setdefault(repeat, len(repeats)) for repeat in zip(names, seeds, strict=True)]
    dropped = [name for name in (rater, columns.seed) if name]
    seed = rater
    table = table.drop(columns=dropped).assign(**{seed: codes})
    return table, replace(columns, seed=seed, rater=rater), tuple(str(name) for name, _ in repeats)
