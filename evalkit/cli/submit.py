"""``evalkit submit``: a folder of edits becomes an entry of the leaderboard."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.completion import completed
from evalkit.cli.judging import judge_options
from evalkit.cli.output import Output, names_in, output_options

if TYPE_CHECKING:
    from evalkit.judges.asking import JudgeOptions
    from evalkit.leaderboard.submit import Submitted

LEADERBOARD = Path("leaderboard")
"""Where a checkout of evalkit has it."""
DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


def checkout(_: click.Context, __: click.Parameter, root: Path) -> Path:
    """The leaderboard's directory.

    Raises:
        UsageError: It is not there.
    """
    if not root.is_dir():
        raise click.UsageError(
            f"There is no directory {root}: entries lie in evalkit's repository. Type this in a checkout of it, or "
            "name one: --leaderboard DIR"
        )
    return root


def board_option(text: str) -> Callable[[Any], Any]:
    """The option that says where the leaderboard is."""
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("--leaderboard", "root", type=kind, default=LEADERBOARD, callback=checkout, help=text)


@click.command(
    cls=EvalkitCommand,
    examples=["evalkit submit FOLDER --card my_method.yaml", "evalkit submit votes.jsonl --card votes.yaml"],
)
@click.argument("edits", metavar="FOLDER|VOTES", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--card",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The YAML file that describes the method and its edits, or the votes.",
)
@click.option(
    "-m",
    "--metrics",
    metavar="A,B",
    shell_complete=completed("metrics"),
    help="Some of the protocol's metrics.  [default: all]",
)
@click.option("--data", type=DIRECTORY, help="A copy of the benchmark's files.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@judge_options
@click.option(
    "--study",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of votes the record of their study.  [default: the one beside them]",
)
@board_option("Where the entry goes.")
@output_options
def submit(
    edits: Path,
    *,
    card: Path,
    metrics: str | None,
    judge: "JudgeOptions | None",
    study: Path | None,
    data: Path | None,
    device: str,
    root: Path,
    output: Output,
) -> None:
    """Score the edits in FOLDER, and write a leaderboard entry.

    The card says which protocol, who, and how the edits were made; `evalkit guide leaderboard` explains every field.
    With --judge what a judge says of every edit is added to the entry, word for word. VOTES, which evalkit vote wrote,
    go on the board between whose entries they are.
    """
    if edits.is_file():
        from evalkit.cli.submit_votes import submit_votes

        submit_votes(edits, card, study, root, output)
        return
    if study:
        raise click.UsageError("--study goes with a file of votes.")
    from evalkit.leaderboard.store import Leaderboard
    from evalkit.leaderboard.submit import submit

    with output.progress() as progress:
        submitted = submit(
            edits,
            card,
            Leaderboard(root),
            metrics=names_in(metrics),
            judge=judge,
            data=data,
            device=device,
            progress=progress,
        )
    _show(submitted, output)


def _show(submitted: "Submitted", output: Output) -> None:
    """What was written, and how it is proposed."""
    from evalkit.leaderboard.submit import git_commands
    from evalkit.scores.tables import run_table

    entry, judged = submitted.entry, submitted.judged
    output.json(
        {
            "entry": str(entry.path),
            "card": str(submitted.card),
            "protocol": entry.record.protocol,
            "method": entry.method,
            "metrics": {name: summary.mean for name, summary in entry.metrics.items()},
            "awaiting": list(entry.awaiting),
            "judged": judged and {"judge": judged.identity, "metrics": {n: m.mean for n, m in judged.metrics.items()}},
            "commands": git_commands(submitted),
        }
    )
    output.table(run_table(entry.run.record))
    if judged:
        output.table(run_table(judged.run.record))
    output.line(f"Wrote {judged.path if judged else entry.path}")
    if entry.awaiting:
        output.text(f"Not scored yet: {', '.join(entry.awaiting)}. The same command without --metrics adds them.")
    output.line("Check it: evalkit leaderboard verify")
    output.line("Then propose it:")
    for command in git_commands(submitted):
        output.line(f"  {command}")
