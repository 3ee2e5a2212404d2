"""What is decided of votes: intervals and verdicts, few raters, methods that run off, and what cannot be known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evalkit.guide import Page
from evalkit.stats.bradley_terry import PairedVotes
from evalkit.stats.clusters import code_groups
from evalkit.stats.scores import InferenceOptions
from evalkit.stats.votes import DAVIDSON_T, CriterionVotes, compare_votes
from tests.stats.test_bradley_terry import made, simulated
from tests.studies import votes_coverage

OPTIONS = InferenceOptions()


def criterion(votes, raters=None, groups=None, **settings):
    """All votes on one question, each on an item of its own by default."""
    groups = code_groups(np.arange(len(votes)) if groups is None else groups)
    return CriterionVotes(
        criterion="preference",
        methods=tuple("abcdefgh"[: votes.n_methods]),
        votes=votes,
        raters=None if raters is None else code_groups(raters),
        groups=groups,
        n_items=groups.n_groups,
        **settings,
    )


def result_of(votes, raters=None, groups=None, options=OPTIONS, **settings):
    """What such votes say."""
    (result,) = compare_votes([criterion(votes, raters, groups, **settings)], options)
    return result


def test_two_methods_by_many_independent_votes():
    """The difference is the log-odds, its error that of a proportion: √(1/w + 1/l), but for n/(n − 1)."""
    votes = made([(0, 1, 1)] * 70 + [(0, 1, -1)] * 30, k=2)
    (pair,) = result_of(votes).pairs
    assert pair.difference == pytest.approx(np.log(30 / 70), abs=1e-6)
    half = (pair.ci_high - pair.ci_low) / 2
    assert half == pytest.approx(1.984 * np.sqrt(1 / 70 + 1 / 30), rel=0.01)
    assert (pair.win, pair.tie, pair.loss, pair.n_votes, pair.how) == (30, 0, 70, 100, DAVIDSON_T)
    assert (pair.verdict, pair.p_value < 0.05) == ("a_better", True)


def test_raters_who_differ_widen_the_interval():
    """Votes of few raters who each have a taste of their own are worth less than so many independent votes."""
    rng = np.random.default_rng(0)
    raters = np.repeat(np.arange(6), 50)
    taste = rng.permutation([-1.5, -1, -0.5, 0.5, 1, 1.5])
    won = rng.random(300) < 1 / (1 + np.exp(-taste[raters]))
    votes = made([(0, 1, 1 if each else -1) for each in won], k=2)
    alone, together = (result_of(votes, of).pairs[0] for of in (None, raters))
    assert together.ci_high - together.ci_low > 3 * (alone.ci_high - alone.ci_low)
    assert together.n_raters == 6


def test_decisions_ranks_and_sets_are_one_thing():
    """A rank set counts who was decided better and worse, and a set of methods not told apart holds no decided pair."""
    result = result_of(simulated(n=1200, k=5, ability=0.25), np.arange(1200) % 30, np.arange(1200) % 80)
    decided = [(pair.winner, {pair.a, pair.b} - {pair.winner}) for pair in result.pairs if pair.winner]
    assert decided
    for row in result.ranking.methods:
        assert row.rank_low == 1 + sum(row.method in lost for _, lost in decided)
        assert row.rank_high == 5 - sum(row.method == winner for winner, _ in decided)
    for members in result.ranking.cliques:
        assert not [pair for pair in result.pairs if pair.winner and {pair.a, pair.b} <= {*members}]
    assert sum(row.mean for row in result.ranking.methods) == pytest.approx(0, abs=1e-8)


def test_a_method_that_never_loses_has_no_upper_end():
    """It is better by what one lost vote would leave; between the others nothing changes but by little."""
    votes = simulated(n=600, k=4, ability=0.1)
    outcome = np.where(votes.a == 3, 1.0, np.where(votes.b == 3, -1.0, votes.outcome))
    options = replace(OPTIONS, correction="none")
    result = result_of(replace(votes, outcome=outcome), np.arange(600) % 20, options=options)
    of_best = [pair for pair in result.pairs if pair.b == "d"]
    assert all(pair.runs_off and pair.ci_high is None and pair.ci_low > 0 and pair.winner == "d" for pair in of_best)
    assert "d won every vote" in of_best[0].reason
    assert result.ranking.methods[0].method == "d"
    assert all(row.ci_low is None for row in result.ranking.methods)
    lost = outcome.copy()
    lost[np.flatnonzero((votes.a == 3) & (votes.b == 0))[0]] = -1.0
    one = result_of(replace(votes, outcome=lost), np.arange(600) % 20, options=options).pairs[2]
    assert (one.a, one.b) == ("a", "d")
    assert one.ci_high is not None


def test_so_few_votes_show_nothing_however_clear():
    """Three votes that all agree decide nothing."""
    (pair,) = result_of(made([(0, 1, 1)] * 3, k=2)).pairs
    assert (pair.verdict, pair.runs_off) == ("inconclusive", True)


def test_methods_that_no_vote_connects_are_not_ranked():
    """Their differences are not known, which is said, and the others are ranked without them."""
    votes = made([*[(0, 1, 1), (0, 1, -1), (1, 2, 0)] * 10, (3, 4, 1), (3, 4, -1)], k=5)
    result = result_of(votes)
    rows = {row.method: row for row in result.ranking.methods}
    assert [name for name, row in rows.items() if row.rank_low is None] == ["d", "e"]
    assert rows["d"].reason == "no chain of votes leads to those that are ranked"
    pair = next(pair for pair in result.pairs if (pair.a, pair.b) == ("a", "d"))
    assert (pair.difference, pair.p_value, pair.reason) == (None, None, "a and d: no chain of votes connects them")
    assert pair.adjusted_p_value is None
    (pair,) = (pair for pair in result.pairs if (pair.a, pair.b) == ("d", "e"))
    assert pair.reason == (
        "d and e: no chain of votes leads from them to those that are ranked; compare their votes by themselves"
    )


def test_of_halves_that_no_vote_connects_the_one_with_more_votes_is_ranked():
    """Two methods here and two there: not whichever comes last."""
    for n_first, ranked in ((9, ["a", "b"]), (3, ["c", "d"])):
        votes = made([(0, 1, 1), (0, 1, -1)] * n_first + [(2, 3, 1), (2, 3, -1)] * 5, k=4)
        assert sorted(row.method for row in result_of(votes).ranking.methods if row.rank_low) == ranked


def test_two_that_both_beat_others_without_end_are_not_compared():
    """Two methods lost to a third, and never met: neither is known to be above the other."""
    result = result_of(made([(0, 1, 1)] * 9 + [(0, 2, 1)] * 9))
    (pair,) = (pair for pair in result.pairs if (pair.a, pair.b) == ("b", "c"))
    assert pair.difference is None
    assert "from each other unknown" in pair.reason


def test_ties_alone_say_nothing():
    """Equal they may be, by how much nobody can tell."""
    (pair,) = result_of(made([(0, 1, 0)] * 20, k=2)).pairs
    assert (pair.difference, pair.verdict, pair.reason) == (None, "inconclusive", "a and b: every vote is a tie")


@pytest.mark.parametrize(
    ("raters", "groups", "reason"),
    [
        ([0] * 10, [0] * 10, "all votes are of one rater on one group: no spread"),
        (None, [0] * 10, "nobody knows who voted, and all votes are on one group: no spread"),
        ([0] * 10, [n // 2 for n in range(10)], "votes do not differ from rater to rater or from group to group"),
    ],
)
def test_without_a_spread_there_is_no_interval_and_the_reason_is_the_true_one(raters, groups, reason):
    """One rater on one group, unknown raters on one group, and groups that are all alike."""
    votes = made([(0, 1, 1), (0, 1, -1)] * 5, k=2)
    raters = None if raters is None else np.array(raters)
    (pair,) = result_of(votes, raters, np.array(groups)).pairs
    assert (pair.ci_low, pair.p_value, pair.verdict) == (None, None, "inconclusive")
    assert pair.reason.startswith(reason)


def test_one_vote_estimates_nothing():
    """With the lost vote that is added both would be equal, which nobody said."""
    (pair,) = result_of(made([(0, 1, 1)], k=2), None, np.zeros(1, int)).pairs
    assert (pair.difference, pair.mean_a, pair.verdict) == (None, None, "inconclusive")
    assert pair.reason.startswith("one won every vote, and nobody knows who voted")


@pytest.mark.parametrize(("side", "place"), [(1.0, "first"), (-1.0, "second")])
def test_votes_for_one_place_alone_are_noticed(side, place):
    """Where what was shown first, or second, always won; not by three votes, and not with one exception."""
    outcome = np.tile([1.0, -1.0], 10)
    votes = made([(0, 1, 1)] * 20, k=2)
    of_place = replace(votes, outcome=outcome, side=side * outcome)
    assert result_of(of_place).only_place == place
    assert result_of(of_place.where(np.arange(20) < 3)).only_place is None
    assert result_of(replace(of_place, side=side * np.append(outcome[:-1], 1.0))).only_place is None


def test_a_margin_is_tested_and_planned_for():
    """Many equal votes show equivalence; few say how many more it takes to find a difference of the margin."""
    equal = [(0, 1, 1), (0, 1, -1), (0, 1, 0)]
    (pair,) = result_of(made(equal * 600, k=2), margin=0.3).pairs
    assert (pair.verdict, pair.equivalent, pair.more_votes) == ("equivalent", True, None)
    (few,) = result_of(made(equal * 20, k=2), margin=0.3).pairs
    assert (few.verdict, few.equivalent) == ("inconclusive", False)
    expected = 60 * (few.minimum_detectable_effect / 0.3) ** 2
    assert 60 + few.more_votes == pytest.approx(expected, abs=1)


def test_questions_share_one_correction():
    """P-values of all primary questions are one family, exploratory ones another."""
    votes = simulated(n=200, k=3)
    several = [replace(criterion(votes), criterion=name, primary=name != "c") for name in "abc"]
    first, second, third = compare_votes(several, OPTIONS)
    assert {pair.n_comparisons for pair in (*first.pairs, *second.pairs)} == {6}
    assert {pair.n_comparisons for pair in third.pairs} == {3}


def test_a_baseline_leaves_out_other_pairs():
    """Each other method is held against it, and as a."""
    result = result_of(simulated(), options=replace(OPTIONS, baseline="c"))
    assert [(pair.a, pair.b) for pair in result.pairs] == [("c", "a"), ("c", "b"), ("c", "d")]


def test_intervals_cover_with_few_raters_of_their_own_taste():
    """With four raters and effects of raters and items the 95 % intervals hold equal methods nearly always."""
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        raters, items = np.repeat(np.arange(4), 60), np.tile(np.arange(60), 4)
        a = rng.integers(0, 3, 240)
        b = (a + rng.integers(1, 3, 240)) % 3
        own = rng.normal(0, 0.5, (4, 3))[raters] + rng.normal(0, 0.5, (60, 3))[items]
        at = np.arange(240)
        won = rng.random(240) < 1 / (1 + np.exp(own[at, b] - own[at, a]))
        votes = PairedVotes(n_methods=3, a=a, b=b, outcome=np.where(won, 1.0, -1.0), side=np.zeros(240))
        covered += [pair.ci_low <= 0 <= pair.ci_high for pair in result_of(votes, raters, items).pairs]
    assert np.mean(covered) >= 0.93


def test_the_study_of_coverage_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Rounds that are kept one by one give the means over all studies, of which every design has as many."""
    monkeypatch.setattr(votes_coverage, "STUDIES", ((3, 40),))
    rounds = [votes_coverage.one_round(number, studies=1) for number in (0, 1)]
    path, results = tmp_path / "found.json", {"draws": 0, "rates": {}}
    for found in rounds:
        results = votes_coverage.joined(results, found)
        votes_coverage.keep(results, path)
        results = json.loads(path.read_text())
    name, column = "3 raters, 40 items | none | 20% ties", "covers, votes"
    assert results["draws"] == 2
    assert results["rates"][name][column] == pytest.approx(np.mean([found[name][0][column] for found in rounds]))
    assert "2 studies of each of the 6 designs, 12 in all." in path.with_suffix(".md").read_text()


def test_the_guide_says_what_the_study_of_coverage_found():
    """How many studies there were, and the rates where raters and items have effects of their own."""
    results = json.loads(votes_coverage.RESULTS.read_text())
    said = " ".join(Page("votes").text.split())
    assert f"{results['draws'] * len(results['rates']):,} studies" in said
    assert f"{results['draws']:,} of each design" in said
    columns = [f"{what}, {whose}" for what in ("covers", "any wrong") for whose in ("evalkit", "votes", "prompts")]
    rates = dict(votes_coverage.means(results["rates"], columns))["raters and items"]
    assert [rate for rate in rates if f"{100 * rate:.1f}" not in said] == []
