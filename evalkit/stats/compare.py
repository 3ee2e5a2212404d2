"""The one pipeline of inference: any number of methods on the same items, pair by pair, corrected as families.

What it decides is the one source of every later statement: ranks (`ranking`), sentences, figures and boards read these
decisions and test nothing themselves.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Any

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.clusters import ClusterError, Groups, Labels, code_groups
from evalkit.stats.labelled import PREDICTION_POWERED, Labelled, labelled_of
from evalkit.stats.multiplicity import Corrected, correct_families
from evalkit.stats.pairs import Paired, PairTests, complete_cases, equivalences, new_seeds, not_run, pair_tests
from evalkit.stats.permutation import N_PERMUTATIONS, SignFlip, sign_flip_tests
from evalkit.stats.power import groups_needed, items_needed, minimum_detectable_effect
from evalkit.stats.records import Floor, PairComparison, VerdictName
from evalkit.stats.scores import InferenceOptions, MetricScores
from evalkit.stats.verdicts import decide

FAMILY_EXACT_STEPS = 20_000
"""Among many methods only coarse scores (ratings, successes) are counted exactly: pair by pair it takes its time."""
MANY_COLUMNS, N_PERMUTATIONS_MANY = 60, 9_999
"""With more pairs × metrics than this fewer permutations are drawn."""
PAIRS_AT_ONCE = 256
"""Pairs that share the bootstrap resamples of their tests of equivalence."""


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
    columns = [_on_common_items(metric) for metric in metrics]
    flips = _flip_signs(metrics, columns, chosen, coded, options)
    labelled = [labelled_of(metric, coded) for metric in metrics]

    def pairs() -> Iterator[Paired]:  # made twice rather than kept: there may be many, of many items
        for metric, steps, labels in zip(metrics, columns, labelled, strict=True):
            yield from (_pair(metric, pair, steps, coded, labels) for pair in chosen)

    tests: list[PairTests] = []
    remaining = pairs()
    while batch := list(islice(remaining, PAIRS_AT_ONCE)):
        some = zip(batch, flips[len(tests) :], equivalences(batch, options), strict=False)
        tests += [pair_tests(*each, options) for each in some]
    corrected = correct_families(
        [test.p_value for test in tests],
        [test.equivalence.p_value if test.equivalence else None for test in tests],
        [metric.primary for metric in metrics for _ in chosen],
        options.correction,
        alpha=options.alpha,
        max_t=[test.max_t_p_value for test in tests],
    )
    return tuple(_compared(*each, options) for each in zip(pairs(), tests, corrected, strict=True))


def permutations_for(n_columns: int, options: InferenceOptions) -> int:
    """How many random permutations are drawn, where they are not all looked at, for so many pairs × metrics."""
    if options.n_permutations is not None:
        return options.n_permutations
    return N_PERMUTATIONS if n_columns <= MANY_COLUMNS else N_PERMUTATIONS_MANY


def _chosen(names: Sequence[str], baseline: str | None) -> list[tuple[int, int]]:
    """Indices of every two methods, or of the baseline and each other one."""
    if len(names) < 2 or (baseline is not None and baseline not in names):
        raise OptionError(f"A comparison needs two methods or more, the baseline among them; got {names}, {baseline}.")
    if baseline is None:
        return list(combinations(range(len(names)), 2))
    first = names.index(baseline)
    return [(first, other) for other in range(len(names)) if other != first]


def _on_common_items(metric: MetricScores) -> Floats:
    """The scores in steps, NaN on the items that a method which can be ranked has no value for."""
    ranked = [name not in metric.unranked for name in metric.scores]
    return np.where(np.isnan(metric.steps[:, ranked]).any(axis=1, keepdims=True), np.nan, metric.steps)


def _flip_signs(
    metrics: Sequence[MetricScores],
    columns: Sequence[Floats],
    chosen: Sequence[tuple[int, int]],
    groups: Groups,
    options: InferenceOptions,
) -> Sequence[SignFlip | None]:
    """The sign-flip test of every pair on every metric; None each where another test is made."""
    if options.test != "sign_flip":
        return [None] * (len(metrics) * len(chosen))
    n_methods, n_pairs = len(metrics[0].scores), len(chosen)
    flipped = [number for number, metric in enumerate(metrics) if metric.assisted_by is None]
    size = {of: len(chosen) * sum(metric.primary == of for metric in metrics) for of in (True, False)}
    found = sign_flip_tests(
        np.concatenate(columns, axis=1),
        groups,
        [(m * n_methods + a, m * n_methods + b) for m in flipped for a, b in chosen],
        alpha=options.alpha,
        n_permutations=permutations_for(len(metrics) * len(chosen), options),
        seed=options.seed,
        exact_steps=signs.EXACT_STEPS if n_methods == 2 else FAMILY_EXACT_STEPS,
        n_tests=[1 if options.correction == "none" else size[metrics[m].primary] for m in flipped for _ in chosen],
        max_t_families=[int(metrics[m].primary) for m in flipped for _ in chosen]
        if options.correction == "maxt"
        else None,
    )
    of_metric = {m: found[at * n_pairs : (at + 1) * n_pairs] for at, m in enumerate(flipped)}
    return [flip for m in range(len(metrics)) for flip in of_metric.get(m, [None] * n_pairs)]


def _pair(
    metric: MetricScores, pair: tuple[int, int], steps: Floats, groups: Groups, labelled: Labelled | None
) -> Paired:
    """Two methods' scores, in their own unit."""
    names, difference = list(metric.scores), steps[:, pair[1]] - steps[:, pair[0]]
    if labelled is not None:
        difference = np.where(labelled.labelled_items(pair), difference, np.nan)
    common = np.logical_not(np.isnan(difference))
    return Paired(
        metric=metric,
        a=names[pair[0]],
        b=names[pair[1]],
        means=metric.means[:, pair],
        common=common,
        differences=difference[common] / (1 / metric.grid),
        groups=groups.where(common),
        labelled=labelled,
    )


def _compared(pair: Paired, tests: PairTests, corrected: Corrected, options: InferenceOptions) -> PairComparison:
    """The record of one pair, filled once."""
    verdict, significant, equivalent = _decide(pair, tests, corrected, options)
    signs_of = np.sign(pair.differences if pair.metric.higher_is_better else -pair.differences)
    return PairComparison(
        metric=pair.metric.metric,
        a=pair.a,
        b=pair.b,
        n_total=len(pair.common),
        n_seeds=max(table.shape[1] for table in pair.tables),
        ci_low=tests.low,
        ci_high=tests.high,
        p_value=tests.p_value,
        adjusted_p_value=corrected.p_value,
        n_comparisons=corrected.n_comparisons,
        how=tests.how,
        effect_size_dz=_standardised(pair.differences),
        rank_biserial=tests.rank_biserial,
        win=int((signs_of > 0).sum()),
        tie=int((signs_of == 0).sum()),
        loss=int((signs_of < 0).sum()),
        minimum_detectable_effect=_detectable(pair, tests.error, corrected.level, options),
        margin=pair.metric.margin,
        equivalence_p_value=corrected.equivalence_p_value,
        equivalent=equivalent,
        skewness_ratio=tests.equivalence.skewness_ratio if tests.equivalence else None,
        new_seeds=new_seeds(pair, tests, options),
        seed_effect=tests.seed_effect,
        items_needed=_needed(pair, tests.error, corrected.level, options) if verdict == "inconclusive" else None,
        floor=_floor(tests, corrected, options),
        verdict=verdict,
        undirected=significant and verdict == "inconclusive",
        practically_equivalent=significant and verdict == "equivalent",
        reason=tests.reason,
        **_means(pair, tests),
        **_missing(pair, options),
    )


def _means(pair: Paired, tests: PairTests) -> dict[str, Any]:
    """The fields that say how large the difference is, and of how many items."""
    if (of_labels := tests.of_labels) is not None:
        fields = ("n_items", "n_groups", "mean_a", "mean_b", "difference")
        return {**{name: getattr(of_labels, name) for name in fields}, "labels": of_labels.alone}
    mean_a, mean_b = pair.means[pair.common].mean(axis=0).tolist() if pair.n_items else (None, None)
    counts = {"n_items": pair.n_items, "n_groups": pair.groups.n_groups}
    return {**counts, "mean_a": mean_a, "mean_b": mean_b, "difference": pair.difference}


def _missing(pair: Paired, options: InferenceOptions) -> dict[str, Any]:
    """The fields about items that were not run, or failed."""
    n_not_run, bounds = not_run(pair)
    n_failed, complete = complete_cases(pair, options)
    return {"n_not_run": n_not_run, "bounds": bounds, "n_failed": n_failed, "complete_cases": complete}


def _decide(
    pair: Paired, tests: PairTests, corrected: Corrected, options: InferenceOptions
) -> tuple[VerdictName, bool, bool | None]:
    """`decide` of what was tested: the mean difference, or of ranks their balance."""
    if tests.rank_biserial is None:
        difference = tests.of_labels.difference if tests.of_labels else pair.difference
        effect, low, high = difference or 0.0, tests.low, tests.high
        effect = effect if pair.metric.higher_is_better else -effect
    else:
        effect, low, high = tests.rank_biserial.value or 0.0, tests.rank_biserial.low, tests.rank_biserial.high
    return decide(
        effect,
        (low, high),
        corrected,
        alpha=options.alpha,
        tests_equivalence=tests.equivalence is not None,
        direction_known=pair.metric.direction_known,
    )


def _detectable(pair: Paired, error: ClusterError | None, level: float, options: InferenceOptions) -> float | None:
    if error is None or not error.error:
        return None
    return minimum_detectable_effect(
        standard_error=error.error,
        degrees_of_freedom=error.freedom,
        alpha=level,
        power=options.power,
        n_groups=None if options.test == "t" or pair.labelled else pair.groups.n_groups,
    )


def _standardised(differences: Floats) -> float | None:
    """The standardised effect ``d̄/s_d``: the mean difference over the differences' standard deviation."""
    if len(differences) < 2 or (differences == differences[0]).all():
        return None
    return float(differences.mean() / differences.std(ddof=1))


def _needed(pair: Paired, error: ClusterError | None, level: float, options: InferenceOptions) -> int | None:
    """Items, grouped as these are, on which a difference as large as the margin would be found; None if these are."""
    margin, n_items = pair.metric.margin, pair.n_items
    if margin is None or pair.labelled is not None or error is None or not error.error:
        return None
    needed = items_needed(
        margin,
        standard_deviation=error.error * n_items**0.5,
        alpha=level,
        power=options.power,
        group_sizes=pair.groups.sizes,
    )
    return needed if needed is not None and needed > n_items else None


def _floor(tests: PairTests, corrected: Corrected, options: InferenceOptions) -> Floor | None:
    """Why so few groups could not have shown anything, at the corrected level."""
    if tests.how in (None, "group_t", "crossed_t", PREDICTION_POWERED):
        return None
    smallest = min(1.0, corrected.factor * signs.positive(2.0 ** (1 - tests.n_differing)))
    if smallest <= options.alpha:
        return None
    return Floor(
        smallest_p_value=smallest,
        n_differing=tests.n_differing,
        groups_needed=groups_needed(options.alpha / corrected.factor),
    )
