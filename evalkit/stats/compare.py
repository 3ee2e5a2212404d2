"""The one pipeline of inference: any number of methods on the same items, pair by pair, corrected as families."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats import exact
from evalkit.stats.clusters import Groups, Labels, cluster_error, code_groups, to_steps
from evalkit.stats.equivalence import Equivalence, group_tost
from evalkit.stats.intervals import group_t_interval
from evalkit.stats.multiplicity import Correction, Procedure, adjust, permutations_needed
from evalkit.stats.permutation import (
    MANY_GROUPS,
    N_PERMUTATIONS,
    N_PERMUTATIONS_MANY_GROUPS,
    SignFlip,
    sign_flip_tests,
)
from evalkit.stats.power import items_needed, minimum_detectable_effect
from evalkit.stats.rank_tests import group_t_test, sign_test, wilcoxon_signed_rank
from evalkit.stats.scores import InferenceOptions, MetricScores, item_means
from evalkit.stats.seeds import fixed_items_interval
from evalkit.stats.verdict import Verdict, VerdictName, decide

FAMILY_EXACT_STEPS = 20_000
"""Among many methods only coarse scores (ratings, successes) are counted exactly: pair by pair it takes its time."""
MANY_COLUMNS = 60
"""With more pairs × metrics than this, no more permutations are drawn than the corrected p-values need."""
EXPLORATORY: Mapping[Correction, Procedure] = {"holm": "bh", "maxt": "bh", "bh": "bh", "by": "by", "none": "none"}
"""What corrects the metrics that are not primary, by what corrects those that are."""
_HOW_ELSE = {"t": "group_t", "wilcoxon": "group_signed_rank"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Method b against method a on one metric. What is None has its reason in ``reason``."""

    metric: str
    a: str
    b: str
    n_items: int
    n_groups: int
    n_seeds: int
    mean_a: float | None
    """Over the pair's items, each item the mean of its seeds."""
    mean_b: float | None
    difference: float | None
    """``b − a``, in the metric's own unit and sign."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    """Within the family; None where the pair has no p-value."""
    n_comparisons: int = 1
    """Size of the family: its pairs that have a p-value."""
    how: str | None
    """How the p-value was obtained: ``enumeration``, ``dynamic_programming``, ``monte_carlo``; ``group_t`` and
    ``group_signed_rank`` for the other tests."""
    effect_size_dz: float | None
    """``d̄/s_d``; None where the differences do not vary."""
    win: int
    """Items on which b is better."""
    tie: int
    loss: int
    minimum_detectable_effect: float | None
    """Smallest true difference that would be found with the power asked for, at the corrected error rate."""
    equivalence_p_value: float | None
    """Of two one-sided tests, corrected within the family; None where no margin was declared."""
    equivalent: bool | None = None
    """Whether the difference is shown to lie inside the margin; None where none was declared."""
    new_seeds: tuple[float, float] | None = None
    """The interval of the difference on exactly these items, uncertain through the seeds only; None for one seed."""
    n_not_run: int = 0
    """Items that one of the two, or both, were not run on."""
    bounds: tuple[float, float] | None = None
    """Least and greatest mean difference, whatever these had scored; None where the metric has no bounds."""
    items_needed: int | None
    """Items that would decide, where the verdict is inconclusive."""
    items_needed_for: float | None = None
    """The difference that so many would find: the margin, or the observed one."""
    verdict: VerdictName
    explanation: str = ""
    """Why the verdict is what it is."""
    practically_equivalent: bool = False
    """Different beyond chance and inside the margin."""
    sensitivity: Mapping[str, float | None] = field(default_factory=dict)
    """p-values of other tests, never the primary one: ``wilcoxon``, ``sign``, ``mcnemar``, ``paired_t``."""
    reason: str | None = None
    """Why a figure is missing, or why these groups could not have shown anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two methods' scores on one metric."""

    metric: MetricScores
    a: str
    b: str
    means: Floats
    """``(n, 2)`` of all items, NaN where there is no value."""
    scores: Floats
    """``(items, 2)`` of the items that the pair is tested on."""
    groups: Groups
    common: Mask
    """``(n,)``, which items these are."""

    @property
    def differences(self) -> Floats:
        """``(items,)`` of b − a."""
        return self.scores[:, 1] - self.scores[:, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tests:
    """A pair's tests before correction."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    max_t_p_value: float | None
    how: str | None
    reason: str | None
    sensitivity: Mapping[str, float | None]
    equivalence: Equivalence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corrected:
    """What a pair's family makes of its p-values."""

    p_value: float | None
    equivalence_p_value: float | None
    n_comparisons: int
    alpha: float
    """The error rate that an effect must be detectable at."""


def compare_methods(
    metrics: Sequence[MetricScores], groups: Labels, options: InferenceOptions
) -> tuple[PairComparison, ...]:
    """Test every pair of methods (or each against the baseline) on every metric, with the same signs for all.

    A pair is tested on the items that all methods which can be ranked, and both of its own, have a value for. The
    p-values of the primary metrics form one family, those of the others a second, exploratory one; p-values of
    equivalence are corrected likewise.

    Args:
        metrics: Every method's scores on each metric; the methods and the items are the same for all.
        groups: ``(n,)``; items with the same label are dependent.
        options: Test, correction, error rate and seeds.

    Returns:
        Metric after metric, and on each all pairs in the order of the methods.

    Raises:
        OptionError: Fewer than two methods, an unknown baseline, lengths that differ, scores that are infinite, or an
            option out of range.

    >>> scores = {"a": np.array([[0.1, 0.2, 0.3, 0.1, 0.2, 0.1]]).T, "b": np.array([[0.3, 0.3, 0.5, 0.2, 0.6, 0.2]]).T}
    >>> metric = MetricScores(metric="score", scores=scores, higher_is_better=True)
    >>> (pair,) = compare_methods([metric], range(6), InferenceOptions())
    >>> pair.verdict, pair.p_value, pair.win
    ('b_better', 0.03125, 6)
    """
    coded, names = code_groups(groups), list(metrics[0].scores)
    chosen = _pairs(names, options.baseline)
    tables = [_Means(metric) for metric in metrics]
    cells = [(number, a, b) for number in range(len(metrics)) for a, b in chosen]
    flips = sign_flip_tests(
        np.concatenate([table.common for table in tables], axis=1),
        coded,
        [(number * len(names) + a, number * len(names) + b) for number, a, b in cells],
        alpha=options.alpha,
        n_permutations=permutations_for(metrics, len(chosen), coded.n_groups, options),
        seed=options.seed,
        exact_steps=exact.EXACT_STEPS if len(names) == 2 else FAMILY_EXACT_STEPS,
        max_t_families=[int(metrics[number].primary) for number, _, _ in cells]
        if options.correction == "maxt"
        else None,
    )
    tests = [
        _tested(tables[number].pair(a, b, coded), flip, options)
        for (number, a, b), flip in zip(cells, flips, strict=True)
    ]
    families = [metrics[number].primary for number, _, _ in cells]
    return tuple(
        _compared(tables[number].pair(a, b, coded), test, corrected, options)
        for (number, a, b), test, corrected in zip(cells, tests, _corrected(tests, families, options), strict=True)
    )


def permutations_for(metrics: Sequence[MetricScores], n_pairs: int, n_groups: int, options: InferenceOptions) -> int:
    """How many random permutations, where they are not all looked at: fewer where many columns have to be kept."""
    if options.n_permutations is not None:
        return options.n_permutations
    if n_groups > MANY_GROUPS:
        return N_PERMUTATIONS_MANY_GROUPS
    if n_pairs * len(metrics) <= MANY_COLUMNS:
        return N_PERMUTATIONS
    n_primary = sum(metric.primary for metric in metrics)
    return max(N_PERMUTATIONS_MANY_GROUPS, permutations_needed(n_pairs * n_primary, options.alpha))


def _pairs(names: Sequence[str], baseline: str | None) -> list[tuple[int, int]]:
    """Indices of every two methods, or of the baseline and each other one."""
    if len(names) < 2 or (baseline is not None and baseline not in names):
        raise OptionError(f"A comparison needs two methods or more, the baseline among them; got {names}, {baseline}.")
    if baseline is None:
        return list(combinations(range(len(names)), 2))
    first = names.index(baseline)
    return [(first, other) for other in range(len(names)) if other != first]


class _Means:
    """Every method's item means on one metric, in the metric's unit."""

    def __init__(self, metric: MetricScores) -> None:
        self.metric, self.unit = metric, metric.unit
        self.all = np.stack([item_means(table * self.unit) for table in metric.scores.values()], axis=1)
        """``(n, methods)``."""
        self.common = self.all.copy()
        """The same, NaN on the items that a method which can be ranked has no value for."""
        ranked = [name not in metric.unranked for name in metric.scores]
        self.common[np.isnan(self.all[:, ranked]).any(axis=1)] = np.nan

    def pair(self, a: int, b: int, groups: Groups) -> _Pair:
        """Two methods' scores, in their own units."""
        scores = self.common[:, (a, b)] / self.unit
        common = np.logical_not(np.isnan(scores).any(axis=1))
        names = list(self.metric.scores)
        return _Pair(
            metric=self.metric,
            a=names[a],
            b=names[b],
            means=self.all[:, (a, b)] / self.unit,
            scores=scores[common],
            groups=groups.where(common),
            common=common,
        )


def _tested(pair: _Pair, flip: SignFlip, options: InferenceOptions) -> _Tests:
    """The tests of one pair: the one that was asked for, those that stand beside it, and that of equivalence."""
    unit, margin = pair.metric.unit, pair.metric.margin
    sensitivity = _sensitivity(pair)
    low, high, p_value = flip.low, flip.high, flip.p_value
    difference, low, high = (None if x is None else x / unit for x in (flip.difference, low, high))
    how: str | None = flip.how
    reason = flip.reason
    if options.test == "wilcoxon" and p_value is not None:
        p_value, how, reason = sensitivity["wilcoxon"], _HOW_ELSE["wilcoxon"], None
    elif options.test == "t" and p_value is not None:
        interval = group_t_interval(pair.differences, pair.groups, level=1 - options.alpha)
        low, high, p_value, how = interval.low, interval.high, sensitivity["paired_t"], _HOW_ELSE["t"]
        undefined = "all differences are the same: the t test is undefined" if p_value is None else None
        reason = interval.reason or undefined
    return _Tests(
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        max_t_p_value=flip.max_t_p_value,
        how=None if p_value is None else how,
        reason=reason,
        sensitivity=sensitivity,
        equivalence=None
        if margin is None
        else group_tost(_stepped_differences(pair), pair.groups, margin=margin, alpha=options.alpha),
    )


def _sensitivity(pair: _Pair) -> dict[str, float | None]:
    """P-values of the tests that stand beside the primary one."""
    differences, grid = pair.differences, pair.metric.grid
    found = {
        "wilcoxon": wilcoxon_signed_rank(differences, pair.groups, grid=grid).p_value,
        "sign": sign_test(differences, pair.groups, grid=grid).p_value,
        "paired_t": group_t_test(differences, pair.groups, grid=grid).p_value,
    }
    if len(pair.scores) and np.isin(pair.scores, (0, 1)).all():
        found["mcnemar"] = found["sign"]  # of successes and failures the sign test is McNemar's
    return found


def _stepped_differences(pair: _Pair) -> Floats:
    """Differences of scores that lie on the metric's grid."""
    steps = to_steps(pair.scores, pair.metric.grid)
    return (steps[:, 1] - steps[:, 0]) / (1 / pair.metric.grid)


def _corrected(tests: Sequence[_Tests], primary: Sequence[bool], options: InferenceOptions) -> list[_Corrected]:
    """Every pair's adjusted p-values, within the family of the primary metrics or that of the others."""
    corrected: dict[int, _Corrected] = {}
    for family in (True, False):
        correction = options.correction if family else EXPLORATORY[options.correction]
        members = [number for number, of in enumerate(primary) if of == family]
        p_values = tuple(tests[number].p_value for number in members)
        adjusted = (
            tuple(tests[number].max_t_p_value for number in members)
            if correction == "maxt"
            else adjust(p_values, correction)
        )
        one_sided = [None if (of := tests[number].equivalence) is None else of.p_value for number in members]
        equivalence = adjust(one_sided, "holm" if correction == "maxt" else correction)
        n_comparisons = sum(p_value is not None for p_value in adjusted)
        for number, p_value, of_equivalence in zip(members, adjusted, equivalence, strict=True):
            corrected[number] = _Corrected(
                p_value=p_value,
                equivalence_p_value=of_equivalence,
                n_comparisons=n_comparisons,
                alpha=options.alpha / max(1, n_comparisons) if correction in ("holm", "maxt") else options.alpha,
            )
    return [corrected[number] for number in range(len(tests))]


def _compared(pair: _Pair, tests: _Tests, corrected: _Corrected, options: InferenceOptions) -> PairComparison:
    """The record of one pair, filled once."""
    differences = _stepped_differences(pair)
    signs = np.sign(differences) * (1 if pair.metric.higher_is_better else -1)
    n_items, n_groups, tie = len(differences), pair.groups.n_groups, int((signs == 0).sum())
    error = cluster_error(differences, pair.groups)
    effect = _detectable(error, n_groups, corrected.alpha, options) if error else None
    verdict = _verdict(pair, tests, corrected, error, options, identical=n_groups > 1 and tie == n_items)
    n_not_run, bounds = _not_run(pair)
    varies = n_items > 1 and bool((differences != differences[0]).any())
    tables = pair.metric.scores[pair.a], pair.metric.scores[pair.b]
    return PairComparison(
        metric=pair.metric.metric,
        a=pair.a,
        b=pair.b,
        n_items=n_items,
        n_groups=n_groups,
        n_seeds=max(table.shape[1] for table in tables),
        mean_a=float(pair.scores[:, 0].mean()) if n_items else None,
        mean_b=float(pair.scores[:, 1].mean()) if n_items else None,
        difference=tests.difference,
        ci_low=tests.low,
        ci_high=tests.high,
        p_value=tests.p_value,
        adjusted_p_value=corrected.p_value,
        n_comparisons=corrected.n_comparisons,
        how=tests.how,
        effect_size_dz=float(differences.mean() / differences.std(ddof=1)) if varies else None,
        win=int((signs > 0).sum()),
        tie=tie,
        loss=int((signs < 0).sum()),
        minimum_detectable_effect=effect,
        equivalence_p_value=corrected.equivalence_p_value,
        equivalent=verdict.equivalent,
        new_seeds=_new_seeds(pair, tables, options),
        n_not_run=n_not_run,
        bounds=bounds,
        items_needed=verdict.items_needed,
        items_needed_for=verdict.items_needed_for,
        verdict=verdict.verdict,
        explanation=verdict.explanation,
        practically_equivalent=verdict.significant and verdict.verdict == "equivalent",
        sensitivity=tests.sensitivity,
        reason=_reason(n_items, n_groups, tie, tests.reason, effect),
    )


def _detectable(error: float, n_groups: int, alpha: float, options: InferenceOptions) -> float:
    return minimum_detectable_effect(
        standard_error=error, degrees_of_freedom=n_groups - 1, alpha=alpha, power=options.power
    )


def _verdict(
    pair: _Pair,
    tests: _Tests,
    corrected: _Corrected,
    error: float | None,
    options: InferenceOptions,
    *,
    identical: bool,
) -> Verdict:
    """What the adjusted p-values support; identical scores are equivalent at any margin."""
    significant = corrected.p_value is not None and corrected.p_value <= options.alpha
    equivalent = None if tests.equivalence is None else tests.equivalence.equivalent
    if corrected.equivalence_p_value is not None:
        equivalent = corrected.equivalence_p_value <= options.alpha
    equivalent = True if identical else equivalent
    needed, needed_for = None, None
    if error and not (significant or equivalent):
        effects = [pair.metric.margin if tests.equivalence else None, abs(tests.difference or 0.0)]
        needed, needed_for = _items_to_decide([e for e in effects if e], error, pair, corrected.alpha, options)
    difference = tests.difference
    return decide(
        oriented_difference=difference if pair.metric.higher_is_better else -(difference or 0.0),
        significant=significant,
        equivalent=equivalent,
        reason=tests.reason,
        items_needed=needed,
        items_needed_for=needed_for,
    )


def _items_to_decide(
    effects: Sequence[float], error: float, pair: _Pair, alpha: float, options: InferenceOptions
) -> tuple[int | None, float | None]:
    """Items, grouped as these are, that would find the margin; where these should have, a difference like the observed.

    Without a margin it is the observed difference too.
    """
    n_items = len(pair.scores)
    for effect in effects:
        needed = items_needed(
            effect,
            standard_deviation=error * math.sqrt(n_items),
            alpha=alpha,
            power=options.power,
            items_per_group=n_items / pair.groups.n_groups,
        )
        if needed is not None and needed > n_items:
            return needed, effect
    return None, None


def _new_seeds(pair: _Pair, tables: tuple[Floats, Floats], options: InferenceOptions) -> tuple[float, float] | None:
    """The fixed-items interval on the pair's items, where both methods were run with several seeds."""
    if max(table.shape[1] for table in tables) < 2 or not pair.common.any():
        return None
    found = fixed_items_interval(*(table[pair.common] for table in tables), level=1 - options.alpha)
    return None if found.low is None or found.high is None else (found.low, found.high)


def _not_run(pair: _Pair) -> tuple[int, tuple[float, float] | None]:
    """How many items one of the two was not run on, and what these could have made of the difference."""
    missing = np.isnan(pair.means)
    nowhere = np.zeros(len(missing), dtype=np.bool_)
    not_run = np.stack([pair.metric.not_run.get(name, nowhere) for name in (pair.a, pair.b)], axis=1)
    undefined = (missing & ~not_run).any(axis=1)
    n_not_run = int((missing.any(axis=1) & ~undefined).sum())
    if not n_not_run or pair.metric.range is None:
        return n_not_run, None
    return n_not_run, missing_bounds(pair.means[~undefined, 0], pair.means[~undefined, 1], pair.metric.range)


def missing_bounds(values_a: Floats, values_b: Floats, extremes: tuple[float, float]) -> tuple[float, float]:
    """Least and greatest mean difference b − a that the missing scores of a bounded metric could make.

    Args:
        values_a: ``(n,)``, not empty; NaN marks a missing score.
        values_b: ``(n,)``.
        extremes: Least and greatest value of the metric.

    >>> missing_bounds(np.array([0.5, np.nan]), np.array([0.7, 0.4]), (0, 1))
    (-0.2, 0.3)
    """
    lowest, highest = extremes
    least = np.where(np.isnan(values_b), lowest, values_b) - np.where(np.isnan(values_a), highest, values_a)
    most = np.where(np.isnan(values_b), highest, values_b) - np.where(np.isnan(values_a), lowest, values_a)
    return float(least.mean()), float(most.mean())


def _reason(n_items: int, n_groups: int, tie: int, of_test: str | None, effect: float | None) -> str | None:
    """Why a comparison lacks a figure, or could not have been significant; None if neither."""
    if n_items and tie == n_items:
        return "both have the same score on every item"
    if of_test is not None:
        return of_test
    if n_groups == 1:
        return "one group only: no spread between groups can be known"
    return None if effect is not None else "all differences are the same: there is no spread to measure an effect by"
