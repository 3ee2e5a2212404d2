"""Which pairs of edits raters disagree on, and which ones decide."""

import pytest

from evalkit.votes.contests import contests_of, most_decisive, most_disputed
from evalkit.votes.records import Vote


def votes_of(item, winners, a="x", b="y"):
    """Votes on one item: "a", "b", "tie" or "both_bad" of each rater."""
    return [Vote(item_id=item, a=a, b=b, winner=winner, rater=f"r{n}") for n, winner in enumerate(winners)]


def test_votes_are_gathered_whichever_method_comes_first():
    """Two votes on the same edits are of one contest, wins are the method's own; another seed is another one."""
    votes = [*votes_of("i", ["a", "tie", "both_bad"]), *votes_of("i", ["a"], a="y", b="x")]
    other = Vote(item_id="i", a="x", b="y", winner="a", seed=3)
    contest, of_seed = contests_of([*votes, other])
    assert (contest.methods, contest.won, contest.tied, contest.both_bad) == (("x", "y"), (1, 1), 2, 1)
    assert contest.n_votes == 4
    assert (of_seed.seed, of_seed.preferred, contest.preferred) == (3, "x", None)


def test_the_most_disputed_are_those_on_which_most_disagree_with_the_majority():
    """Two against two stands before two against five, and this before one against one; ties alone are no dispute."""
    answers = {"even": "aabb", "some": "aabbbbb", "pair": "ab", "tied": "a", "clear": "aaaa"}
    votes = [vote for item, winners in answers.items() for vote in votes_of(item, [*winners])]
    votes += votes_of("tied", ["tie", "both_bad"])
    assert [each.item_id for each in most_disputed(contests_of(votes))] == ["even", "some", "pair"]


def test_those_decide_on_which_all_prefer_the_better_one():
    """Two votes or more for what was decided, most first, pairs in turn; nothing of a pair that is not decided."""
    votes = [
        *votes_of("two", ["a", "a"]), *votes_of("three", ["a"] * 3), *votes_of("against", ["b"] * 4),
        *votes_of("one", ["a"]), *votes_of("tied", ["a", "a", "tie"]), *votes_of("z", ["b", "b"], b="z"),
        *votes_of("open", ["a"] * 5, a="y", b="z"),
    ]  # fmt: skip
    better = {frozenset("xy"): "x", frozenset("xz"): "z"}
    found = [each.item_id for each in most_decisive(contests_of(votes), better)]
    assert found == ["three", "z", "two"]
    assert most_decisive(contests_of(votes), {}) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_votes_does_not_matter(reverse):
    """The same contests with the same counts, however the file is sorted."""
    votes = [*votes_of("i", ["a", "b", "b"]), *votes_of("j", ["a", "b"])]
    found = most_disputed(contests_of(sorted(votes, key=lambda vote: vote.rater, reverse=reverse)))
    assert [(each.item_id, each.won) for each in found] == [("j", (1, 1)), ("i", (1, 2))]
