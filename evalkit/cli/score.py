"""``evalkit score``: one folder, one run."""

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.engine import EngineOptions, engine_options
from evalkit.cli.inputs import FolderOptions, FolderOrUrl, PathOrUrl, folder_options, read_from, summary, written_to
from evalkit.cli.output import ExitCode, Output, names_in, output_options
from evalkit.errors import OptionError

if TYPE_CHECKING:
    from evalkit.benchmarks.protocols import Protocol
    from evalkit.scores.run import RunRecord

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
    ],
)
@click.argument("edits", metavar="PATH", type=FolderOrUrl(exists=True))
@folder_options
@click.option("--encoder", "encoders", metavar="SPEC", multiple=True, help=ENCODER_HELP)
@click.option("--metrics", metavar="A,B", help="Which metrics.  [default: the benchmark's]")
@click.option("--protocol", metavar="NAME", help="Fix benchmark, metrics and encoder: evalkit list protocols.")
@click.option("--output", "target", type=FolderOrUrl(), help="Run directory.  [default: evalkit_runs/<name>]")
@click.option("--name", help="The run's name.  [default: the method in the manifest, or the folder's name]")
@click.option("--missing", type=click.Choice(["fail", "floor", "intersect"]), default="fail", help=MISSING_HELP)
@click.option("--level", type=click.FloatRange(0.5, 0.9999), default=0.95, help="Coverage of the intervals.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@click.option("--dtype", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", help="The network's precision.")
@click.option("--compile", "compiled", is_flag=True, help="Fuse the network's operations; the signature says so.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, help="Images prepared at a time; changes no score."
)
@click.option("--cache/--no-cache", "cached", default=True, help="Keep embeddings between runs.")
@engine_options
@output_options
def score(
    edits: PathOrUrl,
    *,
    folder_options: FolderOptions,
    encoders: tuple[str, ...],
    metrics: str | None,
    protocol: str | None,
    target: PathOrUrl | None,
    device: str,
    engine: EngineOptions,
    output: Output,
    **settings: Any,  # noqa: ANN401 - fields of ScoreOptions
) -> None:
    """Score the edited images in PATH.

    Prints means with intervals, signatures and problems, and writes a run directory.
    """
    from evalkit.benchmarks.open import open_edits
    from evalkit.benchmarks.protocols import PROTOCOLS
    from evalkit.scoring.options import ScoreOptions
    from evalkit.scoring.score import run_directory
    from evalkit.scoring.score import score as run_score

    kept_to = PROTOCOLS.get(protocol) if protocol else None
    if kept_to and metrics:
        raise OptionError(f"{kept_to.name} fixes the metrics: leave --metrics out.")
    if kept_to and not folder_options.benchmark:
        folder_options = replace(folder_options, benchmark=kept_to.benchmark)
    opened = open_edits(read_from(edits, output), **asdict(folder_options))
    output.note(summary(edits, opened.folder))
    target = target or run_directory(settings["name"] or opened.folder.name)
    chosen = names_in(metrics) or None
    options = ScoreOptions(metrics=chosen, encoder=encoders, protocol=kept_to, device=device, **settings)
    with written_to(target, output) as directory, output.progress() as progress, engine.open(device) as workers:
        run = run_score(opened, directory, options, engine=workers, progress=progress)
    _show(run.record, kept_to, target, output)
    if any(problem.severity == "problem" for problem in run.record.problems):
        sys.exit(ExitCode.PROBLEMS)


def _show(record: "RunRecord", protocol: "Protocol | None", target: PathOrUrl, output: Output) -> None:
    from evalkit.report.runs import protocol_table, run_notes, run_table

    output.json(as_json(record, protocol))
    output.table(run_table(record))
    if protocol:
        output.table(protocol_table(record, protocol))
    for note in run_notes(record):
        output.line(f"  {note}")
    output.line(f"Wrote {target}")
    output.problems("Problems", [problem for problem in record.problems if problem.severity == "problem"])
    output.problems("Notices", [problem for problem in record.problems if problem.severity == "notice"])


def as_json(record: "RunRecord", protocol: "Protocol | None" = None) -> dict[str, Any]:
    """What ``evalkit score --json`` prints of a run."""
    from evalkit.report.runs import protocol_cells

    shown = {"mean", "ci_low", "ci_high", "n", "n_groups", "n_undefined", "higher_is_better", "signature"}
    return {
        "run": record.run,
        "benchmark": record.benchmark,
        "n_items": record.n_items,
        "n_edited": record.n_edited,
        "layout": record.folder.layout,
        "metrics": {name: summary.model_dump(include=shown) for name, summary in record.metrics.items()},
        "problems": [problem.model_dump() for problem in record.problems],
        "images": record.images.model_dump() if record.images else None,
        **({"protocol": {"name": protocol.name, "columns": protocol_cells(record, protocol)}} if protocol else {}),
    }
