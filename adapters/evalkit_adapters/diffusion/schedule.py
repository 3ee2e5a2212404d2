"""The noise schedule, and deterministic moves along it (DDIM, Song et al. 2021, equation 12 with η = 0).

``x_t = sqrt(ᾱ_t) x_0 + sqrt(1 − ᾱ_t) ε``. Everything here is arithmetic on latents, in their own precision, and can be
differentiated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Noise = Callable[[torch.Tensor, int], torch.Tensor]
"""The noise in latents at a timestep."""


def move(latents: torch.Tensor, noise: torch.Tensor, origin: float, goal: float) -> torch.Tensor:
    """Latents at another noise level, the noise in them taken as known; both ways.

    Args:
        latents: At the level ``origin``.
        noise: Of the latents' shape.
        origin: ᾱ of the latents.
        goal: ᾱ of the result.
    """
    clean: torch.Tensor = (latents - (1 - origin) ** 0.5 * noise) / origin**0.5
    moved: torch.Tensor = goal**0.5 * clean + (1 - goal) ** 0.5 * noise
    return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of sampling."""

    index: int
    """0 is the noisiest."""
    timestep: int
    """What the UNet is told."""
    noisy: float
    """ᾱ at ``timestep``."""
    clean: float
    """ᾱ one step nearer to the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """ᾱ of every timestep of training."""

    signal: tuple[float, ...]

    @classmethod
    def of(cls, scheduler: Any) -> "Schedule":  # noqa: ANN401 - diffusers ships no types
        """The schedule that a diffusers scheduler was configured with."""
        from diffusers import DDIMScheduler

        # Computed again in float64: the scheduler's own table is float32.
        config = scheduler.config
        steps = config.num_train_timesteps
        if config.beta_schedule == "scaled_linear":
            beta = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, steps, dtype=torch.float64) ** 2
            return cls(signal=tuple((1 - beta).cumprod(0).tolist()))
        if config.beta_schedule == "linear":
            beta = torch.linspace(config.beta_start, config.beta_end, steps, dtype=torch.float64)
            return cls(signal=tuple((1 - beta).cumprod(0).tolist()))
        return cls(signal=tuple(DDIMScheduler.from_config(config).alphas_cumprod.double().tolist()))

    def steps(self, number: int) -> tuple[Step, ...]:
        """``number`` evenly spaced steps of sampling, the noisiest first.

        The grid of ``timestep_spacing="leading"`` with an offset of 1: 981, 961, …, 1 for 50. The last step ends at ᾱ
        of timestep 0 (``set_alpha_to_one=False``). 1,000 steps are 999, as the grid has no room for more.
        """
        number = min(number, len(self.signal) - 1)
        stride = len(self.signal) // number
        return tuple(
            Step(
                index=index,
                timestep=timestep,
                noisy=self.signal[timestep],
                clean=self.signal[max(timestep - stride, 0)],
            )
            for index, timestep in enumerate(range((number - 1) * stride + 1, 0, -stride))
        )

    def sample(self, latents: torch.Tensor, steps: tuple[Step, ...], noise: Noise) -> torch.Tensor:
        """Latents at the first step's level denoised along all steps."""
        for step in steps:
            latents = move(latents, noise(latents, step.timestep), step.noisy, step.clean)
        return latents

    def invert(self, latents: torch.Tensor, steps: tuple[Step, ...], noise: Noise) -> dict[int, torch.Tensor]:
        """DDIM inversion: by its timestep, the latents at each step's noisy level.

        The noise is predicted from the latents before the move and the timestep after it, as diffusers'
        ``DDIMInverseScheduler``, null-text inversion and MDP do.

        Args:
            latents: Clean: at the last step's ``clean`` level.
            steps: From :meth:`steps`.
            noise: What predicts it.
        """
        reached = {}
        for step in reversed(steps):
            latents = move(latents, noise(latents, step.timestep), step.clean, step.noisy)
            reached[step.timestep] = latents
        return reached
