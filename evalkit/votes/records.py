"""The record of a vote, and the file that holds votes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from evalkit.judges.pairs import Choice
from evalkit.storage.atomic import atomic_write

Winner = Literal["a", "b", "tie", "both_bad"]
"""``both_bad`` is a tie of two edits neither of which would do."""
AskedPair = tuple[str, str, str, Literal["a", "b"] | None, int | None, str | None, Winner | None]
"""What was asked: item, the two methods, which was first, seed, question, and the vote expected of a check."""
VOTES_FILE = "votes.jsonl"
_Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Vote(BaseModel):
    """What one rater said of two edits of one item: a line of ``votes.jsonl``.

    A rater is a person or a judge. Fields that are not known are left out of the file.

    >>> Vote(item_id="dog", a="ours", b="theirs", winner="a", rater="r1").score_of_a
    1.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    item_id: _Name
    a: _Name
    """A method."""
    b: _Name
    """Another one."""
    winner: Winner
    rater: _Name | None = None
    group: _Name | None = None
    """Items of one source image; None where the item is a group of its own, or nobody knows."""
    edit_type: _Name | None = None
    criterion: _Name | None = None
    """What was asked, where there are several questions, such as ``instruction following``."""
    first: Literal["a", "b"] | None = None
    """Which of the two was shown first, or on the left."""
    seed: int | None = None
    """Of the two edits that were shown, where methods made several."""
    repeat: int | None = None
    """Which time a judge was asked the same, from 0."""
    seconds: float | None = Field(default=None, ge=0)
    """From showing the two to the vote."""
    timestamp: _Name | None = None
    """When it was given, as its table says it: votes of two times are two votes."""
    expected: Winner | None = None
    """Of an attention check: the vote of whoever looks. Checks rank nobody."""

    @model_validator(mode="after")
    def _is_between_two(self) -> "Vote":
        if self.a == self.b:
            raise ValueError(f"a vote is between two methods, and both are '{self.a}'")
        return self

    @property
    def asked(self) -> AskedPair:
        """What its rater was shown."""
        return self.item_id, self.a, self.b, self.first, self.seed, self.criterion, self.expected

    @property
    def is_tie(self) -> bool:
        """Whether neither was preferred."""
        return self.winner in ("tie", "both_bad")

    @property
    def check(self) -> Literal["passed", "failed", "open"] | None:
        """How an attention check was answered; None of any other vote.

        Open is "both bad" where one of the two was expected: a check asks which of two controls is better, and this
        answer names none. It is no sign of not looking, either: an untouched source does not do what was asked, and the
        best edit there is need not be good enough for everybody. A tie fails, since the two are not alike.

        >>> Vote(item_id="dog", a="reference", b="identity", winner="both_bad", expected="a").check
        'open'
        """
        if self.expected is None:
            return None
        if self.winner == "both_bad" and self.expected in ("a", "b"):
            return "open"
        return "passed" if self.winner == self.expected else "failed"

    @property
    def score_of_a(self) -> float:
        """1 where ``a`` was preferred, 0 where ``b`` was, ½ for a tie."""
        return {"a": 1.0, "b": 0.0}.get(self.winner, 0.5)


def winner_of(first: Literal["a", "b"], answer: Choice) -> Winner:
    """What an answer says of the two methods.

    Args:
        first: Which of them was on the left.
        answer: Of a rater, who knows no method's name.

    >>> winner_of("b", "left"), winner_of("b", "right"), winner_of("b", "tie")
    ('b', 'a', 'tie')
    """
    if answer in ("tie", "both_bad"):
        return answer
    return first if answer == "left" else ("b" if first == "a" else "a")


def vote_line(vote: Vote) -> str:
    """A vote as its line of the file, without the end of the line.

    >>> vote_line(Vote(item_id="dog", a="ours", b="theirs", winner="tie"))
    '{"item_id":"dog","a":"ours","b":"theirs","winner":"tie"}'
    """
    return vote.model_dump_json(exclude_none=True)


def write_votes(path: Path, votes: Iterable[Vote]) -> None:
    """Write votes as JSON Lines; the file is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{vote_line(vote)}\n" for vote in votes)
