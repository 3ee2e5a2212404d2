"""Rank sets and cliques: agreement with the simultaneous tests, coverage, and independence of names and order."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.proportion import proportion_confint

from evalkit.errors import OptionError
from evalkit.stats.bootstrap import studentized_means
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.ranking import maximal_cliques, rank_methods, simultaneous_p_values
from evalkit.stats.scores import InferenceOptions
from tests.support.grouped import metric_scores, tedbench_groups


def ranked(values, groups, *, fields=None, **options):
    """Methods ranked on one metric."""
    return rank_methods(metric_scores(values, **(fields or {})), groups, InferenceOptions(**options))


def methods(rng, means, n=100, noise=0.3):
    """Scores of methods whose items are equally hard for all."""
    items = rng.normal(size=n)
    return {f"method {number}": items + mean + noise * rng.normal(size=n) for number, mean in enumerate(means)}


def p_values_of(values, groups):
    """Names of every two methods to the p-value of their difference among all, and that difference."""
    pairs = list(combinations(values, 2))
    columns = np.rint(np.stack([values[b] - values[a] for a, b in pairs], axis=1) * 1e6)
    found = simultaneous_p_values(columns, code_groups(groups), alpha=0.05, n_resamples=9_999, seed=0)
    return {pair: (p, column.mean()) for pair, p, column in zip(pairs, found, columns.T, strict=True)}


def test_ranks_and_cliques_tell_the_story_of_the_tests():
    """A method is certainly better exactly where p ≤ α, and such pairs share no clique."""
    values = methods(np.random.default_rng(0), [0, 0, 0.1, 0.2, 0.5])
    ranking = ranked(values, tedbench_groups())
    found = p_values_of(values, tedbench_groups())
    better = {(b, a) if mean > 0 else (a, b) for (a, b), (p, mean) in found.items() if p <= 0.05}
    assert 2 < len(better) < 10
    for row in ranking.methods:
        assert row.rank_low == 1 + sum(loser == row.method for _, loser in better)
        assert row.rank_high == 5 - sum(winner == row.method for winner, _ in better)
        assert row.tied_with_best == (row.rank_low == 1)
    together = {(a, b) for clique in ranking.cliques for a in clique for b in clique if a != b}
    assert together == {(a, b) for a in values for b in values if a != b and not {(a, b), (b, a)} & better}
    means = [row.mean for row in ranking.methods]
    assert means == sorted(means, reverse=True)


def test_a_p_value_is_the_share_of_resamples_whose_largest_t_is_as_large():
    """All columns are held against the distribution of the largest |t|, and p ≤ α where mean ± c·SE excludes 0."""
    columns = np.random.default_rng(1).normal([0, 0.2, 0.4], 1, (60, 3))
    groups = code_groups([i % 20 for i in range(60)])
    sums = groups.sums(columns - columns.mean(axis=0))
    largest = np.concatenate(
        [np.abs(t).max(axis=1) for t in studentized_means(sums, groups.sizes, n_resamples=999, seed=2)]
    )
    critical = np.sort(largest)[-50]
    found = simultaneous_p_values(columns, groups, alpha=0.05, n_resamples=999, seed=2)
    for column, p_value in zip(columns.T, found, strict=True):
        error = cluster_error(column, groups).error
        assert p_value == (1 + (largest >= abs(column.mean()) / error).sum()) / 1000
        assert (p_value <= 0.05) == (abs(column.mean()) > critical * error)


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
    columns, coded = (scores["method 1"] - scores["method 0"])[:, None], code_groups(groups)
    first, again, different = (
        simultaneous_p_values(columns, coded, alpha=0.05, n_resamples=999, seed=seed)[0] for seed in (3, 3, 4)
    )
    assert first == again != different


def test_ten_equal_methods_share_all_ranks_most_of_the_time():
    """At 95 % all ten may have any rank in about 19 of 20 samples, with correlated groups."""
    rng, groups, covered = np.random.default_rng(3), np.array(tedbench_groups()), 0
    for _ in range(120):
        scores = {str(number): 0.6 * rng.normal(size=39)[groups] + 0.8 * rng.normal(size=100) for number in range(10)}
        rows = ranked(scores, groups, n_resamples=799).methods
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
    for (a, b), (p_value, _) in p_values_of(scores, tedbench_groups()).items():
        p_values[names.index(a), names.index(b)] = p_values[names.index(b), names.index(a)] = p_value
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


@given(st.integers(2, 60), st.integers(0, 60), st.sampled_from([0.05, 0.1, 0.01]))
def test_success_rates_have_wilsons_interval_and_other_means_students(n, successes, alpha):
    """With one item per group a rate's interval is statsmodels' Wilson interval, and never leaves [0, 1]."""
    successes = min(n, successes)
    scores = {"a": [1.0] * successes + [0.0] * (n - successes), "b": [0.0, 1.0] * (n // 2) + [0.0] * (n % 2)}
    for reason in ({}, {"a": "incomplete"}):
        rows = ranked(scores, range(n), fields={"is_rate": True, "unranked": reason}, alpha=alpha).methods
        row = next(row for row in rows if row.method == "a")
        low, high = proportion_confint(successes, n, alpha=alpha, method="wilson")
        assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=1e-9)
        assert 0 <= row.ci_low <= row.mean <= row.ci_high <= 1
    for row in ranked(scores, range(n), alpha=alpha).methods:
        if np.ptp(scores[row.method]):
            expected = reference.ttest_1samp(scores[row.method], 0).confidence_interval(1 - alpha)
            assert (row.ci_low, row.ci_high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_constant_differences_are_judged_by_their_signs():
    """A method that is always .5 better is better with ten groups and unproven with four; twins are tied."""
    base = np.random.default_rng(6).normal(size=10)
    scores = {"old": base, "twin": base.copy(), "new": base + 0.5}
    ranking = ranked(scores, range(10))
    assert [(row.rank_low, row.rank_high) for row in ranking.methods] == [(1, 1), (2, 3), (2, 3)]
    assert ranking.cliques == (("old", "twin"),)
    few = ranked({name: values[:4] for name, values in scores.items()}, range(4))
    assert all((row.rank_low, row.rank_high) == (1, 3) for row in few.methods)


def test_a_pair_that_hardly_differs_does_not_blur_the_others():
    """A twin that differs on two items has no interval of its own, and the rest keep theirs."""
    scores = methods(np.random.default_rng(7), [0, 0.5])
    scores["twin"] = scores["method 0"].copy()
    scores["twin"][:2] += 0.3
    found = p_values_of(scores, range(100))
    assert found["method 0", "twin"][0] == 1.0
    assert found["method 0", "method 1"][0] <= 0.05
    assert ranked(scores, range(100)).methods[0].rank_high == 1


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
    for values, options in (
        ({"a": [1.0], "b": [1.0]}, {"n_resamples": 10}),
        ({"a": [1.0], "b": [1.0]}, {"alpha": 1.0}),
    ):
        with pytest.raises(OptionError):
            ranked(values, [0], **options)
