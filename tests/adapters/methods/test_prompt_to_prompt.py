"""Prompt-to-Prompt, held against the published controllers written out with loops."""

from copy import deepcopy

import numpy as np
import pytest
import torch

import evalkit_adapters.diffusion.attention
from evalkit.errors import OptionError
from evalkit_adapters.diffusion.attention import attention_layers
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.null_text import NullText, invert
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.methods.prompt_to_prompt.method import AttentionEdit, PromptToPrompt, blend_mask
from tests.support import ddim
from tests.support.adapters import furthest, loaded, untouched
from tests.support.attention_control import AttentionControl, local_blend
from tests.support.diffusion import scheduler, sd_unet_on_meta, tiny_model
from tests.support.pictures import noise_picture

STEPS, STRIDE, GUIDANCE = 5, 200, 7.5
SOURCE = "a small red circle"
REPLACED, REFINED = "a small dark ring", "a small red circle on a green background"


@pytest.fixture(scope="module")
def sharp():
    """The same with captions' largest maps that are not as even as random weights make them."""
    model = tiny_model()
    for layer in attention_layers(model.unet, "cross", ["down_blocks.0", "up_blocks.3"]):
        layer.module.to_q.weight.mul_(12)
    return model


@pytest.fixture(scope="module")
def inverted(model):
    """An inverted image as null-text inversion gives it: noise, and another empty caption for every step."""
    jitter = torch.randn(STEPS, 1, 48, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    empty = model.embed("")
    return NullText(model.initial_noise(1), model.embed(SOURCE), tuple(empty + 0.1 * one for one in jitter))


def method(model, **settings):
    """The method in five steps."""
    return loaded(PromptToPrompt, model, **({"steps": STEPS} | settings))


def sampled(adapter, inverted, target):
    """Both branches' latents, the source's first."""
    with torch.no_grad():
        return adapter.edited_latents(inverted, adapter.model.embed(target), adapter.attention_edit(SOURCE, target))


def alone(model, inverted, wanted):
    """The latent of a caption that is sampled by itself."""
    latent = inverted.start
    for timestep, empty in zip(ddim.grid(STEPS), inverted.empty, strict=True):
        noise = ddim.guided(model.unet, latent, timestep, empty, wanted, GUIDANCE)
        latent = ddim.ddim(latent, noise, timestep, timestep - STRIDE)
    return latent


def shifted(source, target, n):
    """Column n for ``a small dark ring``: dark and ring have three tokens each; what follows is shifted by four."""
    if n <= 2:
        return source[..., n]
    if n in (3, 4, 5):  # red to d-ar-k
        return source[..., 3] / 3
    if n in (6, 7, 8):  # circle to ri-n-g
        return source[..., 4] / 3
    return source[..., n - 4]


def replaced(source, target, n):
    """The same as the authors have it: what follows is the source's column of the same number."""
    return shifted(source, target, n) if n <= 8 else source[..., n]


def refined(source, target, n):
    """Column n for the caption that goes on after the first four words."""
    added = n > 4 and n <= 8
    return target[..., n] if added else source[..., 5 if n == 9 else n]


def strengthened(source, target, n):
    """The same with the added green three times, and small turned around."""
    return {7: 3.0, 2: -1.0}.get(n, 1.0) * refined(source, target, n)


def published(model, inverted, target, edit, *, blend=None, **windows):
    """Both branches' latents in five steps of the published control, and the places that were blended at the end."""
    unet, pair, places = deepcopy(model.unet), torch.cat([inverted.start] * 2), None
    control = AttentionControl(unet, edit, steps=STEPS, **windows)
    wanted = model.embed(target)
    for index, (timestep, empty) in enumerate(zip(ddim.grid(STEPS), inverted.empty, strict=True)):
        captions = torch.cat([empty, empty, inverted.caption, wanted])
        noise = control.noise(unet, torch.cat([pair, pair]), timestep, captions)
        guided = (1 - GUIDANCE) * noise[:2] + GUIDANCE * noise[2:]
        pair = ddim.ddim(pair, guided, timestep, timestep - STRIDE)
        if blend and index >= 1:
            pair, places = local_blend(pair, control.store, blend)
    assert control.step == STEPS
    return pair[:1], pair[1:], places


@pytest.mark.parametrize(
    ("target", "edit", "settings", "changes"),
    [
        (REPLACED, replaced, {}, {}),
        (REPLACED, shifted, {"alignment": "shifted"}, {}),
        (REFINED, refined, {}, {}),
        (REFINED, strengthened, {"weights": "green=3,small=-1"}, {}),
        (REPLACED, replaced, {"self_level": 0.25, "cross_share": 0.5, "self_share": 1.0},
         {"largest": 4, "cross": 0.5, "own": 1.0}),
    ],
    ids=["replace", "replace, shifted", "refine", "re-weight", "generated-image"],
)  # fmt: skip
def test_an_edit_is_that_of_the_published_control(model, inverted, target, edit, settings, changes):
    """Five guided steps end where the loops over columns end, in both branches, to 1e-9 (reached: 6e-14)."""
    with untouched(model.unet):
        ours = sampled(method(model, **settings), inverted, target)
    *theirs, _ = published(model, inverted, target, edit, **changes)
    assert all(furthest(*both) < 1e-9 for both in zip(ours, theirs, strict=True))
    assert furthest(*ours) > 0.1


@pytest.mark.parametrize(("target", "edit"), [(REFINED, refined), (REPLACED, replaced)], ids=["refine", "replace"])
def test_a_blended_edit_is_that_of_the_published_control(sharp, inverted, target, edit):
    """Five guided steps end where the loops end (reached: 6e-14), and outside of the word's places on the source."""
    ours = sampled(method(sharp, blend="small", blend_level=1.0), inverted, target)
    *theirs, places = published(sharp, inverted, target, edit, blend=((2,), (2,)), level=16)
    assert all(furthest(*both) < 1e-9 for both in zip(ours, theirs, strict=True))
    assert 0 < places.sum() < 256
    assert torch.equal(ours[0][..., ~places], ours[1][..., ~places])
    assert furthest(*ours) > 0.1


def test_without_windows_an_edit_is_plain_generation(model, inverted):
    """With no share of the steps the target is sampled as if there was no source; with the published ones it is not."""
    plain = alone(model, inverted, model.embed(REPLACED))
    without = sampled(method(model, cross_share=0, self_share=0), inverted, REPLACED)[1]
    assert furthest(without, plain) < 1e-11
    for settings in ({"cross_share": 0}, {"self_share": 0}, {}):
        assert furthest(sampled(method(model, **settings), inverted, REPLACED)[1], plain) > 0.1


def test_stable_diffusions_layers_are_edited():
    """At its full size: 32 layers by rule, 16 maps of captions edited, 11 of self-attention, 5 × 8 heads blended."""
    unet = sd_unet_on_meta()
    whole = LatentDiffusion(
        autoencoder=None, unet=unet, tokenizer=None, text_encoder=None, schedule=Schedule.from_scheduler(scheduler())
    )
    adapter, edits = loaded(PromptToPrompt, whole), []
    control = AttentionEdit(mapping=np.eye(77), alpha=np.ones(77), scale=np.ones(77), blend=((5,), (5,)))
    cross, own = (attention_layers(unet, kind) for kind in ("cross", "self"))
    for layer in (*cross, *own):
        layer.module.register_forward_hook(
            lambda module, inputs, _output, kind=layer.kind: edits.append(
                (kind, type(module.processor).__name__, inputs[0].shape[1])
            )
        )
    latents, captions = torch.empty(4, 4, 64, 64, device="meta"), torch.empty(4, 77, 768, device="meta")
    before = dict(unet.attn_processors)
    with torch.no_grad(), adapter.controlled(control, 0, cross, own) as maps:
        whole.noise(latents, 981, captions)
    assert {name for _, name, _ in edits} == {"_Processor"}
    assert (len(edits), sum(kind == "cross" for kind, *_ in edits)) == (32, 16)
    assert sum(kind == "self" and tokens <= 32**2 for kind, _, tokens in edits) == 11
    assert [tuple(one.shape) for one in maps] == [(2, 8, 256, 77)] * 5
    assert unet.attn_processors == before


def test_the_windows_are_the_published_ones(model, monkeypatch):
    """Of 50 steps the first 40 have the source's attention to the caption, the first 25 its self-attention."""
    replaced = []

    def recorded(rules):
        replaced.append([sum(layer.kind == kind for layer in rules) for kind in ("cross", "self")])
        return torch.no_grad()

    monkeypatch.setattr(evalkit_adapters.diffusion.attention, "replace_attention", recorded)
    adapter = loaded(PromptToPrompt, model)
    control = adapter.attention_edit(SOURCE, REPLACED)
    cross, own = (attention_layers(model.unet, kind) for kind in ("cross", "self"))
    for index in range(50):
        with adapter.controlled(control, index, cross, own):
            pass
    assert replaced == [[16, 16]] * 25 + [[16, 0]] * 15 + [[0, 0]] * 10


def test_the_blend_is_its_formula():
    """Summed columns, mean over heads, 3 × 3 maximum, nearest places, above 0.3 of the strongest, of either caption."""
    maps = torch.rand(2, 10, 64, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) ** 99
    pair = torch.zeros(2, 4, 16, 16)
    for columns in (((1,), (2, 3)), ((), (2, 3)), ((4,), ())):
        expected = local_blend(pair, maps, columns)[1]
        mask = blend_mask(maps, columns, 16)
        assert torch.equal(mask[0, 0].bool(), expected)
        assert 0 < expected.sum() < 256


@pytest.mark.parametrize("steps", [5, 50])
def test_the_blend_waits_a_fifth_of_the_steps(model, monkeypatch, steps):
    """Of 50 steps the eleventh is the first that is blended, with the maps of all steps before it."""
    sums = []
    monkeypatch.setattr(
        "evalkit_adapters.methods.prompt_to_prompt.method.blend_mask",
        lambda maps, *_: sums.append(maps[0, 0, 0, 0].item()) or 0.0,
    )
    monkeypatch.setattr(LatentDiffusion, "noise", lambda _model, latents, *_: latents)
    adapter = method(model, steps=steps, blend="red")

    class One:
        """Maps of ones in every step."""

        def __enter__(self):
            return [torch.ones(2, 2, 16, 48)]

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(adapter, "controlled", lambda *_: One())
    source = NullText(torch.zeros(1, 4, 16, 16), model.embed(SOURCE), (model.embed(""),) * steps)
    sampled(adapter, source, SOURCE)
    assert sums == list(range(steps // 5 + 1, steps + 1))


def test_a_level_that_the_model_has_not_is_refused(model, inverted):
    """A blend without maps is an error, not a silent edit of everything."""
    with untouched(model.unet), pytest.raises(OptionError, match="has 25 tokens"):
        sampled(method(model, blend="red", blend_level=0.3), inverted, REPLACED)


def test_fitting_is_null_text_inversion_of_the_middle_square(model):
    """Cropped to the middle, resized as the reference does, and inverted under the source caption."""
    picture = noise_picture((100, 80), 90)
    adapter = method(model, steps=2, null_text_iterations=1)
    ours = adapter.fit(picture, SOURCE, seed=0)
    square = picture.crop((10, 0, 90, 80)).resize((64, 64))
    theirs = invert(
        model, model.encode(square), model.embed(SOURCE), model.schedule.steps(2), guidance=7.5, iterations=1
    )
    assert torch.equal(ours.start, theirs.start)
    assert all(torch.equal(*pair) for pair in zip(ours.empty, theirs.empty, strict=True))
