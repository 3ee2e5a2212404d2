"""Which network stands behind which metric, PickScore among them, and where their weights come from."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.encoders.pick_score import PROCESSOR, REPO
from evalkit.errors import OptionError
from evalkit.metrics.base import METRICS, get_metrics
from evalkit.scoring.encoders import open_encoders
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from tests.support.downloads import ask, digest_of, files_of
from tests.support.fakes import make_edit_folder, make_items
from tests.support.hub import HubServer
from tests.support.models import SIDE, tiny_dino

RECOGNISERS = {"shapes_recogniser", "shapes_recogniser_v2"}
NETWORK_METRICS = [name for name in METRICS.names() if set(METRICS.get(name).encoders) - {"clip", *RECOGNISERS}]


def test_pick_score_is_what_transformers_calls_the_logits(tiny_transformers_clip):
    """The learnt temperature times the cosine, through the whole of transformers' model, to 1e-5."""
    import transformers

    directory = tiny_transformers_clip.partition(":")[2]
    encoder = open_encoder(f"pick_score:{directory}", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    texts = ["a cat", "a dog in snow", "red grass"]
    arrays = {"edited_image": encoder.encode_images(pixels), "target_caption": encoder.encode_texts(texts)}
    ours = METRICS.get("pick_score").compute(arrays, resolution=0.0).values
    model = transformers.CLIPModel.from_pretrained(directory).eval()
    processor = transformers.CLIPImageProcessor.from_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    with torch.inference_mode():
        batch = {
            **tokenizer(texts, padding=True, return_tensors="pt"),
            **processor([Image.fromarray(p) for p in pixels], return_tensors="pt"),
        }
        theirs = model(**batch).logits_per_image.diagonal().numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours).max() > 0.1


def test_pick_score_of_a_vector_that_is_not_there_is_undefined():
    """No number comes of a zero or an infinite vector."""
    bad = np.array([[0.0, 0.0], [np.inf, 0.0]])
    scores = METRICS.get("pick_score").compute({"edited_image": bad, "target_caption": np.ones((2, 2))}, resolution=0.0)
    assert scores.reasons == ("not_finite", "not_finite")


@pytest.mark.slow
def test_pick_score_takes_weights_and_tokenizer_from_two_repositories(tmp_path, tiny_transformers_clip):
    """Its authors publish the weights alone and use the tokenizer of the network that they started from."""
    files = files_of(tiny_transformers_clip)
    weights = {name: data for name, data in files.items() if name in ("config.json", "model.safetensors")}
    with HubServer() as hub:
        hub.add_repo("model", REPO, weights)
        hub.add_repo("model", PROCESSOR, {name: data for name, data in files.items() if name not in weights})
        said = ask(hub.environment(tmp_path), "pick_score")
    assert json.loads(said) == [f"pick_score/{REPO}", digest_of(tiny_transformers_clip)]


@pytest.mark.slow
def test_dino_comes_from_the_hub_and_its_absence_names_both_ways_out(tmp_path):
    """A repository is fetched like any other; where there is none, a local copy or leaving it out are the ways."""
    tiny_dino("vit", tmp_path / "vit")
    with HubServer() as hub:
        hub.add_repo("model", "facebook/dino-vits16", files_of(f"dino:{tmp_path / 'vit'}"))
        found, absent, pick = ask(hub.environment(tmp_path), "dino", "dinov2", "pick_score").splitlines()
    assert json.loads(found)[0] == "dino/facebook/dino-vits16"
    assert absent.startswith("WeightsError: The weights of DINOv2, facebook/dinov2-base, cannot be downloaded")
    assert "--encoder dinov2:<directory>. Or leave out the metrics that need them: --metrics" in absent
    assert "--encoder pick_score:<directory>. Or leave the metric out" in pick
    assert "miniature" not in absent + pick


def test_an_encoder_stands_behind_the_metric_that_goes_by_its_name():
    """Specifications find their places by backend, in any order; two for one place are refused."""
    metrics = get_metrics(["clip_score", "lpips", "dino_image_similarity", "l1"])
    with EmbeddingCache.in_memory() as cache:

        def opening(*specs):
            options = ScoreOptions(encoder=specs, default_encoder="miniature", device="cpu")
            return open_encoders(metrics, options, cache=cache)

        opened = opening("dino:/a", "miniature", "lpips_alex:/b")
        requests = {name: encoder._request for name, encoder in opened.items()}
        assert requests == {"clip": "miniature", "lpips_alex": "lpips_alex:/b", "dino": "dino:/a"}
        opened = opening("dino:/a")
        assert opened["clip"]._request == "miniature"
        assert opened["lpips_alex"]._request == "lpips_alex"
        with pytest.raises(OptionError, match="'miniature' and 'transformers:x' are both for the CLIP metrics"):
            opening("miniature", "transformers:x")
        with pytest.raises(OptionError, match="both for 'dino'"):
            opening("dino:/a", "dino:/b")


def test_every_network_scores_a_folder_and_a_second_run_loads_none(
    tmp_path, backbones, tiny_transformers_clip, monkeypatch
):
    """All metrics with networks over one folder: what each saw is kept, and no network is read again."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    tiny_dino("vit", tmp_path / "vit")
    tiny_dino("dinov2", tmp_path / "dinov2")
    directory = tiny_transformers_clip.partition(":")[2]
    encoders = [
        *(f"lpips_{net}:{path}" for net, (path, _) in backbones.items()),
        *(f"{backend}:{tmp_path / 'vit'}" for backend in ("dino", "dino_structure", "dino_structure_pie_bench")),
        f"dinov2:{tmp_path / 'dinov2'}",
        f"pick_score:{directory}",
    ]
    items = make_items(tmp_path / "folder", 3, 2)
    for index, item in enumerate(items):
        noise = np.random.default_rng(index).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise[0]).save(item.edited_image)
        Image.fromarray(noise[1]).save(item.source_image)
    mask = Image.new("L", (40, 40))
    mask.paste(255, (5, 5, 20, 20))
    mask.save(tmp_path / "mask.png")
    more = {"edit_mask": tmp_path / "mask.png", "reference_image": items[0].source_image}
    folder = make_edit_folder(tmp_path / "folder", [replace(item, **more) for item in items])
    options = ScoreOptions(metrics=NETWORK_METRICS, encoder=encoders, device="cpu")
    first, second = (score_into(tmp_path / "run", folder, options) for _ in range(2))
    assert len(NETWORK_METRICS) == 11
    assert all(summary.n == 3 for summary in first.record.metrics.values())
    assert first.record.n_compared_pairs > 0
    assert (second.record.n_compared_pairs, second.record.n_encoded_images) == (0, 0)
    assert {encoder.device for encoder in second.record.encoders.values()} == {"none"}
    assert second.table == first.table
    signature = second.record.metrics["structure_distance"].signature
    assert "|enc:dino_structure/vit@" in signature
    assert "|img:source-bicubic-aa+224-bilinear-aa-squash|" in signature
    assert "|img:source-bicubic-aa+mask-nearest|" in second.record.metrics["lpips_background"].signature
