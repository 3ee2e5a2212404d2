"""``evalkit demo``: the first thing that anybody runs."""

import json
import shlex

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.cli.demo import CONTROLS, EDITORS
from evalkit.scores.run import read_run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo as run on a machine without a network, and where it wrote."""
    directory = tmp_path_factory.mktemp("demo")
    environment = {
        "EVALKIT_CACHE": str(directory / "cache"),
        "HF_HUB_OFFLINE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "COLUMNS": "80",
    }
    done = CliRunner().invoke(main, ["demo", "--output", str(directory / "out")], env=environment)
    return done, directory / "out"


def test_the_demo_ends_well_and_names_what_it_wrote(demo):
    """It needs no network, edits with every control and method, and every folder that it names is there."""
    done, directory = demo
    assert done.exit_code == 0, done.output
    assert f"Wrote {directory / 'edits'} and {directory / 'runs'}" in done.stdout
    for name in (*CONTROLS, *EDITORS):
        assert (directory / "edits" / name / "metadata.jsonl").is_file()
        assert read_run(directory / "runs" / name).record.benchmark == "shapes:v2"
    assert (directory / "report.html").is_file()
    assert "On clip_score ↑: " in done.stdout
    (following,) = [line for line in done.stdout.splitlines() if line.startswith("Next: ")]
    following = shlex.split(following)[2:]
    for words in (following, [following[0], str(directory / "runs" / "identity"), *following[1:]]):
        details = CliRunner().invoke(main, words, env={"COLUMNS": "200"})
        assert details.exit_code == 0
    for name in EDITORS:
        assert f"{name} − identity = +" in details.stdout


def test_the_demo_says_that_its_encoder_is_a_toy(demo):
    """Nobody can mistake its numbers for real ones."""
    assert "miniature encoder" in demo[0].stdout.partition("\n\n")[0]  # the title of the table


def test_the_metrics_rank_the_controls_as_the_truth_does(demo):
    """The reference edits succeed always, a wrong value and no edit never; what is drawn anew keeps no detail."""
    directory = demo[1] / "runs"
    metrics = {path.name: read_run(path).record.metrics for path in directory.iterdir()}

    def means(metric):
        return {method: summaries[metric].mean for method, summaries in metrics.items()}

    success = means("edit_success:v2")
    assert success["reference"] == success["drawn_anew"] == 1.0
    assert success["identity"] == success["wrong_attribute"] == 0.0
    assert all(success[name] > 0.5 for name in EDITORS)
    for metric in ("subject_detail_preservation", "scene_detail_preservation"):
        kept = means(metric)
        assert min(kept[name] for name in ("identity", "wrong_attribute", "reference")) > 0.95 > kept["drawn_anew"]
    closeness = means("closeness")
    assert closeness["reference"] == 1.0 == max(closeness.values())
    for name in ("clip_score", "clip_directional_similarity"):
        seen = means(name)
        assert seen["identity"] is None or seen["reference"] > seen["identity"]
        assert seen["reference"] > seen["wrong_attribute"]


def test_the_demo_runs_again_over_its_own_files_and_speaks_json(demo, tmp_path, monkeypatch):
    """A second run replaces its own runs, and --json prints one object."""
    monkeypatch.setenv("EVALKIT_CACHE", str(demo[1].parent / "cache"))
    done = CliRunner().invoke(main, ["demo", "--output", str(demo[1]), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert set(result) == {"runs", "files", "report"}
    assert result["runs"]["reference"]["n_encoded_images"] == 0
