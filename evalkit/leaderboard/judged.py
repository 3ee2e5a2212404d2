"""What a judge said of an entry's edits: a run directory beside the entry's own, and by which signature it is known."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from evalkit.judges.judgement import JudgeRecord
from evalkit.scores.run import MetricSummary, ScoredRun
from evalkit.scores.signatures import signature_fields

_DIGEST = 8
"""Letters of the digest in a name."""
_LONGEST = 40
"""Letters of the model in a name."""
_UNSIGNED = ("metric", "evalkit")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """One judge with one rubric, asked about every edit of an entry."""

    path: Path
    run: ScoredRun
    """With exactly one judge."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.name

    @property
    def judge(self) -> JudgeRecord:
        """Who was asked, what, and how."""
        return next(iter(self.run.record.judges.values()))

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """The means of all numbers that an answer gives."""
        return self.run.record.metrics

    @property
    def identity(self) -> str:
        """The judge's signature: equal for numbers that may stand in one column, and for no others."""
        return judge_identity(self.judge, next(iter(self.metrics.values())).signature)


def judge_identity(judge: JudgeRecord, line: str) -> str:
    """All that a judge's numbers follow from, in one line: model, pictures, rubric, how it was asked, and how often.

    Args:
        judge: Its record.
        line: The signature of one of its metrics.
    """
    fields = {key: value for key, value in signature_fields(line).items() if key not in _UNSIGNED}
    return "|".join(f"{key}:{value}" for key, value in {**fields, "repeats": judge.repeats}.items())


def judged_name(judge: JudgeRecord, identity: str) -> str:
    """What the folder is called of what a judge said: its model, and the beginning of its signature's digest."""
    model = re.sub(r"[^a-z0-9_.]+", "-", (judge.models or [judge.judge])[0].lower()).strip("-.")[:_LONGEST]
    return f"{model or 'judge'}-{hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST]}"
