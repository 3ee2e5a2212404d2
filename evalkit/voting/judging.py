"""A judge as a rater: it is shown the ballots of a study one by one, as people are, and says which edit is better."""

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from evalkit.encoders.base import FeatureCache
from evalkit.images.decode import read_image_bytes
from evalkit.images.stored import AnyImage
from evalkit.judges.asking import MAKERS, Asker, JudgeOptions, JudgeQuery
from evalkit.judges.base import Judge, JudgeAnswer, JudgeSettings, Picture, Question
from evalkit.judges.budget import Budget
from evalkit.judges.pairs import ASKED_AS, Choice, pair_question, question_digest, read_choice
from evalkit.storage.documents import json_lines
from evalkit.storage.prefetch import Progress, no_progress, prefetch
from evalkit.votes.judged import PairJudgement, VotingJudge, words_file
from evalkit.voting.page import SIDES
from evalkit.voting.plan import Ballot
from evalkit.voting.session import Session, append_line, cut_off


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBallots:
    """What came of asking a judge."""

    n_votes: int
    """Ballots that it answered now."""
    n_before: int
    """That it had answered before."""
    n_asked: int
    """Answers that were asked for; others were known from an earlier command."""
    not_read: int
    """Answers that name no choice: no votes; their words are kept."""
    failed: int
    """Ballots about which it could not be asked."""
    failure: str | None
    """Why not, of the first."""


def judge_ballots(
    session: Session,
    judge: Judge,
    options: JudgeOptions,
    cache: FeatureCache,
    *,
    progress: Progress = no_progress,
) -> JudgedBallots:
    """Ask a judge about every ballot of its own that it has not answered yet.

    Args:
        session: Of the study; the judge takes part under its label.
        judge: Who is asked.
        options: How many at a time, within which budget, and how pictures are sent.
        cache: Remembers answers, those that name no choice among them: these are not asked for again.
        progress: Told of every answer.

    Raises:
        BudgetSpentError: The budget does not suffice; what was answered is kept.
        EndpointError: No question can be answered: a wrong key or address.
        OSError: An answer cannot be written.
        ImageError: A picture cannot be read.
    """
    rater = session.join(judge.label, VotingJudge.of(judge, options.settings))
    ballots, before = session.ballots(rater), session.answers(rater)
    left = [n for n in range(len(ballots)) if n not in before]
    budget = Budget.read(options.budget, options.settings.currency) if options.budget else None
    asker = Asker(judge, options, cache, budget, ASKED_AS, f"judge/pairs/{judge.label}")
    told, open_ballots = _told(words_file(session.path), judge.label), dict[str, list[int]]()
    not_read, failures = 0, list[str]()
    # Left to the garbage collector, what ends early would end its threads at any moment, as where one has just begun.
    with closing(_questions(session, {n: ballots[n] for n in left}, options, open_ballots)) as questions:
        for done, answered in enumerate(asker.ask(questions), 1):
            n = open_ballots[answered.digest].pop(0)
            progress("ballots", done, len(left))
            (said,) = answered.answers
            if said is None:
                failures += answered.failures
                continue
            choice = read_choice(said)
            if (n, said.text) not in told:
                append_line(words_file(session.path), _words(judge, n, ballots[n], said, choice).model_dump_json())
            not_read += choice is None
            if choice:
                session.answer(rater, n, choice, round(said.seconds, 3))
    return JudgedBallots(
        n_votes=len(left) - not_read - len(failures),
        n_before=len(before),
        n_asked=asker.n_asked,
        not_read=not_read,
        failed=len(failures),
        failure=failures[0] if failures else None,
    )


def _questions(
    session: Session, ballots: Mapping[int, Ballot], options: JudgeOptions, open_ballots: dict[str, list[int]]
) -> Generator[JudgeQuery, None, None]:
    """The question of each ballot, made ahead; which ballots wait for its answer joins ``open_ballots``."""

    def make(n: int) -> Question:
        pictures = [_sent(session.edits.shown(ballots[n], side), options.settings) for side in SIDES]
        return pair_question(session.edits.items[ballots[n].item_id], pictures, session.study.question)

    with ThreadPoolExecutor(min(options.concurrency, MAKERS)) as pool:
        for n, question in prefetch(pool, make, ballots, options.concurrency):
            digest = question_digest(question)
            open_ballots.setdefault(digest, []).append(n)  # several, where edits are equal
            yield digest, lambda question=question: question  # type: ignore[misc]


def _sent(shown: AnyImage | Image.Image, settings: JudgeSettings) -> Picture:
    if isinstance(shown, Image.Image):
        return settings.picture(shown)
    return settings.picture_of_file(read_image_bytes(shown), shown)


def _told(words: Path, label: str) -> set[tuple[int, str]]:
    """What a judge said already: ballot and text."""
    if not words.exists():
        return set()
    cut_off(words)
    with words.open("rb") as file:
        lines = [line for _, line in json_lines(file)]
    return {(line["ballot"], line["text"]) for line in lines if line["rater"] == label}


def _words(judge: Judge, n: int, ballot: Ballot, said: JudgeAnswer, choice: Choice | None) -> PairJudgement:
    shown = ballot.model_dump(exclude={"edit_type", "group"})
    return PairJudgement(rater=judge.label, ballot=n, **shown, answer=choice, **asdict(said))
