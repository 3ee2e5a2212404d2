"""A judge with a rubric, asked about items: many at a time, each answer kept as soon as it is there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from evalkit.encoders.base import FeatureCache, decoding_rules, settings_digest
from evalkit.errors import BudgetSpentError, CacheError, EndpointError, ImageError
from evalkit.formatting import counted
from evalkit.judges.base import Judge, JudgeAnswer, JudgeSettings, Question
from evalkit.judges.budget import Budget
from evalkit.judges.judgement import Judgement, JudgeRecord, answer_facts
from evalkit.judges.reading import FAILED, read_answer
from evalkit.judges.rubric import Rubric, ShownItem

_AHEAD = 2
"""Answers that are waited for, for each that is in hand: as many questions are made beforehand."""
MAKERS = 8
"""Threads that read and encode pictures, so that none that asks waits for them."""
REQUEST = "judgement"
"""How the requests begin by which a cache remembers answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """Who judges, and how."""

    spec: str
    """``judge:http://HOST:PORT/v1/MODEL`` or ``judge:transformers:DIR``."""
    rubrics: tuple[str, ...] = ()
    """Names or YAML files; by default ``judge``, or ``judge_caption`` where no item has an instruction."""
    repeats: int = 1
    """Answers about each edit, each with a seed of its own."""
    budget: str | None = None
    """What may be spent: ``2.50`` in the currency of the settings, ``100000tokens`` or ``50answers``."""
    concurrency: int = 8
    """Questions that are in hand at the same time."""
    settings: JudgeSettings = field(default_factory=JudgeSettings)


JudgeQuery = tuple[str, Callable[[], Question]]
"""The digest of what is asked about, and what makes the question; it may raise an ImageError."""
Unjudged = tuple[str, Callable[[], ShownItem]]
"""The digest of a content, and what gives it to be looked at; it may raise an ImageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """All answers to one question, by repeat."""

    digest: str
    answers: tuple[JudgeAnswer | None, ...] = ()
    """None where the judge could not be asked."""
    failures: tuple[str, ...] = ()
    """Why not, each once."""
    unreadable: str = ""
    """Why nobody could look at it: an image cannot be decoded."""


class Asker:
    """Asks a judge, within a budget, what it was not asked before.

    Args:
        judge: Who answers.
        options: How often, how many at a time, and how pictures are sent.
        cache: Remembers answers; one that fails midway is done without.
        budget: What may be spent, shared by all that ask.
        asked_as: What decides the answers beside the judge and what is asked about, as JSON.
        label: By which the cache shows its part.
    """

    def __init__(
        self, judge: Judge, options: JudgeOptions, cache: FeatureCache, budget: Budget | None, asked_as: str, label: str
    ) -> None:
        self._judge, self._options, self._cache, self._budget = judge, options, cache, budget
        self._key = settings_digest([dict(judge.key), asked_as, options.settings.image_label, decoding_rules()])
        self.n_asked = 0
        with suppress(CacheError):
            cache.describe(self._key, label)

    def ask(self, questions: Iterable[JudgeQuery]) -> Iterator[Answered]:
        """The answers to each question, in the order in which they are complete.

        Questions are made ahead, for as many as are in hand.

        Raises:
            BudgetSpentError: The budget does not suffice; what was answered is kept.
            EndpointError: No question can be answered: a wrong key or address.
        """
        waiting: dict[Future[JudgeAnswer], tuple[_Open, int]] = {}
        size, repeats = self._options.concurrency, range(self._options.repeats)
        with ThreadPoolExecutor(min(size, MAKERS)) as makers, ThreadPoolExecutor(size) as askers:
            try:
                for digest, make in questions:
                    known = {n: answer for n in repeats if (answer := self._known(digest, n))}
                    one = _Open(digest, known, n_open=len(repeats) - len(known))
                    if not one.n_open:
                        yield one.answered(len(repeats))
                        continue
                    question = makers.submit(make)
                    for n in repeats:
                        if n not in known:
                            waiting[askers.submit(self._answer, question, n)] = one, n
                    while len(waiting) >= size * _AHEAD:
                        yield from self._collect(waiting)
                while waiting:
                    yield from self._collect(waiting)
            except BaseException as failure:
                for future in waiting:
                    future.cancel()
                self._keep_those_in_hand(waiting)
                self._explain(failure)
                raise

    def _collect(self, waiting: "dict[Future[JudgeAnswer], tuple[_Open, int]]") -> Iterator[Answered]:
        """Takes what is ready, and gives what is complete by it."""
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            one, repeat = waiting.pop(future)
            one.n_open -= 1
            try:
                one.answers[repeat] = future.result()
                self._remember(one.digest, repeat, one.answers[repeat])
            except ImageError as failure:
                one.unreadable = str(failure)
            except EndpointError as failure:
                if failure.fatal:
                    raise
                one.failures.append(str(failure))
            if not one.n_open:
                yield one.answered(self._options.repeats)

    def _answer(self, made: Future[Question], repeat: int) -> JudgeAnswer:
        question = made.result()
        if self._budget is None:
            return self._judge.ask(question, seed=repeat)
        self._budget.reserve()
        answer = None
        try:
            answer = self._judge.ask(question, seed=repeat)
        finally:
            self._budget.settle(answer)
        return answer

    def _keep_those_in_hand(self, waiting: "Mapping[Future[JudgeAnswer], tuple[_Open, int]]") -> None:
        """Answers that come when the run has ended already were paid for."""
        for future, (one, repeat) in waiting.items():
            with suppress(Exception):
                if not future.cancelled():
                    self._remember(one.digest, repeat, future.result())

    def _explain(self, failure: BaseException) -> None:
        """Raises with how to go on what ends a run."""
        kept = f"{counted(self.n_asked, 'answer')} came before that and {'is' if self.n_asked == 1 else 'are'} kept"
        if isinstance(failure, BudgetSpentError):
            raise BudgetSpentError(f"{failure}: {kept}. Go on: the same command, with more --budget") from None
        if isinstance(failure, EndpointError):
            raise EndpointError(
                f"The judge {self._judge.label} cannot be asked: {failure}; {kept}. Mend it, and give the same command "
                "again",
                fatal=True,
            ) from failure

    def _request(self, digest: str, repeat: int) -> str:
        return f"{REQUEST} {self._key} {digest} {repeat}"

    def _known(self, digest: str, repeat: int) -> JudgeAnswer | None:
        with suppress(CacheError, TypeError):
            facts = self._cache.recall(self._request(digest, repeat))
            return JudgeAnswer(**facts) if facts else None
        return None

    def _remember(self, digest: str, repeat: int, answer: JudgeAnswer) -> None:
        self.n_asked += 1
        with suppress(CacheError):
            self._cache.remember(self._request(digest, repeat), self._key, asdict(answer))


@dataclass
class _Open:
    """A question while answers to it are waited for."""

    digest: str
    answers: dict[int, JudgeAnswer]
    n_open: int
    failures: list[str] = field(default_factory=list)
    unreadable: str = ""

    def answered(self, repeats: int) -> Answered:
        return Answered(
            digest=self.digest,
            answers=tuple(self.answers.get(repeat) for repeat in range(repeats)),
            failures=tuple(dict.fromkeys(self.failures)),
            unreadable=self.unreadable,
        )


class RubricJudge:
    """A judge that was opened, with one rubric.

    Args:
        judge: Who answers.
        rubric: What it is asked.
        options: How often, how many at a time, and how pictures are sent.
        cache: Remembers answers; one that fails midway is done without.
        budget: What may be spent, shared by all rubrics of a command.
    """

    def __init__(
        self, judge: Judge, rubric: Rubric, options: JudgeOptions, cache: FeatureCache, budget: Budget | None = None
    ) -> None:
        self.rubric, self.repeats, self.settings = rubric, options.repeats, options.settings
        self._judge = judge
        self._asker = Asker(judge, options, cache, budget, rubric.digest, f"judge/{rubric.name}/{judge.label}")

    def ask(self, contents: Iterable[Unjudged]) -> Iterator[Answered]:
        """The answers about each content, as :meth:`Asker.ask` gives them."""
        return self._asker.ask((digest, partial(self._question, look)) for digest, look in contents)

    def _question(self, look: Callable[[], ShownItem]) -> Question:
        return self.rubric.question_about(look())

    # What is said of it

    def judgements(self, item_id: str, seed: int | None, answered: Answered) -> list[Judgement]:
        """The lines of an edit."""
        found = []
        for repeat, answer in enumerate(answered.answers):
            line: dict[str, Any] = {"item_id": item_id, "seed": seed, "rubric": self.rubric.name, "repeat": repeat}
            if answer is None:
                found.append(Judgement(**line, scores=None, reason=FAILED, text="; ".join(answered.failures)))
                continue
            reading = read_answer(self.rubric, answer)
            scores = None if reading.scores is None else dict(reading.scores)
            line |= {"scores": scores, "reason": reading.reason, "reasoning": reading.reasoning}
            found.append(Judgement(**line, **asdict(answer)))
        return found

    def record(self, judgements: Iterable[Judgement]) -> JudgeRecord:
        """What a run's record says of it.

        Args:
            judgements: Its own, of the whole run.
        """
        own = [judgement for judgement in judgements if judgement.rubric == self.rubric.name]
        return JudgeRecord(
            judge=self._judge.label,
            asked=dict(self._judge.key),
            image=self.settings.image_label,
            rubric=self.rubric,
            repeats=self.repeats,
            n_asked=self._asker.n_asked,
            currency=self.settings.currency,
            **answer_facts(own),
        )
