"""Rows of other tools' tables that sum up the others: an average is no item."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.arrays import Floats
from evalkit.formatting import listed

if TYPE_CHECKING:
    import pandas as pd

_STATISTICS: Mapping[str, Callable[[Floats], float]] = {
    **dict.fromkeys(("average", "avg", "mean", "overall", "all", "total", "global"), np.mean),
    **dict.fromkeys(("std", "stdev", "stddev", "sd", "deviation"), np.std),
    **dict.fromkeys(("sem", "stderr", "se", "error", "var", "variance", "ci", "count", "n"), len),
    **dict.fromkeys(("sum",), np.sum),
    **dict.fromkeys(("median",), np.median),
    **dict.fromkeys(("min", "minimum"), np.min),
    **dict.fromkeys(("max", "maximum"), np.max),
}
"""Words for rows, in lower case, and what such a row says of the others."""
_BESIDE = {"of", "dev",
           "the", "over", "score", "scores", "image", "images", "item", "items", "macro", "micro", "weighted",
           "standard", "grand", "set", "dataset", "result", "results", "summary"}  # fmt: skip
"""Words that stand beside them."""
_CODE = re.compile(r".*\d.*|.*\.[a-z]{3,4}")
_QUANTILE = re.compile(r"\d{1,2}(\.\d+)?\s?%")
_CLOSE = 0.01
"""Summaries are rounded, and a standard deviation is divided by n or by n − 1."""


def without_summaries(path: Path, cells: "pd.DataFrame") -> tuple["pd.DataFrame", list[str]]:
    """The cells of items, and a note on the rows that sum up the others and were left out.

    A row is taken for a summary if it is named like one, stands before or behind all others, and either says what they
    add up to or is named like none of them, as "mean" among "p00", "p01", ….

    Args:
        path: The table's.
        cells: One value per row, with ``method``, ``item``, ``metric`` and ``value``.
    """
    items = list(dict.fromkeys(cells["item"]))
    named = [item for item in items if is_summary_name(item)]
    if not named or len(named) == len(items):
        return cells, []
    others = cells[~cells["item"].isin(named)]
    coded = sum(bool(_CODE.fullmatch(item.lower())) for item in items if item not in named)
    alike = coded > len(items) / 2 - len(named) / 2
    left_out = [
        item
        for item in named
        if _is_at_end(item, cells, set(named)) and (alike or _agrees(cells[cells["item"] == item], others))
    ]
    notes = []
    if left_out:
        them = "the row that sums" if len(left_out) == 1 else f"{len(left_out)} rows that sum"
        notes.append(f"{path.name}: no items, and left out: {them} up the others ({listed(left_out)})")
    if kept := [f"'{item}'" for item in named if item not in left_out]:
        notes.append(f"{path.name}: counted as items, for their values or where they stand: {listed(kept)}")
    return cells[~cells["item"].isin(left_out)], notes


def is_summary_name(item: str) -> bool:
    """Whether an item is called like a row that sums up others, as ``Overall mean`` is."""
    return _statistic(item) is not None


def _statistic(item: str) -> str | None:
    """The word that says what a row sums up; None if its name has others too."""
    if _QUANTILE.fullmatch(item.strip()):
        return "median"  # which agrees with nothing but the half
    words = re.sub(r"[\W_]+", " ", item.lower()).split()
    if not all(word in _STATISTICS or word in _BESIDE for word in words):
        return None
    found = [word for word in words if word in _STATISTICS]
    return next((word for word in found if _STATISTICS[word] is not np.mean), found[0]) if found else None


def _is_at_end(name: str, cells: "pd.DataFrame", named: set[str]) -> bool:
    """Whether a row stands before or behind all items, of each method that has it."""
    for _, of_method in cells.groupby("method", sort=False):
        items = list(dict.fromkeys(of_method["item"]))
        if name in items:
            at = items.index(name)
            if not (named.issuperset(items[:at]) or named.issuperset(items[at:])):
                return False
    return True


def _agrees(rows: "pd.DataFrame", others: "pd.DataFrame") -> bool:
    """Whether every value of a row is what its name says of the others' values."""
    found = []
    for row in rows.itertuples():
        same = others[(others["method"] == row.method) & (others["metric"] == row.metric)]
        values = np.array([value for value in same["value"] if value is not None], dtype=float)
        if row.value is None or not len(values):
            continue
        expected = float(_STATISTICS[_statistic(row.item) or "mean"](values))
        found.append(math.isclose(row.value, expected, rel_tol=_CLOSE))
    return bool(found) and all(found)
