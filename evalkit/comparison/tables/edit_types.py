"""A comparison edit type by edit type as text: tables, what must be said of them, and records."""

from collections.abc import Iterator, Mapping

from evalkit.comparison.records import Comparison
from evalkit.comparison.statements.captions import about_edit_types, edit_types_title
from evalkit.comparison.tables.text import mean_cells, metric_ranking
from evalkit.formatting import counted
from evalkit.scores.tables import NO_TYPES
from evalkit.tables.table import TextTable, in_columns


def edit_type_tables(comparison: Comparison) -> Iterator[TextTable]:
    """For each metric, methods by edit types: the ranks that each method may have, its mean and its interval."""
    types = comparison.edit_types.of if comparison.edit_types else {}
    metrics = next((of_type.metrics for of_type in types.values()), ())
    for metric in metrics:
        methods = [row.method for row in metric_ranking(comparison, metric.name)]
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
    return [about_edit_types(types.of, types.left_out, types.n_untyped)] if types.of else [NO_TYPES]
