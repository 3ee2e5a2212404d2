"""Scored runs as tables: one run, several side by side, and one as a protocol prints it."""

from collections.abc import Mapping

from evalkit.benchmarks.protocols import Protocol
from evalkit.formatting import format_interval, format_number, format_percent, format_score
from evalkit.metrics.base import REASONS
from evalkit.report.tables import TextTable
from evalkit.scores.run import MetricSummary, RunRecord

MINIATURE_NOTE = "miniature encoder: a dry run on a toy network, not comparable with any published number"


def run_table(record: RunRecord) -> TextTable:
    """One run: a row per metric with its mean, interval, and how many items stand behind it."""
    rows = tuple(
        (
            _label(name, summary),
            format_score(summary.mean),
            format_interval(summary.ci_low, summary.ci_high),
            str(summary.n),
            str(summary.n_groups),
            str(summary.n_undefined or ""),
        )
        for name, summary in record.metrics.items()
    )
    header = ("metric", "mean", f"{format_percent(record.level)} interval", "items", "groups", "undefined")
    return TextTable(title=f"{record.run} on {record.benchmark or record.folder.path}", header=header, rows=rows)


def runs_table(records: Mapping[str, RunRecord], title: str) -> TextTable:
    """Several runs side by side: a row per run, a column per metric, each mean with its interval."""
    first = next(iter(records.values()))
    rows = tuple(
        (run, *(f"{format_score(s.mean)}\n{format_interval(s.ci_low, s.ci_high)}" for s in record.metrics.values()))
        for run, record in records.items()
    )
    header = ("run", *(_label(name, summary) for name, summary in first.metrics.items()))
    return TextTable(title=title, header=header, rows=rows)


def protocol_table(record: RunRecord, protocol: Protocol) -> TextTable:
    """One run in the columns, the order and the scales of a protocol's table."""
    titles = (_label(column.title, record.metrics[column.metric]) for column in protocol.columns)
    cells = tuple(str(cell["text"]) for cell in protocol_cells(record, protocol))
    title = f"As {protocol.name} prints it"
    return TextTable(title=title, header=("run", *titles), rows=((record.run, *cells),))


def protocol_cells(record: RunRecord, protocol: Protocol) -> list[dict[str, str | float | None]]:
    """The means of a run in a protocol's scales, column by column."""
    cells: list[dict[str, str | float | None]] = []
    for column in protocol.columns:
        mean = record.metrics[column.metric].mean
        value = None if mean is None else mean * column.scale
        text = format_number(value, column.digits)
        cells.append({"metric": column.metric, "title": column.title, "value": value, "text": text})
    return cells


def run_notes(record: RunRecord) -> list[str]:
    """What has to stand under a run's table: signatures, undefined and floored values, a toy encoder."""
    notes = [summary.signature for summary in record.metrics.values()]
    for name, summary in record.metrics.items():
        for reason, count in summary.undefined.items():
            notes.append(f"{name} of {record.run}: {count} undefined, {REASONS.get(reason, reason)}")
        if summary.n_floored:
            scored = "scored like the worst edit, or like one without merit where that is worse"
            notes.append(f"{name} of {record.run}: {summary.n_floored} without an edited image, {scored}")
        if summary.ci_low is None:
            notes.append(f"{name} of {record.run}: no interval, {summary.interval}")
    if any(encoder.name.startswith("miniature") for encoder in record.encoders.values()):
        notes.append(MINIATURE_NOTE)
    return notes


def _label(name: str, summary: MetricSummary) -> str:
    """A name with an arrow towards the better values."""
    return f"{name} {'↑' if summary.higher_is_better else '↓'}"
