"""``evalkit list``: what there is, and for a broken entry why."""

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from evalkit.registry import Registry

KINDS = ("metrics", "encoders", "benchmarks")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@output_options
def list_names(kind: str, *, output: Output) -> None:
    """List the metrics, encoders or benchmarks that are installed."""
    from rich.table import Table

    entries = _registry(kind).entries()
    rows: list[dict[str, Any]] = []
    for entry in entries:
        facts = _facts(kind, entry.value) if entry.value is not None else {}
        rows.append({"name": entry.name, **facts, "provider": entry.provider, "error": entry.error})
    output.json(rows)
    columns = [column for column in max(rows, key=lambda row: len(row)) if column not in ("provider", "error")]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns), style="red" if row["error"] else None)
    output.table(table)
    for entry in entries:
        if entry.error:
            output.note(entry.error)


def _registry(kind: str) -> "Registry[Any]":
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.encoders.load import ENCODERS
    from evalkit.metrics.base import METRICS

    registries: dict[str, Registry[Any]] = {"metrics": METRICS, "encoders": ENCODERS, "benchmarks": BENCHMARKS}
    return registries[kind]


def _facts(kind: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a metric, a benchmark or a backend
    if kind == "metrics":
        return {
            "summary": value.summary,
            "better": "up" if value.higher_is_better else "down",
            "family": value.family,
            "range": f"{value.lowest:g} to {value.highest:g}",
            "reference": value.reference,
        }
    if kind == "benchmarks":
        benchmark = value()
        return {
            "title": benchmark.title,
            "version": benchmark.version,
            "items": len(benchmark.items),
            "groups": benchmark.n_groups,
            "encoder": benchmark.default_encoder,
            "licence": benchmark.licence,
        }
    return {"summary": (value.__doc__ or "").partition("\n")[0]}
