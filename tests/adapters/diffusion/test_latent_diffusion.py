"""The latent model and the noise schedule that the editing methods share."""

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from PIL import Image
from torch.nn.functional import scaled_dot_product_attention

from evalkit.editing.method import MethodRun
from evalkit.errors import WeightsError
from evalkit_adapters.diffusion.attention import (
    attention_layers,
    attention_probabilities,
    output_hook,
    replace_attention,
)
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Schedule
from tests.support.diffusion import N_LAYERS, save_tiny, scheduler, sd_unet_on_meta, tiny_model, tiny_pipeline

SCHEDULE = Schedule.from_scheduler(scheduler())


def noise_at(latents, timestep):
    """Noise that depends on the latents and the timestep, as a UNet's does."""
    return torch.tanh(latents * (1 + timestep / 1000))


@pytest.mark.parametrize("number", [1, 7, 20, 50, 999])
def test_sampling_is_that_of_diffusers(number):
    """Each deterministic step is diffusers' DDIM step on the same grid of timesteps."""
    theirs = scheduler()
    theirs.set_timesteps(number)
    theirs.alphas_cumprod = torch.tensor(SCHEDULE.alphas_cumprod, dtype=torch.float64)
    theirs.final_alpha_cumprod = theirs.alphas_cumprod[0]
    steps = SCHEDULE.steps(number)
    assert [step.timestep for step in steps] == theirs.timesteps.tolist()
    latents = torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = latents
    for timestep in theirs.timesteps.tolist():
        expected = theirs.step(noise_at(expected, timestep), timestep, expected).prev_sample
    assert torch.allclose(SCHEDULE.sample(latents, steps, noise_at), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("number", [7, 50])
def test_inversion_is_that_of_diffusers(number):
    """Inversion visits the levels of diffusers' inverse scheduler with the same latents."""
    theirs = DDIMInverseScheduler.from_config(scheduler().config)
    theirs.set_timesteps(number)
    theirs.alphas_cumprod = torch.tensor(SCHEDULE.alphas_cumprod, dtype=torch.float64)
    theirs.initial_alpha_cumprod = theirs.alphas_cumprod[0]
    latents = torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    reached = SCHEDULE.invert(latents, SCHEDULE.steps(number), noise_at)
    assert list(reached) == theirs.timesteps.tolist()
    for timestep in theirs.timesteps.tolist():
        latents = theirs.step(noise_at(latents, timestep), timestep, latents).prev_sample
        assert torch.allclose(reached[timestep], latents, rtol=0, atol=1e-11)


def test_a_thousand_steps_are_999():
    """The grid, which begins at timestep 1, has no room for more."""
    assert SCHEDULE.steps(1000) == SCHEDULE.steps(999)


def test_a_schedule_of_another_family_is_taken_from_diffusers():
    """Linear betas, too, give diffusers' cumulative products."""
    linear = DDIMScheduler(beta_schedule="linear", clip_sample=False)
    assert Schedule.from_scheduler(linear).alphas_cumprod == pytest.approx(linear.alphas_cumprod.tolist())


def test_a_picture_is_cut_square_and_given_back_in_range():
    """Any picture becomes a latent of the model's size, and a latent a picture between 0 and 1."""
    model = tiny_model()
    square = model.square(Image.new("RGB", (100, 70), "red"))
    assert square.size == (64, 64) == (model.side, model.side)
    latent = model.encode(square)
    assert latent.shape == (1, 4, 16, 16)
    picture = model.decode(latent)
    assert picture.shape == (64, 64, 3)
    assert 0 <= picture.min() <= picture.max() <= 1


def test_the_latents_and_captions_are_those_of_the_pipeline():
    """A whole guided generation equals diffusers' own pipeline from the same noise."""
    pipeline = tiny_pipeline()
    model = LatentDiffusion.from_pipeline(pipeline)
    start = model.initial_noise(3)
    empty, wanted = model.embed(""), model.embed("a red circle")
    with torch.no_grad():
        steps = model.schedule.steps(5)
        ours = model.schedule.sample(start, steps, lambda x, t: model.guided_noise(x, t, empty, wanted, 4.0))
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a red circle", latents=start, num_inference_steps=5, guidance_scale=4.0, output_type="latent"
    ).images
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-5)  # their table of ᾱ is float32


def test_without_guidance_only_the_caption_is_asked():
    """A guidance of 1 costs one evaluation and is the conditional prediction."""
    model = tiny_model()
    start, wanted = model.initial_noise(0), model.embed("a red circle")
    with torch.no_grad():
        assert torch.equal(
            model.guided_noise(start, 500, model.embed(""), wanted, 1.0), model.noise(start, 500, wanted)
        )


def test_a_model_that_predicts_velocity_is_refused():
    """The methods' formulas are for noise predictions; anything else would silently give nonsense."""
    pipeline = tiny_pipeline()
    pipeline.scheduler = scheduler(prediction_type="v_prediction")
    with pytest.raises(WeightsError, match="v_prediction"):
        LatentDiffusion.from_pipeline(pipeline)


def test_a_saved_pipeline_is_opened(tmp_path):
    """A directory in diffusers' format is a base model."""
    run = MethodRun(model=str(save_tiny(tmp_path)), revision=None, settings={})
    assert LatentDiffusion.open(run).side == 64


def test_a_directory_that_holds_no_model_is_refused_with_the_next_command(tmp_path):
    """The message names the model and the option."""
    with pytest.raises(WeightsError, match="--model"):
        LatentDiffusion.open(MethodRun(model=str(tmp_path), revision=None, settings={}))


def test_stable_diffusions_layers_are_all_found():
    """At its full size Stable Diffusion 1.5 has sixteen layers of each kind, and the specification's eight of PnP."""
    unet = sd_unet_on_meta()
    for kind in ("self", "cross"):
        assert len(attention_layers(unet, kind)) == N_LAYERS
    blocks = ["up_blocks.1.attentions.1", "up_blocks.1.attentions.2", "up_blocks.2", "up_blocks.3"]
    assert len(attention_layers(unet, "self", blocks)) == 8
    assert [layer.block for layer in attention_layers(unet, "cross")] == (
        ["down_blocks.0"] * 2 + ["down_blocks.1"] * 2 + ["down_blocks.2"] * 2 + ["mid_block"]
        + ["up_blocks.1"] * 3 + ["up_blocks.2"] * 3 + ["up_blocks.3"] * 3
    )  # fmt: skip


def test_layers_that_are_not_there_are_an_error():
    """Hooking nothing must not pass for an edit."""
    with pytest.raises(WeightsError, match="self-attention in up_blocks"):
        attention_layers(tiny_pipeline().unet, "self", ["up_blocks.7"])


def test_the_rule_of_a_layer_is_what_diffusers_computes():
    """With the plain rule, or with explicit probabilities, the UNet's output is its own; without one it is restored."""
    model = tiny_model()
    latents, states = model.initial_noise(0), model.embed("a red circle")
    layers = [*attention_layers(model.unet, "self"), *attention_layers(model.unet, "cross")]
    before = dict(model.unet.attn_processors)
    with torch.no_grad():
        expected = model.noise(latents, 500, states)
        with replace_attention(dict.fromkeys(layers, scaled_dot_product_attention)):
            assert torch.allclose(model.noise(latents, 500, states), expected, rtol=0, atol=1e-12)
        with replace_attention(dict.fromkeys(layers, lambda q, k, v: attention_probabilities(q, k) @ v)):
            assert torch.allclose(model.noise(latents, 500, states), expected, rtol=0, atol=1e-12)
        with replace_attention(dict.fromkeys(layers, lambda q, k, v: v.mean(dim=2, keepdim=True).expand_as(q))):
            assert not torch.allclose(model.noise(latents, 500, states), expected, atol=1e-3)
    assert model.unet.attn_processors == before


def test_an_exception_leaves_no_hook_behind():
    """Whatever happens inside, the UNet comes out as it went in."""
    model = tiny_model()
    convolution = model.unet.conv_in
    layers = attention_layers(model.unet, "cross")
    before = dict(model.unet.attn_processors)

    def fails(_query, _key, _value):
        raise RuntimeError("half-way")

    with (
        pytest.raises(RuntimeError, match="half-way"),
        replace_attention(dict.fromkeys(layers, fails)),
        output_hook(convolution, abs),
    ):
        model.noise(model.initial_noise(0), 500, model.embed(""))
    assert model.unet.attn_processors == before
    assert not convolution._forward_hooks
