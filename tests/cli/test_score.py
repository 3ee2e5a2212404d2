"""``evalkit score`` as a person runs it: whole processes, real folders, kills and wrong names."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.scores.run import read_run
from tests.support.fakes import save_picture, write_folder
from tests.support.toys import install

TEDBENCH = Path("../shared/tedbench")
needs_tedbench = pytest.mark.skipif(not TEDBENCH.is_dir(), reason=f"no copy of TEdBench at {TEDBENCH}")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def score(folder, encoder, output, *more):
    """Score with a small encoder, on the processor."""
    return evalkit("score", folder, "--encoder", encoder, "--device", "cpu", "--output", output, *more)


def test_json_holds_the_contract_and_nothing_else_is_on_standard_output(tmp_path, tiny_transformers_clip):
    """One object with the documented keys; remarks go to standard error."""
    done = score(write_folder(tmp_path / "edits"), tiny_transformers_clip, tmp_path / "run", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result) == [
        "run", "benchmark", "n_items", "n_edited", "layout", "metrics", "problems", "images", "signature",
    ]  # fmt: skip
    assert (result["run"], result["benchmark"], result["layout"]) == ("edits", None, "manifest")
    assert (result["n_items"], result["n_edited"]) == (10, 10)
    keys = {"mean", "ci_low", "ci_high", "n", "n_groups", "n_undefined", "higher_is_better", "signature"}
    for name, summary in result["metrics"].items():
        assert set(summary) == keys
        assert summary["signature"].startswith(f"{name}|enc:transformers/")
        assert summary["ci_low"] < summary["mean"] < summary["ci_high"]
        assert summary["n_groups"] == 4
    assert read_run(tmp_path / "run").record.metrics["clip_score"].mean == result["metrics"]["clip_score"]["mean"]


def test_scoring_imports_no_library_that_it_has_no_use_for(tmp_path):
    """A folder is scored without diffusers and matplotlib, and pixels without torch."""
    folder = str(write_folder(tmp_path / "edits"))
    code = (
        "import sys; from evalkit.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'diffusers', 'matplotlib', 'torch', 'transformers', 'datasets'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for metrics, expected in (("l1,ssim", ""), ("clip_score", "torch transformers")):
        arguments = [
            "score",
            folder,
            "--encoder",
            "miniature",
            "--metrics",
            metrics,
            "--output",
            str(tmp_path / metrics),
        ]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == expected


def test_the_table_shows_means_intervals_and_signatures(tmp_path, tiny_transformers_clip):
    """For a person: a table, one signature or that of each number, and where the run is."""
    done = score(write_folder(tmp_path / "edits"), tiny_transformers_clip, tmp_path / "run")
    assert done.stdout.count("|evalkit:") == 1
    done = score(write_folder(tmp_path / "edits"), tiny_transformers_clip, tmp_path / "run", "--signature", "full")
    record = read_run(tmp_path / "run").record
    assert f"{record.metrics['clip_score'].mean:.4f}" in done.stdout
    assert record.metrics["clip_score"].signature in done.stdout
    assert f"Wrote {tmp_path / 'run'}" in done.stdout


@needs_tedbench
def test_the_published_imagic_results_are_recognised_paired_and_scored(tmp_path, tiny_open_clip):
    """100 of 100 results of the official layout, 39 groups, and no more encodings than 140 images and 140 texts."""
    done = score(TEDBENCH / "imagic", tiny_open_clip, tmp_path / "run", "--benchmark", "tedbench")
    assert done.exit_code == 0, done.output
    assert "official layout of tedbench; 100 of 100 image files matched" in done.stderr
    record = read_run(tmp_path / "run").record
    assert (record.n_items, record.n_edited) == (100, 100)
    assert {summary.n_groups for summary in record.metrics.values()} == {39}
    assert {summary.n for summary in record.metrics.values()} == {100}
    assert record.n_encoded_images == 139  # 100 edits of 39 different photographs
    assert record.n_encoded_texts <= 140


@needs_tedbench
def test_tedbench_is_inferred_from_the_names(tmp_path):
    """Without --benchmark the folder is known by its file names; a wrong metric name is then the only fault."""
    done = evalkit("score", TEDBENCH / "imagic", "--metrics", "clip_scores", "--output", tmp_path / "run")
    assert done.exit_code == 1
    assert "official layout of tedbench" in done.stderr
    assert "Did you mean clip_score" in done.stderr


def test_missing_items_are_named_and_nothing_is_written(tmp_path, tiny_transformers_clip):
    """Under the default an absent file stops the run with exit code 1; under ``intersect`` it is a problem listed."""
    folder = write_folder(tmp_path / "edits")
    (folder / "item_3.png").unlink()
    done = score(folder, tiny_transformers_clip, tmp_path / "run")
    assert done.exit_code == 1
    assert "1 item has no edited image: item_3" in done.stderr
    assert not (tmp_path / "run").exists()
    done = score(folder, tiny_transformers_clip, tmp_path / "run", "--missing", "intersect", "--json")
    assert done.exit_code == 3
    result = json.loads(done.stdout)
    assert result["n_edited"] == 9
    assert [problem["code"] for problem in result["problems"]] == ["missing_edited_image"]


def test_an_error_under_json_is_an_object_too(tmp_path, tiny_transformers_clip):
    """Whoever parses standard output finds the message there, and the exit code says that it is an error."""
    done = score(write_folder(tmp_path / "edits"), tiny_transformers_clip, tmp_path / "run", "--metrics", "x", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["type"] == "UnknownNameError"


def test_wrong_usage_is_exit_code_2(tmp_path):
    """What click refuses is usage, and not an error of ours."""
    assert evalkit("score", tmp_path / "nowhere").exit_code == 2
    assert evalkit("score", tmp_path, "--missing", "perhaps").exit_code == 2


def test_debug_shows_the_traceback(tmp_path, tiny_transformers_clip):
    """``--debug`` lets the exception through."""
    done = score(
        write_folder(tmp_path / "edits"), tiny_transformers_clip, tmp_path / "run", "--metrics", "x", "--debug"
    )
    assert type(done.exception).__name__ == "UnknownNameError"


def test_a_cache_that_cannot_be_used_is_a_problem_and_no_obstacle(tmp_path, tiny_transformers_clip, monkeypatch):
    """An unusable cache is said so with exit code 3, and the numbers are the same."""
    folder = write_folder(tmp_path / "edits")
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "file"))
    done = score(folder, tiny_transformers_clip, tmp_path / "run", "--json")
    assert done.exit_code == 3, done.output
    result = json.loads(done.stdout)
    assert [problem["code"] for problem in result["problems"]] == ["cache_unavailable"]
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    assert (
        json.loads(score(folder, tiny_transformers_clip, tmp_path / "run", "--json").stdout)["metrics"]
        == result["metrics"]
    )


def test_a_cache_from_a_newer_version_is_left_alone(tmp_path, tiny_transformers_clip):
    """It is said so, the run goes on, and the file is not touched."""
    folder = write_folder(tmp_path / "edits")
    score(folder, tiny_transformers_clip, tmp_path / "run")
    path = tmp_path / "cache" / "embeddings.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    done = score(folder, tiny_transformers_clip, tmp_path / "run", "--json")
    assert done.exit_code == 3
    assert "newer" in json.loads(done.stdout)["problems"][0]["message"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)
    connection.close()


def n_cached(cache: Path) -> int:
    """Vectors in a cache that another process writes."""
    try:
        with sqlite3.connect(f"file:{cache / 'embeddings.sqlite'}?mode=ro", uri=True) as connection:
            count = connection.execute("SELECT COUNT(*) FROM embeddings WHERE kind IN ('image', 'text')").fetchone()[0]
        connection.close()
    except sqlite3.Error:
        return 0
    return int(count)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, tiny_transformers_clip, kill):
    """After kill -9 or Ctrl-C nothing half-written is left, and the next run encodes only what was not kept."""
    folder = write_folder(tmp_path / "edits", n_items=600, n_sources=200)
    command = ["score", folder, "--encoder", tiny_transformers_clip, "--output", tmp_path / "run", "--batch-size", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "evalkit", *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        deadline = time.monotonic() + 120
        while n_cached(tmp_path / "cache") < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(kill)
        stderr = child.communicate()[1].decode()
    kept = n_cached(tmp_path / "cache")
    assert 5 <= kept < 1600, "the run must be stopped in the middle for this test to mean anything"
    assert not (tmp_path / "run").exists()
    if kill == signal.SIGINT:
        assert child.returncode == 130
        assert "the same command goes on from there" in stderr
    done = evalkit(*command)
    assert done.exit_code == 0, done.output
    record = read_run(tmp_path / "run").record
    assert record.n_encoded_images + record.n_encoded_texts == 1600 - kept


def test_a_warm_run_loads_no_network(tmp_path, tiny_transformers_clip):
    """When every vector is known, torch is not even imported."""
    folder = write_folder(tmp_path / "edits")
    command = ["score", str(folder), "--encoder", tiny_transformers_clip, "--output", str(tmp_path / "run")]
    assert evalkit(*command).exit_code == 0
    code = (
        f"import sys; from evalkit.cli import main; main({command!r}, standalone_mode=False); "
        "print([name for name in ('torch', 'transformers', 'open_clip') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_two_processes_scoring_at_once_do_not_disturb_each_other(tmp_path, tiny_transformers_clip):
    """Both end well with the same numbers, sharing one cache."""
    folder = write_folder(tmp_path / "edits", n_items=60, n_sources=20)
    command = [sys.executable, "-m", "evalkit", "score", folder, "--encoder", tiny_transformers_clip]
    children = [
        subprocess.Popen(
            [*command, "--batch-size", "4", "--output", tmp_path / f"run_{number}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for child in children:
        stderr = child.communicate()[1]
        assert child.returncode == 0, stderr
    one, other = (read_run(tmp_path / f"run_{number}") for number in range(2))
    for name in one.table.metrics:
        assert one.record.metrics[name].mean == pytest.approx(other.record.metrics[name].mean, abs=1e-6)


def test_a_folder_without_anything_known_says_what_to_type(tmp_path):
    """A bare folder of images cannot be scored, and the message names the three ways to say what they are."""
    save_picture(tmp_path / "edits" / "a.png", 0)
    done = evalkit("score", tmp_path / "edits")
    assert done.exit_code == 1
    for way in ("--benchmark", "--sources", "--pattern"):
        assert way in done.stderr


@pytest.mark.parametrize("kind", ["metrics", "encoders", "benchmarks"])
def test_list_names_what_there_is(kind):
    """Every kind is listed for a person and as JSON, with its provider and, were it broken, the cause."""
    assert evalkit("list", kind).exit_code == 0
    rows = json.loads(evalkit("list", kind, "--json").stdout)
    assert all(row["provider"] == "evalkit" and row["error"] is None for row in rows)
    assert {"metrics": "clip_score", "encoders": "open_clip", "benchmarks": "tedbench"}[kind] in [
        r["name"] for r in rows
    ]


def test_an_encoder_that_says_nothing_about_itself_is_listed(tmp_path, monkeypatch):
    """A plug-in's backend without a docstring stands in the list under its name."""
    points, modules = {"silent": "silent:load"}, {"silent": "def load(argument, *, device, dtype): ..."}
    monkeypatch.syspath_prepend(install(tmp_path, "someone", points, modules, group="evalkit.encoders"))
    listed = evalkit("list", "encoders")
    assert listed.exit_code == 0
    assert "silent" in listed.stdout


@pytest.mark.parametrize("method", ["../escaped", "/absolute", "a\0b", "a" * 300, "..", "nul", "a/../../b", "."])
@pytest.mark.parametrize("named", ["in the manifest", "by --name"])
def test_no_name_decides_where_a_run_is_written(tmp_path, monkeypatch, method, named):
    """Whatever a method or a run is called, its run is one folder below evalkit_runs, and is called so."""
    folder, work = write_folder(tmp_path / "edits"), tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    more = ["--name", method] if named == "by --name" else []
    if not more:
        lines = [{**line, "method": method} for line in lines]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = set(tmp_path.rglob("*"))
    done = evalkit("score", folder, "--metrics", "l1", *more)
    new = {path for path in set(tmp_path.rglob("*")) - before if "cache" not in path.relative_to(tmp_path).parts}

    assert done.exit_code == 0, done.stderr
    (run,) = (work / "evalkit_runs").iterdir()
    assert read_run(run).record.run == method
    assert new == {work / "evalkit_runs", run, run / "run.json", run / "items.jsonl"}


def test_a_folder_that_no_record_can_name_is_refused_before_anything_is_written(tmp_path):
    """A name that is not UTF-8 is one sentence, the second time as the first."""
    folder = write_folder(tmp_path / "n\udcff")
    for _ in range(2):
        done = evalkit("score", folder, "--metrics", "l1", "--output", tmp_path / "run")
        assert done.exit_code == 1
        assert r"n\xff' is not UTF-8, and a run could not name it. Rename it." in done.stderr
        assert not (tmp_path / "run").exists()
