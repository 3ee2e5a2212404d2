"""``evalkit submit VOTES``: the votes of a study go on the board that its methods stand on."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from evalkit.cli.output import Output
from evalkit.formatting import counted

if TYPE_CHECKING:
    from evalkit.leaderboard.votes import CollectedStudy, SubmittedVotes

_OF_EDITS = ("metrics", "judge_spec", "data", "device")
"""Options that say nothing about votes."""


def submit_votes(votes: Path, card: Path, study: Path | None, root: Path, output: Output) -> None:
    """Put the votes of a study on their board.

    Raises:
        UsageError: An option was given that is about edits.
    """
    from evalkit.leaderboard.store import Leaderboard
    from evalkit.leaderboard.votes import submit_votes
    from evalkit.votes.judged import words_file
    from evalkit.voting.files import STUDY
    from evalkit.voting.study import study_file, votes_of_study

    context = click.get_current_context()
    for name in _OF_EDITS:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.removesuffix('_spec')} says nothing about votes: leave it out.")
    beside = [study] if study else [study_file(votes), votes.with_name(STUDY)]
    path = next((path for path in beside if path.is_file()), beside[0])
    words = [words_file(each) for each in (votes, votes_of_study(path))]
    kept = next((each for each in words if each.is_file()), None)
    _show(submit_votes(votes, card, collected_by(path), Leaderboard(root), words=kept), output)


def collected_by(path: Path) -> "CollectedStudy":
    """What the record of a study says, as far as a board needs it."""
    from evalkit.leaderboard.votes import CollectedStudy
    from evalkit.storage.documents import MAX_JSON_BYTES
    from evalkit.storage.files import read_regular
    from evalkit.voting.study import read_study

    study = read_study(path)
    return CollectedStudy(
        id=study.id,
        question=study.question,
        methods=study.methods,
        votes=study.votes,
        checks=study.checks,
        plan_sha256=hashlib.sha256(read_regular(path, limit=MAX_JSON_BYTES)).hexdigest(),
        shown={name: frozenset(ballot.asked for ballot in ballots) for name, ballots in study.raters.items()},
        judges=study.judges,
    )


def _show(submitted: "SubmittedVotes", output: Output) -> None:
    """What was written, who is not among it, and how it is proposed."""
    n_raters = len({vote.rater for vote in submitted.votes.votes})
    found, place, judge = submitted.votes, submitted.votes.path, submitted.votes.record.judge
    commands = [
        f"git switch -c votes-{found.record.name}",
        f"git add {place}",
        f'git commit -m "Votes {found.record.name} under {found.record.protocol}"',
    ]
    output.json(
        {
            "votes": str(place),
            "protocol": found.record.protocol,
            "n_votes": len(found.votes),
            "n_raters": n_raters,
            "left_out": list(submitted.left_out),
            "judges": [judge.judge] if judge else [],
            "signature": found.identity,
            "commands": commands,
        }
    )
    who = f"the judge {judge.judge}" if judge else counted(n_raters, "rater")
    output.line(f"{counted(len(found.votes), 'vote')} of {who}")
    if found.identity:
        output.text(f"Its signature: {found.identity}", indent="  ")
    for name in submitted.left_out:
        output.text(f"{name} failed most attention checks: left out.", indent="  ")
    output.line(f"Wrote {place}")
    output.line("Check it: evalkit leaderboard verify")
    output.line("Then propose it:")
    for command in commands:
        output.line(f"  {command}")
