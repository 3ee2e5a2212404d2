"""Latent diffusion models at random weights, of Stable Diffusion 1.x's true topology."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from evalkit.encoders.miniature import DIRECTORY as MINIATURE_CLIP
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion

SD_DOWN = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
SD_UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
N_LAYERS = 16
"""Transformer blocks of Stable Diffusion 1.x, each with one self- and one cross-attention layer."""


def scheduler(**changes: Any) -> DDIMScheduler:
    """Stable Diffusion's noise schedule with the settings that the specifications demand."""
    settings = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return DDIMScheduler(**(settings | changes))


def tiny_unet(*, side: int = 16, width: int = 32) -> UNet2DConditionModel:
    """A narrow UNet whose attention weights are of unit gain: at the default ones attention is nearly flat."""
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=4,
        out_channels=4,
        down_block_types=SD_DOWN,
        up_block_types=SD_UP,
        block_out_channels=(16, 32, 32, 32),
        layers_per_block=2,
        cross_attention_dim=width,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    for name, part in unet.named_parameters():
        if ".attn" in name and part.ndim == 2:
            torch.nn.init.normal_(part, std=part.shape[1] ** -0.5)
    return unet


def tiny_pipeline(
    *, seed: int = 0, latent_side: int = 16, halvings: int = 2, dtype: torch.dtype = torch.float64
) -> Any:
    """A whole pipeline at random weights that takes milliseconds: pictures of ``4 × latent_side`` pixels.

    The autoencoder halves them so often; three times are Stable Diffusion's, of 512 pixels for a latent side of 64.
    Its tokenizer is the miniature CLIP's; 48 tokens. It has every module path of Stable Diffusion 1.x's UNet.
    """
    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(MINIATURE_CLIP)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=48,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * (halvings + 1),
        up_block_types=("UpDecoderBlock2D",) * (halvings + 1),
        block_out_channels=(8,) * (halvings + 1),
        latent_channels=4,
        norm_num_groups=2,
        sample_size=latent_side * 2**halvings,
    )
    return StableDiffusionPipeline(
        vae=autoencoder,
        unet=tiny_unet(side=latent_side),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(dtype)


def tiny_model(**options: Any) -> LatentDiffusion:
    """The same as the adapters use it."""
    return LatentDiffusion.from_pipeline(tiny_pipeline(**options))


def save_tiny(directory: Path, **options: Any) -> Path:
    """The pipeline as a directory that ``--model`` takes."""
    tiny_pipeline(dtype=torch.float32, **options).save_pretrained(directory)
    return directory


def sd_unet_on_meta() -> UNet2DConditionModel:
    """Stable Diffusion 1.5's UNet at its full size, 860 million parameters, of which none takes memory."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64,
            in_channels=4,
            out_channels=4,
            down_block_types=SD_DOWN,
            up_block_types=SD_UP,
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=768,
            attention_head_dim=8,
        )
