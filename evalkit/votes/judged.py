"""Votes of a judge: how it was asked, what it said word for word, and whether each vote is what the words say."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evalkit.judges.base import LONGEST_NAME, Finish, Judge, JudgeAnswer, JudgeSettings
from evalkit.judges.judgement import encoder_label, manner_in_full
from evalkit.judges.open import JUDGES
from evalkit.judges.pairs import TEMPLATE, Choice, read_choice, template_label
from evalkit.votes.records import AskedPair, Vote, Winner, winner_of


class VotingJudge(BaseModel):
    """A judge that votes, and how it is asked: everything that its votes follow from and is known beforehand."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    judge: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    """What was asked for, under which it votes: ``http/MODEL`` or ``transformers/NAME@digest``."""
    asked: dict[str, Any]
    """Address, model, temperature, …; of a local one weights and libraries."""
    image: Annotated[str, Field(pattern=r"^[0-9]+-[a-z]+[0-9]*$")]
    """How pictures are sent: ``1024-png``."""
    template: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the words that all questions about pairs have in common."""

    @classmethod
    def of(cls, judge: Judge, settings: JudgeSettings) -> "VotingJudge":
        """A judge that was opened, as it is asked now."""
        return cls(judge=judge.label, asked=dict(judge.key), image=settings.image_label, template=TEMPLATE)

    def signature(self, question: str, answers: "Sequence[PairJudgement]" = ()) -> str:
        """All that its votes follow from, in one line: votes of two such lines never stand in one table.

        Args:
            question: That it was asked.
            answers: What it said; without them, as it is known before it is asked.
        """
        models = sorted({answer.model for answer in answers}) or [self.judge]
        forms = sorted({"schema" if answer.is_structured else "text" for answer in answers})
        fields = {
            "enc": encoder_label(models), "img": self.image, "tpl": template_label(self.template, question),
            "ask": manner_in_full(self.asked, forms), "dtype": self.asked.get("dtype", "unknown"),
        }  # fmt: skip
        return "|".join(f"{name}:{value}" for name, value in fields.items())


class PairJudgement(BaseModel):
    """One answer of a judge about one pair: a line of ``votes.judgements.jsonl``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rater: str
    """The judge, as its votes name it."""
    ballot: int
    """Of its own, from 0."""
    item_id: str
    a: str
    b: str
    first: Literal["a", "b"]
    """Which of the two was on the left."""
    seed: int | None = None
    criterion: str | None = None
    expected: Winner | None = None
    answer: Choice | None = None
    """What was read in it; None where it names no choice, which is no vote."""
    text: str
    """Word for word."""
    model: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    """As the server names it."""
    finish: Finish = "other"
    is_structured: bool = False
    """Whether the judge was held to the form of the answer."""
    system_fingerprint: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    """What was charged when it was asked."""
    seconds: float = 0.0

    @property
    def asked(self) -> AskedPair:
        """What it was shown."""
        return self.item_id, self.a, self.b, self.first, self.seed, self.criterion, self.expected

    @property
    def read_again(self) -> Choice | None:
        """What its words say now."""
        return read_choice(JudgeAnswer(text=self.text, model=self.model, finish=self.finish))


def words_file(votes: Path) -> Path:
    """Where all that a judge says is kept, word for word, by the file of the votes.

    >>> words_file(Path("votes.jsonl")).name
    'votes.judgements.jsonl'
    """
    return votes.with_suffix(".judgements.jsonl")


def is_judges_name(rater: str) -> bool:
    """Whether a rater is called as judges are.

    >>> is_judges_name("http/some-model"), is_judges_name("Ann")
    (True, False)
    """
    return "/" in rater and rater.partition("/")[0] in JUDGES.names()


def misread_votes(votes: Sequence[Vote], words: Sequence[PairJudgement]) -> Iterator[str]:
    """Where votes are not what the words of their judge say, in a sentence each.

    Args:
        votes: All of one judge.
        words: All of the same; of several answers about one pair the last counts.
    """
    said: dict[AskedPair, Winner | None] = {}
    for each in words:
        choice = each.read_again
        if choice != each.answer:
            yield f"{_pair(each)}: its words say {choice or 'no choice'}, its line says {each.answer or 'no choice'}"
        said[each.asked] = winner_of(each.first, choice) if choice else None
    for vote in votes:
        expected = said.pop(vote.asked, None)
        if expected != vote.winner:
            yield f"{_pair(vote)}: the judge's words say {expected or 'nothing'}, the vote says {vote.winner}"
    for each in words:
        if said.get(each.asked):
            yield f"{_pair(each)}: the judge's words say {said[each.asked]}, and there is no vote"


def _pair(of: Vote | PairJudgement) -> str:
    return f"{of.item_id}, {of.a} (a) or {of.b} (b)"
