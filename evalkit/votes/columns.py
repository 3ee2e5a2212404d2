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


def names_votes(columns: Collection[str]) -> bool:
    """Whether headings are those of votes: one names the winner, two the methods (or an id all of it).

    >>> names_votes(["question_id", "model_a", "model_b", "winner"]), names_votes(["item_id", "method", "score"])
    (True, False)
    """
    plain = {plain_name(column) for column in columns}
    has_winner = any(_last(column) in _WINNERS for column in columns)
    return has_winner and (any(a in plain and b in plain for a, b in _SIDES) or "key" in plain)


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
    if "winner" not in found:
        winner = next((column for guess in _WINNERS for column in present if _last(column) == guess), None)
        found |= {"winner": winner} if winner else {}
    if not keyed and not ("a" in found and "b" in found):
        sides = next(((free[a], free[b]) for a, b in _SIDES if a in free and b in free), None)
        found = {**dict(zip(("a", "b"), sides or (), strict=False)), **found}
    for part, guesses in _OTHERS.items():
        if part not in found and not (ungrouped and part == "group"):
            guess = next((free[guess] for guess in guesses if free.get(guess) not in {None, *found.values()}), None)
            found |= {part: guess} if guess else {}
    needed = ["item", "winner"] if keyed else ["item", "a", "b", "winner"]
    for part in needed:
        if part not in found:
            raise DataError(
                f"It is not plain which column of {path} holds {_MEANING[part]}: got {', '.join(present)}. "
                f"Say which: --map {part}=HEADING"
            )
    return VoteColumns(**found)


def shows_order(columns: VoteColumns) -> bool:
    """Whether the first of the two columns is called by where its edit was shown."""
    return columns.a is not None and any(word in plain_name(columns.a).split("_") for word in _SHOWN_FIRST)


_MEANING = {"item": "the items", "a": "one method of each vote", "b": "the other method", "winner": "the winner"}


def _last(column: str) -> str:
    """A heading without the objects that it is inside of."""
    return plain_name(column.rpartition(".")[2])
