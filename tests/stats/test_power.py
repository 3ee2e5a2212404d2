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
from evalkit.stats.noncentral import noncentral_t_cdf, noncentrality_at
from evalkit.stats.permutation import sign_flip_test
from evalkit.stats.power import (
    Design,
    design_effect,
    equivalence_items_needed,
    equivalence_power,
    groups_needed,
    intraclass_correlation,
    items_needed,
    minimum_detectable_effect,
    smallest_p,
)
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


@pytest.mark.parametrize(("comparisons", "groups"), [(1, 6), (10, 9), (45, 11), (528, 15)])
def test_so_many_groups_can_be_significant_and_one_less_cannot(comparisons, groups):
    """Where all groups agree p is 2^(1−G), which must not exceed the corrected level."""
    alpha = 0.05 / comparisons
    assert groups_needed(alpha) == groups
    assert (
        sign_flip_test(np.ones(groups), range(groups)).p_value == smallest_p(groups) <= alpha < smallest_p(groups - 1)
    )


def test_no_effect_is_detectable_below_the_floor():
    """With 5 groups the smallest p is .0625, and a t test, which has none, is not held to it."""
    given = {"standard_error": 0.01, "degrees_of_freedom": 4}
    assert minimum_detectable_effect(**given, n_groups=5) is None
    assert minimum_detectable_effect(**given, alpha=0.0625, n_groups=5) > 0
    assert minimum_detectable_effect(**given) > 0
    assert Design(standard_deviation=1.0).detectable(1) is None


@pytest.mark.parametrize(("n_groups", "alpha"), [(6, 0.05), (8, 0.05), (11, 0.05 / 45), (12, 0.05)])
def test_four_of_five_studies_find_the_detectable_effect(n_groups, alpha):
    """The sign flip finds a true difference of that size about as often as is said, near its floor too."""
    effect = minimum_detectable_effect(
        standard_error=n_groups**-0.5, degrees_of_freedom=n_groups - 1, alpha=alpha, n_groups=n_groups
    )
    studies = np.random.default_rng(0).normal(effect, 1, (500, n_groups))
    found = np.mean([sign_flip_test(study, range(n_groups)).p_value <= alpha for study in studies])
    assert found == pytest.approx(0.8, abs=0.05)


@given(st.floats(0.02, 2.0), st.floats(0.5, 0.95), st.sampled_from([1.0, 2.5, 20.0]))
def test_the_items_needed_are_the_fewest_whole_groups_that_are_enough(effect, power, size):
    """With one group less the detectable effect is larger than the one asked for, or there is none."""
    design = Design(standard_deviation=1.0, group_sizes=(size,))
    items = items_needed(effect, standard_deviation=1.0, power=power, group_sizes=[size])
    groups = design.groups_in(items)
    assert (items, groups >= 6) == (design.items_in(groups), True)
    assert design.detectable(groups, power=power) <= effect
    assert groups == 6 or design.detectable(groups - 1, power=power) > effect


def test_groups_cost_items():
    """With a design effect of 1.5 half as many items again are needed, and fewer groups cost a little more."""
    alone = items_needed(0.01, standard_deviation=0.1)
    grouped = items_needed(0.01, standard_deviation=0.1, design_effect=1.5)
    assert grouped == pytest.approx(1.5 * alone, rel=0.01)
    assert items_needed(0.01, standard_deviation=0.1, design_effect=1.5, group_sizes=[20]) > grouped
    assert items_needed(1e-9, standard_deviation=1.0) is None


def test_a_difference_of_any_size_takes_six_groups():
    """Twenty items per group make 120 items, however large the difference."""
    assert items_needed(100.0, standard_deviation=0.1, group_sizes=[20]) == 120


def test_the_freedom_of_a_growing_mix_is_that_of_its_copies():
    """Twice the groups of TEdBench have the degrees of freedom of twice its sizes; equal groups have G − 1."""
    design = Design(standard_deviation=1.0, group_sizes=TEDBENCH_GROUP_SIZES)
    twice = np.repeat(np.arange(78), TEDBENCH_GROUP_SIZES * 2)
    for groups, labels in ((39, tedbench_groups()), (78, twice)):
        spread = unbiased_cluster_error(np.arange(len(labels), dtype=float), code_groups(labels))
        assert design.freedom(groups) == pytest.approx(spread[1])
    assert design.freedom(39) < design.freedom(50) < design.freedom(78) < design.freedom(10**6)
    assert Design(standard_deviation=1.0, group_sizes=(2.5,)).freedom(40) == 39


def test_one_dominating_group_costs_items():
    """Sixty-one of a hundred items in one group leave few degrees of freedom, so more groups are needed."""
    given = {"standard_deviation": 1.0, "design_effect": 3.0}
    even, dominated = ([2.5] * 40, [61] + [1] * 39)
    assert items_needed(0.5, **given, group_sizes=dominated) > 1.2 * items_needed(0.5, **given, group_sizes=even)


@pytest.mark.parametrize(("margin", "n"), [(0.5, 36), (0.3, 97), (0.2, 216), (0.1, 858)])
def test_items_needed_for_equivalence(margin, n):
    """One item more than the normal approximation's 8.56·(s/Δ)² shows equivalence in four of five studies."""
    assert equivalence_items_needed(margin, standard_deviation=1.0) == n


@pytest.mark.parametrize("freedom", [1.0, 2.61, 9.0, 38.0, 1e4])
@pytest.mark.parametrize("margin", [2.0, 3.0, 6.0])
def test_the_power_of_equivalence_is_that_of_simulated_studies(freedom, margin):
    """Two one-sided tests of a true difference of 0 succeed where |z| + t·S stays below the margin."""
    rng = np.random.default_rng(0)
    z, spread = rng.normal(size=200_000), np.sqrt(rng.chisquare(freedom, 200_000) / freedom)
    shown = (np.abs(z) + reference.t.ppf(0.95, freedom) * spread < margin).mean()
    assert equivalence_power(margin, freedom) == pytest.approx(shown, abs=0.004)


def test_equivalence_of_grouped_items_is_planned_in_whole_groups():
    """Groups of ten that agree by a tenth: whole tens, and enough for the power asked for but not with one less."""
    given = {"standard_deviation": 1.0, "design_effect": 1.9, "group_sizes": [10]}
    items = equivalence_items_needed(0.3, **given)
    assert items % 10 == 0

    def shown(groups):
        return equivalence_power(0.3 / (1.9 / (10 * groups)) ** 0.5, groups - 1)

    assert shown(items // 10) >= 0.8 > shown(items // 10 - 1)
    assert equivalence_items_needed(1e-9, standard_deviation=1.0) is None


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
        lambda: items_needed(0.1, standard_deviation=1.0, group_sizes=[0.5]),
        lambda: items_needed(0.1, standard_deviation=1.0, group_sizes=[]),
        lambda: equivalence_items_needed(0.1, standard_deviation=1.0, power=1.0),
        lambda: groups_needed(0.0),
    ],
)
def test_impossible_plans_are_refused(call):
    """Margins, effects and rates out of range are errors."""
    with pytest.raises(OptionError):
        call()
