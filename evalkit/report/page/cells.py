"""What stands in the cells of a page's tables: means by method and column, and every method against every other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.comparison.records import ComparedMetric, Comparison, EditTypes, PairResult, RankedMethod
from evalkit.comparison.statements.pairs import effect_cells, verdict_on_words, verdict_words, win_tie_loss
from evalkit.comparison.statements.terms import Inference, metric_label
from evalkit.comparison.tables.text import Mark, mde_cell, means_by_method
from evalkit.formatting import counted, format_p, format_signed, one_line

MARKS: Mapping[Mark, str] = {"best": "●", "tied": "○"}
SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "·", "different": "≠"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeansColumn:
    """One column of a table of means."""

    name: str
    arrow: str = ""
    note: str = ""
    cells: Mapping[str, tuple[RankedMethod, Mark]]
    """By method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypePanel:
    """The table of edit types on one metric."""

    number: int
    metric: ComparedMetric
    columns: tuple[MeansColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One method against another, seen from the first."""

    number: int
    """Of the pair, among all that the page knows."""
    verdict: str
    sign: str
    effect: str
    words: str


def means_columns(comparison: Comparison, metrics: Sequence[ComparedMetric]) -> list[MeansColumn]:
    """A column per metric, in the order in which they are given."""
    by_method = means_by_method(comparison)
    position = {metric.name: number for number, metric in enumerate(comparison.metrics)}
    several = any(not metric.primary for metric in metrics)
    return [
        MeansColumn(
            name=metric.name,
            arrow=metric_label(metric).removeprefix(one_line(metric.name)),
            note="primary" if several and metric.primary else "",
            cells={method: cells[position[metric.name]] for method, cells in by_method.items()},
        )
        for metric in metrics
    ]


def type_panels(types: EditTypes, metrics: Sequence[ComparedMetric]) -> list[TypePanel]:
    """A table for each of the metrics on which types were compared, with a column per edit type."""
    columns = {name: means_columns(comparison, comparison.metrics) for name, comparison in types.of.items()}
    compared = next(([metric.name for metric in comparison.metrics] for comparison in types.of.values()), [])
    return [
        TypePanel(
            number=number,
            metric=metric,
            columns=tuple(
                MeansColumn(
                    name=name,
                    note=counted(int(str(types.of[name].settings["n_items"])), "item"),
                    cells=of_type[compared.index(metric.name)].cells,
                )
                for name, of_type in columns.items()
            ),
        )
        for number, metric in enumerate(metrics)
        if metric.name in compared
    ]


def pair_heads(inference: Inference) -> tuple[str, ...]:
    """What :func:`pair_cells` says of a pair."""
    effect = "rank-biserial" if inference.is_about_ranks else "difference"
    return ("comparison", "verdict", effect, "interval", "p", "adjusted p", "dz", "win/tie/loss", "MDE")


def pair_cells(
    comparison: Comparison, metrics: Sequence[ComparedMetric]
) -> tuple[dict[str, dict[tuple[str, str], MatrixCell]], list[dict[str, object]]]:
    """Metric to the cells of its matrix, by row and column, and what the page knows of each pair."""
    inference = Inference.of(comparison.settings)
    ranks = inference.is_about_ranks
    matrix: dict[str, dict[tuple[str, str], MatrixCell]] = {metric.name: {} for metric in metrics}
    known: list[dict[str, object]] = []
    for number, pair in enumerate(comparison.pairs):
        for row, column in ((pair.a, pair.b), (pair.b, pair.a)):
            matrix[pair.metric][row, column] = _cell(number, pair.seen_from(row), row, ranks=ranks)
        cells = (
            f"{pair.b} − {pair.a}",
            verdict_words(pair, ranks=ranks) + (f" ({pair.reason})" if pair.reason else ""),
            *effect_cells(pair, ranks=ranks),
            format_p(pair.p_value, inference.alpha),
            format_p(pair.adjusted_p_value, inference.alpha),
            format_signed(pair.effect_size_dz),
            win_tie_loss(pair),
            mde_cell(pair, inference),
        )
        known.append({"metric": pair.metric, "cells": cells, "sentence": pair.sentence})
    return matrix, known


def _cell(number: int, pair: PairResult, row: str, *, ranks: bool) -> MatrixCell:
    verdict = "different" if pair.undirected else "none" if pair.difference is None else pair.verdict_on(row)
    return MatrixCell(
        number=number,
        verdict=verdict,
        sign=SIGNS.get(verdict, "×"),
        effect=effect_cells(pair, ranks=ranks)[0],
        words=verdict_on_words(pair, row),
    )
