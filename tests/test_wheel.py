"""What is given away: a wheel that works without the repository, and a source distribution of what it is built from."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import evalkit
from evalkit.guide import TOPICS
from tests.support.fakes import write_folder
from tests.support.strangers import environment

pytestmark = pytest.mark.slow
ROOT = Path.cwd()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with the wheel and the source distribution."""
    built = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", built], cwd=ROOT, check=True, timeout=300)
    return built


@pytest.fixture(scope="module")
def command(built, tmp_path_factory):
    """Runs the command line that the wheel installs, in a folder with nothing of this repository."""
    root = tmp_path_factory.mktemp("stranger")
    bin_directory = environment(root / "venv", *built.glob("*.whl")).parent
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own = {**kept, "EVALKIT_CACHE": str(root / "cache"), "HF_HUB_OFFLINE": "1"}
    own["PATH"] = f"{bin_directory}{os.pathsep}{own['PATH']}"
    write_folder(root / "work/edits", 4, 4)

    def run(*words, code=0):
        done = subprocess.run(
            words,
            cwd=root / "work", env=own, capture_output=True, text=True, check=False, timeout=580,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    return run


def test_what_is_imported_is_the_wheels(command):
    """None of the tests below looks at the repository."""
    shown = command("python", "-c", "import evalkit, evalkit_adapters as a; print(evalkit.__file__, a.__file__)")
    assert str(ROOT) not in shown.stdout
    assert shown.stdout.count("site-packages") == 2


def test_the_demo_runs(command):
    """With the weights of the miniature world, and templates for the page."""
    shown = json.loads(command("evalkit", "demo", "--json").stdout)
    assert len(shown["runs"]) == 7
    assert "<html" in command("cat", shown["report"]).stdout


def test_guide_lists_and_scores_are_there(command):
    """The guide's pages, the cards of benchmarks, the methods and the miniature encoder come along."""
    assert [page["topic"] for page in json.loads(command("evalkit", "guide", "--json").stdout)] == list(TOPICS)
    methods = json.loads(command("evalkit", "list", "methods", "--json").stdout)
    assert {"sdedit", "imagic", "flux2_klein"} <= {row["name"] for row in methods if not row["error"]}
    benchmarks = json.loads(command("evalkit", "list", "benchmarks", "--json").stdout)
    assert all(not row["error"] for row in benchmarks)
    scored = json.loads(command("evalkit", "score", "edits", "--encoder", "miniature", "--json").stdout)
    assert scored["metrics"]["clip_score"]["n"] == 4


def test_a_board_without_its_data_is_refused_in_one_sentence(command):
    """The leaderboard's data are the repository's."""
    refused = command("evalkit", "leaderboard", "build", code=2).stderr
    assert refused.splitlines()[-1].startswith("Error: There is no directory leaderboard")
    assert "checkout" in refused


def test_the_source_distribution_holds_what_the_wheel_is_built_from_and_no_tests(built):
    """A name at its top is one of the packages, or what describes them."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert tops == {".gitignore", "LICENSE", "PKG-INFO", "README.md", "adapters", "evalkit", "pyproject.toml"}


def test_the_metadata_say_how_to_cite(built):
    """The README, which is the description, names the version that is built; no requirement has an upper bound."""
    text = (ROOT / "README.md").read_text()
    assert f"Version {evalkit.__version__}" in text[text.index("@software") :]
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert not [line for line in requirements if "<" in line or "==" in line]
    (wheel,) = built.glob("*.whl")
    described = next(iter(metadata.distributions(path=[str(wheel)]))).metadata
    assert "@software{evalkit" in (described.get_payload() or described["Description"])
