"""Raters who answer as one are found, and raters who agree because they look at the same are not."""

from itertools import product

import numpy as np
import pytest

from evalkit.stats import copied_answers as module
from evalkit.stats.copied_answers import copied_answers

ANSWERS = (-1.0, 0.0, 1.0)


def votes(kind, rng, n_raters=6, n_items=60):
    """``(raters, items)`` answers of raters who never met: where they look, they see what is there.

    Args:
        kind: ``alike``: all look at 7 items of 10; ``certain``: at 19 of 20; ``mixed``: few look nearly always, most
            seldom; ``hard``: on half of the items nobody sees anything; ``divided``: every item has its own shares of
            answers; ``lopsided``: one answer is usual.
        rng: Of everything.
        n_raters: How many.
        n_items: That each of them voted on.
    """
    usual = [0.05, 0.1, 0.85] if kind == "lopsided" else [0.45, 0.1, 0.45]
    if kind == "divided":
        shares = rng.dirichlet([0.6, 0.2, 0.6], n_items).cumsum(axis=1)
        drawn = (rng.random((n_raters, n_items))[..., None] > shares).sum(axis=2)
        return np.array(ANSWERS)[np.minimum(drawn, 2)]
    looks = np.full((n_raters, 1), {"certain": 0.95, "hard": 0.9}.get(kind, 0.7))
    if kind == "mixed":
        looks = rng.choice([0.3, 0.95], (n_raters, 1), p=[0.6, 0.4])
    is_clear = rng.random(n_items) < (0.5 if kind == "hard" else 1)
    guesses = rng.choice(ANSWERS, (n_raters, n_items), p=usual if kind == "lopsided" else None)
    truth = rng.choice(ANSWERS, n_items, p=usual)
    return np.where((rng.random((n_raters, n_items)) < looks) & is_clear, truth, guesses)


def found_in(table):
    """What is found in ``(raters, items)`` answers, NaN where there is none."""
    raters, units = np.nonzero(~np.isnan(table))
    return copied_answers(raters, units, table[raters, units])


@pytest.mark.parametrize("kind", ["alike", "certain", "mixed", "hard", "divided", "lopsided"])
@pytest.mark.parametrize(("n_raters", "n_items"), [(4, 30), (8, 60)])
def test_honest_raters_are_rarely_flagged(kind, n_raters, n_items):
    """However strong the consensus and whoever is careful: anybody in at most 5 % of studies."""
    rng = np.random.default_rng(3)
    flagged = [bool(found_in(votes(kind, rng, n_raters, n_items)).flagged) for _ in range(60)]
    assert sum(flagged) <= 3


@pytest.mark.parametrize(("kind", "least"), [("alike", 28), ("hard", 28), ("divided", 28), ("lopsided", 15)])
def test_who_copies_nearly_all_answers_is_found_with_the_source(kind, least):
    """And nobody else is: 19 answers of 20 are another's."""
    rng = np.random.default_rng(4)
    n_found = n_others = 0
    for _ in range(30):
        table = votes(kind, rng)
        table[3] = np.where(rng.random(table.shape[1]) < 0.95, table[1], table[3])
        pairs = [pair.raters for pair in found_in(table).flagged]
        n_found += (1, 3) in pairs
        n_others += len(set(pairs) - {(1, 3)})
    assert n_found >= least
    assert n_others <= 3


def test_where_all_agree_a_copy_cannot_be_told():
    """Perfect consensus explains every same answer: all p-values are 1."""
    table = np.tile(np.random.default_rng(0).choice(ANSWERS, 40), (6, 1))
    found = found_in(table)
    assert (found.n_pairs, found.n_tested, found.flagged) == (15, 15, ())


def test_the_record_says_what_was_counted():
    """Votes in common, same answers and those expected, in whatever order votes come; a second vote is not heard."""
    rng = np.random.default_rng(5)
    table = votes("alike", rng, n_items=80)
    table[4, :70], table[4, 70:] = table[2, :70], np.nan
    (pair,) = found_in(table).flagged
    assert (pair.raters, pair.n_shared, pair.n_same, pair.is_flagged) == ((2, 4), 70, 70, True)
    assert 30 < pair.expected < 55
    assert pair.p_value < 1e-6
    raters, units = np.nonzero(~np.isnan(table))
    order = rng.permutation(len(raters))
    values = table[raters, units]
    assert copied_answers(raters[order], units[order], values[order]).flagged == (pair,)
    twice = [np.concatenate([each, each]) for each in (raters, units)]
    assert copied_answers(*twice, np.concatenate([values, -values])).flagged == (pair,)


@pytest.mark.parametrize(
    ("n_raters", "n_items", "shared", "n_tested"),
    [(4, 10, 10, 6), (4, 9, 9, 0), (3, 60, 60, 0), (2, 60, 60, 0), (4, 60, 10, 6), (4, 60, 9, 4)],
)
def test_of_too_little_nothing_is_said(n_raters, n_items, shared, n_tested):
    """Ten votes in common of the two, here of the first two fewer, and of two others: four raters at least."""
    table = np.tile(np.random.default_rng(6).choice(ANSWERS, n_items), (n_raters, 1))
    if shared < n_items:
        table[0, 30:], table[1, : 30 - shared] = np.nan, np.nan
    assert found_in(table).n_tested == n_tested


def test_others_who_agree_with_nobody_explain_nothing():
    """Two who are equal among raters who guess may be the only ones who look."""
    rng = np.random.default_rng(7)
    table = rng.choice(ANSWERS, (4, 60))
    table[1] = table[0]
    assert (0, 1) not in [pair.raters for pair in found_in(table).flagged]


def test_the_tail_is_that_of_all_outcomes():
    """Against every outcome of events with probabilities of their own."""
    p = np.array([0.1, 0.5, 0.9, 0.3, 1.0, 0.0, 0.7])
    outcomes = np.array([*product([0, 1], repeat=len(p))])
    chances = np.where(outcomes, p, 1 - p).prod(axis=1)
    for least in range(1, 7):
        expected = chances[outcomes.sum(axis=1) >= least].sum()
        assert module._upper_tail(p, least) == pytest.approx(expected, rel=1e-12)


def test_nothing_is_found_where_nobody_voted():
    """No vote, no pair."""
    found = copied_answers(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    assert (found.n_pairs, found.n_tested, found.flagged) == (0, 0, ())
