"""Tables for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalkit.benchmarks.protocols import Protocol
from evalkit.formatting import format_interval, format_number, format_score
from evalkit.metrics.base import REASONS
from evalkit.scores.run import MetricSummary, RunRecord

if TYPE_CHECKING:
    from rich.table import Table

MINIATURE_NOTE = "miniature encoder: a dry run on a toy network, not comparable with any published number"


def run_table(record: RunRecord) -> "Table":
    """One run: a row per metric with its mean, interval, and how many items stand behind it."""
    from rich.table import Table

    table = Table(title=f"{record.run} on {record.benchmark or record.folder.path}", title_justify="left")
    table.add_column("metric")
    table.add_column("mean", justify="right")
    table.add_column(f"{record.level:.0%} interval", justify="right")
    table.add_column("items", justify="right")
    table.add_column("groups", justify="right")
    table.add_column("undefined", justify="right")
    for name, summary in record.metrics.items():
        table.add_row(
            f"{name} {direction(summary)}",
            format_score(summary.mean),
            format_interval(summary.ci_low, summary.ci_high),
            str(summary.n),
            str(summary.n_groups),
            str(summary.n_undefined or ""),
        )
    return table


def runs_table(records: Mapping[str, RunRecord], title: str) -> "Table":
    """Several runs side by side: a row per run, a column per metric, each mean with its interval."""
    from rich.table import Table

    first = next(iter(records.values()))
    table = Table(title=title, title_justify="left")
    table.add_column("run")
    for name, summary in first.metrics.items():
        table.add_column(f"{name} {direction(summary)}", justify="right", overflow="fold")
    for run, record in records.items():
        cells = [
            f"{format_score(summary.mean)}\n{format_interval(summary.ci_low, summary.ci_high)}"
            for summary in record.metrics.values()
        ]
        table.add_row(run, *cells)
    return table


def protocol_table(record: RunRecord, protocol: Protocol) -> "Table":
    """One run in the columns, the order and the scales of a protocol's table."""
    from rich.table import Table

    table = Table(title=f"As {protocol.name} prints it", title_justify="left")
    table.add_column("run")
    for column in protocol.columns:
        table.add_column(f"{column.title} {direction(record.metrics[column.metric])}", justify="right")
    cells = protocol_cells(record, protocol)
    table.add_row(record.run, *(str(cell["text"]) for cell in cells))
    return table


def protocol_cells(record: RunRecord, protocol: Protocol) -> list[dict[str, str | float | None]]:
    """The means of a run in a protocol's scales, column by column."""
    cells: list[dict[str, str | float | None]] = []
    for column in protocol.columns:
        mean = record.metrics[column.metric].mean
        value = None if mean is None else mean * column.scale
        cells.append(
            {
                "metric": column.metric,
                "title": column.title,
                "value": value,
                "text": format_number(value, column.digits),
            }
        )
    return cells


def run_notes(record: RunRecord) -> list[str]:
    """What has to stand under a run's table: signatures, undefined and floored values, a toy encoder."""
    notes = [summary.signature for summary in record.metrics.values()]
    for name, summary in record.metrics.items():
        for reason, count in summary.undefined.items():
            notes.append(f"{name} of {record.run}: {count} undefined, {REASONS.get(reason, reason)}")
        if summary.n_floored:
            notes.append(f"{name} of {record.run}: {summary.n_floored} without an edited image, given the worst value")
        if summary.ci_low is None:
            notes.append(f"{name} of {record.run}: no interval, {summary.interval}")
    if any(encoder.name.startswith("miniature") for encoder in record.encoders.values()):
        notes.append(MINIATURE_NOTE)
    return notes


def direction(summary: MetricSummary) -> str:
    """An arrow towards the better values."""
    return "↑" if summary.higher_is_better else "↓"
