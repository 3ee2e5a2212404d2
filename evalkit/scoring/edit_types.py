"""Means of runs on the items of each edit type, with intervals that hold together, and their tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalkit.arrays import Mask
from evalkit.formatting import counted, format_percent, listed, one_line, series
from evalkit.scores.run import MetricSummary, ScoredRun
from evalkit.scores.run_metrics import metrics_in
from evalkit.scores.tables import NO_TYPES, label, means_column, summaries_as_json
from evalkit.scoring.summaries import summarize
from evalkit.stats.multiplicity import level_share
from evalkit.tables.table import TextTable


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMeans:
    """What a run is on the items of one edit type."""

    n_items: int
    n_groups: int
    metrics: Mapping[str, MetricSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeansByType:
    """A run's means on the items of each edit type."""

    of: Mapping[str, TypeMeans] = field(default_factory=dict)
    """In the order in which the types first appear; empty where items have no type, or all have the same one."""
    level: float
    """Coverage of each interval; those of one metric on all types hold together at the level of the run."""
    n_untyped: int = 0
    """Items without an edit type."""


def means_by_type(run: ScoredRun) -> MeansByType:
    """Every metric of a run on the items of each edit type by themselves.

    Of many intervals at 95 % some miss. Each is therefore made at a level that is corrected for the number of types by
    Bonferroni's inequality, which asks for no independence: items of several types often share a source image.
    """
    table, record = run.table, run.record
    types = [edit_type for _, edit_type in table.edit_types()]
    names = [name for name in dict.fromkeys(types) if name is not None]
    untyped = {item for item, edit_type in table.edit_types() if edit_type is None}
    if len(names) < 2:
        return MeansByType(level=record.level, n_untyped=len(untyped))
    level = 1 - (1 - record.level) * level_share("holm", len(names), 0)
    metrics = metrics_in(record)
    found: dict[str, TypeMeans] = {}
    for name in names:
        rows: Mask = np.array([edit_type == name for edit_type in types], dtype=np.bool_)
        part = table.where(rows)
        found[name] = TypeMeans(
            n_items=part.n_items,
            n_groups=len({group for _, group in part.groups()}),
            metrics={
                metric: summarize(of, part, record.metrics[metric].signature, level) for metric, of in metrics.items()
            },
        )
    return MeansByType(of=found, level=level, n_untyped=len(untyped))


def run_type_tables(runs: Mapping[str, MeansByType]) -> Iterator[TextTable]:
    """One run as edit types by metrics; of several, given by their names, a table per metric, runs by edit types."""
    every = [(name, part) for means in runs.values() for name, part in means.of.items()]
    types = list(dict.fromkeys(name for name, _ in every))
    metrics = {name: label(name, s.higher_is_better) for _, part in every for name, s in part.metrics.items()}
    if types and len(runs) == 1:
        (name,), parts = runs, [part for _, part in every]
        columns = [means_column(part.metrics[metric] for part in parts) for metric in metrics]
        sizes = [f"{part.n_items:,}" for part in parts], [f"{part.n_groups:,}" for part in parts]
        yield TextTable(
            title=f"{one_line(name)} by edit type",
            header=("edit type", "items", "groups", *metrics.values()),
            rows=tuple(zip(map(one_line, types), *sizes, *columns, strict=True)),
        )
    elif types:
        yield from _types_side_by_side(runs, metrics, types)


def _types_side_by_side(
    runs: Mapping[str, MeansByType], metrics: Mapping[str, str], types: Sequence[str]
) -> Iterator[TextTable]:
    """A table for each metric: runs by edit types, with the number of items where all runs have as many."""
    parts = {name: [means.of.get(name) for means in runs.values()] for name in types}
    sizes = {name: {part.n_items if part else 0 for part in of_type} for name, of_type in parts.items()}
    heads = [
        f"{one_line(name)} ({counted(min(n), 'item')})" if len(n) == 1 else one_line(name) for name, n in sizes.items()
    ]
    for metric, name in metrics.items():
        columns = [
            means_column(part.metrics.get(metric) if part else None for part in of_type) for of_type in parts.values()
        ]
        yield TextTable(
            title=f"{name} by edit type",
            header=("run", *heads),
            rows=tuple(zip(runs, *columns, strict=True)),
        )


def about_means_by_type(found: Sequence[MeansByType], level: float) -> str:
    """What level the intervals have, and what is not shown.

    Args:
        found: Of each run.
        level: Of the runs.

    >>> about_means_by_type([MeansByType(level=0.95)], 0.95)
    'The items have no edit types, or all the same one: there is nothing to tell apart by edit type.'
    """
    if not any(means.of for means in found):
        return NO_TYPES
    each = series(sorted({format_percent(round(means.level, 4)) for means in found if means.of}))
    of = "a run and metric" if len(found) > 1 else "a metric"
    untyped = max(means.n_untyped for means in found)
    more = f" Not shown: {counted(untyped, 'item')} of no known type." if untyped else ""
    reasons: dict[str, dict[str, None]] = {}
    for name, part in ((name, part) for means in found for name, part in means.of.items()):
        for summary in part.metrics.values():
            if summary.ci_low is None and summary.n:
                reasons.setdefault(summary.interval, {})[one_line(name)] = None
    more += "".join(f" No interval for {listed(list(names))}: {reason}." for reason, names in reasons.items())
    together = format_percent(level)
    return f"The intervals of {of} on all edit types hold together at {together} (Bonferroni: {each} each).{more}"


def types_as_json(means: MeansByType) -> dict[str, Any]:
    """The edit types as ``evalkit score --json`` has them."""
    level = round(means.level, 10)
    return {
        name: {
            "n_items": part.n_items,
            "n_groups": part.n_groups,
            "level": level,
            "metrics": summaries_as_json(part.metrics),
        }
        for name, part in means.of.items()
    }
