"""The metrics of a rubric: pure functions of what its judge answered, as any metric's are of its features."""

from collections.abc import Callable, Sequence

import numpy as np

from evalkit.arrays import Floats
from evalkit.judges.judgement import Judgement
from evalkit.judges.reading import READING_REASONS
from evalkit.judges.rubric import Combination, Criterion, Rubric
from evalkit.metrics.base import Metric, Scores, Vectors
from evalkit.metrics.features import ItemFeature

_NO_REASON = 0.0


def source_name(rubric: Rubric) -> str:
    """What the feature of a rubric's answers goes through, in the place of an encoder."""
    return f"judge/{rubric.name}"


def is_judge(source: str) -> bool:
    """Whether a feature goes through a judge, by what it names in the place of an encoder."""
    return source.startswith("judge/")


def answer_feature(rubric: Rubric) -> ItemFeature:
    """What the metrics of a rubric are computed of."""
    return ItemFeature(takes=rubric.takes, encoder=source_name(rubric), version=rubric.version)


def metrics_of(rubric: Rubric) -> tuple[Metric, ...]:
    """A metric for each number that an answer gives: ``judge:following``, …, ``judge:overall``."""
    feature = answer_feature(rubric)
    parts: dict[str, Criterion | Combination] = {**rubric.criteria, **rubric.combined}
    return tuple(
        Metric(
            name=f"{rubric.name}:{name}",
            summary=part.summary,
            reference=rubric.source,
            family=part.family,
            higher_is_better=True,
            lowest=rubric.lowest,
            highest=rubric.highest,
            features={"answers": feature},
            function=_mean_of(position, len(parts)),
            version=rubric.version,
        )
        for position, (name, part) in enumerate(parts.items())
    )


def answer_numbers(rubric: Rubric, judgements: Sequence[Judgement]) -> Floats:
    """What the metrics of a rubric are computed of: ``(repeats · (1 + scores),)``.

    For each repeat 0 with the scores, or the number of the reason why there are none, from 1, with zeros.

    Args:
        rubric: What was asked.
        judgements: Of one edit, a repeat each.
    """
    rows = [
        [_NO_REASON, *(judgement.scores[name] for name in rubric.scores)]
        if judgement.scores is not None
        else [1.0 + READING_REASONS.index(str(judgement.reason)), *([0.0] * len(rubric.scores))]
        for judgement in judgements
    ]
    return np.array(rows, dtype=np.float64).ravel()


def _mean_of(position: int, n_scores: int) -> Callable[..., Scores]:
    """The mean over repeats of one of the scores; without any repeat that has it the reason of the first."""

    def mean(answers: Vectors) -> Scores:
        table = answers.reshape(len(answers), -1, 1 + n_scores)
        codes, values = table[:, :, 0], table[:, :, 1 + position]
        is_read = codes == _NO_REASON
        means = (values * is_read).sum(axis=1) / np.maximum(is_read.sum(axis=1), 1)
        unread = ~is_read.any(axis=1)
        undefined = {reason: unread & (codes[:, 0] == 1 + number) for number, reason in enumerate(READING_REASONS)}
        return Scores.of(means, undefined)

    return mean
