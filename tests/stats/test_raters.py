"""Krippendorff's α against its inventor's example and another library; raters who might as well vote at random."""

import krippendorff
import numpy as np
import pytest

from evalkit.errors import OptionError
from evalkit.stats.clusters import code_groups
from evalkit.stats.raters import krippendorff_alpha, rater_agreements

EXAMPLE = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Four observers of twelve units (Krippendorff, Computing Krippendorff's alpha-reliability, 2011, D)."""


def long(table):
    """Codes of units, and values, of a table of raters by units."""
    units = np.tile(np.arange(table.shape[1]), len(table))
    known = ~np.isnan(table.ravel())
    return units[known], table.ravel()[known]


@pytest.mark.parametrize(("scale", "published"), [("nominal", 0.743), ("interval", 0.849)])
def test_the_published_example(scale, published):
    """α is what its inventor computed by hand."""
    rows = EXAMPLE.strip().replace(".", "nan").splitlines()
    units, values = long(np.array([row.split() for row in rows], dtype=float))
    found = krippendorff_alpha(units, values, code_groups(units), scale=scale)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.low < found.value < found.high <= 1


@pytest.mark.parametrize("scale", ["nominal", "interval"])
def test_another_library_finds_the_same(scale):
    """With missing votes and units that one rater gave, too."""
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 2, 40)
    table = np.where(rng.random((5, 40)) < 0.6, truth, rng.integers(-1, 2, (5, 40))).astype(float)
    table[rng.random((5, 40)) < 0.4] = np.nan
    units, values = long(table)
    found = krippendorff_alpha(units, values, code_groups(units), scale=scale)
    assert found.value == pytest.approx(krippendorff.alpha(table, level_of_measurement=scale), abs=1e-9)


def test_the_interval_is_over_groups():
    """Units of one group are drawn together: twenty copies of five units are five units."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2, (10, 3)).astype(float)
    units, copied = np.repeat(np.arange(10), 3), np.tile(values.ravel(), 20)
    few = krippendorff_alpha(units, values.ravel(), code_groups(units), n_resamples=999)
    many = krippendorff_alpha(
        np.concatenate([units + 10 * copy for copy in range(20)]),
        copied,
        code_groups(np.tile(units, 20)),
        n_resamples=999,
    )
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.2)


@pytest.mark.parametrize(
    ("units", "values", "reason"),
    [([0, 1, 2], [1, 0, 1], "nobody rated what another rated"), ([0, 0, 1, 1], [1, 1, 1, 1], "all votes are the same")],
)
def test_where_there_is_no_agreement_to_speak_of(units, values, reason):
    """α is undefined, with the reason."""
    found = krippendorff_alpha(np.array(units), np.array(values, dtype=float), code_groups(units))
    assert (found.value, found.reason) == (None, reason)


def test_every_value_needs_a_unit():
    """Lengths that differ are refused."""
    with pytest.raises(OptionError, match="needs its unit"):
        krippendorff_alpha(np.array([0]), np.zeros(2), code_groups([0]))


def study(seed=0, n_raters=8, n_items=80, odd=()):
    """Raters of whom most agree, the first of them as ``odd`` says: at random, or always with the left picture."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 0.0, 1.0], n_items, p=[0.45, 0.1, 0.45])
    frames = rng.choice([-1.0, 1.0], (n_raters, n_items))
    votes = np.where(rng.random((n_raters, n_items)) < 0.7, truth, rng.choice([-1.0, 0.0, 1.0], (n_raters, n_items)))
    for rater, how in enumerate(odd):
        votes[rater] = rng.choice([-1.0, 0.0, 1.0], n_items) if how == "random" else frames[rater]
    units = np.tile(np.arange(n_items), n_raters)
    raters = np.repeat(np.arange(n_raters), n_items)
    return rater_agreements(raters, units, votes.ravel(), frames.ravel(), code_groups(units))


def test_who_votes_at_random_or_always_left_is_flagged():
    """And nobody else is."""
    assert [each.is_flagged for each in study(odd=("random", "left"))] == [True, True, *[False] * 6]


def test_raters_who_agree_are_rarely_flagged():
    """In forty studies of eight such raters the corrected test flags someone in two at most."""
    assert sum(any(each.is_flagged for each in study(seed)) for seed in range(40)) <= 2


def test_of_few_shared_votes_nothing_is_said():
    """Who voted on nine things that others voted on, too, is neither praised nor flagged."""
    for each in study(n_items=9):
        assert (each.n_votes, each.n_shared, each.agreement, each.is_flagged) == (9, 9, None, False)


def test_who_votes_twice_agrees_with_nobody():
    """Votes of one rater on the same things are shared with no other."""
    units = np.tile(np.arange(20), 2)
    (each,) = rater_agreements(np.zeros(40, int), units, np.ones(40), np.ones(40), code_groups(units))
    assert (each.n_votes, each.n_shared, each.agreement) == (40, 0, None)
