"""Corrections against statsmodels, and what becomes of p-values that are not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evalkit.errors import OptionError
from evalkit.stats.multiplicity import adjust, permutations_needed

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=30)
NAMES = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}


@pytest.mark.parametrize("correction", NAMES)
@given(p_values=p_lists)
@settings(max_examples=10)  # statsmodels collects garbage on every call
def test_it_agrees_with_statsmodels(correction, p_values):
    """Holm, Benjamini–Hochberg and Benjamini–Yekutieli give statsmodels' adjusted p-values."""
    expected = multipletests(p_values, method=NAMES[correction])[1]
    assert adjust(p_values, correction) == pytest.approx(expected.tolist(), abs=1e-12)


@given(p_lists, st.lists(st.integers(0, 30), max_size=4))
def test_missing_p_values_leave_the_family(p_values, gaps):
    """The others are corrected as if the missing ones had never been asked for."""
    with_gaps = list(p_values)
    for gap in gaps:
        with_gaps.insert(min(gap, len(with_gaps)), None)
    adjusted = adjust(with_gaps)
    assert tuple(p for p in adjusted if p is not None) == adjust(p_values)
    assert [p is None for p in adjusted] == [p is None for p in with_gaps]


@given(p_lists, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_corrections_only_raise(p_values, random):
    """Permuting the family permutes the result; no adjusted value is below its raw one or above 1."""
    order = random.sample(range(len(p_values)), len(p_values))
    for correction in NAMES:
        one, other = adjust(p_values, correction), adjust([p_values[i] for i in order], correction)
        assert [one[i] for i in order] == pytest.approx(list(other))
        assert all(p <= q + 1e-15 and q <= 1 for p, q in zip(p_values, one, strict=True))


def test_an_empty_family_and_no_correction_are_fine():
    """Nothing to correct is corrected to nothing, and "none" leaves things as they are."""
    assert adjust([None, None]) == (None, None)
    assert adjust([]) == ()
    assert adjust([0.2, None, 0.1], "none") == (0.2, None, 0.1)


@pytest.mark.parametrize("p_value", [np.nan, 1.2, -0.1])
def test_nonsense_is_refused(p_value):
    """NaN is not a p-value, nor is what lies outside [0, 1]."""
    with pytest.raises(OptionError):
        adjust([p_value])


def test_enough_permutations_are_asked_for():
    """The smallest attainable p-value, times the family's size, lies well below α."""
    assert (permutations_needed(45) + 1) * 0.05 / 45 == pytest.approx(20)
    assert permutations_needed(1, 0.5) == 39
