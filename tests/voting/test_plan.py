"""What raters are shown: balanced within each rater and over all of them, at every moment, and drawn by one seed."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from evalkit.voting.plan import Contest, Sampling, draw_ballots

METHODS = ("a", "b", "c", "d")


def contests_of(n_items=30, methods=METHODS, types=("t0", "t0", "t1")):
    """Every pair on every item; two items of three are of the first type."""
    return [
        Contest(item_id=f"i{k}", a=a, b=b, edit_type=types[k % len(types)], group=f"g{k // 2}")
        for k in range(n_items)
        for a, b in combinations(methods, 2)
    ]


CHECKS = [Contest(item_id=f"i{k}", a="reference", b="identity", expected="a") for k in range(30)]


def raters_of(n, sampling, contests=None, checks=CHECKS):
    """The ballots of so many raters."""
    given = []
    for _ in range(n):
        given.append(draw_ballots(contests or contests_of(), checks, given, sampling))
    return given


def spread(counts):
    """By how much the most frequent is ahead."""
    return max(counts.values()) - min(counts.values())


@pytest.mark.parametrize("votes", [6, 17, 30, 75])
def test_every_rater_sees_items_pairs_and_sides_equally_often(votes):
    """Items, pairs and the side of each method in a pair differ by one at most; types are as among the items."""
    for ballots in raters_of(4, Sampling(votes=votes, checks=0, seed=3)):
        assert len({(ballot.item_id, ballot.a, ballot.b) for ballot in ballots}) == votes
        items = Counter({f"i{k}": 0 for k in range(30)}) + Counter(ballot.item_id for ballot in ballots)
        assert max(items.values()) - (min(items.values()) if votes >= 30 else 0) <= 1
        pairs = Counter((ballot.a, ballot.b) for ballot in ballots)
        assert len(pairs) == 6
        assert spread(pairs) <= 1
        lefts = Counter((ballot.left, ballot.right) for ballot in ballots)
        assert all(abs(lefts[a, b] - lefts[b, a]) <= 1 for a, b in combinations(METHODS, 2))
        of_first = sum(ballot.edit_type == "t0" for ballot in ballots)
        assert abs(of_first - votes * 2 / 3) <= 1


def test_a_rater_who_stops_early_leaves_a_balanced_sample():
    """After any number of ballots pairs differ by one and no item came twice."""
    [ballots] = raters_of(1, Sampling(votes=30, checks=0))
    for n in range(1, 31):
        pairs = Counter(dict.fromkeys(combinations(METHODS, 2), 0))
        pairs.update((ballot.a, ballot.b) for ballot in ballots[:n])
        assert spread(pairs) <= 1
        assert len({ballot.item_id for ballot in ballots[:n]}) == n


def test_all_raters_together_cover_everything_equally():
    """Nine raters of 20: each pair 30 times, each side 15 times, items six times or one off, types alike."""
    ballots = [ballot for of_rater in raters_of(9, Sampling(votes=20, checks=0)) for ballot in of_rater]
    assert set(Counter((ballot.a, ballot.b) for ballot in ballots).values()) == {30}
    assert set(Counter((ballot.left, ballot.right) for ballot in ballots).values()) == {15}
    assert set(Counter(ballot.item_id for ballot in ballots).values()) <= {5, 6, 7}
    contests = Counter((ballot.item_id, ballot.a, ballot.b) for ballot in ballots)
    assert len(contests) > 130
    by_type = Counter((ballot.a, ballot.b) for ballot in ballots if ballot.edit_type == "t0")
    assert all(abs(n - 20) <= 1 for n in by_type.values())


def test_raters_share_a_quarter_of_their_ballots_with_others():
    """Each but the first has ten of 40 that somebody had before, and hardly more."""
    given = raters_of(4, Sampling(votes=40, checks=4))
    seen = set()
    for number, ballots in enumerate(given):
        own = {(ballot.item_id, ballot.a, ballot.b) for ballot in ballots if not ballot.expected}
        assert len(own & seen) == 0 if number == 0 else 9 <= len(own & seen) <= 13
        seen |= own


def test_fewer_contests_than_votes_are_all_shown_once():
    """Nobody is asked the same twice; edits that are missing leave the others balanced."""
    contests = [each for each in contests_of(4) if not (each.item_id == "i0" and "a" in (each.a, each.b))]
    [ballots] = raters_of(1, Sampling(votes=99, checks=0), contests)
    assert sorted((b.item_id, b.a, b.b) for b in ballots) == sorted((c.item_id, c.a, c.b) for c in contests)


def test_the_seed_decides_and_nothing_else():
    """The same seed gives the same ballots; another seed or rater gives others."""
    sampling = Sampling(votes=20, checks=2, seed=1)
    assert raters_of(3, sampling) == raters_of(3, sampling)
    first, second, _ = raters_of(3, sampling)
    assert first != second
    assert raters_of(1, Sampling(votes=20, checks=2, seed=2))[0] != first


def test_checks_are_spread_among_the_ballots_on_either_side():
    """Each tenth of the ballots has its check, not in the first place; the right answer stands on both sides."""
    given = raters_of(6, Sampling(votes=40, checks=4))
    sides = Counter()
    for ballots in given:
        places = [n for n, ballot in enumerate(ballots) if ballot.expected]
        assert len(ballots) == 44
        assert [(place - k) // 10 for k, place in enumerate(places)] in ([0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 3, 4],
                                                                         [0, 2, 3, 4], [1, 2, 3, 4])  # fmt: skip
        assert places[0] > 0
        assert len({ballots[place].item_id for place in places}) == 4
        sides.update(ballots[place].left for place in places)
    assert sides == {"reference": 12, "identity": 12}


def test_kinds_of_checks_are_drawn_alike_and_never_twice():
    """Of two kinds each gives half; where there are fewer checks than wanted, all are given once."""
    wrong = [Contest(item_id=f"i{k}", a="reference", b="wrong_attribute", expected="a") for k in range(3)]
    [ballots] = raters_of(1, Sampling(votes=20, checks=4), checks=CHECKS + wrong)
    assert Counter(ballot.b for ballot in ballots if ballot.expected) == {"identity": 2, "wrong_attribute": 2}
    [ballots] = raters_of(1, Sampling(votes=20, checks=9), checks=wrong)
    assert len({ballot.item_id for ballot in ballots if ballot.expected}) == 3
    assert len([ballot for ballot in ballots if ballot.expected]) == 3


def test_an_answer_makes_a_vote_of_its_ballot_alone():
    """The vote says what was shown; it answers this ballot and no other, whatever blanks surround a name."""
    ballots = draw_ballots(
        [*contests_of(3), Contest(item_id=" i9 ", a="a", b="b")], CHECKS, [], Sampling(votes=99, checks=3)
    )
    rng = np.random.default_rng(0)
    for ballot in ballots:
        vote = ballot.vote(rng.choice(["a", "b", "tie"]), "r", 1.5)
        assert (vote.first == "a") == (ballot.left == ballot.a)
        assert [other for other in ballots if other.answers(vote)] == [ballot]
