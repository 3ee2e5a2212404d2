"""Guiding CLIPs at random weights, in float64, and diffusion models for them to guide."""

from typing import Any

import open_clip
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from evalkit_adapters.guidance.clip import GuidingClip, tower_of
from tests.support import models

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's normalisation."""


def guide(*, seed: int = 0) -> GuidingClip:
    """A small CLIP of open_clip's, of pictures of 32 pixels in patches of 8."""
    model = models.build_open_clip(seed=seed).double().requires_grad_(False)
    return guide_of(model)


def guide_of(model: Any) -> GuidingClip:
    """An open_clip model as it guides."""
    return GuidingClip(
        model=model,
        tower=tower_of(model),
        tokenize=open_clip.SimpleTokenizer(),
        texts=lambda tokens: model.encode_text(tokens, normalize=False),
        side=model.visual.image_size[0],
        mean=MEAN,
        std=STD,
    )


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels in [0, 1] as OpenAI's networks read them."""
    mean, std = (torch.tensor(values, dtype=pixels.dtype).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def pixels(height: int = 32, width: int = 32, *, seed: int = 0) -> torch.Tensor:
    """A random picture, smooth enough to be one."""
    coarse = torch.rand(1, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")


def pixel_pipeline(*, side: int = 16, seed: int = 0, **scheduler: Any) -> DDPMPipeline:
    """A pixel-space diffusion model of DDPM's kind, whose parts all do something."""
    torch.manual_seed(seed)
    unet = UNet2DModel(
        sample_size=side,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=None,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return DDPMPipeline(unet=unet, scheduler=DDPMScheduler(**scheduler))


def ddpm_256() -> UNet2DModel:
    """The network of the 256-pixel models that DiffusionCLIP was published with, without memory."""
    with torch.device("meta"):
        return UNet2DModel(
            sample_size=256,
            block_out_channels=(128, 128, 256, 256, 512, 512),
            layers_per_block=2,
            freq_shift=1,
            flip_sin_to_cos=False,
            downsample_padding=0,
            norm_eps=1e-6,
            attention_head_dim=None,
            down_block_types=(*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
        )
