"""The miniature latent diffusion model that is shipped: an ordinary diffusers directory, as good as its card says."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from evalkit.benchmarks.shapes.world import ATTRIBUTES
from evalkit.editing.method import MINIATURE, MethodRun
from evalkit_adapters.diffusion.attention import attention_layers
from evalkit_adapters.diffusion.latent_diffusion import MINIATURE_DIFFUSION, LatentDiffusion
from tests.studies.measure_miniature_clip import split
from tests.studies.measure_miniature_diffusion import read_figures, reconstruction, render_card, shown
from tests.support.diffusion import N_LAYERS, sd_unet_on_meta

N_SAMPLES = 40


@pytest.fixture(scope="module")
def pipeline():
    """The pipeline, through plain diffusers."""
    return StableDiffusionPipeline.from_pretrained(MINIATURE_DIFFUSION)


def test_the_whole_directory_is_small():
    """Weights, vocabulary and card together stay below sixteen megabytes."""
    assert sum(path.stat().st_size for path in MINIATURE_DIFFUSION.rglob("*") if path.is_file()) < 16_000_000


def test_its_unet_is_stable_diffusions_made_narrow(pipeline):
    """Every module path of Stable Diffusion 1.5's UNet exists, and no other."""
    assert [name for name, _ in pipeline.unet.named_modules()] == [
        name for name, _ in sd_unet_on_meta().named_modules()
    ]
    assert len(attention_layers(pipeline.unet, "cross")) == N_LAYERS


def test_its_scheduler_is_stable_diffusions(pipeline):
    """DDIM with the settings that the methods' formulas assume."""
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    config = pipeline.scheduler.config
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "scaled_linear")
    assert (config.clip_sample, config.set_alpha_to_one, config.steps_offset) == (False, False, 1)


def test_the_adapters_open_it_by_its_name():
    """``--model miniature`` is this directory."""
    model = LatentDiffusion.open(MethodRun(model=MINIATURE, revision=None, settings={}))
    assert (model.side, model.length) == (64, 24)


@pytest.mark.slow
def test_fresh_samples_are_as_good_as_the_card_says(pipeline):
    """On held-out captions that the card used, each attribute is found as often as stated, but for chance."""
    figures = read_figures(MINIATURE_DIFFUSION)
    found = shown(pipeline, split()[1][:N_SAMPLES], steps=20).mean(axis=0)
    for name, share in zip(ATTRIBUTES, found, strict=True):
        stated = figures.found[name]
        assert share >= stated - 4 * math.sqrt(stated * (1 - stated) / N_SAMPLES) - 0.05, name


@pytest.mark.slow
def test_inversion_and_reconstruction_are_as_good_as_the_card_says(pipeline):
    """The first drawings that the card used lie within 2 dB of what it states of all."""
    figures = read_figures(MINIATURE_DIFFUSION)
    with torch.no_grad():
        alone, inverted = reconstruction(pipeline, n_inverted=6)
    assert alone == pytest.approx(figures.autoencoder_psnr, abs=3)
    assert inverted == pytest.approx(figures.reconstruction_psnr, abs=3)


def test_the_card_is_made_of_the_figures(pipeline):
    """What the card says is what was measured."""
    card = render_card(
        read_figures(MINIATURE_DIFFUSION),
        n_bytes=sum(path.stat().st_size for path in MINIATURE_DIFFUSION.rglob("*.safetensors")),
        n_parameters=sum(part.numel() for part in pipeline.unet.parameters()),
        tokens=pipeline.tokenizer.model_max_length,
    )
    assert (MINIATURE_DIFFUSION / "README.md").read_text(encoding="utf-8") == card
