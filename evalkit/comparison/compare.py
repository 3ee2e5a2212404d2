"""``compare_runs``: from run directories and tables to a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit import __version__
from evalkit.comparison.join import REASON_WORDS, Joined, join
from evalkit.comparison.load import Method, check_comparable, load_methods
from evalkit.comparison.options import CORRECTIONS, EXPLORATORY, ComparisonOptions, Correction, Test, plan_comparison
from evalkit.comparison.pairs import compare_pairs, flips_for, pair_result
from evalkit.comparison.ranking import Ranked, rank_methods
from evalkit.comparison.records import ComparedMethod, Comparison
from evalkit.comparison.sentences import sentence_of
from evalkit.formatting import listed
from evalkit.results.item_rows import ItemRows
from evalkit.scores.external import ColumnNames, read_groups
from evalkit.scores.frame import ScoreTable

_WILCOXON_NOTE = (
    "p-values are Wilcoxon's, which asks about ranks; intervals are of the mean, by sign flip: they can disagree"
)


def compare_runs(
    sources: Sequence[str | Path],
    *,
    metrics: Sequence[str] = (),
    primary: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    test: Test = "sign_flip",
    correction: Correction = "holm",
    groups: Path | None = None,
    columns: ColumnNames | None = None,
    n_flips: int | None = None,
) -> Comparison:
    """Compare methods on the same items, pair by pair, and rank them.

    The estimand is the mean over items of each item's mean over seeds; the unit of inference is the group of items that
    share a source image.

    Args:
        sources: Run directories and tables of other tools (CSV, TSV, JSON, JSON Lines, Parquet), each optionally as
            ``NAME=PATH``. A table may hold several methods.
        metrics: Which; all that every method has, if none is given.
        primary: Metrics whose p-values form the confirmatory family; if none is given, those of the protocol that all
            runs were scored under, or the first metric. The others are exploratory.
        lower_is_better: Metrics of other tools of which less is better.
        margins: Metric to the difference below which methods count as equivalent, declared before scoring; they take
            the place of those of the runs' protocol.
        baseline: Compare each other method with this one only.
        alpha: Error rate of each family; intervals have level 1 − alpha.
        seed: Determines every random number.
        test: ``sign_flip``, ``t`` (group-robust) or ``wilcoxon``.
        correction: Of the primary metrics: ``holm``, ``maxt``, ``bh``, ``by`` or ``none``. The exploratory ones get
            Benjamini–Hochberg (or ``by``, ``none`` where that was asked for).
        groups: A table that says which items belong together, instead of what runs and tables say.
        columns: Of the tables, what cannot be guessed.
        n_flips: Random arrangements of signs; by default 99,999, or what the corrections need where there are many
            comparisons.

    Raises:
        RunError: A run cannot be read, or the runs are not comparable; the message names the field that differs.
        DataError: A table cannot be read.
        OptionError: An option names what is not there, or does not fit the others.
    """
    methods, notes = load_methods(sources, columns)
    plan = plan_comparison(
        methods,
        metrics=metrics,
        primary=primary,
        lower_is_better=lower_is_better,
        margins=margins,
        baseline=baseline,
        alpha=alpha,
        seed=seed,
        test=test,
        correction=correction,
        n_flips=n_flips,
    )
    notes += check_comparable(methods, [metric.name for metric in plan.metrics])
    joined = join(
        methods, [metric.name for metric in plan.metrics], None if groups is None else read_groups(groups, columns)
    )
    if groups is None and not any(method.has_groups for method in methods):
        notes.append("no column says which items share a source image: every item counts as independent")
    scores = {metric.name: joined.scores(metric.name) for metric in plan.metrics}
    outcomes = compare_pairs(joined, scores, plan)
    rankings = {metric.name: rank_methods(joined, scores[metric.name], metric, plan) for metric in plan.metrics}
    return Comparison(
        methods=tuple(_method(method, joined) for method in methods),
        metrics=plan.metrics,
        pairs=tuple(pair_result(o, joined, plan.test, sentence_of(o, plan.test)) for o in outcomes),
        ranking=tuple(place for ranked in rankings.values() for place in ranked.methods),
        cliques={name: ranked.cliques for name, ranked in rankings.items()},
        benchmark=next((m.record.benchmark for m in methods if m.record), None),
        baseline=baseline,
        settings={
            **_settings(plan, joined, len(outcomes) // len(plan.metrics), None if groups is None else str(groups)),
            "grid": {name: of_metric.grid for name, of_metric in scores.items()},
        },
        notes=(*notes, *plan.notes, *_missing(methods, joined, plan), *_ranking_notes(rankings, joined, plan)),
    )


def _method(method: Method, joined: Joined) -> ComparedMethod:
    return ComparedMethod(
        name=method.name,
        source=method.source,
        table=_in_groups(method.table, joined),
        folder=method.record.folder if method.record else None,
        n_items=len(joined.items),
        n_missing=joined.n_missing(method.name),
    )


def _in_groups(table: ScoreTable, joined: Joined) -> ScoreTable:
    """The scores with the groups of the comparison, which can be others than those of the run: figures use them."""
    if joined.group_names is None:
        return table
    group_of = dict(zip(joined.items, joined.group_names, strict=True))
    if all(map(str.__eq__, table.rows.groups, (group_of[item] for item in table.rows.item_ids))):
        return table
    return replace(table, rows=ItemRows(replace(row, group=group_of[row.item_id]) for row in table.rows))


def _settings(plan: ComparisonOptions, joined: Joined, n_pairs: int, groups: str | None) -> dict[str, object]:
    n_groups = joined.n_groups
    return {
        "alpha": plan.alpha,
        "power": plan.power,
        "seed": plan.seed,
        "test": plan.test,
        "correction": CORRECTIONS[plan.correction],
        "exploratory_correction": EXPLORATORY[plan.correction],
        "primary": [metric.name for metric in plan.metrics if metric.primary],
        "margins": {metric.name: metric.margin for metric in plan.metrics if metric.margin is not None},
        "baseline": plan.baseline,
        "groups": groups,
        "n_items": len(joined.items),
        "n_groups": n_groups,
        "n_flips": flips_for(plan, n_pairs, n_groups),
        "n_resamples": plan.n_resamples,
        "evalkit": __version__,
    }


def _missing(methods: Sequence[Method], joined: Joined, plan: ComparisonOptions) -> list[str]:
    """A note for every method, metric and reason for which there are items without a value, or with the worst one."""
    notes = [_WILCOXON_NOTE] if plan.test == "wilcoxon" else []
    for metric in plan.metrics:
        for method in methods:
            notes += [
                f"{method.name} has no {metric.name} for {len(items)} of {len(joined.items)} items "
                f"({listed([joined.items[item] for item in items])}): {REASON_WORDS.get(reason, reason)}"
                for reason, items in joined.without(method.name, metric.name).items()
            ]
            floored = method.record.metrics[metric.name].n_floored if method.record else 0
            if floored:
                notes.append(f"{method.name}: {floored} without an edited image have the worst {metric.name}")
    return notes


def _ranking_notes(rankings: Mapping[str, Ranked], joined: Joined, plan: ComparisonOptions) -> list[str]:
    notes = []
    for metric in plan.metrics:
        ranked = rankings[metric.name]
        notes += [f"{m.method} is not ranked on {m.metric}: {m.reason}" for m in ranked.methods if m.reason]
        if 0 < ranked.n_items < len(joined.items):
            notes.append(
                f"the ranking on {metric.name} is over the {ranked.n_items} of {len(joined.items)} items for which all "
                "ranked methods have a value"
            )
    return notes
