"""``evalkit validate``: whether metrics mean anything on a benchmark."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.completion import completed
from evalkit.cli.engine import EngineOptions, engine_options
from evalkit.cli.inputs import column_options, human_options
from evalkit.cli.judging import judge_options
from evalkit.cli.output import ExitCode, Output, output_options, signature_option
from evalkit.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from evalkit.judges.asking import JudgeOptions
    from evalkit.scores.columns import ColumnNames
    from evalkit.scores.tables import SignatureLength
    from evalkit.validity.records import Validity

WORK = Path("evalkit_validity")
DIRECTORY = click.Path(file_okay=False, path_type=Path)
RESULT, PAGE = "validity.json", "validity.md"


@click.command(cls=EvalkitCommand, examples=["evalkit validate clip_score --benchmark shapes"])
@click.argument("names", nargs=-1, metavar="[METRIC...] [PATH...]")
@click.option(
    "-b",
    "--benchmark",
    metavar="NAME",
    shell_complete=completed("benchmarks"),
    required=True,
    help="Whose items the metrics are tried on.",
)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="The benchmark's files.")
@click.option("--encoder", metavar="SPEC", help="Network behind the CLIP metrics.  [default: the benchmark's]")
@human_options("A table of what people said of edits: items, methods, labels and, where there are several, raters.")
@click.option("--sources", "limit", type=click.IntRange(min=2), help="Use so many source images, with all their items.")
@click.option("--level", type=click.FloatRange(0.5, 0.9999), default=0.95, help="Coverage of the intervals.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of every random number.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@click.option(
    "-o", "--output", "directory", type=DIRECTORY, help=f"Where all is written.  [default: {WORK}/<benchmark>]"
)
@click.option("--figures", type=DIRECTORY, metavar="DIR", help="Write the panel there: SVG, PDF, PNG and CSV.")
@judge_options
@column_options
@signature_option
@engine_options
@output_options
def validate(
    names: tuple[str, ...],
    *,
    benchmark: str,
    human: Path | None,
    human_column: str | None,
    human_columns: "ColumnNames | None",
    directory: Path | None,
    figures: Path | None,
    columns: "ColumnNames",
    groups: Path | None,
    signatures: "SignatureLength",
    engine: EngineOptions,
    output: Output,
    **settings: Any,  # noqa: ANN401 - handed on to the library as they are
) -> None:
    """Try metrics on edits whose quality is known.

    Says what each is worth. METRIC is a metric's name (without any, the benchmark's own), PATH an edit folder of a
    method. Controls are the untouched source, another source, other captions, a wrong and the perfect edit where the
    benchmark has them; damage is JPEG, WebP, resizing and blur. The truth is the benchmark's, or what people said
    (--human). With --judge the judge's metrics are tried, and whether it agrees with itself.
    """
    from evalkit.validity.trial import HumanScores
    from evalkit.validity.validate import ValidateOptions, validate_metrics

    if groups is not None:
        raise click.UsageError("--groups is not used here: items belong together as the benchmark says.")
    metrics, folders = metrics_and_folders(names, settings["judge"])
    people = HumanScores(table=human, column=human_column, columns=human_columns or columns) if human else None
    options = ValidateOptions(methods=folders, human=people, **settings)
    directory = directory or WORK / benchmark
    try:
        with output.progress() as progress, engine.open(options.device) as opened:
            validity = validate_metrics(metrics, benchmark, directory, options, engine=opened, progress=progress)
        output.json(asdict(validity))
        show(validity, output, signatures)
        write(validity, directory, figures, output)
        if validity.problems:
            sys.exit(ExitCode.PROBLEMS)
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or directory} cannot be written: {failure.strerror}. Name another place: --output DIR"
        ) from failure


def metrics_and_folders(names: tuple[str, ...], judge: "JudgeOptions | None" = None) -> tuple[list[str], list[Path]]:
    """Which of the arguments are folders that are there, and which are metrics, a judge's among them.

    Raises:
        UnknownNameError: One is neither.
    """
    from evalkit.metrics.base import METRICS
    from evalkit.registry import nearest

    folders = [Path(name) for name in names if Path(name).is_dir()]
    metrics = [name for name in names if not Path(name).is_dir()]
    known = set(METRICS.names())
    if judge:
        from evalkit.judges.metrics import metrics_of
        from evalkit.judges.rubric import BY_CAPTION, BY_INSTRUCTION, load_rubrics

        rubrics = load_rubrics(judge.rubrics or (BY_INSTRUCTION, BY_CAPTION))
        known |= {metric.name for rubric in rubrics for metric in metrics_of(rubric)}
    for name in metrics:
        if name not in known:
            raise UnknownNameError(
                f"'{name}' is neither a metric nor a folder that is there. {nearest(name, known)}"
                "See: evalkit list metrics"
            )
    return metrics, folders


def show(validity: "Validity", output: Output, signatures: "SignatureLength" = "short") -> None:
    """Verdicts first, then the tables and what must stand below them."""
    from evalkit.validity.report import miniature_note, signatures_of, tables, validity_notes, verdict_lines

    for line in [*miniature_note(validity), *verdict_lines(validity)]:
        output.text(line, indent="  ")
    output.line()
    for table in tables(validity):
        output.table(table)
    for note in validity_notes(validity):
        output.text(f"  {note}", indent="    ")
    for line in signatures_of(validity, signatures):
        output.line(f"  {line}")


def write(validity: "Validity", directory: Path, figures: Path | None, output: Output) -> None:
    """The record, its page, and the figure where it was asked for."""
    from evalkit.storage.atomic import atomic_write
    from evalkit.validity.report import markdown

    record = json.dumps(asdict(validity), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in ((RESULT, record), (PAGE, markdown(validity))):
        with atomic_write(directory / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    output.line(f"Wrote {directory / RESULT} and {directory / PAGE}")
    if figures is not None:
        from evalkit.report.figures.write import write_figures
        from evalkit.validity.figures import draw_panel

        output.note(f"Wrote {len(write_figures([draw_panel(validity)], figures))} files to {figures}")
