"""What can be checked of votes on the board without their raters; a judge's are read again in its words.

Nobody saw who cast a vote: that people's votes are people's is as good as their collector's word. What in a file says
otherwise is found: a judge's name, its words, or votes that stand on the board as a judge's.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of
from evalkit.errors import EvalkitError
from evalkit.formatting import counted
from evalkit.leaderboard.digests import outputs_digest
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.records import VotesRecord
from evalkit.leaderboard.records_io import file_digest
from evalkit.leaderboard.store import VOTES_RECORD, WORDS_FILE, LoadedEntry, LoadedVotes
from evalkit.votes.judged import misread_votes
from evalkit.votes.records import VOTES_FILE, AskedPair, Vote, Winner

_PERSON = re.compile(r"r[1-9][0-9]{0,5}")
"""What people are called on a board."""
_CastVote = tuple[AskedPair, Winner, float | None]
"""What was asked, what was chosen, and in how many seconds."""


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
    yield from content_problems(found, entries)


def content_problems(found: LoadedVotes, entries: Sequence[LoadedEntry]) -> Iterator[tuple[str, str]]:
    """The first problem of votes, words and record, whatever files they are in: code and sentence."""
    try:
        benchmark = covered_benchmark(get_protocol(found.record.protocol))
    except EvalkitError as failure:
        yield "wrong_protocol", str(failure)
        return
    for code, messages in (
        ("wrong_digest", _other_edits(found.record, entries)),
        ("wrong_vote", _wrong_votes(found, benchmark, entries)),
        ("wrong_vote", _wrong_raters(found)),
        ("wrong_judgement", _misread_words(found)),
    ):
        if message := next(messages, None):
            yield code, message
            return


def _unknown_files(found: LoadedVotes) -> Iterator[str]:
    """Files that no collection has, and of people's the words of a judge."""
    known = [VOTES_RECORD, VOTES_FILE, *([WORDS_FILE] if found.record.judge else [])]
    for path in sorted(found.path.iterdir()):
        if path.name == WORDS_FILE and not found.record.judge:
            yield f"{WORDS_FILE} holds what a judge said, and the record says that people voted"
        elif path.name not in known:
            yield f"expected only {', '.join(known)}, got {path.name}"


def _other_content(found: LoadedVotes) -> Iterator[str]:
    record = found.record
    for name, expected in ((VOTES_FILE, record.votes_sha256), (WORDS_FILE, record.words_sha256)):
        if expected and (digest := file_digest(found.path / name)) != expected:
            yield f"{name} has SHA-256 {digest[:12]}…, its record was made with {expected[:12]}…"


def _misread_words(found: LoadedVotes) -> Iterator[str]:
    """Votes of a judge that are not what its words say."""
    judge = found.record.judge
    for number, each in enumerate(found.words, 1):
        where = f"{WORDS_FILE}, line {number}"
        if judge and each.rater != judge.judge:
            yield f"{where}: expected words of {judge.judge}, got those of {each.rater:.80}"
        if not each.model.isprintable():
            yield f"{where}: expected the name of a model in a line, got {each.model[:60]!r}"
    if judge:
        yield from misread_votes(found.votes, found.words)


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
    """Raters of another name than theirs, who answered the same twice or more than the plan has, or did not look."""
    asked = Counter(
        (vote.rater, vote.item_id, *sorted((vote.a, vote.b)), vote.seed, vote.expected is None) for vote in found.votes
    )
    for (rater, item_id, a, b, *_), n in asked.items():
        if n > 1:
            yield f"{rater} voted {n} times on {item_id}, {a} or {b}: expected one vote"
    for rater in dict.fromkeys(vote.rater for vote in found.votes):
        if fault := _wrong_name(rater, found.record):
            yield fault
            continue
        n_checks = sum(vote.rater == rater and vote.expected is not None for vote in found.votes)
        n_votes = sum(vote.rater == rater and vote.expected is None for vote in found.votes)
        for what, n, most in (
            ("vote", n_votes, found.record.votes_per_rater),
            ("attention check", n_checks, found.record.checks_per_rater),
        ):
            if n > most:
                yield f"{rater} has {counted(n, what)}, and the plan has {most}"
        if not found.record.judge and fails_checks(found.votes, rater):
            yield f"{rater} failed more attention checks than passed, and does not count"


def _wrong_name(rater: str | None, record: VotesRecord) -> str | None:
    """Why somebody of this name cannot have voted there."""
    if rater is None:
        return "a vote of nobody: expected a rater in every line"
    if record.judge:
        return (
            None if rater == record.judge.judge else f"{rater} voted, and the record says that {record.judge.judge} did"
        )
    if _PERSON.fullmatch(rater):
        return None
    return f"{rater} voted, and the record says that people did, who are called r1, r2, … there"


def fails_checks(votes: Sequence[Vote], rater: str | None) -> bool:
    """Whether a rater failed more attention checks than passed: who votes by lot does so in most cases."""
    checks = Counter(vote.check for vote in votes if vote.rater == rater)
    return checks["failed"] > checks["passed"]


def copied_votes(found: LoadedVotes, others: Sequence[LoadedVotes]) -> Iterator[str]:
    """Raters among people whose votes stand on the board as a judge's, to the fraction of a second.

    Args:
        found: A collection.
        others: All collections of its board.
    """
    for other in others if found.record.cast_by == "people" else ():
        of_judge = _cast(other.votes) if other.record.judge else frozenset()
        for rater, votes in _by_rater(found).items():
            if _cast(votes) <= of_judge:
                yield f"the votes of {rater} are those of the judge in {other.name}, to the second"


def _by_rater(found: LoadedVotes) -> Mapping[str, list[Vote]]:
    by_rater: dict[str, list[Vote]] = {}
    for vote in found.votes:
        by_rater.setdefault(vote.rater or "", []).append(vote)
    return by_rater


def _cast(votes: Sequence[Vote]) -> frozenset[_CastVote]:
    return frozenset((vote.asked, vote.winner, vote.seconds) for vote in votes)
