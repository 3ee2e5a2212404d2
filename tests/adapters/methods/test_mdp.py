"""MDP: the four manipulations of the diffusion path, held against loops that write them out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit.errors import OptionError
from evalkit_adapters.diffusion.null_text import NullText
from evalkit_adapters.methods.mdp import MDP, weights
from tests.support import ddim
from tests.support.adapters import Evaluations, encoded, furthest, loaded, untouched

MANIPULATIONS = ("noise", "latent", "caption", "guidance")
STEPS, STRIDE, GUIDANCE = 4, 250, 5.0
PUBLISHED = MDP.card.values(miniature=False)


@pytest.fixture(scope="module")
def inverted(model):
    """An inverted image as null-text inversion gives it: noise, and another empty caption for every step."""
    jitter = torch.randn(STEPS, 1, 48, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    empty = model.embed("")
    return NullText(
        model.initial_noise(1), model.embed("a small red circle"), tuple(empty + 0.1 * one for one in jitter)
    )


@pytest.fixture(scope="module")
def wanted(model):
    """The target caption."""
    return model.embed("a large blue square on a green background")


def mdp(model, **settings):
    """The method in four steps, with weights that fall from 1 to 0 over the last three."""
    return loaded(
        MDP,
        model,
        **(
            {"steps": STEPS, "schedule": "linear", "window_start": 0.25, "window_length": 0.75, "guidance": GUIDANCE}
            | settings
        ),
    )


@pytest.fixture(scope="module")
def source(model, inverted):
    """The source's path."""
    return mdp(model).path(inverted)


@pytest.fixture(scope="module")
def edits(model, source, wanted):
    """What each manipulation makes of it, and plain generation from the source's noise."""
    with untouched(model.unet):
        mixed = {kind: mdp(model, manipulation=kind).edited_latent(source, wanted) for kind in MANIPULATIONS}
        return mixed | {"plain": mdp(model, window_length=0).edited_latent(source, wanted)}


@torch.no_grad()
def written_out(unet, inverted, wanted, shares, guidance):
    """The specification's table: the latent that each manipulation ends with, and the source's own."""
    there, here = inverted.start, dict.fromkeys(MANIPULATIONS, inverted.start)
    for timestep, empty, w in zip(ddim.grid(STEPS), inverted.empty, shares, strict=True):

        def eps(x, caption, timestep=timestep):
            return ddim.noise(unet, x, timestep, caption)

        without = eps(there, empty)
        eps_there = without + guidance * (eps(there, inverted.caption) - without)
        there = ddim.ddim(there, eps_there, timestep, timestep - STRIDE)
        for kind, x in here.items():
            mixed = w * inverted.caption + (1 - w) * wanted
            without, with_text = eps(x, empty), eps(x, mixed if kind == "caption" else wanted)
            if kind == "guidance":
                with_text = w * eps(x, inverted.caption) + (1 - w) * with_text
            guided = without + guidance * (with_text - without)
            if kind == "noise":
                guided = w * eps_there + (1 - w) * guided
            x = ddim.ddim(x, guided, timestep, timestep - STRIDE)
            here[kind] = w * there + (1 - w) * x if kind == "latent" else x
    return here, there


def test_each_manipulation_is_its_formula(model, inverted, wanted, source, edits):
    """Four guided steps with fractional weights end where the written-out loops end, to 1e-11 (reached: 5e-14)."""
    expected, there = written_out(model.unet, inverted, wanted, [0, 1, 0.5, 0], GUIDANCE)
    assert furthest(source.latents[-1], there) < 1e-11
    for manipulation in MANIPULATIONS:
        assert furthest(edits[manipulation], expected[manipulation]) < 1e-11, manipulation


def test_an_empty_window_is_plain_generation(model, inverted, wanted, source, edits):
    """With no step in the window the target is sampled from the source's noise, whatever would have been mixed."""
    plain, steps = inverted.start, zip(ddim.grid(STEPS), inverted.empty, strict=True)
    for timestep, empty in steps:
        noise = ddim.guided(model.unet, plain, timestep, empty, wanted, GUIDANCE)
        plain = ddim.ddim(plain, noise, timestep, timestep - STRIDE)
    assert furthest(edits["plain"], plain) < 1e-11
    for manipulation in MANIPULATIONS:
        assert torch.equal(
            mdp(model, manipulation=manipulation, window_length=0).edited_latent(source, wanted), edits["plain"]
        )


def test_a_full_window_is_the_source(model, source, wanted):
    """With the source's weight at 1 in all steps the source comes back, bit for bit."""
    for manipulation in MANIPULATIONS:
        full = mdp(model, manipulation=manipulation, schedule="constant", window_start=0, window_length=1)
        assert torch.equal(full.edited_latent(source, wanted), source.latents[-1])


def test_the_published_window_is_steps_1_to_25_of_50():
    """t_max = 49 and T_M = 25: the source's noise at steps 1 to 25, the target's at step 0 and from 26 on."""
    assert weights(50, PUBLISHED) == [0.0] + [1.0] * 25 + [0.0] * 24


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [1, math.sqrt(2 + math.sqrt(2)) / 2, math.sqrt(0.5), math.sqrt(2 - math.sqrt(2)) / 2, 0]),
        ("exp", [1, math.e**-1.25, math.e**-2.5, math.e**-3.75, math.e**-5]),
    ],
)
def test_the_weights_of_a_window_follow_their_schedule(schedule, expected):
    """Over five steps, each scaled by the weight: the specification's values."""
    settings = PUBLISHED | {"schedule": schedule, "window_start": 0.3, "window_length": 0.5, "weight": 0.5}
    assert weights(10, settings) == pytest.approx([0, 0, 0, *(w / 2 for w in expected), 0, 0], abs=1e-12)


@given(
    n_steps=st.integers(1, 999),
    start=st.integers(0, 100),
    length=st.integers(0, 100),
    schedule=st.sampled_from(MDP.card.settings["schedule"].choices),
)
def test_every_step_has_one_weight(n_steps, start, length, schedule):
    """Whatever the window: as many weights as steps, from 0 to 1, and none outside of it."""
    length = min(length, 100 - start)
    settings = {"schedule": schedule, "window_start": start / 100, "window_length": length / 100, "weight": 1.0}
    found = weights(n_steps, settings)
    assert len(found) == n_steps
    assert all(-1e-9 <= weight <= 1 for weight in found)
    first, last = start / 100 * n_steps, (start + length) / 100 * n_steps
    assert all(first - 0.51 <= index <= last + 0.51 for index, weight in enumerate(found) if weight)


def test_a_window_past_the_last_step_is_refused(model):
    """Start and length together are at most the whole path."""
    with pytest.raises(OptionError, match="window_start and window_length"):
        loaded(MDP, model, window_start=0.6, window_length=0.5)


def test_the_source_is_inverted_under_the_caption_that_is_set(model):
    """By default the empty caption, whatever the source's own is; with source_caption=item that one."""
    picture = Image.new("RGB", (64, 64), "teal")
    settings = {"steps": 1, "null_text_iterations": 0, "window_start": 0.0}
    empty = loaded(MDP, model, **settings).fit(picture, "a red circle", seed=0)
    own = loaded(MDP, model, source_caption="item", **settings).fit(picture, "a red circle", seed=0)
    assert torch.equal(empty.inverted.caption, model.embed(""))
    assert torch.equal(own.inverted.caption, model.embed("a red circle"))
    with pytest.raises(OptionError, match="source_caption=empty"):
        loaded(MDP, model, source_caption="item", **settings).fit(picture, None, seed=0)


def test_the_inverted_image_leads_back_to_itself(model, picture):
    """Without guidance the source's path is DDIM inversion and back, from the posterior's mean (reached: 5e-14)."""
    method = loaded(MDP, model, steps=STEPS, guidance=1.0, null_text_iterations=0)
    fitted = method.fit(picture, None, seed=0)

    def noise(latents, timestep):
        return ddim.noise(model.unet, latents, timestep, model.embed(""))

    start = ddim.inverted(encoded(model, picture), ddim.grid(STEPS), STRIDE, noise)
    assert furthest(fitted.inverted.start, start) < 1e-11
    assert furthest(fitted.latents[-1], ddim.sampled(start, ddim.grid(STEPS), STRIDE, noise)) < 1e-11


def test_an_edit_costs_no_evaluation_that_the_source_path_has_made(model, source, wanted):
    """Where the source's noise is taken whole the UNet is not asked; elsewhere once per step."""
    with Evaluations(model.unet) as evaluations:
        mdp(model, schedule="constant", window_length=0.5).edited_latent(source, wanted)
    assert evaluations.rows == [2, 2]
