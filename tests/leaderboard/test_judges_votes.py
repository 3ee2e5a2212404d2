"""Votes of a judge on the board: known by what the file holds, read again in its words, and nobody else's."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.records import VotesCard
from evalkit.leaderboard.records_io import read_own_yaml
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from evalkit.leaderboard.verify import verify
from evalkit.leaderboard.vote_tables import vote_tables
from evalkit.voting.study import QUESTION
from tests.support.board_votes import card_file, judge_votes, judges_card, study_of
from tests.support.boards import FEW, SITE
from tests.support.entries import change_json, change_rows, publish
from tests.support.judging import completes, judge_server

JUDGE = "http/judge-1"
PLACE = "votes/few/v1/judged"
WORDS = "votes.judgements.jsonl"


def submitted(board, votes, card, *more):
    """What ``evalkit submit VOTES`` says."""
    arguments = ["submit", str(votes), "--card", str(card), "--leaderboard", str(board.root), *more]
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def judged_votes(tmp_path_factory):
    """The votes of a judge that prefers the left edit, and once says nothing of use."""
    root = tmp_path_factory.mktemp("judged")
    with judge_server() as server:
        server.script = [completes("I like both.")]
        return judge_votes(root, server.spec(), exit_code=3)


@pytest.fixture(scope="module")
def voted_board(small_leaderboard, judged_votes, tmp_path_factory):
    """The small board with these votes, and what the command said."""
    root = tmp_path_factory.mktemp("voted")
    shutil.copytree(small_leaderboard.root, root / "leaderboard")
    board = Leaderboard(root / "leaderboard")
    done = submitted(board, judged_votes, judges_card(root))
    assert done.exit_code == 0, done.output
    return board, done.output


@pytest.fixture
def tampered(voted_board, tmp_path):
    """A copy of the board, and the folder of its votes."""
    shutil.copytree(voted_board[0].root, tmp_path / "leaderboard")
    return Leaderboard(tmp_path / "leaderboard"), tmp_path / "leaderboard" / PLACE


def sealed(path):
    """The record with digests that fit again, as a cheat would have them."""
    digests = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in ("votes.jsonl", WORDS)}
    change_json(path, "votes.json", votes_sha256=digests["votes.jsonl"], words_sha256=digests[WORDS])


def test_a_judges_votes_stand_under_its_name_with_its_words(voted_board, judged_votes):
    """Its signature says who was asked, what and how; nothing is left out, not even the answer that is no vote."""
    board, said = voted_board
    (found,) = [board.read_votes(path) for path in board.votes_paths()]
    record, lines = found.record, judged_votes.read_text().splitlines()

    assert verify(board).problems == ()
    assert {vote.rater for vote in found.votes} == {JUDGE}
    assert (len(found.votes), len(found.words), len(lines)) == (26, 27, 26)
    assert [each.answer for each in found.words].count(None) == 1
    assert (record.cast_by, record.consent, record.judge.asked["temperature"]) == ("judge", "", 0.0)
    for part in ("enc:judge/judge-1-2026-11-01|", "img:1024-png|", "tpl:pairs@", "ask:t0+max1024+schema|"):
        assert part in found.identity
    assert "26 votes of the judge http/judge-1" in said
    assert f"git add {found.path}" in said


def turned(lines):
    """One vote is for the other edit."""
    return [{**lines[0], "winner": "b" if lines[0]["winner"] == "a" else "a"}, *lines[1:]]


def typed(lines):
    """One answer is said to be another than its words are."""
    at = next(n for n, line in enumerate(lines) if "answer" in line)
    return [{**line, "answer": "right"} if n == at else line for n, line in enumerate(lines)]


def without_words(lines):
    """One answer was not kept."""
    at = next(n for n, line in enumerate(lines) if "answer" in line)
    return [line for n, line in enumerate(lines) if n != at]


@pytest.mark.parametrize(
    ("name", "change", "code", "said"),
    [
        ("votes.jsonl", turned, "wrong_judgement", "the judge's words say"),
        ("votes.jsonl", lambda lines: lines[1:], "wrong_judgement", "and there is no vote"),
        ("votes.jsonl", lambda lines: [{**lines[0], "rater": "r1"}, *lines[1:]], "wrong_vote", f"that {JUDGE} did"),
        (WORDS, typed, "wrong_judgement", "its words say left, its line says right"),
        (WORDS, without_words, "wrong_judgement", "words say nothing, the vote says"),
        (WORDS, lambda lines: [{**lines[0], "rater": "http/another"}, *lines[1:]], "wrong_judgement", "got those of"),
        (WORDS, lambda lines: [{**lines[0], "model": "a\nb"}, *lines[1:]], "wrong_judgement", "in a line"),
        (WORDS, lambda lines: [{**lines[0], "finish": "soon"}, *lines[1:]], "unreadable", "finish"),
    ],
)
def test_a_vote_that_is_not_in_the_words_is_found(tampered, name, change, code, said):
    """A turned vote, one left out or another's, an answer that was typed in or not kept: a problem by its kind."""
    board, path = tampered
    change_rows(path, name, change)
    sealed(path)
    (problem,) = verify(board).problems

    assert (problem.code, problem.where) == (code, PLACE)
    assert said in problem.message


def test_words_that_are_not_those_of_the_record_are_found(tampered):
    """Words that were changed without the digest are not the submitted ones; without words there are no votes."""
    board, path = tampered
    change_rows(path, WORDS, typed)
    assert [problem.code for problem in verify(board).problems] == ["wrong_digest"]
    (path / WORDS).unlink()
    assert [problem.code for problem in verify(board).problems] == ["unreadable"]


def as_people(path):
    """The record says that people voted, and agreed to it."""
    change_json(path, "votes.json", cast_by="people", consent="Yes.", judge=None, words_sha256=None)


def renamed(path):
    """The judge is called as people are."""
    change_rows(path, "votes.jsonl", lambda lines: [{**line, "rater": "r1"} for line in lines])
    digest = hashlib.sha256((path / "votes.jsonl").read_bytes()).hexdigest()
    change_json(path, "votes.json", votes_sha256=digest)


@pytest.mark.parametrize(
    ("steps", "code", "said"),
    [
        ([lambda path: change_json(path, "votes.json", cast_by="people")], "unreadable", "nothing of a judge"),
        ([lambda path: change_json(path, "votes.json", judge=None)], "unreadable", "a judge with its words"),
        ([as_people], "unknown_file", "holds what a judge said, and the record says that people voted"),
        ([as_people, lambda path: (path / WORDS).unlink()], "wrong_vote", f"{JUDGE} voted, and the record says"),
        ([as_people, renamed], "unknown_file", "holds what a judge said"),
    ],
)
def test_votes_of_a_judge_do_not_pass_for_those_of_people(tampered, steps, code, said):
    """Whatever says that people voted is contradicted by what else there is: judge, words, or the name in a vote."""
    board, path = tampered
    for step in steps:
        step(path)
    (problem,) = verify(board).problems

    assert (problem.code, problem.where) == (code, PLACE)
    assert said in problem.message


def test_a_copy_under_the_name_of_people_is_known_by_its_votes(tampered):
    """Nothing in the copy names the judge, whose own votes are beside it."""
    board, path = tampered
    copy = path.with_name("people")
    shutil.copytree(path, copy)
    as_people(copy)
    renamed(copy)
    (copy / WORDS).unlink()
    change_json(copy, "votes.json", name="people")
    found = {problem.message: (problem.code, problem.where) for problem in verify(board).problems}

    said = "the votes of r1 are those of the judge in few/v1/judged, to the second"
    assert found[said] == ("wrong_vote", "votes/few/v1/people")


@pytest.mark.parametrize("name", [JUDGE, "Ann"])
def test_a_judges_file_is_known_whatever_its_submitter_says(copied, judged_votes, tmp_path, name):
    """Under a card of people it is refused: by the judge's name, or, renamed, by what the study shows to whom."""
    votes = tmp_path / "votes.jsonl"
    votes.write_text(judged_votes.read_text().replace(JUDGE, name))
    study = ("--study", str(judged_votes.with_suffix(".study.json")))
    done = submitted(copied, votes, card_file(tmp_path), *study)

    assert done.exit_code == 1
    said = "holds votes of http/judge-1. Say there: cast_by: judge" if name == JUDGE else "the study shows no person"
    assert said in " ".join(done.stderr.split())
    assert copied.votes_paths() == []


def test_votes_of_people_are_no_judges(copied, tmp_path):
    """A card that says so is refused, and so is one of people who agreed to nothing."""
    votes = study_of(tmp_path, raters=("Ann",))
    for card, said in (
        (judges_card(tmp_path), "holds votes of people. Say there: cast_by: people"),
        (card_file(tmp_path, consent=""), "expected what people agreed to where they voted"),
        (card_file(tmp_path, cast_by="judge"), "and nothing of a judge"),
    ):
        done = submitted(copied, votes, card)
        assert done.exit_code == 1
        assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize("lost", ["words", "study"])
def test_without_its_words_or_how_it_was_asked_no_judge_votes(copied, judged_votes, tmp_path, lost):
    """One sentence says what is absent, and how it comes about."""
    votes = tmp_path / "judged.jsonl"
    for suffix in (".jsonl", ".study.json", ".judgements.jsonl"):
        shutil.copy(judged_votes.with_suffix(suffix), votes.with_suffix(suffix))
    if lost == "words":
        votes.with_suffix(".judgements.jsonl").unlink()
    else:
        change_json(tmp_path, "judged.study.json", judges={})
    done = submitted(copied, votes, judges_card(tmp_path))

    assert done.exit_code == 1
    said = " ".join(done.stderr.split())
    assert f"nothing beside it says {'what it said' if lost == 'words' else 'how it was asked'}." in said
    assert "evalkit vote judge RUN RUN" in said


def test_people_and_a_judge_in_one_file_are_divided_first(copied, tmp_path):
    """The file is refused in a sentence with the command that divides it; both parts may stand on one board then."""
    votes = study_of(tmp_path, raters=("Ann", "Bob"))
    study = votes.with_suffix(".study.json")
    change_json(tmp_path, study.name, votes=24, checks=3)
    with judge_server() as server:
        judge_votes(tmp_path, server.spec(), output="votes.jsonl")
    change_json(tmp_path, study.name, votes=36, checks=6)
    mixed = submitted(copied, votes, card_file(tmp_path))
    assert mixed.exit_code == 1
    assert f"the judge {JUDGE} and of people, which never share a table" in " ".join(mixed.stderr.split())
    assert copied.votes_paths() == []

    for option, output, card in (("--without", "a.jsonl", card_file(tmp_path)), ("--rater", "b.jsonl", None)):
        part = tmp_path / output
        merged = CliRunner().invoke(main, ["vote", "merge", str(votes), option, JUDGE, "--output", str(part)])
        assert merged.exit_code == 0, merged.output
        done = submitted(copied, part, card or judges_card(tmp_path), "--study", str(study))
        assert done.exit_code == 0, done.output
    assert verify(copied).problems == ()
    raters = {path.name: {vote.rater for vote in copied.read_votes(path).votes} for path in copied.votes_paths()}
    assert raters == {"judged": {JUDGE}, "people": {"r1", "r2"}}


def test_two_judges_in_one_file_are_refused(copied, tmp_path):
    """Not even judges share a table."""
    with judge_server() as server:
        for model in ("judge-1", "judge-2"):
            votes = judge_votes(tmp_path, server.spec(model))
    done = submitted(copied, votes, judges_card(tmp_path))

    assert done.exit_code == 1
    assert "the judge http/judge-1 and of the judge http/judge-2, which never share" in " ".join(done.stderr.split())


@pytest.fixture
def two_judges(tampered, tmp_path):
    """The board with another judge beside the first: the same model, at another temperature."""
    board, _ = tampered
    with judge_server() as server:
        votes = judge_votes(tmp_path, server.spec(), output="warm.jsonl", settings=["temperature=0.7"])
    done = submitted(board, votes, judges_card(tmp_path, name="warm"))
    assert done.exit_code == 0, done.output
    return board


def test_a_judge_ranks_only_where_the_protocol_names_its_signature(two_judges):
    """A question that ranks people's votes ranks no judge's, and the named judge ranks alone."""
    collections = [two_judges.read_votes(path) for path in two_judges.votes_paths("few/v1")]
    identities = {found.record.name: found.identity for found in collections}
    entries = two_judges.entries("few/v1")
    by_people = vote_tables(replace(FEW, votes=QUESTION), collections, entries)
    by_judge = vote_tables(replace(FEW, voting_judge=identities["warm"]), collections, entries)

    assert verify(two_judges).problems == ()
    assert "|ask:t0.7+" in identities["warm"]
    assert [(table.votes.record.name, table.is_ranking) for table in by_people] == [("judged", False), ("warm", False)]
    assert [(table.votes.record.name, table.is_ranking) for table in by_judge] == [("warm", True), ("judged", False)]
    assert {row.entry.method for row in by_judge[0].rows if row.ranks} == {"good", "fair", "lazy"}
    assert not any(row.ranks for row in by_judge[1].rows)


def test_the_site_shows_two_judges_apart(two_judges, tmp_path):
    """Each has a table, its signature and its words, below those of people, of which there are none here."""
    shutil.copytree(SITE, two_judges.root / "site")
    site = build(two_judges, tmp_path / "site").output / "few/v1"
    page = (site / "index.html").read_text()
    section = page.split('id="judges-votes"')[1]
    found = json.loads((site / "data/board.json").read_text())["votes"]

    assert 'id="votes"' not in page
    assert "<script>window.hit" not in page
    assert section.count('<section class="judged">') == 2
    assert section.count("the protocol does not name this judge for votes") == 2
    assert "<dt>Consent</dt>" not in section
    assert "1 of 27 answers named no choice" in section
    assert len({table["judge"] for table in found} | {None}) == 3
    for name in ("judged", "warm"):
        words = site / f"data/{name}.votes.judgements.jsonl"
        assert f'href="data/{words.name}"' in section
        assert words.read_bytes() == (two_judges.votes_path("few/v1", name) / WORDS).read_bytes()


def test_a_card_of_a_judges_votes_needs_no_consent(tmp_path):
    """A judge is not asked whether it agrees; its card has all other fields that people's have."""
    assert read_own_yaml(judges_card(tmp_path), VotesCard).cast_by == "judge"


@pytest.mark.parametrize("temperature", ["hot", [1], {"a": None}, True])
def test_a_record_that_says_nonsense_of_a_judge_is_another_judge(tampered, temperature):
    """Whatever stands in the place of a number, the signature says it, and nothing breaks."""
    board, path = tampered
    (before,) = (board.read_votes(each).identity for each in board.votes_paths())
    judge = json.loads((path / "votes.json").read_text())["judge"]
    change_json(path, "votes.json", judge={**judge, "asked": {**judge["asked"], "temperature": temperature}})
    (found,) = (board.read_votes(each) for each in board.votes_paths())

    assert verify(board).problems == ()
    assert found.identity != before


def test_landed_votes_of_a_judge_do_not_change(tampered):
    """Neither do its words; other judges may be added."""
    board, path = tampered
    publish(board)
    assert published_problems(board, "main") == []
    change_rows(path, WORDS, lambda lines: lines[1:])

    assert [(each.code, each.where) for each in published_problems(board, "main")] == [
        ("landed_changed", f"{PLACE}/{WORDS}")
    ]
