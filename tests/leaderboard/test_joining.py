"""Joining takes five minutes: CONTRIBUTING's own commands, from a folder of images to a row of the built site."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli import main
from tests.support.boards import SITE, card_of, edits, write_card


def typed(command):
    """What a command of evalkit prints; it must end well."""
    done = CliRunner().invoke(main, command.split()[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def git(*arguments):
    """A git command with a committer of its own."""
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *name, *arguments], check=True, capture_output=True, text=True).stdout


def test_from_a_folder_of_images_to_a_row_of_the_site(small_leaderboard, tmp_path, monkeypatch):
    """submit, verify, the printed git commands, and build: the new method stands on the board."""
    section = Path("CONTRIBUTING.md").read_text("utf-8").split("## Join the leaderboard")[1].split("\n## ")[0]
    commands = re.findall(r"^evalkit .*$", section, re.MULTILINE)
    shutil.copytree(small_leaderboard.root, tmp_path / "leaderboard")
    shutil.copytree(SITE, tmp_path / "leaderboard/site")
    monkeypatch.chdir(tmp_path)
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "Land")
    edits(tmp_path / "FOLDER", good=0.8, method="newcomer", seed=11)
    write_card(tmp_path / "METHOD.yaml", card_of("newcomer", title="A newcomer"))

    said = [typed(command) for command in commands]
    for line in re.findall(r"^  git (.*)$", said[1], re.MULTILINE):
        git(*shlex.split(line))
    shown = json.loads((tmp_path / "build/site/few/v1/data/board.json").read_text())

    assert [command.split()[1] for command in commands] == ["check", "submit", "leaderboard", "leaderboard"]
    assert said[2].startswith("7 entries (7 self-scored), 0 problems\n")
    assert "A newcomer" in [entry["title"] for entry in shown["entries"]]
    assert git("diff", "--name-only", "main", "submit-newcomer").splitlines() == [
        "leaderboard/entries/few/v1/newcomer/entry.json",
        "leaderboard/entries/few/v1/newcomer/items.jsonl",
        "leaderboard/entries/few/v1/newcomer/outputs.jsonl",
        "leaderboard/entries/few/v1/newcomer/run.json",
        "leaderboard/methods/newcomer.yaml",
    ]


def test_the_card_in_the_guide_is_a_card():
    """The example that submitters copy has every field that is required, and no other than there are."""
    from evalkit.leaderboard.records import Submission

    block = re.search(r"```yaml\n(.*?)```", Path("evalkit/guide/leaderboard.md").read_text("utf-8"), re.DOTALL).group(1)
    assert Submission.model_validate(yaml.safe_load(block)).method.name == "my_method"


@pytest.mark.parametrize("link", ["leaderboard", "leaderboard/entries/few/v1/good/pictures/a.png"])
def test_the_workflow_refuses_links_before_anything_is_read(tmp_path, link):
    """A link anywhere in the submitted files ends the job in a step of its own, by git's own word."""
    steps = yaml.safe_load(Path(".github/workflows/leaderboard.yml").read_text())["jobs"]["verify"]["steps"]
    number, step = next((i, step) for i, step in enumerate(steps) if "git ls-files" in step.get("run", ""))
    later = [i for i, step in enumerate(steps) if "evalkit" in step.get("run", "")]

    def done():
        for arguments in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
        return subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, capture_output=True, text=True)

    (tmp_path / "leaderboard").mkdir()
    (tmp_path / "leaderboard" / "README.md").write_text("x")
    assert done().returncode == 0
    if link == "leaderboard":
        shutil.rmtree(tmp_path / link)
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to("/proc/self/environ")
    refused = done()

    assert refused.returncode == 1
    assert link in refused.stdout
    assert number < min(later)


@pytest.mark.parametrize("name", ["fill", "leaderboard", "pages"])
def test_no_workflow_runs_what_a_submitter_wrote(name):
    """The workflow for pull requests installs the base branch alone, and reads nothing into a shell."""
    workflow = yaml.safe_load(Path(f".github/workflows/{name}.yml").read_text())
    steps = next(iter(workflow["jobs"].values()))["steps"]
    run = "\n".join(step.get("run", "") for step in steps)

    assert "${{" not in run
    assert "pull_request_target" not in workflow.get(True, {})  # YAML reads the bare word on as true
    if name == "leaderboard":
        assert "pip install ./base" in run
        assert "submitted" not in run
        head = next(step["with"] for step in steps if step.get("with", {}).get("path") == "submitted")
        assert head["sparse-checkout"] == "leaderboard"
        assert workflow["permissions"] == {"contents": "read"}
