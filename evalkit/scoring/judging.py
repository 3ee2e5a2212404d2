"""Judges in a run of scoring: which rubrics and metrics, what is opened, and what a run keeps of the answers."""

from collections.abc import Iterator, Mapping, Sequence

from evalkit.edits.item import EditItem, Problem
from evalkit.errors import OptionError
from evalkit.formatting import counted, series
from evalkit.judges.asking import JudgeOptions, RubricJudge
from evalkit.judges.budget import Budget
from evalkit.judges.judgement import Judgement, JudgeRecord
from evalkit.judges.metrics import answer_feature, is_judge, metrics_of, source_name
from evalkit.judges.open import open_judge
from evalkit.judges.reading import FAILED
from evalkit.judges.rubric import BY_CAPTION, BY_INSTRUCTION, Rubric, load_rubrics
from evalkit.metrics.base import METRICS, REASONS, Metric, get_metrics
from evalkit.scoring.features import Features
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.requests import missing_fields
from evalkit.scoring.resources import Resources


def rubrics_for(options: JudgeOptions, items: Sequence[EditItem]) -> tuple[Rubric, ...]:
    """The rubrics that were named, or the one of ours that asks about what the items have.

    Raises:
        UnknownNameError: There is none of a name.
        OptionError: One is wrong, or takes the name of a metric.
    """
    told = any(item.instruction for item in items) or not any(item.target_caption for item in items)
    rubrics = load_rubrics(options.rubrics or (BY_INSTRUCTION if told else BY_CAPTION,))
    taken = {name.partition(":")[0] for name in METRICS.names()}
    for rubric in rubrics:
        if rubric.name in taken:
            raise OptionError(f"The rubric '{rubric.name}' has the name of a metric. Give its file another name.")
    return rubrics


def chosen_metrics(names: Sequence[str] | None, rubrics: Sequence[Rubric]) -> tuple[Metric, ...]:
    """The metrics of those names, and those of rubrics: all, unless some of theirs are named.

    Raises:
        UnknownNameError: There is no metric of a name.
    """
    judged = {metric.name: metric for rubric in rubrics for metric in metrics_of(rubric)}
    named = [name for name in dict.fromkeys(names or ()) if name in judged]
    others = get_metrics([name for name in names or () if name not in judged])
    return (*others, *(judged[name] for name in named or judged))


def open_judges(
    metrics: Sequence[Metric], options: ScoreOptions, rubrics: Sequence[Rubric], shared: Resources
) -> dict[str, RubricJudge]:
    """The judge with each rubric that metrics ask for, by the names that features use.

    Raises:
        EvalkitError: The judge cannot be opened.
    """
    asked = {name for metric in metrics for name in metric.encoders if is_judge(name)}
    if options.judge is None or not asked:
        return {}
    if options.judge not in shared.judges:
        settings = options.judge.settings
        budget = Budget.read(options.judge.budget, settings.currency) if options.judge.budget else None
        shared.judges[options.judge] = open_judge(options.judge.spec, settings, device=options.device), budget
    judge, budget = shared.judges[options.judge]
    return {
        source_name(rubric): RubricJudge(judge, rubric, options.judge, shared.cache, budget)
        for rubric in rubrics
        if source_name(rubric) in asked
    }


def judgements_of(features: Features, metrics: Sequence[Metric], items: Sequence[EditItem]) -> Iterator[Judgement]:
    """The answers about items whose features were prepared last."""
    for source, judge in features.judges.items():
        metric = next(metric for metric in metrics if source in metric.encoders)
        for item in items:
            if not missing_fields(metric, item) and (found := features.answers(answer_feature(judge.rubric), item)):
                yield from judge.judgements(item.item_id, item.seed, found)


def judge_records(judges: Mapping[str, RubricJudge], judgements: Sequence[Judgement]) -> dict[str, JudgeRecord]:
    """What a run's record says of its judges, by rubric."""
    return {judge.rubric.name: judge.record(judgements) for judge in judges.values()}


def judge_problems(records: Mapping[str, JudgeRecord], judgements: Sequence[Judgement]) -> Iterator[Problem]:
    """What is wrong with answers: those without scores, those that could not be had, and a judge that changed."""
    for name, record in records.items():
        n_failed = record.unread.get(FAILED, 0)
        unread = {reason: n for reason, n in record.unread.items() if reason != FAILED}
        if n_failed:
            first = next(each.text for each in judgements if each.rubric == name and each.reason == FAILED)
            yield Problem(
                code=FAILED,
                message=f"{counted(n_failed, 'answer')} of {record.judge} could not be had: {first}. Give the same "
                "command again: what was answered is not asked again.",
            )
        if unread:
            why = series([f"{n} because {REASONS[reason]}" for reason, n in unread.items()], "and")
            yield Problem(
                code="unread_answer",
                message=f"{counted(sum(unread.values()), 'answer')} of {record.n_answers:,} to the rubric {name} "
                f"{'has' if sum(unread.values()) == 1 else 'have'} no scores: {why}. Their words are in the run's "
                "judgements.jsonl.",
            )
        if len(record.models) > 1:
            yield Problem(
                code="judge_changed",
                message=f"The answers to the rubric {name} come from several models: {series(record.models, 'and')}. "
                "The signature names all of them.",
            )
