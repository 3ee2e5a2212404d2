"""The same command goes on after any kill, whatever it was writing; and a disk that fails is said in a sentence."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.kills import CASES

QUICK = ("score", "edit", "edit control", "dataset build", "submit", "submit more", "leaderboard build")
"""Others are like these, or draw figures, which takes seconds a time."""


def marked(quick):
    """The cases; all but some are slow."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in CASES]


def tried(case, *options):
    """What came of a case, tried in a process of its own, which can be divided safely."""
    command = [sys.executable, "-m", "tests.support.kills", case, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", marked(QUICK))
def test_a_command_killed_in_a_write_of_each_kind_goes_on(case):
    """Killed and given again it ends well, with the very bytes of a run that nobody disturbed, and nothing else."""
    result = tried(case)
    assert result["failures"] == []
    assert result["n_kills"] >= 4


@pytest.mark.slow
def test_a_command_killed_in_any_write_goes_on():
    """The same for every single write; of the other commands by ``python -m tests.support.kills CASE --all``."""
    result = tried("edit control", "--all")
    assert result["failures"] == []
    assert result["n_kills"] > result["n_writes"] - 5


@pytest.mark.parametrize("case", marked(("score", "edit", "leaderboard build")))
def test_a_disk_that_fails_is_said_in_a_sentence_and_afterwards_the_command_goes_on(case):
    """Where no file can have more than 64 bytes, one is named, no draft of it is left, and what was there stays."""
    result = tried(case, "--limit", "64")
    *_, last = result["said"].splitlines()
    assert result["status"] == 1
    in_place, beside = (
        r".*\.[a-z]{2,7}( cannot be written)?: File too large\.",
        r"There is no room .*File too large: '.+'",
    )
    assert re.match(f"Error: ({in_place}|{beside})", last)
    assert "Traceback" not in result["said"]
    assert (result["drafts"], result["again"], result["equal"]) == ([], 0, True)
