"""Tables of votes between two edits of an item: who was shown, and who was preferred."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.formatting import listed
from evalkit.scores.columns import ColumnNames, name_of, plain_name

if TYPE_CHECKING:
    import pandas as pd

PREFERENCE = "preference"
"""1 for the method that was preferred, 0 for the other, ½ each for a tie."""
_WINNERS = ("winner", "preferred", "preference", "vote", "choice", "chosen", "better", "best", "picked", "selected")
_TIES = ("tie", "tied", "draw", "both", "neither", "equal", "same", "none", "no_preference", "both_bad", "both_good")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Votes:
    sides: tuple[str, str]
    """The columns of the methods that were shown."""
    winners: Sequence[float]
    """For each row, what the first of them gets: 1, 0 or ½."""


def as_scores(path: Path, table: "pd.DataFrame", columns: ColumnNames) -> tuple["pd.DataFrame", ColumnNames, list[str]]:
    """A table of votes as one of scores, with a row for each of the two that were shown; any other as it is.

    Raises:
        DataError: There are votes among more than two methods, or several of one item.
    """
    import pandas as pd

    votes = None if columns.method or columns.methods or columns.value else _votes_in(table, columns)
    if votes is None:
        return table, columns, []
    rows = []
    for side, other in ((0, 1), (1, 0)):
        preferred = [won if side == 0 else 1 - won for won in votes.winners]
        rows.append(table.assign(method=table[votes.sides[side]], **{PREFERENCE: preferred}))
        if (table[votes.sides[side]] == table[votes.sides[other]]).any():
            raise DataError(f"{path}: a vote is between a method and itself, by the columns {listed(votes.sides)}.")
    found = pd.concat(rows)
    names = list(dict.fromkeys(map(str, found["method"])))
    if len(names) > 2:
        raise DataError(
            f"{path} holds votes among {len(names)} methods ({listed(names)}): votes are read of two. Write those of "
            "each pair into a file of its own."
        )
    twice = table[columns.item][table[columns.item].duplicated()]
    if len(twice):
        raise DataError(
            f"{path}, {twice.index[0]}: item '{twice.iloc[0]}' has several votes, which are not read yet: expected one "
            "for each item. Write each item's share of votes into a column per method."
        )
    note = f"{path.name}: votes between {names[0]} and {names[1]} were read: 1 for who was preferred, 0 for the other"
    kept = [name for name in (columns.item, columns.seed, columns.group) if name]
    return found[[*kept, "method", PREFERENCE]], replace(columns, method="method"), [note]


def votes_hint(table: "pd.DataFrame") -> str:
    """What to do where a column is called like the winner of a vote, and nothing says between whom."""
    winner = next((name for name in table.columns if plain_name(name).split("_")[0] in _WINNERS), None)
    if winner is None:
        return ""
    return (
        f" Votes ('{winner}') are read where two other columns name who was shown, as in item_id,model_a,model_b,winner"
    )


def _votes_in(table: "pd.DataFrame", columns: ColumnNames) -> _Votes | None:
    texts = [
        name for name in table.columns if name != columns.item and all(isinstance(cell, str) for cell in table[name])
    ]
    for winner in (name for name in texts if plain_name(name).split("_")[0] in _WINNERS):
        for sides in combinations([name for name in texts if name != winner], 2):
            won = [_won(sides, *cells) for cells in zip(table[winner], *(table[side] for side in sides), strict=True)]
            known = [each for each in won if each is not None]
            if len(known) == len(won) and set(known) - {0.5}:
                return _Votes(sides=sides, winners=known)
    return None


def _won(sides: tuple[str, str], winner: Any, first: Any, second: Any) -> float | None:  # noqa: ANN401 - cells
    """What the first of two gets: its name, or its column's, says that it won."""
    vote = plain_name(name_of(winner) or "")
    for gets, side, name in ((1.0, sides[0], first), (0.0, sides[1], second)):
        if winner == name or (vote and (vote == plain_name(side) or vote in plain_name(side).split("_"))):
            return gets
    return 0.5 if vote in _TIES or vote.startswith("tie_") else None
