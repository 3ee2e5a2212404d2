"""What was scored before, beside what is scored now, where both are of the very same inputs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.errors import RunError
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import ProblemRecord, RunRecord, ScoredRun, read_run

_SAME = ("benchmark", "benchmark_version", "protocol", "missing", "level")
"""What two runs have in common whose metrics may stand in one."""
_OF_TEXTS = ("cut_caption", "indistinct_captions")
"""What a run says of the texts that its own metrics read."""


def with_earlier_metrics(directory: Path, run: ScoredRun) -> ScoredRun:
    """A run with the other metrics, and the given name, of the one that lies where it goes.

    Where the metrics cannot stay, with a notice of it.

    Args:
        directory: Where it goes, which holds a run of the same folder or none.
        run: What was scored now.
    """
    try:
        before = read_run(directory)
    except RunError:  # none, or one that nobody can read
        return run
    if before.record.named and not run.record.named:
        run = replace(run, record=run.record.model_copy(update={"run": before.record.run, "named": True}))
    others = [name for name in before.record.metrics if name not in run.record.metrics]
    why = _difference(before.record, run.record)
    if not others or why is None:
        return joined(before, run) if others else run
    message = f"{', '.join(others)} had been scored {why}, and {'is' if len(others) == 1 else 'are'} not kept."
    notice = ProblemRecord(code="replaced_metrics", item_id=None, message=message, severity="notice")
    return replace(run, record=run.record.model_copy(update={"problems": [*run.record.problems, notice]}))


def joined(before: ScoredRun, run: ScoredRun) -> ScoredRun:
    """The metrics of two runs of the same items, the earlier ones first; of one that both have, the later scores."""
    metrics = {**before.record.metrics, **run.record.metrics}
    kept = [problem for problem in before.record.problems if problem.code in _OF_TEXTS]
    record = run.record.model_copy(
        update={
            "metrics": metrics,
            "encoders": {**before.record.encoders, **run.record.encoders},
            "judges": {**before.record.judges, **run.record.judges},
            "problems": [*run.record.problems, *(problem for problem in kept if problem not in run.record.problems)],
        }
    )
    judgements = (each for each in before.judgements if each.rubric not in run.record.judges)
    table = joined_table(before.table, run.table, tuple(metrics))
    return ScoredRun(record=record, table=table, judgements=(*judgements, *run.judgements))


def joined_table(before: ScoreFrame, table: ScoreFrame, metrics: Sequence[str]) -> ScoreFrame:
    """The scores of two tables of the same items side by side; of a metric that both have, the later ones."""
    rows = {(row.item_id, row.seed): row for row in before.rows}
    pairs = ((rows[row.item_id, row.seed], row) for row in table.rows)
    both = (
        replace(new, values={**old.values, **new.values}, reasons={**old.reasons, **new.reasons}) for old, new in pairs
    )
    return ScoreFrame.from_rows(both, metrics)


def _difference(before: RunRecord, now: RunRecord) -> str | None:
    """Why the metrics of two runs of one folder cannot stand side by side; None if they can."""
    if before.folder.inputs != now.folder.inputs or not now.folder.inputs:
        return "before images, captions or groups were changed"
    for name in _SAME:
        if getattr(before, name) != getattr(now, name):
            return f"with {name.replace('_', ' ')} {getattr(before, name)}"
    if before.versions.get("evalkit") != now.versions.get("evalkit"):
        return f"by evalkit {before.versions.get('evalkit')}"
    for name, encoder in before.encoders.items():
        if name in now.encoders and now.encoders[name].fingerprint != encoder.fingerprint:
            return f"through {encoder.label}"
    return None
