"""A judge as a rater: asked as people are, its votes kept as theirs, its words never guessed at."""

import json
import threading
from types import MappingProxyType

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import BudgetSpentError, EndpointError
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import JudgeAnswer, JudgeSettings, Picture
from evalkit.judges.open import open_judge
from evalkit.judges.pairs import read_choice
from evalkit.storage import endpoint
from evalkit.votes.judged import PairJudgement, words_file
from evalkit.votes.read import read_votes
from evalkit.votes.records import winner_of
from evalkit.voting.judging import judge_ballots
from evalkit.voting.session import AnswerError
from evalkit.voting.study import read_study, study_file
from tests.support.judging import completes, fails, judge_server, pictures_in
from tests.support.voting import opened, session_of, write_methods

LEFT = '{"answer": "left"}'
OPTIONS = JudgeOptions(spec="")
N_BALLOTS = 7
"""Six pairs and a check."""


class Scripted:
    """A judge that answers as it is told, and remembers what it was asked."""

    label = "http/scripted"
    key = MappingProxyType({})

    def __init__(self, *texts):
        self.texts, self.asked, self._lock = list(texts), [], threading.Lock()

    def ask(self, question, *, seed=0):
        """The next of its answers, or the last one again."""
        with self._lock:
            self.asked.append(question)
            text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        if isinstance(text, Exception):
            raise text
        return JudgeAnswer(text=text, model="scripted-1", seconds=0.25)


@pytest.fixture(scope="module")
def edits(tmp_path_factory):
    """Three methods on six items."""
    return opened(tmp_path_factory.mktemp("edits"))


@pytest.fixture
def cache():
    """Where answers are remembered."""
    with EmbeddingCache.in_memory() as opened_cache:
        yield opened_cache


@pytest.fixture
def server(monkeypatch):
    """A judge that prefers what is on the left."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)
    with judge_server() as running:
        running.then = completes(LEFT)
        yield running


def test_a_judge_votes_on_a_sample_of_its_own(edits, tmp_path, cache):
    """Beside a person, under its label; the question holds the texts, three pictures, and no method's name."""
    judge, path = Scripted('{"answer": "left"}'), tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        session.answer(session.join("Anna"), 0, "tie")
        judged = judge_ballots(session, judge, OPTIONS, cache)
        ballots = session.ballots(1)
    assert (judged.n_votes, judged.not_read, judged.failed) == (7, 0, 0)
    votes = [vote for vote in read_votes(path).votes if vote.rater == "http/scripted"]
    assert [vote.winner == vote.first for vote in votes] == [True] * 7
    assert {vote.seconds for vote in votes} == {0.25}
    texts = [" ".join(part for part in question.parts if isinstance(part, str)) for question in judge.asked]
    assert all("Instruction: Make it red." in text and "both_bad" in text for text in texts)
    assert not any(name in text for text in texts for name in ("careful", "other_editor", "reference"))
    first = next(question for question in judge.asked if _shows(question, edits, ballots[0]))
    assert [isinstance(part, Picture) for part in first.parts] == [False] + [False, True] * 3 + [False]


def _shows(question, edits, ballot):
    """Whether a question is about a ballot."""
    pictures = [part.open() for part in question.parts if isinstance(part, Picture)]
    shown = [edits.picture(ballot, side) for side in ("source", "left", "right")]
    return all(np.array_equal(a, b) for a, b in zip(pictures, shown, strict=True))


def test_what_names_no_choice_is_no_vote_and_its_words_are_kept(edits, tmp_path, cache):
    """Whatever fails, the others go on; asked again, only what was not answered is asked about, whatever it said."""
    path = tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        judge = Scripted("The left one, I think.", EndpointError("no connection"), '{"answer": "tie"}')
        judged = judge_ballots(session, judge, JudgeOptions(spec="", concurrency=1), cache)
        assert (judged.n_votes, judged.not_read, judged.failed, judged.failure) == (5, 1, 1, "no connection")
        words = [json.loads(line) for line in words_file(path).read_text().splitlines()]
        assert [line["answer"] for line in words] == [None] + ["tie"] * 5
        assert words[0]["text"] == "The left one, I think."
        again = Scripted('{"answer": "right"}')
        judged = judge_ballots(session, again, OPTIONS, cache)
        assert (judged.n_votes, judged.n_before, judged.not_read, judged.n_asked) == (1, 5, 1, 1)
        assert len(again.asked) == 1
        assert len(session.answers(0)) == 6
    assert len(words_file(path).read_text().splitlines()) == 7


def test_a_study_says_how_each_judge_was_asked_and_its_words_what_they_are_about(edits, tmp_path, cache):
    """A vote follows from a line of words alone; asked otherwise, or under the name of a person, a judge is refused."""
    path, judge = tmp_path / "votes.jsonl", Scripted(LEFT)
    with session_of(path, edits) as session:
        session.join("http/another")
        judge_ballots(session, judge, OPTIONS, cache)
        votes = {vote.asked: vote.winner for vote in session.votes}
        with pytest.raises(AnswerError, match="http/scripted is a judge in this study"):
            session.join("http/scripted")
        smaller = JudgeOptions(spec="", settings=JudgeSettings(image_size=512))
        with pytest.raises(AnswerError, match=r"was asked otherwise .*img:1024-png.* got .*img:512-png"):
            judge_ballots(session, judge, smaller, cache)
        judge.label = "http/another"
        with pytest.raises(AnswerError, match="http/another is a person in this study"):
            judge_ballots(session, judge, OPTIONS, cache)
    study, lines = read_study(study_file(path)), words_file(path).read_text().splitlines()
    words = [PairJudgement.model_validate_json(line) for line in lines]
    assert {name: (each.judge, each.image) for name, each in study.judges.items()} == {
        "http/scripted": ("http/scripted", "1024-png")
    }
    assert {each.asked: winner_of(each.first, each.read_again) for each in words} == votes


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('{"answer": "left"}', "left"),
        ('```json\n{"answer": "both_bad"}\n```', "both_bad"),
        ('{"answer": "LEFT"}', None),
        ('{"answer": "left", "why": "it is red"}', None),
        ('{"answer": ["left"]}', None),
        ('"left"', None),
        ("left", None),
        ("", None),
        ('{"answer": "left"} {"answer": "right"}', None),
    ],
)
def test_nothing_is_guessed(text, choice):
    """One object with one choice, and nothing else."""
    assert read_choice(JudgeAnswer(text=text, model="m")) == choice
    assert read_choice(JudgeAnswer(text=text, model="m", finish="length")) is None


# Behind an endpoint


def voted(server, session, cache, **options):
    """What came of asking a model of the server."""
    chosen = JudgeOptions(spec=server.spec(), **options)
    return judge_ballots(session, open_judge(chosen.spec), chosen, cache)


def test_votes_that_are_known_are_not_paid_for_again(server, edits, tmp_path, cache):
    """A study that is lost is voted on again without a question; one that asks something else asks."""
    for name in ("votes", "again"):
        with session_of(tmp_path / f"{name}.jsonl", edits) as session:
            judged = voted(server, session, cache)
        assert (judged.n_votes, judged.n_asked) == (N_BALLOTS, N_BALLOTS if name == "votes" else 0)
    assert len(server.asked) == N_BALLOTS
    assert len({tuple(pictures_in(asked)) for asked in server.asked}) == N_BALLOTS
    lines = [sorted((tmp_path / f"{name}.jsonl").read_text().splitlines()) for name in ("votes", "again")]
    assert lines[0] == lines[1]
    with session_of(tmp_path / "other.jsonl", edits, question="Which is redder?") as session:
        assert voted(server, session, cache).n_asked == N_BALLOTS


@pytest.mark.parametrize(("budget", "n_asked"), [("3answers", 3), ("2100tokens", 2)])
def test_a_budget_ends_the_voting_and_the_votes_so_far_are_kept(server, edits, tmp_path, cache, budget, n_asked):
    """It is never passed, and the same command goes on where it stopped."""
    path, left = tmp_path / "votes.jsonl", N_BALLOTS
    while left > n_asked:
        with (
            session_of(path, edits) as session,
            pytest.raises(BudgetSpentError, match="same command, with more --budget"),
        ):
            voted(server, session, cache, budget=budget)
        left -= n_asked
        assert len(server.asked) == N_BALLOTS - left
    with session_of(path, edits) as session:
        voted(server, session, cache, budget=budget)
    assert len(server.asked) == len(read_votes(path).votes) == N_BALLOTS


def test_a_server_that_is_busy_is_asked_again_and_one_that_knows_us_not_ends_it(server, edits, tmp_path, cache):
    """A failure of one question leaves its ballot open; a wrong key is said once, with how to go on."""
    server.script = [fails(429, Retry_After="1"), fails(503)]
    path = tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        assert voted(server, session, cache).n_votes == N_BALLOTS
    assert len(server.asked) == N_BALLOTS + 2
    server.then = fails(401, "Wrong key.")
    with session_of(tmp_path / "b.jsonl", edits, question="Which?") as session, pytest.raises(EndpointError) as failed:
        voted(server, session, cache, concurrency=1)
    assert "cannot be asked" in str(failed.value)
    assert "Wrong key." in str(failed.value)
    assert len(server.asked) == N_BALLOTS + 3


def test_words_that_were_cut_off_by_a_kill_are_no_hindrance(server, edits, tmp_path, cache):
    """The line is taken away, and what it said is written again."""
    path = tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        voted(server, session, cache)
    words = words_file(path).read_bytes()
    words_file(path).write_bytes(words[:-20])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with session_of(path, edits) as session:
        judged = voted(server, session, cache)
    assert (judged.n_votes, judged.n_asked) == (1, 0)
    assert sorted(words_file(path).read_bytes().splitlines()) == sorted(words.splitlines())


def test_the_command_votes_within_a_budget_and_goes_on(server, tmp_path, monkeypatch):
    """One error and the next command, then the rest; options of a judge are checked."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    folders = write_methods(tmp_path, n_items=2)
    command = ["vote", "judge", *folders[:2], "--judge", server.spec(), "--output", str(tmp_path / "votes.jsonl")]
    spent = CliRunner().invoke(main, [*command, "--budget", "1answers"])
    assert (spent.exit_code, len(server.asked)) == (1, 1)
    assert "The budget of 1 answers is spent: 1 answer came before that and is kept" in " ".join(spent.output.split())
    done = CliRunner().invoke(main, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["n_votes"] + found["n_before"] == len(server.asked) == len(read_votes(tmp_path / "votes.jsonl").votes)
    wrong = CliRunner().invoke(main, [*command, "--judge-set", "heat"])
    assert (wrong.exit_code, "expected NAME=VALUE" in wrong.output) == (2, True)
