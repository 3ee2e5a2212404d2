"""Does a metric prefer the edits that people prefer? Pairs of edits of an item with ties, and pairs of methods.

Both measures were made for metrics of machine translation. *Pairwise accuracy* asks of every two edits of an item
whether the metric orders them as people do, a tie of both counting as agreement (Deutsch, Foster & Freitag, EMNLP 2023,
"Ties Matter"); since a continuous metric never ties, differences up to a threshold count as ties, and the threshold is
the one that serves the metric best. *Soft pairwise accuracy* asks of every two methods how far the certainty that one
is better, by the metric, is from that of people (Thompson et al., WMT 2024).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.agreement import bca_ends
from evalkit.stats.bootstrap import group_weights
from evalkit.stats.clusters import Groups, Labels, check_level, code_groups
from evalkit.stats.intervals import Estimate, estimate_of, group_bootstrap_t_interval

N_SIGNS = 999
"""Random signs behind the p-values of two methods."""
N_RESAMPLES = 499
"""Bootstrap resamples of soft pairwise accuracy, and permutations of tests between metrics."""
Statistic = Callable[[Floats], float]
"""Of a table of items × methods, more is better, without missing values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseAccuracy:
    """How often a metric orders two edits of an item as people do, ties included."""

    accuracy: Estimate
    threshold: float
    """Differences of the metric up to this count as ties: the one with the greatest accuracy on these items."""
    n_pairs: int
    """Pairs of edits of one item."""
    n_ties: int
    """Of these, pairs that people tie."""


def pairwise_accuracy(
    metric: Floats, people: Floats, groups: Labels, *, level: float = 0.95, n_resamples: int = 1_999, seed: int = 0
) -> PairwiseAccuracy:
    """Mean over items of the share of pairs of edits ordered alike, with tie calibration (Deutsch et al. 2023, eq. 7).

    Of an item with methods i < j the pair counts where the sign of the metric's difference, 0 up to the threshold,
    is that of people's. The interval is a bootstrap-t over groups at the threshold that was chosen.

    Args:
        metric: ``(n, methods)``, more is better; finite.
        people: ``(n, methods)``, more is better; finite.
        groups: ``(n,)``; items with the same label are drawn together.
        level: Coverage.
        n_resamples: Bootstrap resamples.
        seed: Determines them.

    Raises:
        OptionError: Shapes differ, a value is not finite, or there are fewer than two methods.

    >>> people = np.array([[1.0, 2.0, 2.0], [3.0, 1.0, 1.0]])
    >>> found = pairwise_accuracy(np.array([[0.1, 0.5, 0.6], [0.9, 0.2, 0.3]]), people, "ab")
    >>> found.accuracy.value, found.threshold
    (1.0, 0.1)
    """
    check_level(level)
    ours, theirs, coded = _differences(metric, people, groups)
    threshold = calibrated(ours, theirs)
    alike = agreeing(ours, theirs, threshold).mean(axis=1)
    interval = group_bootstrap_t_interval(
        alike, coded, level=level, bounds=(0.0, 1.0), n_resamples=n_resamples, seed=seed
    )
    return PairwiseAccuracy(
        accuracy=interval, threshold=threshold, n_pairs=theirs.size, n_ties=int((theirs == 0).sum())
    )


def agreeing(ours: Floats, theirs: Floats, threshold: float) -> Floats:
    """``(n, pairs)``: 1 where both differences have one sign, or both are ties, else 0.

    Args:
        ours: ``(n, pairs)`` differences of the metric; ties up to the threshold.
        theirs: ``(n, pairs)`` of people; ties where 0.
        threshold: Not negative.
    """
    signs = np.where(np.abs(ours) <= threshold, 0.0, np.sign(ours))
    return np.asarray(signs == np.sign(theirs), dtype=np.float64)


def calibrated(ours: Floats, theirs: Floats) -> float:
    """The smallest threshold with the greatest accuracy, of 0 and the metric's own differences.

    Every pair is a tie from its own difference on: it is then right if people tie it, and before if the signs agree.

    >>> calibrated(np.array([[0.5, -0.1, 0.2]]), np.array([[1.0, 0.0, 0.0]]))
    0.2
    """
    sizes = np.abs(ours).ravel()
    ordered = np.argsort(sizes, kind="stable")
    change = (theirs == 0).ravel().astype(np.float64) - (np.sign(ours) == np.sign(theirs)).ravel()
    gained = np.cumsum(np.where(sizes == 0, 0.0, change)[ordered])
    last = np.append(np.diff(sizes[ordered]) > 0, True)  # a threshold takes all pairs of one difference
    thresholds, gains = np.append(0.0, sizes[ordered][last]), np.append(0.0, gained[last])
    return float(thresholds[int(np.argmax(np.round(gains, 9)))])


def soft_pairwise_accuracy(
    metric: Floats, people: Floats, groups: Labels, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """``1 − mean |p_people − p_metric|`` over pairs of methods (Thompson et al. 2024, eq. 4).

    p is the one-sided p-value of a sign-flip test over groups that the second of two methods is better. The interval is
    a BC bootstrap over groups, each resample with p-values of its own.

    Args:
        metric: ``(n, methods)``, more is better; finite.
        people: ``(n, methods)``, more is better; finite.
        groups: ``(n,)``; items with the same label are drawn and flipped together.
        level: Coverage.
        seed: Determines signs and resamples.

    Raises:
        OptionError: Shapes differ, a value is not finite, or there are fewer than two methods.

    >>> people = np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 4.0], [1.0, 3.0]])
    >>> soft_pairwise_accuracy(people, people, "abcd").value
    1.0
    """
    check_level(level)
    ours, theirs, coded = _differences(metric, people, groups)
    value, statistic = _soft(ours, theirs, coded, seed)
    if coded.n_groups < 3:
        return estimate_of(coded, "group_bc", value, reason="fewer than three groups to resample")
    weights = np.concatenate(list(group_weights(coded.n_groups, n_resamples=N_RESAMPLES, seed=seed)))
    draws = np.array([statistic(each) for each in weights])
    if not np.ptp(draws):
        return estimate_of(coded, "group_bc", value, reason="no resample differs from another")
    low, high = bca_ends(value, draws, np.zeros(0), level)
    return estimate_of(coded, "group_bc", value, (min(low, value), max(high, value)))


def _soft(ours: Floats, theirs: Floats, groups: Groups, seed: int) -> tuple[float, Statistic]:
    """Soft pairwise accuracy, and the same of groups that count as often as their weights say."""
    sums = [groups.sums(columns) for columns in (ours, theirs)]
    signs = np.random.default_rng((seed, 1)).choice(np.array([-1.0, 1.0]), size=(N_SIGNS, groups.n_groups))

    def accuracy(weights: Floats) -> float:
        # Signs of a group that is drawn twice are flipped twice: the spread of their sum grows with the root.
        root = np.sqrt(weights)[:, None]
        first, second = (one_sided_p(weights @ total, signs @ (root * total)) for total in sums)
        return float(1 - np.abs(first - second).mean())

    return accuracy(np.ones(groups.n_groups)), accuracy


def one_sided_p(observed: Floats, flipped: Floats) -> Floats:
    """``(pairs,)``: the share of sign flips whose sum reaches the observed one, ties counting half.

    Args:
        observed: ``(pairs,)`` sums of differences.
        flipped: ``(flips, pairs)``.
    """
    return np.asarray(((flipped > observed).mean(axis=0) + (flipped >= observed).mean(axis=0)) / 2, dtype=np.float64)


def permute_both(
    first: Floats, second: Floats, groups: Labels, statistic: Statistic, *, seed: int = 0, n: int = N_RESAMPLES
) -> float:
    """p-value of two metrics being equally good, by permuting both inputs: PERM-BOTH (Deutsch, Dror & Roth, TACL 2021).

    Both metrics are standardised; under the null hypothesis they can be exchanged wherever they were computed, so that
    for every method and group a coin decides whose scores are whose. Two-sided, (b + 1)/(B + 1).

    Args:
        first: ``(n, methods)`` of one metric, more is better; finite.
        second: ``(n, methods)`` of the other.
        groups: ``(n,)``; items with the same label are exchanged together.
        statistic: How good a metric is.
        seed: Determines the coins.
        n: How many permutations.

    Raises:
        OptionError: Shapes differ, or a value is not finite.
    """
    first, second, coded = _checked(first, second, groups)
    first, second = _standardised(first), _standardised(second)
    observed = abs(statistic(first) - statistic(second))
    rng, reached = np.random.default_rng((seed, 2)), 1
    for _ in range(n):
        swapped = (rng.random((coded.n_groups, first.shape[1])) < 0.5)[coded.codes]
        one, other = np.where(swapped, second, first), np.where(swapped, first, second)
        reached += abs(statistic(one) - statistic(other)) >= observed - 1e-12
    return reached / (n + 1)


def accuracy_with(people: Floats) -> Statistic:
    """Pairwise accuracy with tie calibration as a statistic of a metric."""
    pairs = list(combinations(range(people.shape[1]), 2))
    theirs = np.round(_of_pairs(people, pairs), 9)

    def statistic(metric: Floats) -> float:
        ours = _of_pairs(metric, pairs)
        return float(agreeing(ours, theirs, calibrated(ours, theirs)).mean())

    return statistic


def soft_accuracy_with(people: Floats, groups: Groups, seed: int) -> Statistic:
    """Soft pairwise accuracy as a statistic of a metric."""
    pairs = list(combinations(range(people.shape[1]), 2))
    theirs = _of_pairs(people, pairs)
    return lambda metric: _soft(_of_pairs(metric, pairs), theirs, groups, seed)[0]


def _checked(metric: Floats, people: Floats, groups: Labels) -> tuple[Floats, Floats, Groups]:
    metric, people = np.asarray(metric, dtype=np.float64), np.asarray(people, dtype=np.float64)
    if metric.ndim != 2 or metric.shape != people.shape or metric.shape[1] < 2 or len(groups) != len(metric):
        raise OptionError(
            f"Two tables of the same items × two methods or more are needed; got {metric.shape}, {people.shape} and "
            f"{len(groups)} groups."
        )
    if not (np.isfinite(metric).all() and np.isfinite(people).all()):
        raise OptionError("Values must be finite: leave undefined items out, with their reason.")
    return metric, people, code_groups(groups)


def _differences(metric: Floats, people: Floats, groups: Labels) -> tuple[Floats, Floats, Groups]:
    """``(n, pairs)`` of the metric and of people, rounded so that ties are ties."""
    metric, people, coded = _checked(metric, people, groups)
    pairs = list(combinations(range(metric.shape[1]), 2))
    ours, theirs = (_of_pairs(columns, pairs) for columns in (metric, people))
    return np.round(ours, 9), np.round(theirs, 9), coded


def _of_pairs(columns: Floats, pairs: list[tuple[int, int]]) -> Floats:
    return np.stack([columns[:, b] - columns[:, a] for a, b in pairs], axis=1)


def _standardised(columns: Floats) -> Floats:
    centred: Floats = columns - columns.mean()
    return centred / (float(columns.std()) or 1.0)
