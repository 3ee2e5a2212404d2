"""Having an entry's edits judged: what a judge says of them is put beside the entry, word for word."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit.edits.folder import EditFolder
from evalkit.errors import EntryError
from evalkit.formatting import counted
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.reading import FAILED
from evalkit.leaderboard.files import JUDGED
from evalkit.leaderboard.judged import JudgedRun, judged_name, not_the_named, will_not_be_the_named
from evalkit.leaderboard.store import LoadedEntry
from evalkit.scores.run import RunRecord, ScoredRun, write_run
from evalkit.scoring.judging import rubrics_for
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.storage.atomic import atomic_update
from evalkit.storage.prefetch import Progress, no_progress


def judge_edits(
    edits: EditFolder,
    entry: LoadedEntry,
    judge: JudgeOptions,
    *,
    device: str = "auto",
    progress: Progress = no_progress,
) -> JudgedRun:
    """Ask a judge about every edit of an entry, and write what it says beside the entry.

    Args:
        edits: Those of the entry.
        entry: Which.
        judge: Who is asked, by one rubric.
        device: Of a judge on this machine.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EntryError: There are several rubrics, the protocol names another judge, an answer could not be had, or the
            entry has numbers of this judge.
        OSError: The folder cannot be written.
        EvalkitError: The judge cannot be opened or asked, or the budget does not suffice; what it said is kept.
    """
    if len(judge.rubrics) > 1:
        raise EntryError(
            f"Judgements on a board are by one rubric at a time: got {', '.join(judge.rubrics)}. Submit them one by "
            "one: --rubric NAME"
        )
    (rubric,) = rubrics_for(judge, edits.items)
    if refusal := will_not_be_the_named(entry.protocol, rubric, judge):
        raise EntryError(refusal)
    run = _judged(edits, entry, judge, device, progress)
    found = JudgedRun(path=entry.path, run=run)
    if refusal := not_the_named(entry.protocol, found.identity):
        raise EntryError(refusal)
    path = entry.path / JUDGED / judged_name(found.judge, found.identity)
    if path.exists():
        raise EntryError(f"{path} exists already: what this judge said of these edits has been submitted.")
    with atomic_update(path) as new:
        write_run(new, run)
    return JudgedRun(path=path, run=run)


def _judged(edits: EditFolder, entry: LoadedEntry, judge: JudgeOptions, device: str, progress: Progress) -> ScoredRun:
    """The run of the judge's metrics, without what only concerns this machine."""
    options = ScoreOptions(
        name=entry.method, benchmark_version=entry.protocol.benchmark_version, judge=judge, device=device
    )
    with TemporaryDirectory() as scratch:
        run = score_into(Path(scratch) / "run", edits, options, progress=progress)
    (record,) = run.record.judges.values()
    if n_failed := record.unread.get(FAILED, 0):
        first = next(each.text for each in run.judgements if each.reason == FAILED)
        raise EntryError(
            f"{counted(n_failed, 'answer')} of {record.judge} could not be had: {first}. Give the same command again: "
            "what was answered is not asked again."
        )
    return replace(run, record=without_folders(run.record, edits.root))


def without_folders(record: RunRecord, root: Path) -> RunRecord:
    """The record without this machine's folders, and without what its cache had to say."""
    problems = [
        problem.model_copy(update={"message": problem.message.replace(f"{root.resolve()}/", "")})
        for problem in record.problems
        if problem.code != "cache_unavailable"
    ]
    folder = record.folder.model_copy(update={"path": record.run, "opened_with": {}, "made_with": {}})
    return record.model_copy(update={"folder": folder, "problems": problems, "named": False})
