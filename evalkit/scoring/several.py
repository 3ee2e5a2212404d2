"""Several folders, one method's edits each, scored side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.benchmarks.open import OpenedFolder, open_edits
from evalkit.engine.base import Engine
from evalkit.errors import (
    BrokenPluginError,
    EncoderError,
    EngineError,
    EvalkitError,
    OptionError,
    UnknownNameError,
    failures_as_json,
)
from evalkit.registry import refuse_unknown_options
from evalkit.scores.labels import run_labels
from evalkit.scores.run import RUNS, ScoredRun
from evalkit.scores.tables import shown_runs
from evalkit.scoring.directories import names_of_runs, run_directory
from evalkit.scoring.options import ScoreOptions, completed
from evalkit.scoring.resources import open_resources
from evalkit.scoring.score import score_into
from evalkit.storage.prefetch import Progress
from evalkit.storage.progress import progress_shown
from evalkit.tables.exportable import Exportable, Shown

if TYPE_CHECKING:
    import pandas

_OF_ALL = (BrokenPluginError, EncoderError, EngineError, UnknownNameError)
"""What is no folder's fault, and would be the same with the next."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScoredFolders(Exportable):
    """Runs of several folders, and the folders that could not be scored.

    ``print(scored)`` shows their means side by side, and a notebook shows them by itself.
    """

    runs: dict[Path, ScoredRun]
    """By their run directories, in the order of the folders."""
    failures: dict[Path, EvalkitError]
    """By the folders."""

    @property
    def by_label(self) -> dict[str, ScoredRun]:
        """The runs by names that tell them apart, as tables call them."""
        records = [run.record for run in self.runs.values()]
        return dict(zip(run_labels(records, list(map(str, self.runs))), self.runs.values(), strict=True))

    def to_dataframe(self) -> "pandas.DataFrame":
        """The score of every item: a column ``run``, and those of :meth:`ScoreFrame.to_dataframe`."""
        import pandas

        if not self.runs:
            return pandas.DataFrame(columns=["run"])
        frames = {label: run.to_dataframe() for label, run in self.by_label.items()}
        return pandas.concat(frames, names=["run"]).reset_index("run").reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """The runs as ``evalkit score --json`` prints them, and why folders are left out."""
        runs = zip(self.runs, self.by_label.items(), strict=True)
        return {
            "runs": [run.to_dict() | {"label": name, "directory": str(path)} for path, (name, run) in runs],
            "failed": failures_as_json(self.failures),
        }

    def _shown(self) -> Shown:
        shown = shown_runs({label: run.record for label, run in self.by_label.items()})
        failures = (f"{folder} was not scored: {why}" for folder, why in self.failures.items())
        return replace(shown, notes=(*shown.notes, *failures))


def score_each(
    folders: Iterable[str | Path | OpenedFolder],
    output: str | Path = RUNS,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress | bool | None = None,
    **changes: Any,  # noqa: ANN401 - fields of the options
) -> ScoredFolders:
    """Score several folders, one method's edits each, into a run directory each; encoders are loaded once.

    A folder that cannot be scored does not keep the others from it.

    Args:
        folders: As :func:`evalkit.score` takes one.
        output: The folder of the run directories, which are called as the folders are, with as many of the folders
            around these as tell them apart.
        options: How, for all.
        engine: Whose workers compute; by default this process does.
        progress: As for :func:`evalkit.score`.
        **changes: Fields of the options by name; they come before those of ``options``.

    Raises:
        OptionError: One name is given for all of them.
        EvalkitError: What is wrong concerns all folders: an unknown metric, weights that cannot be had.
    """
    refuse_unknown_options(changes, score_each, ScoreOptions)
    options, output = replace(options or ScoreOptions(), **changes), Path(output)
    if options.name:
        raise OptionError(f"'{options.name}' is the name of one run, and there are several. Leave --name out.")
    failures: dict[Path, EvalkitError] = {}
    opened: list[OpenedFolder] = []
    for one in folders:
        try:
            opened.append(one if isinstance(one, OpenedFolder) else open_edits(Path(one)))
        except EvalkitError as failure:
            failures[Path(str(one))] = failure
    names = names_of_runs([one.folder for one in opened], output)
    runs: dict[Path, ScoredRun] = {}
    with open_resources(cached=options.cached) as shared, progress_shown(progress) as told:
        for one, name in zip(opened, names, strict=True):
            directory, own = run_directory(name, output), replace(completed(options, one.benchmark), default_name=name)
            try:
                runs[directory] = score_into(directory, one.folder, own, engine=engine, progress=told, resources=shared)
            except _OF_ALL:
                raise
            except EvalkitError as failure:
                failures[one.folder.root] = failure
    return ScoredFolders(runs=runs, failures=failures)


def comparable(runs: Sequence[ScoredRun]) -> bool:
    """Whether ``evalkit compare`` would compare some runs: they share a metric, signed alike, and an item."""
    if len(runs) < 2:
        return False
    signed = [{(name, metric.signature) for name, metric in run.record.metrics.items() if metric.n} for run in runs]
    about = {(run.record.benchmark, run.record.benchmark_version) for run in runs}
    items = [{row.item_id for row in run.table.rows} for run in runs]
    return len(about) == 1 and bool(set.intersection(*signed)) and all(items[0] & other for other in items[1:])
