"""A checkpoint's activation: what its file tells, what its user must say, and that nothing is guessed in silence."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from evalkit.encoders.activation import spelled_out
from evalkit.encoders.load import open_encoder
from evalkit.errors import EncoderError, UnknownNameError, WeightsError
from tests.support import models

GELU = models.CONFIG | {"quick_gelu": False}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, models.SIDE, models.SIDE, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """A file of tensors for two architectures that differ in their activation alone."""
    import open_clip

    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"tiny": GELU, "tiny-quickgelu": models.CONFIG})
    path = tmp_path / "open_clip_model.safetensors"
    save_file(models.build_open_clip().state_dict(), path)
    return path


def opened(architecture, path):
    """The encoder of a file under an architecture."""
    encoder = open_encoder(f"open_clip:{architecture}/{path}", device="cpu")
    _ = encoder.spec
    return encoder


def refusal(architecture, path, kind=EncoderError):
    """The sentence with which it is refused."""
    with pytest.raises(kind) as failure:
        opened(architecture, path)
    return str(failure.value)


def test_tensors_alone_do_not_tell_so_the_user_must(weights):
    """A file of unknown origin under ``tiny`` is refused; both ways of saying it in full are accepted and differ."""
    message = refusal("tiny", weights)
    assert "cannot be told" in message
    assert f"tiny-quickgelu/{weights}" in message
    assert message.endswith(f"--encoder open_clip:tiny-gelu/{weights}")
    quick, plain = opened("tiny-quickgelu", weights), opened("tiny-gelu", weights)
    assert (quick.spec.name, plain.spec.name) == (
        f"open_clip/tiny-quickgelu/{weights.name}",
        f"open_clip/tiny/{weights.name}",
    )
    for encoder, config in ((quick, models.CONFIG), (plain, GELU)):
        preprocess, scaled = encoder.spec.preprocess, PIXELS / 255
        normalised = torch.tensor((scaled - preprocess.mean) / preprocess.std).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            expected = models.build_open_clip(config).encode_image(normalised)
        np.testing.assert_allclose(encoder.encode_images(PIXELS), expected, atol=1e-5)
    assert np.abs(quick.encode_images(PIXELS) - plain.encode_images(PIXELS)).max() > 1e-4
    assert quick.spec.label != plain.spec.label


@pytest.mark.parametrize(
    ("quick_gelu", "right", "wrong"), [(True, "tiny-quickgelu", "tiny"), (False, "tiny", "tiny-quickgelu")]
)
def test_the_configuration_beside_weights_tells(weights, quick_gelu, right, wrong):
    """Published with ``open_clip_config.json``, weights are opened under the right name alone."""
    config = weights.parent / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": models.CONFIG | {"quick_gelu": quick_gelu}}))
    assert opened(right, weights).spec.name == f"open_clip/{right}/{weights.name}"
    message = refusal(wrong, weights)
    assert str(config) in message
    assert message.endswith(f"--encoder open_clip:{right}/{weights}")
    if not quick_gelu:
        assert opened("tiny-gelu", weights).spec == opened("tiny", weights).spec


def test_a_configuration_tells_nothing_of_other_files(weights):
    """It describes the weights that it was published with, by their usual names, and no other file of the directory."""
    (weights.parent / "open_clip_config.json").write_text(json.dumps({"model_cfg": GELU}))
    other = weights.rename(weights.parent / "mine.safetensors")
    assert "cannot be told" in refusal("tiny", other)
    assert opened("tiny-quickgelu", other)


def test_a_configuration_that_is_none_is_named(weights):
    """It is not taken for GELU."""
    (weights.parent / "open_clip_config.json").write_text("[]")
    assert "expected a model_cfg" in refusal("tiny", weights)


@pytest.mark.parametrize("address", ["models/{whole}/ViT.pt", "v0.2-weights/vit_b_32-quickgelu-laion-{short}.pt"])
def test_the_digest_in_open_clips_list_tells(weights, monkeypatch, address):
    """OpenAI's addresses hold the SHA-256 of the file, open_clip's own its first eight digits."""
    from open_clip import pretrained

    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    listed = {"url": "https://example.org/" + address.format(whole=digest, short=digest[:8]), "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"theirs": listed})
    message = refusal("tiny", weights)
    assert "SHA-256 is that of open_clip's tiny/theirs" in message
    assert message.endswith(f"--encoder open_clip:tiny-quickgelu/{weights}")
    assert opened("tiny-quickgelu", weights)
    monkeypatch.setitem(
        pretrained._PRETRAINED, "tiny", {"theirs": {**listed, "url": "https://example.org/" + "0" * 64 + "/ViT.pt"}}
    )
    assert "cannot be told" in refusal("tiny", weights)


def test_open_clips_list_has_the_digests_of_openais_files():
    """The published SHA-256 of ViT-B/32 is found there, with its activation; so is that of a LAION file with GELU."""
    from evalkit.encoders.activation import _listed_digests

    listed = dict(_listed_digests(("ViT-B-32", "ViT-B-32-quickgelu")))
    assert listed["40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"].quick_gelu
    assert listed["d867053b"].quick_gelu
    assert not listed["af8dbd0c"].quick_gelu


@pytest.mark.parametrize(("config", "name"), [(models.CONFIG, "QuickGELU"), (GELU, "GELU")])
def test_a_torchscript_archive_is_recognised_by_its_code_and_not_run(weights, config, name):
    """OpenAI publishes such archives: they are refused under either name, with the one that its tensors need."""
    model, archive = models.build_open_clip(config), weights.with_suffix(".pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model.visual, torch.rand(1, 3, models.SIDE, models.SIDE), check_trace=False)
        traced.save(str(archive))
    for architecture in ("tiny", "tiny-quickgelu"):
        message = refusal(architecture, archive, WeightsError)
        assert f"a TorchScript archive, whose code computes {name};" in message
        assert message.endswith(f"--encoder open_clip:tiny-{name.lower()}/<file>")


def test_only_architectures_of_both_kinds_have_a_name_in_full():
    """``ViT-B-32-gelu`` stands for ViT-B-32; of an architecture without a twin there is nothing to say."""
    assert spelled_out("ViT-B-32-gelu") == ("ViT-B-32", True)
    assert spelled_out("ViT-B-32") == ("ViT-B-32", False)
    assert spelled_out("ViT-B-32-quickgelu") == ("ViT-B-32-quickgelu", True)
    assert spelled_out("ViT-B-32-256-gelu") == ("ViT-B-32-256-gelu", False)
    with pytest.raises(UnknownNameError, match="no architecture 'ViT-B-32-256-gelu'"):
        _ = open_encoder("open_clip:ViT-B-32-256-gelu/file.pt", device="cpu").spec
