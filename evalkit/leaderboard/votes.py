"""Votes on the board: submitting those of a study, and everything that can be checked of them without their raters."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of
from evalkit.errors import EntryError, EvalkitError
from evalkit.formatting import counted
from evalkit.judges.open import JUDGES
from evalkit.leaderboard.digests import outputs_digest
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.records import VotesCard, VotesRecord
from evalkit.leaderboard.records_io import file_digest, read_own_yaml, write_json, write_text
from evalkit.leaderboard.store import VOTES_RECORD, Leaderboard, LoadedEntry, LoadedVotes
from evalkit.storage.atomic import atomic_update
from evalkit.votes.read import read_votes
from evalkit.votes.records import VOTES_FILE, Vote, vote_line


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedVotes:
    """Votes that were written."""

    votes: LoadedVotes
    left_out: tuple[str, ...]
    """Raters who failed more attention checks than they passed."""
    judges: tuple[str, ...]
    """Judges who voted in the same study, and are no people."""


def submit_votes(path: Path, card: Path, study: CollectedStudy, leaderboard: Leaderboard) -> SubmittedVotes:
    """Put the votes of a study on the board that its methods stand on; raters are called ``r1``, ``r2``, … there.

    Args:
        path: The votes.
        card: ``VOTES.yaml``: see :class:`~evalkit.leaderboard.records.VotesCard`.
        study: What they were collected by.
        leaderboard: Where they go.

    Raises:
        EntryError: The card is incomplete, the name is taken, the votes are on other edits than the entries', or nobody
            is left who voted.
        DataError: The table of votes cannot be read.
    """
    said = read_own_yaml(card, VotesCard)
    place = leaderboard.votes_path(get_protocol(said.protocol).name, said.name)
    if place.exists():
        raise EntryError(f"{place} exists already, and what has landed does not change. Give the votes another name.")
    everything = read_votes(path).votes
    names = list(dict.fromkeys(vote.rater or "" for vote in everything))
    if "" in names:
        raise EntryError(f"{path} holds votes of nobody: expected a rater in every line. Collect them: evalkit vote")
    judges = tuple(name for name in names if "/" in name and name.partition("/")[0] in JUDGES.names())
    left_out = tuple(name for name in names if name not in judges and _fails_checks(everything, name))
    known = {name: f"r{n}" for n, name in enumerate((n for n in names if n not in {*judges, *left_out}), 1)}
    votes = [vote.model_copy(update={"rater": known[vote.rater]}) for vote in everything if vote.rater in known]
    if not votes:
        raise EntryError(
            f"{path} holds no vote of a person who passes the attention checks. What a judge says goes with the entry "
            "that it is about: evalkit submit FOLDER --card METHOD.yaml --judge SPEC"
        )
    text = "".join(f"{vote_line(vote)}\n" for vote in votes)
    record = _record(said, study, len(left_out), text)
    found = LoadedVotes(path=place, record=record, votes=tuple(votes))
    for _, message in _content_problems(found, leaderboard.entries(said.protocol)):
        raise EntryError(f"{path} cannot stand on the board: {message}")
    try:
        with atomic_update(place) as new:
            write_text(new / VOTES_FILE, text)
            write_json(new / VOTES_RECORD, record)
    except OSError as failure:
        what = f"{failure.filename or place} cannot be written: {failure.strerror}"
        raise EntryError(f"{what}. Make room there, and run the same command again.") from failure
    return SubmittedVotes(votes=leaderboard.read_votes(place), left_out=left_out, judges=judges)


def _record(said: VotesCard, study: CollectedStudy, n_left_out: int, text: str) -> VotesRecord:
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
        votes_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def votes_problems(found: LoadedVotes, entries: Sequence[LoadedEntry]) -> Iterator[tuple[str, str]]:
    """The first problem of a collection of votes: code and sentence.

    Args:
        found: The votes.
        entries: Of their board.
    """
    for code, messages in (("unknown_file", _unknown_files(found)), ("wrong_digest", _other_content(found))):
        if message := next(messages, None):
            yield code, message
            return
    yield from _content_problems(found, entries)


def _content_problems(found: LoadedVotes, entries: Sequence[LoadedEntry]) -> Iterator[tuple[str, str]]:
    """The first problem of votes and record, whatever files they are in."""
    try:
        benchmark = covered_benchmark(get_protocol(found.record.protocol))
    except EvalkitError as failure:
        yield "wrong_protocol", str(failure)
        return
    for code, messages in (
        ("wrong_digest", _other_edits(found.record, entries)),
        ("wrong_vote", _wrong_votes(found, benchmark, entries)),
        ("wrong_vote", _wrong_raters(found)),
    ):
        if message := next(messages, None):
            yield code, message
            return


def _unknown_files(found: LoadedVotes) -> Iterator[str]:
    """Files that no collection has."""
    for path in sorted(found.path.iterdir()):
        if path.name not in (VOTES_RECORD, VOTES_FILE):
            yield f"expected only {VOTES_RECORD} and {VOTES_FILE}, got {path.name}"


def _other_content(found: LoadedVotes) -> Iterator[str]:
    digest = file_digest(found.path / VOTES_FILE)
    if digest != found.record.votes_sha256:
        yield f"{VOTES_FILE} has SHA-256 {digest[:12]}…, its record was made with {found.record.votes_sha256[:12]}…"


def _other_edits(record: VotesRecord, entries: Sequence[LoadedEntry]) -> Iterator[str]:
    known = {entry.method: outputs_digest(entry.outputs) for entry in entries}
    for method, digest in record.methods.items():
        if method not in known:
            yield f"votes on {method}, which has no entry under {record.protocol}. Submit that: evalkit submit FOLDER"
        elif known[method] != digest:
            yield (
                f"other pictures of {method} were voted on: the entry's edits have the digest {known[method][:12]}…, "
                f"got {digest[:12]}…. Vote on the edits of the entry, and on no others: evalkit vote FOLDER FOLDER"
            )
    if len(record.methods) < 2:
        yield f"votes are between two entries or more, got {', '.join(record.methods) or 'none'}"


def _wrong_votes(found: LoadedVotes, benchmark: Benchmark, entries: Sequence[LoadedEntry]) -> Iterator[str]:
    """Votes that are not on an item and two entries of the board, as the benchmark and the study have them."""
    items = {item.item_id: item for item in benchmark.items}
    seeds = {entry.method: {output.seed for output in entry.outputs} | {None} for entry in entries}
    controls = {*CONTROLS, *controls_of(benchmark)}
    for number, vote in enumerate(found.votes, 1):
        where = f"vote {number}, of {vote.rater or 'nobody'}"
        item = items.get(vote.item_id)
        if item is None:
            yield f"{where}: {vote.item_id} is no item of {benchmark.name}"
            continue
        if (vote.group, vote.edit_type) != (item.group, item.edit_type):
            expected = f"{item.group}, {item.edit_type}"
            yield f"{where}: expected group and edit type {expected}, got {vote.group}, {vote.edit_type}"
        between = controls if vote.expected else found.record.methods
        if not {vote.a, vote.b} <= set(between):
            kind = "an attention check is between two controls" if vote.expected else "a vote is between two entries"
            yield f"{where}: {kind} of the study, got {vote.a} and {vote.b}"
        elif not vote.expected and any(vote.seed not in seeds.get(name, ()) for name in (vote.a, vote.b)):
            yield f"{where}: there are no edits of seed {vote.seed}"
        if vote.criterion not in (None, found.record.question):
            yield f"{where}: another question was asked, '{vote.criterion:.60}'"
        if vote.first is None:
            yield f"{where}: nobody says which edit was shown first"


def _wrong_raters(found: LoadedVotes) -> Iterator[str]:
    """Raters without a name, who answered the same twice or more than the plan has, or did not look."""
    asked = Counter(
        (vote.rater, vote.item_id, *sorted((vote.a, vote.b)), vote.seed, vote.expected is None) for vote in found.votes
    )
    for (rater, item_id, a, b, *_), n in asked.items():
        if n > 1:
            yield f"{rater} voted {n} times on {item_id}, {a} or {b}: expected one vote"
    for rater in dict.fromkeys(vote.rater for vote in found.votes):
        if rater is None:
            yield "a vote of nobody: expected a rater in every line"
            continue
        n_checks = sum(vote.rater == rater and vote.expected is not None for vote in found.votes)
        n_votes = sum(vote.rater == rater and vote.expected is None for vote in found.votes)
        for what, n, most in (
            ("vote", n_votes, found.record.votes_per_rater),
            ("attention check", n_checks, found.record.checks_per_rater),
        ):
            if n > most:
                yield f"{rater} has {counted(n, what)}, and the plan has {most}"
        if _fails_checks(found.votes, rater):
            yield f"{rater} failed more attention checks than passed, and does not count"


def _fails_checks(votes: Sequence[Vote], rater: str) -> bool:
    """Whether a rater failed more attention checks than passed: who votes by lot does so in two cases of three."""
    checks = [vote.winner == vote.expected for vote in votes if vote.rater == rater and vote.expected is not None]
    return sum(checks) < len(checks) - sum(checks)
