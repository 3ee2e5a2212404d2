"""Pages in files, and what raters send back: joined, each vote once, contradictions named."""

import html
import json
import re

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import DataError, OptionError
from evalkit.votes.read import read_votes
from evalkit.votes.records import Vote, write_votes
from evalkit.voting.files import merge_votes, write_pages
from evalkit.voting.study import new_study, read_study
from tests.support.voting import opened

VOTE = Vote(item_id="i", a="x", b="y", winner="a", rater="r", first="a")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder of three pages and their record."""
    root = tmp_path_factory.mktemp("study")
    edits = opened(root / "edits")
    write_pages(root / "pages", edits, new_study(edits, votes=4, checks=1, seed=0), 3)
    return root / "pages"


def answered(path, folder, page=1, rater="Anna", answers=((0, "left"), (1, "tie")), changed=None):
    """A file as a page saves it."""
    content = {
        "format": "evalkit.answers/1", "study": read_study(folder / "study.json").id, "page": page, "rater": rater,
        "answers": [{"n": n, "answer": answer, "seconds": 1.0} for n, answer in answers],
    }  # fmt: skip
    path.write_text(json.dumps(content | (changed or {})))
    return path


def table(path, *votes):
    """A file of votes."""
    write_votes(path, votes)
    return path


def merge(*arguments, to):
    """The exit code of a merge into a file, and all that it says, on one line."""
    shown = CliRunner().invoke(main, ["vote", "merge", *map(str, arguments), "--output", str(to)])
    return shown.exit_code, " ".join(shown.output.split())


def test_pages_hold_every_picture_once_and_ballots_of_their_own(study):
    """Each rater's sample is another; pictures lie inside, and no method's name does."""
    ballots = []
    for number in (1, 2, 3):
        text = (study / f"page-{number}.html").read_text()
        data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
        assert len(data["ballots"]) == 5
        assert len(data["pictures"]) == len({*data["pictures"]}) <= 15
        assert all(picture.startswith("data:image/webp;base64,") for picture in data["pictures"])
        assert {data["ballots"][0][side] for side in ("left", "right")} <= set(range(len(data["pictures"])))
        assert not any(name in text for name in ("careful_editor", "other_editor", "third_editor"))
        assert "connect-src 'none'" in html.unescape(text)
        ballots.append(read_study(study / "study.json").raters[str(number)])
    assert len({*ballots}) == 3


def test_a_folder_that_holds_something_is_left_alone(study, tmp_path):
    """Pages are not mixed with those of another study."""
    with pytest.raises(OptionError, match=r"is not empty: it holds page-1\.html"):
        write_pages(study, opened(tmp_path), None, 1)


def test_answers_become_votes_of_whoever_gave_them(study, tmp_path):
    """Positions and sides become items and methods, by the record beside the file, or by the one that is named."""
    ballots = read_study(study / "study.json").raters["2"]
    file = answered(tmp_path / "a.json", study, page=2, answers=[(3, "right"), (4, "both_bad")])
    merged = merge_votes([file], study / "study.json")
    assert [(v.item_id, v.rater, v.seconds) for v in merged.votes] == [(b.item_id, "Anna", 1.0) for b in ballots[3:5]]
    assert merged.votes[0].winner != merged.votes[0].first
    assert merged.votes[1].winner == "both_bad"
    with pytest.raises(DataError, match=r"study\.json is not there\. Name the record"):
        merge_votes([file])


def test_a_vote_that_comes_twice_counts_once(study, tmp_path):
    """In one file or several, as answers or as votes, whichever method is called the first."""
    file = answered(tmp_path / "a.json", study)
    one = merge_votes([file], study / "study.json").votes
    same = table(tmp_path / "b.jsonl", *one)
    merged = merge_votes([file, same, file], study / "study.json")
    assert (merged.votes, merged.n_duplicates, merged.conflicts) == (one, 4, ())
    turned = VOTE.model_copy(update={"a": "y", "b": "x", "winner": "b", "first": "b"})
    merged = merge_votes([table(tmp_path / "c.jsonl", VOTE), table(tmp_path / "d.jsonl", turned)])
    assert (merged.votes, merged.n_duplicates) == ((VOTE,), 1)


@pytest.mark.parametrize(
    "other", [{"rater": "s"}, {"item_id": "j"}, {"seed": 1}, {"criterion": "beauty"}, {"repeat": 1}, {"first": "b"}]
)
def test_votes_that_differ_in_what_was_asked_are_all_kept(tmp_path, other):
    """Of another rater, item, seed, criterion, time, or with the sides changed."""
    files = [table(tmp_path / "a.jsonl", VOTE), table(tmp_path / "b.jsonl", VOTE.model_copy(update=other))]
    assert len(merge_votes(files).votes) == 2


def test_votes_without_a_rater_are_never_the_same(tmp_path):
    """Nobody knows that they are."""
    nobody = VOTE.model_copy(update={"rater": None})
    assert len(merge_votes([table(tmp_path / "a.jsonl", nobody), table(tmp_path / "b.jsonl", nobody)]).votes) == 2


def test_a_rater_who_contradicts_himself_is_named_and_counts_as_neither(tmp_path):
    """Whichever file comes first, and however often."""
    other = VOTE.model_copy(update={"winner": "tie"})
    third = VOTE.model_copy(update={"item_id": "k"})
    files = [
        table(tmp_path / "a.jsonl", VOTE, third),
        table(tmp_path / "b.jsonl", other),
        table(tmp_path / "c.jsonl", VOTE),
    ]
    for order in (files, files[::-1]):
        merged = merge_votes(order)
        assert merged.votes == (third,)
        assert len(merged.conflicts) == 1
    assert merge_votes(files).conflicts == ("r answered i, x or y, in two ways: x, and tie in b.jsonl",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"study": "another"}, "holds answers to another study"),
        ({"answers": [{"n": 99, "answer": "left"}]}, "answers ballot 99 of page 1, which has 5"),
        ({"answers": [{"n": -1, "answer": "left"}]}, "is not what a page saved"),
        ({"answers": [{"n": 0, "answer": "careful_editor"}]}, "is not what a page saved"),
        ({"page": 9}, "of page 9, which has 0"),
        ({"rater": ""}, "1 to 60 characters"),
        ({"more": 1}, "is not what a page saved"),
    ],
)
def test_what_no_page_saved_is_refused(study, tmp_path, changed, said):
    """The message names the file."""
    file = answered(tmp_path / "a.json", study, changed=changed)
    with pytest.raises(DataError, match=said) as refused:
        merge_votes([file], study / "study.json")
    assert str(file) in str(refused.value)


def test_a_file_is_divided_by_raters(tmp_path):
    """One rater's votes, or all but those; a name that nobody has is refused with those that there are."""
    other = VOTE.model_copy(update={"rater": "http/judge"})
    both = table(tmp_path / "both.jsonl", VOTE, other)
    for option, kept in (("--rater", other), ("--without", VOTE)):
        part = tmp_path / f"{option}.jsonl"
        assert merge(both, option, "http/judge", to=part)[0] == 0
        assert read_votes(part).votes == (kept,)
    code, said = merge(both, "--rater", "Ann", to=tmp_path / "ann.jsonl")
    assert code == 1
    assert "no votes of Ann: expected some of http/judge, r." in said


def test_a_file_that_is_merged_is_not_written_over(tmp_path):
    """Nor by another name of it."""
    both = table(tmp_path / "votes.jsonl", VOTE, VOTE.model_copy(update={"rater": "s"}))
    before, link = both.read_bytes(), tmp_path / "link.jsonl"
    link.symlink_to(both)
    for to in (both, link):
        code, said = merge(both, "--rater", "s", to=to)
        assert code == 1
        assert f"{to} is one of the files that are merged" in said
        assert "--output FILE" in said
    assert both.read_bytes() == before


def test_votes_that_are_not_merged_are_not_written_over(tmp_path):
    """What a target holds must be in the merge, be it among what contradicts itself; the same again changes nothing."""
    nobody, other = VOTE.model_copy(update={"rater": None}), VOTE.model_copy(update={"winner": "tie"})
    first, second = table(tmp_path / "a.jsonl", VOTE, nobody, nobody), table(tmp_path / "b.jsonl", other)
    target = tmp_path / "votes.jsonl"
    for _ in range(2):
        assert merge(first, to=target)[0] == 0
    before = target.read_bytes()
    for files in ([second], [first, "--rater", "r"]):
        code, said = merge(*files, to=target)
        assert code == 1
        assert f"{target} is there and holds" in said
        assert "that would be lost" in said
        assert target.read_bytes() == before
    assert merge(first, second, to=target)[0] == 3
    assert read_votes(target).votes == (nobody, nobody)


def test_a_choice_of_raters_that_leaves_nothing_writes_nothing(tmp_path):
    """As do answers that all contradict themselves."""
    file, target = table(tmp_path / "a.jsonl", VOTE), tmp_path / "votes.jsonl"
    for options in (["--rater", "r", "--without", "r"], ["--without", "r"]):
        code, said = merge(file, *options, to=target)
        assert code == 1
        assert "--rater and --without leave no vote of r: nothing is written" in said
    other = table(tmp_path / "b.jsonl", VOTE.model_copy(update={"winner": "tie"}))
    code, said = merge(file, other, to=target)
    assert code == 1
    assert "nothing is written: all are in conflict, such as: r answered i" in said
    assert not target.exists()


def test_conflicts_and_repeats_are_those_of_the_raters_who_are_taken(tmp_path):
    """Others are neither named nor counted, and do not change the exit code."""
    s, other = VOTE.model_copy(update={"rater": "s"}), VOTE.model_copy(update={"winner": "tie"})
    file = table(tmp_path / "a.jsonl", VOTE, VOTE, other, s)
    assert merge(file, "--rater", "s", to=tmp_path / "s.jsonl") == (
        0, f"1 vote of 1 rater Wrote {tmp_path / 's.jsonl'} Compare the methods: evalkit compare {tmp_path / 's.jsonl'}"
    )  # fmt: skip
    code, said = merge(file, to=tmp_path / "all.jsonl")
    assert code == 3
    assert "1 vote left out that came again from the same rater: each counts once r answered i" in said


def test_raters_that_nobody_knows_are_no_rater(tmp_path):
    """They are said to be unknown, as in a comparison."""
    nobody = VOTE.model_copy(update={"rater": None})
    file = table(tmp_path / "a.jsonl", nobody, nobody)
    assert merge(file, to=tmp_path / "b.jsonl")[1].startswith("2 votes, raters unknown Wrote")
    table(file, nobody, nobody, VOTE)
    assert merge(file, to=tmp_path / "c.jsonl")[1].startswith("3 votes: 1 of 1 rater, 2 of raters unknown Wrote")


def test_columns_are_named_in_a_merge_as_in_a_comparison(tmp_path):
    """With --map, for tables of whatever headings."""
    (tmp_path / "v.csv").write_text("item,left,right,urteil\np0,x,y,x\n")
    code, said = merge(tmp_path / "v.csv", to=tmp_path / "v.jsonl")
    assert code == 1
    assert "--map winner=HEADING" in said
    assert merge(tmp_path / "v.csv", "--map", "winner=urteil", to=tmp_path / "v.jsonl")[0] == 0
    assert read_votes(tmp_path / "v.jsonl").votes[0].winner == "a"
