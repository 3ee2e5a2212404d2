"""Pairwise accuracy with ties, soft pairwise accuracy and tests between metrics, against brute force and by hand."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import OptionError
from evalkit.stats import pairwise
from evalkit.stats.clusters import code_groups
from evalkit.stats.pairwise import (
    accuracy_with,
    pairwise_accuracy,
    permute_both,
    soft_accuracy_with,
    soft_pairwise_accuracy,
)

tables = st.lists(st.tuples(*[st.integers(0, 4)] * 6), min_size=3, max_size=6)


def by_hand(metric, people, threshold):
    """(C + T_both) / (C + D + T_people + T_metric + T_both) of every item, averaged: the paper's equations 5 and 7."""
    shares = []
    for ours, theirs in zip(metric, people, strict=True):
        right = 0
        pairs = list(combinations(range(len(ours)), 2))
        for i, j in pairs:
            difference, wanted = ours[j] - ours[i], theirs[j] - theirs[i]
            tied = abs(difference) <= threshold
            right += (tied and wanted == 0) or (not tied and wanted * difference > 0)
        shares.append(right / len(pairs))
    return float(np.mean(shares))


@settings(max_examples=40, deadline=None)
@given(tables)
def test_ties_are_calibrated_as_trying_every_threshold_does(rows):
    """The accuracy is the formula's, at the best of all thresholds that make a difference."""
    table = np.array(rows, dtype=float)
    metric, people = table[:, :3], table[:, 3:]
    found = pairwise_accuracy(metric, people, range(len(rows)), n_resamples=99)
    assert found.accuracy.value == pytest.approx(by_hand(metric, people, found.threshold))
    assert found.accuracy.value == pytest.approx(max(by_hand(metric, people, t) for t in range(5)))
    assert found.n_pairs == 3 * len(rows)


def test_a_worked_example():
    """Two items: of six pairs, four are ordered alike as they are; with the small differences as ties all but one."""
    people = np.array([[1.0, 1.0, 3.0], [2.0, 4.0, 4.0]])
    metric = np.array([[0.50, 0.52, 0.90], [0.40, 0.70, 0.10]])
    # Signs alone: (1,3), (2,3) and (1,2) of the second; ties up to .02 add (1,2) of the first.
    found = pairwise_accuracy(metric, people, "ab", n_resamples=99)
    assert found.threshold == pytest.approx(0.02)
    assert found.accuracy.value == pytest.approx(4 / 6)
    assert found.n_ties == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_soft_accuracy_is_that_of_all_sign_flips(seed):
    """1 − mean |p_people − p_metric|, with p from every assignment of signs to groups."""
    rng, groups = np.random.default_rng(seed), [0, 0, 1, 2, 3, 4, 4, 5, 6]
    metric, people = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    signs = np.array(list(product((1, -1), repeat=7)))

    def p_values(columns):
        found = []
        for a, b in combinations(range(3), 2):
            sums = np.bincount(groups, weights=columns[:, b] - columns[:, a])
            found.append(np.mean(signs @ sums > sums.sum()) + np.mean(np.isclose(signs @ sums, sums.sum())) / 2)
        return np.array(found)

    expected = 1 - np.abs(p_values(metric) - p_values(people)).mean()
    with pytest.MonkeyPatch.context() as patch:  # as many signs as make chance small, at which few resamples do
        patch.setattr(pairwise, "N_SIGNS", 50_000)
        patch.setattr(pairwise, "N_RESAMPLES", 9)
        found = soft_pairwise_accuracy(metric, people, groups).value
    assert found == pytest.approx(expected, abs=0.02)


def test_soft_accuracy_is_one_for_people_and_small_for_their_opposite():
    """A metric that is as sure as people has 1; one that is as sure of the opposite next to nothing."""
    rng = np.random.default_rng(0)
    people = rng.normal([0, 1, 2], size=(60, 3))
    assert soft_pairwise_accuracy(people, people, range(60)).value == 1
    assert soft_pairwise_accuracy(3 * people + 1, people, range(60)).value == 1
    opposite = soft_pairwise_accuracy(-people, people, range(60))
    assert opposite.value < 0.05
    assert opposite.reason == "no resample differs from another"
    unsure = rng.normal([0, 0.1, 0.2], size=(60, 3))
    found = soft_pairwise_accuracy(people, unsure, range(60))
    assert found.low < found.value < found.high <= 1


def test_exchanging_both_is_as_listing_every_coin():
    """With two groups and two methods there are sixteen coins: the p-value is the share of those that reach it."""
    rng = np.random.default_rng(4)
    first, second, people = (rng.normal(size=(4, 2)) for _ in range(3))
    groups = np.array([0, 0, 1, 1])
    statistic = accuracy_with(people)
    a, b = ((each - each.mean()) / each.std() for each in (first, second))
    observed, reached = abs(statistic(a) - statistic(b)), []
    for coins in product((False, True), repeat=4):
        swapped = np.array(coins).reshape(2, 2)[groups]
        one, other = np.where(swapped, b, a), np.where(swapped, a, b)
        reached.append(abs(statistic(one) - statistic(other)) >= observed - 1e-12)
    found = permute_both(first, second, groups, statistic, n=1999)
    assert found == pytest.approx(np.mean(reached), abs=0.04)


def test_a_better_metric_is_told_from_noise_and_not_from_itself():
    """A metric that follows people against one that does not has a small p-value; against itself 1."""
    rng = np.random.default_rng(1)
    people = rng.normal([0, 0.3, 0.6], size=(80, 3))
    good, bad = people + 0.5 * rng.normal(size=people.shape), rng.normal(size=people.shape)
    groups = code_groups([n // 2 for n in range(80)])
    for statistic in (accuracy_with(people), soft_accuracy_with(people, groups, 0)):
        assert permute_both(good, good, groups, statistic, n=49) == 1
    assert permute_both(good, 100 * bad, groups, accuracy_with(people), n=199) < 0.02


def test_p_values_of_equal_metrics_are_uniform():
    """Two metrics of equal quality are called different at 10 % in about a tenth of studies."""
    rng, called = np.random.default_rng(2), 0
    for seed in range(100):
        people = rng.normal(size=(30, 3))
        first, second = (people + rng.normal(size=people.shape) for _ in range(2))
        called += permute_both(first, second, range(30), accuracy_with(people), seed=seed, n=59) <= 0.1
    assert 1 <= called <= 20


def test_intervals_of_pairwise_accuracy_cover_by_group():
    """Items of a group share how difficult they are: 95 % of intervals hold the true share, groups or no groups."""
    rng, covered, groups = np.random.default_rng(3), 0, np.repeat(np.arange(30), 3)
    for _ in range(60):
        people = rng.normal(size=(90, 2))
        flip = np.where(rng.random(30) < 0.35, -1.0, 1.0)[groups]
        found = pairwise_accuracy(people * flip[:, None], people, groups, n_resamples=199)
        covered += found.accuracy.low <= 0.65 <= found.accuracy.high
    assert covered >= 52


def test_tables_are_checked():
    """One method has no pairs; other shapes and missing values are refused."""
    people = np.ones((4, 2))
    with pytest.raises(OptionError, match="two methods or more"):
        pairwise_accuracy(people[:, :1], people[:, :1], range(4))
    with pytest.raises(OptionError, match="must be finite"):
        soft_pairwise_accuracy(np.full((4, 2), np.nan), people, range(4))
    assert soft_pairwise_accuracy(people, people, "aabb").reason == "fewer than three groups to resample"
