"""The one pipeline of inference: any number of methods on the same items, pair by pair, corrected as families."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.clusters import ClusterError, Groups, Labels, cluster_error, code_groups, to_steps
from evalkit.stats.equivalence import Equivalence, equivalence_test
from evalkit.stats.intervals import group_t_interval
from evalkit.stats.multiplicity import Corrected, correct_families, permutations_needed
from evalkit.stats.permutation import (
    MANY_GROUPS,
    N_PERMUTATIONS_MANY_GROUPS,
    SignFlip,
    default_permutations,
    sign_flip_tests,
)
from evalkit.stats.power import items_needed, minimum_detectable_effect
from evalkit.stats.rank_tests import sign_test, t_test, wilcoxon_signed_rank
from evalkit.stats.records import PairComparison, Verdict, VerdictName
from evalkit.stats.scores import InferenceOptions, MetricScores, item_means
from evalkit.stats.seeds import fixed_items_interval

FAMILY_EXACT_STEPS = 20_000
"""Among many methods only coarse scores (ratings, successes) are counted exactly: pair by pair it takes its time."""
MANY_COLUMNS = 60
"""With more pairs × metrics than this, no more permutations are drawn than the corrected p-values need."""


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
    """Of the same items."""
    common: Mask
    """``(n,)``, which items these are."""

    @property
    def differences(self) -> Floats:
        """``(items,)`` of b − a, as scores that lie on the metric's grid have them."""
        steps = to_steps(self.scores, self.metric.grid)
        return (steps[:, 1] - steps[:, 0]) / (1 / self.metric.grid)

    @property
    def tables(self) -> tuple[Floats, Floats]:
        """All scores of the first and of the second method, ``(n, seeds)`` each, NaN where there is none."""
        return self.metric.scores[self.a], self.metric.scores[self.b]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tests:
    """What testing one pair on one metric gave, before any correction for the number of pairs."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    max_t_p_value: float | None
    how: str | None
    reason: str | None
    sensitivity: Mapping[str, float | None]
    equivalence: Equivalence | None


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
        OptionError: Fewer than two methods, an unknown baseline, lengths that differ, or an option out of range.

    >>> scores = {"a": np.array([[0.1, 0.2, 0.3, 0.1, 0.2, 0.1]]).T, "b": np.array([[0.3, 0.3, 0.5, 0.2, 0.6, 0.2]]).T}
    >>> metric = MetricScores(metric="score", scores=scores, higher_is_better=True)
    >>> (pair,) = compare_methods([metric], range(6), InferenceOptions())
    >>> pair.verdict, pair.p_value, pair.win
    ('b_better', 0.03125, 6)
    """
    coded, names = code_groups(groups), list(metrics[0].scores)
    chosen = _chosen(names, options.baseline)
    means = [np.stack([item_means(x * metric.unit) for x in metric.scores.values()], axis=1) for metric in metrics]
    scores = [_on_common_items(metric, columns) for metric, columns in zip(metrics, means, strict=True)]
    flips = sign_flip_tests(
        np.concatenate(scores, axis=1),
        coded,
        [(first + a, first + b) for first in range(0, len(metrics) * len(names), len(names)) for a, b in chosen],
        alpha=options.alpha,
        n_permutations=permutations_for(metrics, len(chosen), coded.n_groups, options),
        seed=options.seed,
        exact_steps=signs.EXACT_STEPS if len(names) == 2 else FAMILY_EXACT_STEPS,
        max_t_families=[int(m.primary) for m in metrics for _ in chosen] if options.correction == "maxt" else None,
    )

    def pairs() -> Iterator[_Pair]:  # made twice rather than kept: there may be many, of many items
        for metric, all_items, common in zip(metrics, means, scores, strict=True):
            yield from (_pair(metric, (a, b), all_items, common, coded) for a, b in chosen)

    tests = [_tested(pair, flip, options) for pair, flip in zip(pairs(), flips, strict=True)]
    corrected = correct_families(
        [test.p_value for test in tests],
        [test.equivalence.p_value if test.equivalence else None for test in tests],
        [metric.primary for metric in metrics for _ in chosen],
        options.correction,
        alpha=options.alpha,
        max_t=[test.max_t_p_value for test in tests],
    )
    return tuple(_compared(*each, options) for each in zip(pairs(), tests, corrected, strict=True))


def permutations_for(metrics: Sequence[MetricScores], n_pairs: int, n_groups: int, options: InferenceOptions) -> int:
    """How many random permutations, where they are not all looked at: fewer where many columns have to be kept."""
    if options.n_permutations is not None:
        return options.n_permutations
    if n_groups > MANY_GROUPS or n_pairs * len(metrics) <= MANY_COLUMNS:
        return default_permutations(n_groups)
    n_primary = sum(metric.primary for metric in metrics)
    return max(N_PERMUTATIONS_MANY_GROUPS, permutations_needed(n_pairs * n_primary, options.alpha))


def _chosen(names: Sequence[str], baseline: str | None) -> list[tuple[int, int]]:
    """Indices of every two methods, or of the baseline and each other one."""
    if len(names) < 2 or (baseline is not None and baseline not in names):
        raise OptionError(f"A comparison needs two methods or more, the baseline among them; got {names}, {baseline}.")
    if baseline is None:
        return list(combinations(range(len(names)), 2))
    first = names.index(baseline)
    return [(first, other) for other in range(len(names)) if other != first]


def _on_common_items(metric: MetricScores, means: Floats) -> Floats:
    """The means, NaN on the items that a method which can be ranked has no value for."""
    ranked = [name not in metric.unranked for name in metric.scores]
    return np.where(np.isnan(means[:, ranked]).any(axis=1, keepdims=True), np.nan, means)


def _pair(metric: MetricScores, pair: tuple[int, int], means: Floats, scores: Floats, groups: Groups) -> _Pair:
    """Two methods' scores, in their own unit."""
    names, both = list(metric.scores), scores[:, pair] / metric.unit
    common = np.logical_not(np.isnan(both).any(axis=1))
    return _Pair(
        metric=metric,
        a=names[pair[0]],
        b=names[pair[1]],
        means=means[:, pair] / metric.unit,
        scores=both[common],
        groups=groups.where(common),
        common=common,
    )


def _tested(pair: _Pair, flip: SignFlip, options: InferenceOptions) -> _Tests:
    """The tests of one pair: the one that was asked for, those that stand beside it, and that of equivalence."""
    sensitivity, margin = _sensitivity(pair), pair.metric.margin
    difference, low, high = (
        None if x is None else x / pair.metric.unit for x in (flip.difference, flip.low, flip.high)
    )
    p_value, how, reason = flip.p_value, flip.how and str(flip.how), flip.reason
    if options.test == "wilcoxon" and p_value is not None:
        p_value, how, reason = sensitivity["wilcoxon"], "group_signed_rank", None
    elif options.test == "t" and p_value is not None:
        interval = group_t_interval(pair.scores[:, 1] - pair.scores[:, 0], pair.groups, level=1 - options.alpha)
        low, high, p_value, how = interval.low, interval.high, sensitivity["paired_t"], "group_t"
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
        else equivalence_test(
            pair.differences, pair.groups, margin=margin, alpha=options.alpha, is_rate=pair.metric.is_rate
        ),
    )


def _sensitivity(pair: _Pair) -> dict[str, float | None]:
    """P-values of the tests that stand beside the primary one."""
    differences, grid = pair.scores[:, 1] - pair.scores[:, 0], pair.metric.grid
    found = {
        "wilcoxon": wilcoxon_signed_rank(differences, pair.groups, grid=grid),
        "sign": sign_test(differences, pair.groups, grid=grid),
        "paired_t": t_test(differences, pair.groups, grid=grid),
    }
    if len(pair.scores) and np.isin(pair.scores, (0, 1)).all():
        found["mcnemar"] = found["sign"]  # of successes and failures the sign test is McNemar's
    return found


def _compared(pair: _Pair, tests: _Tests, corrected: Corrected, options: InferenceOptions) -> PairComparison:
    """The record of one pair, filled once."""
    differences, n_groups, n_items = pair.differences, pair.groups.n_groups, len(pair.scores)
    signs = np.sign(differences if pair.metric.higher_is_better else -differences)
    spread = cluster_error(differences, pair.groups) or ClusterError(error=0.0, freedom=0.0)
    verdict, (n_not_run, bounds) = _verdict(pair, tests, corrected, spread.error, options), _not_run(pair)
    effect = _detectable(spread, n_groups, corrected.alpha, options)
    return PairComparison(
        metric=pair.metric.metric,
        a=pair.a,
        b=pair.b,
        n_items=n_items,
        n_groups=n_groups,
        n_seeds=max(table.shape[1] for table in pair.tables),
        mean_a=float(pair.scores[:, 0].mean()) if n_items else None,
        mean_b=float(pair.scores[:, 1].mean()) if n_items else None,
        difference=tests.difference,
        ci_low=tests.low,
        ci_high=tests.high,
        p_value=tests.p_value,
        adjusted_p_value=corrected.p_value,
        n_comparisons=corrected.n_comparisons,
        how=tests.how,
        effect_size_dz=_standardised(differences),
        win=int((signs > 0).sum()),
        tie=int((signs == 0).sum()),
        loss=int((signs < 0).sum()),
        minimum_detectable_effect=effect,
        equivalence_p_value=corrected.equivalence_p_value,
        equivalent=verdict.equivalent,
        new_seeds=_new_seeds(pair, options),
        n_not_run=n_not_run,
        bounds=bounds,
        items_needed=verdict.items_needed,
        items_needed_for=verdict.items_needed_for,
        verdict=verdict.verdict,
        explanation=verdict.explanation,
        practically_equivalent=verdict.significant and verdict.verdict == "equivalent",
        sensitivity=tests.sensitivity,
        reason=_reason(signs, n_groups, tests, spread.error, effect),
    )


def _detectable(spread: ClusterError, n_groups: int, alpha: float, options: InferenceOptions) -> float | None:
    if not spread.error:
        return None
    floor = None if options.test == "t" else n_groups
    return minimum_detectable_effect(
        standard_error=spread.error, degrees_of_freedom=spread.freedom, alpha=alpha, power=options.power, n_groups=floor
    )


def _standardised(differences: Floats) -> float | None:
    """The standardised effect ``d̄/s_d``: the mean difference over the differences' standard deviation."""
    if len(differences) < 2 or (differences == differences[0]).all():
        return None
    return float(differences.mean() / differences.std(ddof=1))


def _verdict(pair: _Pair, tests: _Tests, corrected: Corrected, error: float, options: InferenceOptions) -> Verdict:
    """What the adjusted p-values support; identical scores are equivalent at any margin."""
    identical = pair.groups.n_groups > 1 and not pair.differences.any()
    significant = corrected.p_value is not None and corrected.p_value <= options.alpha
    equivalent = True if identical else None if tests.equivalence is None else tests.equivalence.equivalent
    if corrected.equivalence_p_value is not None:
        equivalent = identical or corrected.equivalence_p_value <= options.alpha
    needed = None if significant or equivalent or not error else _needed(pair, tests, error, corrected.alpha, options)
    difference = tests.difference or 0.0
    return decide(
        oriented_difference=difference if pair.metric.higher_is_better else -difference,
        significant=significant,
        equivalent=equivalent,
        reason=tests.reason,
        needed=needed,
    )


def _needed(
    pair: _Pair, tests: _Tests, error: float, alpha: float, options: InferenceOptions
) -> tuple[int, float] | None:
    """Items, grouped as these are, that would find the margin; where these should have, the observed difference."""
    n_items = len(pair.scores)
    for effect in (pair.metric.margin, abs(tests.difference or 0.0)):
        needed = effect and items_needed(
            effect,
            standard_deviation=error * math.sqrt(n_items),
            alpha=alpha,
            power=options.power,
            group_sizes=pair.groups.sizes,
        )
        if effect and needed and needed > n_items:
            return int(needed), effect
    return None


def _new_seeds(pair: _Pair, options: InferenceOptions) -> tuple[float, float] | None:
    """The fixed-items interval on the pair's items, where both methods were run with several seeds."""
    if max(table.shape[1] for table in pair.tables) < 2 or not pair.common.any():
        return None
    interval = fixed_items_interval(*(table[pair.common] for table in pair.tables), level=1 - options.alpha)
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)


def _not_run(pair: _Pair) -> tuple[int, tuple[float, float] | None]:
    """How many items one of the two was not run on, and the least and greatest difference that these could make."""
    missing = np.isnan(pair.means)
    nowhere = np.zeros(len(missing), dtype=np.bool_)
    not_run = np.stack([pair.metric.not_run.get(name, nowhere) for name in (pair.a, pair.b)], axis=1)
    defined = ~(missing & ~not_run).any(axis=1)
    n_not_run = int((missing.any(axis=1) & defined).sum())
    low, high = pair.metric.range
    if not n_not_run or low is None or high is None:
        return n_not_run, None
    lowest, highest = (np.where(missing, end, pair.means)[defined] for end in (low, high))
    return n_not_run, (float((lowest[:, 1] - highest[:, 0]).mean()), float((highest[:, 1] - lowest[:, 0]).mean()))


def _reason(signs: Floats, n_groups: int, tests: _Tests, error: float, effect: float | None) -> str | None:
    """Why a comparison lacks a figure, or could not have been significant; None if neither."""
    if len(signs) and not signs.any():
        return "both have the same score on every item"
    if tests.reason is not None:
        return tests.reason
    if n_groups == 1:
        return "one group only: no spread between groups can be known"
    if not error:
        return "all differences are the same: there is no spread to measure an effect by"
    if tests.low is None:
        return "no finite interval at this level"
    return f"cannot reach the corrected level with {n_groups} groups" if effect is None else None


def decide(
    *,
    oriented_difference: float,
    significant: bool,
    equivalent: bool | None,
    reason: str | None = None,
    needed: tuple[int, float] | None = None,
) -> Verdict:
    """Combine a test of difference with a test of equivalence.

    | | equivalence shown | not shown |
    |---|---|---|
    | difference shown | equivalent ("statistically different, practically equivalent") | a or b better |
    | not shown | equivalent | inconclusive |

    Args:
        oriented_difference: b − a, with the sign turned so that positive means that b is better.
        significant: Whether the difference is established.
        equivalent: Whether equivalence is; None without a margin.
        reason: Why the data could not have shown a difference, if so.
        needed: Items that would decide, and the difference that they would find.

    >>> decide(oriented_difference=0.1, significant=True, equivalent=None).verdict
    'b_better'
    >>> decide(oriented_difference=0.1, significant=True, equivalent=True).explanation
    'statistically different, practically equivalent'
    """
    if equivalent:
        same = "the difference lies inside the margin" if oriented_difference else "there is no difference at all"
        explanation = "statistically different, practically equivalent" if significant else same
        return Verdict(verdict="equivalent", significant=significant, equivalent=True, explanation=explanation)
    if significant and oriented_difference:
        name: VerdictName = "b_better" if oriented_difference > 0 else "a_better"
        return Verdict(verdict=name, significant=True, equivalent=equivalent, explanation=f"{name[0]} is better")
    parts = ["neither a difference nor equivalence is shown" if equivalent is False else "no difference is shown"]
    if reason is not None:
        parts.append(reason)
    if needed is not None:
        parts.append(f"about {needed[0]:,} items would decide for a difference of {needed[1]:.3g}")
    return Verdict(
        verdict="inconclusive",
        significant=significant,
        equivalent=equivalent,
        explanation="; ".join(parts),
        items_needed=needed[0] if needed else None,
        items_needed_for=needed[1] if needed else None,
    )
