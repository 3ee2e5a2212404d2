"""Folders as other people's scripts write them are scored by the command that a user would type."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from tests.support.real_layouts import LAYOUTS, mean_l1


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_edit_is_compared_with_its_own_source(layout, tmp_path, monkeypatch):
    """The mean is that of the pairs that the scripts mean, over all of them; nothing else is said to be wrong."""
    pairs = layout.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    arguments = [*shlex.split(layout.command), "--metrics", "l1", "--output", "run", "--json"]
    done = CliRunner().invoke(main, ["score", *arguments])
    result = json.loads(done.stdout)
    problems = [problem for problem in result.get("problems", ()) if problem["severity"] == "problem"]
    assert done.exit_code == (3 if problems else 0), done.output
    # A benchmark has more edits than are drawn here.
    others = [problem["message"].split()[0] for problem in problems if problem["code"] != "other_benchmark"]
    assert [Path(name).name for name in others] == list(layout.unmatched)
    l1 = result["metrics"]["l1"]
    assert (result["n_edited"], l1["n"], l1["n_undefined"]) == (len(pairs), len(pairs), 0)
    assert l1["mean"] == pytest.approx(mean_l1(pairs), abs=1e-9)
