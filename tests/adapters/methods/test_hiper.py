"""HiPer: the optimised end of an embedding, held against a loop that writes it out, and where it goes."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.hiper import HiPer
from evalkit_adapters.methods.text_to_image import TextToImage
from evalkit_adapters.seeding import seeded_generator
from tests.support import ddim, optimising
from tests.support.adapters import furthest, loaded, untouched
from tests.support.diffusion import tiny_model
from tests.support.pictures import noise_picture

SOURCE = "a small red circle"
ITEM = EditItem(item_id="a", source_caption=SOURCE, target_caption="a large blue square")
PICTURE = noise_picture((100, 80), 90)


def hiper(model, *, artefacts=None, progress=None, dtype="fp32", **settings):
    """The method in a few steps."""
    adapter = loaded(HiPer, model, **({"updates": 3, "rate": 1e-2, "steps": 2} | settings))
    adapter.run = replace(adapter.run, artefacts=artefacts, dtype=dtype)
    if progress:
        adapter.run = replace(adapter.run, progress=progress)
    return adapter


@pytest.mark.parametrize(("n_tokens", "checkpointing"), [(5, True), (5, False), (11, True)])
def test_the_end_is_optimised_as_published(model, n_tokens, checkpointing):
    """Adam on the last tokens of the source caption, without γ, to 1e-9; the model is left alone."""
    adapter = hiper(model, tokens=n_tokens, checkpointing=checkpointing)
    with untouched(model.unet), untouched(model.text_encoder), untouched(model.autoencoder):
        found = adapter.fit(PICTURE, SOURCE, seed=4)
    middle = PICTURE.crop((10, 0, 90, 80)).resize((64, 64), Image.Resampling.BILINEAR)
    clean, caption = model.encode(middle, sample=seeded_generator(4, "source")), model.embed(SOURCE)
    drawn = optimising.draws(seeded_generator(4, "hiper"), clean.shape)

    def gradients(now):
        tail = now[0].requires_grad_()
        whole = torch.cat([caption[:, : 48 - n_tokens], tail], dim=1)
        return optimising.slopes(lambda x, t: model.unet(x, t, whole).sample, clean, *next(drawn), [tail])

    (expected,) = optimising.adam([caption[:, 48 - n_tokens :]], gradients, 1e-2, 3)
    assert found.shape == (1, n_tokens, 32)
    assert furthest(found, expected) < 1e-9
    assert furthest(found, caption[:, 48 - n_tokens :]) > 0.01


@pytest.mark.parametrize(("settings", "gamma"), [({}, 0.8), ({"gamma": 1.0}, 1.0)])
def test_an_edit_is_sampled_with_gamma_times_the_end(model, settings, gamma):
    """DDIM written out, guided away from the plain empty caption, to 1e-9."""
    adapter = hiper(model, **settings)
    found = adapter.fit(PICTURE, SOURCE, seed=0)
    target, empty = model.embed(ITEM.target_caption), model.embed("")
    wanted = torch.cat([target[:, :43], gamma * found], dim=1)
    latent = ddim.sampled(
        model.initial_noise(7), ddim.grid(2), 500, lambda x, t: ddim.guided(model.unet, x, t, empty, wanted, 7.5)
    )
    assert furthest(adapter.edit(ITEM, found, seed=7), model.decode(latent)) < 1e-9
    plain = loaded(TextToImage, model, steps=2).edit(ITEM, None, seed=7)
    assert furthest(model.decode(latent), plain) > 1e-3


@pytest.mark.parametrize(("dtype", "stored"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_at_half_precision_the_end_is_float32(dtype, stored, monkeypatch):
    """And near that of full precision, to the size of a step; at fp16 the loss is scaled for the way back."""
    model, scaled, scale = tiny_model(dtype=torch.float32), set(), torch.amp.GradScaler.scale
    full = hiper(model).fit(PICTURE, SOURCE, seed=0)
    model.unet.to(stored)
    monkeypatch.setattr(
        torch.amp.GradScaler, "scale", lambda scaler, loss: scaled.add(scaler.is_enabled()) or scale(scaler, loss)
    )
    half = hiper(model, dtype=dtype).fit(PICTURE, SOURCE, seed=0)
    assert half.dtype == torch.float32
    assert not torch.equal(half, half.to(stored).float())
    assert (half - full).abs().mean() < 0.2 * 1e-2
    assert furthest(half, model.embed(SOURCE)[:, 43:]) > 0.01
    assert scaled == {dtype == "fp16"}


def caption_of(model, n_tokens):
    """A caption of so many tokens, its beginning and its end among them."""
    caption = " ".join(["red"] * (n_tokens - 2))
    ids = model.tokenizer(caption)["input_ids"]
    assert len(ids) == n_tokens
    return caption


def test_a_caption_that_reaches_into_the_end_is_refused(model):
    """The end-of-text token is the last that may be the caption's own; source and target alike, cut ones too."""
    adapter = hiper(model, updates=0)
    found = adapter.fit(PICTURE, caption_of(model, 43), seed=0)
    assert adapter.edit(replace(ITEM, target_caption=caption_of(model, 43)), found, seed=0).shape == (64, 64, 3)
    with pytest.raises(OptionError, match=r"The source caption has 44 tokens.* first 43 of 48 are its own.*tokens=N"):
        adapter.fit(PICTURE, caption_of(model, 44), seed=0)
    for n_tokens in (44, 48, 60):
        with pytest.raises(OptionError, match=f"The target caption has {min(n_tokens, 48)} tokens"):
            adapter.edit(replace(ITEM, target_caption=caption_of(model, n_tokens)), found, seed=0)
    hiper(model, updates=0, tokens=4).fit(PICTURE, caption_of(model, 44), seed=0)


def test_an_end_that_leaves_no_room_is_refused_before_anything_runs(model):
    """A caption has its beginning and its end at least."""
    hiper(model, tokens=46)
    with pytest.raises(OptionError, match="captions have 48 tokens, got 47"):
        hiper(model, tokens=47)


def test_the_benchmarks_captions_leave_the_end_free():
    """With the miniature model's 24 tokens too: every caption of shapes fits before the optimised end."""
    from evalkit.benchmarks.base import BENCHMARKS

    adapter = HiPer()
    adapter.load(MethodRun(model=MINIATURE, revision=None, settings=HiPer.card.values(miniature=True)))
    captions = {
        text for item in BENCHMARKS.get("shapes")().items for text in (item.source_caption, item.target_caption)
    }
    tokens = adapter.model.tokens(sorted(captions))
    ends = (tokens == adapter.model.tokenizer.eos_token_id).int().argmax(dim=1)
    assert ends.max() < adapter.model.length - adapter.settings["tokens"]
