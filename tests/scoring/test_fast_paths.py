"""What makes scoring fast changes no number: short texts, pictures read once, chunks of items, compiled networks."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from evalkit.comparison.compare import compare
from evalkit.edits.open import open_folder
from evalkit.encoders.base import Preprocess
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.errors import RunError
from evalkit.images.decode import decode_image, read_image
from evalkit.metrics.base import get_metrics
from evalkit.metrics.features import VectorFeature
from evalkit.scores.run import read_run
from evalkit.scoring import score as run_module
from evalkit.scoring import units
from evalkit.scoring.features import Features, FeatureStore
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.requests import Content, Request
from evalkit.scoring.score import score_into
from tests.support.fakes import FakeEncoder, make_edit_folder, make_items, save_picture, write_folder

TEXTS = ["a", "a photo of a red dog", "", "a very " * 60 + "long one", "two cats on a mat"]
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is known from other tests."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


def pictures(encoders, paths):
    """Requests for the vectors of pictures through encoders."""
    features = [VectorFeature(field="edited_image", encoder=name) for name in encoders]
    return {f.key: Request(f, dict.fromkeys(Content(files=(path,)) for path in paths)) for f in features}


def plain(encoder, texts):
    """The texts through the library's own function, padded to the full length."""
    network = encoder._loaded()._network
    model, tokens = network.model, network.tokenize(texts)
    with torch.inference_mode():
        if isinstance(model, open_clip.CLIP):
            return model.encode_text(tokens, normalize=False).numpy()
        output = model.get_text_features(input_ids=tokens)
        return getattr(output, "pooler_output", output).numpy()


@pytest.mark.parametrize("spec", ["tiny_open_clip", "tiny_transformers_clip", "tiny_siglip"])
def test_texts_without_their_padding_are_the_same_texts(spec, request):
    """Padding that a causal network never looks at is left out; one that does look (SigLIP) gets it."""
    encoder = open_encoder(request.getfixturevalue(spec), device="cpu")
    network = encoder._loaded()._network

    expected = plain(encoder, TEXTS)
    together = encoder.encode_texts(TEXTS)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])

    scale = np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(together - expected).max() < TOLERANCE * scale.max()
    assert np.abs(alone - expected).max() < TOLERANCE * scale.max()
    assert network.ignores_padding == (spec != "tiny_siglip")


def test_short_texts_take_few_columns(tiny_open_clip, monkeypatch):
    """What the network is given is as long as each text with its end token, in eights, and always four texts."""
    encoder = open_encoder(tiny_open_clip, device="cpu")
    loaded, shapes = encoder._loaded(), []
    network = loaded._network

    def watched(tokens):
        shapes.append(tuple(tokens.shape))
        return network.embed_texts(tokens)

    monkeypatch.setattr(loaded, "_network", replace(network, embed_texts=watched))

    encoder.encode_texts(["a", "a dog in the snow and a cat", "a dog"])

    assert shapes == [(4, 8), (4, 16)]  # start, words, end, one more


def test_a_picture_is_read_once_for_all_encoders(tmp_path, tiny_open_clip, tiny_transformers_clip, monkeypatch):
    """Three networks share the decoding, and where they see alike the resizing; the vectors are the plain ones."""
    specs = {"one": tiny_open_clip, "two": tiny_transformers_clip, "three": "miniature"}
    encoders = {name: open_encoder(spec, device="cpu") for name, spec in specs.items()}
    paths = [item.edited_image for item in make_items(tmp_path, 7)]
    opened, applied = [], []

    def counted(data, name):
        opened.append(Path(name))
        return decode_image(data, name)

    def resized(self, image):
        applied.append(self.label)
        return apply(self, image)

    apply = Preprocess.apply
    monkeypatch.setattr(units, "decode_image", counted)
    monkeypatch.setattr(Preprocess, "apply", resized)
    with EmbeddingCache.in_memory() as cache:
        prepared = Features(encoders, cache, batch_size=3)
        prepared.prepare(pictures(specs, paths))
        assert sorted(opened) == sorted(paths)
        assert len(applied) == len(paths) * len({encoder.spec.preprocess.label for encoder in encoders.values()})
        assert prepared.n_computed["image"] == 3 * len(paths)
        for encoder in encoders.values():
            digests = [prepared._digest_of(Content(files=(path,))) for path in paths]
            found = cache.get_many(encoder.spec.cache_key, "image", digests)
            for path, digest in zip(paths, digests, strict=True):
                alone = encoder.encode_images(encoder.spec.preprocess.apply(read_image(path))[None])[0]
                np.testing.assert_allclose(found[digest], alone, atol=TOLERANCE * np.abs(alone).max())


def test_vectors_are_kept_while_the_next_batch_is_encoded(tmp_path, monkeypatch):
    """The network does not wait for the cache: a batch is written down while the one after it is on its way."""
    begun, overlapped = [threading.Event() for _ in range(3)], []

    class Watched(FakeEncoder):
        def encode_images(self, pixels):
            begun[len(self.batches)].set()
            return super().encode_images(pixels)

    def put(self, *given):
        if len(overlapped) < 2:
            overlapped.append(begun[len(overlapped) + 1].wait(timeout=20))
        return keep(self, *given)

    keep = FeatureStore.put
    monkeypatch.setattr(FeatureStore, "put", put)
    paths = [save_picture(tmp_path / f"{number}.png", number) for number in range(6)]
    with EmbeddingCache.in_memory() as cache:
        prepared = Features({"clip": Watched()}, cache, batch_size=2)
        prepared.prepare(pictures(["clip"], paths))

    assert overlapped == [True, True]
    assert prepared.n_computed["image"] == len(paths)


def test_chunks_of_items_change_no_score(tmp_path, monkeypatch):
    """A folder that is scored in many chunks gives the table, the digest and the problems of one that is not."""
    items = make_items(tmp_path, 23, 5)
    folder = make_edit_folder(tmp_path, [*items, replace(items[3], item_id="twin", target_caption="Another twin.")])
    runs = []
    for chunk in (1000, 4):
        monkeypatch.setattr(run_module, "CHUNK", chunk)
        with EmbeddingCache.in_memory() as cache:
            metrics = get_metrics(["clip_score", "clip_directional_similarity", "l1"])
            runs.append(run_module.score_folder(folder, metrics, {"clip": FakeEncoder()}, cache))
    whole, parts = (run.record for run in runs)
    assert parts.folder == whole.folder
    assert parts.problems == whole.problems != []
    assert (parts.n_encoded_images, parts.n_encoded_texts) == (whole.n_encoded_images, whole.n_encoded_texts)
    for name in whole.metrics:
        values = [run.table.item_means(name).values for run in runs]
        np.testing.assert_allclose(values[1], values[0], atol=TOLERANCE)


def test_a_compiled_network_gives_the_same_vectors_under_another_signature(tmp_path, tiny_open_clip, monkeypatch):
    """The numbers agree to 1e-5, the signature says that it was compiled, and the two are not compared unawares."""
    compile_network = torch.compile
    # Dynamo traces as always; the code generator behind it is left out, as it takes a minute.
    monkeypatch.setattr(torch, "compile", lambda function: compile_network(function, backend="eager"))
    folder = open_folder(write_folder(tmp_path / "edits"))
    for name in ("plain", "compiled"):
        options = ScoreOptions(encoder=tiny_open_clip, name=name, compiled=name == "compiled")
        score_into(tmp_path / name, folder, options)

    plain_run, compiled_run = (read_run(tmp_path / name) for name in ("plain", "compiled"))
    assert compiled_run.record.n_encoded_images == plain_run.record.n_encoded_images > 0
    assert "|dtype:fp32|" in plain_run.record.metrics["clip_score"].signature
    assert "|dtype:fp32+compiled|" in compiled_run.record.metrics["clip_score"].signature
    for name in plain_run.table.metrics:
        values = [run.table.item_means(name).values for run in (plain_run, compiled_run)]
        np.testing.assert_allclose(values[1], values[0], atol=TOLERANCE)
    with pytest.raises(RunError, match=r"differ in dtype .* with or without --compile"):
        compare([tmp_path / "plain", tmp_path / "compiled"])
