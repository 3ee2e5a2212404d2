"""Submitting votes: those of people under no name, or those of one judge with its words, onto the board of entries."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evalkit.errors import EntryError
from evalkit.leaderboard.protocol import get_protocol
from evalkit.leaderboard.records import VotesCard, VotesRecord
from evalkit.leaderboard.records_io import read_own_lines, read_own_yaml, write_json, write_text
from evalkit.leaderboard.store import VOTES_RECORD, WORDS_FILE, Leaderboard, LoadedVotes
from evalkit.leaderboard.votes_checks import content_problems, fails_checks
from evalkit.storage.atomic import atomic_update
from evalkit.votes.judged import PairJudgement, VotingJudge, is_judges_name
from evalkit.votes.read import read_votes
from evalkit.votes.records import VOTES_FILE, AskedPair, Vote, vote_line


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedStudy:
    """What the record of a study says, as far as a board needs it."""

    id: str
    question: str
    methods: Mapping[str, str]
    """Method to the digest over its edits."""
    votes: int
    """Of each rater, without checks."""
    checks: int
    plan_sha256: str
    shown: Mapping[str, frozenset[AskedPair]]
    """Rater, or page, to all that it shows."""
    judges: Mapping[str, VotingJudge]
    """Those of the raters that are no people, and how each was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedVotes:
    """Votes that were written."""

    votes: LoadedVotes
    left_out: tuple[str, ...]
    """People who failed more attention checks than they passed."""


def submit_votes(
    path: Path, card: Path, study: CollectedStudy, leaderboard: Leaderboard, *, words: Path | None = None
) -> SubmittedVotes:
    """Put the votes of a study on the board that its methods stand on; people are called ``r1``, ``r2``, … there.

    Whether a judge voted is read in the votes, the study and the words, and the card must say the same.

    Args:
        path: The votes, of people or of one judge.
        card: ``VOTES.yaml``: see :class:`~evalkit.leaderboard.records.VotesCard`.
        study: What they were collected by.
        leaderboard: Where they go.
        words: What judges of the study said; None where none was asked.

    Raises:
        EntryError: The card is incomplete or says that others voted, the name is taken, people and judges are in one
            file, the votes are on other edits than the entries' or on what the study does not show, a judge's are not
            what its words say, or nobody is left who voted.
        DataError: The table of votes cannot be read.
    """
    said = read_own_yaml(card, VotesCard)
    place = leaderboard.votes_path(get_protocol(said.protocol).name, said.name)
    if place.exists():
        raise EntryError(f"{place} exists already, and what has landed does not change. Give the votes another name.")
    votes = read_votes(path).votes
    spoken = read_own_lines(words, PairJudgement) if words else ()
    judge = _judge_of(path, votes, {*study.judges, *(each.rater for each in spoken)})
    if said.cast_by != ("judge" if judge else "people"):
        raise EntryError(
            f"{card} says that votes are cast by {said.cast_by}, and {path} holds votes of {judge or 'people'}. Say "
            f"there: cast_by: {'judge, and no consent' if judge else 'people'}"
        )
    _check_shown(path, votes, study, judge)
    if judge is None:
        found, left_out = _of_people(path, votes)
        record = _record(said, study, found, n_left_out=len(left_out))
        collection = LoadedVotes(path=place, record=record, votes=found)
    else:
        left_out, own = (), tuple(each for each in spoken if each.rater == judge)
        record = _record(said, study, votes, judge=_how_asked(path, judge, study, own), words=own)
        collection = LoadedVotes(path=place, record=record, votes=votes, words=own)
    for _, message in content_problems(collection, leaderboard.entries(said.protocol)):
        raise EntryError(f"{path} cannot stand on the board: {message}")
    _write(collection)
    return SubmittedVotes(votes=leaderboard.read_votes(place), left_out=left_out)


def _judge_of(path: Path, votes: Sequence[Vote], known: Collection[str]) -> str | None:
    """The judge whose votes these are; None where they are people's.

    Args:
        path: What messages call the votes.
        votes: All of the file.
        known: The names of judges, beside those that are called as judges are.
    """
    names = list(dict.fromkeys(vote.rater or "" for vote in votes))
    if "" in names:
        raise EntryError(f"{path} holds votes of nobody: expected a rater in every line. Collect them: evalkit vote")
    judges = [name for name in names if name in known or is_judges_name(name)]
    if judges and len(names) > 1:
        other = f"the judge {judges[1]}" if len(judges) == len(names) else "people"
        raise EntryError(
            f"{path} holds votes of the judge {judges[0]} and of {other}, which never share a table. Divide "
            f"them, and submit each by itself with --study FILE: evalkit vote merge {path} --rater {judges[0]} "
            "--output FILE, and with --without in the place of --rater"
        )
    return judges[0] if judges else None


def _check_shown(path: Path, votes: Sequence[Vote], study: CollectedStudy, judge: str | None) -> None:
    """Every rater voted on what the study shows to one of its raters: a judge itself, a person any that is no judge."""
    raters = [judge] if judge else [name for name in study.shown if name not in study.judges]
    asked: dict[str | None, set[AskedPair]] = {}
    for vote in votes:
        asked.setdefault(vote.rater, set()).add(vote.asked)
    for name, pairs in asked.items():
        if not any(pairs <= study.shown.get(rater, frozenset()) for rater in raters):
            raise EntryError(
                f"{path} holds votes of {name} on what the study shows no {'such judge' if judge else 'person'}. Name "
                "the record of the study that they were cast in: --study FILE"
            )


def _of_people(path: Path, votes: Sequence[Vote]) -> tuple[tuple[Vote, ...], tuple[str, ...]]:
    """The votes that count, under numbers, and who is left out."""
    names = list(dict.fromkeys(vote.rater or "" for vote in votes))
    left_out = tuple(name for name in names if fails_checks(votes, name))
    numbers = {name: f"r{n}" for n, name in enumerate((n for n in names if n not in left_out), 1)}
    kept = tuple(
        vote.model_copy(update={"rater": numbers[vote.rater], "timestamp": None})
        for vote in votes
        if vote.rater in numbers
    )
    if not kept:
        raise EntryError(f"{path} holds no vote of a person who passes the attention checks. Ask others: evalkit vote")
    return kept, left_out


def _how_asked(path: Path, judge: str, study: CollectedStudy, words: Sequence[PairJudgement]) -> VotingJudge:
    """What the study says of a judge, where its words were kept as well."""
    if judge not in study.judges or not words:
        lacks = "how it was asked" if words else "what it said"
        raise EntryError(
            f"{path} holds votes of the judge {judge}, and nothing beside it says {lacks}. Have it vote again: evalkit "
            "vote judge RUN RUN --judge SPEC --output FILE"
        )
    return study.judges[judge]


def _record(
    said: VotesCard,
    study: CollectedStudy,
    votes: Iterable[Vote],
    *,
    n_left_out: int = 0,
    judge: VotingJudge | None = None,
    words: Sequence[PairJudgement] = (),
) -> VotesRecord:
    return VotesRecord(
        **said.model_dump(),
        submitted=datetime.now(UTC).date(),
        question=study.question,
        study=study.id,
        plan_sha256=study.plan_sha256,
        votes_per_rater=study.votes,
        checks_per_rater=study.checks,
        methods=dict(study.methods),
        n_left_out=n_left_out,
        votes_sha256=hashlib.sha256(_lines(votes).encode()).hexdigest(),
        judge=judge,
        words_sha256=hashlib.sha256(_word_lines(words).encode()).hexdigest() if judge else None,
    )


def _lines(votes: Iterable[Vote]) -> str:
    return "".join(f"{vote_line(vote)}\n" for vote in votes)


def _word_lines(words: Iterable[PairJudgement]) -> str:
    return "".join(f"{each.model_dump_json(exclude_none=True)}\n" for each in words)


def _write(found: LoadedVotes) -> None:
    """All files of a collection at once."""
    try:
        with atomic_update(found.path) as new:
            write_text(new / VOTES_FILE, _lines(found.votes))
            if found.record.judge:
                write_text(new / WORDS_FILE, _word_lines(found.words))
            write_json(new / VOTES_RECORD, found.record)
    except OSError as failure:
        what = f"{failure.filename or found.path} cannot be written: {failure.strerror}"
        raise EntryError(f"{what}. Make room there, and run the same command again.") from failure
