"""``verify``: everything that can be checked of an entry without its images, and without running anybody's code."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of
from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.load import signature_fields
from evalkit.errors import EntryError, EvalkitError
from evalkit.leaderboard.anomalies import screen_outputs
from evalkit.leaderboard.files import file_digest, read_yaml
from evalkit.leaderboard.outputs import check_coverage
from evalkit.leaderboard.protocol import get_protocol, open_benchmark
from evalkit.leaderboard.records import Card, Screen
from evalkit.leaderboard.store import FILES, OUTPUTS_FILE, PICTURES, Leaderboard, LoadedEntry, schemas
from evalkit.metrics.base import METRICS, REASONS, Metric
from evalkit.scores.frame import ItemScores
from evalkit.scores.run import RECORD
from evalkit.scoring.apply import summarize

CLOSE = 1e-9
"""Relative difference of means that the order of summing can make."""
MAX_PICTURE_BYTES = 64 * 1024
CODES: Mapping[str, str] = {
    "unreadable": "a file is absent, damaged, or not of its schema",
    "unknown_file": "a file that no entry has",
    "wrong_place": "an entry that says it is another, or a card whose name is not its file's",
    "wrong_digest": "a file is not the one that the entry was made with",
    "wrong_protocol": "metrics, encoder, benchmark or settings are not the protocol's",
    "coverage": "items or seeds are absent, there twice, or not the benchmark's",
    "wrong_value": "a score outside of its metric's range, or without a value and a reason",
    "wrong_mean": "a mean or interval that does not follow from the per-item scores",
    "duplicate_entry": "two entries with the same edits",
    "stale_schema": "a JSON Schema that is not generated from the records",
    "landed_changed": "a number, declaration or output that had landed was changed or removed",
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

    held: tuple[LoadedEntry, ...]
    """Those that could be read."""
    problems: tuple[EntryProblem, ...]
    screens: Mapping[str, tuple[Screen, ...]]
    """Entry (``protocol/method``) to what its manifest of outputs shows."""


def verify(leaderboard: Leaderboard) -> Verified:
    """Check every entry, card, schema and reported table."""
    problems = [*_schema_problems(leaderboard), *_card_problems(leaderboard), *_reported_problems(leaderboard)]
    held: list[LoadedEntry] = []
    for path in leaderboard.entry_paths():
        try:
            held.append(leaderboard.read(path))
        except EvalkitError as failure:
            problems.append(_problem("unreadable", path, leaderboard, str(failure)))
            continue
        problems += _entry_problems(held[-1], leaderboard)
    problems += _duplicates(held, leaderboard)
    problems += _signature_problems(held, leaderboard)
    screens = {}
    for protocol in dict.fromkeys(one.entry.protocol for one in held):
        of_board = screen_outputs([one for one in held if one.entry.protocol == protocol])
        screens.update({f"{protocol}/{method}": found for method, found in of_board.items()})
    return Verified(held=tuple(held), problems=tuple(problems), screens=screens)


def _entry_problems(held: LoadedEntry, leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    """The problems of one entry, those first without which the others cannot be looked for."""
    checks: tuple[Callable[[LoadedEntry, Protocol, Benchmark], None], ...] = (
        _check_files,
        _check_digests,
        _check_protocol,
        _check_coverage,
        _check_items,
        _check_values,
        _check_means,
    )
    expected = f"{held.path.parent.parent.name}/{held.path.parent.name}", held.path.name
    if (held.entry.protocol, held.entry.method) != expected or held.run.record.run != held.entry.method:
        named = f"{held.entry.protocol}/{held.entry.method}, its run {held.run.record.run}"
        yield _problem("wrong_place", held.path, leaderboard, f"the entry is called {named}")
        return
    try:
        protocol = get_protocol(held.entry.protocol)
        benchmark = open_benchmark(protocol)
    except EvalkitError as failure:
        yield _problem("wrong_protocol", held.path, leaderboard, str(failure))
        return
    for check in checks:
        try:
            check(held, protocol, benchmark)
        except _WrongError as wrong:
            yield _problem(wrong.code, held.path, leaderboard, str(wrong))
            return


class _WrongError(EntryError):
    """What a check found."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _check_files(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:  # noqa: ARG001 - as all checks
    strangers = sorted(path.name for path in held.path.iterdir() if path.name not in FILES)
    pictures = held.path / PICTURES
    if pictures.exists():
        ids = {item.item_id for item in benchmark.items}
        strangers += [
            f"{PICTURES}/{path.name}"
            for path in sorted(pictures.iterdir())
            if path.suffix != ".png" or path.stem not in ids or path.stat().st_size > MAX_PICTURE_BYTES
        ]
        if not (held.card.pictures_licence and benchmark.licence_id):
            raise _WrongError("unknown_file", "pictures without a licence of both the benchmark and the method")
    if strangers:
        raise _WrongError("unknown_file", f"expected only {', '.join(sorted(FILES))}, got {strangers[0]}")


def _check_digests(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:  # noqa: ARG001 - as all checks
    for name, expected in ((RECORD, held.entry.run_sha256), (OUTPUTS_FILE, held.entry.outputs_sha256)):
        found = file_digest(held.path / name)
        if found != expected:
            raise _WrongError("wrong_digest", f"{name} has SHA-256 {found}, the entry was made with {expected}")


def _check_protocol(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:
    record, controls = held.run.record, {*CONTROLS, *controls_of(benchmark)}
    pinned: dict[str, tuple[object, object]] = {
        "benchmark": (protocol.benchmark, record.benchmark),
        "protocol": (protocol.name, record.protocol),
        "benchmark_version": (protocol.benchmark_version, record.benchmark_version),
        "missing": ("fail", record.missing),
        "kind of card": ("control" if held.entry.method in controls else "method", held.card.kind),
        "name of card": (held.entry.method, held.card.name),
        "metrics": (set(), set(record.metrics) - set(protocol.metrics)),
    }
    for what, (expected, got) in pinned.items():
        if expected != got:
            raise _WrongError("wrong_protocol", f"{what}: expected {expected or 'no others'}, got {got}")
    if not record.metrics:
        raise _WrongError("wrong_protocol", f"no metric: expected some of {', '.join(protocol.metrics)}")
    for name, summary in record.metrics.items():
        fields, metric = signature_fields(summary.signature), METRICS.get(name)
        if (fields["metric"], fields.get("v")) != (name, str(metric.version)) or "missing" in fields:
            raise _WrongError(
                "wrong_protocol", f"the signature of {name}, version {metric.version}: got {summary.signature}"
            )
        if "clip" in metric.encoders and not _is_of(fields.get("enc", ""), protocol.encoder):
            raise _WrongError(
                "wrong_protocol", f"{name}: expected the encoder {protocol.encoder}, got {fields.get('enc')}"
            )


def _check_coverage(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:
    ids = [item.item_id for item in benchmark.items]
    edits = {(output.item_id, output.seed): output.status for output in held.outputs}
    rows = {(row.item_id, row.seed): row.status for row in held.run.table.rows}
    try:
        check_coverage([(o.item_id, o.seed) for o in held.outputs], protocol, ids)
        check_coverage([(r.item_id, r.seed) for r in held.run.table.rows], protocol, ids)
    except EntryError as failure:
        raise _WrongError("coverage", str(failure)) from None
    differ = [key for key, status in rows.items() if edits.get(key) != status]
    if differ:
        item, seed = differ[0]
        raise _WrongError(
            "coverage", f"{item}, seed {seed}: scored as {rows[differ[0]]}, output {edits.get(differ[0], 'absent')}"
        )
    lacking = [output for output in held.outputs if (output.status == "ok") == (output.sha256 is None)]
    if lacking:
        raise _WrongError("coverage", f"{lacking[0].item_id}: an output has a digest exactly where its status is ok")


def _check_items(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:  # noqa: ARG001 - as all checks
    """Groups decide how wide the intervals are: they are the benchmark's, not the submitter's."""
    known = {item.item_id: (item.group, item.edit_type) for item in benchmark.items}
    for row in held.run.table.rows:
        if (row.group, row.edit_type) != known[row.item_id]:
            raise _WrongError(
                "coverage",
                f"{row.item_id}: expected group and edit type {known[row.item_id]}, got {(row.group, row.edit_type)}",
            )


def _check_values(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:  # noqa: ARG001 - as all checks
    for name in held.run.record.metrics:
        metric = METRICS.get(name)
        for row in held.run.table.rows:
            wrong = _wrong_value(metric, row)
            if wrong:
                raise _WrongError("wrong_value", f"{name} of {row.item_id}: {wrong}")


def _wrong_value(metric: Metric, row: ItemScores) -> str | None:
    value, reason = row.values.get(metric.name), row.reasons.get(metric.name)
    if value is None:
        if reason not in REASONS or reason == "no_edited_image":
            return f"no value, and the reason '{reason}'; expected one of the metric's own"
        return None
    if reason is not None:
        return "a value and a reason why there is none"
    if not metric.lowest - CLOSE <= value <= metric.highest + CLOSE:
        return f"expected {metric.lowest:g} to {metric.highest:g}, got {value}"
    if row.status == "failed" and value != metric.floor:
        return f"a failed edit scores the worst value {metric.floor:g}, got {value}"
    return None


def _check_means(held: LoadedEntry, protocol: Protocol, benchmark: Benchmark) -> None:  # noqa: ARG001 - as all checks
    record = held.run.record
    for name, said in record.metrics.items():
        found = summarize(METRICS.get(name), held.run.table, said.signature, record.level)
        for field in type(said).model_fields:
            ours, theirs = getattr(found, field), getattr(said, field)
            if isinstance(ours, float) and isinstance(theirs, float):
                same = math.isclose(ours, theirs, rel_tol=CLOSE, abs_tol=CLOSE)
            else:
                same = ours == theirs
            if not same:
                raise _WrongError(
                    "wrong_mean", f"{name}, {field}: the per-item scores give {ours}, run.json says {theirs}"
                )


def _is_of(label: str, encoder: str) -> bool:
    """Whether a signature's encoder is the protocol's: the same name, with the digest of the weights behind it."""
    return label.partition("@")[0] == encoder.replace(":", "/") or label.partition("@")[0].split("/")[0] == encoder


def _duplicates(held: Sequence[LoadedEntry], leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    seen: dict[tuple[str, tuple[object, ...]], LoadedEntry] = {}
    for one in held:
        edits = tuple(sorted((o.item_id, str(o.seed), o.pixels_sha256 or "") for o in one.outputs))
        first = seen.setdefault((one.entry.protocol, edits), one)
        if first is not one:
            yield _problem(
                "duplicate_entry", one.path, leaderboard, f"every edit is that of {first.entry.method}, to the pixel"
            )


def _signature_problems(held: Sequence[LoadedEntry], leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    """Entries whose signatures differ from the first one's, in anything but evalkit's version."""
    first: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
    for one in held:
        for name, summary in one.run.record.metrics.items():
            fields = {k: v for k, v in signature_fields(summary.signature).items() if k != "evalkit"}
            method, expected = first.setdefault((one.entry.protocol, name), (one.entry.method, fields))
            differ = [key for key in {**expected, **fields} if expected.get(key) != fields.get(key)]
            if differ:
                said = f"{name}: {differ[0]} is {fields.get(differ[0])}, and {expected.get(differ[0])} for {method}"
                yield _problem("wrong_protocol", one.path, leaderboard, said)
                break


def _card_problems(leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    for path in leaderboard.cards():
        try:
            card = read_yaml(path, Card)
        except EntryError as failure:
            yield _problem("unreadable", path, leaderboard, str(failure))
            continue
        if card.name != path.stem:
            yield _problem("wrong_place", path, leaderboard, f"the card is called {card.name}")


def _reported_problems(leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    try:
        for table in leaderboard.reported():
            for row in table.rows:
                if not row.values.keys() <= table.columns.keys():
                    where = leaderboard.root / "reported"
                    said = f"{table.title}, {row.title}: a value in a column that the table does not explain"
                    yield _problem("unreadable", where, leaderboard, said)
    except EntryError as failure:
        yield _problem("unreadable", leaderboard.root / "reported", leaderboard, str(failure))


def _schema_problems(leaderboard: Leaderboard) -> Iterator[EntryProblem]:
    for name, text in schemas().items():
        path = leaderboard.root / "schema" / name
        if not path.exists() or path.read_text("utf-8") != text:
            said = "it is not generated from the records. Write it with: evalkit leaderboard schema"
            yield _problem("stale_schema", path, leaderboard, said)


def _problem(code: str, path: Path, leaderboard: Leaderboard, message: str) -> EntryProblem:
    return EntryProblem(code=code, where=path.relative_to(leaderboard.root).as_posix(), message=message)
