"""Imagic: both optimisations and the sample, held against loops that write them out; and weights that never leak."""

import copy
from dataclasses import replace

import pytest
import torch
from PIL import Image

from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.diffusion.optimisation import trainable
from evalkit_adapters.methods.imagic import Imagic
from evalkit_adapters.seeding import seeded_generator
from tests.support import ddim, optimising
from tests.support.adapters import furthest, loaded, untouched
from tests.support.diffusion import sd_unet_on_meta, tiny_model
from tests.support.pictures import noise_picture

SHORT = {
    "embedding_steps": 2,
    "embedding_rate": 1e-2,
    "model_steps": 2,
    "model_rate": 1e-3,
    "steps": 2,
    "checkpointing": False,
}
ITEM = EditItem(item_id="a", target_caption="a large blue square")
PICTURE = noise_picture((100, 80), 90)


def imagic(model, *, artefacts=None, progress=None, dtype="fp32", **settings):
    """The method in a few steps."""
    adapter = loaded(Imagic, model, **(SHORT | settings))
    adapter.run = replace(adapter.run, artefacts=artefacts, dtype=dtype)
    if progress:
        adapter.run = replace(adapter.run, progress=progress)
    return adapter


def trained(unet, clean, target, seed):
    """The specification's stages A and B: the embedding, and the weights of a UNet of its own."""
    drawn = optimising.draws(seeded_generator(seed, "imagic embedding"), clean.shape)

    def by_embedding(now):
        found = now[0].requires_grad_()
        return optimising.slopes(lambda x, t: unet(x, t, found).sample, clean, *next(drawn), [found])

    (source,) = optimising.adam([target], by_embedding, 1e-2, 2)
    source, again = source.detach(), optimising.draws(seeded_generator(seed, "imagic weights"), clean.shape)
    names, start = zip(*unet.named_parameters(), strict=True)

    def by_weights(now):
        free = [part.requires_grad_() for part in now]

        def predict(x, t):
            return torch.func.functional_call(unet, dict(zip(names, free, strict=True)), (x, t, source)).sample

        return optimising.slopes(predict, clean, *next(again), free)

    return source, dict(zip(names, optimising.adam(start, by_weights, 1e-3, 2), strict=True))


@pytest.mark.parametrize(("eta", "checkpointing"), [(0.7, False), (0.0, True), (1.0, True), (1.2, True)])
def test_an_edit_is_the_published_algorithms(model, eta, checkpointing):
    """Embedding, weights, interpolation and guided sampling from the written-out loop, to 1e-9.

    At η = 0 it is the source's optimised embedding that is sampled with, at 1 the target caption's, beyond 1 what lies
    on the far side of it.
    The second optimiser starts afresh, and from no gradient of the first: with one it would go elsewhere.
    """
    adapter, seed = imagic(model, eta=eta, checkpointing=checkpointing), 3
    square, clean = adapter.fit(PICTURE, None, seed=seed)
    with untouched(model.unet):
        picture = adapter.edit(ITEM, (square, clean), seed=seed)
    unet, target, empty = copy.deepcopy(model.unet), model.embed(ITEM.target_caption), model.embed("")
    source, weights = trained(unet, clean, target, seed)
    unet.load_state_dict(weights)
    wanted = eta * target + (1 - eta) * source
    latent = ddim.sampled(
        model.initial_noise(seed), ddim.grid(2), 500, lambda x, t: ddim.guided(unet, x, t, empty, wanted, 7.5)
    )
    expected = model.decode(latent)
    assert furthest(picture, expected) < 1e-9
    assert furthest(source, target) > 0.02
    untuned = ddim.sampled(
        model.initial_noise(seed), ddim.grid(2), 500, lambda x, t: ddim.guided(model.unet, x, t, empty, wanted, 7.5)
    )
    assert furthest(picture, model.decode(untuned)) > 1e-2


@pytest.mark.parametrize(("dtype", "stored"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_at_half_precision_the_edit_is_nearly_that_at_full(dtype, stored):
    """At the published rate for the model, whose steps half precision cannot tell from nothing, though it computes."""
    settings, computed = {"model_rate": 5e-7, "guidance": 1.0}, set()
    model = tiny_model(dtype=torch.float32)
    full, half = imagic(model, **settings), imagic(model, dtype=dtype, **settings)
    fitted = full.fit(PICTURE, None, seed=0)
    expected = full.edit(ITEM, fitted, seed=0)
    model.unet.to(stored)
    handle = model.unet.conv_in.register_forward_hook(lambda *given: computed.add(given[2].dtype))
    found = half.edit(ITEM, fitted, seed=0)
    handle.remove()
    assert computed == {stored}
    assert 0 < furthest(found, expected) < 0.1
    assert half.embedding(fitted[1], model.embed(ITEM.target_caption), 0).dtype == torch.float32


def test_the_whole_unet_is_tuned(model):
    """Every weight of it, 859,520,964 in Stable Diffusion 1.5 at its full size; and nothing else of the model."""
    adapter = imagic(model)
    _, clean = adapter.fit(PICTURE, None, seed=0)
    with untouched(model.text_encoder), untouched(model.autoencoder), trainable(model.unet) as weights:
        changed = adapter.weights(weights, clean, model.embed("a circle"), 0)
        assert changed.keys() == dict(model.unet.named_parameters()).keys()
    with trainable(sd_unet_on_meta(), checkpointing=True) as weights:
        assert sum(part.numel() for part in weights.parameters) == 859_520_964


def test_eta_may_lead_beyond_the_target_but_not_behind_the_source():
    """The paper's 0.7 unless it is set, to the 1.2 of diffusers' community pipeline for example."""
    assert Imagic.card.values(miniature=False)["eta"] == 0.7
    assert Imagic.card.values(miniature=False, chosen={"eta": "1.2"})["eta"] == 1.2
    with pytest.raises(OptionError, match=r"'eta' must be a number from 0; got '-0\.1'"):
        Imagic.card.values(miniature=False, chosen={"eta": "-0.1"})


def test_the_middle_of_a_picture_is_edited(model):
    """The crop is not left to chance, and follows no multiple of 32."""
    adapter = imagic(model)
    square, clean = adapter.fit(PICTURE, None, seed=1)
    middle = PICTURE.crop((10, 0, 90, 80)).resize((64, 64), Image.Resampling.LANCZOS)
    assert square.tobytes() == middle.tobytes()
    assert torch.equal(clean, model.encode(middle, sample=seeded_generator(1, "source")))
    assert furthest(clean, adapter.fit(PICTURE, None, seed=2)[1]) > 1e-3
