"""Deterministic sampling of Stable Diffusion, written a second time: what the adapters are held against.

Only the UNet is shared with them. The noise schedule is numpy's, a DDIM step is in its expanded form, and guidance is
two separate evaluations instead of one of a pair.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Noise = Callable[[torch.Tensor, int], torch.Tensor]
"""The noise in latents at a timestep."""
SIGNAL = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
"""ᾱ of the 1,000 timesteps of training."""


def grid(n_steps: int) -> list[int]:
    """Timesteps of sampling, the noisiest first."""
    stride = 1000 // n_steps
    return [1 + stride * k for k in reversed(range(n_steps))]


def ddim(latents: torch.Tensor, noise: torch.Tensor, origin: int, goal: int) -> torch.Tensor:
    """Latents moved from one timestep's level to another's; below 0 stands the level of timestep 0."""
    a, b = SIGNAL[max(origin, 0)], SIGNAL[max(goal, 0)]
    return np.sqrt(b / a) * latents + (np.sqrt(1 - b) - np.sqrt(b * (1 - a) / a)) * noise


@torch.no_grad()
def noise(unet: Any, latents: torch.Tensor, timestep: int, caption: torch.Tensor) -> torch.Tensor:
    """What the UNet predicts under one caption."""
    predicted: torch.Tensor = unet(latents, timestep, caption).sample
    return predicted


def guided(
    unet: Any, latents: torch.Tensor, timestep: int, empty: torch.Tensor, wanted: torch.Tensor, guidance: float
) -> torch.Tensor:
    """Noise under classifier-free guidance."""
    without, with_text = (noise(unet, latents, timestep, caption) for caption in (empty, wanted))
    return (1 - guidance) * without + guidance * with_text


def sampled(latents: torch.Tensor, timesteps: Sequence[int], stride: int, predict: Noise) -> torch.Tensor:
    """Latents denoised over the given timesteps."""
    for timestep in timesteps:
        latents = ddim(latents, predict(latents, timestep), timestep, timestep - stride)
    return latents


def inverted(latents: torch.Tensor, timesteps: Sequence[int], stride: int, predict: Noise) -> torch.Tensor:
    """The way back, from clean latents; the timesteps are still given noisiest first."""
    for timestep in reversed(timesteps):
        latents = ddim(latents, predict(latents, timestep), timestep - stride, timestep)
    return latents
