"""One pair of methods on one metric: the test that was asked for, and what stands beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.stats import signs
from evalkit.stats.clusters import ClusterError, Groups, cluster_error
from evalkit.stats.equivalence import Equivalence, equivalence_tests
from evalkit.stats.intervals import Estimate, group_t_interval
from evalkit.stats.labelled import (
    PREDICTION_POWERED,
    TOO_FEW_LABELS,
    Labelled,
    ends_of,
    equivalence_of,
    labels_alone,
    two_sided_p,
)
from evalkit.stats.permutation import SignFlip, sign_flip_test
from evalkit.stats.rank_tests import rank_biserial, t_test, wilcoxon_signed_rank
from evalkit.stats.records import CompleteCases, LabelsAlone
from evalkit.stats.scores import InferenceOptions, MetricScores
from evalkit.stats.seeds import CrossedError, SeedInterval, crossed_error, crossed_seed_effect, fixed_items_interval

SEEDS_SHIFT_ALL = "seeds seem to shift all items together: more seeds are needed to show equivalence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two methods' scores on one metric."""

    metric: MetricScores
    a: str
    b: str
    means: Floats
    """``(n, 2)`` of all items, NaN where there is no value."""
    common: Mask
    """``(n,)``, the items that the pair is compared on."""
    differences: Floats
    """``(items,)`` of b − a on these, as scores that lie on the metric's grid have them."""
    groups: Groups
    """Of the same items."""
    labelled: Labelled | None = None
    """Where the scores are people's labels of some of the items."""

    @property
    def n_items(self) -> int:
        """How many items these are."""
        return len(self.differences)

    @property
    def difference(self) -> float | None:
        """The mean; None without items."""
        return float(self.differences.mean()) if self.n_items else None

    @property
    def numbers(self) -> tuple[int, int]:
        """Which of the methods they are."""
        names = list(self.metric.scores)
        return names.index(self.a), names.index(self.b)

    @property
    def tables(self) -> tuple[Floats, Floats]:
        """All scores of the first and of the second method, ``(n, seeds)`` each, NaN where there is none."""
        return self.metric.scores[self.a], self.metric.scores[self.b]

    @property
    def seeds_paired(self) -> bool:
        """Whether the columns of both tables are the same seeds, and every item of the pair has the same of them."""
        labels = self.metric.seed_labels.get(self.a)
        if labels is None or labels != self.metric.seed_labels.get(self.b):
            return False
        first, second = (np.isfinite(table[self.common]) for table in self.tables)
        return bool((first == second).all())

    @property
    def width(self) -> float | None:
        """The largest difference that the metric's range allows."""
        return self.metric.width


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTests:
    """What testing one pair on one metric gave, before any correction for the number of pairs."""

    low: float | None
    high: float | None
    p_value: float | None
    max_t_p_value: float | None = None
    how: str | None
    reason: str | None
    n_differing: int
    rank_biserial: Estimate | None = None
    equivalence: Equivalence | None = None
    error: ClusterError | None = None
    """Of the mean difference."""
    seed_effect: float | None = None
    of_labels: "LabelledTest | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTest:
    """What people would say of all items that a pair is compared on."""

    n_items: int
    n_groups: int
    mean_a: float | None
    mean_b: float | None
    difference: float
    alone: LabelsAlone | None


def equivalences(pairs: Sequence[Paired], options: InferenceOptions) -> list[Equivalence | None]:
    """Tests of equivalence, those on the same items at once; None where no margin was declared."""
    found: list[Equivalence | None] = [None] * len(pairs)
    together: dict[tuple[str, bytes], list[int]] = {}
    for number, pair in enumerate(pairs):
        if pair.metric.margin is not None and pair.labelled is None:
            together.setdefault((pair.metric.metric, pair.common.tobytes()), []).append(number)
    for numbers in together.values():
        first = pairs[numbers[0]]
        tests = equivalence_tests(
            np.stack([pairs[number].differences for number in numbers], axis=1),
            first.groups,
            margin=first.metric.margin or 0.0,
            alpha=options.alpha,
            is_rate=first.metric.is_rate,
            width=first.width,
            n_resamples=options.n_resamples,
            seed=options.seed,
        )
        for number, test in zip(numbers, tests, strict=True):
            found[number] = test
    return found


def pair_tests(
    pair: Paired, flip: SignFlip | None, equivalence: Equivalence | None, options: InferenceOptions
) -> PairTests:
    """The test of difference that was asked for, with that of equivalence beside it."""
    if pair.labelled is not None:
        return _labelled_tested(pair, pair.labelled, options)
    error = cluster_error(pair.differences, pair.groups)
    crossed = None if options.test == "wilcoxon" else _crossed(pair)
    if crossed is not None:
        return _crossed_tested(pair, crossed, options, equivalence)
    if flip is not None:
        low, high = (None if steps is None else steps / (1 / pair.metric.grid) for steps in (flip.low, flip.high))
        return PairTests(
            low=low,
            high=high,
            p_value=flip.p_value,
            max_t_p_value=flip.max_t_p_value,
            how=flip.how,
            reason=flip.reason,
            n_differing=flip.n_differing,
            equivalence=equivalence,
            error=error,
        )
    return replace(
        (_t_tested if options.test == "t" else _rank_tested)(pair, options), equivalence=equivalence, error=error
    )


def _crossed(pair: Paired) -> CrossedError | None:
    """The error of a pair whose seeds count as a sample too; None where they do not."""
    labelled = pair.metric.seed_labels
    if pair.seeds_paired:
        first, second = (table[pair.common] for table in pair.tables)
        tables = [second - first]
    else:
        tables = [pair.metric.scores[name][pair.common] for name in (pair.a, pair.b) if labelled.get(name) is not None]
    effects = [crossed_seed_effect(table, pair.groups) for table in tables]
    if not any(effect is not None and effect.counts_in_tests for effect in effects):
        return None
    return crossed_error(pair.differences, tables, pair.groups)


def _crossed_tested(
    pair: Paired, crossed: CrossedError, options: InferenceOptions, equivalence: Equivalence | None
) -> PairTests:
    """Flipping the signs of groups leaves what all of them share where it is, and so cannot test it: a t test does."""
    from scipy.special import stdtr, stdtrit

    mean, width = float(pair.differences.mean()), pair.width or np.inf
    half = float(stdtrit(crossed.freedom, 1 - options.alpha / 2)) * crossed.error
    return PairTests(
        low=max(-width, mean - half),
        high=min(width, mean + half),
        p_value=signs.positive(2 * float(stdtr(crossed.freedom, -abs(mean) / crossed.error))),
        how="crossed_t",
        reason=None,
        n_differing=pair.groups.n_groups,
        equivalence=None if equivalence is None else replace(equivalence, p_value=None, reason=SEEDS_SHIFT_ALL),
        error=ClusterError(error=crossed.error, freedom=crossed.freedom),
        seed_effect=crossed.seed_effect,
    )


def _labelled_tested(pair: Paired, labelled: Labelled, options: InferenceOptions) -> PairTests:
    """Labels of some items with a metric of all: flipping signs needs a difference of every item, a t test does not."""
    numbers, width = pair.numbers, pair.width or np.inf
    found = labelled.difference(numbers)
    if found is None:
        n_groups = pair.groups.n_groups
        return PairTests(low=None, high=None, p_value=None, how=None, reason=TOO_FEW_LABELS, n_differing=n_groups)
    if not found.error.error:
        return _flipped_labels(pair, labelled, options)
    low, high = ends_of(found, options.alpha)
    spoken_of, kept = labelled.spoken_of(numbers), np.logical_not(np.isnan(labelled.scores[:, numbers]).any(axis=1))
    mean_a, mean_b = (labelled.mean(number, kept) for number in numbers)
    return PairTests(
        low=max(-width, low),
        high=min(width, high),
        p_value=two_sided_p(found.value, found.error),
        how=PREDICTION_POWERED,
        reason=None,
        n_differing=pair.groups.n_groups,
        equivalence=equivalence_of(found, pair.metric.margin, options.alpha),
        error=found.error,
        of_labels=LabelledTest(
            n_items=len(spoken_of),
            n_groups=spoken_of.n_groups,
            mean_a=mean_a,
            mean_b=mean_b,
            difference=found.value,
            alone=labels_alone(labelled, numbers, found, options.alpha),
        ),
    )


def _flipped_labels(pair: Paired, labelled: Labelled, options: InferenceOptions) -> PairTests:
    """Labels of which all groups differ by the same: no t test has an error to go by, flipping their signs needs none.

    Nothing of the metric is taken then, so that this is about the labelled items.
    """
    flip = sign_flip_test(pair.differences, pair.groups, alpha=options.alpha, seed=options.seed, grid=pair.metric.grid)
    mean_a, mean_b = pair.means[pair.common].mean(axis=0).tolist()
    difference = float(pair.differences.mean())
    return PairTests(
        low=None,
        high=None,
        p_value=flip.p_value,
        how=flip.how,
        reason=flip.reason,
        n_differing=flip.n_differing,
        of_labels=LabelledTest(
            n_items=pair.n_items,
            n_groups=pair.groups.n_groups,
            mean_a=mean_a,
            mean_b=mean_b,
            difference=difference,
            alone=LabelsAlone(
                n_items=pair.n_items,
                n_groups=pair.groups.n_groups,
                difference=difference,
                ci_low=None,
                ci_high=None,
                p_value=flip.p_value,
                metric=labelled.metric,
                coefficient=0.0,
                weight=0.0,
                correlation=labelled.tuning.correlation,
                n_worth=None,
                reason=labelled.tuning.reason,
            ),
        ),
    )


def _t_tested(pair: Paired, options: InferenceOptions) -> PairTests:
    width = pair.width
    interval = group_t_interval(
        pair.differences,
        pair.groups,
        level=1 - options.alpha,
        bounds=(None, None) if width is None else (-width, width),
    )
    p_value = t_test(pair.differences, pair.groups, grid=pair.metric.grid)
    return PairTests(
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        how=None if p_value is None else "group_t",
        reason=interval.reason or (None if p_value is not None else "the groups show no spread to test with"),
        n_differing=pair.groups.n_groups,
    )


def _rank_tested(pair: Paired, options: InferenceOptions) -> PairTests:
    """Ranks say nothing about the mean, which therefore has no interval here."""
    grid = pair.metric.grid
    p_value = wilcoxon_signed_rank(pair.differences, pair.groups, grid=grid)
    oriented = pair.differences if pair.metric.higher_is_better else -pair.differences
    effect = rank_biserial(oriented, pair.groups, grid=grid, level=1 - options.alpha)
    return PairTests(
        low=None,
        high=None,
        p_value=p_value,
        how=None if p_value is None else "group_signed_rank",
        reason="no item has both scores" if p_value is None else effect.reason or "ranks say nothing about the mean",
        n_differing=int(np.count_nonzero(pair.groups.sums(np.abs(pair.differences)))),
        rank_biserial=effect,
    )


def new_seeds(pair: Paired, tests: PairTests, options: InferenceOptions) -> SeedInterval | None:
    """The fixed-items interval on the pair's items; None where neither method was run with several seeds."""
    if max(table.shape[1] for table in pair.tables) < 2 or not pair.common.any():
        return None
    return fixed_items_interval(
        *(table[pair.common] for table in pair.tables),
        level=1 - options.alpha,
        groups=pair.groups,
        paired=pair.seeds_paired,
        widest=None if tests.low is None or tests.high is None else (tests.high - tests.low) / 2,
        crossed=not pair.metric.own_repeats,
    )


def complete_cases(pair: Paired, options: InferenceOptions) -> tuple[int, CompleteCases | None]:
    """How many items have an edit that failed, and the comparison without these."""
    nowhere = np.zeros(len(pair.common), dtype=np.bool_)
    failed = np.logical_or.reduce([pair.metric.failed.get(name, nowhere) for name in (pair.a, pair.b)])[pair.common]
    if not failed.any():
        return 0, None
    kept = ~failed
    differences, groups = pair.differences[kept], pair.groups.where(kept)
    found = sign_flip_test(differences, groups, alpha=options.alpha, seed=options.seed, grid=pair.metric.grid)
    return int(failed.sum()), CompleteCases(
        n_items=int(kept.sum()),
        difference=found.difference,
        ci_low=found.low,
        ci_high=found.high,
        p_value=found.p_value,
    )


def not_run(pair: Paired) -> tuple[int, tuple[float, float] | None]:
    """How many items one of the two was not run on, and the least and greatest difference that these could make."""
    missing = np.isnan(pair.means)
    nowhere = np.zeros(len(missing), dtype=np.bool_)
    not_run = np.stack([pair.metric.not_run.get(name, nowhere) for name in (pair.a, pair.b)], axis=1)
    defined = ~(missing & ~not_run).any(axis=1)
    n_not_run, (least, greatest) = int((missing.any(axis=1) & defined).sum()), pair.metric.range
    if not n_not_run or least is None or greatest is None:
        return n_not_run, None
    lowest, highest = (np.where(missing, end, pair.means)[defined] for end in (least, greatest))
    return n_not_run, (float((lowest[:, 1] - highest[:, 0]).mean()), float((highest[:, 1] - lowest[:, 0]).mean()))
