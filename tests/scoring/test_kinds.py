"""Features of every kind, from plug-ins, by explicit keys: nothing collides, and nothing stale is found."""

import json
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.edits.manifest import write_manifest
from evalkit.encoders import base
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.errors import OptionError
from evalkit.metrics.base import get_metrics
from evalkit.metrics.features import PairFeature
from evalkit.scores.run import read_run
from evalkit.scoring.score import score_folder
from tests.support.fakes import FakeEncoder, make_edit_folder, make_items
from tests.support.kinds import BLUE, GREEN, JUDGED, RED, channel_mean, first, install_kinds, make


@pytest.fixture
def colour(tmp_path):
    """An edit folder of one edit of the colour (200, 120, 50), of a source of (10, 20, 30)."""
    (item,) = make_items(tmp_path / "colour", 1, 1)
    Image.new("RGB", (16, 16), (200, 120, 50)).save(item.edited_image)
    Image.new("RGB", (16, 16), (10, 20, 30)).save(item.source_image)
    return make_edit_folder(
        tmp_path / "colour", [replace(item, instruction="Make it warm", reference_image=item.source_image)]
    )


def values(folder, metrics, cache):
    """Each metric's value of the only item."""
    return score_folder(folder, metrics, {}, cache).table.rows[0].values


@pytest.mark.parametrize("order", [(RED, BLUE, GREEN), (GREEN, BLUE, RED)])
def test_measures_made_by_one_factory_are_told_apart(colour, order):
    """In one run, and one after the other with one cache; a functools.partial is a measure like any other."""
    expected = {"red": 200.0, "blue": 50.0, "green": 120.0}
    with EmbeddingCache.in_memory() as cache:
        for metric in order:
            assert values(colour, [metric], cache) == {metric.name: expected[metric.name]}
        assert values(colour, order, cache) == expected
    with EmbeddingCache.in_memory() as cache:
        assert values(colour, order, cache) == expected


def test_two_functions_under_one_name_are_refused(colour):
    """A name and a version stand for one function: what else would be found in the cache is another's."""
    one, two = (make(n, first, numbers=PairFeature(name="mine", measure=channel_mean(k))) for k, n in enumerate("ab"))
    with (
        EmbeddingCache.in_memory() as cache,
        pytest.raises(OptionError, match=r"metrics a and b have different functions"),
    ):
        values(colour, [one, two], cache)
    newer = make("b", first, numbers=replace(two.features["numbers"], version=2))
    other = make("c", first, numbers=replace(two.features["numbers"], parameters={"channel": 1}))
    with EmbeddingCache.in_memory() as cache:
        assert values(colour, [one, newer, other], cache) == {"a": 200.0, "b": 120.0, "c": 120.0}


@pytest.mark.parametrize("upgraded", ["pillow", "numpy", "decoder", "torch"])
def test_after_an_upgrade_nothing_stale_is_served(tmp_path, monkeypatch, upgraded):
    """Whatever decodes, resizes or computes has its version in the key, and the record names what computed."""
    folder, metrics = make_edit_folder(tmp_path, make_items(tmp_path, 4, 2)), get_metrics(["clip_score", "l1"])

    def run(cache):
        return score_folder(
            folder, metrics, {"clip": open_encoder("miniature", device="cpu", cache=cache)}, cache
        ).record

    installed = metadata.version
    with EmbeddingCache.in_memory() as cache:
        assert run(cache).n_compared_pairs == 4
        assert run(cache).n_encoded_images == 0
        if upgraded == "decoder":
            monkeypatch.setattr(base, "RULES_VERSION", "next")
        else:
            monkeypatch.setattr(metadata, "version", lambda name: "99" if name == upgraded else installed(name))
        after = run(cache)
        assert after.n_compared_pairs == (0 if upgraded == "torch" else 4)
        assert after.n_encoded_images == (0 if upgraded == "numpy" else 4)
        assert upgraded == "decoder" or after.versions[upgraded] == "99"


def test_every_kind_of_metric_is_scored_by_the_command(colour, tmp_path, monkeypatch):
    """Pairs with source or reference, two networks in one metric, judges with and without a network: from a plug-in."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(install_kinds(tmp_path / "site"))
    write_manifest(tmp_path / "colour", colour.items)
    names = ["red", "red_of_reference", "two_networks", "judged", "judged_by_network", "l1_reference", "mse_reference"]
    arguments = ["score", str(tmp_path / "colour"), "--encoder", "miniature", "--metrics", ",".join(names)]
    for run in ("cold", "warm"):
        done = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / run), "--json"])
        assert done.exit_code == 0, done.stderr
    cold, warm = (read_run(tmp_path / run) for run in ("cold", "warm"))
    assert warm.table == cold.table
    assert (warm.record.n_encoded_images, warm.record.n_compared_pairs) == (0, 0)
    scores = cold.table.rows[0].values
    assert {name: scores[name] for name in ("red", "red_of_reference", "judged", "judged_by_network")} == {
        "red": 200.0,
        "red_of_reference": 10.0,
        "judged": 4.0,  # "Another thing, number 0."
        "judged_by_network": 16.0,
    }
    assert scores["l1_reference"] == pytest.approx((190 + 100 + 20) / 3 / 255, rel=1e-15)
    assert scores["two_networks"] > 200
    signatures = {name: summary.signature for name, summary in cold.record.metrics.items()}
    assert "|enc:miniature/clip@" in signatures["two_networks"]
    assert "+colours/mean@" in signatures["two_networks"]
    assert "|enc:judge/word_counter|" in signatures["judged"]
    assert "|v:1.3|" in signatures["judged"]
    assert "|img:reference-bicubic-aa|" in signatures["l1_reference"]


def test_a_judge_is_asked_once_per_item_and_what_it_lacks_is_a_reason(tmp_path):
    """The key holds what it was shown, not who was asked for; an item without a caption has no number."""
    items = make_items(tmp_path, 6, 2)
    items[2] = replace(items[2], target_caption=None)
    asked = []

    class Counting:
        name, version = "counting", 1

        def __call__(self, item):
            asked.append(item.target_caption)
            return [float(np.asarray(item.edited_image).mean())]

    metric = replace(JUDGED, features={"numbers": replace(JUDGED.features["numbers"], judge=Counting())})
    with EmbeddingCache.in_memory() as cache:
        for _ in range(2):
            table = score_folder(make_edit_folder(tmp_path, items), [metric], {"clip": FakeEncoder()}, cache).table
        assert {encoder.label: encoder.n_items for encoder in cache.info().encoders} == {
            "images/facts": 0,
            "judge/word_counter": 5,
        }
    assert len(asked) == 5
    assert table.rows[2].reasons == {"judged": "no_target_caption"}


def test_a_metric_with_a_fault_is_listed_as_broken(tmp_path, monkeypatch):
    """``list`` shows the sentence, and asking for the metric ends in it."""
    monkeypatch.syspath_prepend(install_kinds(tmp_path / "site"))
    listed = {row["name"]: row for row in json.loads(CliRunner().invoke(main, ["list", "metrics", "--json"]).stdout)}
    assert listed["two_networks"]["error"] is None
    assert listed["no_features"]["error"].startswith("The metric no_features is wrong: it has no features")
    done = CliRunner().invoke(main, ["score", str(tmp_path), "--metrics", "no_features"])
    assert done.exit_code == 1
