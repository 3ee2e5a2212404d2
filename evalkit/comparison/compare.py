"""``compare``: from run directories and tables to a comparison."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.comparison.decisions import metric_scores, pair_results
from evalkit.comparison.edit_types import by_edit_type
from evalkit.comparison.failures import with_failures_scored
from evalkit.comparison.join import REASON_WORDS, Joined, join
from evalkit.comparison.load import Method, check_comparable, load_methods
from evalkit.comparison.options import ComparisonOptions, ComparisonPlan, plan_comparison
from evalkit.comparison.people import confounded_raters, labelling_notes, labelling_warnings, labels_for, with_labels
from evalkit.comparison.records import CORRECTIONS, ComparedMethod, Comparison, PairResult
from evalkit.comparison.statements.rankings import ranked_items_notes, unranked_notes
from evalkit.comparison.statements.terms import Inference, components_words
from evalkit.formatting import counted, listed, one_line
from evalkit.registry import refuse_unknown_options
from evalkit.scores.external import read_groups
from evalkit.scores.people import HumanLabels
from evalkit.scores.run import ScoredRun
from evalkit.stats.compare import compare_methods, permutations_for
from evalkit.stats.components import answer_components
from evalkit.stats.multiplicity import EXPLORATORY
from evalkit.stats.ranking import rank_methods
from evalkit.stats.records import RankedMethod, Ranking
from evalkit.stats.scores import MetricScores


def compare(
    *sources: str | Path | ScoredRun | Iterable[str | Path | ScoredRun],
    options: ComparisonOptions | None = None,
    **settings: Any,  # noqa: ANN401 - fields of the options
) -> Comparison:
    r"""Compare methods on the same items, pair by pair, and rank them.

    The estimand is the mean over items of each item's mean over seeds; the unit of inference is the group of items that
    share a source image.

    Args:
        sources: Runs, their directories, and tables of other tools (CSV, TSV, JSON, JSON Lines, Parquet); a path
            optionally as ``NAME=PATH``; one by one, or as a list. A table may hold several methods, and then be the
            only one.
        options: What is asked.
        **settings: Fields of the options by name, such as ``baseline="identity"`` or ``margins={"clip_score": 0.01}``.

    Returns:
        The comparison, which shows its table and sentences when it is printed; ``comparison.to_dataframe()`` has a row
        for each pair on each metric.

    Raises:
        RunError: A run cannot be read, or the runs are not comparable; the message names the field that differs.
        DataError: A table cannot be read.
        OptionError: An option names what is not there, or does not fit the others.

    >>> from tempfile import mkdtemp
    >>> table = Path(mkdtemp(), "scores.csv")
    >>> rows = [f"{item},{method},{item / 20 + 0.15 * (method == 'b'):.2f}" for item in range(9) for method in "ab"]
    >>> _ = table.write_text("\n".join(["item_id,method,ssim", *rows]))
    >>> compare(table)
    <Comparison: On ssim ↑: b is better than a.>
    """
    refuse_unknown_options(settings, compare, ComparisonOptions)
    options = replace(options or ComparisonOptions(), **settings)
    loaded = load_methods([*chain.from_iterable(map(_several, sources))], options.columns, options.named_metrics)
    methods, plan = loaded.methods, plan_comparison(loaded.methods, options)
    notes = [*loaded.how_read, *check_comparable(methods, plan.names)]
    methods, metrics, of_failures = with_failures_scored(methods, plan.metrics)
    plan = replace(plan, metrics=metrics, notes=(*plan.notes, *of_failures))
    labels = labels_for(methods, options)
    methods, plan = (methods, plan) if labels is None else with_labels(methods, plan, labels, options.margins)
    joined = join(methods, plan.names, _groups(options))
    plan = _with_components(plan, joined)
    scores = [metric_scores(joined, metric) for metric in plan.metrics]
    decided = compare_methods(scores, joined.groups, options)
    settings_used = _settings(joined, plan, scores, len(decided))
    pairs = pair_results(joined, plan.metrics, decided, Inference.of(settings_used))
    rankings = [_ranking(of_metric, pairs, joined, options) for of_metric in scores]
    rows = tuple(row for ranking in rankings for row in ranking.methods)
    warnings = [*loaded.warnings, *_label_warnings(methods, joined, plan, labels), *_unranked(rows, plan, primary=True)]
    notes += [*_group_notes(joined), *plan.notes, *_missing(methods, joined, plan), *_unranked(rows, plan)]
    notes += [*_ranked_items(rankings, joined, plan), *(labels.notes if labels else ())]
    compared = Comparison(
        methods=tuple(_method(method, joined) for method in methods),
        metrics=plan.metrics,
        pairs=pairs,
        ranking=rows,
        cliques={name: ranking.cliques for name, ranking in zip(plan.names, rankings, strict=True)},
        benchmark=next((m.record.benchmark for m in methods if m.record), None),
        baseline=options.baseline,
        settings=settings_used,
        warnings=tuple(map(one_line, warnings)),
        notes=tuple(map(one_line, (*warnings, *notes))),
    )
    return compared if options.by is None else replace(compared, edit_types=by_edit_type(compared))


def _ranking(scores: MetricScores, pairs: Sequence[PairResult], joined: Joined, options: ComparisonOptions) -> Ranking:
    """On one metric, by the decisions on its pairs."""
    return rank_methods(scores, joined.groups, (pair for pair in pairs if pair.metric == scores.metric), options)


def _groups(options: ComparisonOptions) -> dict[str, str] | None:
    """The groups of a table that was named."""
    return None if options.groups is None else read_groups(options.groups, options.columns)


def _several(source: object) -> Iterable[Any]:
    """The sources of a list; a data frame, over whose headings one can iterate, is none."""
    if isinstance(source, Iterable) and not isinstance(source, str) and not hasattr(source, "shape"):
        return source
    return [source]


def _method(method: Method, joined: Joined) -> ComparedMethod:
    return ComparedMethod(
        name=method.name,
        source=method.source,
        # Figures use the groups of the comparison, which can be others than those of the run.
        table=method.table.with_groups(dict(zip(joined.items, joined.group_names, strict=True))),
        folder=method.record.folder if method.record else None,
        n_items=len(joined.items),
        n_missing=joined.n_missing(method.name),
        judgements=method.judgements,
    )


def _settings(
    joined: Joined, plan: ComparisonPlan, scores: Sequence[MetricScores], n_columns: int
) -> dict[str, object]:
    options = plan.options
    return {
        "alpha": options.alpha,
        "power": options.power,
        "seed": options.seed,
        "test": options.test,
        "correction": CORRECTIONS[options.correction],
        "exploratory_correction": CORRECTIONS[EXPLORATORY[options.correction]],
        "primary": [metric.name for metric in plan.metrics if metric.primary],
        "margins": {metric.name: metric.margin for metric in plan.metrics if metric.margin is not None},
        "baseline": options.baseline,
        "groups": None if options.groups is None else str(options.groups),
        "n_items": len(joined.items),
        "n_groups": joined.n_groups,
        "n_grouped": joined.n_grouped,
        "n_flips": permutations_for(n_columns, options),
        "n_resamples": options.n_resamples,
        "evalkit": __version__,
        "grid": {of_metric.metric: of_metric.grid for of_metric in scores},
    }


def _missing(methods: Sequence[Method], joined: Joined, plan: ComparisonPlan) -> list[str]:
    """A note for every method, metric and reason for which there are items without a value, or with the worst one."""
    notes: list[str] = []
    for metric in plan.metrics:
        if metric.beside is not None:
            notes += labelling_notes(metric_scores(joined, metric), joined.items)
            continue
        for method in methods:
            notes += [
                f"{method.name} has no {metric.name} for {_which(items, joined)}: {REASON_WORDS.get(reason, reason)}"
                for reason, items in joined.without(method.name, metric.name).items()
            ]
        if metric.unbounded and any(joined.not_run(method.name, metric.name).any() for method in methods):
            notes.append(f"{metric.unbounded}, so that nothing bounds the difference over items that were not run")
    for method in methods:
        failed = [joined.items[item] for item in np.flatnonzero(joined.failed(method.name)).tolist()]
        if failed:
            notes.append(f"{method.name}: edits of {counted(len(failed), 'item')} failed ({listed(failed)})")
    return notes


def _with_components(plan: ComparisonPlan, joined: Joined) -> ComparisonPlan:
    """The metrics of judges with what their repeats say, and that in words; failed edits nobody answered about."""
    failed = np.any([joined.failed(method) for method in joined.methods], axis=0)
    metrics, notes = list(plan.metrics), list(plan.notes)
    for number, metric in enumerate(metrics):
        if metric.repeated and metric.beside is None:
            found = answer_components([scores[~failed] for scores in joined.scores(metric.name).values()])
            metrics[number] = replace(metric, components=found)
            notes += [f"{metric.name}: {components_words(found)}"] if found else []
    return replace(plan, metrics=tuple(metrics), notes=tuple(notes))


def _which(items: Sequence[int], joined: Joined) -> str:
    """Some of the items, with the names of the first, or none of them."""
    if len(items) == len(joined.items):
        return f"any of {counted(len(items), 'item')}"
    return f"{len(items)} of {len(joined.items)} items ({listed([joined.items[item] for item in items])})"


def _group_notes(joined: Joined) -> list[str]:
    """Which items count as groups of their own, for want of knowing better."""
    alone = joined.n_total - joined.n_grouped
    if not joined.n_grouped:
        return ["every item counts as its own group: no column says which items share a source image"]
    return [f"{alone} of {joined.n_total} items have no group and count as one each"] if alone else []


def _label_warnings(
    methods: Sequence[Method], joined: Joined, plan: ComparisonPlan, labels: HumanLabels | None
) -> Iterator[str]:
    """What people's labels do not show, by how they were drawn and who gave them."""
    if labels is not None:
        yield from confounded_raters(methods, labels)
    for metric in plan.metrics:
        if metric.beside is not None:
            yield from labelling_warnings(metric_scores(joined, metric), joined.groups)


def _unranked(rows: Sequence[RankedMethod], plan: ComparisonPlan, *, primary: bool = False) -> list[str]:
    """Who is not ranked, for reasons that hold on a primary metric, or for the others."""
    on_primary = list(unranked_notes(rows, [metric.name for metric in plan.metrics if metric.primary]))
    return on_primary if primary else [note for note in unranked_notes(rows) if note not in on_primary]


def _ranked_items(rankings: Sequence[Ranking], joined: Joined, plan: ComparisonPlan) -> list[str]:
    n_items = {name: ranking.n_items for name, ranking in zip(plan.names, rankings, strict=True)}
    return list(ranked_items_notes(n_items, len(joined.items)))
