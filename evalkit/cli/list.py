"""``evalkit list``: what there is, and for a broken entry why."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from evalkit.registry import Entry, Registry

KINDS = ("metrics", "encoders", "benchmarks", "methods")
_IN_TABLES = {"methods": ("name", "title", "needs", "miniature", "edit_types", "summary")}
"""The columns that a table shows, where JSON has more; the others show all but who provides the name."""


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@output_options
def list_names(kind: str, *, output: Output) -> None:
    """List the metrics, encoders, benchmarks or methods that are installed."""
    from rich.table import Table

    rows = [_row(kind, entry) for entry in _registry(kind).entries()]
    output.json(rows)
    known = [column for column in max(rows, key=len) if column not in ("provider", "error")]
    columns = _IN_TABLES.get(kind, known)
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns), style="red" if row["error"] else None)
    output.table(table)
    for row in rows:
        if row["error"]:
            output.note(row["error"])


def _row(kind: str, entry: "Entry[Any]") -> dict[str, Any]:
    """What is known of a name, with why it cannot be used where it cannot."""
    from evalkit.errors import BrokenPluginError

    facts, error = {}, entry.error
    try:
        facts = _facts(kind, entry.value) if entry.value is not None else {}
    except BrokenPluginError as failure:
        error = str(failure)
    return {"name": entry.name, **facts, "provider": entry.provider, "error": error}


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _registry(kind: str) -> "Registry[Any]":
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.encoders.load import ENCODERS
    from evalkit.method import METHODS
    from evalkit.metrics.base import METRICS

    registries: dict[str, Registry[Any]] = {
        "metrics": METRICS,
        "encoders": ENCODERS,
        "benchmarks": BENCHMARKS,
        "methods": METHODS,
    }
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
    if kind == "methods":
        return _method_facts(value)
    return {"summary": (value.__doc__ or "").partition("\n")[0]}


def _method_facts(method: object) -> dict[str, Any]:
    from evalkit.method import checked_card

    card = checked_card(method)
    return {
        "title": card.title,
        "needs": sorted(card.needs),
        "miniature": card.miniature is not None,
        "base_model": card.base_model,
        "edit_types": sorted(card.edit_types or ()),
        "status": "not tested" if card.edit_types is None else "tested",
        "summary": card.summary,
        "paper": card.paper,
        "licence": card.licence,
        "variant": card.variant,
        "revision": card.revision,
        "cannot": card.cannot,
        "extra": card.extra,
        "settings": {name: asdict(setting) for name, setting in card.settings.items()},
        "miniature_settings": dict(card.miniature or {}),
    }
