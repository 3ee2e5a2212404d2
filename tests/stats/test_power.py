"""Power and planning against statsmodels and published numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.power import TTestPower

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups
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


@pytest.mark.parametrize(
    ("n_groups", "alpha"), [(6, 0.05), (8, 0.05), (11, 0.05 / 45), (12, 0.05 / 45), (12, 0.002), (12, 0.05)]
)
def test_four_of_five_studies_find_the_detectable_effect(n_groups, alpha):
    """The sign flip finds a true difference of that size about as often as is said, near its floor too."""
    effect = minimum_detectable_effect(
        standard_error=n_groups**-0.5, degrees_of_freedom=n_groups - 1, alpha=alpha, n_groups=n_groups
    )
    studies = np.random.default_rng(0).normal(effect, 1, (1_000, n_groups))
    found = np.mean([sign_flip_test(study, range(n_groups)).p_value <= alpha for study in studies])
    assert found == pytest.approx(0.8, abs=0.035)


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
        spread = cluster_error(np.arange(len(labels), dtype=float), code_groups(labels))
        assert design.freedom(groups) == pytest.approx(spread.freedom)
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


@pytest.mark.parametrize(
    "call",
    [
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
