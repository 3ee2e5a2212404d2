"""Rank sets and cliques: agreement with their own intervals, coverage, and independence of names and order."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import OptionError
from evalkit.stats.ranking import maximal_cliques, rank_sets
from tests.support.grouped import tedbench_groups


def methods(rng, means, n=100, noise=0.3):
    """Scores of methods whose items are equally hard for all."""
    items = rng.normal(size=n)
    return {f"method {number}": items + mean + noise * rng.normal(size=n) for number, mean in enumerate(means)}


def test_ranks_cliques_and_intervals_tell_one_story():
    """A method is certainly better exactly where the interval excludes 0, and such pairs share no clique."""
    ranking = rank_sets(
        methods(np.random.default_rng(0), [0, 0, 0.1, 0.2, 0.5]), tedbench_groups(), higher_is_better=True
    )
    better = set()
    for pair in ranking.differences:
        assert (pair.p_value <= ranking.alpha) == (not pair.low <= 0 <= pair.high)
        if pair.low > 0:
            better.add((pair.b, pair.a))
        if pair.high < 0:
            better.add((pair.a, pair.b))
    assert 2 < len(better) < 10
    for place in ranking.methods:
        assert place.rank_low == 1 + sum(loser == place.method for _, loser in better)
        assert place.rank_high == 5 - sum(winner == place.method for winner, _ in better)
    together = {(a, b) for clique in ranking.cliques for a in clique for b in clique if a != b}
    names = [place.method for place in ranking.methods]
    assert together == {(a, b) for a in names for b in names if a != b and not {(a, b), (b, a)} & better}
    assert [place.interval.mean for place in ranking.methods] == sorted(
        (place.interval.mean for place in ranking.methods), reverse=True
    )


def test_the_direction_turns_the_ranking_round():
    """Where lower is better the best becomes the worst, with mirrored rank sets."""
    scores = methods(np.random.default_rng(1), [0, 0.2, 0.6])
    up, down = (rank_sets(scores, range(100), higher_is_better=higher) for higher in (True, False))
    assert [place.method for place in up.methods] == [place.method for place in down.methods][::-1]
    assert [(p.rank_low, p.rank_high) for p in up.methods] == [
        (4 - p.rank_high, 4 - p.rank_low) for p in down.methods[::-1]
    ]


def test_the_seed_decides_and_order_does_not():
    """The same seed gives the same result, whatever the order of the methods; another seed moves the critical value."""
    scores, groups = methods(np.random.default_rng(2), [0, 0.1, 0.3]), tedbench_groups()
    one = rank_sets(scores, groups, higher_is_better=True, seed=3)
    other = rank_sets(dict(reversed(scores.items())), groups, higher_is_better=True, seed=3)
    assert other.critical_value == pytest.approx(one.critical_value)
    assert other.methods == one.methods
    assert one == rank_sets(scores, groups, higher_is_better=True, seed=3)
    assert one.critical_value != rank_sets(scores, groups, higher_is_better=True, seed=4).critical_value


def test_ten_equal_methods_share_all_ranks_most_of_the_time():
    """At 95 % all ten may have any rank in about 19 of 20 samples, with correlated groups."""
    rng, groups, covered = np.random.default_rng(3), np.array(tedbench_groups()), 0
    for _ in range(120):
        scores = {str(number): 0.6 * rng.normal(size=39)[groups] + 0.8 * rng.normal(size=100) for number in range(10)}
        ranking = rank_sets(scores, groups.tolist(), higher_is_better=True, n_resamples=799)
        covered += all((place.rank_low, place.rank_high) == (1, 10) for place in ranking.methods)
    assert covered / 120 >= 0.9


def test_cliques_need_not_be_neighbours():
    """A noisy method between two steady ones may be tied with both while they differ; then two cliques overlap."""
    rng = np.random.default_rng(4)
    items = rng.normal(size=60)
    scores = {
        "steady": items + 0.01 * rng.normal(size=60),
        "noisy": items + 0.02 + 0.5 * rng.normal(size=60),
        "better": items + 0.05 + 0.01 * rng.normal(size=60),
    }
    cliques = rank_sets(scores, range(60), higher_is_better=True).cliques
    assert {frozenset(clique) for clique in cliques} == {frozenset({"steady", "noisy"}), frozenset({"noisy", "better"})}


@given(st.integers(1, 7), st.integers(0, 2**21 - 1))
def test_maximal_cliques_are_all_sets_that_cannot_grow(k, bits):
    """Brute force over all subsets finds the same cliques."""
    adjacent = np.zeros((k, k), dtype=bool)
    for position, (a, b) in enumerate(combinations(range(k), 2)):
        adjacent[a, b] = adjacent[b, a] = bits >> position & 1
    subsets = [frozenset(i for i in range(k) if code >> i & 1) for code in range(1, 2**k)]
    complete = [s for s in subsets if all(adjacent[i, j] for i in s for j in s if i != j)]
    maximal = {s for s in complete if not any(s < other for other in complete)}
    found = maximal_cliques(adjacent)
    assert len(found) == len(set(found))
    assert set(found) == maximal


def test_cliques_are_the_letters_of_a_compact_letter_display():
    """Two methods share a clique exactly where scikit-posthocs gives them a common letter."""
    import scikit_posthocs

    scores = methods(np.random.default_rng(5), [0, 0.02, 0.1, 0.15, 0.3, 0.31])
    ranking = rank_sets(scores, tedbench_groups(), higher_is_better=True)
    names = list(scores)
    p_values = np.ones((6, 6))
    for pair in ranking.differences:
        a, b = names.index(pair.a), names.index(pair.b)
        p_values[a, b] = p_values[b, a] = pair.p_value
    letters = scikit_posthocs.compact_letter_display(p_values, alpha=0.05, names=names)
    together = {frozenset((a, b)) for clique in ranking.cliques for a in clique for b in clique if a != b}
    sharing = {
        frozenset((a, b))
        for a in names
        for b in names
        if a != b and set(letters[a].replace(" ", "")) & set(letters[b].replace(" ", ""))
    }
    assert together == sharing
    assert 0 < len(together) < 15


def test_items_that_a_method_lacks_are_left_out_for_all_and_listed():
    """Every method is ranked on the same items, several seeds averaged first."""
    scores = {"a": np.arange(12.0), "b": np.arange(12.0) + 1, "c": np.stack([np.arange(12.0)] * 2, axis=1)}
    scores["a"][3] = np.nan
    scores["c"][5] = np.nan
    scores["c"][6, 0] = np.nan
    ranking = rank_sets(scores, range(12), higher_is_better=True)
    assert (ranking.left_out, ranking.n_items, ranking.n_groups) == ((3, 5), 10, 10)
    assert {place.interval.n_items for place in ranking.methods} == {10}


def test_constant_differences_are_judged_by_their_signs():
    """A method that is always .5 better is better with ten groups and unproven with four; twins are tied."""
    base = np.random.default_rng(6).normal(size=10)
    scores = {"old": base, "twin": base.copy(), "new": base + 0.5}
    ranking = rank_sets(scores, range(10), higher_is_better=True)
    assert [(place.rank_low, place.rank_high) for place in ranking.methods] == [(1, 1), (2, 3), (2, 3)]
    assert ranking.cliques == (("old", "twin"),)
    few = rank_sets({name: values[:4] for name, values in scores.items()}, range(4), higher_is_better=True)
    assert all((place.rank_low, place.rank_high) == (1, 3) for place in few.methods)
    assert {pair.reason for pair in few.differences} == {None, "too few groups for an interval"}


def test_a_pair_that_hardly_differs_does_not_blur_the_others():
    """A twin that differs on two items has no interval of its own, and the rest keep theirs."""
    rng = np.random.default_rng(7)
    scores = methods(rng, [0, 0.5])
    alone = rank_sets(scores, range(100), higher_is_better=True).critical_value
    scores["twin"] = scores["method 0"].copy()
    scores["twin"][:2] += 0.3
    ranking = rank_sets(scores, range(100), higher_is_better=True)
    reasons = {frozenset((pair.a, pair.b)): pair.reason for pair in ranking.differences}
    assert reasons.pop(frozenset(("method 0", "twin"))) == "the two differ in too few groups for an interval"
    assert set(reasons.values()) == {None}
    assert ranking.critical_value < alone * 1.3
    assert ranking.methods[0].rank_high == 1


def test_nothing_to_rank_is_said():
    """No common item, one group, one method: a reason, and ranks that promise nothing."""
    disjoint = rank_sets({"a": [1.0, None], "b": [None, 1.0]}, range(2), higher_is_better=True)
    assert (disjoint.reason, disjoint.differences) == ("no item has all scores", ())
    assert [(place.rank_low, place.rank_high) for place in disjoint.methods] == [(1, 2), (1, 2)]
    single = rank_sets({"a": [1.0, 2.0], "b": [2.0, 5.0]}, [0, 0], higher_is_better=True)
    assert single.reason == "one group only"
    alone = rank_sets({"a": [1.0, 2.0]}, [0, 1], higher_is_better=True)
    assert [(place.rank_low, place.rank_high) for place in alone.methods] == [(1, 1)]
    for values, options in (({}, {}), ({"a": [1.0]}, {"n_resamples": 10}), ({"a": [1.0, 2.0]}, {})):
        with pytest.raises(OptionError):
            rank_sets(values, [0], higher_is_better=True, **options)
