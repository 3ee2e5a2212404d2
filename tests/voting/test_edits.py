"""What is voted on: edits that are there, of the same items, and the pictures of a ballot."""

from collections import Counter

import numpy as np
import pytest

from evalkit.benchmarks.shapes import shapes
from evalkit.errors import DataError, OptionError
from evalkit.images.decode import read_image
from evalkit.voting.edits import open_methods
from evalkit.voting.plan import Ballot
from tests.support.voting import opened, write_methods


def ballot_of(contest, first="a"):
    """A contest as it is shown."""
    return Ballot(
        item_id=contest.item_id, a=contest.a, b=contest.b, seed=contest.seed, first=first, expected=contest.expected
    )


def test_a_missing_edit_is_named_and_not_voted_on(tmp_path):
    """The item's other pairs stay."""
    edits = opened(tmp_path, missing=[("other_editor", 2)])
    pairs = Counter(contest.item_id for contest in edits.contests)
    assert edits.missing == {"other_editor": ["item2"]}
    assert pairs == {**{f"item{k}": 3 for k in range(6)}, "item2": 1}


def test_an_item_that_nobody_votes_on_is_no_check(tmp_path):
    """Raters see only pictures of the study."""
    edits = opened(tmp_path, names=("a", "b"), missing=[("a", 2)])
    assert {check.item_id for check in edits.checks} == {contest.item_id for contest in edits.contests}
    assert len(edits.contested) == 5


def test_seeds_are_compared_with_their_equals(tmp_path):
    """Of two methods that share seeds only equal ones; where none is shared, the first of each."""
    edits = opened(tmp_path, names=("a", "b"), seeds=(0, 1))
    assert Counter(contest.seed for contest in edits.contests) == {0: 6, 1: 6}
    write_methods(tmp_path, names=("c",), seeds=(7,))
    mixed = open_methods([str(tmp_path / name) for name in ("a", "c")])
    assert Counter(contest.seed for contest in mixed.contests) == {None: 6}
    picture = mixed.picture(ballot_of(mixed.contests[0]), "left")
    assert np.array_equal(picture, read_image(tmp_path / "a" / "e0_0.png"))


def test_pictures_are_those_of_the_ballot(tmp_path):
    """Left, right and source, and the controls of a check."""
    edits = opened(tmp_path)
    contest = next(each for each in edits.contests if (each.item_id, each.b) == ("item3", "third_editor"))
    for first, left in (("a", contest.a), ("b", contest.b)):
        ballot = ballot_of(contest, first)
        assert np.array_equal(edits.picture(ballot, "left"), read_image(tmp_path / left / "e3_None.png"))
    assert np.array_equal(
        edits.picture(ballot, "source"), read_image(tmp_path / "careful_editor" / "sources" / "s1.png")
    )
    check = ballot_of(next(each for each in edits.checks if each.item_id == "item3"))
    assert np.array_equal(edits.picture(check, "left"), read_image(tmp_path / "careful_editor" / "perfect" / "p3.png"))
    assert np.array_equal(edits.picture(check, "right"), read_image(tmp_path / "careful_editor" / "sources" / "s1.png"))


def test_another_picture_is_of_another_source(tmp_path):
    """The check without perfect edits never shows the item's own source twice."""
    edits = opened(tmp_path, reference=False)
    assert len(edits.checks) == 6
    for contest in edits.checks:
        ballot = ballot_of(contest)
        assert not np.array_equal(edits.picture(ballot, "left"), edits.picture(ballot, "right"))


def test_a_benchmark_brings_its_wrong_edits(tmp_path):
    """On shapes a check may be the perfect edit against one with a wrong attribute."""
    from evalkit.benchmarks.controls import write_control

    loaded = shapes().load()
    for name in ("identity", "wrong_attribute"):
        write_control(name, loaded, tmp_path / name, rng=np.random.default_rng(0), items=loaded.items[:4])
    edits = open_methods([str(tmp_path / "identity"), f"w={tmp_path / 'wrong_attribute'}"])
    assert [method.name for method in edits.methods] == ["identity", "w"]
    kinds = Counter((check.a, check.b) for check in edits.checks)
    assert kinds == {("reference", "identity"): 4, ("reference", "wrong_attribute"): 4}
    wrong = ballot_of(next(check for check in edits.checks if check.b == "wrong_attribute"))
    shown = edits.picture(wrong, "right")
    assert np.array_equal(shown, read_image(tmp_path / "wrong_attribute" / f"{wrong.item_id}.png"))


@pytest.mark.parametrize(
    ("runs", "error", "said"),
    [
        (["careful_editor"], OptionError, "two methods or more"),
        (["careful_editor", "careful_editor"], OptionError, "Two of the runs are called 'careful_editor'"),
        (["careful_editor", "absent"], OptionError, "absent is no directory"),
    ],
)
def test_what_cannot_be_voted_on_is_refused(tmp_path, monkeypatch, runs, error, said):
    """In a sentence with what to do."""
    write_methods(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        open_methods(runs)


def test_edits_of_different_items_leave_nothing_to_vote_on(tmp_path):
    """Neither do items without a text."""
    with pytest.raises(DataError, match="There is nothing to vote on"):
        opened(tmp_path, names=("a", "b"), n_items=1, missing=[("a", 0)])
