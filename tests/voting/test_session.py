"""Answers while a study runs: on the disk before they are acknowledged, once each, and there after any end."""

import json
import os
import subprocess
import sys
import threading

import pytest

from evalkit.errors import DataError, OptionError
from evalkit.votes.read import read_votes
from evalkit.votes.records import winner_of
from evalkit.voting.session import AnswerError, answer_of, append_line, open_session
from evalkit.voting.study import new_study, read_study, study_file
from tests.support.voting import opened, session_of, without_source


@pytest.fixture(scope="module")
def edits(tmp_path_factory):
    """Three methods on six items."""
    return opened(tmp_path_factory.mktemp("edits"))


@pytest.fixture
def path(tmp_path):
    """Where votes go."""
    return tmp_path / "votes.jsonl"


def test_an_answer_is_a_vote_that_compare_reads(edits, path):
    """The file says who was shown, on which side, what was preferred, by whom and after how long."""
    with session_of(path, edits) as session:
        rater = session.join("  Anna  Bo ")
        for n, answer in enumerate(["left", "right", "tie", "both_bad"]):
            session.answer(rater, n, answer, 1.25)
        ballots = session.ballots(rater)
    votes = read_votes(path).votes
    assert [vote.rater for vote in votes] == ["Anna Bo"] * 4
    assert [answer_of(ballot, vote.winner) for ballot, vote in zip(ballots, votes, strict=False)] == [
        "left", "right", "tie", "both_bad",
    ]  # fmt: skip
    assert votes[0].winner == votes[0].first
    assert votes[1].winner != votes[1].first
    assert {vote.seconds for vote in votes} == {1.25}
    assert {vote.edit_type for vote in votes} <= {"recolour", "remove"}


def test_the_same_answer_counts_once_another_replaces_it_and_none_takes_it_back(edits, path):
    """Whatever is sent again, the file holds the last answer to each ballot."""
    with session_of(path, edits) as session:
        rater = session.join("r")
        for _ in range(3):
            session.answer(rater, 0, "left", 1.0)
        session.answer(rater, 1, "tie", 1.0)
        assert len(path.read_text().splitlines()) == 2
        session.answer(rater, 0, "right", 2.0)
        assert session.answers(rater) == {1: "tie", 0: "right"}
        for _ in range(2):
            session.answer(rater, 0, None)
        assert session.answers(rater) == {1: "tie"}
    assert len(read_votes(path).votes) == 1


def test_a_study_goes_on_where_it_ended(edits, path):
    """Given again it has the same ballots, names and answers, and more raters get others."""
    with session_of(path, edits) as session:
        first = session.ballots(session.join("r"))
        session.answer(0, 2, "left")
    with session_of(path, edits) as session:
        assert session.answers(session.join("r")) == {2: "left"}
        assert session.ballots(0) == first
        assert session.join("s") == 1
        assert session.ballots(1) != first
        assert session.progress() == {"r": (1, 7), "s": (0, 7)}


def test_an_answer_that_was_not_written_whole_is_cut_off(edits, path):
    """It was not acknowledged, so its rater still has it; all before it stay."""
    with session_of(path, edits) as session:
        session.join("r")
        session.answer(0, 0, "left")
        session.answer(0, 1, "left")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with session_of(path, edits) as session:
        assert session.answers(0) == {0: "left"}
        session.answer(0, 1, "left")
    assert path.read_bytes() == whole


def test_a_process_killed_after_an_answer_has_it_on_the_disk(edits, path):
    """Without any warning, at once."""
    line = '{"item_id":"i","a":"x","b":"y","winner":"tie"}'
    code = (
        "import os, pathlib; from evalkit.voting.session import append_line\n"
        f"append_line(pathlib.Path({str(path)!r}), {line!r}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert path.read_text() == f"{line}\n"


def test_a_disk_that_is_full_leaves_the_file_as_it_was(path, monkeypatch):
    """Half a line is taken back."""
    append_line(path, "one")
    write = os.write
    monkeypatch.setattr("evalkit.voting.session.os.write", lambda to, data: write(to, data[:2]))
    with pytest.raises(OSError, match="No space left"):
        append_line(path, "two")
    assert path.read_text() == "one\n"


def test_many_raters_at_once_lose_nothing(edits, path):
    """Eight threads join and answer; every answer is there, each line whole."""
    with session_of(path, edits) as session:

        def take_part(name):
            rater = session.join(name)
            for n in range(7):
                session.answer(rater, n, "left", 0.5)
                session.answer(rater, n, "left", 0.5)

        threads = [threading.Thread(target=take_part, args=(f"r{k}",)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(session.progress().values()) == {(7, 7)}
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 56


def test_two_processes_cannot_collect_into_one_file(edits, path):
    """The second is told so."""
    with session_of(path, edits), pytest.raises(OptionError, match="Another process collects votes into"):
        open_session(path, edits, new_study(edits, votes=6, checks=1, seed=0)).__enter__()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"votes": 5}, r"--votes was 6 there, and is 5 now\. Give the same runs"),
        ({"question": "Which is prettier?"}, "--question was 'Which edit is better"),
    ],
)
def test_another_study_is_refused_by_what_differs(edits, path, change, said):
    """Votes of two designs are never mixed."""
    with session_of(path, edits) as session:
        session.join("r")
    with pytest.raises(OptionError, match=said), session_of(path, edits, **change):
        pass


def test_edits_that_changed_are_refused(tmp_path):
    """The method whose edits are others now is named."""
    path = tmp_path / "votes.jsonl"
    with session_of(path, opened(tmp_path / "one")):
        pass
    other = opened(tmp_path / "two", n_items=6, missing=[("other_editor", 0)])
    with pytest.raises(OptionError, match="the edits of other_editor have changed since"), session_of(path, other):
        pass


def test_a_file_of_something_else_is_left_alone(edits, path):
    """Whether it holds votes or not."""
    path.write_text("mine\n")
    with pytest.raises(OptionError, match=r"no votes\.study\.json beside it"), session_of(path, edits):
        pass
    path.unlink()
    with session_of(path, edits):
        pass
    path.write_text('{"a": 1}\n')
    with pytest.raises(DataError, match="does not hold votes alone"), session_of(path, edits):
        pass
    study_file(path).write_text("[]")
    with pytest.raises(DataError, match="is no record of a study"), session_of(path, edits):
        pass


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b", "a\u202eb"])
def test_a_name_that_is_none_is_refused(edits, path, name):
    """Empty, too long, or with what is not seen."""
    with session_of(path, edits) as session, pytest.raises(AnswerError, match="1 to 60 characters"):
        session.join(name)


@pytest.mark.parametrize(("rater", "n"), [(1, 0), (-1, 0), (0, 7), (0, -1)])
def test_only_ballots_that_were_given_are_answered(edits, path, rater, n):
    """Nobody answers for somebody who is not there."""
    with session_of(path, edits) as session:
        session.join("r")
        with pytest.raises(AnswerError):
            session.answer(rater, n, "left")
        assert not path.exists()


def test_the_question_goes_into_the_votes_where_it_is_another(edits, path):
    """As what was asked; the usual question is not said."""
    with session_of(path, edits, question="Which is prettier?") as session:
        session.answer(session.join("r"), 0, "left")
    assert read_votes(path).votes[0].criterion == "Which is prettier?"
    assert read_study(study_file(path)).question == "Which is prettier?"


def test_answers_and_winners_are_the_same_thing_seen_from_both_ends(edits, path):
    """For every ballot and answer."""
    with session_of(path, edits) as session:
        for ballot in session.ballots(session.join("r")):
            for answer in ("left", "right", "tie", "both_bad"):
                assert answer_of(ballot, winner_of(ballot.first, answer)) == answer
            assert {winner_of(ballot.first, "left"), winner_of(ballot.first, "right")} == {"a", "b"}


def test_without_perfect_edits_the_checks_are_the_source_against_another_picture(edits):
    """With them, the perfect edit against the source."""
    assert {(c.a, c.b, c.expected) for c in edits.checks} == {("reference", "identity", "a")}
    assert {(c.a, c.b) for c in without_source(edits).checks} == {("identity", "shuffled_source")}
