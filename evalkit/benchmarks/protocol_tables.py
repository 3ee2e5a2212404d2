"""Runs as a protocol prints them: in its columns, their order and their scales."""

from collections.abc import Sequence

from evalkit.benchmarks.protocols import Protocol
from evalkit.formatting import format_number
from evalkit.scores.run import RunRecord
from evalkit.scores.tables import label
from evalkit.tables.table import TextTable


def protocol_table(records: Sequence[RunRecord], protocol: Protocol) -> TextTable:
    """Runs in the columns, the order and the scales of a protocol's table."""
    directions = {column.metric: records[0].metrics[column.metric].higher_is_better for column in protocol.columns}
    titles = (label(column.title, directions[column.metric]) for column in protocol.columns)
    rows = tuple((record.run, *(str(cell["text"]) for cell in protocol_cells(record, protocol))) for record in records)
    return TextTable(title=f"As {protocol.name} prints it", header=("run", *titles), rows=rows)


def protocol_cells(record: RunRecord, protocol: Protocol) -> list[dict[str, str | float | None]]:
    """The means of a run in a protocol's scales, column by column."""
    cells: list[dict[str, str | float | None]] = []
    for column in protocol.columns:
        mean = record.metrics[column.metric].mean
        value = None if mean is None else mean * column.scale
        text = format_number(value, column.digits)
        cells.append({"metric": column.metric, "title": column.title, "value": value, "text": text})
    return cells
