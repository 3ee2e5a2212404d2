"""``evalkit compare VOTES``: methods by votes, where the sources are tables of these."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from evalkit.cli.output import Output
from evalkit.errors import OptionError
from evalkit.tables import ExportFormat

if TYPE_CHECKING:
    from evalkit.comparison.votes.records import VoteComparison
    from evalkit.scores.columns import ColumnNames
    from evalkit.votes.columns import VoteColumns

MAP_HELP = (
    "Of votes a column by its heading, such as winner=HEADING, of item, a, b, winner, rater, group, edit_type, "
    "criterion and first."
)
REST = "Every pair, its sentence, and every rater: --details, --export md, or --report FILE.html"
_ABOUT_SCORES = ("test", "higher_is_better", "lower_is_better", "method_column", "method_columns", "metric_column",
                 "value_column", "items_are", "signatures", "all_figures", "human",
                 "human_column")  # fmt: skip
"""Options that say nothing about votes."""


def are_votes(sources: Sequence[str], mapped: Sequence[str]) -> bool:
    """Whether all sources are tables of votes.

    Raises:
        OptionError: Some are, and some are not.
    """
    from evalkit.votes.read import holds_votes

    found = [bool(mapped) or holds_votes(Path(source)) for source in sources]
    if any(found) and not all(found):
        votes, other = sources[found.index(True)], sources[found.index(False)]
        raise OptionError(
            f"{votes} holds votes, and {other} does not: votes are compared by themselves: evalkit compare {votes}"
        )
    return all(found)


def vote_columns(mapped: Sequence[str], columns: "ColumnNames") -> "VoteColumns":
    """The columns that were named, with ``--map`` or with the options of other tables.

    Raises:
        OptionError: A part is none, or is given twice.
    """
    from evalkit.votes.columns import VoteColumns

    found = VoteColumns.of(mapped)
    return replace(
        found,
        item=found.item or columns.item,
        seed=found.seed or columns.seed,
        group=found.group or columns.group,
    )


def compare_by_votes(
    sources: Sequence[str],
    columns: "VoteColumns",
    *,
    details: bool,
    to: ExportFormat | None,
    report: Path | None,
    figures: Path | None,
    edits: Sequence[str],
    output: Output,
    **settings: Any,  # noqa: ANN401 - handed on to the library as they are
) -> None:
    """Compare, show and write.

    Raises:
        OptionError: An option was given that says nothing about votes, or the page cannot be written.
        EvalkitError: A run of edits cannot be opened.
    """
    from evalkit.comparison.votes.compare import compare_votes

    context = click.get_current_context()
    options = {str(option.name): option.opts[-1] for option in context.command.params}
    for name in _ABOUT_SCORES:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise OptionError(f"{options[name]} says nothing about votes: leave it out.")
    if edits and report is None:
        raise OptionError("--edits is for the gallery of a page: say where that is written, --report FILE.html")
    comparison = compare_votes(*sources, columns=columns, **settings)
    output.json(comparison.to_dict())
    if to is None:
        show_votes(comparison, output, details=details)
    else:
        texts = {"md": comparison.to_markdown, "latex": comparison.to_latex, "csv": comparison.to_csv}
        output.line(texts[to]().rstrip("\n"))
    _write(comparison, columns, figures, report, edits, output)


def _write(
    comparison: "VoteComparison",
    columns: "VoteColumns",
    figures: Path | None,
    report: Path | None,
    edits: Sequence[str],
    output: Output,
) -> None:
    """The figures and the page, where they were asked for."""
    try:
        if figures is not None:
            from evalkit.report.figures.votes import draw_votes
            from evalkit.report.figures.write import write_figures

            output.note(f"Wrote {len(write_figures(draw_votes(comparison), figures))} files to {figures}")
        if report is not None:
            from evalkit.report.page.votes import write_votes_page
            from evalkit.voting.gallery import find_gallery

            write_votes_page(comparison, report, find_gallery(comparison, columns, edits))
            output.note(f"Wrote {report}")
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or figures or report} cannot be written: {failure.strerror}. Write elsewhere: "
            "--figures DIR, --report FILE.html"
        ) from failure


def show_votes(comparison: "VoteComparison", output: Output, *, details: bool = False) -> None:
    """The table of abilities, what was found, and notes; with details every pair and rater, too.

    Args:
        comparison: What was found.
        output: Where it is shown.
        details: Whether all is shown.
    """
    from evalkit.comparison.votes.shown import shown_briefly, shown_in_full

    shown = (shown_in_full if details else shown_briefly)(comparison)
    output.table(shown.tables[0])
    for sentence in shown.answer:
        output.text(sentence)
    output.line()
    for table in shown.tables[1:]:
        output.table(table)
    for note in shown.notes:
        output.text(f"  {note}", indent="    ")
    if not details:
        output.text(REST)
