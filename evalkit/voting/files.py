"""The static form of a study: a file for each rater with everything in it, and what raters send back."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted, listed
from evalkit.judges.pairs import Choice
from evalkit.storage.atomic import atomic_update, names_in_folder
from evalkit.storage.documents import read_json
from evalkit.votes.columns import VoteColumns
from evalkit.votes.joined import asked_of, each_once, preferred
from evalkit.votes.read import holds_votes, read_votes
from evalkit.votes.records import Vote, winner_of
from evalkit.voting.edits import VotedEdits
from evalkit.voting.page import SIDES, data_url, described, render_page
from evalkit.voting.plan import Ballot
from evalkit.voting.session import AnswerError, rater_name
from evalkit.voting.study import Study, read_study, write_study

STUDY = "study.json"
_FORMAT: Literal["evalkit.answers/1"] = "evalkit.answers/1"


class _PageAnswer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(ge=0)
    answer: Choice
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _AnswerFile(BaseModel):
    """What a rater saves: answers by the number of the ballot, without any method's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["evalkit.answers/1"]
    study: str
    page: int
    rater: str
    answers: tuple[_PageAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedVotes:
    """The votes of several files, each once."""

    votes: tuple[Vote, ...]
    n_duplicates: int
    """Votes that came again."""
    conflicting: tuple[Vote, ...]
    """The votes that do not count, as their raters answered the same in two ways."""
    conflicts: tuple[str, ...]
    """What a rater answered in two ways, in a sentence each; neither answer is among the votes."""
    notes: tuple[str, ...]
    """How tables were read."""


def write_pages(folder: Path, edits: VotedEdits, study: Study, raters: int) -> list[Path]:
    """Write a page for each rater, and the record that says which method was where, which no page holds.

    Args:
        folder: Where; made if it is not there.
        edits: What is voted on.
        study: Without raters.
        raters: How many.

    Returns:
        The pages.

    Raises:
        OptionError: The folder holds something else.
        ImageError: A picture cannot be read.
        OSError: The folder cannot be written.
    """
    if foreign := names_in_folder(folder):
        raise OptionError(f"{folder} is not empty: it holds {min(foreign)}. Name another folder: --output DIR")
    with atomic_update(folder) as new:
        for number in range(1, raters + 1):
            study = study.with_rater(str(number), edits)
            page = _page(study, edits, number)
            (new / f"page-{number}.html").write_text(page, encoding="utf-8", errors="replace")
        write_study(new / STUDY, study)
    return [folder / f"page-{number}.html" for number in range(1, raters + 1)]


def merge_votes(
    paths: Sequence[Path],
    study: Path | None = None,
    columns: VoteColumns | None = None,
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
) -> MergedVotes:
    """The votes of files: what raters saved on their pages, and tables of votes.

    A vote that comes again counts once, see `evalkit.votes.joined.each_once`.

    Args:
        paths: The files.
        study: The record of the pages' study; by default the one beside each file.
        columns: Of the tables, what cannot be guessed.
        only: Raters whose votes are taken; all by default.
        without: Raters whose votes are not.

    Raises:
        DataError: A file cannot be read, or is of another study.
        OptionError: There are no votes of a rater who is named, or none are left.
    """
    found, notes = list[tuple[Path, list[Vote]]](), list[str]()
    for path in paths:
        votes, remarks = _votes_of(path, study, columns)
        found.append((path, votes))
        notes += remarks
    _check_raters({vote.rater for _, votes in found for vote in votes}, only, without)
    taken = [
        (path, [vote for vote in votes if (not only or vote.rater in only) and vote.rater not in without])
        for path, votes in found
    ]
    conflicts = _conflicts(taken)
    kept, n_duplicates = each_once(vote for _, votes in taken for vote in votes)
    return MergedVotes(
        votes=tuple(vote for vote in kept if asked_of(vote) not in conflicts),
        n_duplicates=n_duplicates,
        conflicting=tuple(vote for vote in kept if asked_of(vote) in conflicts),
        conflicts=tuple(conflicts.values()),
        notes=tuple(notes),
    )


def refuse_loss(target: Path, merged: MergedVotes) -> None:
    """Refuse to write over a file whose votes are not all in what is merged, or that holds anything else.

    Raises:
        OptionError: Something would be lost.
    """
    if not target.exists():
        return
    remedy = "Name another file: --output FILE"
    if not holds_votes(target):
        raise OptionError(f"{target} is there and holds no votes. {remedy}")
    try:
        before, _ = each_once(read_votes(target).votes)
    except DataError as failure:
        raise OptionError(f"{target} is there, and what it holds is not known: {failure} {remedy}") from failure
    if lost := Counter(before) - Counter((*merged.votes, *merged.conflicting)):
        raise OptionError(
            f"{target} is there and holds {counted(lost.total(), 'vote')} that would be lost, not being among those "
            f"that are merged. {remedy}"
        )


def _check_raters(there: AbstractSet[str | None], only: Collection[str], without: Collection[str]) -> None:
    """Refuse a choice of raters that names nobody who voted, or takes nobody."""
    known = listed(sorted(each or "nobody" for each in there))
    for name in (*only, *without):
        if name not in there:
            raise OptionError(f"There are no votes of {name}: expected some of {known}.")
    if (there and there <= {*without}) or (only and {*only} <= {*without}):
        raise OptionError(f"--rater and --without leave no vote of {known}: nothing is written. Leave out a --without.")


def _conflicts(found: Sequence[tuple[Path, Sequence[Vote]]]) -> dict[tuple[object, ...], str]:
    """What a rater answered in two ways, by what was asked, in a sentence each."""
    first, conflicts = dict[tuple[object, ...], Vote](), dict[tuple[object, ...], str]()
    for path, votes in found:
        for vote in votes:
            before = first.setdefault(asked_of(vote), vote) if vote.rater else vote
            if preferred(before) != preferred(vote):
                conflicts[asked_of(vote)] = (
                    f"{vote.rater} answered {vote.item_id}, {vote.a} or {vote.b}, in two ways: "
                    f"{preferred(before)}, and {preferred(vote)} in {path.name}"
                )
    return conflicts


def _page(study: Study, edits: VotedEdits, number: int) -> str:
    """One rater's page, with every picture once."""
    ballots = study.raters[str(number)]
    numbers: dict[str, int] = {}
    shown = [
        {
            "texts": texts,
            **{side: numbers.setdefault(data_url(edits.picture(ballot, side)), len(numbers)) for side in SIDES},
        }
        for ballot, texts in zip(ballots, described(ballots, edits), strict=True)
    ]
    return render_page(study, "file", {"page": number, "ballots": shown, "pictures": list(numbers)})


def _votes_of(path: Path, study: Path | None, columns: VoteColumns | None) -> tuple[list[Vote], tuple[str, ...]]:
    if path.suffix.lower() == ".json" and (answers := _answers_in(path)):
        return list(_as_votes(path, answers, _study_of(path, answers, study))), ()
    table = read_votes(path, columns)
    return list(table.votes), table.notes


def _answers_in(path: Path) -> _AnswerFile | None:
    """What a page saved; None of any other JSON."""
    try:
        content = read_json(path)
        if isinstance(content, dict) and content.get("format") == _FORMAT:
            return _AnswerFile.model_validate(content)
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror}. Name a file that a rater saved.") from failure
    except ValueError as failure:
        reason = failure.errors()[0]["msg"] if isinstance(failure, ValidationError) else failure
        raise DataError(f"{path} is not what a page saved: {reason}. Ask its rater to save it again.") from failure
    return None


def _study_of(path: Path, answers: _AnswerFile, study: Path | None) -> Study:
    record = study or path.with_name(STUDY)
    if not record.is_file():
        raise DataError(
            f"{path} does not say which edits were shown, and {record} is not there. "
            f"Name the record that was written with the pages: --study DIR/{STUDY}"
        )
    found = read_study(record)
    if found.id != answers.study:
        raise DataError(f"{path} holds answers to another study than {record}. Name its own record: --study FILE")
    return found


def _as_votes(path: Path, answers: _AnswerFile, study: Study) -> Iterator[Vote]:
    ballots: tuple[Ballot, ...] = study.raters.get(str(answers.page), ())
    try:
        rater = rater_name(answers.rater)
    except AnswerError as failure:
        raise DataError(f"{path}: {failure} Ask its rater to save it again.") from failure
    for each in answers.answers:
        if each.n >= len(ballots):
            raise DataError(
                f"{path} answers ballot {each.n} of page {answers.page}, which has {len(ballots)}: it was changed by "
                "hand. Ask its rater to save it again."
            )
        yield ballots[each.n].vote(winner_of(ballots[each.n].first, each.answer), rater, each.seconds)
