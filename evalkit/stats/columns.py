"""Pairs of score columns as sums by group: what a sign-flip test needs of the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.errors import OptionError
from evalkit.stats.groups import Floats, Groups, Labels, code_groups, to_steps

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One pair's differences by group, in steps."""

    pair: int
    totals: Floats
    """``(G,)``."""
    sizes: Floats
    """``(G,)`` items that have both scores."""
    places: tuple[int, int, int]
    """Where the table of group sums holds a, b and the sizes."""

    @property
    def statistic(self) -> float:
        """``|Σ D| / √ΣD²``, a monotone function of |t| whatever the signs; 0 where all differences are."""
        spread = float(np.sqrt(np.square(self.totals).sum()))
        return abs(float(self.totals.sum())) / spread if spread else 0.0


def checked_steps(scores: Floats, groups: Labels, grid: float) -> tuple[Floats, Groups]:
    """Scores in steps of the grid, NaN for missing ones, and the coded groups."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(groups):
        raise OptionError(f"Scores must be items × columns with a group per item: got {scores.shape}, {len(groups)}.")
    if np.isinf(scores).any():
        raise OptionError("Scores must not be infinite: leave undefined items out, with their reason.")
    return to_steps(scores, grid), code_groups(groups)


def group_sums(steps: Floats, groups: Groups, pairs: Sequence[Pair]) -> tuple[Floats, list[Column]]:
    """Sums by group of every column that some pair needs, on the items that the pair has in common."""
    present = ~np.isnan(steps)
    filled = np.where(present, steps, 0.0)
    table: list[Floats] = []
    where: dict[tuple[bytes, int], int] = {}

    def place(mask: npt.NDArray[np.bool_], key: bytes, column: int) -> int:
        """Number of the table's column for the masked scores; column −1 is the number of items."""
        if (key, column) not in where:
            where[key, column] = len(table)
            table.append(groups.sums(np.where(mask, filled[:, column] if column >= 0 else 1.0, 0.0)))
        return where[key, column]

    columns = []
    for number, (a, b) in enumerate(pairs):
        mask = present[:, a] & present[:, b]
        key = mask.tobytes()
        places = place(mask, key, a), place(mask, key, b), place(mask, key, -1)
        totals, sizes = table[places[1]] - table[places[0]], table[places[2]]
        columns.append(Column(pair=number, totals=totals, sizes=sizes, places=places))
    return np.stack(table, axis=1) if table else np.zeros((groups.n_groups, 0)), columns


def batches(columns: Sequence[Column], n_sums: int) -> Iterator[list[Column]]:
    """Runs of pairs that together need at most ``n_sums`` columns of subset sums (or one pair, if that is more)."""
    batch: list[Column] = []
    used: set[int] = set()
    for column in columns:
        needed = set(column.places)
        if batch and len(used | needed) > n_sums:
            yield batch
            batch, used = [], set()
        batch.append(column)
        used |= needed
    if batch:
        yield batch
