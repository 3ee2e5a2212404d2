"""Controls, agreement with references and between metrics, against scipy and promised coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.agreement import (
    bca_ends,
    item_agreement,
    item_correlations,
    rank_correlation,
    superiority,
    weighted_spearman,
)
from tests.support.grouped import group_differences, tedbench_groups

columns = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=25)


@given(columns, st.booleans())
def test_the_area_under_the_curve_is_mann_whitneys(rows, higher):
    """The unpaired probability is U/(n₁n₂), ties counting half, in the metric's direction."""
    values, control = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ours = superiority(values, control, range(len(rows)), higher_is_better=higher)
    u = reference.mannwhitneyu(values, control, method="asymptotic").statistic if np.ptp([values, control]) else None
    area = 0.5 if u is None else u / len(rows) ** 2
    assert ours.unpaired.value == pytest.approx(area if higher else 1 - area)
    wins = np.mean(values > control) + np.mean(values == control) / 2
    assert ours.paired.value == pytest.approx(wins if higher else 1 - wins)
    assert ours.n_ties == (values == control).sum()


def test_pairing_sees_what_pooling_hides():
    """A metric that always prefers the edit but varies much more between items is perfect in pairs, poor pooled."""
    difficulty = np.linspace(0, 10, 40)
    result = superiority(difficulty + 0.1, difficulty, range(40))
    assert result.paired.value == 1.0
    assert result.unpaired.value < 0.55
    assert result.paired.low > 0.9


def test_intervals_for_the_controls_cover_with_groups():
    """Normal scores, correlated within groups: both probabilities are covered about 95 % of the time."""
    rng, groups = np.random.default_rng(0), tedbench_groups()
    truth = reference.norm.cdf(1 / 2**0.5)
    covered = np.zeros(2)
    for _ in range(300):
        values, control = group_differences(rng, groups, 0.5) + 1, group_differences(rng, groups, 0.5)
        result = superiority(values, control, groups)
        covered += [
            result.paired.low <= truth <= result.paired.high,
            result.unpaired.low <= truth <= result.unpaired.high,
        ]
    assert (covered / 300 >= 0.915).all()


def test_controls_without_items_or_groups_have_reasons():
    """No items: no probability. One group: no interval."""
    nothing = superiority(np.array([]), np.array([]), [])
    assert (nothing.paired.value, nothing.unpaired.value) == (None, None)
    assert "one group" in superiority(np.array([1.0, 2.0]), np.array([0.0, 1.0]), "aa").unpaired.reason


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 8), min_size=1, max_size=5), st.booleans())
def test_item_correlations_are_scipys(rows, higher):
    """Each item's τ_b across methods is scipy's, and constant rows have a reason."""
    table = np.array(rows, dtype=float)
    metric, truth = table[:, :4], table[:, 4:]
    found = zip(*item_correlations(metric, truth, higher_is_better=higher), strict=True)
    for row, (value, reason) in enumerate(found):
        if np.ptp(metric[row]) and np.ptp(truth[row]):
            expected = reference.kendalltau(metric[row], truth[row]).statistic * (1 if higher else -1)
            assert (value, reason) == (pytest.approx(expected, abs=1e-9), None)
        else:
            assert reason.endswith("ties all methods")


def test_agreement_within_items_is_not_fooled_by_difficulty():
    """Scores that follow the items' difficulty but order methods at random agree pooled and not within items."""
    rng = np.random.default_rng(1)
    difficulty = rng.normal(size=(60, 1)) * 3
    metric, truth = difficulty + rng.normal(size=(60, 5)), difficulty + rng.normal(size=(60, 5))
    pooled = reference.kendalltau(metric.ravel(), truth.ravel()).statistic
    agreement = item_agreement(metric, truth, range(60), n_resamples=999).correlation
    assert pooled > 0.5
    assert agreement.low < 0 < agreement.high


def test_agreement_counts_what_it_cannot_use():
    """Items whose scores are missing or tied are counted by reason, and the others averaged."""
    metric = np.array([[1.0, 2, 3], [1, 1, 1], [1, np.nan, np.nan], [3, 2, 1], [1, 2, 3]])
    truth = np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3], [2, 2, 2]])
    agreement = item_agreement(metric, truth, range(5))
    assert (agreement.correlation.value, agreement.n_items) == (0.0, 2)
    assert agreement.undefined == {
        "the metric ties all methods": 1,
        "fewer than two methods with both scores": 1,
        "the reference ties all methods": 1,
    }


@given(columns, st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_weights_are_repetitions(rows, repeats):
    """A weighted correlation is scipy's of the items repeated as often as they weigh."""
    x, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    weights = np.array(repeats[: len(x)], dtype=float)
    many_x, many_y = np.repeat(x, weights.astype(int)), np.repeat(y, weights.astype(int))
    if len(many_x) > 1 and np.ptp(many_x) and np.ptp(many_y):
        expected = reference.spearmanr(many_x, many_y).statistic
        assert weighted_spearman(x, y, weights[None])[0] == pytest.approx(expected, abs=1e-9)


def test_repeating_items_within_their_group_adds_no_certainty():
    """Three copies of every item in its own group leave correlation and interval as they were."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    once = rank_correlation(x, y, range(30))
    x, y = np.repeat(x, 3), np.repeat(y, 3)
    often = rank_correlation(x, y, np.repeat(np.arange(30), 3))
    naive = rank_correlation(x, y, range(90))
    assert often.value == pytest.approx(once.value)
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert naive.high - naive.low < 0.8 * (once.high - once.low)


@pytest.mark.parametrize("n_groups", [4, 6, 12, 39])
def test_the_interval_of_a_rank_correlation_covers_with_few_groups(n_groups):
    """Independent scores and ratings on groups of four items: 0 is excluded no oftener than promised."""
    rng, groups = np.random.default_rng(4), np.repeat(np.arange(n_groups), 4)
    excluded = 0
    for _ in range(200):
        found = rank_correlation(rng.normal(size=len(groups)), rng.integers(1, 6, len(groups)) * 1.0, groups)
        excluded += not found.low <= 0 <= found.high
    assert excluded <= 17  # of 5 % there are more in one study of 80


def test_with_many_groups_the_interval_of_a_rank_correlation_is_the_known_one():
    """Of independent normal items the standard error of Fisher's z is √(1.06/(n − 3))."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=400)
    found = rank_correlation(x, x + rng.normal(size=400), range(400))
    half = (np.arctanh(found.high) - np.arctanh(found.low)) / 2
    assert half == pytest.approx(1.96 * np.sqrt(1.06 / 397), rel=0.15)


def test_bca_ends_without_bias_or_skew_are_percentiles():
    """Symmetric draws around the estimate and a symmetric jackknife give the plain quantiles."""
    draws = np.linspace(-1, 1, 2001)
    low, high = bca_ends(0.0, draws, np.array([-1.0, 1.0]), 0.9)
    assert (low, high) == (pytest.approx(-0.9, abs=1e-6), pytest.approx(0.9, abs=1e-6))


@pytest.mark.parametrize(
    ("x", "y", "groups", "reason"),
    [
        ([1.0], [2.0], [0], "fewer than two items"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [0, 1, 2], "the first column is constant"),
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [0, 1, 2], "the second column is constant"),
        ([1.0, 2.0, 4.0, 3.0], [2.0, 1.0, 3.0, 4.0], [0, 1, 2, 2], "3 groups: an interval of a rank correlation"),
        ([0.0, 0, 0, 0, 0, 1], [0.0, 0, 0, 0, 1, 2], [0, 1, 2, 3, 4, 5], "without one of the groups a column"),
        ([1.0, 2, 3, 4, 5, 6], [1.0, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5], "the correlation shows no spread"),
    ],
)
def test_degenerate_correlations_have_reasons(x, y, groups, reason):
    """Constant or scarce data give a reason instead of NaN."""
    estimate = rank_correlation(np.array(x), np.array(y), groups)
    assert estimate.low is None
    assert estimate.reason.startswith(reason)


def test_malformed_tables_are_refused():
    """Shapes that differ are errors."""
    table = np.arange(6.0).reshape(2, 3)
    for call in (
        lambda: item_correlations(table, table[:, :2]),
        lambda: item_agreement(table, table, [0]),
        lambda: item_correlations(table, np.full((2, 3), np.inf)),
        lambda: rank_correlation(np.arange(3.0), np.arange(3.0), range(2)),
    ):
        with pytest.raises(OptionError):
            call()
