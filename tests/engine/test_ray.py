"""The Ray engine on a cluster of two nodes on this machine: whatever is killed, nothing that was written is lost."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.edits.manifest import read_manifest
from evalkit.encoders.cache import EmbeddingCache
from evalkit.engine.base import Lost
from evalkit.engine.open import open_engine
from evalkit.errors import EncoderError, EngineError
from evalkit.validity.validate import validate_metrics
from tests.support.engines import Chores, edited, scored, shapes_edits
from tests.support.toys import files_of, install, statuses

ray = pytest.importorskip("ray", reason='ray is not installed: pip install -e ".[ray]"')
pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster():
    """A head and another node, with more cores than the machine may have, and this process connected."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 8, "include_dashboard": False})
    made.add_node(num_cpus=2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made
        ray.shutdown()
    torch.set_num_threads(threads)
    made.shutdown()


@pytest.fixture(scope="module")
def engine(cluster):
    """Two workers, which stay while the work stays the same."""
    with open_engine("ray", device="cpu", workers=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def shapes(cluster, tmp_path_factory):
    """An edit folder of the shapes benchmark, and where its run by the local engine is."""
    root = tmp_path_factory.mktemp("shapes")
    folder = shapes_edits(root / "edits", 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(root / "cache"))
        scored(folder, root / "run")
    return root


def items_of(run: Path) -> bytes:
    """The scores of a run, item by item."""
    return (run / "items.jsonl").read_bytes()


def killed(task: str, folder: Path, output: Path, cluster, *, workers: int, last: int, cache: Path) -> None:
    """A run on Ray whose process is killed in the middle."""
    command = [sys.executable, "-m", "tests.support.engines", task, folder, output, cluster.address, workers, last]
    environment = {**os.environ, "EVALKIT_CACHE": str(cache)}
    done = subprocess.run([str(part) for part in command], check=False, timeout=300, env=environment)
    assert done.returncode == -signal.SIGKILL


# What dies with a node


def test_a_node_that_dies_in_the_middle_of_editing_costs_what_it_had_in_hand(cluster, tmp_path):
    """The folder is that of the local engine to the byte, a failing item included; no edit is made three times."""
    captions = {"item_4": "a bug"}
    edited(tmp_path, tmp_path / "local", pause=0, captions=captions)
    (doomed,) = cluster.worker_nodes

    def progress(what: str, done: int, total: int) -> None:
        if done == 3 and doomed in cluster.worker_nodes:
            cluster.remove_node(doomed, allow_graceful=False)

    log = tmp_path / "log"
    with open_engine("ray", device="cpu", workers=4) as engine:
        watched = {"log": log, "together": 4, "progress": progress}
        done = edited(tmp_path, tmp_path / "out", engine, captions=captions, pause=0.6, **watched)
    assert not cluster.worker_nodes
    assert (done.n_edited, len(done.failures)) == (22, 2)
    reasons = {reason for _, _, status, reason in statuses(tmp_path / "out") if status == "failed"}
    assert reasons == {"ValueError: the method has a bug"}
    assert without_log(tmp_path / "out") == without_log(tmp_path / "local")
    begun = Counter(line.rpartition(" ")[0] for line in log.read_text().splitlines())
    assert max(begun.values()) <= 2
    assert 24 < sum(begun.values()) <= 24 + 2 * 2  # two workers, with a unit of two edits each


# The engine


def test_units_are_done_by_all_workers_and_never_heap_up(engine):
    """Results come while units are still being drawn, and no more are drawn than workers have room for, and one."""
    drawn, most, done = [], [], []

    def units():
        for number in range(20):
            drawn.append(number)
            most.append(len(drawn) - len(done))
            yield f"sleep 0.02 {number}"

    for unit, (text, process) in engine.start(Chores())(units()):
        assert unit == text
        done.append(process)
    assert len(done) == 20
    assert len(set(done)) == 2
    assert max(most) <= 2 + 2


def test_a_unit_that_kills_its_workers_is_given_up_and_harms_no_other(engine, tmp_path):
    """Poison ends three workers and is reported; who was beside it, or died of something else once, is done."""
    log = tmp_path / "log"
    units = ["sleep 0.1 a", "die", f"die once {tmp_path / 'once'}", "sleep 0.1 b", "sleep 0.1 c", "sleep 0.1 d"]
    results = dict(engine.start(Chores(log=log))(units))
    assert results.pop("die") == Lost("3 workers died of it, one after the other")
    assert {unit: text for unit, (text, _) in results.items()} == {unit: unit for unit in units if unit != "die"}
    begun = Counter(log.read_text().splitlines())
    assert begun["die"] == 3
    assert all(number <= 3 for number in begun.values())


def test_errors_of_the_work_reach_the_user(engine):
    """What ends a run does so with its own message, and the engine can be used again."""
    with pytest.raises(EncoderError, match="The weights are not there"):
        engine.start(Chores(fault="refuse"))
    message = "No worker can be started; the last one said: "
    with pytest.raises(EngineError, match=message), open_engine("ray", device="cpu", workers=1) as one:
        one.start(Chores(fault="die"))
    run = engine.start(Chores())
    with pytest.raises(EncoderError, match="The weights are not there"):
        list(run(["sleep 0.1", "refuse", "sleep 0.1"]))
    with pytest.raises(RuntimeError, match="an error in the work"):
        list(engine.start(Chores())(["raise"]))
    assert [unit for unit, _ in engine.start(Chores())(["sleep 0"])] == ["sleep 0"]


# edit


def without_log(folder: Path):
    """Files and lines of a folder; how the edits were made says where they were noted, so it is left out."""
    files, lines = files_of(folder)
    return {name: data for name, data in files.items() if name != "method.json"}, lines


def test_a_driver_that_is_killed_goes_on_with_another_number_of_workers(cluster, tmp_path):
    """Edits that were written are kept; the folder ends as the local engine's."""
    edited(tmp_path, tmp_path / "local")
    killed("edit", tmp_path, tmp_path / "out", cluster, workers=3, last=7, cache=tmp_path / "cache")
    written = read_manifest(tmp_path / "out").items
    assert len(written) >= 7
    with open_engine("ray", device="cpu", workers=1) as engine:
        done = edited(tmp_path, tmp_path / "out", engine)
    assert (done.n_kept, done.n_edited) == (len(written), 24 - len(written))
    assert without_log(tmp_path / "out") == without_log(tmp_path / "local")


def test_an_item_that_kills_its_workers_fails_and_the_run_goes_on(engine, tmp_path):
    """The edits of the source image that it belongs to fail with a reason; all others are made."""
    done = edited(tmp_path, tmp_path / "out", engine, captions={"item_2": "poison"}, pause=0)
    assert {(item.item_id, item.seed) for item in done.failures} == {
        ("item_2", 0),
        ("item_2", 1),
        ("item_8", 0),
        ("item_8", 1),
    }
    assert {item.reason for item in done.failures} == {"3 workers died of it, one after the other"}
    assert done.n_edited == 20
    again = edited(tmp_path, tmp_path / "out", pause=0)  # cured, here
    assert (again.n_kept, again.n_edited) == (20, 4)


def test_a_method_that_is_given_all_edits_at_once_is_refused(engine, tmp_path):
    """It could not be divided."""
    arguments = ["edit", "command", "--benchmark", "shapes", "--set", "command=cp {source_image} {edited_image}"]
    done = CliRunner().invoke(main, [*arguments, "--engine", "ray", "--output", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "The method command is given all edits at once, by one process: --engine local" in done.stderr


def test_an_interrupted_command_ends_cleanly_and_goes_on(cluster, tmp_path):
    """Ctrl-C ends it with a word and nothing on standard output, what was made is kept, and its workers are gone."""
    install(tmp_path / "site", "slow-toy", {"slow": "tests.support.engines:Slow"})
    command = [sys.executable, "-m", "evalkit", "edit", "slow", "--benchmark", "shapes", "--limit", "24", "--json"]
    command += ["--output", str(tmp_path / "out"), "--engine", "ray", "--address", cluster.address, "--workers", "3"]
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(Path.cwd())])}
    process = subprocess.Popen(
        [*command, "--set", "pause=0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **paths},
    )
    while not list(tmp_path.glob("out/*/0.png")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.strip().endswith("Interrupted. What was finished is kept; the same command goes on from there.")
    assert "Traceback" not in err
    n_kept = len(read_manifest(tmp_path / "out").items)
    assert 0 < n_kept < 24
    again = subprocess.run(
        [*command, "--set", "pause=0"], capture_output=True, text=True, check=False, env={**os.environ, **paths}
    )
    result = json.loads(again.stdout)
    assert (result["n_kept"], result["n_edited"], result["n_failed"]) == (n_kept, 24 - n_kept, 0)


# score and validate


def test_scores_are_those_of_the_local_engine_to_the_byte(engine, shapes, tmp_path, monkeypatch):
    """Embeddings, pixel metrics and the recogniser through workers; the record names their device and all encoders."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    run = scored(shapes / "edits", tmp_path / "run", engine)
    assert items_of(tmp_path / "run") == items_of(shapes / "run")
    record, local = run.record, json.loads((shapes / "run" / "run.json").read_text())
    assert record.n_encoded_images == local["n_encoded_images"] > 0
    assert record.n_compared_pairs == local["n_compared_pairs"] > 0
    assert {name: m.signature for name, m in record.metrics.items()} == {
        name: m["signature"] for name, m in local["metrics"].items()
    }
    assert {name: encoder.device for name, encoder in record.encoders.items()} == {
        "clip": "cpu",
        "shapes_recogniser": "cpu",
    }
    with EmbeddingCache.open(tmp_path / "cache" / "embeddings.sqlite") as cache:
        assert all(encoder.label for encoder in cache.info().encoders)


def test_validation_is_that_of_the_local_engine(engine, tmp_path, monkeypatch):
    """The same workers serve every control, and every number is the same."""
    settings = {"limit": 2, "encoder": "miniature", "device": "cpu"}
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "local"))
    local = validate_metrics(("clip_score", "l1"), "shapes", tmp_path / "work", **settings)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "ray"))
    assert validate_metrics(("clip_score", "l1"), "shapes", tmp_path / "work", engine=engine, **settings) == local


def test_scoring_that_is_killed_goes_on_with_another_number_of_workers(cluster, engine, shapes, tmp_path, monkeypatch):
    """What was encoded is not encoded again, and the scores are those of an uninterrupted run to the byte."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    arguments = ("score", shapes / "edits", tmp_path / "run", cluster)
    killed(*arguments, workers=1, last=20, cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()
    run = scored(shapes / "edits", tmp_path / "run", engine)
    local = json.loads((shapes / "run" / "run.json").read_text())
    assert 0 < run.record.n_encoded_images <= local["n_encoded_images"] - 20
    assert items_of(tmp_path / "run") == items_of(shapes / "run")
