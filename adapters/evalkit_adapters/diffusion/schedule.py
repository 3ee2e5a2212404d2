"""The noise schedule, and deterministic moves along it (DDIM, Song et al. 2021, equation 12 with η = 0).

``x_t = sqrt(ᾱ_t) x_0 + sqrt(1 − ᾱ_t) ε``. Everything here is arithmetic on latents, in their own precision, and can be
differentiated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Noise = Callable[[torch.Tensor, int], torch.Tensor]
"""The noise in latents at a timestep."""


def add_noise(clean: torch.Tensor, noise: torch.Tensor, alpha: float) -> torch.Tensor:
    """Clean latents under noise, at the level ᾱ."""
    noisy: torch.Tensor = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
    return noisy


def remove_noise(noisy: torch.Tensor, noise: torch.Tensor, alpha: float) -> torch.Tensor:
    """The clean latents in those at the level ᾱ, the noise in them taken as known."""
    clean: torch.Tensor = (noisy - (1 - alpha) ** 0.5 * noise) / alpha**0.5
    return clean


def ddim_step(latents: torch.Tensor, noise: torch.Tensor, alpha: float, alpha_next: float) -> torch.Tensor:
    """Latents at the level ᾱ ``alpha`` moved to another, the noise in them taken as known; both ways."""
    return add_noise(remove_noise(latents, noise, alpha), noise, alpha_next)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of sampling."""

    index: int
    """0 is the noisiest."""
    timestep: int
    """What the UNet is given."""
    alpha: float
    """ᾱ at ``timestep``."""
    alpha_prev: float
    """ᾱ one step nearer to the picture."""

    def denoise(self, latents: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Latents at ``timestep``, one step nearer to the picture."""
        return ddim_step(latents, noise, self.alpha, self.alpha_prev)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """ᾱ of every timestep of training."""

    alphas_cumprod: tuple[float, ...]

    @classmethod
    def from_scheduler(cls, scheduler: Any) -> "Schedule":  # noqa: ANN401 - diffusers ships no types
        """The schedule that a diffusers scheduler was configured with."""
        from diffusers import DDIMScheduler

        # Computed again in float64: the scheduler's own table is float32.
        config = scheduler.config
        steps = config.num_train_timesteps
        if config.beta_schedule == "scaled_linear":
            beta = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, steps, dtype=torch.float64) ** 2
            return cls(alphas_cumprod=tuple((1 - beta).cumprod(0).tolist()))
        if config.beta_schedule == "linear":
            beta = torch.linspace(config.beta_start, config.beta_end, steps, dtype=torch.float64)
            return cls(alphas_cumprod=tuple((1 - beta).cumprod(0).tolist()))
        return cls(alphas_cumprod=tuple(DDIMScheduler.from_config(config).alphas_cumprod.double().tolist()))

    def steps(self, number: int) -> tuple[Step, ...]:
        """``number`` evenly spaced steps of sampling, the noisiest first.

        The grid of ``timestep_spacing="leading"`` with an offset of 1: 981, 961, …, 1 for 50. The last step ends at ᾱ
        of timestep 0 (``set_alpha_to_one=False``). 1,000 steps are 999, as the grid has no room for more.
        """
        number = min(number, len(self.alphas_cumprod) - 1)
        stride = len(self.alphas_cumprod) // number
        return tuple(
            Step(
                index=index,
                timestep=timestep,
                alpha=self.alphas_cumprod[timestep],
                alpha_prev=self.alphas_cumprod[max(timestep - stride, 0)],
            )
            for index, timestep in enumerate(range((number - 1) * stride + 1, 0, -stride))
        )

    def sample(self, latents: torch.Tensor, steps: Sequence[Step], noise: Noise) -> torch.Tensor:
        """Latents at the first step's level denoised along all steps."""
        for step in steps:
            latents = step.denoise(latents, noise(latents, step.timestep))
        return latents

    def invert(self, latents: torch.Tensor, steps: Sequence[Step], noise: Noise) -> dict[int, torch.Tensor]:
        """DDIM inversion of clean latents: by its timestep, the latents at each step's noisy level.

        The noise is predicted from the latents before the move and the timestep after it, as diffusers'
        ``DDIMInverseScheduler``, null-text inversion and MDP do.
        """
        reached = {}
        for step in reversed(steps):
            latents = ddim_step(latents, noise(latents, step.timestep), step.alpha_prev, step.alpha)
            reached[step.timestep] = latents
        return reached
