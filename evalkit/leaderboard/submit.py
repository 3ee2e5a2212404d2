"""``submit``: from a folder of edits and a card to an entry of the leaderboard."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of
from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.folder import EditFolder
from evalkit.errors import EntryError, OptionError, RunError, WeightsError
from evalkit.judges.asking import JudgeOptions
from evalkit.leaderboard.digests import digest_outputs, exchanged
from evalkit.leaderboard.judged import JudgedRun
from evalkit.leaderboard.judging import judge_edits, without_folders
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.records import Card, Entry, OutputDigest, Submission
from evalkit.leaderboard.records_io import (
    file_digest,
    read_own_yaml,
    read_yaml,
    write_json,
    write_lines,
    write_yaml,
)
from evalkit.leaderboard.store import ENTRY_FILE, FILES, OUTPUTS_FILE, Leaderboard, LoadedEntry
from evalkit.leaderboard.thumbnails import write_pictures
from evalkit.scores.merging import joined_table
from evalkit.scores.run import RECORD, ScoredRun, write_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.storage.atomic import atomic_update, finish_update, names_in_folder
from evalkit.storage.prefetch import Progress, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """An entry that was written."""

    entry: LoadedEntry
    card: Path
    completed: bool
    """Whether metrics or judgements were added to an entry that was there."""
    judged: JudgedRun | None = None
    """What a judge said of it now."""


def submit(
    folder: Path,
    card: Path,
    leaderboard: Leaderboard,
    *,
    metrics: Sequence[str] = (),
    judge: JudgeOptions | None = None,
    data: Path | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Submitted:
    """Check a folder of edits, score it under its protocol and write its entry.

    Where the entry is there, holds these very edits and lacks metrics of the protocol, these are added to it. What a
    judge says is added last, once the entry is written.

    Args:
        folder: The edits.
        card: ``METHOD.yaml``: see :class:`~evalkit.leaderboard.records.Submission`.
        leaderboard: Where the entry goes.
        metrics: Some of the protocol's; all by default.
        judge: Who is to be asked about the edits, if anybody.
        data: A local copy of the benchmark's files.
        device: Of the encoder.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EntryError: The card is incomplete, the protocol is unknown or another's, items are not covered, or the method
            has an entry already.
        OptionError: A metric is none of the protocol's.
        WeightsError: The encoder's weights cannot be had; the message names the metrics that need none.
        EvalkitError: The folder cannot be read or scored.
    """
    submission = read_own_yaml(card, Submission)
    protocol = get_protocol(submission.protocol)
    _check_kind(submission.method, covered_benchmark(protocol))
    edits = protocol_edits(folder, protocol, data)
    try:
        return submit_edits(
            edits, submission, leaderboard, metrics=metrics, judge=judge, device=device, progress=progress
        )
    except WeightsError as failure:
        raise WeightsError(
            f"{failure.what} The protocol says which weights. To submit what needs none now, and the rest by the same "
            "command later: --metrics A,B"
        ) from failure


def submit_edits(
    edits: EditFolder,
    submission: Submission,
    leaderboard: Leaderboard,
    *,
    metrics: Sequence[str] = (),
    judge: JudgeOptions | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Submitted:
    """Score edits under a protocol and write their entry, or the metrics that it lacks; otherwise as :func:`submit`."""
    protocol, method = get_protocol(submission.protocol), submission.method
    benchmark = covered_benchmark(protocol)
    path, card = leaderboard.entry_path(protocol.name, method.name), leaderboard.card_path(method.name)
    outputs = _covered(edits, protocol, benchmark)
    with _write_errors(path):
        finished = finish_update(path)
        before = _published(path, submission, outputs, leaderboard)
        asked = _metrics_to_score(protocol, metrics, before)
        if before and not asked and not finished and judge is None:
            raise EntryError(f"{path} exists already and has all of these metrics. There is nothing to add.")
        _check_card(card, method)
        if asked:
            scored = _score(edits, asked, method.name, protocol, device, progress)
            run = _merged(before.run, scored, protocol) if before else scored
            if method.pictures_licence and benchmark.licence_id:
                write_pictures(path, edits.items, keep=before is not None)
            if not card.exists():
                write_yaml(card, method)
            submitted = before.record.submitted if before else datetime.now(UTC).date()
            _write_entry(path, submission, submitted, run, before.outputs if before else outputs)
        entry = leaderboard.read(path)
        judged = judge_edits(edits, entry, judge, device=device, progress=progress) if judge else None
    completed = before is not None and not finished
    return Submitted(entry=leaderboard.read(path), card=card, completed=completed, judged=judged)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Says in a sentence which file of an entry could not be written."""
    try:
        yield
    except OSError as failure:
        raise EntryError(
            f"{failure.filename or path} cannot be written: {failure.strerror or failure}. The entry is as it was "
            "before: make room there, and run the same command again."
        ) from failure


def _write_entry(
    path: Path, submission: Submission, submitted: date, run: ScoredRun, outputs: Sequence[OutputDigest]
) -> None:
    """All files of an entry at once: what had landed is replaced by the whole, or stays."""
    with atomic_update(path) as new:
        write_run(new, run)
        write_lines(new / OUTPUTS_FILE, outputs)
        entry = Entry(
            method=submission.method.name,
            protocol=submission.protocol,
            submitted=submitted,
            submitter=submission.submitter,
            declarations=submission.declarations,
            run_sha256=file_digest(new / RECORD),
            outputs_sha256=file_digest(new / OUTPUTS_FILE),
        )
        write_json(new / ENTRY_FILE, entry)


def git_commands(submitted: Submitted) -> list[str]:
    """The commands that put an entry and its card on a branch of their own, to be typed by the submitter."""
    entry, what = submitted.entry, "Complete" if submitted.completed else "Submit"
    return [
        f"git switch -c submit-{entry.method}",
        f"git add {entry.path} {submitted.card}",
        f'git commit -m "{what} {entry.method} under {entry.record.protocol}"',
    ]


def _check_kind(card: Card, benchmark: Benchmark) -> None:
    """A control's name is a control's, and the other way round: the controls are what methods are held against."""
    controls = {*CONTROLS, *controls_of(benchmark)}
    if (card.kind == "control") != (card.name in controls):
        raise EntryError(
            f"The card says that '{card.name}' is a {card.kind}: expected a control to be one of "
            f"{', '.join(sorted(controls))}, and a method to have another name. Change method.name or method.kind."
        )


def protocol_edits(folder: Path, protocol: Protocol, data: Path | None) -> EditFolder:
    """The edits that a protocol is about, of a folder that must be of its benchmark.

    Raises:
        EntryError: It holds edits of another, or of none that is known.
        EvalkitError: It cannot be read.
    """
    opened = open_edits(folder, benchmark=None, data=data)
    if opened.benchmark is None or opened.benchmark.name != protocol.benchmark:
        found = opened.benchmark.name if opened.benchmark else "none that is known"
        raise EntryError(
            f"{folder} holds edits of the benchmark {found}, and the card names the protocol {protocol.name}: expected "
            f"edits of {protocol.benchmark}. Name the protocol that fits in the card."
        )
    return protocol.part_of(opened.folder)


def _covered(edits: EditFolder, protocol: Protocol, benchmark: Benchmark) -> tuple[OutputDigest, ...]:
    """The outputs, once it is certain that none is missing."""
    made = [item for item in edits.items if item.status != "missing"]
    problem = protocol.uncovered(
        [(item.item_id, item.seed) for item in made], [item.item_id for item in benchmark.items]
    )
    if problem:
        raise EntryError(problem)
    return digest_outputs(made)


def _published(
    path: Path, submission: Submission, outputs: tuple[OutputDigest, ...], leaderboard: Leaderboard
) -> LoadedEntry | None:
    """The entry that is there, where it is of these very edits."""
    if not path.exists():
        return None
    if not (path / ENTRY_FILE).exists():
        if foreign := names_in_folder(path, FILES) - FILES:
            raise EntryError(
                f"{path} holds '{min(foreign)}', which is no file of an entry: nothing was written there. Move it away."
            )
        shutil.rmtree(path)  # what a killed submission left: without that file nothing has landed
        return None
    entry = leaderboard.read(path)
    same = (entry.record.declarations, entry.record.submitter) == (submission.declarations, submission.submitter)
    if same and not exchanged(entry.outputs, outputs):
        return entry
    raise EntryError(
        f"{path} exists already: the id '{submission.method.name}' is taken under {submission.protocol}, and landed "
        "numbers do not change. Submit a new version of a method under a new method.name."
    )


def _metrics_to_score(protocol: Protocol, metrics: Sequence[str], before: LoadedEntry | None) -> list[str]:
    unknown = [name for name in metrics if name not in protocol.metrics]
    if unknown:
        raise OptionError(
            f"{protocol.name} has no metric '{unknown[0]}': expected some of {', '.join(protocol.metrics)}."
        )
    awaiting = protocol.awaiting(before.metrics if before else ())
    return [name for name in metrics or protocol.metrics if name in awaiting]


def _check_card(path: Path, card: Card) -> None:
    """A method that is known from another benchmark keeps its card."""
    if not path.exists():
        return
    known = read_yaml(path, Card)
    differ = [name for name in Card.model_fields if getattr(known, name) != getattr(card, name)]
    if differ:
        raise EntryError(
            f"{path} describes '{card.name}' with another {differ[0]}: expected '{getattr(known, differ[0])}', got "
            f"'{getattr(card, differ[0])}'. Use the card that is there, or another method.name."
        )


def _score(
    edits: EditFolder, metrics: Sequence[str], name: str, protocol: Protocol, device: str, progress: Progress
) -> ScoredRun:
    """The folder's run under the protocol, without anything that only concerns this machine."""
    options = ScoreOptions(
        metrics=metrics,
        name=name,
        benchmark_version=protocol.benchmark_version,
        protocol=protocol,
        device=device,
    )
    with TemporaryDirectory() as scratch:
        try:
            run = score_into(Path(scratch) / "run", edits, options, progress=progress)
        except RunError as failure:
            raise EntryError(
                f"There is no room for temporary files: {failure.__cause__}. Choose: TMPDIR=DIR"
            ) from failure
    return replace(run, record=without_folders(run.record, edits.root))


def _merged(before: ScoredRun, added: ScoredRun, protocol: Protocol) -> ScoredRun:
    """The metrics of both runs, item by item, in the protocol's order; what is published stays as it was."""
    metrics = {**added.record.metrics, **before.record.metrics}
    metrics = {name: metrics[name] for name in protocol.metrics if name in metrics}
    encoders = {**added.record.encoders, **before.record.encoders}
    record = added.record.model_copy(update={"metrics": metrics, "encoders": encoders})
    return ScoredRun(record=record, table=joined_table(added.table, before.table, tuple(metrics)))
