"""Imagic: both optimisations and the sample, held against loops that write them out; and weights that never leak."""

import copy
from dataclasses import replace

import pytest
import torch
from PIL import Image

from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.optimisation import trainable
from evalkit_adapters.methods.imagic import Imagic
from evalkit_adapters.methods.text_to_image import TextToImage
from evalkit_adapters.seeding import seeded_generator
from tests.support import ddim, optimising
from tests.support.adapters import furthest, loaded, untouched
from tests.support.diffusion import sd_unet_on_meta, tiny_model

PUBLISHED = Imagic.card.values(miniature=False)
SHORT = {
    "embedding_steps": 2,
    "embedding_rate": 1e-2,
    "model_steps": 2,
    "model_rate": 1e-3,
    "steps": 2,
    "checkpointing": False,
}
ITEM = EditItem(item_id="a", target_caption="a large blue square")
OTHER = EditItem(item_id="b", target_caption="a small red circle on the left")
PICTURE = Image.effect_noise((100, 80), 90).convert("RGB")


def imagic(model, *, artefacts=None, progress=None, dtype="fp32", **settings):
    """The method in a few steps."""
    adapter = loaded(Imagic, model, **(SHORT | settings))
    adapter.run = replace(adapter.run, artefacts=artefacts, dtype=dtype)
    if progress:
        adapter.run = replace(adapter.run, progress=progress)
    return adapter


def edited(adapter, item=ITEM, seed=0):
    """One edit of the picture."""
    return adapter.edit(item, adapter.fit(PICTURE, None, seed=seed), seed=seed)


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


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_edit_is_the_published_algorithms(model, checkpointing):
    """Embedding, weights, interpolation and guided sampling from the written-out loop, to 1e-9.

    The second optimiser starts afresh, and from no gradient of the first: with one it would go elsewhere.
    """
    adapter, seed = imagic(model, checkpointing=checkpointing), 3
    square, clean = adapter.fit(PICTURE, None, seed=seed)
    with untouched(model.unet):
        picture = adapter.edit(ITEM, (square, clean), seed=seed)
    unet, target, empty = copy.deepcopy(model.unet), model.embed(ITEM.target_caption), model.embed("")
    source, weights = trained(unet, clean, target, seed)
    unet.load_state_dict(weights)
    wanted = 0.7 * target + 0.3 * source
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


def test_the_whole_unet_is_tuned(model):
    """Every weight of it, 859,520,964 in Stable Diffusion 1.5 at its full size; and nothing else of the model."""
    adapter = imagic(model)
    _, clean = adapter.fit(PICTURE, None, seed=0)
    with untouched(model.text_encoder), untouched(model.autoencoder), trainable(model.unet) as weights:
        changed = adapter.weights(weights, clean, model.embed("a circle"), 0)
        assert changed.keys() == dict(model.unet.named_parameters()).keys()
    with trainable(sd_unet_on_meta(), checkpointing=True) as weights:
        assert sum(part.numel() for part in weights.parameters) == 859_520_964


def test_the_first_optimisation_leaves_the_model_alone_and_goes_further_the_longer_it_is(model):
    """No weight and no gradient of the UNet; the distance from the target caption grows with the steps."""
    target, distances = model.embed(ITEM.target_caption), []
    for steps in (0, 1, 3, 6):
        adapter = imagic(model, embedding_steps=steps)
        with untouched(model.unet), untouched(model.text_encoder):
            found = adapter.embedding(adapter.fit(PICTURE, None, seed=0)[1], target, 0)
        distances.append((found - target).norm().item())
    assert distances[0] == 0
    assert distances == sorted(set(distances))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_eta_goes_from_the_source_to_the_target(model, eta, monkeypatch):
    """At 0 it is the optimised embedding that is sampled with, at 1 the target caption's."""
    seen, guided = [], LatentDiffusion.guided_noise
    monkeypatch.setattr(LatentDiffusion, "guided_noise", lambda *given: seen.append(given[4]) or guided(*given))
    adapter = imagic(model, eta=eta, model_steps=0)
    edited(adapter)
    target = model.embed(ITEM.target_caption)
    optimised = adapter.embedding(adapter.fit(PICTURE, None, seed=0)[1], target, 0)
    assert len(seen) == 2
    assert all(torch.equal(each, target if eta else optimised) for each in seen)
    assert furthest(target, optimised) > 0.02


def test_eta_beyond_the_target_is_refused():
    """The 1.2 of a well-known re-implementation makes up for an optimisation that was too short."""
    with pytest.raises(OptionError, match=r"'eta' must be a number from 0 to 1; got '1\.2'"):
        Imagic.card.values(miniature=False, chosen={"eta": "1.2"})


def test_without_optimisation_it_is_text_to_image(model):
    """At η = 1 and without steps on the model nothing of the source is left; with them the sample is another."""
    plain = loaded(TextToImage, model, steps=2).edit(ITEM, None, seed=0)
    assert furthest(edited(imagic(model, eta=1.0, model_steps=0)), plain) == 0
    assert furthest(edited(imagic(model, eta=1.0)), plain) > 1e-2


def test_one_edit_leaves_nothing_for_the_next(model):
    """The second edit, of the same source or after a failure, is to the bit what it is alone."""
    alone = edited(imagic(model), OTHER)
    adapter = imagic(model)
    with untouched(model.unet):
        fitted = adapter.fit(PICTURE, None, seed=0)
        before = fitted[1].clone()
        first = adapter.edit(ITEM, fitted, seed=0)
        assert furthest(adapter.edit(OTHER, fitted, seed=0), alone) == 0
        assert torch.equal(fitted[1], before)
    assert furthest(first, alone) > 1e-2

    def stop(what, done, _total):
        if (what, done) == ("model", 1):
            raise KeyboardInterrupt

    with untouched(model.unet), pytest.raises(KeyboardInterrupt):
        edited(imagic(model, progress=stop))
    assert furthest(edited(adapter, OTHER), alone) == 0


@pytest.mark.parametrize(("dtype", "stored"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_at_half_precision_the_edit_is_nearly_that_at_full(dtype, stored):
    """At the published rate for the model, whose steps half precision cannot tell from nothing."""
    settings = {"model_rate": 5e-7, "embedding_steps": 2, "guidance": 1.0}
    model = tiny_model(dtype=torch.float32)
    full = edited(imagic(model, **settings))
    model.unet.to(stored)
    with untouched(model.unet):
        half = edited(imagic(model, dtype=dtype, **settings))
    assert 0 < furthest(half, full) < 0.1


def test_the_middle_of_a_picture_is_edited(model):
    """The crop is not left to chance, and follows no multiple of 32."""
    adapter = imagic(model)
    square, clean = adapter.fit(PICTURE, None, seed=1)
    middle = PICTURE.crop((10, 0, 90, 80)).resize((64, 64), Image.Resampling.LANCZOS)
    assert square.tobytes() == middle.tobytes()
    assert torch.equal(clean, model.encode(middle, sample=seeded_generator(1, "source")))
    assert furthest(clean, adapter.fit(PICTURE, None, seed=2)[1]) > 1e-3


def test_a_sweep_of_eta_costs_one_optimisation(model, tmp_path):
    """With kept artefacts no other η takes a step, and its edit is to the bit what it is without them.

    A new rate for the model keeps the embedding; a new caption or seed keeps nothing.
    """
    steps = []

    def work(item=ITEM, seed=0, **settings):
        steps.clear()
        adapter = imagic(model, artefacts=tmp_path, progress=lambda what, *_: steps.append(what), **settings)
        return edited(adapter, item, seed)

    first = work(eta=0.5)
    assert (steps.count("embedding"), steps.count("model")) == (3, 3)
    again = work(eta=0.8)
    assert steps == []
    assert furthest(again, edited(imagic(model, eta=0.8))) == 0
    assert furthest(first, again) > 1e-3
    work(model_rate=2e-3)
    assert set(steps) == {"model"}
    for other in ({"item": OTHER}, {"seed": 1}):
        work(**other, steps=1)
        assert set(steps) == {"embedding", "model"}


def test_the_miniature_world_has_settings_of_its_own():
    """Rates and numbers of steps that suit a small model; the algorithm is the same."""
    changed = Imagic.card.miniature
    assert set(changed) <= set(PUBLISHED)
    adapter = Imagic()
    adapter.load(MethodRun(model=MINIATURE, revision=None, settings=Imagic.card.values(miniature=True)))
    assert adapter.model.side == 64
