"""The miniature CLIPs that are shipped: ordinary transformers directories, small, and as good as their cards say."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel, CLIPTokenizer

from evalkit.benchmarks.shapes.edits import EDIT_TYPES, LISTS, edits
from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.world import Jitter, draw
from evalkit.encoders.load import open_encoder
from tests.studies.measure_miniature_clip import (
    CLAIM,
    SHIPPED,
    embed_images,
    embed_texts,
    measure,
    read_figures,
    render_card,
    retrieved,
    split,
)
from tests.support.scenes import in_version, paraphrases, scenes


@pytest.fixture(scope="module", params=SHIPPED)
def version(request):
    """Of the shapes world, and of the model that was trained on it."""
    return request.param


@pytest.fixture(scope="module")
def directory(version):
    """The model's."""
    return SHIPPED[version]


@pytest.fixture(scope="module")
def model(directory):
    """The network, through plain transformers."""
    return CLIPModel.from_pretrained(directory).eval()


@pytest.fixture(scope="module")
def tokenizer(directory):
    """Its tokenizer, through plain transformers."""
    return CLIPTokenizer.from_pretrained(directory)


def test_the_whole_directory_is_small(directory):
    """Weights, vocabulary and card together stay below two megabytes."""
    assert sum(path.stat().st_size for path in directory.iterdir()) < 2_000_000


def test_training_saw_nothing_that_is_measured(version):
    """Training scenes, retrieval scenes and the lists' scenes share none, and are all there are."""
    training, held_out = (set(part) for part in split(version))
    lists = [made.name for made in LISTS.values() if made.version == version]
    asked = [edit for listed in lists for edit in edits(listed)]
    benchmark = {replace(scene, details=None) for edit in asked for scene in (edit.source, edit.target, edit.wrong)}

    assert not training & held_out
    assert not training & benchmark
    assert not held_out & benchmark
    assert training | held_out | benchmark == set(scenes())


def test_the_card_holds(version, directory, model, tokenizer):
    """Measured again, every figure of the card but the painted ones is within one item in a hundred of it."""
    stated, found = asdict(read_figures(directory)), asdict(measure(model, tokenizer, listed=CLAIM[version]))
    stated["painted"] = None

    by_type = {name: figures.pop("paired_by_type") for name, figures in (("stated", stated), ("found", found))}
    assert found == pytest.approx(stated, abs=0.01)
    assert by_type["found"] == pytest.approx(by_type["stated"], abs=0.06)
    assert set(by_type["found"]) == set(EDIT_TYPES)


def test_the_card_states_what_was_measured(version, directory):
    """The card's text is made from the figures file and the weights' size, and typed by nobody."""
    expected = render_card(read_figures(directory), (directory / "model.safetensors").stat().st_size, version)

    assert (directory / "README.md").read_text(encoding="utf-8") == expected


def test_the_card_meets_the_aim(version, directory):
    """At least 95 % of retrieval both ways and of the paired comparison."""
    figures = read_figures(directory)

    assert min(figures.image_to_text, figures.text_to_image, figures.paired_all) >= 0.95
    assert figures.n_captions == len(retrieved(CLAIM[version]))
    assert figures.n_pairs == len(edits(CLAIM[version]))


def test_any_wording_finds_its_picture(version, model, tokenizer):
    """Other wordings than the benchmark's own caption lie nearer to their picture than other scenes' captions."""
    kept = split(version)[1][:60]
    rng = np.random.default_rng(1)
    images = embed_images(model, [draw(in_version(scene, version, rng), Jitter.sample(rng)) for scene in kept])
    captions = embed_texts(model, tokenizer, [caption(scene) for scene in kept])
    for wording in range(1, len(paraphrases(kept[0]))):
        texts = embed_texts(model, tokenizer, [paraphrases(scene)[wording] for scene in kept])
        own = (images * texts).sum(axis=1)
        other = images @ captions.T - 2 * np.eye(len(kept))
        assert np.mean(own > other.max(axis=1)) >= 0.8


@pytest.mark.parametrize("text", ["", "naïve Ω 日本語 🎨", "a photo of a CAT, please!", "word " * 200])
def test_any_text_can_be_read(model, tokenizer, text):
    """Words that no caption has are spelled in bytes; nothing is unknown to the vocabulary, nothing crashes."""
    tokens = tokenizer(text, truncation=True, return_tensors="pt")

    inner = tokens["input_ids"][0, 1:-1].tolist()
    assert tokenizer.unk_token_id not in inner
    assert tokens["input_ids"].shape[1] <= model.config.text_config.max_position_embeddings
    assert tokens["input_ids"][0, -1] == tokenizer.eos_token_id == model.config.text_config.eos_token_id
    assert np.isfinite(embed_texts(model, tokenizer, [text])).all()


def test_a_word_of_the_grammar_is_one_token(tokenizer):
    """Captions are as short as they can be."""
    scene = next(iter(scenes()))

    assert len(tokenizer.tokenize(caption(scene))) == len(caption(scene).split()) + 1


def test_every_tokenizer_file_says_the_same(directory, tokenizer):
    """The old pair of files and the new single one give the same tokens."""
    table = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
    merges = (directory / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    rebuilt = CLIPTokenizer(vocab=table, merges=[tuple(line.split()) for line in merges])
    automatic = AutoTokenizer.from_pretrained(directory)

    for text in (*paraphrases(next(iter(scenes()))), "Something ELSE, naïve"):
        assert rebuilt(text)["input_ids"] == automatic(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_the_encoder_of_that_name_is_this_model(version, model, tokenizer):
    """``--encoder miniature`` and ``miniature:v2`` give the vectors of plain transformers on these files."""
    encoder = open_encoder({"1": "miniature", "2": "miniature:v2"}[version], device="cpu")
    pictures = np.stack([draw(edit.source, edit.jitter) for edit in edits()[:40:4]])
    texts = [caption(edit.source) for edit in edits()[:40:4]]

    images, words = encoder.encode_images(pictures), encoder.encode_texts(texts)

    assert encoder.spec.preprocess.label == "64-bicubic-aa-squash"
    np.testing.assert_allclose(_unit(images), embed_images(model, list(pictures)), atol=1e-5)
    np.testing.assert_allclose(_unit(words), embed_texts(model, tokenizer, texts), atol=1e-5)


def _unit(vectors):
    """Rows divided by their lengths."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_weights_are_plain_single_precision(directory):
    """Nothing but finite fp32 numbers is shipped."""
    from safetensors.torch import load_file

    for name, tensor in load_file(directory / "model.safetensors").items():
        assert tensor.dtype in (torch.float32, torch.int64), name
        assert torch.isfinite(tensor.float()).all(), name
