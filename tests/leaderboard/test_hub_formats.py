"""An entry for the Hub: read back by huggingface_hub's own functions, with its uncertainty, and never turned round."""

import json
import math
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCardData, eval_result_entries_to_yaml, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from evalkit.cli import main
from evalkit.leaderboard.hub_formats import (
    eval_results,
    every_eval_ever,
    every_eval_ever_path,
    hub_results,
    model_index,
)
from evalkit.metrics.base import METRICS
from tests.support.boards import FEW

URL = "https://example.org/few/v1/methods/good.html"
DATASET = "someone/few"


@pytest.fixture
def entry(small_leaderboard):
    """An entry."""
    return small_leaderboard.read(small_leaderboard.entry_path("few/v1", "good"))


def test_the_hub_reads_the_eval_results(entry):
    """What huggingface_hub parses and writes again is what we wrote, one task per metric, with the interval noted."""
    ours = eval_results(entry, DATASET, URL)
    parsed = parse_eval_result_entries(ours)

    assert eval_result_entries_to_yaml(parsed) == ours
    assert [result.task_id for result in parsed] == [f"few_{metric}" for metric in FEW.metrics]
    assert parsed[0].value == entry.run.record.metrics["edit_success"].mean
    assert parsed[0].notes.startswith("95% CI ")
    assert "24 items in 6 groups; few/v1; self-scored; edit_success|enc:" in parsed[0].notes
    assert all(result.verify_token is None for result in parsed)


def test_the_hub_reads_the_model_index(entry):
    """The older format survives huggingface_hub's own reading, and a model card with it can be written."""
    name, results = model_index_to_eval_results(model_index(entry, DATASET, URL))

    assert name == "good"
    assert {result.task_type for result in results} == {"image-to-image"}
    assert [result.metric_value for result in results] == [one.value for one in hub_results(entry)]
    assert "model-index" in ModelCardData(model_name=name, eval_results=results).to_yaml()


def test_every_eval_ever_has_the_interval_and_the_range(entry):
    """Scores lie in their declared range, uncertainty is finite, directions are said, and names are UUIDs."""
    record = every_eval_ever(entry, DATASET, URL)

    assert {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library",
            "evaluation_results"} == set(record)  # fmt: skip
    assert record["retrieved_timestamp"].isdigit()
    for result in record["evaluation_results"]:
        config, details = result["metric_config"], result["score_details"]
        interval = details["uncertainty"]["confidence_interval"]
        assert config["min_score"] <= details["score"] <= config["max_score"]
        assert interval["lower"] <= details["score"] <= interval["upper"]
        assert math.isfinite(interval["lower"] + interval["upper"])
        assert config["lower_is_better"] is False
    assert every_eval_ever_path(entry).split("/")[-1][14] == "4"
    json.dumps(record, allow_nan=False)


def test_less_is_better_is_turned_round_or_left_out(entry):
    """The Hub sorts upwards: of a distance in [0, 1] one less it is hub_results, another distance is not."""
    mean = entry.run.record.metrics["edit_success"]
    metrics = {"clip_directional_similarity:loss": mean, "edit_success": mean}
    record = entry.run.record.model_copy(update={"metrics": metrics})
    turned = list(hub_results(replace(entry, run=replace(entry.run, record=record))))
    loss = METRICS.get("clip_directional_similarity:loss")

    assert (loss.lowest, loss.highest) == (0, 2)
    assert [one.task_id for one in turned] == ["few_edit_success"]


def test_the_command_writes_all_formats(small_leaderboard, tmp_path):
    """Files as they go into the model's repository and into the collection."""
    arguments = ["leaderboard", "export", "few/v1/good", "--dataset-id", DATASET, "--url", URL]
    arguments += ["--output", str(tmp_path), "--leaderboard", str(small_leaderboard.root), "--json"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)

    assert len(json.loads(done.stdout)["written"]) == 3
    assert len(parse_eval_result_entries(yaml.safe_load((tmp_path / ".eval_results/few.yaml").read_text()))) == 3
