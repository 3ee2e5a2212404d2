"""Numbers as text: nothing is lost that a reader decides by, whatever the size of the number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formatting import (
    abridged,
    format_alike,
    format_declared,
    format_interval,
    format_number,
    format_p,
    format_p_relation,
    format_score,
    format_signed,
)

numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)
shares = st.floats(min_value=0, max_value=1)


def read(text):
    """A number as a reader takes it."""
    return float(text.replace("−", "-").replace(",", ""))


@given(numbers, st.sampled_from([format_score, format_number, format_signed]))
def test_a_number_reads_as_what_it_is(value, form):
    """A text is within its last digit of the number, 0 only where the number is 0, and short."""
    text = form(value)
    assert read(text) == pytest.approx(value, rel=6e-3, abs=6e-5 if form is format_score and abs(value) > 4e-5 else 0)
    assert (read(text) == 0) == (value == 0)
    assert len(text) <= 14


@given(numbers, st.integers(0, 4))
def test_a_zero_has_no_sign(value, decimals):
    """What is rounded to zero is written as zero is."""
    for text in (format_number(value, decimals), format_signed(value, decimals), format_score(value)):
        assert read(text) != 0 or text[0] == "0"


@given(numbers)
def test_a_difference_has_its_sign(value):
    """Plus or minus, whatever the size."""
    assert format_signed(value)[0] == ("0" if value == 0 else "+" if value > 0 else "−")


@given(st.lists(numbers, min_size=1, max_size=3))
def test_numbers_side_by_side_keep_their_signs(values):
    """With as many decimals each, none becomes zero that is not."""
    texts = format_alike(values)
    assert [math.copysign(1, read(text)) if read(text) else 0 for text in texts] == [
        math.copysign(1, value) if value else 0 for value in values
    ]


@given(numbers, numbers, st.sampled_from([format_score, format_number, format_signed]))
def test_an_interval_with_a_width_reads_as_one(one, other, form):
    """Ends that differ never read the same, and keep their order."""
    low, high = sorted((one, other))
    first, second = (read(end) for end in format_interval(low, high, form)[1:-1].split(", "))
    assert (first < second) if low < high else (first == second)


@given(shares, st.sampled_from([0.05, 0.01, 0.001, 0.0001, 0.1]))
def test_a_p_value_stands_on_its_side_of_the_error_rate(p_value, alpha):
    """Whoever compares the text with α comes to the verdict that the number gives."""
    text = format_p(p_value, alpha)
    if text.startswith("<"):
        assert p_value < 1e-4 <= alpha
    else:
        assert (read(text) <= alpha) == (p_value <= alpha)
        assert read(text) == pytest.approx(p_value, rel=0.051, abs=1e-300)


def test_p_values_near_the_error_rate_have_the_digits_that_tell_them_apart():
    """0.0496 and 0.0504 are not both 0.05; far from α two digits do."""
    assert [format_p(p) for p in (0.0496, 0.0504, 0.0504 + 1e-4, 0.3123)] == ["0.0496", "0.0504", "0.0505", "0.31"]
    assert [format_p(p, 0.01) for p in (0.00996, 0.0504)] == ["0.00996", "0.05"]
    assert format_p_relation(0.0499999) == "= 0.0499999"


def test_what_was_declared_stands_as_it_was_declared():
    """A margin of 0.05 is 0.05, and not 0.0500."""
    assert [format_declared(x) for x in (0.05, 0.005, 1e-6, 3.0)] == ["0.05", "0.005", "1e−6", "3"]


def test_a_message_is_one_line_of_bounded_length():
    """Names come from anybody's files: they neither end the line of a message nor fill a page."""
    assert abridged("a\nb\u2028c is unknown") == r"a\nb\u2028c is unknown"
    assert len(abridged("\n" * 5000)) == 2000
