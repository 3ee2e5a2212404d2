"""Equivalence against statsmodels, numerical maximum likelihood and simulation; ties prove nothing by themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from scipy.optimize import minimize_scalar
from statsmodels.stats.weightstats import ttost_paired

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups, satterthwaite
from evalkit.stats.equivalence import equivalence_test, equivalence_tests, tango_z
from tests.support.grouped import tedbench_groups


def shown(differences, groups=None, **options):
    """One pair's test, with one item per group where no groups are given."""
    d = np.asarray(differences, dtype=float)
    return equivalence_test(d, range(len(d)) if groups is None else groups, **{"margin": 0.5, **options})


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30, unique=True), st.floats(0.05, 1))
@settings(max_examples=40)
def test_it_is_never_easier_than_the_two_t_tests_of_statsmodels(values, margin):
    """With singleton groups p is at least that of two one-sided paired t tests."""
    d = np.array(values)
    if np.ptp(d) < 1e-6:
        return
    ours = shown(d, margin=margin, n_resamples=199)
    theirs = ttost_paired(d, np.zeros(len(d)), -margin, margin)[0]
    assert ours.p_value >= theirs - 1e-9
    assert ours.equivalent == (ours.p_value <= 0.05)


def test_of_very_many_groups_it_is_the_t_test():
    """Beyond 5,000 groups nothing is resampled."""
    d = np.random.default_rng(0).normal(0.01, 1, 6_000)
    ours = shown(d, margin=0.04)
    assert ours.p_value == pytest.approx(ttost_paired(d, np.zeros(len(d)), -0.04, 0.04)[0], abs=1e-9)


def test_p_is_the_larger_of_the_t_and_the_bootstrap_t_test():
    """With groups the one has the CR2 error, the other its resamples: skew decides which is the larger."""
    rng, groups = np.random.default_rng(1), tedbench_groups()
    larger = set()
    skewed = rng.exponential(size=100)
    for d in (skewed, -skewed):
        d = d - d.mean() + 0.1
        spread = cluster_error(d, code_groups(groups))
        margin = 1.7 * spread.error + 0.1
        t_alone = reference.t.cdf(-1.7, satterthwaite(code_groups(groups).sizes, agreeing=True))
        ours = shown(d, groups, margin=margin)
        assert ours.p_value >= t_alone - 1e-9
        larger.add(bool(ours.p_value > t_alone + 1e-9))
    assert larger == {True, False}


def test_many_pairs_at_once_are_each_alone():
    """The columns of a table have the p-values of each, ties and skewness ratios included."""
    rng, groups = np.random.default_rng(2), tedbench_groups()
    columns = np.stack([rng.normal(size=100), np.zeros(100), rng.exponential(size=100)], axis=1)
    together = equivalence_tests(columns, groups, margin=0.3, width=2.0, n_resamples=999)
    for d, ours in zip(columns.T, together, strict=True):
        alone = shown(d, groups, margin=0.3, width=2.0, n_resamples=999)
        assert (ours.equivalent, ours.p_value) == (alone.equivalent, pytest.approx(alone.p_value))
        assert ours.skewness_ratio == (alone.skewness_ratio and pytest.approx(alone.skewness_ratio))


def test_names_order_and_sign_change_nothing():
    """Groups may be renamed and methods swapped."""
    groups = tedbench_groups()
    d = np.random.default_rng(3).normal(0.1, 1, 100)
    one = shown(d, groups, n_resamples=999)
    assert shown(d, [f"group {g}" for g in groups], n_resamples=999) == one
    assert shown(-d, groups, n_resamples=999).p_value == pytest.approx(one.p_value)


def test_ties_alone_are_no_equivalence():
    """Equal differences have no spread: without a range nothing is tested, and within one the exact bound decides."""
    tied = shown(np.zeros(10), margin=0.01)
    assert (tied.equivalent, tied.p_value) == (False, None)
    assert tied.reason == "all differences are equal: no spread to test with"
    for n, c in ((10, 0.0), (60, 0.0), (60, -0.02), (60, 0.02)):
        ours = shown(np.full(n, c), margin=0.1, width=1.0)
        worst = max((1 - (0.1 - x) / (1 - x)) ** n for x in (c, -c))
        assert ours.p_value == pytest.approx(worst)
        assert ours.equivalent == (worst <= 0.05)
    assert not shown(np.zeros(10), margin=0.1, width=1.0).equivalent
    assert shown(np.zeros(60), margin=0.1, width=1.0).equivalent
    assert shown(np.full(60, 0.1), margin=0.1, width=1.0).p_value == 1
    cancelled = shown([1.0, -1.0, 1.0, -1.0], [0, 0, 1, 1])
    assert (cancelled.equivalent, cancelled.p_value) == (False, None)


def test_one_group_shows_no_equivalence():
    """Without a spread between groups nothing is shown, and the reason is there."""
    for d, groups, reason in (([0.0, 0.001], [0, 0], "one group only"), ([], [], "no values")):
        for is_rate in (False, True):
            found = shown(d, groups, is_rate=is_rate)
            assert (found.equivalent, found.p_value) == (False, None)
            assert found.reason.startswith(reason)


def test_skewed_sums_are_told():
    """The ratio is the absolute skewness of the groups' sums over the root of their number."""
    d = np.random.default_rng(4).exponential(size=50)
    assert shown(d, n_resamples=99).skewness_ratio == pytest.approx(abs(reference.skew(d)) / 50**0.5)
    assert shown(np.r_[np.zeros(49), 9.0], n_resamples=99).skewness_ratio > 0.3
    assert shown(np.zeros(50)).skewness_ratio is None


def likelihood_ratio_rates(wins, losses, n, margin):
    """The rate of losses that is likeliest where the difference of the rates is the margin, by search."""

    def surprise(loss):
        cells = (wins, loss + margin), (losses, loss), (n - wins - losses, 1 - 2 * loss - margin)
        return -sum(count * np.log(max(rate, 1e-300)) for count, rate in cells if count)

    found = minimize_scalar(surprise, bounds=(0, (1 - margin) / 2), method="bounded", options={"xatol": 1e-12})
    return min(0.0, found.x, key=surprise)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60), st.floats(0.01, 0.6))
def test_tangos_statistic_has_the_restricted_maximum_likelihood(wins, losses, rest, margin):
    """Its closed form is the score at the maximum of the constrained trinomial likelihood."""
    n = wins + losses + rest
    loss = likelihood_ratio_rates(wins, losses, n, margin)
    expected = (wins - losses - n * margin) / np.sqrt(n * (2 * loss + margin * (1 - margin)))
    assert tango_z(wins, losses, n, margin) == pytest.approx(expected, abs=1e-4)


def test_two_wins_of_a_hundred_are_not_shown_equivalent_at_five_per_cent():
    """Tango's z = −1.3765, p = .0843: the t test's .018 was wrong; as shares of two seeds they count as much."""
    d = np.r_[np.ones(2), np.zeros(98)]
    for differences in (d, -d, np.r_[np.full(4, 0.5), np.zeros(96)]):
        ours = shown(differences, margin=0.05, is_rate=True)
        assert (ours.equivalent, ours.p_value) == (False, pytest.approx(0.0843, abs=5e-5))


def test_rates_in_groups_count_for_fewer():
    """The statistic shrinks by the root of the design effect; groups of nothing but ties count as one item each."""
    rng, groups = np.random.default_rng(5), np.repeat(range(20), 5)
    together = np.repeat(rng.choice([-1.0, 0.0, 1.0], 20, p=[0.1, 0.8, 0.1]), 5)
    spread = cluster_error(together, code_groups(groups))
    wins, losses = (together > 0).sum(), (together < 0).sum()
    differing = (wins + losses) / 5
    own = spread.error**2 / (together.var(ddof=1) / 100)
    effect = (differing * own + 5) / (differing + 1)
    z = max(tango_z(wins, losses, 100, 0.3), tango_z(losses, wins, 100, 0.3))
    ours = shown(together, groups, margin=0.3, is_rate=True)
    assert own > 3
    assert ours.p_value == pytest.approx(reference.t.cdf(z / effect**0.5, 19))
    tied = shown(np.zeros(100), groups, margin=0.3, is_rate=True)
    assert tied.p_value == pytest.approx(reference.t.cdf(tango_z(0, 0, 20, 0.3), 19))


@pytest.mark.parametrize(
    "options",
    [
        {"margin": 0.0},
        {"margin": np.inf},
        {"alpha": 0.5},
        {"margin": 1.0, "is_rate": True},
        {"differences": [0.0, np.nan, 1.0]},
        {"differences": [0.0, 2.0, 1.0], "is_rate": True},
        {"groups": [0, 1]},
    ],
)
def test_impossible_tests_are_refused(options):
    """Margins, rates and values out of range are errors, not results."""
    with pytest.raises(OptionError):
        shown(**{"differences": [0.0, 0.1, 0.2], **options})


@pytest.mark.parametrize(
    ("shape", "at_most"), [("normal", 0.06), ("exponential", 0.07), ("ties", 0.065), ("dominating", 0.02)]
)
def test_a_difference_at_the_margin_is_rarely_called_equivalent(shape, at_most):
    """The one-sided error stays near .05 for skew, many ties, and one group of 61 items (1,500 samples)."""
    rng = np.random.default_rng(6)
    labels = np.array([0] * 61 + list(range(1, 40)) if shape == "dominating" else tedbench_groups())
    n_groups = labels.max() + 1
    draws = rng.normal(size=(100, 1_500)) + 0.5 * rng.normal(size=(n_groups, 1_500))[labels]
    if shape == "exponential":
        draws = rng.exponential(size=(100, 1_500)) - 1
    elif shape == "ties":
        draws = np.where(rng.random((100, 1_500)) < 0.85, 0.0, rng.normal(size=(100, 1_500)))
    errors = [
        np.mean([found.equivalent for found in equivalence_tests(side * draws + 1, labels, margin=1.0)])
        for side in (1, -1)
    ]
    assert max(errors) <= at_most


@pytest.mark.parametrize(("rate", "margin", "at_most"), [(0.05, 0.05, 0.06), (0.2, 0.1, 0.06), (0.2, 0.2, 0.075)])
def test_rates_that_differ_by_the_margin_are_rarely_called_equivalent(rate, margin, at_most):
    """The score test nearly holds its level at 20 items and in groups that correlate, where the t test reached .36."""
    rng = np.random.default_rng(7)
    for labels, correlation in ((np.arange(20), 0.0), (tedbench_groups(), 0.2), (tedbench_groups(), 0.5)):
        labels = np.asarray(labels)
        shape = (len(labels), 2_000)
        shared = rng.random((labels.max() + 1, 2_000))[labels]
        ease = np.where(rng.random(shape) < np.sqrt(correlation), shared, rng.random(shape))
        d = (ease < rate + margin).astype(float) - (ease < rate)
        found = equivalence_tests(d, labels, margin=margin, is_rate=True)
        assert np.mean([test.equivalent for test in found]) <= at_most
