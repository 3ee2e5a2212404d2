"""Many questions at a time: made ahead of those that are in hand, and never more of them than that."""

import threading
import time
from types import MappingProxyType

from PIL import Image

from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import ImageError
from evalkit.judges.asking import JudgeOptions, RubricJudge
from evalkit.judges.base import JudgeAnswer, JudgeSettings
from evalkit.judges.rubric import load_rubric

PATIENCE = 20.0


def shown(colour):
    """What a judge is shown of an item."""
    picture = JudgeSettings().picture(Image.new("RGB", (8, 8), colour))
    return {"source_image": picture, "edited_image": picture, "instruction": "Do."}


class Patient:
    """A judge that answers when it is told to."""

    label, key = "patient", MappingProxyType({})

    def __init__(self):
        self.may_answer, self.threads = threading.Event(), set()

    def ask(self, question, *, seed=0):
        """Its answer."""
        self.threads.add(threading.get_ident())
        assert self.may_answer.wait(PATIENCE)
        return JudgeAnswer(text='{"following": 8, "preservation": 6, "quality": 9}', model="m")


def test_questions_are_made_ahead_by_other_threads_and_no_more_than_are_in_hand():
    """Two in hand: two more are ready and the other eight not begun; each is made once, whatever the repeats."""
    judge, makers, made = Patient(), set(), []

    def look(number):
        makers.add(threading.get_ident())
        made.append(number)
        if number == 11:
            raise ImageError("no picture")
        return shown((number, 0, 0))

    with EmbeddingCache.in_memory() as cache:
        options = JudgeOptions(spec="", concurrency=2, repeats=1)
        asked = RubricJudge(judge, load_rubric("judge"), options, cache)
        found = []
        contents = ((f"{number:064x}", lambda number=number: look(number)) for number in range(12))
        thread = threading.Thread(target=lambda: found.extend(asked.ask(contents)))
        thread.start()
        end = time.monotonic() + PATIENCE
        while len(made) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        assert sorted(made) == [0, 1, 2, 3]
        judge.may_answer.set()
        thread.join(PATIENCE)
    assert sorted(made) == [*range(12)]
    assert sum(bool(each.answers[0]) for each in found) == 11
    assert [each.unreadable for each in found if each.unreadable] == ["no picture"]
    assert not makers & judge.threads


def test_a_question_is_made_once_for_all_repeats():
    """And not at all where every answer is known."""
    judge, made = Patient(), []
    judge.may_answer.set()

    def look():
        made.append(1)
        return shown("red")

    with EmbeddingCache.in_memory() as cache:
        for _ in range(2):
            options = JudgeOptions(spec="", concurrency=4, repeats=3)
            (answered,) = RubricJudge(judge, load_rubric("judge"), options, cache).ask([("0" * 64, look)])
            assert len(answered.answers) == 3
    assert len(made) == 1
