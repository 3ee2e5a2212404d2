"""Effect sizes against closed forms and independent implementations; their intervals against promised coverage."""

import numpy as np
import pytest
from arch.bootstrap import IIDBootstrap
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.effect_sizes import cohens_dz, hedges_gz, missing_bounds, share_of_headroom, win_rate
from evalkit.stats.intervals import group_bootstrap_t_interval, group_t_interval
from evalkit.stats.rank_effect import hodges_lehmann, rank_biserial
from tests.support.grouped import group_differences, tedbench_groups

integers = st.lists(st.integers(-20, 20), min_size=2, max_size=25)


def test_dz_is_the_mean_over_the_deviation_with_its_textbook_interval():
    """With singleton groups the interval is the noncentral t interval over √n, found by scipy's distribution."""
    d = np.random.default_rng(0).normal(0.4, 1, 30)
    ours = cohens_dz(d, range(30))
    t = d.mean() / d.std(ddof=1) * 30**0.5
    assert ours.value == pytest.approx(t / 30**0.5)
    assert reference.nct.cdf(t, 29, ours.low * 30**0.5) == pytest.approx(0.975, abs=1e-6)
    assert reference.nct.cdf(t, 29, ours.high * 30**0.5) == pytest.approx(0.025, abs=1e-6)


def test_dz_covers_with_groups():
    """With correlated groups the interval for dz = .4 covers about 95 % of the time, one that ignores them does not."""
    rng, groups = np.random.default_rng(1), tedbench_groups()
    covered = naive = 0
    for _ in range(300):
        d = group_differences(rng, groups, 0.5) + 0.4
        ours, theirs = cohens_dz(d, groups), cohens_dz(d, range(100))
        covered += ours.low <= 0.4 <= ours.high
        naive += theirs.low <= 0.4 <= theirs.high
    assert covered / 300 >= 0.915
    assert naive / 300 < 0.89


def test_hedges_correction_is_the_exact_one():
    """J is close to 1 − 3/(4ν − 1), and shrinks the interval too."""
    d = np.random.default_rng(2).normal(0.4, 1, 20)
    dz, gz = cohens_dz(d, range(20)), hedges_gz(d, range(20))
    assert gz.value / dz.value == pytest.approx(1 - 3 / (4 * 19 - 1), abs=2e-4)
    assert gz.high / dz.high == pytest.approx(gz.value / dz.value)
    assert hedges_gz(np.array([1.0, 2.0]), range(2)).reason.startswith("fewer than three")


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [
        ([1.0], [0], "fewer than two items"),
        ([1.0, 1.0, 1.0], [0, 1, 2], "all differences are the same"),
        ([1.0, 2.0], [0, 0], "one group only"),
        ([1.0, 2.0, 1.0, 2.0], [0, 0, 1, 1], "groups do not differ"),
    ],
)
def test_dz_without_a_spread_has_a_reason(values, groups, reason):
    """Nothing is divided by zero: the reason stands where the number would."""
    estimate = cohens_dz(np.array(values), groups)
    assert estimate.low is None
    assert estimate.reason.startswith(reason)


@given(integers, st.booleans())
def test_wins_ties_and_losses_are_counted_in_the_metrics_direction(values, higher):
    """Swapping the methods, or the direction of the metric, swaps wins and losses."""
    d = np.array(values) / 10
    one, other = (
        win_rate(d, range(len(d)), higher_is_better=higher),
        win_rate(-d, range(len(d)), higher_is_better=higher),
    )
    turned = win_rate(d, range(len(d)), higher_is_better=not higher)
    assert (one.win, one.tie, one.loss) == (other.loss, other.tie, other.win) == (turned.loss, turned.tie, turned.win)
    assert one.win + one.tie + one.loss == len(d)
    assert one.rate.mean == pytest.approx((one.win + one.tie / 2) / len(d))
    assert one.rate.low <= one.rate.mean <= one.rate.high


@given(integers)
def test_the_rank_biserial_is_the_difference_of_rank_sums(values):
    """(R⁺ − R⁻)/(R⁺ + R⁻) over scipy's ranks of the nonzero differences, within its interval in [−1, 1]."""
    d = np.array(values, dtype=float)
    ours = rank_biserial(d, range(len(d)))
    kept = d[d != 0]
    if not len(kept):
        assert (ours.value, ours.reason) == (None, "all differences are zero")
        return
    ranks = reference.rankdata(np.abs(kept))
    assert ours.value == pytest.approx((ranks * np.sign(kept)).sum() / ranks.sum())
    if len(kept) > 1:
        assert -1 <= ours.low <= ours.value <= ours.high <= 1


def test_the_rank_biserial_covers_with_groups():
    """For normal differences of mean .5 the interval covers Φ's 2·P(d_i + d_j > 0) − 1, also with groups."""
    rng, groups = np.random.default_rng(3), tedbench_groups()
    truth = 2 * reference.norm.cdf(0.5 * 2**0.5) - 1
    for correlation in (0.0, 0.5):
        covered = 0
        for _ in range(300):
            interval = rank_biserial(group_differences(rng, groups, correlation) + 0.5, groups)
            covered += interval.low <= truth <= interval.high
        assert covered / 300 >= 0.915


@given(integers)
def test_hodges_lehmann_is_the_median_of_all_averages(values):
    """Found by halving intervals, it is exactly the median of the Walsh averages."""
    d = np.array(values) / 4
    first, second = np.triu_indices(len(d))
    walsh = (d[first] + d[second]) / 2
    ours = hodges_lehmann(d, range(len(d)))
    assert ours.value == pytest.approx(np.median(walsh), abs=1e-9)
    if ours.low is not None:
        assert ours.low <= ours.value <= ours.high


def test_the_hodges_lehmann_interval_is_made_of_walsh_averages():
    """For ten distinct differences the ends are the 9th average from either end, as tables of Wilcoxon's test say."""
    d = np.array([0.11, -0.23, 0.37, 0.53, 0.71, -0.91, 1.13, 1.31, 1.57, 1.83])
    first, second = np.triu_indices(10)
    walsh = np.sort((d[first] + d[second]) / 2)
    ours = hodges_lehmann(d, range(10))
    assert (ours.low, ours.high) == (pytest.approx(walsh[8]), pytest.approx(walsh[-9]))
    assert hodges_lehmann(d[:4], range(4)).reason == "4 groups cannot reject any shift at this level"
    same = hodges_lehmann(np.full(8, 0.2), range(8))
    assert (same.low, same.value, same.high) == (0.2, 0.2, 0.2)


def test_a_difference_as_a_share_of_the_headroom():
    """A gain of .02 where the controls are .1 apart is 20 %; for lower-is-better the ceiling is the lower one."""
    interval = group_t_interval(np.array([0.01, 0.02, 0.03]), range(3))
    share = share_of_headroom(interval, floor=0.2, ceiling=0.3)
    assert share.value == pytest.approx(0.2)
    assert share.high == pytest.approx(interval.high / 0.1)
    turned = share_of_headroom(interval, floor=0.3, ceiling=0.2)
    assert (turned.value, turned.low) == (pytest.approx(-0.2), pytest.approx(-share.high))
    with pytest.raises(OptionError):
        share_of_headroom(interval, floor=0.3, ceiling=0.3)


def test_missing_scores_bound_what_the_difference_could_be():
    """Each missing score may have been anything between the least and the greatest value of the metric."""
    a, b = np.array([0.5, np.nan, 0.2]), np.array([0.7, 0.4, np.nan])
    low, high = missing_bounds(a, b, lowest=0.0, highest=1.0)
    assert low == pytest.approx((0.2 + (0.4 - 1) + (0 - 0.2)) / 3)
    assert high == pytest.approx((0.2 + (0.4 - 0) + (1 - 0.2)) / 3)


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
