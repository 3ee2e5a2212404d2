"""A judge that is shown two edits of an item, left and right, and says which is better: nothing is guessed."""

import hashlib
import json
from collections.abc import Sequence
from typing import Literal, get_args

from evalkit.edits.item import EditItem
from evalkit.encoders.base import settings_digest
from evalkit.judges.base import JudgeAnswer, Picture, Question
from evalkit.storage.documents import parse_json

Choice = Literal["left", "right", "tie", "both_bad"]
"""As a rater gives it, who knows no method's name."""
QUESTION = "Which edit is better: it does what was asked, and leaves everything else as it was?"
_CHOICES = get_args(Choice)
_LABELS = {"instruction": "Instruction", "target_caption": "Wanted", "source_caption": "Source"}
_NAMES = ("The source picture:", "The left edit:", "The right edit:")
_SYSTEM = "You compare two edits of a picture."
_OPENING = "A picture was to be edited."
_FORM = (
    'Answer with JSON alone: {"answer": "left"}, {"answer": "right"}, {"answer": "tie"} if both are equally good, or '
    '{"answer": "both_bad"} if neither would do.'
)
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(_CHOICES)}},
    "required": ["answer"],
    "additionalProperties": False,
}
ASKED_AS = settings_digest([_SYSTEM, _SCHEMA])
"""Of what all questions about pairs have in common, but for what :func:`question_digest` is of."""
TEMPLATE = settings_digest([_SYSTEM, _OPENING, _LABELS, _NAMES, _FORM, _SCHEMA])
"""Of all words that questions about pairs have in common."""


def shown_texts(item: EditItem) -> list[tuple[str, str]]:
    """What a rater is told of an item: label and text, what was asked first."""
    return [(label, text) for name, label in _LABELS.items() if (text := getattr(item, name))]


def pair_question(item: EditItem, pictures: Sequence[Picture], question: str = QUESTION) -> Question:
    """What a person is asked, in words and pictures.

    Args:
        item: Whose texts are shown.
        pictures: The source, the left edit and the right one.
        question: In words.
    """
    texts = "\n".join(f"{label}: {text}" for label, text in shown_texts(item))
    shown = (part for name, each in zip(_NAMES, pictures, strict=True) for part in (name, each))
    parts = (f"{_OPENING}\n{texts}\n", *shown, f"{question} {_FORM}")
    return Question(system=_SYSTEM, parts=parts, schema=_SCHEMA)


def question_digest(question: Question) -> str:
    """SHA-256 of a question's texts and pictures, in their order."""
    parts = [
        hashlib.sha256(part.data).hexdigest() if isinstance(part, Picture) else f"text {part}"
        for part in question.parts
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def template_label(template: str, question: str) -> str:
    """What a judge of pairs is asked in words, but for those about an item, as it stands in a signature.

    Args:
        template: The digest of what all questions have in common.
        question: In words.

    >>> template_label(TEMPLATE, "Which is better?").partition("@")[0]
    'pairs'
    """
    return f"pairs@{settings_digest([template, question])[:12]}"


def read_choice(said: JudgeAnswer) -> Choice | None:
    """What a judge chose; None where it was cut off, refused, or said anything but one choice.

    >>> read_choice(JudgeAnswer(text='{"answer": "left"}', model="m"))
    'left'
    >>> read_choice(JudgeAnswer(text="I think the left one.", model="m"))
    """
    if said.finish != "stop":
        return None
    text = said.text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value = parse_json(text)
    except ValueError:
        return None
    if isinstance(value, dict) and value.keys() == {"answer"} and value["answer"] in _CHOICES:
        choice: Choice = value["answer"]
        return choice
    return None
