"""``validate_metrics``: try metrics on controls, damaged edits and methods, and judge each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.arrays import Floats
from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.edits.item import Problem
from evalkit.engine.base import Engine
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.rubric import Rubric
from evalkit.metrics.base import REASONS, Metric, get_metrics
from evalkit.scores.run import ScoredRun
from evalkit.scoring.encoders import open_encoders
from evalkit.scoring.judging import chosen_metrics, open_judges, rubrics_for
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.resources import open_resources
from evalkit.stats.agreement import superiority
from evalkit.stats.intervals import group_t_interval
from evalkit.storage.prefetch import Progress, no_progress
from evalkit.validity.agreement import agreements_of, decisive
from evalkit.validity.judged import other_forms, unreadable, worth_of
from evalkit.validity.order import BothOrders, ask_both_orders, order_effect
from evalkit.validity.people import contrasts_of, pairwise_agreement
from evalkit.validity.records import AgainstControl, ControlKind, MetricValidity, Validity
from evalkit.validity.systems import Systems, collect_systems
from evalkit.validity.trial import HumanScores, Trial, make_trial, score_systems, truth_metrics
from evalkit.validity.verdict import findings, verdict

EDGE = 0.01
"""Share of the range within which a value counts as being at its end."""
_KINDS: tuple[ControlKind, ...] = ("control", "caption", "damage")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateOptions:
    """How metrics are tried."""

    methods: Sequence[Path] = ()
    """Edit folders."""
    data: Path | None = None
    """The user's copy of the benchmark's files."""
    encoder: str | None = None
    """Specification of the network behind the CLIP metrics; the benchmark's by default."""
    human: HumanScores | None = None
    """What people said."""
    limit: int | None = None
    """How many source images at most."""
    level: float = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Determines what is shuffled and resampled."""
    device: str = "auto"
    """Where the network runs."""
    cached: bool = True
    """Whether features are kept between runs."""
    judge: JudgeOptions | None = None
    """Who judges the edits, of whom more is asked than of a metric: whether it agrees with itself."""


def validate_metrics(
    metrics: Sequence[str],
    benchmark: str,
    work: Path,
    options: ValidateOptions | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress = no_progress,
    **changes: Any,  # noqa: ANN401 - fields of the options
) -> Validity:
    """Find out what metrics are worth on a benchmark.

    The true edit is the benchmark's reference image, or, where it has none, the first method's edit. Every metric is
    asked how often it prefers the true edit to a control on the same item, how far damage that is no edit moves it, and
    whether it orders edits of the same item as the truth does. Intervals treat groups as the sample.

    Args:
        metrics: Names; the benchmark's own, if none is given.
        benchmark: Its name, or the path of its card.
        work: Where controls and damaged edits are written.
        options: How.
        engine: Whose workers compute; by default this process does. Its device is the workers'.
        progress: Called with the kind of work, how much is done and how much there is.
        **changes: Options that differ from ``options``.

    Raises:
        EvalkitError: A name is unknown, files cannot be read, or there is no true edit.
    """
    options = replace(options or ValidateOptions(), **changes)
    known = BENCHMARKS.get(benchmark)()
    loaded = known.load(options.data, near=options.methods[0] if options.methods else None).grouped()
    rubrics = rubrics_for(options.judge, loaded.items) if options.judge else ()
    chosen = chosen_metrics(metrics, rubrics) if rubrics else get_metrics(metrics or known.default_metrics)
    systems = collect_systems(loaded, options.methods, work, limit=options.limit, seed=options.seed)
    scored = _scored(systems, chosen, rubrics, known, options, engine=engine, progress=progress)
    runs, forms, both_orders, unread = scored
    trial = make_trial(loaded.items, systems, runs, options.human, options.level, options.seed)
    judged = tuple(_judged(metric, trial) for metric in chosen)
    problems = [problem.message for problem in (*loaded.benchmark.problems, *unread)]
    return Validity(
        benchmark=known.name,
        benchmark_version=loaded.benchmark.version,
        true_edit=systems.true.name,
        methods=tuple(systems.methods),
        n_items=len(trial.items),
        n_groups=trial.groups.n_groups,
        level=options.level,
        seed=options.seed,
        miniature=any("enc:miniature" in metric.signature for metric in judged),
        metrics=judged,
        contrasts=contrasts_of(chosen, trial),
        judge=tuple(worth_of(metric, trial, forms) for metric in _of_judge(chosen, rubrics)),
        order=order_effect(both_orders, trial) if both_orders else None,
        notes=(*systems.notes, *trial.notes, *problems),
        problems=tuple(unreadable(rubrics, trial)),
    )


def _scored(
    systems: Systems,
    chosen: Sequence[Metric],
    rubrics: Sequence[Rubric],
    known: Benchmark,
    options: ValidateOptions,
    *,
    engine: Engine | None,
    progress: Progress,
) -> tuple[dict[str, ScoredRun], dict[str, ScoredRun], BothOrders | None, tuple[Problem, ...]]:
    """Runs by system, of the true edits by the form in which a judge is sent pictures, its choices, what went wrong."""
    forms: dict[str, ScoredRun] = {}
    encoder = options.encoder or known.default_encoder
    scoring = ScoreOptions(encoder=encoder, device=options.device, judge=options.judge)
    with open_resources(cached=options.cached) as shared:
        networks = open_encoders(
            (*chosen, *truth_metrics(systems.true.items)), scoring, cache=shared.cache, engine=engine
        )
        score = partial(
            score_systems,
            encoders=networks,
            cache=shared.cache,
            benchmark=known.name,
            engine=engine,
            progress=progress,
        )
        runs = score(systems.all, chosen, judges=open_judges(chosen, scoring, rubrics, shared))
        alone = _of_judge(chosen, rubrics)
        for form in other_forms(options.judge, systems.true.items) if options.judge and alone else ():
            judges = open_judges(alone, replace(scoring, judge=form), rubrics, shared)
            of_form = score([systems.true], alone, judges=judges, with_truth=False)
            forms[form.settings.image_label] = of_form[systems.true.name]
        both_orders = None
        if options.judge and alone:
            judge, budget = shared.judges[options.judge]
            both_orders = ask_both_orders(judge, options.judge, systems, shared.cache, budget)
    return runs, forms, both_orders, tuple(shared.problems)


def _of_judge(metrics: Sequence[Metric], rubrics: Sequence[Rubric]) -> tuple[Metric, ...]:
    """The metrics that a judge gives."""
    names = {rubric.name for rubric in rubrics}
    return tuple(metric for metric in metrics if metric.name.partition(":")[0] in names)


def _judged(metric: Metric, trial: Trial) -> MetricValidity:
    true = trial.values(trial.systems.true.name, metric.name)
    defined = true[~np.isnan(true)]
    reads_captions = any(name.endswith("_caption") for name in metric.fields)
    controls = tuple(
        _against(metric, trial, system.name, kind)
        for kind in _KINDS
        for system in trial.systems.others
        if system.kind == kind and (kind != "caption" or reads_captions)
    )
    agreements = tuple(agreements_of(metric, trial))
    methods = trial.systems.methods
    edits = [trial.values(name, metric.name) for name in methods or [trial.systems.true.name]]
    floor, ceiling = _crowding(metric, np.concatenate([values[~np.isnan(values)] for values in edits]))
    found = findings(
        metric.family,
        controls,
        decisive(metric, agreements),
        floor_share=floor,
        # A reference image may well be the best that there can be.
        ceiling_share=ceiling if methods else None,
    )
    return MetricValidity(
        metric=metric.name,
        family=metric.family,
        higher_is_better=metric.higher_is_better,
        signature=trial.runs[trial.systems.true.name].record.metrics[metric.name].signature,
        n_items=len(defined),
        n_undefined=len(true) - len(defined),
        mean=float(defined.mean()) if len(defined) else None,
        floor_share=floor,
        ceiling_share=ceiling,
        controls=controls,
        agreements=agreements,
        findings=found,
        verdict=verdict(metric.family, found),
        people=pairwise_agreement(metric, trial),
    )


def _against(metric: Metric, trial: Trial, control: str, kind: ControlKind) -> AgainstControl:
    true = trial.values(trial.systems.true.name, metric.name)
    other = trial.values(control, metric.name)
    both = ~np.isnan(true) & ~np.isnan(other)
    groups = trial.groups.where(both)
    result = superiority(true[both], other[both], groups, higher_is_better=metric.higher_is_better, level=trial.level)
    span = metric.highest - metric.lowest
    bounds = (-span, span) if math.isfinite(span) else None
    shift = group_t_interval(other[both] - true[both], groups, level=trial.level, bounds=bounds)
    reason = None
    if not both.any():
        undefined = trial.runs[control].table.undefined(metric.name)
        most = max(undefined, key=undefined.__getitem__, default="no item has both values")
        reason = REASONS.get(most, most)
    return AgainstControl(
        control=control,
        kind=kind,
        n_items=int(both.sum()),
        n_groups=groups.n_groups,
        probability=result.paired.value,
        ci_low=result.paired.low,
        ci_high=result.paired.high,
        area=result.unpaired.value,
        n_ties=result.n_ties,
        mean=float(other[both].mean()) if both.any() else None,
        shift=shift.value,
        shift_low=shift.low,
        shift_high=shift.high,
        reason=reason or result.paired.reason,
    )


def _crowding(metric: Metric, defined: Floats) -> tuple[float | None, float | None]:
    """Shares of values at the worse and at the better end of the range."""
    if not len(defined) or not np.isfinite([metric.lowest, metric.highest]).all():
        return None, None
    edge = EDGE * (metric.highest - metric.lowest)
    low = float((defined <= metric.lowest + edge).mean())
    high = float((defined >= metric.highest - edge).mean())
    return (low, high) if metric.higher_is_better else (high, low)
