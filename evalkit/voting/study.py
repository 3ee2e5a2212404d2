"""The record of a study: what was voted on, and the ballots of every rater; the file that lies beside its votes."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit import __version__
from evalkit.errors import DataError, OptionError
from evalkit.judges.pairs import QUESTION
from evalkit.storage.atomic import atomic_write
from evalkit.storage.documents import read_json
from evalkit.votes.judged import VotingJudge
from evalkit.voting.edits import VotedEdits
from evalkit.voting.plan import Ballot, Sampling, draw_ballots

EVERY = 10
"""Ballots for each attention check, where nobody says how many."""
_DESIGN = ("methods", "question", "votes", "checks", "seed", "n_items")
"""What must not change while votes are collected."""
_NAMED = {"methods": "the edits", "n_items": "the number of items", "votes": "--votes", "checks": "--checks",
          "seed": "--seed", "question": "--question"}  # fmt: skip


class Study(BaseModel):
    """Everything about a study but its votes: the file ``votes.study.json`` beside ``votes.jsonl``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["evalkit.study/1"] = "evalkit.study/1"
    id: str
    """Drawn when it began; answers carry it."""
    question: str
    """What raters are asked."""
    methods: dict[str, str]
    """Method to the SHA-256 over its edits."""
    runs: dict[str, str] = {}
    """Method to its run or folder, where votes of it are collected: from there a report shows its edits."""
    n_items: int
    """That are voted on."""
    missing: dict[str, list[str]]
    """Method to the items of which it has no edit, on which nobody votes."""
    votes: int
    """Ballots of each rater, without checks."""
    checks: int
    """Attention checks of each rater."""
    seed: int
    evalkit: str
    raters: dict[str, tuple[Ballot, ...]] = {}
    """Rater to ballots, in the order in which they are shown."""
    judges: dict[str, VotingJudge] = {}
    """Those of the raters that are no people, and how each was asked."""

    @property
    def criterion(self) -> str | None:
        """What its votes say that was asked; None for the question that is asked by default."""
        return None if self.question == QUESTION else self.question

    def with_rater(self, name: str, edits: VotedEdits) -> "Study":
        """The study with ballots for one rater more."""
        sampling = Sampling(votes=self.votes, checks=self.checks, seed=self.seed, criterion=self.criterion)
        ballots = draw_ballots(edits.contests, edits.checks, self.raters.values(), sampling)
        return self.model_copy(update={"raters": {**self.raters, name: tuple(ballots)}})


def new_study(edits: VotedEdits, *, votes: int, checks: int | None, seed: int, question: str = QUESTION) -> Study:
    """A study that nobody takes part in yet.

    Args:
        edits: What is voted on.
        votes: Of each rater; fewer where there are not so many contests.
        checks: Of each rater; None for one with every ten votes.
        seed: Of every lot.
        question: What raters are asked.
    """
    votes = min(votes, len(edits.contests))
    wanted = -(-votes // EVERY) if checks is None else checks
    return Study(
        id=secrets.token_hex(8),
        question=question,
        methods={method.name: method.digest for method in edits.methods},
        runs={method.name: method.run for method in edits.methods},
        n_items=len(edits.contested),
        missing=edits.missing,
        votes=votes,
        checks=min(wanted, len(edits.checks)),
        seed=seed,
        evalkit=__version__,
    )


def study_file(votes: Path) -> Path:
    """Where the record of a study lies, by the file of its votes.

    >>> study_file(Path("votes.jsonl")).name
    'votes.study.json'
    """
    return votes.with_suffix(".study.json")


def votes_of_study(record: Path) -> Path:
    """The file of the votes, by the record of their study: what :func:`study_file` was given.

    >>> votes_of_study(Path("votes.study.json")).name
    'votes.jsonl'
    """
    return record.with_name(f"{record.name.removesuffix('.json').removesuffix('.study')}.jsonl")


def write_study(path: Path, study: Study) -> None:
    """Write the record; it is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(study.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_study(path: Path) -> Study:
    """Read the record.

    Raises:
        DataError: It is not there, or is no record of a study.
    """
    try:
        return Study.model_validate(read_json(path))
    except OSError as failure:
        raise DataError(
            f"{path} cannot be read: {failure.strerror}. It is written by: evalkit vote RUN RUN"
        ) from failure
    except ValueError as failure:
        reason = failure.errors()[0]["msg"] if isinstance(failure, ValidationError) else failure
        raise DataError(f"{path} is no record of a study: {reason}. Name the one that evalkit vote wrote.") from failure


def resumed(study: Study, path: Path) -> Study:
    """The study as it was left, or as it begins.

    Raises:
        OptionError: Another study's votes are there.
        DataError: Its record cannot be read.
    """
    if not path.is_file():
        return study
    before = read_study(path)
    old, new = (_design(each) for each in (before, study))
    for field in _DESIGN:
        if old[field] != new[field]:
            raise OptionError(
                f"{path} is the record of another study: {_NAMED[field]} {_differs(field, old[field], new[field])}. "
                "Give the same runs and options again, or begin another study: --output FILE"
            )
    return before


def _design(study: Study) -> Mapping[str, Any]:
    return study.model_dump(include=set(_DESIGN))


def _differs(field: str, old: Any, new: Any) -> str:  # noqa: ANN401 - of any type
    if field == "methods" and list(old) == list(new):
        changed = next(name for name in old if old[name] != new[name])
        return f"of {changed} have changed since"
    if field == "methods":
        return f"were of {', '.join(old)} there, and are of {', '.join(new)} now"
    return f"was {old!r} there, and is {new!r} now"
