"""``evalkit vote``: a study in which people choose between edits, from the page that they see to its votes."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitGroup
from evalkit.cli.command_lines import command_line
from evalkit.cli.compare_votes import MAP_HELP
from evalkit.cli.completion import completed
from evalkit.cli.inputs import runs_from
from evalkit.cli.output import ExitCode, Output, output_options
from evalkit.errors import DataError, EvalkitError, OptionError
from evalkit.formatting import counted, listed

if TYPE_CHECKING:
    from evalkit.votes.records import Vote
    from evalkit.voting.edits import VotedEdits
    from evalkit.voting.files import MergedVotes
    from evalkit.voting.session import Session
    from evalkit.voting.study import Study


class VoteGroup(EvalkitGroup):
    """A group whose command ``page`` needs not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes what was typed; what names no command are runs."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["page", *args]
        return super().parse_args(ctx, args)


@click.group(cls=VoteGroup)
def vote() -> None:
    """Let people choose between edits, and collect their votes.

    evalkit vote RUN RUN… is short for evalkit vote page RUN RUN…
    """


_RUNS = click.argument("runs", shell_complete=completed("runs"), nargs=-1, required=True, metavar="RUN...")
_OUTPUT = click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), default="votes.jsonl", metavar="FILE",
    help="Where the votes are written.",
)  # fmt: skip
_DESIGN = (
    click.option("--votes", type=click.IntRange(min=1), default=50, help="Pairs that each rater is shown."),
    click.option(
        "--checks", type=click.IntRange(min=0), help="Attention checks among them.  [default: one with ten pairs]"
    ),
    click.option("--question", metavar="TEXT", help="What raters are asked."),
    click.option("--seed", type=click.IntRange(min=0), default=0, help="Of every lot."),
)


def design_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators
    """Adds the options that say what raters are shown."""
    for option in reversed(_DESIGN):
        command = option(command)
    return command


@vote.command(examples=["evalkit vote page runs/ours runs/baseline --output people.jsonl"])
@_RUNS
@design_options
@_OUTPUT
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0: any that is free.")
@output_options
def page(runs: tuple[str, ...], *, target: Path, port: int, output: Output, **design: Any) -> None:  # noqa: ANN401
    """Show a page on this machine on which raters vote, until Ctrl-C.

    RUN is a run directory, or a folder of edits; NAME=RUN gives its method another name. Given again, the command goes
    on with the same study. Raters are shown no name of a method; nothing leaves this machine.
    """
    from evalkit.voting.edits import open_methods
    from evalkit.voting.serve import token_of, vote_server
    from evalkit.voting.session import open_session

    edits = open_methods(runs_from(runs, output))
    with open_session(target, edits, _study(edits, **design)) as session:
        server = vote_server(session, token_of(session.study), port)
        with server:
            _announce(session, f"http://127.0.0.1:{server.server_address[1]}/{token_of(session.study)}/", output)
            _until_interrupted(server.serve_forever)
        _conclude(session, output)


@vote.command(examples=["evalkit vote write runs/ours runs/baseline --raters 5 --output study"])
@_RUNS
@click.option("--raters", type=click.IntRange(min=1), default=1, help="Pages, each with a sample of its own.")
@design_options
@click.option(
    "-o", "--output", "target", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="Where the pages are written.",
)  # fmt: skip
@output_options
def write(runs: tuple[str, ...], *, raters: int, target: Path, output: Output, **design: Any) -> None:  # noqa: ANN401
    """Write a page for each rater, to be opened without a server.

    A page is one file with its pictures; it names no method. Its rater saves the answers as a file and sends that;
    evalkit vote merge makes votes of them, by the record study.json that is written beside the pages.
    """
    from evalkit.voting.edits import open_methods
    from evalkit.voting.files import STUDY, write_pages

    edits = open_methods(runs_from(runs, output))
    study = _study(edits, **design)
    pages = write_pages(target, edits, study, raters)
    _remark(study, output)
    output.json({"pages": [str(path) for path in pages], "study": str(target / STUDY), "missing": study.missing})
    size = sum(path.stat().st_size for path in pages) / 1e6
    output.line(f"Wrote {counted(len(pages), 'page')}, {size:.1f} MB, and {target / STUDY}, which stays with you.")
    output.line(f"Then: {command_line('vote', 'merge', '--study', target / STUDY)} ANSWERS… --output votes.jsonl")


@vote.command(examples=["evalkit vote merge votes_a.jsonl votes_b.jsonl --output all_votes.jsonl"])
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--study", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The record of the pages that were answered.  [default: study.json beside the answers]",
)  # fmt: skip
@click.option("--rater", "only", metavar="NAME", multiple=True, help="Votes of this rater, and of no other.")
@click.option("--without", metavar="NAME", multiple=True, help="No votes of this rater.")
@click.option("--map", "mapped", metavar="PART=HEADING", multiple=True, help=MAP_HELP)
@_OUTPUT
@output_options
def merge(
    files: tuple[Path, ...],
    *,
    study: Path | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    mapped: tuple[str, ...],
    target: Path,
    output: Output,
) -> None:
    """Join what raters sent, and files of votes.

    A vote that comes again counts once. Where a rater answered the same in two ways, neither counts, each case is
    named, and the exit code is 3. With --rater or --without a file is divided, such as people from a judge. A file
    whose votes would be lost is not written over.
    """
    from evalkit.votes.columns import VoteColumns
    from evalkit.votes.records import write_votes
    from evalkit.voting.files import merge_votes, refuse_loss

    if any(target.exists() and target.samefile(file) for file in files):
        raise OptionError(
            f"{target} is one of the files that are merged, and would be written over. Name another: --output FILE"
        )
    merged = merge_votes(files, study, VoteColumns.of(mapped), only=only, without=without)
    if not merged.votes:
        why = f"all are in conflict, such as: {merged.conflicts[0]}" if merged.conflicts else "nobody has answered yet"
        raise DataError(f"No vote is left of {listed([str(file) for file in files])}, and nothing is written: {why}.")
    refuse_loss(target, merged)
    write_votes(target, merged.votes)
    _show_merged(merged, target, output)
    if merged.conflicts:
        sys.exit(ExitCode.PROBLEMS)


def _show_merged(merged: "MergedVotes", target: Path, output: Output) -> None:
    """Says whose votes were written, what came again, and what is in conflict."""
    from evalkit.votes.joined import about_repeats

    n_raters = len({vote.rater for vote in merged.votes if vote.rater})
    output.json(
        {
            "votes": str(target),
            "n_votes": len(merged.votes),
            "n_raters": n_raters,
            "n_duplicates": merged.n_duplicates,
            "conflicts": list(merged.conflicts),
            "notes": list(merged.notes),
        }
    )
    for note in merged.notes:
        output.note(note)
    output.line(f"{counted(len(merged.votes), 'vote')}{_by_whom(merged.votes)}")
    if merged.n_duplicates:
        output.text(about_repeats(merged.n_duplicates))
    output.first([f"{conflict}: neither counts" for conflict in merged.conflicts], 5, indent=2)
    output.line(f"Wrote {target}")
    output.line(f"Compare the methods: {command_line('compare', target)}")


def _by_whom(votes: "Sequence[Vote]") -> str:
    """Whose votes they are, as far as that is known."""
    known = [vote.rater for vote in votes if vote.rater]
    raters, n_unknown = counted(len({*known}), "rater"), len(votes) - len(known)
    if not known:
        return ", raters unknown"
    return f": {len(known):,} of {raters}, {n_unknown:,} of raters unknown" if n_unknown else f" of {raters}"


@vote.command(
    examples=[
        "evalkit vote judge runs/ours runs/baseline --judge judge:http://localhost:8000/v1/MODEL --output judged.jsonl"
    ]
)
@_RUNS
@click.option(
    "--judge", "spec", metavar="SPEC", required=True,
    help="Who votes: judge:http://HOST:PORT/v1/MODEL, an OpenAI-compatible endpoint, or judge:transformers:DIR.",
)  # fmt: skip
@design_options
@click.option("--budget", metavar="AMOUNT", help="Stop before more is spent: 2.50, 100000tokens or 50answers.")
@click.option("--concurrency", type=click.IntRange(1, 1024), default=8, help="Questions at the same time.")
@click.option("--judge-set", "settings", metavar="NAME=VALUE", multiple=True, help="A setting of the judge.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@_OUTPUT
@output_options
def judge(
    runs: tuple[str, ...],
    *,
    spec: str,
    budget: str | None,
    concurrency: int,
    settings: tuple[str, ...],
    device: str,
    target: Path,
    output: Output,
    **design: Any,  # noqa: ANN401 - click passes options
) -> None:
    """Let a model vote that looks at pictures, on a sample as people have.

    It takes part under its own name, beside people in the same file or alone. What it says is kept word for word; an
    answer that names no choice is no vote. Given again, the command asks about what was not answered; it ends when a
    --budget is spent.
    """
    from evalkit.cli.judging import options_of
    from evalkit.judges.open import open_judge
    from evalkit.scoring.resources import open_resources
    from evalkit.votes.judged import words_file
    from evalkit.voting.edits import open_methods
    from evalkit.voting.judging import judge_ballots
    from evalkit.voting.session import open_session

    options = options_of(spec, {"budget": budget, "concurrency": concurrency, "judge_settings": settings})
    edits = open_methods(runs_from(runs, output))
    asked = open_judge(spec, options.settings, device=device)
    session_of_study = open_session(target, edits, _study(edits, **design))
    with session_of_study as session, open_resources(cached=True) as shared:
        _remark(session.study, output)
        for problem in shared.problems:
            output.note(problem.message)
        with output.progress() as progress:
            judged = judge_ballots(session, asked, options, shared.cache, progress=progress)
        output.json({"votes": str(target), "rater": asked.label, "words": str(words_file(target)), **asdict(judged)})
        before = f", {judged.n_before:,} before" if judged.n_before else ""
        output.line(f"{asked.label}: {counted(judged.n_votes, 'vote')}{before}; its words are in {words_file(target)}")
    if judged.not_read:
        output.text(f"No vote, because it names no choice: {counted(judged.not_read, 'answer')}.")
    if judged.failure:
        output.text(f"{counted(judged.failed, 'ballot')} could not be asked about: {judged.failure}")
    if judged.not_read or judged.failure:
        sys.exit(ExitCode.PROBLEMS)


def _study(edits: "VotedEdits", *, question: str | None, **design: Any) -> "Study":  # noqa: ANN401 - options
    from evalkit.judges.pairs import QUESTION
    from evalkit.voting.study import new_study

    return new_study(edits, question=question or QUESTION, **design)


def _announce(session: "Session", address: str, output: Output) -> None:
    """Says what is shown, and where."""
    study = session.study
    _remark(study, output)
    each = f"{counted(study.votes, 'pair')} and {counted(study.checks, 'attention check')}"
    output.note(f"Each rater is shown {each} of {counted(study.n_items, 'item')}. Votes go to {session.path}")
    output.note(f"Raters vote at {address} until you press Ctrl-C.")


def _remark(study: "Study", output: Output) -> None:
    """Says what raters are not shown."""
    for name, items in study.missing.items():
        output.note(f"{name} has no edit of {counted(len(items), 'item')} ({listed(items)}): nobody votes on these.")
    if not study.checks:
        output.note("There are no attention checks: raters who answer at random are known by their votes alone.")


def _until_interrupted(serve: Callable[[], None]) -> None:
    try:
        serve()
    except KeyboardInterrupt:
        return


def _conclude(session: "Session", output: Output) -> None:
    """Says who answered how much, and what the votes say of the methods."""
    from evalkit.cli.compare_votes import show_votes
    from evalkit.comparison.votes.compare import compare_votes
    from evalkit.voting.study import study_file

    progress = session.progress()
    comparison, reason = None, "Nobody has voted yet; the same command goes on."
    if session.votes:
        try:
            comparison, reason = compare_votes(session.path), ""
        except EvalkitError as failure:  # too few votes to compare anything; they are kept
            reason = str(failure)
    output.json(
        {
            "votes": str(session.path),
            "study": str(study_file(session.path)),
            "n_votes": len(session.votes),
            "raters": {name: {"answered": done, "ballots": of} for name, (done, of) in progress.items()},
            "comparison": comparison.to_dict() if comparison else None,
        }
    )
    for name, (done, of) in progress.items():
        output.line(f"{name}: {done} of {of} answered")
    if comparison:
        output.line()
        show_votes(comparison, output)
        output.line(f"The same again: {command_line('compare', session.path)}")
    else:
        output.text(reason)
