"""The miniature latent diffusion models that are shipped: diffusers directories, small, as good as their cards say."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from evalkit.benchmarks.shapes.world import ATTRIBUTES
from evalkit.editing.method import MINIATURE, MINIATURE_V2, MethodRun
from evalkit_adapters.diffusion.attention import attention_layers
from evalkit_adapters.diffusion.latent_diffusion import (
    MINIATURE_DIFFUSION,
    MINIATURE_DIFFUSION_V2,
    LatentDiffusion,
)
from tests.studies.measure_miniature_diffusion import figured, read_figures, reconstruction, render_card, shown
from tests.support.diffusion import N_LAYERS, sd_unet_on_meta

N_SAMPLES = 40


DIRECTORIES = {MINIATURE: MINIATURE_DIFFUSION, MINIATURE_V2: MINIATURE_DIFFUSION_V2}


@pytest.fixture(scope="module", params=DIRECTORIES)
def name(request):
    """Of a model, as ``--model`` takes it."""
    return request.param


@pytest.fixture(scope="module")
def pipeline(name):
    """The pipeline, through plain diffusers."""
    return StableDiffusionPipeline.from_pretrained(DIRECTORIES[name])


@pytest.fixture(scope="module")
def second():
    """That of version 2, whose card the scripts make."""
    return StableDiffusionPipeline.from_pretrained(MINIATURE_DIFFUSION_V2)


def test_the_whole_directory_is_small(name):
    """Weights, vocabulary and card together stay below twelve megabytes."""
    assert sum(path.stat().st_size for path in DIRECTORIES[name].rglob("*") if path.is_file()) < 12_000_000


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


def test_the_adapters_open_it_by_its_name(name, pipeline):
    """``--model miniature`` and ``miniature:v2`` are these directories."""
    model = LatentDiffusion.open(MethodRun(model=name, revision=None, settings={}))
    assert torch.equal(model.unet.conv_in.weight, pipeline.unet.conv_in.weight)
    assert (model.side, model.length) == (64, 24)


@pytest.mark.slow
def test_fresh_samples_are_as_good_as_the_card_says(second):
    """On held-out captions that the card used, each attribute is found as often as stated, but for chance."""
    figures = read_figures(MINIATURE_DIFFUSION_V2)
    found = shown(second, figured()[:N_SAMPLES], steps=20).mean(axis=0)
    for name, share in zip(ATTRIBUTES, found, strict=True):
        stated = figures.found[name]
        assert share >= stated - 4 * math.sqrt(stated * (1 - stated) / N_SAMPLES) - 0.05, name


@pytest.mark.slow
def test_inversion_and_reconstruction_are_as_good_as_the_card_says(second):
    """The first drawings that the card used lie within 2 dB of what it states of all."""
    figures = read_figures(MINIATURE_DIFFUSION_V2)
    with torch.no_grad():
        alone, inverted = reconstruction(second, n_inverted=6)
    assert alone == pytest.approx(figures.autoencoder_psnr, abs=3)
    assert inverted == pytest.approx(figures.reconstruction_psnr, abs=3)


def test_the_card_is_made_of_the_figures(second):
    """What the card says is what was measured."""
    card = render_card(
        read_figures(MINIATURE_DIFFUSION_V2),
        n_bytes=sum(path.stat().st_size for path in MINIATURE_DIFFUSION_V2.rglob("*.safetensors")),
        n_parameters=sum(part.numel() for part in second.unet.parameters()),
        tokens=second.tokenizer.model_max_length,
    )
    assert (MINIATURE_DIFFUSION_V2 / "README.md").read_text(encoding="utf-8") == card
