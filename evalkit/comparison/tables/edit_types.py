"""A comparison edit type by edit type as text: tables, what must be said of them, and records."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from evalkit.comparison.records import Comparison
from evalkit.comparison.statements.captions import about_edit_types, edit_types_title
from evalkit.comparison.tables.text import mean_cells, metric_ranking, primary_first
from evalkit.formatting import counted
from evalkit.scores.tables import NO_TYPES
from evalkit.tables.table import TextTable, in_columns


def edit_type_tables(comparison: Comparison) -> Iterator[TextTable]:
    """For each metric, methods by edit types: the ranks that each method may have, its mean and its interval."""
    types = comparison.edit_types.of if comparison.edit_types else {}
    metrics = next((of_type.metrics for of_type in types.values()), ())
    methods = [row.method for row in metric_ranking(comparison, primary_first(comparison)[0].name)]
    for metric in metrics:
        rankings = [{r.method: r for r in metric_ranking(of_type, metric.name)} for of_type in types.values()]
        columns = [in_columns(mean_cells(ranking[method], unranked="") for method in methods) for ranking in rankings]
        rows = tuple(zip(methods, *columns, strict=True))
        yield TextTable(title=edit_types_title(metric), header=("method", *type_heads(types)), rows=rows)


def type_heads(types: Mapping[str, Comparison]) -> list[str]:
    """Edit types with the number of their items."""
    return [f"{name} ({counted(int(str(of.settings['n_items'])), 'item')})" for name, of in types.items()]


def edit_type_notes(comparison: Comparison) -> list[str]:
    """What kind of evidence the tables are; nothing where edit types were not asked for."""
    types = comparison.edit_types
    if types is None:
        return []
    if not types.of:
        return [NO_TYPES]
    more = len(comparison.metrics) - len(next(iter(types.of.values())).metrics)
    left = [f"{counted(more, 'more metric')} by edit type: --details"] if more else []
    return [about_edit_types(types.of, types.left_out, types.n_untyped), *left]


def primary_edit_types(comparison: Comparison) -> Comparison:
    """The comparison with the edit types on primary metrics only: what a terminal shows."""
    types, primary = comparison.edit_types, {metric.name for metric in comparison.metrics if metric.primary}
    if types is None:
        return comparison
    of = {
        name: replace(
            part,
            metrics=tuple(metric for metric in part.metrics if metric.name in primary),
            pairs=tuple(pair for pair in part.pairs if pair.metric in primary),
            ranking=tuple(row for row in part.ranking if row.metric in primary),
        )
        for name, part in types.of.items()
    }
    return replace(comparison, edit_types=replace(types, of=of))
