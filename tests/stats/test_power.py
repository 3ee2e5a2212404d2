"""Power and planning against statsmodels and published numbers; equivalence against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from scipy.linalg import fractional_matrix_power
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from evalkit.errors import OptionError
from evalkit.stats.clusters import code_groups, unbiased_cluster_error
from evalkit.stats.equivalence import group_tost
from evalkit.stats.power import (
    design_effect,
    equivalence_items_needed,
    intraclass_correlation,
    items_needed,
    minimum_detectable_effect,
    noncentral_t_cdf,
    noncentrality_at,
)
from evalkit.stats.seeds import VarianceComponents, fixed_items_interval, variance_components
from tests.support.grouped import TEDBENCH_GROUP_SIZES, group_differences, tedbench_groups


@pytest.mark.parametrize(
    ("n", "alpha", "dz"),
    [(20, 0.05, 0.660), (40, 0.05, 0.454), (100, 0.05, 0.283), (1000, 0.05, 0.089), (100, 0.05 / 45, 0.422)],
)
def test_the_smallest_detectable_effect_is_what_tables_say(n, alpha, dz):
    """Known values of dz at 80 % power, and statsmodels' solution."""
    ours = minimum_detectable_effect(standard_error=n**-0.5, degrees_of_freedom=n - 1, alpha=alpha)
    assert ours == pytest.approx(dz, abs=6e-4)
    assert ours == pytest.approx(TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8), abs=1e-5)


@given(st.floats(0.02, 2.0), st.floats(0.5, 0.95))
def test_the_items_needed_are_the_fewest_that_are_enough(effect, power):
    """With one item less the detectable effect is larger than the one asked for."""
    n = items_needed(effect, standard_deviation=1.0, power=power)

    def detectable(items):
        return minimum_detectable_effect(standard_error=items**-0.5, degrees_of_freedom=items - 1, power=power)

    assert detectable(n) <= effect
    assert n == 2 or detectable(n - 1) > effect


def test_groups_cost_items():
    """With a design effect of 1.5 half as many items again are needed, and fewer groups cost a little more."""
    alone = items_needed(0.01, standard_deviation=0.1)
    grouped = items_needed(0.01, standard_deviation=0.1, design_effect=1.5)
    assert grouped == pytest.approx(1.5 * alone, rel=0.01)
    assert items_needed(0.01, standard_deviation=0.1, design_effect=1.5, items_per_group=20) > grouped
    assert items_needed(1e-9, standard_deviation=1.0) is None


@pytest.mark.parametrize(("margin", "n"), [(0.5, 35), (0.3, 96), (0.2, 215), (0.1, 857)])
def test_items_needed_for_equivalence(margin, n):
    """8.56·(s/Δ)² items show equivalence of equal methods four times in five."""
    assert equivalence_items_needed(margin, standard_deviation=1.0) == n


def test_the_design_effect_of_tedbench():
    """At a correlation of .2 its 100 items are worth about 67, and without correlation 100."""
    assert 100 / design_effect(TEDBENCH_GROUP_SIZES, 0.2) == pytest.approx(67, abs=1)
    assert design_effect(TEDBENCH_GROUP_SIZES, 0.0) == 1.0


def test_the_intraclass_correlation_finds_what_was_put_in():
    """Averaged over many samples with correlation .4 it is close to .4; without groups of two it is unknown."""
    rng, groups = np.random.default_rng(0), tedbench_groups()
    found = [intraclass_correlation(group_differences(rng, groups, 0.4), groups) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.4, abs=0.03)
    assert intraclass_correlation(np.array([1.0, 2.0]), [0, 1]) is None
    assert intraclass_correlation(np.ones(4), [0, 0, 1, 1]) is None


@given(st.floats(-50, 50), st.sampled_from([1, 2, 5, 39, 1000]), st.sampled_from([0.025, 0.2, 0.5, 0.975]))
def test_the_noncentrality_is_found_again(t, df, probability):
    """Inverting the distribution and applying it gives back the probability; it is scipy's, and 0 where that is NaN."""
    shift = noncentrality_at(t, df, probability)
    assert noncentral_t_cdf(t, df, shift) == pytest.approx(probability, abs=1e-6)
    assert np.isnan(expected := reference.nct.cdf(t, df, shift)) or expected == pytest.approx(probability, abs=1e-6)
    assert np.isnan(reference.nct.cdf(-1.98, 99, 10))
    assert noncentral_t_cdf(-1.98, 99, 10) == 0.0


def test_seeds_halve_only_their_own_part_of_the_spread():
    """The deviation of an item's difference is √(ω² + (σ_a² + σ_b²)/K), and beyond 4(σ_a² + σ_b²)/ω² seeds it stays."""
    noisy = VarianceComponents(items=1.0, seeds_a=2.0, seeds_b=2.0)
    assert [noisy.deviation(seeds) ** 2 for seeds in (1, 4, 1000)] == pytest.approx([5, 2, 1.004])
    assert (noisy.enough_seeds, VarianceComponents(items=1.0, seeds_a=0.5, seeds_b=0.5).enough_seeds) == (16, 4)
    assert VarianceComponents(items=0.0, seeds_a=1.0, seeds_b=1.0).enough_seeds is None


def test_variance_components_find_what_was_put_in():
    """Item variance 1 and seed variances ½ and 2 are recovered from many items."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(4000, 1))
    a, b = rng.normal(0, 0.5**0.5, (4000, 3)), truth + rng.normal(0, 2**0.5, (4000, 4))
    found = variance_components(a, b)
    assert found.items == pytest.approx(1.0, abs=0.1)
    assert (found.seeds_a, found.seeds_b) == (pytest.approx(0.5, abs=0.05), pytest.approx(2.0, abs=0.1))
    assert variance_components(a[:, :1], b) is None


def test_the_fixed_items_interval_covers_the_items_own_difference():
    """With only new seeds the interval covers the difference on these items 95 % of the time, however few items."""
    rng, covered = np.random.default_rng(2), 0
    items = rng.normal(size=(6, 1)) * 5
    for _ in range(800):
        low, high = fixed_items_interval(rng.normal(size=(6, 3)), items + rng.normal(size=(6, 2)))
        covered += low <= items.mean() <= high
    assert 0.925 <= covered / 800 <= 0.975


def test_the_fixed_items_error_is_the_formula():
    """Unequal numbers of seeds: Σ(σ²_ia/K_ia + σ²_ib/K_ib)/n², an item's single run taking the mean variance."""
    a = np.array([[1.0, 3.0, np.nan], [2.0, 2.0, 5.0], [4.0, np.nan, np.nan]])
    b = np.array([[1.0, 2.0], [3.0, 3.0], [1.0, 5.0]])
    mean_variance = (2 + 3) / 2
    variance = (2 / 2 + 3 / 3 + mean_variance / 1 + 0.5 / 2 + 0 + 8 / 2) / 9
    low, high = fixed_items_interval(a, b)
    half = reference.t.ppf(0.975, 1 + 2 + 3) * variance**0.5
    difference = (1.5 + 3 + 3) / 3 - (2 + 3 + 4) / 3
    assert (low, high) == pytest.approx((difference - half, difference + half))
    assert fixed_items_interval(a[:, :1], b) is None


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30, unique=True), st.floats(0.05, 1))
def test_equivalence_is_statsmodels_for_independent_items(values, margin):
    """With singleton groups the p-value and the verdict are those of two one-sided paired t tests."""
    d = np.array(values)
    if np.ptp(d) < 1e-6:
        return
    ours = group_tost(d, range(len(d)), margin=margin)
    theirs = ttost_paired(d, np.zeros(len(d)), -margin, margin)[0]
    assert ours.p_value == pytest.approx(theirs, abs=1e-9)
    assert ours.equivalent == (theirs <= 0.05)
    t = reference.t.ppf(0.95, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    assert ours.equivalent == (-margin <= d.mean() - t and d.mean() + t <= margin)


def cr2_by_matrices(d, groups) -> tuple[float, float]:
    """Error of the mean and its degrees of freedom from the matrices of the regression on a constant."""
    n, labels = len(d), np.array(groups)
    hat = np.full((n, n), 1 / n)
    rows = []
    for group in dict.fromkeys(groups):
        inside = np.flatnonzero(labels == group)
        adjustment = fractional_matrix_power(np.eye(len(inside)) - hat[np.ix_(inside, inside)], -0.5)
        rows.append((np.ones(len(inside)) @ adjustment @ (np.eye(n) - hat)[inside]).real / n)
    factors = np.array(rows)  # the squared error is the sum of the squares of factors @ d
    together = labels[:, None] == labels
    spread = np.linalg.eigvalsh(factors @ together @ factors.T)
    return float(np.sqrt(np.square(factors @ d).sum())), float(spread.sum() ** 2 / np.square(spread).sum())


@given(st.lists(st.integers(1, 7), min_size=2, max_size=12), st.integers(0, 99))
def test_grouped_equivalence_is_bell_and_mccaffreys(sizes, seed):
    """With groups the two one-sided tests use the CR2 error and degrees of freedom, here from their full matrices."""
    groups = np.repeat(np.arange(len(sizes)), sizes).tolist()
    d = np.random.default_rng(seed).normal(size=len(groups))
    error, freedom = cr2_by_matrices(d, groups)
    low, high = (d.mean() + 0.4) / error, (d.mean() - 0.4) / error
    ours = group_tost(d, groups, margin=0.4)
    assert ours.p_value == pytest.approx(max(reference.t.sf(low, freedom), reference.t.cdf(high, freedom)), rel=1e-8)


def test_groups_of_tedbench_leave_few_degrees_of_freedom():
    """Thirty-nine groups of one to six items tell as much of the spread as nineteen of one size."""
    groups = code_groups(tedbench_groups())
    assert unbiased_cluster_error(np.arange(100.0), groups)[1] == pytest.approx(17.70, abs=0.005)


def test_groups_that_do_not_differ_are_equivalent_by_definition():
    """Where differences cancel in every group, their mean decides and not the first of them."""
    cancelling = group_tost(np.array([1.0, -1.0, 1.0, -1.0]), [0, 0, 1, 1], margin=0.5)
    assert (cancelling.equivalent, cancelling.p_value) == (True, None)


def test_identical_outputs_are_equivalent_by_definition():
    """Differences without any spread need no test: they lie inside the margin or not."""
    same = group_tost(np.zeros(10), range(10), margin=0.01)
    assert (same.equivalent, same.p_value) == (True, None)
    assert not group_tost(np.full(10, 0.02), range(10), margin=0.01).equivalent
    assert not group_tost(np.full(10, 0.01), range(10), margin=0.01).equivalent


def test_one_group_shows_no_equivalence():
    """Without a spread between groups nothing is shown, and there is no p-value."""
    for d, groups in ((np.array([0.0, 0.001]), [0, 0]), (np.array([]), [])):
        result = group_tost(d, groups, margin=0.5)
        assert (result.equivalent, result.p_value) == (False, None)


@pytest.mark.parametrize(
    "call",
    [
        lambda: group_tost(np.ones(3), range(3), margin=0.0),
        lambda: group_tost(np.ones(3), range(3), margin=0.1, alpha=0.5),
        lambda: items_needed(0.0, standard_deviation=1.0),
        lambda: items_needed(0.1, standard_deviation=0.0),
        lambda: minimum_detectable_effect(standard_error=1.0, degrees_of_freedom=0),
        lambda: minimum_detectable_effect(standard_error=1.0, degrees_of_freedom=9, power=0.01),
        lambda: equivalence_items_needed(0.0, standard_deviation=1.0),
        lambda: design_effect([0, 1], 0.2),
        lambda: items_needed(0.1, standard_deviation=1.0, items_per_group=0.5),
        lambda: variance_components(np.ones((2, 2)), np.ones((3, 2))),
        lambda: variance_components(np.ones((2, 2)), np.full((2, 2), np.nan)),
        lambda: fixed_items_interval(np.ones((2, 2)), np.ones((3, 2))),
        lambda: fixed_items_interval(np.ones((2, 2)), np.full((2, 2), np.nan)),
    ],
)
def test_impossible_plans_are_refused(call):
    """Margins, effects and rates out of range are errors."""
    with pytest.raises(OptionError):
        call()
