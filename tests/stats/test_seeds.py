"""Seeds: what is put in comes out, and intervals miss about as often as they say, with shared effects and without."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.formula.api import ols

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.seeds import (
    VarianceComponents,
    crossed_error,
    crossed_seed_effect,
    fixed_items_interval,
    variance_components,
)


def layout(rng, n=30, seeds=4, *, shared=0.0, noise=1.0):
    """Seed effects of items and of all items together: ``(n, seeds)`` of mean 0."""
    return rng.normal(0, noise, (n, seeds)) + rng.normal(0, shared**0.5, seeds)


def paired_methods(rng, correlation, **options):
    """Two methods of mean 0 that were run with the same seeds, whose scores correlate within items."""
    common = rng.normal(size=(30, 4)) * correlation**0.5
    a, b = (common + layout(rng, noise=(1 - correlation) ** 0.5, **options) for _ in range(2))
    return a, b


def missed(draw, times=600):
    """Share of intervals that miss 0, and of tables that have none."""
    intervals = [draw() for _ in range(times)]
    misses = sum(found.low is not None and not found.low <= 0 <= found.high for found in intervals)
    return misses / times, sum(found.low is None for found in intervals) / times


def test_seeds_halve_only_their_own_part_of_the_spread():
    """The deviation of an item's difference is √(ω² + σ_d²/K), and beyond 4σ_d²/ω² seeds it stays."""
    noisy = VarianceComponents(items=1.0, seeds_a=2.0, seeds_b=2.0, seeds_difference=4.0)
    quiet = VarianceComponents(items=1.0, seeds_a=2.0, seeds_b=2.0, paired=True, seeds_difference=1.0)
    assert [noisy.deviation(seeds) ** 2 for seeds in (1, 4, 1000)] == pytest.approx([5, 2, 1.004])
    assert (noisy.enough_seeds, quiet.enough_seeds) == (16, 4)
    assert VarianceComponents(items=0.0, seeds_a=1.0, seeds_b=1.0, seeds_difference=2.0).enough_seeds is None


def test_variance_components_find_what_was_put_in():
    """Item variance 1 and seed variances ½ and 2 are recovered from many items."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(4000, 1))
    a, b = rng.normal(0, 0.5**0.5, (4000, 3)), truth + rng.normal(0, 2**0.5, (4000, 4))
    found = variance_components(a, b)
    assert found.items == pytest.approx(1.0, abs=0.1)
    assert (found.seeds_a, found.seeds_b) == (pytest.approx(0.5, abs=0.05), pytest.approx(2.0, abs=0.1))
    assert found.seeds_difference == found.seeds_a + found.seeds_b
    assert variance_components(a[:, :1], b) is None


def test_paired_seeds_take_what_they_share_out_of_the_plan():
    """With a correlation of .9 within items, a tenth of the seeds' variance is left in the differences."""
    rng = np.random.default_rng(1)
    common = rng.normal(0, 0.9**0.5, (3000, 3))
    a, b = (common + rng.normal(0, 0.1**0.5, (3000, 3)) for _ in range(2))
    found = variance_components(a, b + rng.normal(size=(3000, 1)), paired=True)
    assert found.seeds_difference == pytest.approx(0.2, rel=0.1)
    assert found.seeds_a + found.seeds_b == pytest.approx(2.0, rel=0.1)
    assert found.items == pytest.approx(1.0, abs=0.1)
    assert not found.crossed.counts


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 99))
def test_the_crossed_effect_is_the_two_way_analysis_of_variance(n, seeds, number):
    """The F test is that of statsmodels' items + seeds model."""
    table = np.random.default_rng(number).normal(size=(n, seeds))
    rows = {"y": table.ravel(), "item": np.repeat(np.arange(n), seeds), "seed": np.tile(np.arange(seeds), n)}
    anova = sm.stats.anova_lm(ols("y ~ C(item) + C(seed)", pd.DataFrame(rows)).fit())
    found = crossed_seed_effect(table)
    assert found.p_value == pytest.approx(anova.loc["C(seed)", "PR(>F)"], abs=1e-9)
    assert (found.seed_mean_square, found.error_mean_square) == pytest.approx(
        (anova.loc["C(seed)", "mean_sq"], anova.loc["Residual", "mean_sq"])
    )


def test_the_crossed_effect_is_found_and_is_none_where_it_cannot_be_known():
    """On average the variance is what was put in; one item or one seed tells nothing."""
    rng = np.random.default_rng(2)
    found = [crossed_seed_effect(layout(rng, seeds=6, shared=0.5)).variance for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
    assert crossed_seed_effect(np.ones((1, 4))) is None
    assert crossed_seed_effect(np.ones((4, 1))) is None
    assert (crossed_seed_effect(np.ones((4, 3))).variance, crossed_seed_effect(np.ones((4, 3))).p_value) == (0.0, 1.0)


def test_what_groups_share_with_a_seed_is_no_effect_of_all():
    """Items of a picture that share their noise make F reject too often unless the groups are known."""
    rng, groups = np.random.default_rng(3), np.repeat(np.arange(12), 5)
    tables = [rng.normal(size=(60, 3)) + 1.5 * rng.normal(size=(12, 3))[groups] for _ in range(500)]
    blind, known = (
        np.mean([crossed_seed_effect(table, labels).p_value <= 0.05 for table in tables]) for labels in (None, groups)
    )
    assert blind > 0.3
    assert known == pytest.approx(0.05, abs=0.03)


def test_the_interval_of_paired_seeds_is_that_of_their_differences():
    """Seeds that are the same for both methods: the t interval of 120 per-seed differences within 30 items."""
    file = Path("../shared/cases/statistics/paired_seeds.csv")
    if not file.exists():
        pytest.skip("the table of paired seeds is not here: ../shared/cases/statistics/paired_seeds.csv")
    scores = {"A": {}, "B": {}}
    for row in csv.DictReader(file.read_text().splitlines()):
        scores[row["method"]].setdefault(row["item_id"], {})[row["seed"]] = float(row["quality"])
    a, b = (np.array([[seeds[key] for key in sorted(seeds)] for seeds in scores[name].values()]) for name in "AB")
    found = fixed_items_interval(a, b, paired=True)
    assert (found.low, found.high) == pytest.approx((0.0487, 0.1831), abs=5e-5)
    assert (found.freedom, found.paired, found.crossed) == (90, True, 0.0)
    apart = fixed_items_interval(a, b)
    assert (apart.low, apart.high) == pytest.approx((-0.125, 0.357), abs=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_without_a_shared_effect_intervals_miss_no_more_than_they_say(correlation):
    """Paired, whatever the methods share of the seeds; about a quarter is left without an interval, out of caution."""
    rng = np.random.default_rng(4)
    miss, none = missed(lambda: fixed_items_interval(*paired_methods(rng, correlation), paired=True))
    assert miss == pytest.approx(0.037, abs=0.02)
    assert none == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("shared", "most"), [(0.03, 0.09), (0.1, 0.09), (1.0, 0.03)])
def test_a_shared_effect_is_not_passed_over(shared, most):
    """The spread within items alone would miss in 11 to 60 %; four seeds that share an effect have no interval."""
    rng = np.random.default_rng(5)
    miss, none = missed(lambda: fixed_items_interval(*paired_methods(rng, 0.5, shared=shared), paired=True))
    assert miss <= most
    assert none > 0.5


def test_what_groups_share_with_a_seed_widens_the_interval_on_these_items():
    """Counted one by one, items of a picture that share their noise leave few intervals, which miss too often."""
    rng, groups, zero = np.random.default_rng(13), np.repeat(np.arange(12), 5), np.zeros((60, 3))

    def draw(labels):
        noise = rng.normal(size=(60, 3)) + 1.5 * rng.normal(size=(12, 3))[groups]
        return fixed_items_interval(zero, noise, paired=True, groups=labels)

    assert missed(lambda: draw(groups))[0] == pytest.approx(0.04, abs=0.03)
    assert draw(groups).freedom in (2, pytest.approx(24))
    assert missed(lambda: draw(None))[0] > 0.06


def test_many_seeds_that_share_an_effect_have_an_interval_that_covers():
    """Twelve seeds leave eleven degrees of freedom, whatever the number of items."""
    rng = np.random.default_rng(6)

    def draw():
        zero = np.zeros((30, 12))
        return fixed_items_interval(zero, layout(rng, seeds=12, shared=1.0), paired=True)

    miss, none = missed(draw)
    assert miss == pytest.approx(0.05, abs=0.025)
    assert none == 0
    assert draw().freedom == 11


def test_an_interval_of_a_shared_effect_is_that_of_the_seeds_means():
    """Its variance component/K + MS_error/(nK) is the spread of K means of all items."""
    d = layout(np.random.default_rng(7), seeds=15, shared=1.0)
    found = fixed_items_interval(np.zeros_like(d), d, paired=True)
    t = reference.ttest_1samp(d.mean(axis=0), 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((t.low, t.high))
    assert (found.crossed > 0.3, found.crossed_p_value < 1e-6) == (True, True)


def test_the_fixed_items_error_is_the_formula():
    """Unequal numbers of seeds: Σσ²_i/K_i/n² of each method, an item's single run taking the mean variance."""
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    a[:, 2][4:] = np.nan
    a[8, 1] = np.nan
    assert crossed_seed_effect(a).counts is crossed_seed_effect(b).counts is False
    variances = np.nanvar(a[:8], axis=1, ddof=1)
    parts = (
        (np.append(variances, variances.mean()) / np.isfinite(a).sum(axis=1)).sum() / 81,
        (b.var(axis=1, ddof=1) / 2).sum() / 81,
    )
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 12 + parts[1] ** 2 / 9)
    half = reference.t.ppf(0.975, freedom) * sum(parts) ** 0.5
    difference = (b.mean(axis=1) - np.nanmean(a, axis=1)).mean()
    found = fixed_items_interval(a, b)
    assert (found.low, found.high, found.freedom) == pytest.approx((difference - half, difference + half, freedom))


def test_an_item_without_the_same_seeds_unpairs_them():
    """Where one method lacks a seed on an item, differences by seed are not those of the means."""
    a, b = paired_methods(np.random.default_rng(9), 0.9)
    b[0, 0] = np.nan
    assert not fixed_items_interval(a, b, paired=True).paired
    a[0, 0] = np.nan
    assert fixed_items_interval(a, b, paired=True).paired


def test_fixed_items_are_never_less_certain_than_new_ones():
    """An interval that is wider than that of new items is cut to it."""
    a, b = paired_methods(np.random.default_rng(3), 0.0)
    own = fixed_items_interval(a, b, paired=True)
    cut = fixed_items_interval(a, b, paired=True, widest=0.1)
    assert own.high - own.low > 0.2
    assert cut.high - cut.low == pytest.approx(0.2)
    assert fixed_items_interval(a, b, paired=True, widest=9.0) == own


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (np.arange(6.0).reshape(6, 1), np.zeros((6, 1)), "not run twice"),
        (np.ones((30, 4)), np.zeros((30, 4)), "no difference on these items"),
        (np.eye(3)[:, :2], np.eye(3)[:, 1:], "degrees of freedom, fewer than 10"),
    ],
)
def test_no_interval_has_a_reason(a, b, reason):
    """One seed, seeds that change nothing, and too few repeats."""
    found = fixed_items_interval(a, b)
    assert (found.low, found.high) == (None, None)
    assert reason in found.reason


def test_a_shared_effect_that_leaves_no_interval_is_named():
    """Four seeds that share an effect have three degrees of freedom, and the reason says why."""
    d = layout(np.random.default_rng(10), shared=5.0)
    found = fixed_items_interval(np.zeros_like(d), d, paired=True)
    assert found.reason == (
        "the spread between seeds has 3 degrees of freedom, fewer than 10, since items may share an effect of the seed"
    )
    assert found.crossed > 0.5


@pytest.mark.parametrize(("shared", "rate"), [(0.0, 0.039), (0.1, 0.053), (1.0, 0.074)])
def test_a_test_that_counts_the_shared_effect_errs_about_as_often_as_it_says(shared, rate):
    """Items and three seeds at random: .049 to .49 of tests reject without the shared part."""
    rng, rejected, blind = np.random.default_rng(11), 0, 0
    for _ in range(1_000):
        d = rng.normal(size=(30, 1)) + layout(rng, seeds=3, shared=shared)
        found = crossed_error(d.mean(axis=1), [d], range(30))
        rejected += abs(d.mean()) > found.error * reference.t.ppf(0.975, found.freedom)
        blind += reference.ttest_1samp(d.mean(axis=1), 0).pvalue <= 0.05
    assert rejected / 1_000 == pytest.approx(rate, abs=0.025)
    assert blind / 1_000 > 3 * rejected / 1_000 or shared < 1


def test_two_seeds_decide_unless_they_are_shown_to_shift_all_items():
    """Where nothing is shared they leave most of the power, and where much is, one study in six is wrong."""
    rng, shares = np.random.default_rng(13), {}
    for shared, true in ((0.0, 0.0), (0.0, 0.63), (1.0, 0.0)):
        tables = [rng.normal(size=(30, 1)) + layout(rng, seeds=2, shared=shared) + true for _ in range(1_000)]
        shares[shared, true] = np.mean([rejects(d) for d in tables])
    assert shares[0.0, 0.0] == pytest.approx(0.047, abs=0.02)
    assert shares[0.0, 0.63] == pytest.approx(0.74, abs=0.04)
    assert shares[1.0, 0.0] == pytest.approx(0.159, abs=0.035)


def rejects(d):
    """At .05, as a comparison decides."""
    if crossed_seed_effect(d).counts_in_tests:
        found = crossed_error(d.mean(axis=1), [d], range(len(d)))
        return abs(d.mean()) > found.error * reference.t.ppf(0.975, found.freedom)
    return reference.ttest_1samp(d.mean(axis=1), 0).pvalue <= 0.05


def test_without_a_shared_effect_the_crossed_error_is_the_groups():
    """Where seeds' means differ less than chance would have them, nothing is added."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(12), 3)
    d = rng.normal(size=(36, 4))
    d -= d.mean(axis=0)
    found = crossed_error(np.nanmean(d, axis=1), [d], groups)
    spread = cluster_error(d.mean(axis=1), code_groups(groups))
    assert (found.error, found.freedom) == (spread.error, spread.freedom)
    assert crossed_error(np.nanmean(d, axis=1), [d], np.zeros(36, dtype=np.intp)) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: variance_components(np.ones((2, 2)), np.ones((3, 2))),
        lambda: variance_components(np.ones((2, 2)), np.full((2, 2), np.nan)),
        lambda: fixed_items_interval(np.ones((2, 2)), np.ones((3, 2))),
        lambda: fixed_items_interval(np.ones((2, 2)), np.full((2, 2), np.nan)),
        lambda: fixed_items_interval(np.ones((2, 2)), np.ones((2, 3)), paired=True),
        lambda: fixed_items_interval(np.ones((2, 2)), np.ones((2, 2)), level=1.0),
        lambda: crossed_error(np.ones(2), [np.full((2, 2), np.nan)], range(2)),
    ],
)
def test_tables_that_do_not_fit_are_refused(call):
    """Other items, other numbers of paired seeds, and items without a score are errors."""
    with pytest.raises(OptionError):
        call()
