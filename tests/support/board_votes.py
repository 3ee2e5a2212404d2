"""Votes between entries of the small board: a study of simulated raters, and what becomes of it."""

import numpy as np
import yaml
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.cli.submit_votes import collected_by
from evalkit.leaderboard.votes import submit_votes
from evalkit.votes.records import write_votes
from evalkit.voting.edits import open_methods
from evalkit.voting.study import new_study, study_file, write_study
from tests.support.boards import HOSTILE
from tests.support.judged import folder_of

TRUE = {"good": 2.0, "fair": 0.7, "lazy": -1.5, "identity": -1.5}
"""Abilities, in log-odds."""


def votes_card(**changes):
    """The content of a VOTES.yaml."""
    return {
        "protocol": "few/v1",
        "name": "people",
        "title": f"Simulated people {HOSTILE}",
        "raters": f"Simulated, from nowhere {HOSTILE}.",
        "consent": "None was needed.",
        "licence": "CC0-1.0",
        "submitter": {"name": HOSTILE, "relationship": "third_party"},
        **changes,
    }


RATERS = ("Ann", "Bob", HOSTILE.replace("\u202e", ""), "Eve")


def study_of(root, *, methods=tuple(TRUE), raters=RATERS, blind=(), seed=0):
    """Votes and their study: who is ``blind`` answers by lot, checks too.

    Returns:
        The file of the votes, beside which the study lies.
    """
    edits = open_methods([f"{name}={folder_of(root / 'voted', name)}" for name in methods])
    study = new_study(edits, votes=36, checks=6, seed=seed)
    rng, votes = np.random.default_rng(seed), []
    for rater in raters:
        study = study.with_rater(rater, edits)
        for ballot in study.raters[rater]:
            if rater in blind:
                winner = str(rng.choice(["b", "tie"]))
            elif ballot.expected:
                winner = ballot.expected
            else:
                d = TRUE[ballot.a] - TRUE[ballot.b]
                odds = np.exp([d / 2, -0.7, -d / 2])
                winner = str(rng.choice(["a", "tie", "b"], p=odds / odds.sum()))
            votes.append(ballot.vote(winner, rater, float(np.round(rng.gamma(4, 1.5), 1))))
    path = root / "votes.jsonl"
    write_votes(path, votes)
    write_study(study_file(path), study)
    return path


def card_file(root, **changes):
    """The card as a file."""
    path = root / "votes.yaml"
    path.write_text(yaml.safe_dump(votes_card(**changes), allow_unicode=True), encoding="utf-8")
    return path


def have_voted(board, root):
    """The board with the votes of four raters, whoever collected them being hostile."""
    votes = study_of(root)
    return submit_votes(votes, card_file(root), collected_by(study_file(votes)), board).votes


def judge_votes(root, spec, *, output="judged.jsonl", settings=(), methods=tuple(TRUE), exit_code=0):
    """A judge votes as ``evalkit vote judge`` has it: on the edits of entries, into a study that may have begun.

    Returns:
        The file of the votes.
    """
    runs = [f"{name}={folder_of(root / 'voted', name)}" for name in methods]
    arguments = [
        "vote",
        "judge",
        *runs,
        "--judge",
        spec,
        "--votes",
        "24",
        "--checks",
        "3",
        "--output",
        str(root / output),
    ]
    done = CliRunner().invoke(main, [*arguments, *(part for each in settings for part in ("--judge-set", each))])
    assert done.exit_code == exit_code, done.output
    return root / output


def judges_card(root, **changes):
    """The card of a judge's votes as a file."""
    card = votes_card(**{"cast_by": "judge", "name": "judged", "raters": "On a machine of our own.", **changes})
    del card["consent"]
    path = root / f"{card['name']}.yaml"
    path.write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
    return path
