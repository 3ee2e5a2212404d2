"""Reading answers: a number for each criterion, or a reason; nothing is guessed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.judges.base import JudgeAnswer
from evalkit.judges.reading import read_answer
from evalkit.judges.rubric import load_rubric
from evalkit.metrics.base import REASONS

RUBRIC = load_rubric("judge")
GOOD = {"following": 8, "preservation": 6, "quality": 9}
TEXT = json.dumps(GOOD)


def read(text, **more):
    """What an answer of this text says."""
    return read_answer(RUBRIC, JudgeAnswer(text=text, model="m", **more))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"I looked at {{both}} pictures. {TEXT} That is all.",
        f"{TEXT}\nOnce more:\n{TEXT}",
        '{"reasoning": "A {brace} and \\"quality\\": 3", "following": 8, "preservation": 6, "quality": 9}',
        '{"following": 8.0, "preservation": "6", "quality": "9/10", "extra": [1]}',
        "following: 8\npreservation: 6\nquality: 9",
        "**Following**: 8/10\n- Preservation = 6\n> quality: 9.",
    ],
)
def test_what_gives_each_criterion_one_number_is_read(text):
    """In JSON or in lines, alone or among words; the combination is computed."""
    reading = read(text)
    assert reading.reason is None
    assert {name: reading.scores[name] for name in GOOD} == GOOD
    assert reading.scores["overall"] == pytest.approx((6 * 9) ** 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would say 8, 6 and 9.",
        "[8, 6, 9]",
        '{"following": 8, "preservation": 6}',
        '{"following": 8, "following": 2, "preservation": 6, "quality": 9}',
        '{"following": null, "preservation": 6, "quality": 9}',
        '{"following": true, "preservation": 6, "quality": 9}',
        '{"following": "eight", "preservation": 6, "quality": 9}',
        '{"following": "8/5", "preservation": 6, "quality": 9}',
        '{"following": "8-9", "preservation": 6, "quality": 9}',
        '{"following": [8], "preservation": 6, "quality": 9}',
        TEXT + '{"following": 1, "preservation": 6, "quality": 9}',
        TEXT[:-1],
        "following: 8\nfollowing: 3\npreservation: 6\nquality: 9",
        "following: 8 or 9\npreservation: 6\nquality: 9",
        "following: 4/5\npreservation: 6\nquality: 9",
        "<html>502</html>",
        "{" * 5000,
        '{"following": NaN, "preservation": 6, "quality": 9}',
    ],
)
def test_anything_else_is_unreadable(text):
    """Two numbers for one criterion, none, a range, another scale, half an object: no score, and no other reason."""
    reading = read(text)
    assert (reading.scores, reading.reason) == (None, "judge_unreadable")


@pytest.mark.parametrize("value", [11, -1, 85, 7.5, 1e300])
def test_a_number_off_the_scale_is_no_score(value):
    """Eighty-five of ten is not taken for eight and a half."""
    reading = read(json.dumps(GOOD | {"quality": value}))
    assert reading.scores is None
    assert reading.reason == ("judge_unreadable" if value == 1e300 else "judge_off_scale")


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "judge_cut_off"), ("refusal", "judge_refused"), ("stop", None), ("other", None)]
)
def test_a_refusal_or_a_cut_answer_is_none_whatever_it_holds(finish, reason):
    """What was cut off may have gone on to say something else."""
    assert read(TEXT, finish=finish).reason == reason
    assert reason is None or reason in REASONS


def test_the_words_are_kept_beside_the_numbers():
    """Those of an answer whose numbers are off the scale too."""
    assert read('{"reasoning": "Red.", "following": 8, "preservation": 6, "quality": 9}').reasoning == "Red."
    assert read('{"reasoning": "Red.", "following": 80, "preservation": 6, "quality": 9}').reasoning == "Red."


@given(st.text() | st.dictionaries(st.text(), st.floats() | st.text()).map(json.dumps))
def test_whatever_is_answered_nothing_is_raised(text):
    """A score or a reason, never both and never neither."""
    reading = read(text)
    assert (reading.scores is None) == (reading.reason is not None)


@given(st.tuples(*[st.integers(0, 10)] * 3))
def test_every_answer_in_form_is_read_as_it_was_given(numbers):
    """All numbers of the scale, its ends included."""
    given_scores = dict(zip(RUBRIC.criteria, numbers, strict=True))
    scores = read(json.dumps(given_scores)).scores
    assert {name: scores[name] for name in given_scores} == given_scores
    assert RUBRIC.lowest <= scores["overall"] <= RUBRIC.highest
