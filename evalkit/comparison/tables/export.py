"""A comparison for a paper or a spreadsheet: Markdown, LaTeX and CSV, with every name escaped."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import chain
from typing import Any

from evalkit.comparison.records import Comparison, PairResult
from evalkit.comparison.statements.captions import means_caption
from evalkit.comparison.statements.terms import metric_label
from evalkit.comparison.tables.edit_types import edit_type_notes, edit_type_tables
from evalkit.comparison.tables.labels import labels_tables
from evalkit.comparison.tables.latex import latex
from evalkit.comparison.tables.text import (
    Mark,
    comparison_notes,
    means_by_method,
    missing_reasons,
    pairs_table,
    signatures_of,
    verdict_sentences,
)
from evalkit.formatting import format_interval, format_ranks, format_score, one_line
from evalkit.tables import ExportFormat
from evalkit.tables.table import TextTable, csv_text, escape_markdown, markdown_rows, markdown_table

PAIR_COLUMNS = (
    "metric", "a", "b", "n_items", "n_groups", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "p_value",
    "adjusted_p_value", "effect_size_dz", "win", "tie", "loss", "minimum_detectable_effect", "verdict", "undirected",
    "n_total", "n_seeds", "n_comparisons", "how", "margin", "equivalence_p_value", "practically_equivalent",
    "items_needed", "n_not_run", "n_failed", "seed_effect", "is_open", "reason",
)  # fmt: skip
"""What a pair has one value of: columns of the CSV, and keys of each comparison in ``--json``."""
_RANKING_KEYS = ("metric", "method", "mean", "ci_low", "ci_high", "rank_low", "rank_high", "reason")
_PARTS: Mapping[str, Callable[[PairResult], object]] = {
    "rank_biserial": lambda pair: pair.rank_biserial and pair.rank_biserial.value,
    "rank_biserial_low": lambda pair: pair.rank_biserial and pair.rank_biserial.low,
    "rank_biserial_high": lambda pair: pair.rank_biserial and pair.rank_biserial.high,
    "smallest_p_value": lambda pair: pair.floor and pair.floor.smallest_p_value,
    "groups_needed": lambda pair: pair.floor and pair.floor.groups_needed,
    "bound_low": lambda pair: pair.bounds and pair.bounds[0],
    "bound_high": lambda pair: pair.bounds and pair.bounds[1],
    "new_seeds_low": lambda pair: pair.new_seeds and pair.new_seeds.low,
    "new_seeds_high": lambda pair: pair.new_seeds and pair.new_seeds.high,
    "n_labelled": lambda pair: pair.labels and pair.labels.n_items,
    "labels_alone": lambda pair: pair.labels and pair.labels.difference,
    "labels_alone_low": lambda pair: pair.labels and pair.labels.ci_low,
    "labels_alone_high": lambda pair: pair.labels and pair.labels.ci_high,
    "n_labels_worth": lambda pair: pair.labels and pair.labels.n_worth,
}
"""Columns of the CSV for what is a record of its own in ``--json``."""
_MARKS: Mapping[Mark, str] = {"best": "**", "tied": "*", "": ""}


def export(comparison: Comparison, to: ExportFormat) -> str:
    """The comparison in a format: two tables with their caption and notes, or for CSV one line per comparison."""
    return {"md": markdown, "latex": latex, "csv": comparison_csv}[to](comparison)


def markdown(comparison: Comparison) -> str:
    """Sentences, a table of means, a table of comparisons, and the notes, in GitHub's Markdown."""
    return "\n".join(
        [
            *(f"- {escape_markdown(sentence)}" for sentence in verdict_sentences(comparison)),
            "",
            *markdown_rows(_means(comparison)),
            "",
            escape_markdown(means_caption(comparison, "Bold", "italics")),
            "",
            *markdown_table(pairs_table(comparison)),
            "",
            *_tables(labels_tables(comparison)),
            *_edit_types(comparison),
            *(f"- {_note(note, comparison)}" for note in comparison_notes(comparison)),
            "",
        ]
    )


def _edit_types(comparison: Comparison) -> list[str]:
    """A table per metric, each below its title, and what they are."""
    return [*_tables(edit_type_tables(comparison)), *map(escape_markdown, edit_type_notes(comparison)), ""]


def _tables(tables: Iterable[TextTable]) -> list[str]:
    """Each below its title."""
    return list(chain.from_iterable(["", escape_markdown(t.title), "", *markdown_table(t), ""] for t in tables))


def comparison_csv(comparison: Comparison) -> str:
    """One line per comparison, and where edit types were asked for also one for each on the items of each type."""
    return csv_text(*pair_rows(comparison))


def pair_rows(comparison: Comparison) -> tuple[tuple[str, ...], list[list[object]]]:
    """The columns and the lines of the CSV."""
    if comparison.edit_types is None:
        return (*PAIR_COLUMNS, *_PARTS), list(map(_pair_cells, comparison.pairs))
    parts = {"": comparison, **comparison.edit_types.of}
    rows = [[name, *_pair_cells(pair)] for name, part in parts.items() for pair in part.pairs]
    return ("edit_type", *PAIR_COLUMNS, *_PARTS), rows


def pair_record(pair: PairResult) -> dict[str, object]:
    """A comparison as ``--json`` has it; what was not asked for, or is not there, is null."""
    return {
        **{name: getattr(pair, name) for name in PAIR_COLUMNS},
        "rank_biserial": pair.rank_biserial and asdict(pair.rank_biserial),
        "floor": pair.floor and asdict(pair.floor),
        "bounds": pair.bounds and list(pair.bounds),
        "new_seeds": pair.new_seeds and asdict(pair.new_seeds),
        **({} if pair.labels is None else {"labels": asdict(pair.labels)}),
        "complete_cases": pair.complete_cases and asdict(pair.complete_cases),
        "excluded": dict(pair.excluded),
        "sentence": pair.sentence,
    }


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """What ``evalkit compare --json`` prints."""
    return {
        "comparisons": [pair_record(pair) for pair in comparison.pairs],
        "ranking": _ranking(comparison),
        "settings": {
            **comparison.settings,
            "notes": [*comparison.warnings, *missing_reasons(comparison), *comparison.other_notes],
            "warnings": list(comparison.warnings),
        },
        "not_told_apart": {metric: [list(members) for members in sets] for metric, sets in comparison.cliques.items()},
        "signature": next(iter(signatures_of(comparison, "short")), None),
        **_components_as_json(comparison),
        **_edit_types_as_json(comparison),
    }


def _components_as_json(comparison: Comparison) -> dict[str, Any]:
    """Where the spread of a judge's answers comes from, by metric, where it was asked several times."""
    found = {metric.name: asdict(metric.components) for metric in comparison.metrics if metric.components}
    return {"components": found} if found else {}


def _edit_types_as_json(comparison: Comparison) -> dict[str, Any]:
    """What was found on each edit type, where that was asked for."""
    if comparison.edit_types is None:
        return {}
    return {
        "edit_types": {
            name: {"comparisons": [pair_record(pair) for pair in part.pairs], "ranking": _ranking(part)}
            for name, part in comparison.edit_types.of.items()
        }
    }


def _ranking(comparison: Comparison) -> list[dict[str, Any]]:
    return [{key: getattr(row, key) for key in _RANKING_KEYS} for row in comparison.ranking]


def pairs_csv(pairs: Iterable[PairResult]) -> str:
    """One line per comparison, numbers in full; an empty cell is a value that is not defined."""
    return csv_text((*PAIR_COLUMNS, *_PARTS), map(_pair_cells, pairs))


def _pair_cells(pair: PairResult) -> list[object]:
    return [*(getattr(pair, name) for name in PAIR_COLUMNS), *(part(pair) for part in _PARTS.values())]


def _note(note: str, comparison: Comparison) -> str:
    """A note escaped, a signature as code: what is copied from there is the signature itself."""
    is_signature = any(note == metric.signature for metric in comparison.metrics) and "`" not in note
    return f"`{one_line(note)}`" if is_signature else escape_markdown(note)


def _means(comparison: Comparison) -> list[list[str]]:
    """Header and rows of methods × metrics, escaped."""
    rows = [["method", *(escape_markdown(metric_label(metric)) for metric in comparison.metrics)]]
    for method, means in means_by_method(comparison).items():
        cells = []
        for ranked, mark in means:
            interval = "" if ranked.ci_low is None else f"{format_interval(ranked.ci_low, ranked.ci_high)} "
            beside = escape_markdown(f"{interval}({format_ranks(ranked.rank_low, ranked.rank_high)})")
            cells.append(f"{_MARKS[mark]}{escape_markdown(format_score(ranked.mean))}{_MARKS[mark]} {beside}")
        rows.append([escape_markdown(method), *cells])
    return rows
