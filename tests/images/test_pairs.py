"""Which images may be held against each other: one rule, for check and for scoring."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from evalkit.images.pairs import ASPECT_PERCENT, ASPECT_RULE, TINY, misfit, same_aspect

SIDES = st.tuples(*[st.integers(1, 5000)] * 2)


@given(one=SIDES, other=SIDES)
def test_aspect_ratios_are_compared_as_ratios(one, other):
    """Two sizes are of one aspect ratio if the larger ratio is at most 1.02 times the smaller, in exact fractions."""
    ratios = sorted(Fraction(*size) for size in (one, other))
    assert same_aspect(one, other) == (ratios[1] <= ratios[0] * Fraction(102, 100))
    assert (ASPECT_PERCENT, ASPECT_RULE) == (2, "2%")


@given(one=SIDES, other=SIDES, scale=st.integers(1, 9))
def test_the_rule_knows_neither_side_nor_scale(one, other, scale):
    """Exchanged, turned by a quarter or enlarged alike, two sizes remain what they are to each other."""
    expected = same_aspect(one, other)
    assert same_aspect(other, one) == expected
    assert same_aspect(one[::-1], other[::-1]) == expected
    assert same_aspect((one[0] * scale, one[1] * scale), other) == expected


@given(size=SIDES, frame=SIDES)
def test_an_image_fits_if_it_is_no_smaller_than_can_be_seen_and_of_one_shape(size, frame):
    """Equal sizes always fit; a mask may be coarse, an image may not be enlarged from under 16 pixels."""
    shape = None if same_aspect(size, frame) else "other_aspect"
    assert misfit(size, size) is None
    assert misfit(size, frame, is_mask=True) == shape
    expected = None if size == frame else "tiny_image" if min(size) < TINY else shape
    assert misfit(size, frame) == expected
