"""The networks behind the encoder protocol: agreement between backends, and what must not change a number."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evalkit.encoders.base import EncoderSpec, Preprocess, weights_digest
from evalkit.encoders.load import open_encoder
from evalkit.errors import EncoderError, OptionError
from tests.support import models

CAPTIONS = [
    "A photo of a cat.",
    "A PHOTO of a dog's ball, isn't it?",
    "  two\tspaces \n and a line ",
    "100% of 3.14, don't we'll they've I'd",
    "naïve café, CAFÉ, ß and ŒUVRE",
    "日本語の猫 🎨",
    'under_score (e) [f] {g} "quoted"',
    "",
]


def directory_of(spec: str) -> Path:
    """The directory that a specification from :mod:`tests.support.models` means."""
    return Path(spec.rpartition(":")[2])


def pixels(n: int, size: int = models.SIDE, seed: int = 0) -> np.ndarray:
    """A batch of noise."""
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def through_open_clip(tiny_open_clip):
    """The small network by way of open_clip."""
    return open_encoder(tiny_open_clip, device="cpu")


@pytest.fixture(scope="module")
def through_transformers(tiny_transformers_clip):
    """The same weights by way of transformers."""
    return open_encoder(tiny_transformers_clip, device="cpu")


@pytest.fixture(scope="module")
def siglip(tiny_siglip):
    """A small SigLIP."""
    return open_encoder(tiny_siglip, device="cpu")


def test_both_backends_agree_on_images(through_open_clip, through_transformers):
    """The same weights give the same image embeddings, before and after normalisation."""
    ours, theirs = (encoder.encode_images(pixels(6)) for encoder in (through_open_clip, through_transformers))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(unit(ours), unit(theirs), atol=1e-5)


def test_both_backends_agree_on_texts(through_open_clip, through_transformers):
    """Case, spaces, contractions, accents, scripts and punctuation are read alike, and captions are told apart."""
    ours, theirs = (encoder.encode_texts(CAPTIONS) for encoder in (through_open_clip, through_transformers))
    np.testing.assert_allclose(unit(ours), unit(theirs), atol=1e-5)
    cosines = unit(ours) @ unit(ours).T
    assert (cosines - np.eye(len(CAPTIONS))).max() < 0.999


@pytest.mark.parametrize("caption", ["don’t", "ﬁne", "salt &amp; pepper", "ｆｕｌｌ width"])
def test_only_open_clip_repairs_text(through_open_clip, through_transformers, caption):
    """Curly apostrophes, ligatures, entities and full-width letters are cleaned by open_clip alone."""
    ours, theirs = (encoder.encode_texts([caption]) for encoder in (through_open_clip, through_transformers))
    assert np.abs(unit(ours) - unit(theirs)).max() > 1e-3
    assert through_open_clip.spec.tokenizer != through_transformers.spec.tokenizer


@pytest.fixture
def large_directory():
    """A directory for a gigabyte, gone after the test (pytest would keep it)."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.slow
def test_both_backends_agree_on_the_true_architecture(large_directory):
    """ViT-B/32 at random weights, saved as a checkpoint file for one backend and as a directory for the other."""
    import open_clip
    import transformers
    from safetensors.torch import load_file

    checkpoint, directory = large_directory / "b32.safetensors", large_directory / "b32"
    spec = models.write_true_checkpoint(checkpoint)
    with torch.device("meta"):
        source = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu"))
        model = transformers.CLIPModel(transformers.CLIPConfig())
    source.load_state_dict(load_file(checkpoint), assign=True)
    models.write_transformers(directory, model, source, side=224)
    ours, theirs = (open_encoder(name, device="cpu") for name in (spec, f"transformers:{directory}"))
    assert ours.spec.preprocess == theirs.spec.preprocess
    batch = pixels(2, 224)
    np.testing.assert_allclose(unit(ours.encode_images(batch)), unit(theirs.encode_images(batch)), atol=1e-5)
    texts = CAPTIONS[:3]
    np.testing.assert_allclose(unit(ours.encode_texts(texts)), unit(theirs.encode_texts(texts)), atol=1e-5)


@pytest.mark.parametrize("name", ["through_open_clip", "through_transformers", "siglip"])
def test_long_captions_do_not_collapse(request, name):
    """Two unrelated captions of a hundred words stay apart, as they do not where the end token is cut off."""
    encoder = request.getfixturevalue(name)
    long = ["a cat in the snow on red grass " * 15, "another dog after one photo of the word " * 13]
    first, second = unit(encoder.encode_texts(long))
    assert first @ second < 0.99
    cut, more = unit(encoder.encode_texts([long[0], long[0] + " with more words that nobody reads"]))
    np.testing.assert_allclose(cut, more, atol=1e-6)


@pytest.mark.parametrize("name", ["through_open_clip", "through_transformers", "siglip"])
def test_batches_change_no_score(request, name):
    """An image or text has the same embedding, to the last bit, alone, in a batch, and at any place of it."""
    encoder = request.getfixturevalue(name)
    batch, texts, order = pixels(7), [*CAPTIONS[:6], CAPTIONS[0] * 9], [3, 1, 6, 0, 5, 2, 4]
    whole = encoder.encode_images(batch)
    np.testing.assert_array_equal(encoder.encode_images(batch[order]), whole[order])
    np.testing.assert_array_equal(np.concatenate([encoder.encode_images(each[None]) for each in batch]), whole)
    whole = encoder.encode_texts(texts)
    np.testing.assert_array_equal(encoder.encode_texts([texts[index] for index in order]), whole[order])
    np.testing.assert_array_equal(np.concatenate([encoder.encode_texts([text]) for text in texts]), whole)


def test_siglip_is_encoded_as_its_own_pipeline_does(siglip, tiny_siglip):
    """Squashed, scaled to −1…1, and padded to the full length: the numbers of transformers' own processor and model."""
    import transformers
    from PIL import Image

    directory = directory_of(tiny_siglip)
    model = transformers.SiglipModel.from_pretrained(directory).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    spec = siglip.spec
    assert (spec.preprocess.mode, spec.preprocess.mean, spec.preprocess.std) == ("squash", (0.5,) * 3, (0.5,) * 3)
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    image = Image.fromarray(
        np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[::-1], (64, 1)), np.tile(ramp, (64, 1))], -1)
    )
    texts = ["A photo of the cat", "dog in snow"]
    with torch.inference_mode():
        tokens = tokenizer(texts, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
        outputs = model(input_ids=tokens["input_ids"], **processor(image, return_tensors="pt"))
    ours = unit(siglip.encode_images(spec.preprocess.apply(image)[None]))
    np.testing.assert_allclose(ours, unit(outputs.image_embeds.numpy()), atol=2e-3)  # its resize rounds otherwise
    np.testing.assert_allclose(unit(siglip.encode_texts(texts)), unit(outputs.text_embeds.numpy()), atol=1e-5)


def test_low_precision_is_close_recorded_and_returned_as_float32(tiny_open_clip, through_open_clip):
    """bf16 and fp16 are other encoders with other fingerprints; what they give is near, and float32."""
    full = unit(through_open_clip.encode_images(pixels(4)))
    for dtype in ("bf16", "fp16"):
        encoder = open_encoder(tiny_open_clip, device="cpu", dtype=dtype)
        assert encoder.spec == replace(through_open_clip.spec, dtype=dtype)
        assert encoder.spec.fingerprint != through_open_clip.spec.fingerprint
        images, texts = encoder.encode_images(pixels(4)), encoder.encode_texts(CAPTIONS[:2])
        assert images.dtype == texts.dtype == np.float32
        distance = np.linalg.norm(unit(images) - full, axis=1).max()
        assert through_open_clip.spec.resolution < distance < encoder.spec.resolution


def test_float32_means_float32(through_open_clip):
    """A process that allows TF32 or bfloat16 for speed gets the same numbers, and keeps its settings."""
    before = through_open_clip.encode_images(pixels(2))
    settings = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        np.testing.assert_array_equal(through_open_clip.encode_images(pixels(2)), before)
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(settings[0])
        torch.backends.cudnn.allow_tf32 = settings[1]


def test_a_vector_that_is_not_finite_is_an_error(tmp_path):
    """Damaged weights, or numbers too large for the type, do not become scores."""
    spec = models.tiny_open_clip(tmp_path / "broken")
    path = tmp_path / "broken" / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    state["visual.proj"] *= 1e6
    save_file(state, path)
    assert np.isfinite(open_encoder(spec, device="cpu").encode_images(pixels(2))).all()
    with pytest.raises(EncoderError, match=r"2 of 2 vectors with NaN or infinity.*--dtype fp32"):
        open_encoder(spec, device="cpu", dtype="fp16").encode_images(pixels(2))


def test_a_batch_too_large_for_the_device_goes_in_parts(monkeypatch, tiny_open_clip):
    """As many images go at once as memory allows, found once and remembered; the numbers are the same to rounding."""
    encoder = open_encoder(tiny_open_clip, device="cpu")
    whole = encoder.encode_images(pixels(12))
    loaded, sizes = encoder._loaded(), []
    embed = loaded._network.embed_images

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return embed(batch)

    monkeypatch.setattr(loaded, "_network", replace(loaded._network, embed_images=small))
    assert np.abs(encoder.encode_images(pixels(12)) - whole).max() < 1e-5
    assert sizes == [4, 2, *[1] * 12]
    encoder.encode_images(pixels(12))
    assert sizes[14:] == [1] * 12


def test_a_device_without_memory_for_one_image_says_so(monkeypatch, tiny_open_clip):
    """It ends in the option that helps, not in a traceback."""

    def exhausted(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    encoder = open_encoder(tiny_open_clip, device="cpu")
    loaded = encoder._loaded()
    monkeypatch.setattr(loaded, "_network", replace(loaded._network, embed_images=exhausted))
    with pytest.raises(EncoderError, match=r"not even one input fits into its memory. .* --device cpu"):
        encoder.encode_images(pixels(6))


@pytest.mark.parametrize("wrong", [pixels(1, 16), pixels(1).astype(np.float32), pixels(0), pixels(1)[0]])
def test_pixels_of_another_kind_are_refused(through_open_clip, wrong):
    """Size, type and number of dimensions are checked: floats in 0…1 would pass for black pictures."""
    with pytest.raises(EncoderError, match=r"expected uint8 \(n, 32, 32, 3\)"):
        through_open_clip.encode_images(wrong)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU"])
def test_a_device_that_could_not_be_is_refused_at_once(tiny_open_clip, device):
    """Before anything is loaded."""
    with pytest.raises(OptionError, match="expected auto, cpu, cuda"):
        open_encoder(tiny_open_clip, device=device)


def test_a_type_that_could_not_be_is_refused_at_once(tiny_open_clip):
    """Before anything is loaded."""
    with pytest.raises(OptionError, match="expected fp32, bf16, fp16, got 'int8'"):
        open_encoder(tiny_open_clip, dtype="int8")


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(tiny_open_clip, device, monkeypatch):
    """On a machine with a processor only."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(OptionError, match=f"Device '{device}': torch .* sees cpu on this machine"):
        open_encoder(tiny_open_clip, device=device).encode_texts(["x"])


def test_auto_takes_the_best_device(monkeypatch):
    """CUDA before MPS before the processor."""
    from evalkit.encoders.network import resolve_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


# What is in a fingerprint -----------------------------------------------------------------------------------


def test_one_bit_of_one_weight_changes_the_digest():
    """Bytes, names, shapes and types count; order and memory layout do not."""
    state = {"a": torch.randn(3, 4), "b": torch.tensor(1.5), "c": torch.randn(4).to(torch.bfloat16)}
    before = weights_digest(state)
    assert weights_digest(dict(reversed(state.items()))) == before
    assert weights_digest({**state, "a": state["a"].T.contiguous().T}) == before
    flipped = state["a"].clone()
    flipped.view(torch.int32)[1, 2] ^= 1
    others = [
        {**state, "a": flipped},
        {**state, "a": state["a"].reshape(4, 3)},
        {**state, "a": state["a"].view(torch.int32)},
        {"d" if name == "a" else name: tensor for name, tensor in state.items()},
        {name: tensor for name, tensor in state.items() if name != "b"},
    ]
    assert len({before, *map(weights_digest, others)}) == len(others) + 1


def test_the_container_does_not_change_the_digest(tmp_path, tiny_open_clip, through_open_clip):
    """The same tensors as safetensors, as a torch file and inside a training checkpoint are the same weights."""
    from safetensors.torch import load_file

    source = directory_of(tiny_open_clip)
    state = load_file(source / "open_clip_model.safetensors")
    training = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    for name, content in (("plain", state), ("training", training)):
        directory = tmp_path / name
        directory.mkdir()
        shutil.copy(source / "open_clip_config.json", directory)
        torch.save(content, directory / "weights.pth")
        spec = open_encoder(f"open_clip:local-dir:{directory}", device="cpu").spec
        assert spec.weights_sha256 == through_open_clip.spec.weights_sha256
        assert replace(spec, name=through_open_clip.spec.name) == through_open_clip.spec


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"weights_sha256": "1" * 64},
        {"tokenizer": "other"},
        {"architecture": "other"},
        {"dtype": "bf16"},
        {"version": 2},
        *(
            {"preprocess": change}
            for change in (
                {"size": 9},
                {"mode": "squash"},
                {"interpolation": "bilinear"},
                {"mean": (0.5, 0.5, 0.4)},
                {"std": (0.5, 0.4, 0.5)},
            )
        ),
    ],
    ids=str,
)
def test_every_field_is_in_the_fingerprint_and_the_signature(change):
    """No choice that changes a number can be made without changing the cache's key and what a signature shows."""
    preprocess = Preprocess(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    spec = EncoderSpec(name="a/b/c", weights_sha256="0" * 64, preprocess=preprocess, tokenizer="t")
    if "preprocess" in change:
        change = {"preprocess": replace(preprocess, **change["preprocess"])}
    other = replace(spec, **change)
    assert other.fingerprint != spec.fingerprint
    shown, before = ((s.label, s.preprocess.label, s.dtype) for s in (other, spec))
    assert shown != before
    assert EncoderSpec.from_json(json.loads(json.dumps(other.as_json()))) == other


def test_what_a_directory_says_of_images_is_in_the_specification(tmp_path, through_open_clip):
    """Interpolation, mean, deviation and resize mode of an open_clip directory are followed."""
    changes = {"interpolation": "bilinear", "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3], "resize_mode": "squash"}
    spec = open_encoder(models.tiny_open_clip(tmp_path / "other", preprocess=changes), device="cpu").spec
    assert spec.preprocess == Preprocess(
        size=32, mode="squash", interpolation="bilinear", mean=(0.1, 0.2, 0.3), std=(1, 2, 3)
    )
    assert spec.weights_sha256 == through_open_clip.spec.weights_sha256
    assert spec.fingerprint != through_open_clip.spec.fingerprint


def test_the_activation_is_in_the_fingerprint(tmp_path, tiny_transformers_clip, through_transformers):
    """The same weights used with another activation, or another number of heads, are another encoder."""
    directory = tmp_path / "gelu"
    shutil.copytree(directory_of(tiny_transformers_clip), directory)
    config = json.loads((directory / "config.json").read_text())
    config["vision_config"]["hidden_act"] = "gelu"
    (directory / "config.json").write_text(json.dumps(config))
    spec = open_encoder(f"transformers:{directory}", device="cpu").spec
    assert spec.weights_sha256 == through_transformers.spec.weights_sha256
    assert spec.architecture != through_transformers.spec.architecture
    assert spec.label.partition("@")[2] != through_transformers.spec.label.partition("@")[2]


def test_the_tokenizer_is_in_the_fingerprint(tmp_path, tiny_transformers_clip, through_transformers):
    """A vocabulary with two words exchanged is another encoder."""
    directory = tmp_path / "words"
    shutil.copytree(directory_of(tiny_transformers_clip), directory)
    vocabulary = json.loads((directory / "vocab.json").read_text())
    vocabulary["cat</w>"], vocabulary["dog</w>"] = vocabulary["dog</w>"], vocabulary["cat</w>"]
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    spec = open_encoder(f"transformers:{directory}", device="cpu").spec
    assert spec.tokenizer != through_transformers.spec.tokenizer
