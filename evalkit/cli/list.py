"""``evalkit list``: what there is, and for a broken entry why."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from evalkit.editing.method import MethodCard
    from evalkit.registry import Registry, RegistryEntry

HEADINGS = "headings"
RUBRICS = "rubrics"
KINDS = ("metrics", "encoders", "benchmarks", "methods", "protocols", RUBRICS, HEADINGS)
_SHOWN = {
    "metrics": ("better", "family", "range", "reference"),
    "benchmarks": ("version", "items", "groups", "language", "edit_types", "variants", "protocol", "licence"),
    "protocols": ("benchmark", "encoder", "columns", "alignment", "preservation", "margins", "evidence"),
    RUBRICS: ("shows", "criteria", "combined", "scale", "licence", "source"),
    "methods": ("needs", "takes", "miniature", "edit_types", "settings", "cannot"),
}
"""The facts that stand below a summary, where JSON has more."""


@click.command(name="list", cls=EvalkitCommand, examples=["evalkit list metrics"])
@click.argument("kind", type=click.Choice(KINDS))
@output_options
def list_names(kind: str, *, output: Output) -> None:
    """List what there is of a kind, such as metrics or benchmarks.

    Metrics, encoders, benchmarks, methods, protocols and judges' rubrics are those that are installed. Headings are
    those of captions tables and data sets.
    """
    own = {HEADINGS: _headings, RUBRICS: _rubrics}
    rows = own[kind]() if kind in own else [_row(kind, entry) for entry in _registry(kind).entries()]
    output.json(rows)
    if kind == HEADINGS:
        from evalkit.edits.headings import HOW_TO_READ

        output.text(HOW_TO_READ)
        output.line()
    for row in rows:
        output.line(row["name"])
        for text in _summary(row, _SHOWN.get(kind, ())):
            output.text(f"  {text}", indent="  ")
        output.line()
    for row in rows:
        if row["error"]:
            output.note(row["error"])


def _headings() -> list[dict[str, Any]]:
    """The headings of tables that are read as our fields."""
    from evalkit.edits.headings import heading_table

    return [{"name": name, "summary": words, "provider": "evalkit", "error": None} for name, words in heading_table()]


def _rubrics() -> list[dict[str, Any]]:
    """What judges can be asked."""
    from evalkit.judges.rubric import RUBRICS as OURS
    from evalkit.judges.rubric import read_rubric, rubric_files

    rows = []
    for name, path in rubric_files().items():
        rubric = read_rubric(path)
        rows.append(
            {
                "name": name,
                "summary": rubric.title,
                "shows": list(rubric.takes),
                "criteria": {each: criterion.summary for each, criterion in rubric.criteria.items()},
                "combined": {each: combination.summary for each, combination in rubric.combined.items()},
                "scale": f"{rubric.lowest:g} to {rubric.highest:g}",
                "licence": rubric.licence,
                "source": rubric.source,
                "provider": "evalkit" if path.parent == OURS else str(path),
                "error": None,
            }
        )
    return rows


def _row(kind: str, entry: "RegistryEntry[Any]") -> dict[str, Any]:
    """What is known of a name, with why it cannot be used where it cannot."""
    from evalkit.errors import BrokenPluginError

    facts, error = {}, entry.error
    if entry.value is not None:
        what = f"The {kind.removesuffix('s')} '{entry.name}' of {entry.provider} cannot be shown"
        try:  # as JSON has it, so that nothing of a plug-in's runs afterwards
            facts = json.loads(entry.ask(lambda: json.dumps(_facts(kind, entry), allow_nan=False), what))
        except BrokenPluginError as failure:
            error = str(failure)
    return {"name": entry.name, **facts, "provider": entry.provider, "error": error}


def _summary(row: dict[str, Any], shown: tuple[str, ...]) -> list[str]:
    """What a name stands for, and the facts that tell it from the others."""
    if row["error"]:
        return [f"broken, of {row['provider']}"]
    facts = [f"{name.replace('_', ' ')}: {value}" for name in shown if (value := _spoken(row[name]))]
    return [text for text in (row.get("summary") or row.get("title"), " · ".join(facts)) if text]


def _spoken(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(value)
    if isinstance(value, list):
        return ", ".join(name if ":" in name else name.replace("_", " ") for name in map(str, value))
    return str(value)


def _registry(kind: str) -> "Registry[Any]":
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.benchmarks.protocols import PROTOCOLS
    from evalkit.editing.method import METHODS
    from evalkit.encoders.load import ENCODERS
    from evalkit.metrics.base import METRICS

    registries: dict[str, Registry[Any]] = {
        "metrics": METRICS,
        "encoders": ENCODERS,
        "benchmarks": BENCHMARKS,
        "methods": METHODS,
        "protocols": PROTOCOLS,
    }
    return registries[kind]


def _facts(kind: str, entry: "RegistryEntry[Any]") -> dict[str, Any]:
    value: Any = entry.value  # a metric, a benchmark, a backend, an adapter
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
            "items": len(benchmark.items) or benchmark.stated_items,
            "groups": benchmark.n_groups or benchmark.stated_groups,
            "language": benchmark.language,
            "edit_types": list(benchmark.edit_types),
            "variants": [f"{benchmark.name}:{variant}" for variant in benchmark.variants],
            "encoder": benchmark.default_encoder,
            "protocol": benchmark.default_protocol,
            "licence": benchmark.licence,
        }
    if kind == "protocols":
        return {**asdict(value), "columns": [column.title for column in value.columns]}
    if kind == "methods":
        return _method_facts(value.card)
    return {"summary": (value.__doc__ or "").partition("\n")[0]}


def _method_facts(card: "MethodCard") -> dict[str, Any]:
    return {
        "title": card.title,
        "needs": sorted(card.needs),
        "takes": sorted(card.takes),
        "miniature": card.miniature is not None or not card.base_model,
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
