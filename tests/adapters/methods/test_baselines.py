"""The methods that others are held against: SDEdit, DDIM reconstruction, text to image, and doing nothing."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.methods.ddim_reconstruction import DDIMReconstruction
from evalkit_adapters.methods.identity import Identity
from evalkit_adapters.methods.sdedit import SDEdit
from evalkit_adapters.methods.text_to_image import TextToImage
from tests.support import ddim
from tests.support.adapters import Evaluations, decoded, encoded, furthest, gaussian, loaded
from tests.support.diffusion import scheduler, tiny_model, tiny_pipeline
from tests.support.pictures import noise_picture

SOURCE, TARGET = "a small red circle", "a large blue square on a green background"
ITEM = EditItem(item_id="a", source_caption=SOURCE, target_caption=TARGET)
STEPS, STRIDE = 4, 250


def edited(method, picture, *, seed=0, item=ITEM):
    """Through ``fit`` and ``edit``."""
    return method.edit(item, method.fit(picture, item.source_caption, seed=seed), seed=seed)


def denoised(model, latents, timesteps, guidance=7.5):
    """Latents sampled under the target caption."""
    empty, wanted = model.embed(""), model.embed(TARGET)
    return ddim.sampled(latents, timesteps, STRIDE, lambda x, t: ddim.guided(model.unet, x, t, empty, wanted, guidance))


# SDEdit


@pytest.mark.parametrize(("strength", "n_steps"), [(0.25, 1), (0.8, 3), (1.0, 4)])
def test_sdedit_denoises_from_the_source_under_noise(model, picture, strength, n_steps):
    """x_t = √ᾱ_t z + √(1 − ᾱ_t) ε at the first of int(T · strength) steps, then DDIM, to 1e-10 (reached: 6e-15)."""
    timesteps = ddim.grid(STEPS)[STEPS - n_steps :]
    method = loaded(SDEdit, model, steps=STEPS, strength=strength)
    with Evaluations(model.unet) as asked:
        found = edited(method, picture, seed=5)
    signal = ddim.SIGNAL[timesteps[0]]
    start = np.sqrt(signal) * encoded(model, picture) + np.sqrt(1 - signal) * gaussian(5)
    assert furthest(found, decoded(model, denoised(model, start, timesteps))) < 1e-10
    assert asked.timesteps == timesteps
    assert asked.rows == [2] * n_steps


@pytest.mark.parametrize(("strength", "n_steps"), [(0.0, 0), (0.01, 0), (0.02, 1), (0.58, 28), (0.8, 40), (1.0, 50)])
def test_the_strength_is_diffusers_share_of_the_steps(picture, strength, n_steps):
    """Of 50 steps as many are run as diffusers' own image-to-image pipeline runs, the last ones."""
    asked = []

    def unet(latents, timestep, embeddings):
        asked.append(timestep)
        return SimpleNamespace(sample=torch.zeros_like(latents))

    loaded_one = loaded(SDEdit, tiny_stub(unet), steps=50, strength=strength)
    edited(loaded_one, picture)
    assert asked == ddim.grid(50)[50 - n_steps :]
    if n_steps:
        pipeline = StableDiffusionImg2ImgPipeline(
            **tiny_pipeline().components | {"scheduler": scheduler()}, requires_safety_checker=False
        )
        pipeline.scheduler.set_timesteps(50)
        assert asked == pipeline.get_timesteps(50, strength, "cpu")[0].tolist()


def test_sdedit_is_diffusers_image_to_image(picture):
    """From the same latent and noise the edit is that of diffusers' pipeline, to 1e-4 in float32 (reached: 2e-6)."""
    pipeline = tiny_pipeline(dtype=torch.float32)
    model = LatentDiffusion.from_pipeline(pipeline)
    theirs = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        TARGET,
        image=model.encode(picture),
        strength=0.6,
        num_inference_steps=5,
        generator=torch.Generator().manual_seed(2),
        output_type="np",
    ).images[0]
    assert furthest(edited(loaded(SDEdit, model, steps=5, strength=0.6), picture, seed=2), expected) < 1e-4


def test_sdedit_without_strength_is_the_autoencoder(model, picture):
    """No noise and no step: the source image through the autoencoder, and the UNet is not asked."""
    with Evaluations(model.unet) as asked:
        found = edited(loaded(SDEdit, model, strength=0.0), picture)
    assert not asked.rows
    assert furthest(found, decoded(model, encoded(model, picture))) < 1e-12


# Text to image


def test_text_to_image_samples_the_target_caption(model, picture):
    """Guided DDIM from the noise of the seed, over all steps, to 1e-10 (reached: 3e-15); seeds give other pictures."""
    method = loaded(TextToImage, model, steps=STEPS)
    with Evaluations(model.unet) as asked:
        found = edited(method, picture, seed=3)
    assert furthest(found, decoded(model, denoised(model, gaussian(3), ddim.grid(STEPS)))) < 1e-10
    assert asked.timesteps == ddim.grid(STEPS)
    assert asked.rows == [2] * STEPS
    assert furthest(edited(method, picture, seed=4), found) > 0.1


def test_text_to_image_never_sees_the_source(model, picture):
    """Whatever the source image and its caption, the picture is the same, bit for bit."""
    method = loaded(TextToImage, model, steps=STEPS)
    found = edited(method, picture)
    other = edited(method, Image.new("RGB", (30, 20), "red"), item=replace(ITEM, source_caption=None))
    assert np.array_equal(found, other)


# DDIM reconstruction


def tiny_stub(unet, side=64):
    """A model without networks: pixels are latents, and the noise is what a function says."""

    class Unet:
        dtype, device = torch.float64, torch.device("cpu")
        config = SimpleNamespace(sample_size=side, in_channels=3)

        def __call__(self, latents, timestep, embeddings):
            return unet(latents, timestep, embeddings)

    autoencoder = SimpleNamespace(
        device=torch.device("cpu"),
        dtype=torch.float64,
        config=SimpleNamespace(scaling_factor=1.0, block_out_channels=(1,)),
        encode=lambda pixels: SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: pixels)),
        decode=lambda latents: SimpleNamespace(sample=latents),
    )
    text = tiny_model()
    return LatentDiffusion(
        autoencoder=autoencoder,
        unet=Unet(),
        tokenizer=text.tokenizer,
        text_encoder=text.text_encoder,
        schedule=Schedule.from_scheduler(scheduler()),
    )


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_reconstruction_is_inversion_and_back_under_the_source_caption(model, picture, guidance):
    """Unguided there, guided or not on the way back, to 1e-10 (reached: 3e-14); the target caption is not looked at."""
    method = loaded(DDIMReconstruction, model, steps=STEPS, guidance=guidance)
    with Evaluations(model.unet) as asked:
        found = edited(method, picture)
    empty, caption = model.embed(""), model.embed(SOURCE)
    start = ddim.inverted(
        encoded(model, picture),
        ddim.grid(STEPS),
        STRIDE,
        lambda x, t: ddim.noise(model.unet, x, t, caption),
    )
    back = ddim.sampled(
        start, ddim.grid(STEPS), STRIDE, lambda x, t: ddim.guided(model.unet, x, t, empty, caption, guidance)
    )
    assert furthest(found, decoded(model, back)) < 1e-10
    assert asked.timesteps == ddim.grid(STEPS)[::-1] + ddim.grid(STEPS)
    assert asked.rows == [1] * STEPS + [1 if guidance == 1 else 2] * STEPS
    fitted = method.fit(picture, SOURCE, seed=0)
    assert method.edit(replace(ITEM, target_caption="another"), fitted, seed=9) is fitted


# Doing nothing


@pytest.mark.parametrize("size", [(64, 64), (70, 40)])
def test_identity_gives_the_files_picture_back(tmp_path, size):
    """Of any size, pixel for pixel, whatever the item and the seed."""
    noise_picture(size, 90).save(tmp_path / "source.png")
    source = read_image(tmp_path / "source.png")
    method = Identity()
    method.load(MethodRun(model="", revision=None, settings={}))
    found = edited(method, source, seed=7)
    assert found.mode == "RGB"
    assert found.size == size
    with Image.open(tmp_path / "source.png") as again:
        assert found.tobytes() == again.tobytes()
