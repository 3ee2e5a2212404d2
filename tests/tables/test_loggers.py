"""A run is one line away from the loggers that people use: tried with the real ones, without a network."""

import json
import re
from pathlib import Path

import pytest

import evalkit
from tests.support.comparisons import comparison_of
from tests.support.fakes import write_folder

pytestmark = pytest.mark.slow  # what takes time is to import the loggers
BLOCKS = re.findall(r"```python\n(.*?)```", Path("evalkit/guide/python.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A run of two metrics."""
    root = tmp_path_factory.mktemp("scored")
    return evalkit.score(write_folder(root / "edits", 4), root / "run", metrics=["l1", "mse"], cached=False)


@pytest.fixture(params=["run", "comparison"])
def record(request, scored):
    """What is logged: a run, or a comparison of methods with names of all kinds."""
    return scored if request.param == "run" else comparison_of(12)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Runs the lines of the guide that name a logger, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(logger, record):
        names = {"run": record}
        exec(next(block for block in BLOCKS if logger in block), names)
        return names

    return run


def test_tensorboard(log, record):
    """Every scalar is read back from the event file."""
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log("tensorboard", record)
    events = EventAccumulator("logs").Reload()
    found = {name: events.Scalars(name)[0].value for name in events.Tags()["scalars"]}
    assert found == pytest.approx(record.scalars())


def test_mlflow(log, record, tmp_path, monkeypatch):
    """Every scalar is read back from a store in files, the strictest about names."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    log("mlflow", record)
    assert mlflow.last_active_run().data.metrics == pytest.approx(record.scalars())


def test_wandb(log, scored, tmp_path, monkeypatch):
    """Its service has every scalar, and every item is a row of a table."""
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install wandb")
    for name, value in (("MODE", "offline"), ("SILENT", "true"), ("ERROR_REPORTING", "false")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    log("wandb", scored)
    assert {name: wandb.run.summary[name] for name in scored.scalars()} == scored.scalars()
    wandb.finish()
    wandb.teardown()
    (table,) = tmp_path.rglob("*.table.json")
    logged = json.loads(table.read_text())
    assert logged["columns"] == list(scored.to_dataframe())
    assert [row[-1] for row in logged["data"]] == scored.to_dataframe()["mse"].tolist()
