"""A run is one line away from the loggers that people use: tried with the real ones, without a network."""

import json

import pytest

import evalkit
from tests.support.comparisons import comparison_of
from tests.support.fakes import write_folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A run of two metrics, one of them a variant."""
    root = tmp_path_factory.mktemp("scored")
    return evalkit.score(write_folder(root / "edits", 4), root / "run", metrics=["l1", "mse"], cached=False)


@pytest.fixture(params=["run", "comparison"])
def scalars(request, scored):
    """What is logged: of a run, or of a comparison of methods with names of all kinds."""
    record = scored if request.param == "run" else comparison_of(12)
    return record.scalars()


def test_tensorboard(scalars, tmp_path):
    """Every scalar is read back from the event file."""
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for name, value in scalars.items():
            writer.add_scalar(name, value, global_step=3)
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {name: events.Scalars(name)[0] for name in events.Tags()["scalars"]}
    assert {name: event.value for name, event in found.items()} == pytest.approx(scalars)
    assert {event.step for event in found.values()} == {3}


def test_mlflow(scalars, tmp_path, monkeypatch):
    """Every scalar is read back from a store in files, the strictest about names."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    with mlflow.start_run() as run:
        mlflow.log_metrics(scalars)
    assert mlflow.get_run(run.info.run_id).data.metrics == pytest.approx(scalars)


def test_wandb(scored, tmp_path, monkeypatch):
    """Its service has every scalar, and every item is a row of a table."""
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install wandb")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    settings = wandb.Settings(silent=True)
    with wandb.init(mode="offline", dir=tmp_path, project="edits", settings=settings) as run:
        run.log(scored.scalars())
        run.log({"items": wandb.Table(dataframe=scored.to_dataframe())})
        assert {name: run.summary[name] for name in scored.scalars()} == scored.scalars()
    wandb.teardown()
    (table,) = tmp_path.rglob("*.table.json")
    logged = json.loads(table.read_text())
    assert logged["columns"] == list(scored.to_dataframe())
    assert [row[-1] for row in logged["data"]] == scored.to_dataframe()["mse"].tolist()
