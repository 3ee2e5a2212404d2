"""Every pair of methods on every metric, tested together and corrected in two families: primary and exploratory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from evalkit.arrays import Floats
from evalkit.comparison.join import Joined, MetricScores
from evalkit.comparison.options import CORRECTIONS, EXPLORATORY, ComparisonOptions, Test
from evalkit.comparison.records import ComparedMetric, PairResult
from evalkit.stats import exact
from evalkit.stats.clusters import Labels, labels_where
from evalkit.stats.effect_sizes import missing_bounds
from evalkit.stats.families import FAMILY_EXACT_STEPS
from evalkit.stats.intervals import group_t_interval
from evalkit.stats.multiplicity import Adjusted, FamilyCorrection, adjust, flips_needed
from evalkit.stats.paired import PairedComparison, corrected, item_means, seeds_only, summarize_pair
from evalkit.stats.permutation import MANY_GROUPS, N_FLIPS, N_FLIPS_MANY_GROUPS, SignFlip, sign_flip_tests
from evalkit.stats.power import minimum_detectable_effect
from evalkit.stats.rank_tests import group_t_test, mcnemar, sign_test, wilcoxon_signed_rank

MANY_COLUMNS = 60
"""With more pairs × metrics than this, no more arrangements are drawn than the corrected p-values need."""
_HOW = {"exact_enumeration": "enumeration", "exact_dp": "dynamic_programming", "monte_carlo": "monte_carlo"}
_HOW_ELSE: Mapping[Test, str] = {"t": "group_t", "wilcoxon": "group_signed_rank"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One pair on one metric, before it is put into words."""

    metric: ComparedMetric
    a: str = ""
    b: str = ""
    comparison: PairedComparison
    n_seeds: int = 1
    sensitivity: dict[str, float | None]
    n_not_run: int = 0
    """Items that one of the two, or both, were not run on."""
    bounds: tuple[float, float] | None = None
    """What the mean difference would lie between whatever these had scored; None where the metric has no bounds."""


def compare_pairs(joined: Joined, scored: Mapping[str, MetricScores], plan: ComparisonOptions) -> list[Outcome]:
    """Test every pair (or each method against the baseline) on every metric.

    A pair is tested on the items that all ranked methods, and both of its own, have a value for.
    """
    names = list(joined.rows)
    tables = [list(scored[metric.name].tables.values()) for metric in plan.metrics]
    units = [scored[metric.name].unit for metric in plan.metrics]
    means = [
        np.stack([item_means(table * unit) for table in by_method], axis=1)
        for by_method, unit in zip(tables, units, strict=True)
    ]
    scores = [columns.copy() for columns in means]
    for metric, columns in zip(plan.metrics, scores, strict=True):
        columns[joined.dropped(metric.name)] = np.nan
    numbers = list(combinations(range(len(names)), 2))
    if plan.baseline is not None:
        first = names.index(plan.baseline)
        numbers = [(first, other) for other in range(len(names)) if other != first]
    cells = [(number, a, b) for number in range(len(plan.metrics)) for a, b in numbers]
    tests = sign_flip_tests(
        np.concatenate(scores, axis=1),
        joined.groups,
        [(number * len(names) + a, number * len(names) + b) for number, a, b in cells],
        alpha=plan.alpha,
        n_flips=flips_for(plan, len(numbers), joined.n_groups),
        seed=plan.seed,
        exact_steps=exact.EXACT_STEPS if len(names) == 2 else FAMILY_EXACT_STEPS,
        max_t_families=[int(plan.metrics[number].primary) for number, _, _ in cells]
        if plan.correction == "maxt"
        else None,
    )
    tested = []
    for (number, a, b), test in zip(cells, tests, strict=True):
        metric, unit = plan.metrics[number], units[number]
        pair = scores[number][:, (a, b)] / unit
        both = tables[number][a], tables[number][b]
        outcome = _outcome(pair, joined.groups, _in_units(test, unit), metric, scored[metric.name].grid, plan)
        seeds = seeds_only(both, pair, 1 - plan.alpha)
        comparison = replace(outcome.comparison, fixed_items=seeds)
        outcome = replace(outcome, a=names[a], b=names[b], n_seeds=max(t.shape[1] for t in both), comparison=comparison)
        tested.append(_with_bounds(outcome, joined, means[number][:, (a, b)] / unit, plan.ranges.get(metric.name)))
    return _in_families(tested, plan)


def flips_for(plan: ComparisonOptions, n_pairs: int, n_groups: int) -> int:
    """How many random arrangements, where they are not all looked at: fewer where many columns have to be kept."""
    if plan.n_flips is not None:
        return plan.n_flips
    if n_groups > MANY_GROUPS:
        return N_FLIPS_MANY_GROUPS
    if n_pairs * len(plan.metrics) <= MANY_COLUMNS:
        return N_FLIPS
    return max(N_FLIPS_MANY_GROUPS, flips_needed(n_pairs * sum(m.primary for m in plan.metrics), plan.alpha))


def _with_bounds(outcome: Outcome, joined: Joined, means: Floats, bounds: tuple[float, float] | None) -> Outcome:
    """The outcome with what the items on which a method was not run could have made of it."""
    not_run, undefined = joined.not_run(outcome.a, outcome.b, outcome.metric.name)
    n_not_run = int(not_run.sum())
    if not n_not_run or bounds is None:
        return replace(outcome, n_not_run=n_not_run)
    found = missing_bounds(means[~undefined, 0], means[~undefined, 1], lowest=bounds[0], highest=bounds[1])
    return replace(outcome, n_not_run=n_not_run, bounds=found)


def _in_units(test: SignFlip, unit: float) -> SignFlip:
    if unit == 1:
        return test
    difference, low, high = (None if x is None else x / unit for x in (test.difference, test.low, test.high))
    return replace(test, difference=difference, low=low, high=high)


def _outcome(
    pair: Floats, groups: Labels, test: SignFlip, metric: ComparedMetric, grid: float, plan: ComparisonOptions
) -> Outcome:
    common = np.logical_not(np.isnan(pair).any(axis=1))
    labels = labels_where(groups, common)
    sensitivity = _other_tests(pair[common], labels, grid)
    test = _by(plan.test, test, pair[common], labels, sensitivity)
    comparison = summarize_pair(
        pair,
        groups,
        test,
        higher_is_better=metric.higher_is_better,
        margin=metric.margin,
        grid=grid,
        mde_alpha=plan.alpha,
        power=plan.power,
    )
    return Outcome(metric=metric, comparison=comparison, sensitivity=sensitivity)


def _other_tests(pair: Floats, labels: Labels, grid: float) -> dict[str, float | None]:
    """P-values of the tests that stand beside the primary one."""
    differences = pair[:, 1] - pair[:, 0]
    found = {
        "wilcoxon": wilcoxon_signed_rank(differences, labels, grid=grid).p_value,
        "sign": sign_test(differences, labels, grid=grid).p_value,
        "paired_t": group_t_test(differences, labels, grid=grid).p_value,
    }
    if len(pair) and ((pair == 0) | (pair == 1)).all():
        found["mcnemar"] = mcnemar(pair[:, 0], pair[:, 1], labels).p_value
    return found


def _by(name: Test, test: SignFlip, pair: Floats, labels: Labels, sensitivity: dict[str, float | None]) -> SignFlip:
    """The sign-flip test with its p-value (and for t its interval) taken from another test, if that was asked for."""
    if name == "sign_flip" or test.p_value is None:
        return test
    if name == "wilcoxon":
        return replace(test, p_value=sensitivity["wilcoxon"], how=None, reason=None)
    interval = group_t_interval(pair[:, 1] - pair[:, 0], labels, level=1 - test.alpha)
    p_value = sensitivity["paired_t"]
    undefined = "all differences are the same: the t test is undefined" if p_value is None else None
    return replace(
        test, p_value=p_value, how=None, low=interval.low, high=interval.high, reason=interval.reason or undefined
    )


def _in_families(tested: Sequence[Outcome], plan: ComparisonOptions) -> list[Outcome]:
    """Every pair with its adjusted p-values, and a minimum detectable effect at the corrected error rate."""
    result = list(tested)
    families: list[tuple[bool, FamilyCorrection]] = [
        (True, CORRECTIONS[plan.correction]),
        (False, EXPLORATORY[plan.correction]),
    ]
    for primary, correction in families:
        members = [number for number, pair in enumerate(tested) if pair.metric.primary == primary]
        comparisons = [tested[number].comparison for number in members]
        adjusted = _adjusted(comparisons, correction)
        equivalence = adjust(
            [None if c.equivalence is None else c.equivalence.p_value for c in comparisons],
            "holm" if correction == "max_t" else correction,
        )
        for place, number in enumerate(members):
            comparison = corrected(
                comparisons[place],
                adjusted_p_value=adjusted.p_values[place],
                correction=correction,
                n_comparisons=adjusted.n_tests,
                adjusted_equivalence_p_value=equivalence.p_values[place],
            )
            if correction in ("holm", "max_t"):
                comparison = _at_alpha(comparison, plan.alpha / max(1, adjusted.n_tests))
            result[number] = replace(tested[number], comparison=comparison)
    return result


def _adjusted(comparisons: Sequence[PairedComparison], correction: FamilyCorrection) -> Adjusted:
    if correction != "max_t":
        return adjust([comparison.test.p_value for comparison in comparisons], correction)
    p_values = tuple(comparison.test.max_t_p_value for comparison in comparisons)
    n_tests = sum(p_value is not None for p_value in p_values)
    return Adjusted(p_values=p_values, factors=(None,) * len(p_values), n_tests=n_tests, correction=correction)


def _at_alpha(comparison: PairedComparison, alpha: float) -> PairedComparison:
    """The comparison with its minimum detectable effect at another error rate."""
    error = comparison.standard_error
    effect = (
        minimum_detectable_effect(
            standard_error=error, degrees_of_freedom=comparison.n_groups - 1, alpha=alpha, power=comparison.power
        )
        if error
        else None
    )
    return replace(comparison, minimum_detectable_effect=effect, minimum_detectable_effect_alpha=alpha)


def pair_result(tested: Outcome, joined: Joined, test_name: Test, sentence: str) -> PairResult:
    """A tested pair as the record that tables, figures and pages show."""
    comparison, verdict = tested.comparison, tested.comparison.verdict
    test, metric = comparison.test, tested.metric
    adjusted = comparison.adjusted_equivalence_p_value
    return PairResult(
        metric=metric.name,
        a=tested.a,
        b=tested.b,
        n_items=comparison.n_items,
        n_groups=comparison.n_groups,
        n_seeds=tested.n_seeds,
        mean_a=comparison.mean_a,
        mean_b=comparison.mean_b,
        difference=test.difference,
        ci_low=test.low,
        ci_high=test.high,
        p_value=test.p_value,
        adjusted_p_value=comparison.adjusted_p_value,
        how=None if test.p_value is None else _HOW[test.how] if test.how else _HOW_ELSE.get(test_name),
        effect_size_dz=comparison.effect_size_dz,
        win=comparison.win,
        tie=comparison.tie,
        loss=comparison.loss,
        minimum_detectable_effect=comparison.minimum_detectable_effect,
        equivalence_p_value=adjusted,
        items_needed=verdict.items_needed,
        items_needed_for=verdict.items_needed_for,
        verdict=verdict.verdict,
        practically_equivalent=verdict.significant and verdict.verdict == "equivalent",
        excluded=joined.excluded(tested.a, tested.b, metric.name),
        sensitivity=tested.sensitivity,
        reason=reason_of(comparison),
        sentence=sentence,
    )


def reason_of(comparison: PairedComparison) -> str | None:
    """Why a comparison lacks a figure, or could not have been significant; None if neither."""
    if comparison.n_items and comparison.tie == comparison.n_items:
        return "both have the same score on every item"
    if comparison.test.reason is not None:
        return comparison.test.reason
    if comparison.n_groups == 1:
        return "one group only: no spread between groups can be known"
    if comparison.minimum_detectable_effect is None:
        return "all differences are the same: there is no spread to measure an effect by"
    return None
