"""Rank sets and cliques: agreement with the simultaneous tests, coverage, and independence of names and order."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.proportion import proportion_confint

from evalkit.errors import OptionError
from evalkit.stats.compare import compare_methods
from evalkit.stats.ranking import MOST_CLIQUES, maximal_cliques, rank_methods
from evalkit.stats.scores import InferenceOptions
from tests.support.grouped import metric_scores, tedbench_groups


def decided(values, groups, *, fields=None, **options):
    """The decisions on all pairs of methods on one metric."""
    return compare_methods([metric_scores(values, **(fields or {}))], groups, InferenceOptions(**options))


def ranked(values, groups, *, fields=None, **options):
    """Methods ranked on one metric, by these decisions."""
    metric, options = metric_scores(values, **(fields or {})), InferenceOptions(**options)
    pairs = compare_methods([metric], groups, options) if len(values) > 1 else ()
    return rank_methods(metric, groups, pairs, options)


def methods(rng, means, n=100, noise=0.3):
    """Scores of methods whose items are equally hard for all."""
    items = rng.normal(size=n)
    return {f"method {number}": items + mean + noise * rng.normal(size=n) for number, mean in enumerate(means)}


@given(
    st.lists(st.sampled_from([0, 0.05, 0.1, 0.2, 0.5]), min_size=2, max_size=6),
    st.integers(0, 99),
    st.sampled_from(["sign_flip", "t", "wilcoxon"]),
    st.sampled_from(["holm", "bh", "none"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_ranks_and_cliques_are_the_decisions_and_nothing_else(means, seed, test, correction, with_baseline):
    """A rank set counts who was decided better and worse; a clique holds no decided pair, and no pair not tested."""
    values = methods(np.random.default_rng(seed), means, n=30)
    options = {"test": test, "correction": correction, "n_permutations": 499}
    options |= {"baseline": "method 0"} if with_baseline else {}
    pairs, ranking = decided(values, range(30), **options), ranked(values, range(30), **options)
    for row in ranking.methods:
        losses = sum(pair.winner not in (None, row.method) for pair in pairs if row.method in (pair.a, pair.b))
        assert row.rank_low == 1 + losses
        assert row.rank_high == len(means) - sum(pair.winner == row.method for pair in pairs)
        assert row.tied_with_best == (row.rank_low == 1)
    together = {frozenset(pair) for clique in ranking.cliques for pair in combinations(clique, 2)}
    assert together == {frozenset((pair.a, pair.b)) for pair in pairs if pair.winner is None}
    shown = [row.mean for row in ranking.methods]
    assert shown == sorted(shown, reverse=True)


def test_the_direction_turns_the_ranking_round():
    """Where lower is better the best becomes the worst, with mirrored rank sets."""
    scores = methods(np.random.default_rng(1), [0, 0.2, 0.6])
    up, down = (ranked(scores, range(100), fields={"higher_is_better": higher}).methods for higher in (True, False))
    assert [row.method for row in up] == [row.method for row in down][::-1]
    assert [(row.rank_low, row.rank_high) for row in up] == [(4 - r.rank_high, 4 - r.rank_low) for r in down[::-1]]


def test_the_seed_decides_and_order_does_not():
    """The same seed gives the same result, whatever the order of the methods."""
    scores, groups = methods(np.random.default_rng(2), [0, 0.1, 0.3]), tedbench_groups()
    one, other = ranked(scores, groups, seed=3), ranked(dict(reversed(scores.items())), groups, seed=3)
    assert other.methods == one.methods


def test_ten_equal_methods_share_all_ranks_most_of_the_time():
    """At 95 % all ten may have any rank in about 19 of 20 samples, with correlated groups."""
    rng, groups, covered = np.random.default_rng(3), np.array(tedbench_groups()), 0
    for _ in range(120):
        scores = {str(number): 0.6 * rng.normal(size=39)[groups] + 0.8 * rng.normal(size=100) for number in range(10)}
        rows = ranked(scores, groups, n_permutations=1_999).methods
        covered += all((row.rank_low, row.rank_high) == (1, 10) for row in rows)
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
    cliques = ranked(scores, range(60)).cliques
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
    names, p_values = list(scores), np.ones((6, 6))
    for pair in decided(scores, tedbench_groups()):
        a, b = names.index(pair.a), names.index(pair.b)
        p_values[a, b] = p_values[b, a] = pair.adjusted_p_value
    letters = scikit_posthocs.compact_letter_display(p_values, alpha=0.05, names=names)
    cliques = ranked(scores, tedbench_groups()).cliques
    together = {frozenset(pair) for clique in cliques for pair in combinations(clique, 2)}
    sharing = {
        frozenset((a, b))
        for a, b in combinations(names, 2)
        if set(letters[a].replace(" ", "")) & set(letters[b].replace(" ", ""))
    }
    assert together == sharing
    assert 0 < len(together) < 15


def test_items_that_a_method_lacks_are_left_out_for_all():
    """Every ranked method has its mean over the same items, several seeds averaged first; another over its own."""
    scores = {"a": np.arange(12.0), "b": np.arange(12.0) + 1, "c": np.stack([np.arange(12.0)] * 2, axis=1)}
    scores["a"][3] = np.nan
    scores["c"][5] = np.nan
    scores["c"][6, 0] = np.nan
    ranking = ranked(scores, range(12))
    kept = [i for i in range(12) if i not in (3, 5)]
    assert ranking.n_items == 10
    assert {row.method: row.mean for row in ranking.methods} == {name: np.mean(kept) + (name == "b") for name in "abc"}
    *_, last = ranked(scores, range(12), fields={"unranked": {"a": "incomplete"}}).methods
    assert (last.method, last.rank_low, last.reason) == ("a", None, "incomplete")
    assert last.mean == np.mean([i for i in range(12) if i != 3])


@given(st.integers(7, 60), st.integers(0, 60), st.sampled_from([0.05, 0.1, 0.01]))
@settings(max_examples=40, deadline=None)
def test_success_rates_have_wilsons_interval_and_other_means_students(n, successes, alpha):
    """With one item per group a rate's interval is statsmodels' Wilson interval, and never leaves [0, 1]."""
    successes = min(n, successes)
    scores = {"a": [1.0] * successes + [0.0] * (n - successes), "b": [0.0, 1.0] * (n // 2) + [0.0] * (n % 2)}
    for reason in ({}, {"a": "incomplete"}):
        fields = {"is_rate": True, "range": (0.0, 1.0), "unranked": reason}
        row = next(row for row in ranked(scores, range(n), fields=fields, alpha=alpha).methods if row.method == "a")
        low, high = proportion_confint(successes, n, alpha=alpha, method="wilson")
        assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=1e-9)
        assert 0 <= row.ci_low <= row.mean <= row.ci_high <= 1
    for row in ranked(scores, range(n), alpha=alpha).methods:
        if np.ptp(scores[row.method]):
            expected = reference.ttest_1samp(scores[row.method], 0).confidence_interval(1 - alpha)
            assert (row.ci_low, row.ci_high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_better_rate_has_no_worse_bound():
    """72 of 72 in 18 groups takes the design effect of the methods that it stands beside, as 71 of 72 does."""
    almost = np.ones(72)
    almost[5] = 0.0
    fields = {"is_rate": True, "range": (0.0, 1.0)}
    best, second = ranked({"a": np.ones(72), "b": almost}, np.repeat(np.arange(18), 4), fields=fields).methods
    assert (best.method, best.ci_high) == ("a", 1.0)
    assert best.ci_low > second.ci_low


def test_constant_differences_are_judged_by_their_signs():
    """A method that is always .5 better is better with ten groups; twins are not told apart."""
    base = np.random.default_rng(6).normal(size=10)
    ranking = ranked({"old": base, "twin": base.copy(), "new": base + 0.5}, range(10))
    assert [(row.rank_low, row.rank_high) for row in ranking.methods] == [(1, 1), (2, 3), (2, 3)]
    assert ranking.cliques == (("old", "twin"),)


def test_groups_that_leave_hardly_any_freedom_rank_nobody():
    """Four groups, or one that holds most items, have fewer than four degrees of freedom: there are no ranks."""
    rng = np.random.default_rng(8)
    for groups in (np.arange(4), np.r_[np.zeros(61), np.arange(1, 40)]):
        values = {"a": rng.normal(size=len(groups)), "b": 9 + rng.normal(size=len(groups))}
        ranking = ranked(values, groups)
        assert {row.rank_low for row in ranking.methods} == {None}
        assert all("degrees of freedom: a ranking needs 4" in row.reason for row in ranking.methods)


def test_too_many_sets_are_not_listed():
    """Thirty pairs that differ, and no two others, make 2^30 sets: there is no list, and no waiting for it."""
    adjacent = np.ones((60, 60), dtype=bool)
    adjacent[np.arange(60), np.arange(60) ^ 1] = False
    assert maximal_cliques(adjacent, most=MOST_CLIQUES) == []


def test_nothing_to_rank_is_said():
    """No common item, one group, one method: a reason in the place of ranks."""
    for values, groups, reason in (
        ({"a": [1.0, None], "b": [None, 1.0]}, range(2), "no item has all scores"),
        ({"a": [1.0, 2.0], "b": [2.0, 5.0]}, [0, 0], "one group only"),
        ({"a": [1.0, 2.0]}, [0, 1], "there is no other complete method to be ranked against"),
    ):
        ranking = ranked(values, groups)
        assert {(row.rank_low, row.rank_high, row.reason) for row in ranking.methods} == {(None, None, reason)}
        assert ranking.cliques == ()
    with pytest.raises(OptionError):
        ranked({"a": [1.0], "b": [1.0]}, [0], alpha=1.0)
