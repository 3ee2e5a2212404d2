"""Which column of a table of votes is what: named by the user, or guessed from well-known names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from evalkit.errors import DataError, OptionError
from evalkit.registry import nearest
from evalkit.scores.columns import GUESSES, plain_name
from evalkit.scores.raters import RATERS

_SIDES = (
    ("a", "b"),
    ("model_a", "model_b"), ("method_a", "method_b"), ("system_a", "system_b"), ("image_a", "image_b"),
    ("left", "right"), ("left_model", "right_model"), ("left_method", "right_method"),
    ("model_left", "model_right"), ("method_left", "method_right"),
    ("model_1", "model_2"), ("method_1", "method_2"), ("system_1", "system_2"), ("model1", "model2"),
    ("method1", "method2"), ("first", "second"), ("models_0", "models_1"),
)  # fmt: skip
"""What the columns of the two methods are called, in lower case."""
_SHOWN_FIRST = ("left", "first")
"""Words by which the first of the two columns says where its edit was shown."""
_WINNERS = ("winner", "preferred", "preference", "vote", "vote_type", "choice", "chosen", "better", "best", "picked",
            "selected", "preferred_method", "preferred_model")  # fmt: skip
_WON = "winner_"
"""What stands before a method's heading where a column for each outcome holds a 1 or a 0."""
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "item": (*GUESSES["item"], "question", "prompt", "instruction"),
    "rater": RATERS,
    "group": ("group", "group_id", "source_image", "source_id", "cluster", "cluster_id"),
    "edit_type": (*GUESSES["edit_type"], "task_type", "category"),
    "criterion": ("criterion", "dimension", "aspect"),
    "first": ("first", "first_shown"),
    "seed": GUESSES["seed"],
    "repeat": ("repeat",),
    "seconds": ("seconds", "duration_seconds", "response_time_seconds"),
    "timestamp": ("timestamp", "tstamp", "time_stamp", "created_at", "submitted_at", "voted_at", "datetime", "date"),
    "expected": ("expected", "expected_winner"),
}  # fmt: skip
PAIR_IN_KEY = "_pair_", "_vs_"
"""What stands in an id that names the item and its two methods, as ``ITEM_pair_A_vs_B``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteColumns:
    """Which column is what; None is guessed from the names."""

    item: str | None = None
    a: str | None = None
    b: str | None = None
    winner: str | None = None
    winner_a: str | None = None
    """Where there is no column of winners: the one that holds 1 in rows that ``a`` won, and 0 in others."""
    winner_b: str | None = None
    winner_tie: str | None = None
    rater: str | None = None
    group: str | None = None
    """``none`` if no column says which items belong together."""
    edit_type: str | None = None
    criterion: str | None = None
    first: str | None = None
    """Which of the two was shown first, or on the left."""
    seed: str | None = None
    repeat: str | None = None
    seconds: str | None = None
    timestamp: str | None = None
    """When the vote was given."""
    expected: str | None = None
    """Of attention checks: the vote of whoever looks."""

    @classmethod
    def of(cls, given: Sequence[str]) -> "VoteColumns":
        """The columns of ``PART=HEADING``.

        Raises:
            OptionError: A part is none, or is given twice.

        >>> VoteColumns.of(["winner=Which is better?"]).winner
        'Which is better?'
        """
        names, found = [field.name for field in fields(cls)], dict[str, str]()
        for text in given:
            part, equals, heading = text.partition("=")
            if not (equals and heading) or part not in names or part in found:
                raise OptionError(
                    f"Columns of votes are given as PART=HEADING, each part once, with PART one of {', '.join(names)}; "
                    f"got '{text}'. {nearest(part, names)}".rstrip()
                )
            found[part] = heading
        return cls(**found)

    def described(self) -> str:
        """The parts that are known, for a note."""
        return ", ".join(f"{part} '{name}'" for part, name in self.known().items())

    def known(self) -> dict[str, str]:
        """Part to column, of those that are there."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {part: name for part, name in parts.items() if name}

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome to its one-hot column, where there is no column of winners."""
        columns = {"a": self.winner_a, "b": self.winner_b, "tie": self.winner_tie}
        return {} if self.winner else {outcome: name for outcome, name in columns.items() if name}


def names_votes(columns: Collection[str]) -> bool:
    """Whether headings are those of votes: one names the winner, two the methods (or an id all of it).

    Instead of the winner's there may be one for each method, ``winner_model_a`` and ``winner_model_b``.

    >>> names_votes(["question_id", "model_a", "model_b", "winner"]), names_votes(["item_id", "method", "score"])
    (True, False)
    """
    plain = {plain_name(column) for column in columns}
    has_winner = any(_last(column) in _WINNERS for column in columns)
    sides = [side for side in _SIDES if plain.issuperset(side)]
    if has_winner:
        return bool(sides) or "key" in plain
    return any(plain.issuperset((_WON + a, _WON + b)) for a, b in sides)


def resolve_vote_columns(path: Path, present: Sequence[str], named: VoteColumns, *, keyed: str | None) -> VoteColumns:
    """The columns as named by the user, the others guessed.

    Args:
        path: What messages call the table.
        present: Its headings.
        named: By the user.
        keyed: The column whose ids name the item and both methods, where there is one.

    Raises:
        DataError: A named column is not there, or none can be guessed for what must be.
    """
    found = named.known()
    ungrouped = found.get("group", "").lower() == "none" and "none" not in present
    if ungrouped:
        del found["group"]
    for name in found.values():
        if name not in present:
            raise DataError(f"{path} has no column '{name}': expected one of {', '.join(present)}.")
    free = {plain_name(column): column for column in reversed(present) if column not in found.values()}
    if not found.keys() & {"winner", "winner_a", "winner_b"}:
        winner = next((column for guess in _WINNERS for column in present if _last(column) == guess), None)
        found |= {"winner": winner} if winner else {}
    if not keyed and not ("a" in found and "b" in found):
        sides = next(((free[a], free[b]) for a, b in _SIDES if a in free and b in free), None)
        found = {**dict(zip(("a", "b"), sides or (), strict=False)), **found}
    if "winner" not in found and "a" in found and "b" in found:
        found = _outcome_columns(found, free) | found
    for part, guesses in _OTHERS.items():
        if part not in found and not (ungrouped and part == "group"):
            guess = next((free[guess] for guess in guesses if free.get(guess) not in {None, *found.values()}), None)
            found |= {part: guess} if guess else {}
    _check_complete(path, present, found, keyed=keyed)
    return VoteColumns(**found)


def _check_complete(path: Path, present: Sequence[str], found: Collection[str], *, keyed: str | None) -> None:
    """Refuse a table without a column for a part that votes must have."""
    by_outcome = "winner" not in found and ("winner_a" in found or "winner_b" in found)
    needed = ["item", *(() if keyed else "ab"), *(("winner_a", "winner_b") if by_outcome else ("winner",))]
    for part in needed:
        if part not in found:
            raise DataError(
                f"It is not plain which column of {path} holds {_MEANING[part]}: got {', '.join(present)}. "
                f"Say which: --map {part}=HEADING"
            )


def shows_order(columns: VoteColumns) -> bool:
    """Whether the first of the two columns is called by where its edit was shown."""
    return columns.a is not None and any(word in plain_name(columns.a).split("_") for word in _SHOWN_FIRST)


def _outcome_columns(found: Mapping[str, str], free: Mapping[str, str]) -> dict[str, str]:
    """The one-hot columns that are called by both methods' headings, and that of ties."""
    called = {f"winner_{side}": _WON + plain_name(found[side]) for side in "ab"} | {"winner_tie": f"{_WON}tie"}
    columns = {part: free[name] for part, name in called.items() if name in free}
    return columns if {"winner_a", "winner_b"} <= columns.keys() else {}


_MEANING = {
    "item": "the items", "a": "one method of each vote", "b": "the other method", "winner": "the winner",
    "winner_a": "1 where the first method won", "winner_b": "1 where the other method won",
}  # fmt: skip


def _last(column: str) -> str:
    """A heading without the objects that it is inside of."""
    return plain_name(column.rpartition(".")[2])
