"""``evalkit leaderboard``: checks of all entries, and the static site."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitGroup
from evalkit.cli.command_lines import command_line
from evalkit.cli.completion import completed
from evalkit.cli.output import ExitCode, Output, output_options
from evalkit.cli.submit import DIRECTORY, board_option
from evalkit.errors import OptionError
from evalkit.formatting import counted, format_percent

if TYPE_CHECKING:
    from evalkit.leaderboard.fill import Filled
    from evalkit.leaderboard.records import AnomalyCheck
    from evalkit.leaderboard.site.build import Built
    from evalkit.leaderboard.verify import EntryProblem, Verified

SITE = Path("build/site")
ROOT = board_option("Where the entries are.")


@click.group(cls=EvalkitGroup)
def leaderboard() -> None:
    """Check, complete and show the leaderboard's entries."""


@leaderboard.command(examples=["evalkit leaderboard verify --base origin/main"])
@ROOT
@click.option("--base", metavar="REF", help="Branch with what is published, which must not have changed.")
@click.option("--maintainer", is_flag=True, help="With --base: verifications, cards and pictures may change.")
@output_options
def verify(*, root: Path, base: str | None, maintainer: bool, output: Output) -> None:
    """Check every entry, and with --base all that is published.

    Schema, digests, coverage, values, means and duplicates are checked. No image is opened, no model is loaded, and
    nothing that a submitter wrote is run.
    """
    from evalkit.leaderboard.published import published_problems
    from evalkit.leaderboard.store import Leaderboard
    from evalkit.leaderboard.verify import verify

    board = Leaderboard(root)
    verified = verify(board)
    problems = list(verified.problems)
    if base is not None:
        problems += published_problems(board, base, maintainer=maintainer)
    output.json(
        {
            "entries": {entry.name: entry.level for entry in verified.entries},
            "problems": [asdict(problem) for problem in problems],
            "screens": {name: [check.model_dump() for check in checks] for name, checks in verified.anomalies.items()},
        }
    )
    show_verified(verified, problems, output)
    if problems:
        sys.exit(ExitCode.PROBLEMS)


@leaderboard.command(examples=["evalkit leaderboard fill tedbench/v1"])
@click.argument("protocol", required=False, shell_complete=completed("protocols"))
@click.option("--data", type=DIRECTORY, help="A copy of the benchmark's files, and of what was published on it.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@ROOT
@output_options
def fill(*, protocol: str | None, root: Path, data: Path | None, device: str, output: Output) -> None:
    """Score what entries of PROTOCOL, or of all boards, await.

    Controls are made anew, what a method's authors published and the encoder's weights are downloaded. Edits must have
    the digests of their entry, and nothing that is published changes.
    """
    from evalkit.leaderboard.fill import fill
    from evalkit.leaderboard.store import Leaderboard

    with output.progress() as progress:
        found = fill(Leaderboard(root), protocol, data=data, device=device, progress=progress)
    output.json(
        {
            "filled": {
                entry.name: {name: summary.mean for name, summary in entry.metrics.items()} for entry in found.filled
            },
            "awaiting": found.awaiting,
            "problems": [asdict(problem) for problem in found.problems],
        }
    )
    show_filled(found, output)
    if found.problems:
        sys.exit(ExitCode.PROBLEMS)


@leaderboard.command(examples=["evalkit leaderboard rescore shapes/v2/my_method --outputs FOLDER"])
@click.argument("entry", metavar="PROTOCOL/METHOD")
@click.option("--outputs", type=DIRECTORY, required=True, help="The edits that were submitted.")
@click.option("--reproduction", type=DIRECTORY, help="Edits made anew with the method, of a fifth of the groups.")
@click.option("--second-encoder", metavar="SPEC", help="Another encoder, for the check that asks it as well.")
@click.option("--data", type=DIRECTORY, help="A copy of the benchmark's files.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@ROOT
@output_options
def rescore(entry: str, *, outputs: Path, root: Path, output: Output, **options: Any) -> None:  # noqa: ANN401
    """Verify an entry from its images, as maintainers do."""
    from evalkit.leaderboard.records_io import write_json
    from evalkit.leaderboard.rescore import rescore
    from evalkit.leaderboard.store import VERIFICATION_FILE, Leaderboard
    from evalkit.tables.table import TextTable

    board = Leaderboard(root)
    found = board.find(entry)
    with output.progress() as progress:
        verification = rescore(found, outputs, board, progress=progress, **options)
    write_json(found.path / VERIFICATION_FILE, verification)
    output.json(verification.model_dump(mode="json"))
    output.line(f"{entry}: {verification.level.replace('_', '-')}")
    rows = tuple(
        (name, f"{difference:.2g}", f"{verification.tolerances[name]:g}")
        for name, difference in verification.differences.items()
    )
    output.table(TextTable(title="", header=("metric", "largest difference", "tolerance"), rows=rows))
    for check in verification.screens:
        output.text(f"{'For a look: ' if check.flagged else ''}{_flag(check)}", indent="  ")
    output.line(f"Wrote {found.path / VERIFICATION_FILE}")


@leaderboard.command(examples=["evalkit leaderboard build --output build/site"])
@ROOT
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    default=SITE,
    help="Where the site is written.",
)
@output_options
def build(*, root: Path, target: Path, output: Output) -> None:
    """Write the static site of all boards."""
    from evalkit.leaderboard.site.build import build
    from evalkit.leaderboard.store import Leaderboard

    try:
        built = build(Leaderboard(root), target)
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or target} cannot be written: {failure.strerror}. Name another place: --output DIR"
        ) from failure
    output.json(
        {
            "output": str(built.output),
            "pages": built.n_pages,
            "bytes": built.n_bytes,
            "boards": list(built.boards),
        }
    )
    show_built(built, output)


@leaderboard.command(examples=["evalkit leaderboard serve build/site"])
@click.argument("site", type=click.Path(file_okay=False, path_type=Path), default=SITE)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0: any that is free.")
@output_options
def serve(*, site: Path, port: int, output: Output) -> None:
    """Show a built site on this machine, until Ctrl-C.

    SITE is the folder that build wrote, build/site by default.
    """
    from evalkit.leaderboard.site.serve import site_server

    if not (site / "index.html").is_file():
        raise OptionError(
            f"{site} holds no site: expected index.html. Build it: {command_line('leaderboard', 'build', '-o', site)}"
        )
    server = site_server(site, port)
    with server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        output.json({"address": address})
        output.line(f"{site} is shown at {address}; end with Ctrl-C.")
        server.serve_forever()


@leaderboard.command(
    examples=[
        "evalkit leaderboard export shapes/v2/my_method --dataset-id you/shapes --url https://you.example --output hub"
    ]
)
@click.argument("entry", metavar="PROTOCOL/METHOD")
@click.option("--dataset-id", required=True, help="The benchmark's data set on the Hub, NAMESPACE/NAME.")
@click.option("--url", required=True, help="Where the entry can be seen: its page on the site.")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the files are written.",
)
@ROOT
@output_options
def export(*, entry: str, dataset_id: str, url: str, target: Path, root: Path, output: Output) -> None:
    """Write an entry as the Hub and Every Eval Ever read it."""
    from evalkit.leaderboard.hub_formats import write_formats
    from evalkit.leaderboard.store import Leaderboard

    written = write_formats(Leaderboard(root).find(entry), target, dataset_id, url)
    output.json({"written": [str(path) for path in written]})
    for path in written:
        output.line(f"Wrote {path}")


@leaderboard.command(examples=["evalkit leaderboard schema"])
@ROOT
@output_options
def schema(*, root: Path, output: Output) -> None:
    """Write the JSON Schema of every record."""
    from evalkit.leaderboard.records_io import write_text
    from evalkit.leaderboard.store import schemas

    for name, text in schemas().items():
        write_text(root / "schema" / name, text)
    output.json({"written": [str(root / "schema" / name) for name in schemas()]})
    output.line(f"Wrote {len(schemas())} schemas to {root / 'schema'}")


def show_verified(verified: "Verified", problems: "Sequence[EntryProblem]", output: Output) -> None:
    """Says what was found, what is wrong, and what asks for a look."""
    levels = Counter(entry.level.replace("_", "-") for entry in verified.entries)
    found = ", ".join(f"{count:,} {level}" for level, count in levels.items())
    checked = counted(len(verified.entries), "entry", "entries")
    output.text(f"{checked}{f' ({found})' if found else ''}, {counted(len(problems), 'problem')}", indent="  ")
    _show(problems, output)
    for name, checks in verified.anomalies.items():
        for check in checks:
            if check.flagged:
                output.text(f"For a look: {name}: {_flag(check)}", indent="  ")


def show_filled(found: "Filled", output: Output) -> None:
    """Says what was added, what is wrong, and who must add the rest."""
    from evalkit.scores.tables import runs_table

    output.line(f"{counted(len(found.filled), 'entry', 'entries')} filled, {counted(len(found.problems), 'problem')}")
    _show(found.problems, output)
    for name, metrics in found.awaiting.items():
        output.text(f"{name} awaits {', '.join(metrics)}: only its submitter has the edits.", indent="  ")
    for name in dict.fromkeys(entry.record.protocol for entry in found.filled):
        of_board = {entry.method: entry.run.record for entry in found.filled if entry.record.protocol == name}
        output.line()
        output.table(runs_table(of_board, title=name))
    if found.filled:
        output.line("Check it: evalkit leaderboard verify")
    elif not (found.awaiting or found.problems):
        output.line("No entry awaits a metric.")


def show_built(built: "Built", output: Output) -> None:
    """Says where the site is, and how to see it."""
    output.line(f"Wrote {built.n_pages} pages, {built.n_bytes / 1e6:.1f} MB, to {built.output}")
    output.line(f"Look at it: {command_line('leaderboard', 'serve', built.output)}")


def _show(problems: "Sequence[EntryProblem]", output: Output) -> None:
    from evalkit.leaderboard.verify import CODES

    for problem in problems:
        output.text(f"{problem.code} in {problem.where}: {CODES[problem.code]}: {problem.message}", indent="  ")


def _flag(check: "AnomalyCheck") -> str:
    share = "" if check.value is None else f"{format_percent(float(f'{check.value:.3g}'))} "
    return f"{check.name}: {share}{check.note}"
