"""The page and the figures of votes: what they show follows from the decisions, and each vote is shown once."""

import re

import pytest

from evalkit.comparison.votes.captions import voted_pairs
from evalkit.comparison.votes.compare import compare_votes
from evalkit.report.figures.votes import draw_votes
from evalkit.report.page.votes import render_votes_page
from evalkit.votes.records import Vote, write_votes
from tests.support.votes import simulated_votes

ABILITIES = {"theirs": 0.0, "ours": 1.5, "twin": 0.0}


def compared(tmp_path, votes, **settings):
    """What such votes say."""
    write_votes(tmp_path / "votes.jsonl", votes)
    return compare_votes(tmp_path / "votes.jsonl", **settings)


def test_the_figures_hold_what_was_decided(tmp_path):
    """Abilities with the ranking's intervals and ranks, best first; of every pair the votes, each vote once."""
    found = compared(tmp_path, simulated_votes(ABILITIES))
    abilities, shares = draw_votes(found)
    assert [row[0] for row in abilities.rows] == [row.method for row in found.ranking]
    assert abilities.rows[0][1:6] == tuple(
        getattr(found.ranking[0], name) for name in ("mean", "ci_low", "ci_high", "rank_low", "rank_high")
    )
    assert sum(votes for *_, votes in shares.rows) == 320
    assert {row[0] for row in shares.rows[:2]} == {"ours"}
    assert "ours" not in shares.rows[2]
    won = sum(won for method, _, won, *_ in shares.rows if method == "ours")
    assert won == sum(
        vote.winner in "ab" and {"a": vote.a, "b": vote.b}[vote.winner] == "ours" for vote in simulated_votes(ABILITIES)
    )


def test_a_pair_is_seen_from_the_better_one(tmp_path):
    """Whichever is called first, the method of a row has the higher ability, and its wins are its own."""
    votes = [
        Vote(item_id=f"i{n}", a=a, b=b, winner=winner, rater=f"r{n % 5}")
        for n, (a, b, winner) in enumerate(
            [("a", "z", "b"), ("z", "a", "a")] * 15 + [("a", "z", "a"), ("a", "z", "tie")] * 3
        )
    ]
    (pair,) = voted_pairs(compared(tmp_path, votes).criteria[0])
    assert (pair.method, pair.other, pair.won, pair.tied, pair.lost) == ("z", "a", 30, 3, 3)


def test_one_pair_needs_no_bars(tmp_path):
    """Its counts stand in its sentence: only the abilities are drawn."""
    found = compared(tmp_path, simulated_votes({"ours": 1.0, "theirs": 0.0}))
    assert [drawn.name for drawn in draw_votes(found)] == ["abilities_preference"]


def test_of_many_methods_each_is_shown_against_the_best(tmp_path):
    """Seven methods have 21 pairs, of which the bars show the best one's six; the caption counts the others."""
    found = compared(tmp_path, simulated_votes({f"m{n}": n / 3 for n in range(7)}, n_raters=12))
    _, shares = draw_votes(found)
    best = found.ranking[0].method
    assert [best in row[:2] for row in shares.rows] == [True] * 6
    assert "15 other pairs are in the table alone" in shares.caption


def test_votes_that_connect_nobody_are_drawn_nowhere(tmp_path):
    """Two pairs that no vote connects have no common scale: what cannot be known is not drawn, and the page is made."""
    votes = [
        Vote(item_id=f"i{n}", a=a, b=b, winner="a", rater=f"r{n % 3}")
        for n, (a, b) in enumerate([("a", "b"), ("c", "d")] * 9)
    ]
    found = compared(tmp_path, votes)
    drawn = {
        method for figure in draw_votes(found) if figure.name.startswith("abilities") for method, *_ in figure.rows
    }
    assert drawn == {row.method for row in found.ranking if row.mean is not None}
    assert "4 methods, compared by votes" in render_votes_page(found)


def test_a_method_without_votes_of_a_type_has_a_dash(tmp_path):
    """The table of edit types has a cell for every method on every type."""
    votes = [v for v in simulated_votes(ABILITIES) if not (v.edit_type == "add" and "twin" in (v.a, v.b))]
    page = render_votes_page(compared(tmp_path, votes, by="edit_type"))
    types = page[page.index('<h2 id="types">') : page.index('<h2 id="pairs">')]
    assert types.count('role="cell"') == 9
    assert types.count('data-v=""') == 1


@pytest.mark.parametrize("by", [None, "edit_type"])
def test_the_page_is_one_file_that_says_what_was_found(tmp_path, by):
    """The answer, each method's share of votes, and every pair's sentence; nothing is fetched."""
    found = compared(tmp_path, simulated_votes(ABILITIES), by=by)
    page = render_votes_page(found)
    share, n = found.criteria[0].won["ours"]
    assert f"ours {100 * round(share, 3):g} % of {n}" in page
    assert "On preference: ours is best." in page
    assert ('<h2 id="types">' in page) == (by is not None)
    assert page.count("<li>") >= len(found.pairs)
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
