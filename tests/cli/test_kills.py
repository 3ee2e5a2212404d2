"""The same command goes on after any kill, whatever it was writing; and a disk that fails is said in a sentence."""

import json
import subprocess
import sys

import pytest

from tests.support.kills import CASES

SLOW = {"compare", "validate"}
"""Drawing figures takes seconds a time."""


def tried(case, *options):
    """What came of a case, tried in a process of its own, which can be divided safely."""
    command = [sys.executable, "-m", "tests.support.kills", case, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in CASES]
)
def test_a_command_killed_in_a_write_of_each_kind_goes_on(case):
    """Killed and given again it ends well, with the very bytes of a run that nobody disturbed, and nothing else."""
    result = tried(case)
    assert result["failures"] == []
    assert result["n_kills"] >= 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_a_command_killed_in_any_write_goes_on(case):
    """The same for every single write of every command."""
    result = tried(case, "--all")
    assert result["failures"] == []
    assert result["n_kills"] > result["n_writes"] - 5
