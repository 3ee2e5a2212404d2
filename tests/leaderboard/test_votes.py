"""Votes on the board: of people, on the very pictures of its entries; they rank only where the protocol says so."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.comparison.votes.compare import compare_votes
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.records import VotesCard
from evalkit.leaderboard.store import Leaderboard
from evalkit.leaderboard.verify import verify
from evalkit.leaderboard.vote_tables import vote_tables
from evalkit.stats.ranking import rank_sets
from evalkit.voting.study import QUESTION
from tests.support.board_votes import card_file, study_of
from tests.support.boards import FEW
from tests.support.entries import change_json, change_rows, publish

PLACE = "votes/few/v1/people"


def submitted(board, votes, card, *more):
    """What ``evalkit submit VOTES`` says."""
    arguments = ["submit", str(votes), "--card", str(card), "--leaderboard", str(board.root), *more]
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def voted_board(small_leaderboard, tmp_path_factory):
    """The small board with the votes of four raters, and the study that they were collected by."""
    root = tmp_path_factory.mktemp("voted")
    shutil.copytree(small_leaderboard.root, root / "leaderboard")
    board = Leaderboard(root / "leaderboard")
    done = submitted(board, study_of(root), card_file(root))
    assert done.exit_code == 0, done.output
    return board, root / "votes.jsonl", done.output


@pytest.fixture
def tampered(voted_board, tmp_path):
    """A copy of the board, and the folder of its votes."""
    shutil.copytree(voted_board[0].root, tmp_path / "leaderboard")
    return Leaderboard(tmp_path / "leaderboard"), tmp_path / "leaderboard" / PLACE


def sealed(path):
    """The record with a digest that fits again."""
    change_json(path, "votes.json", votes_sha256=hashlib.sha256((path / "votes.jsonl").read_bytes()).hexdigest())


def test_votes_stand_on_the_board_under_no_name(voted_board):
    """The command writes votes and record, raters have numbers, and the git commands are printed."""
    board, votes, said = voted_board
    (found,) = [board.read_votes(path) for path in board.votes_paths()]

    assert verify(board).problems == ()
    assert {vote.rater for vote in found.votes} == {"r1", "r2", "r3", "r4"}
    assert "Ann" not in (found.path / "votes.jsonl").read_text() + (found.path / "votes.json").read_text()
    assert (found.record.question, found.record.n_left_out) == (QUESTION, 0)
    assert found.record.plan_sha256 == hashlib.sha256(votes.with_suffix(".study.json").read_bytes()).hexdigest()
    assert f"git add {found.path}" in said
    assert submitted(board, votes, card_file(votes.parent)).exit_code == 1  # once


def test_votes_rank_in_sets_as_compare_finds_them_where_the_protocol_says_so(voted_board):
    """Abilities are those of ``evalkit compare``, ranks follow from its decisions, and controls have none."""
    board = voted_board[0]
    collections = [board.read_votes(path) for path in board.votes_paths("few/v1")]
    (table,) = vote_tables(replace(FEW, votes=QUESTION), collections, board.entries("few/v1"))
    found = compare_votes(collections[0].path / "votes.jsonl")
    abilities = {row.method: (row.mean, row.ci_low, row.ci_high) for row in found.ranking}
    methods = ["good", "fair", "lazy"]
    among = [pair for pair in found.pairs if "identity" not in (pair.a, pair.b)]

    assert table.is_ranking
    assert {r.entry.method: (r.ability.mean, r.ability.ci_low, r.ability.ci_high) for r in table.rows} == abilities
    assert {row.entry.method: row.ranks for row in table.rows} == {**rank_sets(methods, among), "identity": None}
    assert table.rows[0].entry.method == "good"
    assert table.rows[-1].entry.method == "identity"


@pytest.mark.parametrize("question", [None, "Which is prettier?"])
def test_votes_on_another_question_are_shown_and_rank_nobody(voted_board, question):
    """Where the protocol names no question, or another, methods stand in the order of their names."""
    board = voted_board[0]
    collections = [board.read_votes(path) for path in board.votes_paths("few/v1")]
    (table,) = vote_tables(replace(FEW, votes=question), collections, board.entries("few/v1"))

    assert not table.is_ranking
    assert [(row.entry.method, row.ranks) for row in table.rows] == [
        ("fair", None), ("good", None), ("lazy", None), ("identity", None),
    ]  # fmt: skip


def first(**changed):
    """The first vote, no check, says something else."""

    def change(lines):
        at = next(n for n, line in enumerate(lines) if "expected" not in line)
        return [{**line, **changed} if n == at else line for n, line in enumerate(lines)]

    return change


def ballot_box_stuffed(lines):
    """A vote counts twice."""
    return [*lines, lines[0]]


def as_check(lines):
    """An unwelcome vote passes for a check that nobody counts."""
    return [{**line, "expected": line["winner"]} if line["winner"] != "tie" else line for line in lines]


def by_lot(lines):
    """Whoever fails every check votes."""
    return [{**line, "winner": "b"} if "expected" in line else line for line in lines]


def merged(lines):
    """Two raters are one, of twice the votes; never on the same."""
    seen = set()
    found = []
    for line in lines:
        key = (line["item_id"], line["a"], line["b"], "expected" in line)
        if key not in seen:
            seen.add(key)
            found.append({**line, "rater": "r1"})
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first(item_id="a cat"), "is no item of few"),
        (first(a="pix2pix"), "a vote is between two entries"),
        (first(group="its own"), "expected group and edit type"),
        (first(seed=7), "there are no edits of seed 7"),
        (first(criterion="Which is prettier?"), "another question was asked"),
        (first(first=None), "nobody says which edit was shown first"),
        (first(rater=None), "a vote of nobody"),
        (ballot_box_stuffed, "voted 2 times"),
        (as_check, "an attention check is between two controls"),
        (by_lot, "failed more attention checks"),
        (merged, "and the plan has"),
    ],
)
def test_a_vote_that_is_none_is_found(tampered, change, said):
    """Votes on nothing of the board, twice, hidden as checks, by whoever does not look, or more than were asked for."""
    board, path = tampered
    change_rows(path, "votes.jsonl", change)
    sealed(path)
    (problem,) = verify(board).problems

    assert (problem.code, problem.where) == ("wrong_vote", PLACE)
    assert said in problem.message


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda path: change_rows(path, "votes.jsonl", first(winner="tie")), "wrong_digest"),
        (lambda path: change_json(path, "votes.json", methods={"good": "0" * 64, "fair": "0" * 64}), "wrong_digest"),
        (lambda path: change_json(path, "votes.json", name="others"), "wrong_place"),
        (lambda path: change_json(path, "votes.json", protocol="nothing/v1"), "wrong_place"),
        (lambda path: change_json(path, "votes.json", methods={"<script>": "0" * 64}), "unreadable"),
        (lambda path: change_json(path, "votes.json", consent=""), "unreadable"),
        (lambda path: (path / "names.csv").write_text("r1,Ann"), "unknown_file"),
        (lambda path: (path / "votes.jsonl").write_bytes(b"\xff"), "unreadable"),
        (lambda path: shutil.copytree(path, path.with_name("again")), "wrong_place"),
        (lambda path: (path / "votes.jsonl").write_bytes(b" " * ((16 << 20) + 1)), "no_plain_file"),
    ],
)
def test_a_record_that_says_otherwise_is_found(tampered, tamper, code):
    """Other pictures, another name, no consent, names of raters, or a file that is too large: a problem by its kind."""
    board, path = tampered
    tamper(path)

    assert [problem.code for problem in verify(board).problems] == [code]


def test_one_study_is_one_collection(tampered):
    """The same votes under another name are not twice as many raters."""
    board, path = tampered
    again = path.with_name("zz_again")
    shutil.copytree(path, again)
    change_json(again, "votes.json", name="zz_again")

    assert [problem.code for problem in verify(board).problems] == ["duplicate_entry"]


def test_landed_votes_do_not_change_but_by_the_maintainers(tampered):
    """A collection that was published stays; only the maintainers can take out what a rater takes back."""
    board, path = tampered
    publish(board)
    assert published_problems(board, "main") == []
    change_rows(path, "votes.jsonl", lambda lines: lines[1:])

    assert [problem.code for problem in published_problems(board, "main")] == ["landed_changed"]
    assert published_problems(board, "main", maintainer=True) == []


def test_who_fails_the_checks_is_left_out(copied, tmp_path):
    """The command names who chose the wrong control, and counts who chose none."""
    votes = study_of(tmp_path, raters=("Ann", "Bob", "Mallory"), blind=("Mallory",))
    change_rows(
        tmp_path,
        votes.name,
        lambda lines: [
            {**line, "winner": "both_bad"} if "expected" in line and line["rater"] == "Bob" else line for line in lines
        ],
    )
    done = submitted(copied, votes, card_file(tmp_path), "--json")
    said = json.loads(done.stdout)

    assert (said["left_out"], said["judges"], said["n_raters"]) == (["Mallory"], [], 2)
    assert verify(copied).problems == ()


def test_votes_on_other_pictures_than_the_entrys_are_refused(copied, tmp_path):
    """Nobody can have an old version of a method's edits voted on, and nothing is written."""
    votes = study_of(tmp_path, methods=("good", "fair"), raters=("Ann",))
    record = json.loads(votes.with_suffix(".study.json").read_text())
    change_json(tmp_path, "votes.study.json", methods={**record["methods"], "good": "0" * 64})
    done = submitted(copied, votes, card_file(tmp_path))

    assert done.exit_code == 1
    assert "other pictures of good were voted on" in " ".join(done.stderr.split())
    assert not copied.votes_path("few/v1", "people").exists()
    assert verify(copied).problems == ()


@pytest.mark.parametrize("option", [["--judge", "judge:http://localhost/v1/m"], ["--metrics", "l1"]])
def test_an_option_about_edits_is_refused_beside_votes(voted_board, option):
    """It says nothing about votes, and is not passed over in silence."""
    board, votes, _ = voted_board
    done = submitted(board, votes, votes.parent / "votes.yaml", *option)

    assert done.exit_code == 2
    assert "says nothing about votes" in done.stderr


def test_the_card_in_the_guide_is_a_card():
    """The example that collectors copy has every field that is required, and no other than there are."""
    section = Path("evalkit/guide/leaderboard.md").read_text("utf-8").split("## Votes of people")[1]
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL).group(1)

    assert VotesCard.model_validate(yaml.safe_load(block)).name == "spring_study"
