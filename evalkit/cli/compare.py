"""``evalkit compare``: methods on the same items, with verdicts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.compare_votes import MAP_HELP, are_votes, compare_by_votes, vote_columns
from evalkit.cli.completion import completed
from evalkit.cli.inputs import column_options, human_options, runs_from
from evalkit.cli.output import Output, names_in, output_options, signature_option
from evalkit.errors import OptionError
from evalkit.tables import ExportFormat

if TYPE_CHECKING:
    from evalkit.comparison.records import Comparison
    from evalkit.scores.columns import ColumnNames
    from evalkit.scores.tables import SignatureLength

MARGIN_HELP = "Differences below X do not matter.  [default: the protocol's]"
FIGURES_HELP = "Write the main figures there, with an index: SVG, PDF, PNG, and the numbers behind each as CSV."
ALL_FIGURES_HELP = "With --figures: write every figure of every metric."
TEST_HELP = "What gives the p-values: sign flips of whole groups, a t test, or Wilcoxon's signed ranks."
EDITS_HELP = (
    "Of votes, for the gallery of --report: where a method's edits are, if the study beside the votes does not say so; "
    "NAME=RUN as the votes call it."
)
CORRECTION_HELP = (
    "For the number of comparisons: of the chance of any false finding (holm, maxt), or their share (bh, by)."
)
REST = "All pairs, sentences and notes: --details, --export md, or --report FILE.html"
TESTS, CORRECTIONS = ("sign_flip", "t", "wilcoxon"), ("holm", "maxt", "bh", "by", "none")
DIRECTORY, FILE = click.Path(file_okay=False, path_type=Path), click.Path(dir_okay=False, path_type=Path)


def needs_figures(context: click.Context, _: click.Parameter, given: bool) -> bool:
    """Refuse ``--figures-all`` without the directory that they go to."""
    if given and context.params.get("figures") is None:
        raise click.UsageError("--figures-all says how many figures, --figures DIR where to: give both.")
    return given


@click.command(
    cls=EvalkitCommand,
    examples=[
        "evalkit compare runs/ours runs/baseline --margin clip_score=0.005",
        "evalkit compare scores_ours.csv scores_baseline.csv --report report.html",
        "evalkit compare votes.jsonl --by edit_type",
        "evalkit compare runs/ours runs/baseline --human ratings.csv",
    ],
)
@click.argument("runs", shell_complete=completed("runs"), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-m",
    "--metrics",
    metavar="A,B",
    shell_complete=completed("metrics"),
    help="Which metrics.  [default: all that every method has]",
)
@click.option(
    "--primary",
    metavar="A,B",
    shell_complete=completed("metrics"),
    help="The confirmatory family.  [default: the protocol's, or the first]",
)
@click.option("--baseline", metavar="NAME", help="Compare each other method with this one, instead of all pairs.")
@click.option("--margin", "margins", multiple=True, metavar="METRIC=X", help=MARGIN_HELP)
@click.option("--alpha", type=click.FloatRange(0.0001, 0.5), default=0.05, help="Error rate.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of every random number.")
@click.option("--test", type=click.Choice(TESTS), default="sign_flip", help=TEST_HELP)
@click.option("--correction", type=click.Choice(CORRECTIONS), default="holm", help=CORRECTION_HELP)
@click.option("--higher-is-better", multiple=True, metavar="A,B", help="Other tools' metrics of which more is better.")
@click.option("--lower-is-better", multiple=True, metavar="A,B", help="Other tools' metrics of which less is better.")
@column_options
@human_options(
    "What people said of some of the items, drawn at random: a table of items, methods and labels.", MAP_HELP
)
@click.option("--by", type=click.Choice(["edit_type"]), help="Compare also on the items of each edit type.")
@click.option("--details", is_flag=True, help="Show every pair, its sentence, and all notes, too.")
@signature_option
@click.option("--export", "to", type=click.Choice(get_args(ExportFormat)), help="Print the tables in this format.")
@click.option("--figures", type=DIRECTORY, metavar="DIR", is_eager=True, help=FIGURES_HELP)
@click.option("--figures-all", "all_figures", is_flag=True, callback=needs_figures, help=ALL_FIGURES_HELP)
@click.option("--report", type=FILE, metavar="FILE.html", help="Write one page with it all.")
@click.option("--edits", multiple=True, metavar="RUN", shell_complete=completed("runs"), help=EDITS_HELP)
@output_options
def compare(
    runs: tuple[str, ...],
    *,
    metrics: str | None,
    primary: str | None,
    higher_is_better: tuple[str, ...],
    lower_is_better: tuple[str, ...],
    margins: tuple[str, ...],
    columns: "ColumnNames",
    mapped: tuple[str, ...],
    human: Path | None,
    human_column: str | None,
    human_columns: "ColumnNames | None",
    groups: Path | None,
    details: bool,
    signatures: "SignatureLength",
    to: ExportFormat | None,
    figures: Path | None,
    all_figures: bool,
    report: Path | None,
    output: Output,
    **settings: Any,  # noqa: ANN401 - handed on to the library as they are
) -> None:
    """Compare two or more methods item by item, with verdicts.

    A method is better or worse than another, equivalent to it, or the data are inconclusive.

    RUN is a run directory, or a table of scores per item that another tool wrote (CSV, TSV, Excel, JSON, JSON Lines,
    YAML, Parquet), of one method or of several; NAME=RUN gives the method another name. A run directory may be a URL.
    Or it is a table of votes between two edits of an item: votes.jsonl, or what an arena wrote.
    """
    if to is not None and output.as_json:
        raise click.UsageError("--export and --json both take standard output: choose one.")
    settings |= {"metrics": names_in(metrics), "primary": names_in(primary), "margins": margins_in(margins)}
    if are_votes(runs, mapped):
        settings |= {"groups": groups, "figures": figures, "report": report}
        compare_by_votes(runs, vote_columns(mapped, columns), details=details, to=to, output=output, **settings)
        return
    settings |= {"human": human, "human_column": human_column, "human_columns": human_columns}
    comparison = _compared(runs, higher_is_better, lower_is_better, output, columns=columns, groups=groups, **settings)
    output.json(comparison.to_dict())
    if to is None:
        show(comparison, output, details=details, signatures=signatures, rest="" if details else REST)
    else:
        output.line(_exported(comparison, to))
    write(comparison, figures, report, output, all_figures=all_figures)


def _compared(
    runs: tuple[str, ...],
    higher_is_better: tuple[str, ...],
    lower_is_better: tuple[str, ...],
    output: Output,
    *,
    edits: tuple[str, ...],
    **settings: Any,  # noqa: ANN401 - handed on to the library as they are
) -> "Comparison":
    if edits:
        raise click.UsageError("--edits says where the edits of votes are; runs know their own: leave it out.")
    from evalkit.comparison.compare import compare

    return compare(
        runs_from(runs, output),
        higher_is_better=names_in(",".join(higher_is_better)),
        lower_is_better=names_in(",".join(lower_is_better)),
        **settings,
    )


def _exported(comparison: "Comparison", to: ExportFormat) -> str:
    from evalkit.comparison.tables.export import export

    return export(comparison, to).rstrip("\n")


def write(
    comparison: "Comparison", figures: Path | None, report: Path | None, output: Output, *, all_figures: bool = False
) -> None:
    """The figures and the page, where they were asked for."""
    try:
        if figures is not None:
            from evalkit.report.figures.write import draw_figures, write_figures

            files = write_figures(draw_figures(comparison, everything=all_figures), figures)
            shown = f", shown in {files[-1]}" if files else ""
            output.note(f"Wrote {len(files)} files to {figures}{shown}" if files else "There was nothing to draw.")
        if report is not None:
            from evalkit.report.page.render import write_page

            write_page(comparison, report)
            output.note(f"Wrote {report}")
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or figures or report} cannot be written: {failure.strerror}. "
            "Write elsewhere: --figures DIR, --report FILE.html"
        ) from failure


def show(
    comparison: "Comparison",
    output: Output,
    *,
    details: bool = False,
    signatures: "SignatureLength" = "short",
    rest: str = "",
) -> None:
    """The table of means, what was found on primary metrics, with details every pair, and what must stand below.

    Args:
        comparison: What was found.
        output: Where it is shown.
        details: Whether every pair, its sentence and all notes are shown, too.
        signatures: One line for all metrics, or the signature of each.
        rest: Where all is that is not shown.
    """
    from evalkit.comparison.statements.rankings import key_sentences
    from evalkit.comparison.tables.labels import LABELS_SHOWN, labels_tables
    from evalkit.comparison.tables.text import all_notes, means_table, shown_notes, signatures_of

    output.table(means_table(comparison))
    for sentence in key_sentences(comparison):
        output.text(sentence)
    output.line()
    for table in labels_tables(comparison, None if details else LABELS_SHOWN):
        output.table(table)
    _show_edit_types(comparison, output, details=details)
    if details:
        _show_pairs(comparison, output)
    for note in all_notes(comparison) if details else shown_notes(comparison):
        output.text(f"  {note}", indent="    ")
    for line in signatures_of(comparison, signatures):
        output.line(f"  {line}")
    if rest:
        output.text(rest)


def _show_edit_types(comparison: "Comparison", output: Output, *, details: bool) -> None:
    """A table per primary metric, with details of every metric, where edit types were asked for."""
    from evalkit.comparison.tables.edit_types import edit_type_notes, edit_type_tables, primary_edit_types

    shown = comparison if details else primary_edit_types(comparison)
    for table in edit_type_tables(shown):
        output.table(table)
    for note in edit_type_notes(shown):
        output.text(note)
        output.line()


def _show_pairs(comparison: "Comparison", output: Output) -> None:
    """The sentences to paste into a paper, and the pairs metric by metric."""
    from evalkit.comparison.tables.text import PAIRS_SHOWN, omitted_pairs, pairs_tables, verdict_sentences

    for sentence in verdict_sentences(comparison):
        output.text(f"  {sentence}", indent="    ")
    output.line()
    for table in pairs_tables(comparison, PAIRS_SHOWN):
        output.table(table)
    for note in omitted_pairs(comparison):
        output.text(f"  {note}", indent="    ")


def margins_in(given: tuple[str, ...]) -> dict[str, float]:
    """The margins of options ``METRIC=X``."""
    margins = {}
    for text in given:
        metric, _, value = text.rpartition("=")
        try:
            margins[metric] = float(value)
        except ValueError:
            metric = ""
        if not metric:
            raise click.BadParameter(f"expected METRIC=NUMBER, got '{text}'.", param_hint="--margin")
    return margins
