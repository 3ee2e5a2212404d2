"""Judgements: what a judge answered about an item, word for word, and what was read in it; ``judgements.jsonl``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.errors import RunError
from evalkit.judges.base import Finish
from evalkit.judges.rubric import Rubric
from evalkit.storage.documents import LineError, json_lines

JUDGEMENTS = "judgements.jsonl"
"""Of a run directory: a line per item, seed, rubric and repeat."""


class Judgement(BaseModel):
    """One answer about one edit: a line of ``judgements.jsonl``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    item_id: str
    seed: int | None = None
    """Of the edit."""
    rubric: str
    repeat: int
    """From 0: the seed of the judge."""
    scores: dict[str, float] | None
    """Criterion to number; None where the answer has none."""
    reason: str | None = None
    """Why there are none: a key of :data:`evalkit.metrics.base.REASONS`."""
    text: str
    """The answer, word for word; of a judge that could not be asked the error."""
    reasoning: str | None = None
    """What it said of the edit, where the answer has a place for that."""
    model: str = ""
    """As the server names it."""
    finish: Finish = "other"
    is_structured: bool = False
    """Whether the judge was held to the form of the answer."""
    system_fingerprint: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    """What was charged when it was asked, in the currency of the run's record."""
    seconds: float = 0.0


class JudgeRecord(BaseModel):
    """A judge and a rubric that took part in a run: everything that its numbers follow from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: str
    """What was asked for: ``http/MODEL`` or ``transformers/NAME@digest``."""
    asked: dict[str, Any]
    """Address, model, temperature, …; of a local one weights and libraries."""
    image: str
    """How pictures were sent: ``1024-png``."""
    rubric: Rubric
    repeats: int
    models: list[str]
    """As the server named them; more than one where it changed in between."""
    forms: list[str]
    """``schema`` where answers were held to one, ``text`` where they were free."""
    n_answers: int
    """Of the run."""
    n_asked: int
    """Of them those that were not known from before."""
    unread: dict[str, int] = {}
    """Reason to number of answers without scores."""
    input_tokens: int | None = None
    """Of all answers; None where the server says no numbers."""
    output_tokens: int | None = None
    cost: float | None = None
    """What all answers cost when they were asked for; None where that is not known."""
    currency: str

    @property
    def manner(self) -> str:
        """How it was asked, as it stands in a signature: ``t0+max1024+schema``."""
        return manner_in_full(self.asked, self.forms)


def manner_in_full(asked: Mapping[str, Any], forms: Iterable[str]) -> str:
    """How a judge was asked, as it stands in a signature.

    Args:
        asked: What a record says of it.
        forms: How its answers were held to a form, if they were.
    """
    return "+".join([manner_asked(asked.get("temperature"), asked.get("max_tokens")), *forms])


def manner_asked(temperature: object, max_tokens: object) -> str:
    """What is known of how a judge is asked before it answers.

    >>> manner_asked(0.7, 1024), manner_asked(None, 512)
    ('t0.7+max1024', 'town+max512')
    """
    if isinstance(temperature, int | float):
        temperature = f"{temperature:g}"  # a record from elsewhere may say anything
    heat = "town" if temperature is None else f"t{temperature}"
    return f"{heat}+max{max_tokens}"


def encoder_label(models: Iterable[str]) -> str:
    """Who answered, as it stands in a signature.

    >>> encoder_label(["a|b", "c"])
    'judge/a_b+judge/c'
    """
    return "+".join(dict.fromkeys(f"judge/{model.replace('|', '_')}" for model in models))


def answer_facts(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """What a :class:`JudgeRecord` says that follows from the answers to its rubric alone, by field."""
    answered = [judgement for judgement in judgements if judgement.model]
    unread: dict[str, int] = {}
    for judgement in judgements:
        if judgement.reason:
            unread[judgement.reason] = unread.get(judgement.reason, 0) + 1
    return {
        "models": sorted({judgement.model for judgement in answered}),
        "forms": sorted({"schema" if judgement.is_structured else "text" for judgement in answered}),
        "n_answers": len(answered),
        "unread": unread,
        "input_tokens": _total(judgement.input_tokens for judgement in answered),
        "output_tokens": _total(judgement.output_tokens for judgement in answered),
        "cost": _total(judgement.cost for judgement in answered),
    }


def _total(numbers: Iterable[Any]) -> Any:  # noqa: ANN401 - whole numbers or amounts
    """Their sum; None where one is not known, or there is none."""
    found = list(numbers)
    return None if not found or None in found else sum(found)


def judgement_lines(judgements: Iterable[Judgement]) -> Iterator[bytes]:
    """The lines of the file."""
    for judgement in judgements:
        yield (judgement.model_dump_json(exclude_defaults=True) + "\n").encode()


def judgements_in(lines: IO[bytes], path: Path) -> Iterator[Judgement]:
    """The judgements in a file that is open at its beginning.

    Raises:
        RunError: A line is not of its schema.
    """
    try:
        for number, value in json_lines(lines):
            try:
                yield Judgement.model_validate(value)
            except ValidationError as failure:
                raise LineError(number, failure.errors(include_url=False)[0]["msg"]) from failure
    except LineError as failure:
        raise RunError(f"{path}:{failure.number}: {failure}. Score the folder again.") from failure
