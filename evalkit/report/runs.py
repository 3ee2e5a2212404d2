"""Scored runs as tables: one run, several side by side, and one as a protocol prints it."""

from collections.abc import Mapping, Sequence

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
    """Several runs side by side: a row per run, a column per metric that any has, each mean with its interval."""
    labels = {name: _label(name, metric) for record in records.values() for name, metric in record.metrics.items()}
    rows = tuple(
        (run, str(record.n_edited), *(_cell(record.metrics.get(name)) for name in labels))
        for run, record in records.items()
    )
    return TextTable(title=title, header=("run", "edits", *labels.values()), rows=rows, continues=True)


def _cell(metric: MetricSummary | None) -> str:
    """A mean with its interval below it."""
    if metric is None:
        return ""
    interval = "" if metric.mean is None else f"\n{format_interval(metric.ci_low, metric.ci_high)}"
    return f"{format_score(metric.mean)}{interval}"


def protocol_table(records: Sequence[RunRecord], protocol: Protocol) -> TextTable:
    """Runs in the columns, the order and the scales of a protocol's table."""
    titles = (_label(column.title, records[0].metrics[column.metric]) for column in protocol.columns)
    rows = tuple((record.run, *(str(cell["text"]) for cell in protocol_cells(record, protocol))) for record in records)
    title = f"As {protocol.name} prints it"
    return TextTable(title=title, header=("run", *titles), rows=rows, continues=len(records) > 1)


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
