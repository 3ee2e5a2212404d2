"""Plug-and-Play, held against captured features of the source that are put in place one by one."""

from contextlib import nullcontext
from functools import partial
from math import exp

import pytest
import torch
from PIL import Image

import evalkit_adapters.diffusion.attention
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError, WeightsError
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.methods.plug_and_play import PlugAndPlay
from tests.support import ddim
from tests.support.adapters import furthest, loaded, untouched
from tests.support.diffusion import scheduler, sd_unet_on_meta
from tests.support.pictures import noise_picture

FEATURES = "up_blocks.1.resnets.1.conv2"
ATTENTION = [
    f"up_blocks.{block}.attentions.{layer}.transformer_blocks.0.attn1"
    for block, layer in [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)]
]
STEPS, STRIDE, GUIDANCE = 5, 200, 7.5
EMPTY, NEGATIVE, TARGET = "", "a dark photo", "a large blue square"


@pytest.fixture(scope="module")
def captions(model):
    """Of empty, negative and target captions."""
    return model.embed(EMPTY, NEGATIVE, TARGET)


@pytest.fixture(scope="module")
def latents(model):
    """An edit's and a source's latent."""
    return model.initial_noise(1), model.initial_noise(2)


def method(model, **settings):
    """The method in five steps: features in the first four, self-attention in the first two."""
    return loaded(PlugAndPlay, model, **({"steps": STEPS, "inversion_steps": STEPS} | settings))


@torch.no_grad()
def injected(unet, source, latents, timestep, captions, *, features, attention):
    """The noise in latents under captions, with the source's own outputs of the places put in by hooks.

    The source is asked by itself; what it is overwritten with are the outputs of the linear projections and of the
    convolution, before anything is done with them.
    """
    places = [FEATURES] * features + [f"{path}.to_{part}" for path in ATTENTION for part in "qk"] * attention
    kept = {}

    def keep(path, _module, _inputs, output):
        kept[path] = output

    def put(path, _module, _inputs, output):
        return kept[path].repeat(len(output), *[1] * (output.ndim - 1))

    noise = []
    for hook, rows, texts in ((keep, source, captions[:1]), (put, latents, captions)):
        handles = [unet.get_submodule(path).register_forward_hook(partial(hook, path)) for path in places]
        noise.append(unet(rows, timestep, texts).sample)
        for handle in handles:
            handle.remove()
    return noise[1]


@pytest.mark.parametrize("settings", [{}, {"empty_share": 1.0, "empty_schedule": "linear"}], ids=["diffusers", "paper"])
def test_an_edit_is_its_formula(model, captions, settings):
    """Inversion without guidance, then five steps from its noisiest latent, end where loops end (reached: 2e-14)."""
    picture = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    item = EditItem(item_id="a", source_caption="a red circle", target_caption=TARGET)
    adapter, unet = method(model, negative_caption=NEGATIVE, **settings), model.unet
    with untouched(unet):
        fitted = adapter.fit(picture, "a red circle", seed=0)
        ours = adapter.edit(item, fitted, seed=0)
    path, latent = {}, model.encode(picture)
    for timestep in reversed(ddim.grid(STEPS)):
        with torch.no_grad():
            noise = unet(latent, timestep, captions[:1]).sample
        latent = path[timestep] = ddim.ddim(latent, noise, timestep - STRIDE, timestep)
    assert list(fitted) == ddim.grid(STEPS)
    assert all(furthest(fitted[timestep], path[timestep]) < 1e-11 for timestep in path)
    for i, timestep in enumerate(ddim.grid(STEPS)):
        noise = injected(
            unet, path[timestep], latent.repeat(3, 1, 1, 1), timestep, captions, features=i < 4, attention=i < 2
        )
        share = (1 - i / 4) if settings else 0
        away = share * noise[:1] + (1 - share) * noise[1:2]
        latent = ddim.ddim(latent, away + GUIDANCE * (noise[2:] - away), timestep, timestep - STRIDE)
    assert furthest(ours, model.decode(latent)) < 1e-11
    plain = method(model, feature_share=0, attention_share=0, negative_caption=NEGATIVE, **settings)
    without = plain.edit(item, fitted, seed=0)
    assert abs(ours - without).max() > 0.01


@pytest.mark.parametrize(
    ("settings", "features", "attention"),
    [
        ({"steps": 50}, 40, 25),
        ({"steps": 50, "feature_share": 0.82, "attention_share": 0.52}, 41, 26),
        ({"steps": 7}, 5, 3),
        ({"steps": 5, "feature_share": 1.0, "attention_share": 0.0}, 5, 0),
    ],
)
def test_the_first_steps_are_injected(model, captions, latents, monkeypatch, settings, features, attention):
    """As many as the shares' whole steps: 40 and 25 of 50, and with the paper's settings 41 and 26."""
    asked = []
    monkeypatch.setattr(PlugAndPlay, "injected", lambda _self, **places: asked.append(places) or nullcontext())
    monkeypatch.setattr(LatentDiffusion, "noise", lambda _model, rows, *_: rows)
    adapter = method(model, inversion_steps=999, **settings)
    for step in model.schedule.steps(settings["steps"]):
        adapter.guided_noise(*latents, step, captions)
    assert [one["features"] for one in asked] == [n < features for n in range(settings["steps"])]
    assert [one["attention"] for one in asked] == [n < attention for n in range(settings["steps"])]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 0.5, 0.5, 0.5, 0.5]),
        ("linear", [0.5, 0.375, 0.25, 0.125, 0]),
        ("exp", [0.5, 0.5 * exp(-1.5), 0.5 * exp(-3), 0.5 * exp(-4.5), 0.5 * exp(-6)]),
    ],
)
def test_the_empty_captions_share_follows_its_schedule(model, captions, latents, monkeypatch, schedule, expected):
    """What is guided away from is a mean of the empty and the negative caption's noise; none of no weight is asked."""
    noises, rows = {}, []

    def noise(_model, batch, _timestep, embeddings):
        rows.append([next(n for n in range(3) if torch.equal(one, captions[n])) for one in embeddings])
        return torch.stack([torch.full((4, 16, 16), 10.0**n, dtype=torch.float64) for n in rows[-1]])

    monkeypatch.setattr(LatentDiffusion, "noise", noise)
    adapter = method(model, empty_share=0.5, empty_schedule=schedule, guidance=0.0)
    for step, share in zip(model.schedule.steps(STEPS), expected, strict=True):
        noises[step.index] = adapter.guided_noise(*latents, step, captions).mean().item()
        assert noises[step.index] == pytest.approx(share + (1 - share) * 10, rel=1e-12)
        assert rows[-1] == [0, *[0] * (share > 0), 1, 2]
    whole = method(model, empty_share=1.0)
    whole.guided_noise(*latents, model.schedule.steps(STEPS)[0], captions)
    assert rows[-1] == [0, 0, 2]


def test_stable_diffusions_layers_are_hooked():
    """At its full size eight layers and the 1,280 channels of one convolution at 16 × 16; and they run."""
    unet = sd_unet_on_meta()
    whole = LatentDiffusion(
        autoencoder=None, unet=unet, tokenizer=None, text_encoder=None, schedule=Schedule.from_scheduler(scheduler())
    )
    adapter, ran, shapes = loaded(PlugAndPlay, whole), [], []
    for path in unet.attn_processors:
        layer = unet.get_submodule(path.removesuffix(".processor"))
        layer.register_forward_hook(
            lambda module, _i, _o, path=path: ran.append((path.removesuffix(".processor"), type(module.processor)))
        )
    adapter.convolution.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    assert unet.get_submodule(FEATURES) is adapter.convolution
    latent, captions = torch.empty(1, 4, 64, 64, device="meta"), torch.empty(3, 77, 768, device="meta")
    with torch.no_grad():
        adapter.guided_noise(latent, latent, whole.schedule.steps(50)[0], captions)
    assert len(ran) == 32
    assert [
        path for path, processor in ran if processor is evalkit_adapters.diffusion.attention._Processor
    ] == ATTENTION
    assert shapes == [(3, 1280, 16, 16)]


def test_inversion_that_passes_by_a_step_is_refused_before_anything_runs(model):
    """50 steps lie on the grid of 50, 100 and 999 steps of inversion, not on that of 60."""
    for number in (50, 100, 999):
        loaded(PlugAndPlay, model, steps=50, inversion_steps=number)
    with pytest.raises(OptionError, match="inversion_steps"):
        loaded(PlugAndPlay, model, steps=50, inversion_steps=60)


@pytest.mark.parametrize(
    "settings", [{"feature_block": "up_blocks.7.resnets.0"}, {"attention_blocks": "up_blocks.1, up_blocks.7"}]
)
def test_a_place_that_the_model_has_not_is_refused(model, settings):
    """Hooking nothing must not pass for an edit."""
    with pytest.raises(WeightsError, match=r"up_blocks\.7"):
        loaded(PlugAndPlay, model, **settings)


@pytest.mark.parametrize(("of", "caption"), [("empty", ""), ("item", "a red circle")])
def test_of_a_fine_inversion_the_steps_of_sampling_are_kept(model, of, caption):
    """Nothing else is read later; the middle square is inverted, under the caption that was asked for."""
    picture = noise_picture((100, 80), 90)
    adapter = method(model, steps=2, inversion_steps=10, inversion_caption=of)
    ours = adapter.fit(picture, "a red circle", seed=0)
    assert list(ours) == [501, 1]
    square = picture.crop((10, 0, 90, 80)).resize((64, 64), Image.Resampling.BILINEAR)
    with torch.no_grad():
        theirs = ddim.inverted(
            model.encode(square), ddim.grid(10)[4:], 100, lambda x, t: model.unet(x, t, model.embed(caption)).sample
        )
    assert furthest(ours[501], theirs) < 1e-11
