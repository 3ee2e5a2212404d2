"""The gallery of a page of votes: found where the study says, or where the user says, and told when it is not."""

import shutil
from pathlib import Path

import pytest

from evalkit.comparison.votes.compare import compare_votes
from evalkit.errors import OptionError
from evalkit.report.page.votes import render_votes_page
from evalkit.votes.read import read_votes
from evalkit.votes.records import Vote, write_votes
from evalkit.voting.gallery import MOST_IN_ALL, find_gallery, gallery_of
from tests.support.fakes import save_picture
from tests.support.voting import HOSTILE, opened, session_of

NAMES = ("careful_editor", "other_editor")
ANSWERS = {"item0": "aaab", "item1": "bbbb", "item2": "aaaa", "item3": "aabb", "item4": "aaaa", "item5": "aaaa"}


@pytest.fixture
def edits(tmp_path):
    """Two methods on six items."""
    return opened(tmp_path / "edits", names=NAMES)


def voted(path, edits=None):
    """Votes of four raters, beside the record of a study on the edits; all prefer the first method on three items."""
    if edits:
        with session_of(path, edits):
            pass
    votes = [
        Vote(item_id=item, a=NAMES[0], b=NAMES[1], winner=winner, rater=f"r{n}")
        for item, winners in ANSWERS.items()
        for n, winner in enumerate(winners)
    ]
    check = Vote(item_id="item0", a="reference", b="identity", winner="b", rater="r0", expected="a")
    write_votes(path, [*votes, check])
    return compare_votes(path, alpha=0.5)


def test_the_study_beside_the_votes_names_the_edits(tmp_path, edits):
    """Nothing need be said: disputed items first those that are even, and of the decisive ones the winner's alone."""
    comparison = voted(tmp_path / "votes.jsonl", edits)
    assert comparison.pairs[0].winner == NAMES[0]
    gallery = find_gallery(comparison)
    (found,) = gallery.criteria
    assert [each.item_id for each in found.disputed] == ["item3", "item0"]
    assert [each.item_id for each in found.decisive] == ["item2", "item4", "item5"]
    assert gallery.problems == ()
    shown = found.disputed[1]
    assert [(edit.method, edit.won) for edit in shown.edits] == [(NAMES[0], "3 of 4"), (NAMES[1], "1 of 4")]
    assert shown.said == "4 votes, no tie."
    assert ("instruction", "Make it red.") in shown.texts
    assert shown.source.data.startswith("data:image/jpeg;base64,")
    assert len({shown.source.data, *(edit.picture.data for edit in shown.edits)}) == 3
    page = render_votes_page(comparison, gallery)
    assert page.count('<article class="item">') == 5
    assert shown.source.data in page


def test_runs_that_are_named_stand_above_the_study(tmp_path, edits):
    """Votes of which no record is there have a gallery from folders that are named as votes name them."""
    comparison = voted(tmp_path / "votes.jsonl")
    assert find_gallery(comparison) is None
    runs = [f"{each.name}={each.run}" for each in edits.methods]
    assert len(find_gallery(comparison, runs=runs).criteria[0].disputed) == 2
    other = find_gallery(comparison, runs=[f"somebody={edits.methods[0].run}", runs[1]])
    assert [(each.disputed, each.decisive) for each in other.criteria] == [((), ())]
    assert "There is no pair of edits on which raters are divided" in render_votes_page(comparison, other)
    with pytest.raises(OptionError, match="is no directory"):
        find_gallery(comparison, runs=["nowhere", runs[1]])


def test_edits_that_are_gone_or_others_are_said(tmp_path, edits):
    """The page is made all the same, and says why pictures are missing or not those that were voted on."""
    comparison = voted(tmp_path / "votes.jsonl", edits)
    save_picture(Path(edits.methods[0].run) / "e3_None.png", 77, 40)
    assert find_gallery(comparison).problems == (
        "The edits of careful_editor have changed since they were voted on; they are shown as they are now.",
    )
    shutil.rmtree(edits.methods[0].run)
    gallery = find_gallery(comparison)
    assert gallery.criteria == ()
    assert gallery.problems[0].startswith("The edits are not shown: ")
    assert gallery.problems[0].endswith("Say where they are: --edits RUN")
    assert "The edits are not shown" in render_votes_page(comparison, gallery)


def test_each_question_has_its_own_pairs_of_edits(tmp_path, edits):
    """What is disputed on one question need not be on another; the primary one stands first, and open."""
    path = tmp_path / "votes.jsonl"
    comparison = voted(path, edits)
    votes = [vote for vote in read_votes(path).votes if vote.expected is None]
    other = {"item1": "ab", "item2": "ba"}
    asked = [vote.model_copy(update={"criterion": "z following"}) for vote in votes]
    asked += [
        Vote(item_id=item, a=NAMES[0], b=NAMES[1], winner=winner, rater=f"r{n}", criterion="a light")
        for item, winners in other.items()
        for n, winner in enumerate(winners)
    ]
    write_votes(path, asked)
    comparison = compare_votes(path, alpha=0.5, primary=["z following"])
    gallery = find_gallery(comparison)
    assert [(each.name, each.primary) for each in gallery.criteria] == [("z following", True), ("a light", False)]
    assert [[each.item_id for each in of.disputed] for of in gallery.criteria] == [
        ["item3", "item0"],
        ["item1", "item2"],
    ]
    assert gallery.criteria[1].about_disputed.startswith("On a light raters prefer different edits in 2 of 2 pairs")
    page = render_votes_page(comparison, gallery)
    first, second = page.split('<details class="criterion"')[1:]
    assert (first.startswith(" open>"), second.startswith(">")) == (True, True)
    assert (first.count('<article class="item">'), second.count('<article class="item">')) == (5, 2)


@pytest.mark.parametrize(("n", "each", "left_out"), [(5, 6, 0), (12, 2, 0), (32, 1, 2)])
def test_many_questions_share_what_a_page_may_weigh(tmp_path, edits, n, each, left_out):
    """The more questions, the fewer pairs of each, in all no more than a page holds; who is left out is said."""
    path = tmp_path / "votes.jsonl"
    votes = [
        Vote(item_id=f"item{k}", a=NAMES[0], b=NAMES[1], winner=winner, rater=winner, criterion=f"q{q:02}")
        for q in range(n)
        for k in range(6)
        for winner in ("a", "b")
    ]
    write_votes(path, votes)
    comparison = compare_votes(path)
    gallery = gallery_of(comparison, votes, edits)
    assert {len(of.disputed) for of in gallery.criteria} == {each}
    assert sum(len(of.disputed) + len(of.decisive) for of in gallery.criteria) <= MOST_IN_ALL
    assert len(gallery.criteria) == n - left_out
    assert [problem for problem in gallery.problems if "q31" in problem] == list(gallery.problems)
    cut = gallery.criteria[0].about_disputed
    assert (f"of which {each} {'is' if each == 1 else 'are'} shown" in cut) == (each < 6)


def test_hostile_texts_of_items_are_inert(tmp_path):
    """A caption is text on the page, whatever it holds."""
    comparison = voted(
        tmp_path / "votes.jsonl", opened(tmp_path / "edits", names=NAMES, texts={"instruction": HOSTILE})
    )
    page = render_votes_page(comparison, find_gallery(comparison))
    assert HOSTILE not in page
    assert "&lt;script&gt;window.hit=1" in page
