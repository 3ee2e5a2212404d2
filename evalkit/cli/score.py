"""``evalkit score``: one folder, one run; or several, side by side."""

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.command_lines import command_line
from evalkit.cli.completion import completed
from evalkit.cli.engine import EngineOptions, engine_options
from evalkit.cli.folders import (
    FolderArguments,
    NamedFolder,
    folder_arguments,
    refuse_all_failed,
    show_failures,
)
from evalkit.cli.inputs import FolderOptions, FolderOrUrl, PathOrUrl, folder_options, summary, written_to
from evalkit.cli.judging import judge_options
from evalkit.cli.output import ExitCode, Output, names_in, output_options, signature_option
from evalkit.errors import OptionError, failures_as_json
from evalkit.formatting import series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.benchmarks.open import OpenedFolder
    from evalkit.benchmarks.protocols import Protocol
    from evalkit.scores.run import ProblemRecord, RunRecord, ScoredRun
    from evalkit.scores.tables import SignatureLength
    from evalkit.scoring.edit_types import MeansByType
    from evalkit.scoring.options import ScoreOptions

MISSING_HELP = (
    "An item without an edited image: score nothing; score it like the run's worst edit, or like one without merit "
    "where that is worse; or leave it out."
)

ENCODER_HELP = (
    "Network behind the CLIP metrics, or, such as lpips_alex:FILE, behind others; can be repeated.  "
    "[default: the benchmark's]"
)


@click.command(
    cls=EvalkitCommand,
    examples=[
        "evalkit score outputs/ --sources photos/ --captions captions.csv",
        "evalkit score edits/sdedit --metrics clip_score,l1",
        "evalkit score --each edits --metrics clip_score,l1 --by edit_type",
        "evalkit score edits/sdedit --judge judge:http://localhost:8000/v1/MODEL --repeats 3",
    ],
)
@folder_arguments
@folder_options
@click.option("--encoder", "encoders", metavar="SPEC", multiple=True, help=ENCODER_HELP)
@click.option(
    "-m",
    "--metrics",
    metavar="A,B",
    shell_complete=completed("metrics"),
    help="Which metrics.  [default: the benchmark's]",
)
@click.option(
    "--protocol",
    metavar="NAME",
    shell_complete=completed("protocols"),
    help="Fix benchmark, metrics and encoder: evalkit list protocols.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=FolderOrUrl(),
    help="Run directory; of several runs their folder.  [default: below evalkit_runs]",
)
@click.option("-n", "--name", help="The run's name.  [default: the method in the manifest, or the folder's name]")
@click.option("--missing", type=click.Choice(["fail", "floor", "intersect"]), default="fail", help=MISSING_HELP)
@click.option("--level", type=click.FloatRange(0.5, 0.9999), default=0.95, help="Coverage of the intervals.")
@click.option("--by", type=click.Choice(["edit_type"]), help="Show the means on the items of each edit type, too.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@click.option("--dtype", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", help="The network's precision.")
@click.option("--compile", "compiled", is_flag=True, help="Fuse the network's operations; the signature says so.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, help="Images prepared at a time; changes no score."
)
@click.option("--cache/--no-cache", "cached", default=True, help="Keep embeddings between runs.")
@judge_options
@signature_option
@engine_options
@output_options
def score(
    *,
    folders: FolderArguments,
    folder_options: FolderOptions,
    encoders: tuple[str, ...],
    metrics: str | None,
    protocol: str | None,
    target: PathOrUrl | None,
    engine: EngineOptions,
    by: str | None,
    signatures: "SignatureLength",
    output: Output,
    **settings: Any,  # noqa: ANN401 - fields of ScoreOptions
) -> None:
    """Score the edited images in each PATH.

    A PATH, and with --each every folder in DIR, holds one method's. Prints means with intervals, signatures and
    problems, and writes a run directory for each.
    """
    from evalkit.benchmarks.protocols import PROTOCOLS
    from evalkit.scoring.options import ScoreOptions

    kept_to = PROTOCOLS.get(protocol) if protocol else None
    if kept_to and metrics:
        raise OptionError(f"{kept_to.name} fixes the metrics: leave --metrics out.")
    if kept_to and settings["judge"]:
        raise OptionError(f"{kept_to.name} fixes the metrics: leave --judge out.")
    if kept_to and not folder_options.benchmark:
        folder_options = replace(folder_options, benchmark=kept_to.benchmark)
    options = ScoreOptions(metrics=names_in(metrics) or None, encoder=encoders, protocol=kept_to, **settings)
    view = _View(output=output, protocol=kept_to, signatures=signatures, by=by)
    found = folders.open(folder_options, output)
    for one in found:
        if one.opened:
            output.note(summary(one.location, one.opened.folder))
    if folders.several:
        runs = _score_several(found, target, options, engine, view)
    else:
        runs = [_score_one(one.opened, target, options, engine, view) for one in found if one.opened]
    if len(runs) < len(found) or any(p.severity == "problem" for run in runs for p in run.record.problems):
        sys.exit(ExitCode.PROBLEMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What is shown of runs, and where."""

    output: Output
    protocol: "Protocol | None"
    signatures: "SignatureLength"
    by: str | None

    def types(self, runs: "Mapping[str, ScoredRun]") -> "dict[str, MeansByType]":
        """The means of runs on each edit type, by the runs' labels; none where nobody asked for them."""
        from evalkit.scoring.edit_types import means_by_type

        return {label: means_by_type(run) for label, run in runs.items()} if self.by else {}

    def below(self, runs: "Mapping[str, ScoredRun]", types: "Mapping[str, MeansByType]") -> None:
        """What stands under the table of one run or of several, which are given by their labels."""
        from evalkit.benchmarks.protocol_tables import protocol_table
        from evalkit.scores.tables import run_notes, signature_lines
        from evalkit.scoring.edit_types import about_means_by_type, run_type_tables

        records = [run.record.model_copy(update={"run": label}) for label, run in runs.items()]
        if self.protocol:
            self.output.table(protocol_table(records, self.protocol))
        if types:
            for table in run_type_tables(types):
                self.output.table(table)
            self.output.text(about_means_by_type(list(types.values()), records[0].level))
            self.output.line()
        for note in run_notes(*records):
            self.output.text(f"  {note}", indent="    ")
        for line in signature_lines(records, self.signatures):
            self.output.line(f"  {line}")

    def problems(self, runs: "Mapping[str, ScoredRun]") -> None:
        """What was wrong with the folders of one run or of several; what is the same of some of them once."""
        labels: dict[ProblemRecord, list[str]] = {}
        for label, run in runs.items():
            for problem in dict.fromkeys(run.record.problems):
                labels.setdefault(problem, []).append(label)
        for of in dict.fromkeys(map(tuple, labels.values())):
            alike = [problem for problem, those in labels.items() if tuple(those) == of]
            whose = f" of {series(of, 'and')}" if len(runs) > 1 else ""
            for title, severity in (("Problems", "problem"), ("Notices", "notice")):
                self.output.problems(f"{title}{whose}", [p for p in alike if p.severity == severity])


def _score_one(
    opened: "OpenedFolder", target: PathOrUrl | None, options: "ScoreOptions", engine: EngineOptions, view: _View
) -> "ScoredRun":
    from evalkit.scores.tables import run_table
    from evalkit.scoring.directories import names_of_runs, run_directory
    from evalkit.scoring.score import score as run_score

    output = view.output
    if target is None:
        own = opened.folder.name
        name = options.name or names_of_runs([opened.folder])[0]
        if name not in (options.name, own):
            taken = run_directory(own)
            output.note(f"{taken} is another folder's: this run is called {name}. Choose: --name NAME or --output DIR")
        options, target = replace(options, default_name=name), run_directory(name)
    with written_to(target, output) as directory, output.progress() as progress, engine.open(options.device) as workers:
        run = run_score(opened, directory, options, engine=workers, progress=progress)
    label, runs = run.record.run, {run.record.run: run}
    types = view.types(runs)
    output.json(as_json(run.record, view.protocol, types.get(label)))
    output.table(run_table(run.record))
    view.below(runs, types)
    output.line(f"Wrote {target}")
    view.problems(runs)
    return run


def _score_several(
    found: "Sequence[NamedFolder]",
    target: PathOrUrl | None,
    options: "ScoreOptions",
    engine: EngineOptions,
    view: _View,
) -> "list[ScoredRun]":
    """Scores several folders, and shows them in one table."""
    from evalkit.scores.run import RUNS
    from evalkit.scores.tables import runs_table
    from evalkit.scoring.several import comparable, score_each

    parent, output = target or RUNS, view.output
    opened = {one.opened.folder.root: one for one in found if one.opened}
    with written_to(parent, output) as local, output.progress() as progress, engine.open(options.device) as workers:
        scored = score_each(
            [one.opened for one in opened.values() if one.opened], local, options, engine=workers, progress=progress
        )
    failures = {one.location: one.failure for one in found if one.failure}
    failures |= {opened[root].location: failure for root, failure in scored.failures.items()}
    refuse_all_failed(found, failures)
    directories = [f"{str(parent).rstrip('/')}/{path.name}" for path in scored.runs]
    runs = scored.by_label
    following = command_line("compare", *directories) if comparable(list(runs.values())) else None
    types = view.types(runs)
    shown = [
        as_json(run.record, view.protocol, types.get(label)) | {"label": label, "directory": directory}
        for (label, run), directory in zip(runs.items(), directories, strict=True)
    ]
    output.json({"runs": shown, "failed": failures_as_json(failures), "next": following})
    output.table(runs_table({label: run.record for label, run in runs.items()}))
    view.below(runs, types)
    for directory in directories:
        output.line(f"Wrote {directory}")
    view.problems(runs)
    show_failures(failures, output)
    if following:
        output.line(f"Next: {following}")
    return list(runs.values())


def as_json(
    record: "RunRecord", protocol: "Protocol | None" = None, types: "MeansByType | None" = None
) -> dict[str, Any]:
    """What ``evalkit score --json`` prints of a run."""
    from evalkit.benchmarks.protocol_tables import protocol_cells
    from evalkit.scores.tables import run_as_json
    from evalkit.scoring.edit_types import types_as_json

    return {
        **run_as_json(record),
        **({"protocol": {"name": protocol.name, "columns": protocol_cells(record, protocol)}} if protocol else {}),
        **({"edit_types": types_as_json(types)} if types else {}),
    }
