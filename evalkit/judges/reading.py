"""From a judge's words to numbers, or to the reason why there are none: nothing is guessed.

An answer must give each criterion one number on the rubric's scale, as a JSON object (alone, in a code block, or once
among other words) or as lines ``criterion: number``. Two numbers for one criterion, a number off the scale or an answer
that was cut off is no score.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.judges.base import JudgeAnswer
from evalkit.judges.rubric import REASONING, Rubric
from evalkit.storage.documents import parse_json

REFUSED, CUT_OFF, UNREADABLE, OFF_SCALE, FAILED = (
    "judge_refused",
    "judge_cut_off",
    "judge_unreadable",
    "judge_off_scale",
    "judge_failed",
)
"""Why there can be no number; all are in :data:`evalkit.metrics.base.REASONS`."""
READING_REASONS = (REFUSED, CUT_OFF, UNREADABLE, OFF_SCALE, FAILED)
_NUMBER = r"[-+−]?\d+(?:\.\d+)?"
_LARGEST = 1e12
_MOST_OBJECTS = 50
"""Braces in a text at which an object is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReading:
    """What an answer says."""

    scores: Mapping[str, float] | None
    """All numbers of the rubric; None where there are none, all or nothing."""
    reason: str | None = None
    """Why there are none."""
    reasoning: str | None = None
    """What the judge said of the edit."""


def read_answer(rubric: Rubric, answer: JudgeAnswer) -> AnswerReading:
    """The scores in an answer.

    Args:
        rubric: What was asked.
        answer: What was answered.
    """
    if answer.finish == "refusal":
        return AnswerReading(scores=None, reason=REFUSED)
    if answer.finish == "length":
        return AnswerReading(scores=None, reason=CUT_OFF)
    given, reasoning = _given(rubric, answer.text)
    if given is None:
        return AnswerReading(scores=None, reason=UNREADABLE, reasoning=reasoning)
    if any(not rubric.lowest <= value <= rubric.highest for value in given.values()):
        return AnswerReading(scores=None, reason=OFF_SCALE, reasoning=reasoning)
    if rubric.whole and any(value != int(value) for value in given.values()):
        return AnswerReading(scores=None, reason=OFF_SCALE, reasoning=reasoning)
    combined = {name: combination.value(given) for name, combination in rubric.combined.items()}
    return AnswerReading(scores={**given, **combined}, reasoning=reasoning)


def _given(rubric: Rubric, text: str) -> tuple[dict[str, float] | None, str | None]:
    """The number of each criterion, or None; and the words beside them."""
    objects = [found for found in _objects(text) if any(name in found for name in rubric.criteria)]
    if objects:
        numbers = [{name: _number(found.get(name), rubric) for name in rubric.criteria} for found in objects]
        words = objects[-1].get(REASONING)
        reasoning = words if isinstance(words, str) else None
        first = numbers[0]
        if any(other != first for other in numbers) or any(value is None for value in first.values()):
            return None, reasoning
        return {name: value for name, value in first.items() if value is not None}, reasoning
    lines = {name: _in_lines(name, text, rubric) for name in rubric.criteria}
    only = {name: values.pop() for name, values in lines.items() if len(values) == 1}
    known = {name: value for name, value in only.items() if value is not None}
    return (known if len(known) == len(lines) else None), None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in a text; of one with a key twice nothing is read."""
    decoder, start = json.JSONDecoder(), 0
    for _ in range(_MOST_OBJECTS):
        start = text.find("{", start)
        if start < 0:
            return
        try:
            _, end = decoder.raw_decode(text, start)
            value = parse_json(text[start:end])
        except (ValueError, RecursionError):
            start += 1
            continue
        start = end
        if isinstance(value, dict):
            yield value


def _number(value: object, rubric: Rubric) -> float | None:
    """A JSON value as a number: ``8``, ``"8"`` or ``"8/10"`` on a scale that ends at 10."""
    if isinstance(value, str):
        return _of_text(value, rubric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        return None
    return float(value)


def _of_text(text: str, rubric: Rubric) -> float | None:
    found = re.fullmatch(rf"\s*({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*", text)
    if not found or (found[2] and float(found[2].replace("−", "-")) != rubric.highest):
        return None
    return float(found[1].replace("−", "-"))


def _in_lines(name: str, text: str, rubric: Rubric) -> set[float | None]:
    """The numbers that lines give a criterion; None stands for what is no number on this scale."""
    words = re.escape(name).replace("_", r"[_ ]")
    lines = re.finditer(rf"^(?:[^\S\n]|[*_#>\"'`-])*{words}[\s*_\"'`]*[:=](.*)$", text, re.MULTILINE | re.IGNORECASE)
    return {_of_text(line[1].strip(" *_\"'`,."), rubric) for line in lines}
