"""``verify``: everything that can be checked of an entry without its images, and without running anybody's code."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of
from evalkit.encoders import miniature
from evalkit.errors import EntryError, EvalkitError
from evalkit.formatting import abridged, counted
from evalkit.leaderboard.anomalies import check_outputs
from evalkit.leaderboard.files import PICTURES, link_fault, read_file
from evalkit.leaderboard.judged_checks import judged_problem
from evalkit.leaderboard.protocol import covered_benchmark
from evalkit.leaderboard.recomputed import CLOSE, wrong_means
from evalkit.leaderboard.records import AnomalyCheck, Card, Reported
from evalkit.leaderboard.records_io import file_digest, read_yaml
from evalkit.leaderboard.store import FILES, OUTPUTS_FILE, Leaderboard, LoadedEntry, LoadedVotes, schemas
from evalkit.leaderboard.thumbnails import picture_fault
from evalkit.leaderboard.votes_checks import copied_votes, votes_problems
from evalkit.metrics.base import METRICS, REASONS, Metric, score_of_failed
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import RECORD
from evalkit.scores.signatures import comparable_fields, signature_fields

CODES: Mapping[str, str] = {
    "no_plain_file": "a link, a device, a folder in the place of a file, or a file over its limit; it is not read",
    "unreadable": "a file is absent, damaged, or not of its schema",
    "unknown_file": "a file that no entry has",
    "wrong_picture": "a picture that is no whole PNG, or larger than those that evalkit submit makes",
    "wrong_place": "an entry that says it is another, or a card whose name is not its file's",
    "wrong_digest": "a file is not the one that the entry was made with",
    "wrong_protocol": "metrics, encoder, benchmark or settings are not the protocol's",
    "coverage": "items or seeds are absent, there twice, or not the benchmark's",
    "wrong_value": "a score outside of its metric's range, or without a value and a reason",
    "wrong_judgement": "what was read in a judge's answer, or its vote, is not what its words say",
    "wrong_mean": "a mean or interval that does not follow from the per-item scores",
    "wrong_vote": "a vote that is on nothing of the board, there twice, or of a rater who does not count",
    "duplicate_entry": "two entries with the same edits, or two collections of one study's votes",
    "stale_schema": "a JSON Schema that is not generated from the records",
    "landed_changed": "a number, declaration, output or card that had landed was changed or removed",
    "verification_changed": "a verification that a submission must not bring along",
}
"""What can be wrong, each with what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProblem:
    """Something that keeps an entry from being shown."""

    code: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found in all entries."""

    entries: tuple[LoadedEntry, ...]
    """Those that could be read."""
    problems: tuple[EntryProblem, ...]
    anomalies: Mapping[str, tuple[AnomalyCheck, ...]]
    """Entry (``protocol/method``) to what the digests of its outputs show."""


def verify(leaderboard: Leaderboard) -> Verified:
    """Check every entry, card, schema and reported table."""
    faults = leaderboard.faults()
    problems = [_problem("no_plain_file", fault.path, leaderboard, fault.reason) for fault in faults]
    faulty = {path for fault in faults for path in (fault.path, *fault.path.parents)}
    problems += (*_schema_problems(leaderboard, faulty), *_written_problems(leaderboard, faulty))
    entries: list[LoadedEntry] = []
    for path in leaderboard.entry_paths():
        if path in faulty:
            continue
        try:
            entries.append(leaderboard.read(path))
        except EvalkitError as failure:
            problems.append(_problem("unreadable", path, leaderboard, str(failure)))
            continue
        problems += _entry_problems(entries[-1], leaderboard)
    problems += _votes_problems(leaderboard, entries, faulty)
    problems += _duplicates(entries, leaderboard)
    problems += _signature_problems(entries, leaderboard)
    anomalies = {}
    for protocol in dict.fromkeys(entry.record.protocol for entry in entries):
        of_board = [entry for entry in entries if entry.record.protocol == protocol]
        anomalies.update({f"{protocol}/{method}": found for method, found in check_outputs(of_board).items()})
    return Verified(entries=tuple(entries), problems=tuple(problems), anomalies=anomalies)


def require_verified(leaderboard: Leaderboard, otherwise: str) -> Verified:
    """What was found in all entries, where nothing is wrong with any.

    Args:
        leaderboard: The entries.
        otherwise: What is not done then, for the message.

    Raises:
        EntryError: There is a problem.
    """
    verified = verify(leaderboard)
    if verified.problems:
        first = verified.problems[0]
        raise EntryError(
            f"{otherwise}: {counted(len(verified.problems), 'problem')}, the first in {first.where} "
            f"(evalkit leaderboard verify lists them): {first.message}"
        )
    return verified


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """What the checks of an entry look at."""

    entry: LoadedEntry
    benchmark: Benchmark
    """As far as the protocol is about it."""


def _entry_problems(entry: LoadedEntry, leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    """The first problem of an entry: those come first without which the others cannot be looked for."""
    if entry.name != "/".join(entry.path.parts[-3:]) or entry.run.record.run != entry.method:
        message = f"the entry is called {entry.name}, its run {entry.run.record.run}"
        yield _problem("wrong_place", entry.path, leaderboard, message)
        return
    try:
        checked = _Checked(entry=entry, benchmark=covered_benchmark(entry.protocol))
    except EvalkitError as failure:
        yield _problem("wrong_protocol", entry.path, leaderboard, str(failure))
        return
    for code, check in _CHECKS:
        for message in check(checked):
            yield _problem(code, entry.path, leaderboard, message)
            return
    for judged in entry.judged:
        if found := judged_problem(entry, judged, checked.benchmark):
            yield _problem(found[0], judged.path, leaderboard, found[1])


def _unknown_files(checked: _Checked) -> Iterator[str]:
    entry = checked.entry
    unknown = sorted(path.name for path in entry.path.iterdir() if path.name not in FILES)
    pictures = entry.path / PICTURES
    if pictures.exists():
        if not (entry.card.pictures_licence and checked.benchmark.licence_id):
            yield "pictures without a licence of both the benchmark and the method"
        names = {f"{item.file_stem}.png" for item in checked.benchmark.items}
        unknown += [f"{PICTURES}/{path.name}" for path in sorted(pictures.iterdir()) if path.name not in names]
    if unknown:
        yield f"expected only {', '.join(sorted(FILES))}, got {unknown[0]}"


def _wrong_pictures(checked: _Checked) -> Iterator[str]:
    folder = checked.entry.path / PICTURES
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if fault := picture_fault(read_file(path)):
            yield f"{PICTURES}/{path.name}: {fault}"


def _other_digests(checked: _Checked) -> Iterator[str]:
    record = checked.entry.record
    for name, expected in ((RECORD, record.run_sha256), (OUTPUTS_FILE, record.outputs_sha256)):
        found = file_digest(checked.entry.path / name)
        if found != expected:
            yield f"{name} has SHA-256 {found[:12]}…, the entry was made with {expected[:12]}…"


def _other_protocol(checked: _Checked) -> Iterator[str]:
    entry, record, protocol = checked.entry, checked.entry.run.record, checked.entry.protocol
    controls = {*CONTROLS, *controls_of(checked.benchmark)}
    pinned: dict[str, tuple[object, object]] = {
        "protocol": (protocol.name, record.protocol),
        "missing": ("fail", record.missing),
        "kind of card": ("control" if entry.method in controls else "method", entry.card.kind),
        "name of card": (entry.method, entry.card.name),
        "metrics": (set(), set(record.metrics) - set(protocol.metrics)),
    }
    for what, (expected, got) in pinned.items():
        if expected != got:
            yield f"{what}: expected {expected or 'no others'}, got {got}"
    if not record.metrics:
        yield f"no metric: expected some of {', '.join(protocol.metrics)}"
    mismatch = protocol.mismatch(
        benchmark=record.benchmark,
        version=record.benchmark_version,
        n_items=record.n_items,
        n_seeds=len({output.seed for output in entry.outputs}),
        missing=record.missing,
        dtype=" and ".join({encoder.dtype: None for encoder in record.encoders.values()}) or protocol.dtype,
    )
    if mismatch:
        yield mismatch


def _other_signatures(checked: _Checked) -> Iterator[str]:
    encoder = checked.entry.protocol.encoder
    for name, summary in checked.entry.metrics.items():
        fields, metric = signature_fields(summary.signature), METRICS.get(name)
        if (fields["metric"], fields.get("v")) != (name, str(metric.version)) or "missing" in fields:
            yield f"the signature of {name}, version {metric.version}: got {summary.signature}"
        if "clip" in metric.encoders and not _is_of(fields.get("enc", ""), encoder):
            yield f"{name}: expected the encoder {encoder}, got {fields.get('enc')}"


def _is_of(label: str, encoder: str) -> bool:
    """Whether a signature's encoder is the protocol's: the same name, with the digest of the weights behind it."""
    name, (kind, _, argument) = label.partition("@")[0], encoder.partition(":")
    if kind == "miniature":
        return name == miniature.label(argument)
    return name == encoder.replace(":", "/") or name.split("/")[0] == encoder


def _gaps(checked: _Checked) -> Iterator[str]:
    entry = checked.entry
    item_ids = [item.item_id for item in checked.benchmark.items]
    for edits in (entry.outputs, entry.run.table.rows):
        problem = checked.entry.protocol.uncovered([(edit.item_id, edit.seed) for edit in edits], item_ids)
        if problem:
            yield problem
    statuses = {(output.item_id, output.seed): output.status for output in entry.outputs}
    # Groups decide how wide the intervals are: they are the benchmark's, not the submitter's.
    known = {item.item_id: (item.group, item.edit_type) for item in checked.benchmark.items}
    for row in entry.run.table.rows:
        status = statuses.get((row.item_id, row.seed), "absent")
        if row.status != status:
            yield f"{row.item_id}, seed {row.seed}: scored as {row.status}, output {status}"
        expected, got = known[row.item_id], (row.group, row.edit_type)
        if expected != got:
            yield f"{row.item_id}: expected group and edit type {expected}, got {got}"
    for output in entry.outputs:
        if (output.status == "ok") == (output.sha256 is None):
            yield f"{output.item_id}: an output has a digest exactly where its status is ok"


def _wrong_values(checked: _Checked) -> Iterator[str]:
    table = checked.entry.run.table
    metrics = [METRICS.get(name) for name in checked.entry.metrics]
    best = {metric.name: _best_of_failed(metric, table) for metric in metrics}
    for row in table.rows:
        for metric in metrics:
            problem = _wrong_value(metric, row, best[metric.name])
            if problem:
                yield f"{metric.name} of {row.item_id}: {problem}"


def _best_of_failed(metric: Metric, table: ScoreFrame) -> float | None:
    """The best that a failed edit may score in its entry; what it scores on the board is decided among all entries."""
    attained = table.column(metric.name)[table.is_ok()]
    return score_of_failed(attained, higher_is_better=metric.higher_is_better, neutral=metric.neutral)


def _wrong_value(metric: Metric, row: ItemScores, best_of_failed: float | None) -> str | None:
    value, reason = row.values.get(metric.name), row.reasons.get(metric.name)
    if value is None:
        if reason not in REASONS or reason == "no_edited_image":
            return f"no value, and the reason '{reason}'; expected one of the metric's own"
        return None
    if reason is not None:
        return "a value and a reason why there is none"
    if not metric.lowest - CLOSE <= value <= metric.highest + CLOSE:
        return f"expected {metric.lowest:g} to {metric.highest:g}, got {value}"
    if row.status == "failed" and best_of_failed is not None:
        excess = value - best_of_failed if metric.higher_is_better else best_of_failed - value
        if excess > CLOSE:
            return f"a failed edit scores no better than {best_of_failed:g}, got {value}"
    return None


def _wrong_means(checked: _Checked) -> Iterator[str]:
    run = checked.entry.run
    yield from wrong_means(run.record, run.table, [METRICS.get(name) for name in run.record.metrics])


_CHECKS: tuple[tuple[str, Callable[[_Checked], Iterator[str]]], ...] = (
    ("unknown_file", _unknown_files),
    ("wrong_picture", _wrong_pictures),
    ("wrong_digest", _other_digests),
    ("wrong_protocol", _other_protocol),
    ("wrong_protocol", _other_signatures),
    ("coverage", _gaps),
    ("wrong_value", _wrong_values),
    ("wrong_mean", _wrong_means),
)


def _votes_problems(
    leaderboard: Leaderboard, entries: Sequence[LoadedEntry], faulty: Collection[Path]
) -> Iterator[EntryProblem]:
    studies: dict[tuple[str, str], str] = {}
    collections: list[LoadedVotes] = []
    for path in leaderboard.votes_paths():
        if path in faulty:
            continue
        try:
            found = leaderboard.read_votes(path)
        except EvalkitError as failure:
            yield _problem("unreadable", path, leaderboard, str(failure))
            continue
        of_board = [entry for entry in entries if entry.record.protocol == found.record.protocol]
        raters = found.record.judge.judge if found.record.judge else "people"
        first = studies.setdefault((found.record.study, raters), found.name)
        if found.name != "/".join(path.parts[-3:]):
            yield _problem("wrong_place", path, leaderboard, f"the votes are called {found.name}")
        elif first != found.name:
            message = f"these are votes of the study of {first}, and of {raters} as well"
            yield _problem("duplicate_entry", path, leaderboard, message)
        elif not _unread(leaderboard, found, of_board):  # whose problem has been named
            collections.append(found)
            for code, message in votes_problems(found, of_board):
                yield _problem(code, path, leaderboard, message)
    for found in collections:
        for message in copied_votes(found, collections):
            yield _problem("wrong_vote", found.path, leaderboard, message)


def _unread(leaderboard: Leaderboard, found: LoadedVotes, entries: Sequence[LoadedEntry]) -> bool:
    """Whether votes are on an entry that is there and cannot be read."""
    known = {entry.method for entry in entries}
    return any(
        leaderboard.entry_path(found.record.protocol, method).exists() for method in found.record.methods.keys() - known
    )


def _duplicates(entries: Sequence[LoadedEntry], leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    by_edits: dict[tuple[str, tuple[object, ...]], LoadedEntry] = {}
    for entry in entries:
        edits = tuple(sorted((o.item_id, str(o.seed), o.pixels_sha256 or "") for o in entry.outputs))
        first = by_edits.setdefault((entry.record.protocol, edits), entry)
        if first is not entry:
            message = f"every edit is that of {first.method}, to the pixel"
            yield _problem("duplicate_entry", entry.path, leaderboard, message)


def _signature_problems(entries: Sequence[LoadedEntry], leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    """Entries whose signatures differ from the first one's, in anything but evalkit's version."""
    first: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
    for entry in entries:
        for name, summary in entry.metrics.items():
            fields = comparable_fields(summary.signature)
            method, expected = first.setdefault((entry.record.protocol, name), (entry.method, fields))
            differ = [key for key in {**expected, **fields} if expected.get(key) != fields.get(key)]
            if differ:
                field = differ[0]
                message = f"{name}: {field} is {fields.get(field)}, and {expected.get(field)} for {method}"
                yield _problem("wrong_protocol", entry.path, leaderboard, message)
                break


def _written_problems(leaderboard: Leaderboard, faulty: Collection[Path]) -> Iterator[EntryProblem]:
    """What is wrong with files that people write: cards, and tables of the literature."""
    files = [(path, Card) for path in leaderboard.cards()] + [(path, Reported) for path in leaderboard.reported_paths()]
    for path, record in files:
        if path in faulty:
            continue
        try:
            found = read_yaml(path, record)
        except EntryError as failure:
            yield _problem("unreadable", path, leaderboard, str(failure))
            continue
        if isinstance(found, Card) and found.name != path.stem:
            yield _problem("wrong_place", path, leaderboard, f"the card is called {found.name}")
        if isinstance(found, Reported):
            for row in found.unexplained:
                message = f"{found.title}, {row.title}: a value in a column that the table does not explain"
                yield _problem("unreadable", path, leaderboard, message)


def _schema_problems(leaderboard: Leaderboard, faulty: Collection[Path]) -> Iterator[EntryProblem]:
    for name, text in schemas().items():
        path = leaderboard.root / "schema" / name
        if path in faulty or link_fault(leaderboard.root, path):
            continue
        if not path.exists() or read_file(path) != text.encode():
            message = "it is not generated from the records. Write it with: evalkit leaderboard schema"
            yield _problem("stale_schema", path, leaderboard, message)


def _problem(code: str, path: Path, leaderboard: Leaderboard, message: str) -> EntryProblem:
    return EntryProblem(
        code=code, where=path.relative_to(leaderboard.root).as_posix(), message=abridged(message, 1_200)
    )
