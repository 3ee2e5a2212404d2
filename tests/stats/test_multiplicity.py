"""Corrections against statsmodels and scipy, and what becomes of p-values that are not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests

from evalkit.errors import OptionError
from evalkit.stats.multiplicity import adjust, flips_needed

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=30)
NAMES = {"holm": "holm", "benjamini_hochberg": "fdr_bh", "benjamini_yekutieli": "fdr_by"}


@pytest.mark.parametrize("correction", NAMES)
@given(p_values=p_lists)
@settings(max_examples=10)  # statsmodels collects garbage on every call
def test_it_agrees_with_statsmodels(correction, p_values):
    """Holm, Benjamini–Hochberg and Benjamini–Yekutieli give statsmodels' adjusted p-values."""
    theirs = multipletests(p_values, method=NAMES[correction])[1]
    assert adjust(p_values, correction).p_values == pytest.approx(theirs.tolist(), abs=1e-12)


@given(p_lists)
def test_the_false_discovery_rates_agree_with_scipy(p_values):
    """So do they with scipy's."""
    for ours, theirs in (("benjamini_hochberg", "bh"), ("benjamini_yekutieli", "by")):
        expected = reference.false_discovery_control(p_values, method=theirs)
        assert adjust(p_values, ours).p_values == pytest.approx(expected.tolist(), abs=1e-12)


@given(p_lists, st.lists(st.integers(0, 30), max_size=4))
def test_missing_p_values_leave_the_family(p_values, places):
    """The others are corrected as if the missing ones had never been asked for."""
    with_gaps = list(p_values)
    for place in places:
        with_gaps.insert(min(place, len(with_gaps)), None)
    result = adjust(with_gaps)
    assert tuple(p for p in result.p_values if p is not None) == adjust(p_values).p_values
    assert result.n_tests == len(p_values)
    assert [p is None for p in result.p_values] == [p is None for p in with_gaps]


@given(p_lists, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_corrections_only_raise(p_values, random):
    """Permuting the family permutes the result; no adjusted value is below its raw one or above 1."""
    order = list(range(len(p_values)))
    random.shuffle(order)
    for correction in NAMES:
        one = adjust(p_values, correction).p_values
        other = adjust([p_values[i] for i in order], correction).p_values
        assert [one[i] for i in order] == pytest.approx(list(other))
        assert all(p <= q + 1e-15 and q <= 1 for p, q in zip(p_values, one, strict=True))


def test_holm_names_the_factor_of_each_step():
    """The smallest of three p-values is multiplied by three, the next by two."""
    result = adjust([0.02, 0.001, 0.5])
    assert result.factors == (2.0, 3.0, 1.0)
    assert result.p_values == pytest.approx((0.04, 0.003, 0.5))


def test_an_empty_family_and_no_correction_are_fine():
    """Nothing to correct is corrected to nothing, and "none" leaves things as they are."""
    assert adjust([None, None]).p_values == (None, None)
    assert adjust([]).p_values == ()
    assert adjust([0.2, None, 0.1], "none").p_values == (0.2, None, 0.1)


@pytest.mark.parametrize(("p_values", "correction"), [([np.nan], "holm"), ([1.2], "holm"), ([0.1], "sidak")])
def test_nonsense_is_refused(p_values, correction):
    """NaN is not a p-value, and an unknown correction is not silently another."""
    with pytest.raises(OptionError):
        adjust(p_values, correction)


def test_enough_arrangements_are_asked_for():
    """The smallest attainable p-value, times the family's size, lies well below α."""
    assert (flips_needed(45) + 1) * 0.05 / 45 == pytest.approx(20)
    assert flips_needed(1, 0.5) == 39
