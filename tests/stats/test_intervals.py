"""Intervals against closed forms, scipy, and their promised coverage."""

import numpy as np
import pytest
from arch.bootstrap import IIDBootstrap
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.intervals import group_bootstrap_t_interval, group_t_interval, group_wilson_interval


def test_with_one_item_per_group_it_is_students_interval():
    """Singleton groups give scipy's one-sample t interval."""
    values = np.random.default_rng(0).normal(size=30)
    ours = group_t_interval(values, range(30), level=0.9)
    low, high = reference.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    assert (ours.n_items, ours.n_groups) == (30, 30)


def test_the_cluster_robust_error_is_the_sandwich_of_a_regression_on_a_constant():
    """The standard error equals (X'X)⁻¹ X' B X (X'X)⁻¹ with B of within-group residual products, times G/(G−1)."""
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 12, size=50)
    values = rng.normal(size=50) + groups
    ours = group_t_interval(values, list(groups))
    design = np.ones((50, 1))
    residuals = values - values.mean()
    same = groups[:, None] == groups[None, :]
    bread = np.linalg.inv(design.T @ design)
    meat = design.T @ (np.outer(residuals, residuals) * same) @ design
    g = len(np.unique(groups))
    error = np.sqrt(g / (g - 1) * (bread @ meat @ bread)[0, 0])
    assert ours.high - ours.value == pytest.approx(reference.t.ppf(0.975, g - 1) * error, rel=1e-10)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_order_and_names_of_groups_do_not_matter(values, random):
    """Shuffling items and renaming groups leaves the interval alone; shifting and scaling them shifts and scales it."""
    array = np.array(values)
    groups = [i % 3 if len(values) > 3 else i for i in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    one = group_t_interval(array, groups)
    other = group_t_interval(array[order], [f"group {groups[i]}" for i in order])
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)
    moved = group_t_interval(3 * array - 7, groups)
    assert (moved.low, moved.high) == pytest.approx((3 * one.low - 7, 3 * one.high - 7), abs=1e-6)


def test_repeating_items_within_their_group_adds_no_certainty():
    """Ten copies of every item in its own group leave the interval as it was."""
    values = np.random.default_rng(2).normal(size=20)
    once = group_t_interval(values, range(20))
    often = group_t_interval(np.repeat(values, 10), np.repeat(np.arange(20), 10).tolist())
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_the_interval_covers_what_it_promises_where_the_naive_one_does_not():
    """With TEdBench's group sizes and correlated items it covers 95 %, and ignoring the groups does not."""
    sizes = [1] * 16 + [2] * 6 + [3] * 7 + [4] * 5 + [5] * 5 + [6]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(3)
    covered = naive = 0
    for _ in range(600):
        values = np.sqrt(0.5) * rng.normal(size=len(sizes))[groups] + np.sqrt(0.5) * rng.normal(size=100)
        ours, theirs = group_t_interval(values, groups.tolist()), group_t_interval(values, range(100))
        covered += ours.low <= 0 <= ours.high
        naive += theirs.low <= 0 <= theirs.high
    assert 0.93 <= covered / 600 <= 0.98
    assert naive / 600 < 0.88


@pytest.mark.parametrize("make", [group_t_interval, group_wilson_interval])
def test_one_group_or_no_values_have_no_interval_but_a_reason(make):
    """Where no spread can be known the ends are absent, and the reason is there."""
    one = make(np.array([0.2, 0.4]), ["a", "a"])
    none = make(np.array([]), [])
    assert (one.value, one.low, one.high) == (pytest.approx(0.3), None, None)
    assert "one group" in (one.reason or "")
    assert (none.value, none.low, none.reason) == (None, None, "no values")


def test_wilson_matches_scipy_for_independent_items():
    """With one item per group it is scipy's Wilson interval, up to the factor n/(n−1) of a sample variance."""
    values = np.array([1.0] * 17 + [0.0] * 83)
    ours = group_wilson_interval(values, range(100))
    theirs = reference.binomtest(17, 100).proportion_ci(method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=2e-3)
    assert ours.high == pytest.approx(theirs.high, abs=2e-3)


def test_a_perfect_success_rate_is_not_perfectly_certain():
    """39 groups of successes still leave room for failures, unlike a t interval of width zero."""
    interval = group_wilson_interval(np.ones(100), [i % 39 for i in range(100)])
    assert interval.high == 1.0
    assert interval.low == pytest.approx(reference.binomtest(39, 39).proportion_ci(method="wilson").low)


def test_dependent_successes_widen_the_rate():
    """Items that succeed or fail together count as fewer."""
    together = np.repeat([1.0, 0.0] * 10, 5)
    groups = np.repeat(np.arange(20), 5).tolist()
    wide, narrow = group_wilson_interval(together, groups), group_wilson_interval(together, range(100))
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    ("values", "groups", "level"), [([1.0], [], 0.95), ([np.nan, 1.0], [0, 1], 0.95), ([1.0, 2.0], [0, 1], 1.0)]
)
def test_malformed_input_is_refused(values, groups, level):
    """Lengths that differ, values that are not finite and impossible levels are errors, not results."""
    with pytest.raises(OptionError):
        group_t_interval(np.array(values), groups, level=level)


def test_the_bootstrap_t_interval_is_archs_studentized_one():
    """With singleton groups, an independent implementation gives the same ends within the resampling error."""
    values = np.random.default_rng(4).exponential(size=25)
    ours = group_bootstrap_t_interval(values, range(25), n_resamples=19_999)
    arch = IIDBootstrap(values, seed=np.random.default_rng(5))
    theirs = arch.conf_int(
        lambda x: x.mean(), 19_999, method="studentized", std_err_func=lambda mean, x: x.std(ddof=1) / len(x) ** 0.5
    )
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs[0, 0], abs=0.04 * width)
    assert ours.high == pytest.approx(theirs[1, 0], abs=0.04 * width)


def test_the_bootstrap_t_interval_covers_skewed_scores_better_than_t():
    """For 10 exponential values it misses less often than Student's."""
    rng, missed = np.random.default_rng(6), np.zeros(2)
    for _ in range(300):
        values = rng.exponential(size=10)
        for which, interval in enumerate(
            (group_bootstrap_t_interval(values, range(10), n_resamples=999), group_t_interval(values, range(10)))
        ):
            missed[which] += not interval.low <= 1 <= interval.high
    assert missed[0] < missed[1]
    assert missed[0] / 300 < 0.11


def test_the_bootstrap_t_interval_knows_its_limits():
    """Constant values have no width, three groups no quantiles, and too few resamples are an error."""
    constant = group_bootstrap_t_interval(np.ones(5), range(5))
    assert (constant.low, constant.high) == (1.0, 1.0)
    few = group_bootstrap_t_interval(np.array([1.0, 2.0, 4.0]), range(3))
    assert (few.low, few.reason) == (None, "too many resamples of 3 groups have no spread")
    assert group_bootstrap_t_interval(np.array([1.0, 2.0]), "aa").reason.startswith("one group")
    with pytest.raises(OptionError):
        group_bootstrap_t_interval(np.ones(5), range(5), n_resamples=20)
