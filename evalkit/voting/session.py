"""A study while it is voted on: who takes part, and every answer on the disk before it is acknowledged."""

import errno
import os
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import DataError, OptionError
from evalkit.judges.pairs import Choice
from evalkit.storage.documents import LineError, json_lines
from evalkit.votes.judged import VotingJudge
from evalkit.votes.records import Vote, Winner, vote_line, winner_of, write_votes
from evalkit.voting.edits import VotedEdits
from evalkit.voting.plan import Ballot
from evalkit.voting.study import Study, resumed, study_file, write_study

LONGEST_NAME = 60


class AnswerError(DataError):
    """An answer, or a rater, that cannot be taken."""


def answer_of(ballot: Ballot, winner: Winner) -> Choice:
    """The answer that gave a vote."""
    if winner in ("tie", "both_bad"):
        return winner
    return "left" if winner == ballot.first else "right"


@dataclass(kw_only=True)
class Session:
    """A study and its votes, for several raters at once."""

    path: Path
    """Of the votes."""
    edits: VotedEdits
    study: Study
    votes: list[Vote]
    """All that are in the file, in its order."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def join(self, name: str, judge: VotingJudge | None = None) -> int:
        """A rater's number; whoever is new gets ballots first, and whoever comes again goes on.

        Args:
            name: Of the rater.
            judge: How it is asked, where it is no person.

        Raises:
            AnswerError: The name is empty or too long, or is that of a judge, or of one that was asked otherwise.
            OSError: The record cannot be written.
        """
        name = rater_name(name)
        with self._lock:
            if name not in self.study.raters:
                study = self.study.with_rater(name, self.edits)
                study = study.model_copy(update={"judges": {**study.judges, **({name: judge} if judge else {})}})
                write_study(study_file(self.path), study)
                self.study = study
            elif refusal := self._not_the_same(name, judge):
                raise AnswerError(refusal)
            return list(self.study.raters).index(name)

    def _not_the_same(self, name: str, judge: VotingJudge | None) -> str | None:
        """Why somebody does not go on as a rater of that name: what a name says must be of one judge, or of nobody."""
        before = self.study.judges.get(name)
        if before is None and judge is None:
            return None
        if before is None or judge is None:
            who = "a person" if before is None else "a judge"
            return f"{name} is {who} in this study: take part under another name, or in another study."
        old, new = (each.signature(self.study.question) for each in (before, judge))
        if old == new:
            return None
        return (
            f"{name} was asked otherwise in this study: expected {old}, got {new}. Give the same settings again, or "
            "begin another study: --output FILE"
        )

    def ballots(self, rater: int) -> tuple[Ballot, ...]:
        """What a rater is shown.

        Raises:
            AnswerError: There is no such rater.
        """
        return self.study.raters[self._name(rater)]

    def answers(self, rater: int) -> dict[int, Choice]:
        """What a rater has answered, by the position of the ballot."""
        name, found = self._name(rater), {}
        with self._lock:
            own = [vote for vote in self.votes if vote.rater == name]
        for vote in own:
            n = _position(self.study.raters[name], vote)
            if n is not None:
                found[n] = answer_of(self.study.raters[name][n], vote.winner)
        return found

    def answer(self, rater: int, n: int, answer: Choice | None, seconds: float | None = None) -> None:
        """Take an answer, another one in its place, or with None take it back; the same once more changes nothing.

        When this returns, the file on the disk says so.

        Raises:
            AnswerError: There is no such rater or ballot.
            OSError: The file cannot be written; it is as it was.
        """
        ballots, name = self.ballots(rater), self._name(rater)
        if not 0 <= n < len(ballots):
            raise AnswerError(f"The rater {name} has no ballot {n}: expected 0 to {len(ballots) - 1}.")
        ballot = ballots[n]
        with self._lock:
            before = next((vote for vote in self.votes if vote.rater == name and ballot.answers(vote)), None)
            new = ballot.vote(winner_of(ballot.first, answer), name, seconds) if answer else None
            if before is None and new is not None:
                append_line(self.path, vote_line(new))
                self.votes.append(new)
            elif before is not None and (new is None or before.winner != new.winner):
                others = [vote for vote in self.votes if vote is not before] + ([new] if new else [])
                write_votes(self.path, others)
                self.votes = others

    def progress(self) -> Mapping[str, tuple[int, int]]:
        """Rater to answers and ballots."""
        return {
            name: (len(self.answers(number)), len(ballots))
            for number, (name, ballots) in enumerate(self.study.raters.items())
        }

    def _name(self, rater: int) -> str:
        names = list(self.study.raters)
        if not 0 <= rater < len(names):
            raise AnswerError(f"There is no rater {rater}: {len(names)} take part.")
        return names[rater]


@contextmanager
def open_session(path: Path, edits: VotedEdits, study: Study) -> Iterator[Session]:
    """A session that nobody else can open; one that was ended, in whatever way, goes on.

    Args:
        path: Of the votes.
        edits: What is voted on.
        study: As it begins.

    Raises:
        OptionError: Another process collects votes there, or another study's are there.
        DataError: What is there are no votes.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), blocking=False):
            if path.exists() and not study_file(path).exists():
                raise OptionError(
                    f"{path} is there, and no {study_file(path).name} beside it that says whose votes it holds. "
                    "Name another file: --output FILE"
                )
            study = resumed(study, study_file(path))
            write_study(study_file(path), study)
            yield Session(path=path, edits=edits, study=study, votes=read_own(path))
    except Timeout:
        raise OptionError(
            f"Another process collects votes into {path}. End it, or name another: --output FILE"
        ) from None


def rater_name(name: str) -> str:
    """A rater's name as it is kept: composed, without blanks around it.

    Raises:
        AnswerError: It is empty, too long, or holds what is no text.
    """
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise AnswerError(f"A rater's name has 1 to {LONGEST_NAME} characters, got {len(name)}.")
    return name


def read_own(path: Path) -> list[Vote]:
    """The votes of a file that evalkit writes line by line; one that was not written whole is cut off.

    It was never acknowledged, so that whoever cast it still has it.

    Raises:
        DataError: A line is no vote.
    """
    if not path.exists():
        return []
    cut_off(path)
    votes = []
    try:
        with path.open("rb") as file:
            votes = [Vote.model_validate(line) for _, line in json_lines(file)]
    except (LineError, ValueError) as failure:
        raise DataError(f"{path} does not hold votes alone: {failure}. Name another file: --output FILE") from failure
    return votes


def append_line(path: Path, line: str) -> None:
    """Append a line to a file, on the disk when this returns; whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    data = f"{line}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def cut_off(path: Path) -> None:
    """Takes away what stands behind the last end of a line."""
    with path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def _position(ballots: tuple[Ballot, ...], vote: Vote) -> int | None:
    return next((n for n, ballot in enumerate(ballots) if ballot.answers(vote)), None)
