"""``fill``: what an entry lacks of its protocol's metrics, scored from edits that anybody can have again.

Controls are made anew, and what a method's authors published is fetched. Either must have the digests of the entry.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from evalkit.benchmarks.controls import write_control
from evalkit.edits.folder import EditFolder
from evalkit.errors import EntryError, WeightsError
from evalkit.leaderboard.digests import digest_outputs, exchanged
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.records import Submission
from evalkit.leaderboard.store import Leaderboard, LoadedEntry
from evalkit.leaderboard.submit import protocol_edits, submit_edits
from evalkit.leaderboard.verify import EntryProblem, require_verified
from evalkit.storage.atomic import finish_update
from evalkit.storage.prefetch import Progress, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What came of filling the boards."""

    filled: tuple[LoadedEntry, ...]
    """Entries that metrics were added to."""
    awaiting: Mapping[str, tuple[str, ...]]
    """Entries that still await metrics, for only their submitters have the edits."""
    problems: tuple[EntryProblem, ...]
    """Entries whose edits are not those that were published."""


def has_public_edits(entry: LoadedEntry) -> bool:
    """Whether anybody can have an entry's edits again: a control's, and what a method's authors published."""
    benchmark = covered_benchmark(entry.protocol)
    return entry.card.kind == "control" or entry.method in benchmark.published


def fill_command(protocol: str, entries: Sequence[LoadedEntry]) -> str:
    """What fills a board where weights can be had: one command for all edits that are public, else each submitter's."""
    if any(entry.awaiting and has_public_edits(entry) for entry in entries):
        return f"evalkit leaderboard fill {protocol}"
    return "evalkit submit FOLDER --card METHOD.yaml"


def fill(
    leaderboard: Leaderboard,
    protocol: str | None = None,
    *,
    data: Path | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Filled:
    """Add to every entry whose edits can be had the metrics that it awaits; nothing else of it changes.

    Each entry is written as soon as it is scored: the same call goes on where an earlier one was ended.

    Args:
        leaderboard: Where the entries are.
        protocol: Whose entries; all by default.
        data: A local copy of the benchmark's files, and of what was published on it.
        device: Of the encoder.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EntryError: The protocol is unknown or has no entries, an entry has a problem, or cannot be written.
        WeightsError: The encoder's weights cannot be had.
        EvalkitError: The benchmark's files, or the published edits, cannot be had.
    """
    filled, others, problems = [], {}, []
    for entry in _entries(leaderboard, protocol):
        if not has_public_edits(entry):
            others[entry.name] = entry.awaiting
            continue
        with _edits_of(entry, data) as edits:
            differ = exchanged(entry.outputs, digest_outputs(edits.items))
            if differ:
                message = f"{len(differ)} of {len(entry.outputs)} edits are not those of the entry, {differ[0]} first"
                where = entry.path.relative_to(leaderboard.root).as_posix()
                problems.append(EntryProblem(code="wrong_digest", where=where, message=message))
            else:
                filled.append(_fill(entry, edits, leaderboard, device, progress))
    return Filled(filled=tuple(filled), awaiting=others, problems=tuple(problems))


def _entries(leaderboard: Leaderboard, protocol: str | None) -> list[LoadedEntry]:
    """The entries that await metrics, of a protocol or of all."""
    if protocol and get_protocol(protocol).name not in leaderboard.protocols():
        raise EntryError(
            f"{leaderboard.root} has no entries of {protocol}: expected one of {', '.join(leaderboard.protocols())}."
        )
    for path in leaderboard.entry_paths():
        finish_update(path)
    entries = require_verified(leaderboard, "Nothing is added").entries
    return [entry for entry in entries if entry.awaiting and protocol in (None, entry.record.protocol)]


@contextmanager
def _edits_of(entry: LoadedEntry, data: Path | None) -> Iterator[EditFolder]:
    """An entry's edits, as anybody can have them today."""
    protocol, benchmark = entry.protocol, covered_benchmark(entry.protocol)
    if entry.method in benchmark.published:
        yield protocol_edits(benchmark.published[entry.method](data), protocol, data)
        return
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / entry.method
        write_control(entry.method, benchmark.load(data), folder, rng=np.random.default_rng(0))
        edits = protocol_edits(folder, protocol, data)
        made = {item.item_id: item for item in edits.items}  # whatever the seed: controls have none
        yield replace(edits, items=tuple(replace(made[of.item_id], seed=of.seed) for of in entry.outputs))


def _fill(
    entry: LoadedEntry, edits: EditFolder, leaderboard: Leaderboard, device: str, progress: Progress
) -> LoadedEntry:
    record = entry.record
    submission = Submission(
        protocol=record.protocol, method=entry.card, declarations=record.declarations, submitter=record.submitter
    )
    try:
        return submit_edits(edits, submission, leaderboard, device=device, progress=progress).entry
    except WeightsError as failure:
        raise WeightsError(
            f"{failure.what} {entry.name} is as it was. Run the same command where the weights can be downloaded."
        ) from failure
