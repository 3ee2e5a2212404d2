"""The workflow that fills the boards: its one script, against servers of this machine, proposes what entries await.

Only the downloads are stood in for: the Hub by a loopback server with a random checkpoint of the true architecture
under its real name, the photographs by a server of the project's copy, GitHub by a bare repository and a `gh`
that takes notes.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from evalkit.leaderboard.protocol import get_protocol
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from tests.support.entries import change_json, change_rows, publish, resealed
from tests.support.hub import HubServer

ROOT = Path.cwd()
REPOSITORY = "timm/vit_base_patch32_clip_224.openai"
"""Where open_clip says that these weights are."""
CHANGED = ("entry.json", "items.jsonl", "run.json")
OFFICIAL = ROOT.parent / "shared" / "tedbench"
GH = """#!/usr/bin/env bash
# GitHub's command line, as far as the script asks it: which pull requests are open, and a new one.
if [ "$2" = list ]; then
  [ ! -f "$GITHUB/opened" ] || echo "https://github.example/pull/1"
else
  printf '%s\\n' "$@" >"$GITHUB/opened"
  cp "${@: -1}" "$GITHUB/body"
fi
"""


class World:
    """A clone of a repository with a leaderboard and the script, its remote, and what GitHub was asked."""

    def __init__(self, root):
        self.root, self.clone, self.github = root, root / "clone", root / "github"
        self.board = Leaderboard(self.clone / "leaderboard")

    def publish(self, entries):
        """Make the remote, with the project's own leaderboard but these entries only."""
        for name in ("site", "schema", "methods", *(f"entries/{entry}" for entry in entries)):
            shutil.copytree(ROOT / "leaderboard" / name, self.board.root / name)
        (self.clone / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "fill", self.clone / ".ci")

    def push(self):
        """Everything as it is now is the main branch, here and at the remote."""
        publish(self.board)
        remote = self.root / "remote.git"
        self.git("clone", "--bare", ".", str(remote))
        self.git("remote", "add", "origin", str(remote))
        for name, text in (("gh", GH), ("evalkit", f'#!/bin/sh\nexec "{sys.executable}" -m evalkit "$@"\n')):
            program = self.root / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(text)
            program.chmod(0o755)
        self.github.mkdir()

    def git(self, *arguments):
        """What git says in the clone."""
        return subprocess.run(["git", *arguments], cwd=self.clone, check=True, capture_output=True, text=True).stdout

    def run(self, **environment):
        """The script, as the workflow calls it."""
        names = {
            f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        own = {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}",
            "GITHUB": str(self.github),
            "EVALKIT_CACHE": str(self.root / "cache"),
        }
        env = os.environ | environment | names | own
        return subprocess.run(["bash", ".ci/fill"], cwd=self.clone, env=env, capture_output=True, text=True)

    def proposed(self):
        """The files that the proposed branch changes, at the remote."""
        self.git("fetch", "-q", "origin")
        return self.git("diff", "--name-only", "origin/main", "origin/fill-leaderboard").split()


@pytest.fixture
def world(tmp_path):
    """Nothing is published yet."""
    return World(tmp_path)


def without(metric):
    """Takes a metric from every line."""

    def change(rows):
        return [{name: value for name, value in row.items() if name != metric} for row in rows]

    return change


@pytest.mark.slow
def test_the_script_proposes_what_is_awaited_once(world):
    """A control that lost a metric has it again, number for number, on a branch of its own; no second pull request."""
    world.publish(["shapes/v1/identity"])
    path = world.board.entry_path("shapes/v1", "identity")
    before = world.board.read(path).run.table.rows
    (path / "verification.json").unlink()
    metrics = json.loads((path / "run.json").read_text())["metrics"]
    change_json(path, "run.json", metrics={name: found for name, found in metrics.items() if name != "edit_success"})
    change_rows(path, "items.jsonl", without("edit_success"))
    resealed(path)
    world.push()
    done = world.run()

    assert done.returncode == 0, done.stderr
    assert [row.values for row in world.board.read(path).run.table.rows] == [row.values for row in before]
    assert world.proposed() == [f"leaderboard/entries/shapes/v1/identity/{name}" for name in CHANGED]
    assert "--head\nfill-leaderboard" in (world.github / "opened").read_text()
    assert "edit_success" in (world.github / "body").read_text()
    again = world.run()
    assert (again.returncode, again.stdout) == (0, "Proposed already: https://github.example/pull/1\n")
    (world.github / "opened").unlink()
    assert world.run().stdout.endswith("there is nothing to propose.\n")


@contextmanager
def photographs():
    """The address of a server that has the folders of the authors' repository."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(OFFICIAL))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def random_checkpoint(architecture):
    """The bytes of an open_clip checkpoint of the true architecture, with random weights of half precision."""
    import open_clip
    import torch
    from safetensors.torch import save

    with torch.device("meta"):  # shapes alone
        model = open_clip.CLIP(**open_clip.get_model_config(architecture))
    seeded = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(of.shape, generator=seeded) for name, of in model.state_dict().items()}
    return save({name: (0.02 * tensor).half() for name, tensor in drawn.items()})


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not OFFICIAL.is_dir(), reason=f"the official TEdBench is not in {OFFICIAL}")
def test_the_photograph_board_is_filled_where_there_is_a_network(world):
    """Photographs, Imagic's edits and weights are fetched under their real names, and the board shows numbers."""
    world.publish([f"tedbench/v1/{name}" for name in ("identity", "imagic_published", "shuffled_source")])
    world.push()
    with HubServer() as hub, photographs() as address:
        hub.add_repo("model", REPOSITORY, {"open_clip_model.safetensors": random_checkpoint("ViT-B-32-quickgelu")})
        done = world.run(**hub.environment(world.root / "home"), EVALKIT_TEDBENCH_URL=address)

    assert done.returncode == 0, done.stderr
    assert len(world.proposed()) == 9
    assert {path.rpartition("/")[2] for path in world.proposed()} == set(CHANGED)
    entries = world.board.entries("tedbench/v1")
    columns = get_protocol("tedbench/v1").metrics
    assert [tuple(entry.metrics) for entry in entries] == [columns] * 3
    assert all("enc:open_clip/ViT-B-32-quickgelu/openai@" in entry.metrics["clip_score"].signature for entry in entries)
    assert published_problems(world.board, "origin/main") == []
    built = build(world.board, world.root / "site")
    assert "evalkit leaderboard fill" not in (built.output / "tedbench" / "v1" / "index.html").read_text()
    shown = json.loads((built.output / "tedbench" / "v1" / "data" / "board.json").read_text())["entries"]
    assert {entry["method"]: tuple(entry["metrics"]) for entry in shown} == {entry.method: columns for entry in entries}
    body = (world.github / "body").read_text()
    assert all(entry.method in body for entry in entries)


def test_the_workflow_runs_the_script_and_may_no_more_than_that():
    """Reading is all that a job may by default; the one that proposes may push and open a pull request."""
    workflow = yaml.safe_load(Path(".github/workflows/fill.yml").read_text())
    (job,) = workflow["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]

    assert workflow["permissions"] == {"contents": "read"}
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert runs == ["pip install .", "bash .ci/fill"]
    assert set(workflow[True]) == {"workflow_dispatch", "schedule"}  # YAML reads the bare word on as true
    used = {step["uses"] for step in job["steps"] if "uses" in step}
    others = yaml.safe_load(Path(".github/workflows/pages.yml").read_text())["jobs"]["publish"]["steps"]
    assert used <= {step["uses"] for step in others if "uses" in step}
