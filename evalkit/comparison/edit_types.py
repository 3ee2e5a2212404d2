"""A comparison edit type by edit type: the same pipeline on each, corrected as one exploratory family per metric."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from evalkit.arrays import Floats, Indices, Mask
from evalkit.comparison.decisions import metric_scores, pair_results
from evalkit.comparison.join import Joined, join
from evalkit.comparison.load import Method
from evalkit.comparison.records import CORRECTIONS, ComparedMethod, ComparedMetric, Comparison, EditTypes
from evalkit.comparison.statements.terms import Inference
from evalkit.errors import RunError
from evalkit.stats.compare import compare_methods, permutations_for
from evalkit.stats.ranking import rank_methods
from evalkit.stats.records import PairComparison
from evalkit.stats.scores import InferenceOptions, MetricScores


def by_edit_type(comparison: Comparison, metrics: Sequence[ComparedMetric] | None = None) -> EditTypes:
    """Compare the methods on the items of each edit type by themselves.

    Nobody declared these comparisons beforehand, and there are many: they are exploratory, and their p-values are
    corrected as one family per metric, over all types and pairs: what is found on a metric does not depend on which
    others are looked at.

    Args:
        comparison: Of all items.
        metrics: On which; on all of them by default.
    """
    type_of = item_types(comparison.methods)
    names = [name for name in dict.fromkeys(type_of.values()) if name is not None]
    n_untyped = sum(name is None for name in type_of.values())
    if len(names) < 2:
        return EditTypes(n_untyped=n_untyped)
    chosen = tuple(replace(metric, primary=False) for metric in metrics or comparison.metrics)
    methods = {name: _methods_on(comparison.methods, type_of, name) for name in names}
    joined: dict[str, Joined] = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            joined[name] = join(methods[name], [metric.name for metric in chosen])
        except RunError:
            left_out[name] = "no item of it was scored for all methods"
    return EditTypes(of=_compared(comparison, chosen, methods, joined), left_out=left_out, n_untyped=n_untyped)


def item_types(methods: Sequence[ComparedMethod]) -> dict[str, str | None]:
    """Item to its edit type, as the first method that knows it says."""
    found: dict[str, str | None] = {}
    for method in methods:
        for item, edit_type in method.table.edit_types():
            found[item] = found.get(item) or edit_type
    return found


def _methods_on(methods: Sequence[ComparedMethod], type_of: Mapping[str, str | None], name: str) -> list[Method]:
    """The methods with their rows of one edit type."""
    found = []
    for method in methods:
        rows: Mask = np.array([type_of[item] == name for item, _ in method.table.edit_types()], dtype=np.bool_)
        found.append(Method(name=method.name, source=method.source, table=method.table.where(rows)))
    return found


def _compared(
    comparison: Comparison,
    metrics: Sequence[ComparedMetric],
    methods: Mapping[str, Sequence[Method]],
    joined: Mapping[str, Joined],
) -> dict[str, Comparison]:
    """Every type's comparison, from decisions that were corrected together."""
    if not joined:
        return {}
    options = _options(comparison)
    scores = {name: [metric_scores(items, metric) for metric in metrics] for name, items in joined.items()}
    pairs: dict[str, list[PairComparison]] = {name: [] for name in joined}
    for number, metric in enumerate(metrics):
        together, groups = _side_by_side(joined, {name: of_type[number] for name, of_type in scores.items()})
        decided = compare_methods(together, groups, options)
        used = {**comparison.settings, "n_flips": permutations_for(len(decided), options)}
        for position, (name, items) in enumerate(joined.items()):
            of_type = decided[position * len(decided) // len(joined) :][: len(decided) // len(joined)]
            pairs[name] += [replace(pair, metric=metric.name, n_total=items.n_total) for pair in of_type]
    return {
        name: _comparison(comparison, metrics, methods[name], items, pairs[name], scores[name], used, options)
        for name, items in joined.items()
    }


def _comparison(
    whole: Comparison,
    metrics: Sequence[ComparedMetric],
    methods: Sequence[Method],
    joined: Joined,
    decided: Sequence[PairComparison],
    scores: Sequence[MetricScores],
    settings: Mapping[str, object],
    options: InferenceOptions,
) -> Comparison:
    """One type's comparison."""
    counts = {"n_items": joined.n_total, "n_groups": joined.n_groups}
    grouped = {"n_grouped": joined.n_total if Inference.of(settings).groups_known else 0}
    used = {**settings, **counts, **grouped, "primary": []}
    pairs = pair_results(joined, metrics, decided, Inference.of(used))
    rankings = {
        of.metric: rank_methods(of, joined.groups, (p for p in pairs if p.metric == of.metric), options)
        for of in scores
    }
    compared = zip(whole.methods, methods, strict=True)
    return replace(
        whole,
        methods=tuple(
            replace(method, table=part.table, n_items=joined.n_total, n_missing=joined.n_missing(method.name))
            for method, part in compared
        ),
        metrics=tuple(metrics),
        pairs=pairs,
        ranking=tuple(row for ranking in rankings.values() for row in ranking.methods),
        cliques={name: ranking.cliques for name, ranking in rankings.items()},
        settings=used,
        notes=(),
    )


def _options(comparison: Comparison) -> InferenceOptions:
    """How the whole comparison was inferred."""
    settings = comparison.settings
    correction = {name: correction for correction, name in CORRECTIONS.items()}[str(settings["correction"])]
    asked = {name: settings[name] for name in ("alpha", "power", "seed", "test", "n_resamples")}
    return InferenceOptions(baseline=comparison.baseline, correction=correction, **asked)  # type: ignore[arg-type]


def _side_by_side(
    joined: Mapping[str, Joined], scores: Mapping[str, MetricScores]
) -> tuple[list[MetricScores], Indices]:
    """Each type's scores on the items of all types, without a value outside its own, and the groups of all items."""
    starts = dict(zip(joined, np.cumsum([0, *(part.n_total for part in joined.values())]).tolist(), strict=False))
    n_items = sum(part.n_total for part in joined.values())
    together = [
        replace(
            of_type,
            metric=name,
            scores={method: _widened(x, starts[name], n_items, np.nan) for method, x in of_type.scores.items()},
            not_run={method: _widened(rows, starts[name], n_items, 0) for method, rows in of_type.not_run.items()},
            failed={method: _widened(rows, starts[name], n_items, 0) for method, rows in of_type.failed.items()},
            assisted_by=_beside(of_type, starts[name], n_items),
        )
        for name, of_type in scores.items()
    ]
    names = [group for part in joined.values() for group in part.group_names]
    code_of = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return together, np.array([code_of[name] for name in names], dtype=np.intp)


def _beside(scores: MetricScores, start: int, n_items: int) -> MetricScores | None:
    """The metric beside people's labels, without a value outside the items of a type."""
    beside = scores.assisted_by
    if beside is None:
        return None
    wide = {method: _widened(x, start, n_items, np.nan) for method, x in beside.scores.items()}
    return replace(beside, scores=wide)


_Values = TypeVar("_Values", Floats, Mask)


def _widened(values: _Values, start: int, n_items: int, fill: float) -> _Values:
    """The values of some items as rows among those of all, which are filled."""
    wide = np.full((n_items, *values.shape[1:]), fill, dtype=values.dtype)
    wide[start : start + len(values)] = values
    return wide
