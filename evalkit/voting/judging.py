"""A judge as a rater: it is shown the ballots of a study one by one, as people are, and says which edit is better."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from evalkit.errors import EndpointError
from evalkit.judges.base import Judge, JudgeAnswer, JudgeSettings, Question
from evalkit.storage.documents import parse_json
from evalkit.storage.prefetch import Progress, no_progress, prefetch
from evalkit.voting.page import SIDES, shown_texts
from evalkit.voting.plan import Ballot
from evalkit.voting.session import Choice, Session, append_line

_CHOICES = get_args(Choice)
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(_CHOICES)}},
    "required": ["answer"],
    "additionalProperties": False,
}
_NAMES = {"source": "The source picture:", "left": "The left edit:", "right": "The right edit:"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBallots:
    """What came of asking a judge."""

    n_votes: int
    """Ballots that it answered now."""
    n_before: int
    """That it had answered before."""
    not_read: int
    """Answers that name no choice: no votes; their words are kept."""
    failed: int
    """Ballots about which it could not be asked."""
    failure: str | None
    """Why not, of the first."""


def words_file(votes: Path) -> Path:
    """Where all that a judge says is kept, word for word, by the file of the votes.

    >>> words_file(Path("votes.jsonl")).name
    'votes.judgements.jsonl'
    """
    return votes.with_suffix(".judgements.jsonl")


def judge_ballots(
    session: Session, judge: Judge, settings: JudgeSettings, *, concurrency: int = 8, progress: Progress = no_progress
) -> JudgedBallots:
    """Ask a judge about every ballot of its own that it has not answered yet.

    Args:
        session: Of the study; the judge takes part under its label.
        judge: Who is asked.
        settings: How pictures are sent.
        concurrency: Questions in hand at the same time.
        progress: Told of every answer.

    Raises:
        OSError: An answer cannot be written.
        ImageError: A picture cannot be read.
    """
    rater = session.join(judge.label)
    ballots, before = session.ballots(rater), session.answers(rater)
    left = [n for n in range(len(ballots)) if n not in before]
    not_read, failures = 0, list[str]()

    def ask(n: int) -> JudgeAnswer | str:
        try:
            return judge.ask(_question(session, ballots[n], settings), seed=session.study.seed)
        except EndpointError as failure:
            return str(failure)

    with ThreadPoolExecutor(concurrency) as pool:
        for done, (n, said) in enumerate(prefetch(pool, ask, left, 2 * concurrency), 1):
            progress("ballots", done, len(left))
            if isinstance(said, str):
                failures.append(said)
                continue
            choice = read_choice(said)
            append_line(words_file(session.path), json.dumps(_words(judge, n, said, choice), ensure_ascii=False))
            not_read += choice is None
            if choice:
                session.answer(rater, n, choice, round(said.seconds, 3))
    return JudgedBallots(
        n_votes=len(left) - not_read - len(failures),
        n_before=len(before),
        not_read=not_read,
        failed=len(failures),
        failure=failures[0] if failures else None,
    )


def read_choice(said: JudgeAnswer) -> Choice | None:
    """What a judge chose; None where it was cut off, refused, or said anything but one choice. Nothing is guessed.

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


def _question(session: Session, ballot: Ballot, settings: JudgeSettings) -> Question:
    """What a person is asked, in words and pictures."""
    texts = "\n".join(f"{label}: {text}" for label, text in shown_texts(session.edits.items[ballot.item_id]))
    pictures = (
        part
        for side in SIDES
        for part in (_NAMES[side], settings.picture(session.edits.picture(ballot, side)))
    )  # fmt: skip
    return Question(
        system="You compare two edits of a picture.",
        parts=(
            f"A picture was to be edited.\n{texts}\n",
            *pictures,
            f"{session.study.question} Answer with JSON alone: "
            '{"answer": "left"}, {"answer": "right"}, {"answer": "tie"} if both are equally good, or '
            '{"answer": "both_bad"} if neither would do.',
        ),
        schema=_SCHEMA,
    )


def _words(judge: Judge, n: int, said: JudgeAnswer, choice: Choice | None) -> dict[str, object]:
    return {
        "rater": judge.label, "ballot": n, "answer": choice, "text": said.text, "finish": said.finish,
        "model": said.model, "seconds": said.seconds, "cost": said.cost,
    }  # fmt: skip
