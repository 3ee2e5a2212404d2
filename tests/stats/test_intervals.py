"""Intervals against closed forms, scipy, and their promised coverage."""

import numpy as np
import pytest
from arch.bootstrap import IIDBootstrap
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.intervals import (
    group_bootstrap_t_interval,
    group_t_interval,
    group_wilson_interval,
    mean_interval,
    pooled_design_effect,
)
from tests.support.grouped import tedbench_groups


def test_with_one_item_per_group_it_is_students_interval():
    """Singleton groups give scipy's one-sample t interval."""
    values = np.random.default_rng(0).normal(size=30)
    ours = group_t_interval(values, range(30), level=0.9)
    low, high = reference.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    assert (ours.n_items, ours.n_groups) == (30, 30)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_order_and_names_of_groups_do_not_matter(values, random):
    """Shuffling items and renaming groups leaves the interval alone; shifting and scaling them shifts and scales it."""
    array = np.array(values)
    groups = [i % 3 if len(values) > 3 else i for i in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    one = group_t_interval(array, groups)
    other = group_t_interval(array[order], [f"group {groups[i]}" for i in order])
    moved = group_t_interval(3 * array - 7, groups)
    if one.low is None or moved.low is None:
        assert "no spread" in (one.reason or moved.reason)
        return
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)
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


@pytest.mark.parametrize(("successes", "n"), [(7, 20), (12, 20), (3, 3), (17, 100), (0, 5), (1, 2)])
def test_wilson_is_scipys_for_independent_items(successes, n):
    """With one item per group it is Wilson's interval exactly, alone or with a pooled design effect of 1."""
    values = np.array([1.0] * successes + [0.0] * (n - successes))
    theirs = reference.binomtest(successes, n).proportion_ci(method="wilson")
    for effect in (None, 1.0):
        ours = mean_interval(values, range(n), is_rate=True, design_effect=effect)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


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
    """Constant values have no interval, three groups no quantiles, and too few resamples are an error."""
    constant = group_bootstrap_t_interval(np.ones(5), range(5))
    assert (constant.value, constant.low) == (1.0, None)
    assert constant.reason == "all values are equal: there is no spread to make an interval of"
    few = group_bootstrap_t_interval(np.array([1.0, 2.0, 4.0]), range(3))
    assert (few.low, few.reason) == (None, "too many resamples of 3 groups have no spread")
    assert group_bootstrap_t_interval(np.array([1.0, 2.0]), "aa").reason.startswith("one group")
    with pytest.raises(OptionError):
        group_bootstrap_t_interval(np.ones(5), range(5), n_resamples=20)


def test_one_big_group_widens_the_interval():
    """61 of 100 items in one group: Student's t has 2.6 degrees of freedom, as the estimate says."""
    groups = [0] * 61 + list(range(1, 40))
    values = np.random.default_rng(7).normal(3, 0.3, 100)
    ours, spread = group_t_interval(values, groups), cluster_error(values, code_groups(groups))
    assert ours.freedom == spread.freedom == pytest.approx(2.61, abs=0.005)
    assert ours.high - ours.value == pytest.approx(reference.t.ppf(0.975, spread.freedom) * spread.error)


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=2, max_size=12),
    st.lists(st.integers(0, 4), min_size=12, max_size=12),
    st.booleans(),
    st.permutations(range(5)),
)
def test_no_interval_leaves_the_range_or_has_no_width(values, labels, is_rate, names):
    """Whatever the scores and groups, and their names: inside the range, wider than a point, or absent."""
    array, groups = np.array(values), labels[: len(values)]
    made = [mean_interval(array, groups, is_rate=is_rate, bounds=(0.0, 1.0))]
    if not is_rate:
        made.append(group_bootstrap_t_interval(array, groups, bounds=(0.0, 1.0), n_resamples=199))
    for interval in made:
        if interval.low is None:
            assert interval.reason
            continue
        assert interval.reason is None
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert interval.low < interval.high
    renamed = mean_interval(array, [f"g{names[g]}" for g in groups], is_rate=is_rate, bounds=(0.0, 1.0))
    assert (renamed.low, renamed.high, renamed.reason) == (
        *((pytest.approx(made[0].low), pytest.approx(made[0].high)) if made[0].low is not None else (None, None)),
        made[0].reason,
    )


def test_an_interval_is_cut_where_the_metric_ends():
    """A share near 1 ends at 1; the other end, and the interval of a metric without an end there, stay."""
    shares = np.array([1.0, 1.0, 1.0, 0.7, 1.0, 1.0, 0.6, 1.0])
    cut, whole = (group_t_interval(shares, range(8), bounds=bounds) for bounds in ((0.0, 1.0), (0.0, None)))
    assert whole.high > cut.high == 1.0
    assert (cut.low, cut.value, cut.method) == (whole.low, whole.value, "group_t")
    assert whole == group_t_interval(shares, range(8))


@pytest.mark.parametrize("make", [group_t_interval, group_bootstrap_t_interval])
def test_equal_scores_at_an_end_have_the_exact_bound(make):
    """G groups at the end: all G would be there with a probability of α if the share of such groups were α^(1/G)."""
    for end, far in ((0.0, 100.0), (100.0, 0.0)):
        ours = make(np.full(12, end), np.repeat(range(6), 2), bounds=(0.0, 100.0))
        ends = {ours.low, ours.high}
        assert end in ends
        (other,) = ends - {end}
        share = 1 - abs(other - end) / abs(far - end)
        assert share**6 == pytest.approx(0.05)
        assert reference.binomtest(6, 6).proportion_ci(0.9).low == pytest.approx(share)
        assert (ours.value, ours.method) == (end, "exact_bound")
    for values, bounds in ((np.full(6, 50.0), (0.0, 100.0)), (np.zeros(6), (0.0, None)), (np.zeros(6), None)):
        inside = make(values, range(6), bounds=bounds)
        assert (inside.low, inside.reason) == (None, "all values are equal: there is no spread to make an interval of")
    cancelled = make(np.array([0.2, 0.4, 0.4, 0.2]), "aabb", bounds=(0.0, 1.0))
    assert cancelled.reason == "all groups have the same mean: there is no spread to make an interval of"


def test_a_better_rate_never_has_a_worse_bound():
    """18 groups of 4, 72 of 72 beside 71 of 72: with their pooled design effect 72 has the higher bound."""
    groups = np.repeat(range(18), 4)
    best, second = np.ones(72), np.r_[0.0, np.ones(71)]
    effect = pooled_design_effect([best, second], groups)
    assert effect == pytest.approx(1)
    better, worse = (mean_interval(rates, groups, is_rate=True, design_effect=effect) for rates in (best, second))
    assert better.low > worse.low > mean_interval(best, groups, is_rate=True).low
    assert worse.low == mean_interval(second, groups, is_rate=True).low


@given(
    st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_with_a_pooled_design_effect_perfect_rates_are_best(tables, labels):
    """Whatever else is pooled: no method has a higher lower bound than the one that always succeeds."""
    rates = [np.ones(8), *(np.array(table, dtype=float) for table in tables)]
    effect = pooled_design_effect(rates, labels)
    intervals = [mean_interval(rate, labels, is_rate=True, design_effect=effect) for rate in rates]
    if intervals[0].low is not None:
        assert intervals[0].low == max(interval.low for interval in intervals)


def test_the_pooled_design_effect_is_that_of_the_correlation():
    """Groups of 5 whose successes correlate by .5 have a design effect of 1 + 4 · .5, over many methods."""
    rng, groups = np.random.default_rng(8), np.repeat(range(60), 5)
    shared = rng.random((60, 40))[groups]
    own = rng.random((300, 40))
    rates = np.where(rng.random((300, 40)) < np.sqrt(0.5), shared, own) < 0.3
    assert pooled_design_effect(rates.T.astype(float), groups) == pytest.approx(3, abs=0.3)
    assert pooled_design_effect([np.ones(4), np.zeros(4), np.full(4, np.nan)], "aabb") is None
    assert pooled_design_effect([np.array([0.0, 1.0])], "aa") is None


def test_grouped_rates_are_covered():
    """In TEdBench's groups with correlated successes about 95 of 100 intervals hold the rate, at .2 and .95."""
    rng, labels = np.random.default_rng(9), np.array(tedbench_groups())
    for rate in (0.2, 0.95):
        covered = 0
        for _ in range(500):
            shared = rng.random(39)[labels]
            latent = np.where(rng.random(100) < 0.5, shared, rng.random(100))
            ours = mean_interval((latent < rate).astype(float), labels, is_rate=True)
            covered += ours.low <= rate <= ours.high
        assert covered / 500 >= 0.92


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e300])
def test_scores_of_any_size_have_their_interval(scale):
    """Scores whose squares are no numbers have the interval of the same scores in another unit, without a warning."""
    values = np.random.default_rng(10).exponential(size=20)
    for make in (group_t_interval, group_bootstrap_t_interval):
        ours, usual = make(values * scale, range(20)), make(values, range(20))
        assert (ours.low / scale, ours.high / scale) == pytest.approx((usual.low, usual.high), rel=1e-6)


def test_what_rounding_leaves_of_the_best_value_has_the_bound_of_the_best_value():
    """Cosines of equal pictures are 1 but for the last bits, of single precision too."""
    bounds = (-1.0, 1.0)
    exact = mean_interval(np.ones(10), range(10), is_rate=False, bounds=bounds)
    near = mean_interval(1 - 1e-7 * np.arange(10.0) % 3e-7, range(10), is_rate=False, bounds=bounds)
    same = mean_interval(np.full(10, 1 - 6e-8), range(10), is_rate=False, bounds=bounds)
    assert exact.low == pytest.approx(1 - 2 * (1 - 0.05**0.1))
    assert same.method == exact.method == "exact_bound"
    assert same.low == exact.low
    assert near.low is not None
