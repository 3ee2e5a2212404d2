"""Measures the miniature latent diffusion model that evalkit's adapters edit with, and writes its card.

::

    python -m tests.studies.measure_miniature_diffusion         # rewrites the card of the shipped weights
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.recognise import recognise
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Scene

SHIPPED = Path("adapters/evalkit_adapters/miniature_diffusion")
GUIDANCE = 4.0


def assemble(
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: DDIMScheduler,
) -> StableDiffusionPipeline:
    """The parts as the pipeline that everybody can load."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        unet=unet,
        text_encoder=text,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def samples(
    pipeline: StableDiffusionPipeline, scenes: Sequence[Scene], *, steps: int, guidance: float = GUIDANCE
) -> np.ndarray:
    """One sample for each scene's caption, ``(n, 64, 64, 3)`` uint8."""
    pipeline.set_progress_bar_config(disable=True)
    made = []
    for first in range(0, len(scenes), 32):
        part = scenes[first : first + 32]
        generators = [torch.Generator().manual_seed(first + index) for index in range(len(part))]
        texts = [caption(scene) for scene in part]
        output = pipeline(
            texts, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="np"
        )
        made.append(np.rint(output.images * 255).astype(np.uint8))
    return np.concatenate(made)


def found_share(
    pipeline: StableDiffusionPipeline, scenes: Sequence[Scene], *, steps: int, guidance: float = GUIDANCE
) -> dict[str, float]:
    """For each attribute the share of samples in which the recogniser finds what the caption asked for."""
    pictures = samples(pipeline, scenes, steps=steps, guidance=guidance)
    found = [recognise(picture) for picture in pictures]
    return {
        name: float(np.mean([scene.attributes[name] == read[name] for scene, read in zip(scenes, found, strict=True)]))
        for name in ATTRIBUTES
    }


def write_card(output: Path) -> None:
    """The card of the model in ``output``."""
    raise NotImplementedError
