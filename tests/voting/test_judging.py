"""A judge as a rater: asked as people are, its votes kept as theirs, its words never guessed at."""

import json
import threading
from types import MappingProxyType

import numpy as np
import pytest

from evalkit.errors import EndpointError
from evalkit.judges.base import JudgeAnswer, JudgeSettings, Picture
from evalkit.votes.read import read_votes
from evalkit.voting.judging import judge_ballots, read_choice, words_file
from tests.support.voting import opened, session_of


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


def test_a_judge_votes_on_a_sample_of_its_own(edits, tmp_path):
    """Beside a person, under its label; the question holds the texts, three pictures, and no method's name."""
    judge, path = Scripted('{"answer": "left"}'), tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        session.answer(session.join("Anna"), 0, "tie")
        judged = judge_ballots(session, judge, JudgeSettings())
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


def test_what_names_no_choice_is_no_vote_and_its_words_are_kept(edits, tmp_path):
    """Whatever fails, the others go on; asked again, only what was not answered is asked about."""
    path = tmp_path / "votes.jsonl"
    with session_of(path, edits) as session:
        judge = Scripted("The left one, I think.", EndpointError("no connection"), '{"answer": "tie"}')
        judged = judge_ballots(session, judge, JudgeSettings(), concurrency=1)
        assert (judged.n_votes, judged.not_read, judged.failed, judged.failure) == (5, 1, 1, "no connection")
        words = [json.loads(line) for line in words_file(path).read_text().splitlines()]
        assert [line["answer"] for line in words] == [None] + ["tie"] * 5
        assert words[0]["text"] == "The left one, I think."
        again = Scripted('{"answer": "right"}')
        judged = judge_ballots(session, again, JudgeSettings())
        assert (judged.n_votes, judged.n_before, len(again.asked)) == (2, 5, 2)
        assert set(session.answers(0)) == set(range(7))


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
