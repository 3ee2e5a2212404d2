"""DiffusionCLIP's inversion, generation and tuning (Kim et al. 2022, sections 3.1 to 3.4).

All deterministic: on a list of timesteps from 0 to the return step, there with the model's own weights, back with
tuned ones. The clean picture counts as already at timestep 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch.utils.checkpoint import checkpoint

from evalkit.storage.prefetch import Progress
from evalkit.storage.tensors import Tensors
from evalkit_adapters.diffusion.optimisation import adam, optimise
from evalkit_adapters.diffusion.schedule import Noise, Schedule, ddim_step
from evalkit_adapters.images import to_tensor
from evalkit_adapters.methods.diffusionclip.losses import DirectionalObjective
from evalkit_adapters.methods.diffusionclip.models import PictureDiffusion, Weights

CLEAN = 1.0
"""ᾱ that the last step of generation goes to."""


@dataclass(frozen=True, slots=True)
class InvertedImage:
    """A training picture."""

    image: Image.Image
    """The original, square; not what the model makes of it."""
    latent: torch.Tensor
    """What is diffused, at the return step."""


def timesteps(number: int, return_step: int) -> list[int]:
    """``τ_k = ⌊k / (number − 1) · return_step⌋`` from 0 on.

    >>> timesteps(6, 500)
    [0, 100, 200, 300, 400, 500]
    """
    return [int(share * return_step) for share in np.linspace(0, 1, number)]


def invert(schedule: Schedule, clean: torch.Tensor, steps: Sequence[int], noise: Noise) -> torch.Tensor:
    """From the picture up to the last timestep: one evaluation less than there are timesteps."""
    for low, high in pairwise(steps):
        clean = ddim_step(clean, noise(clean, low), schedule.alphas_cumprod[low], schedule.alphas_cumprod[high])
    return clean


def generate(schedule: Schedule, latent: torch.Tensor, steps: Sequence[int], noise: Noise) -> torch.Tensor:
    """From the last timestep down, and from timestep 0 to the clean picture: one evaluation for each timestep."""
    for state, _ in trajectory(schedule, latent, steps, noise):
        latent = state
    return latent


def trajectory(
    schedule: Schedule, latent: torch.Tensor, steps: Sequence[int], noise: Noise, *, detached: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """After each step of generation: where it got to, and the clean picture that was predicted there.

    Where ``detached``, each step starts without the derivative of those before.
    """
    for index in reversed(range(len(steps))):
        alpha = schedule.alphas_cumprod[steps[index]]
        alpha_next = schedule.alphas_cumprod[steps[index - 1]] if index else CLEAN
        predicted = noise(latent, steps[index])
        state = ddim_step(latent, predicted, alpha, alpha_next)
        yield state, ddim_step(latent, predicted, alpha, CLEAN)
        latent = state.detach() if detached else state


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """How a model is tuned."""

    steps: Sequence[int]
    """Timesteps of generation."""
    visits: int
    """Of training pictures in one pass; one after the other, and from the first again."""
    passes: int
    rate: float
    rate_factor: float
    """Of the rate, after each pass."""
    is_stepwise: bool
    """Whether each step of generation is a step of training, on the clean picture that it sees (the authors'
    ``GPU-efficient`` mode), instead of one step of training through all of generation."""
    is_checkpointed: bool
    """Whether training through all of generation keeps the memory of one evaluation, for a third more time."""


def fine_tune(
    model: PictureDiffusion,
    pictures: Sequence[InvertedImage],
    objective: DirectionalObjective,
    tuning: TuningOptions,
    *,
    progress: Progress,
) -> Tensors:
    """Weights by which the pictures' latents are generated as the text direction wants; the model keeps its own."""
    weights = {name: part.detach().clone().requires_grad_() for name, part in model.unet.named_parameters()}
    optimiser = adam(weights.values(), tuning.rate)
    in_a_pass = tuning.visits * (len(tuning.steps) if tuning.is_stepwise else 1)
    visits = (pictures[visit % len(pictures)] for _ in range(tuning.passes) for visit in range(tuning.visits))
    stream = (loss for picture in visits for loss in losses(model, picture, objective, tuning, weights))
    optimise(
        lambda _step: next(stream),
        optimiser,
        tuning.passes * in_a_pass,
        what="training",
        progress=progress,
        rates=torch.optim.lr_scheduler.StepLR(optimiser, in_a_pass, tuning.rate_factor),
    )
    return {name: part.detach() for name, part in weights.items()}


def losses(
    model: PictureDiffusion,
    picture: InvertedImage,
    objective: DirectionalObjective,
    tuning: TuningOptions,
    weights: Weights,
) -> Iterator[torch.Tensor]:
    """What one visit of a picture minimises, one after the other, each by the weights as they are then."""
    source = to_tensor(picture.image, picture.latent.device, picture.latent.dtype) / 255

    def noise(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        return model.noise(noisy, timestep, weights)

    def checkpointed_noise(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        found: torch.Tensor = checkpoint(noise, noisy, timestep, use_reentrant=False)
        return found

    if tuning.is_stepwise:
        for _, clean in trajectory(model.schedule, picture.latent, tuning.steps, noise, detached=True):
            yield objective.loss(model.pictures(clean), source)
        return
    clean = generate(
        model.schedule, picture.latent, tuning.steps, checkpointed_noise if tuning.is_checkpointed else noise
    )
    yield objective.loss(model.pictures(clean), source)


def mixed_noise(
    model: PictureDiffusion, tuned_weights: Sequence[Weights], shares: Mapping[int, Sequence[float]], degree: float
) -> Noise:
    """The noise by several tuned models and, where the degree of change r is not 1, by the model itself.

    ``r Σ g_i(t) ε_i / Σ g_i(t) + (1 − r) ε``. The weights g of the attributes hold from a timestep on; of several the
    highest that is passed counts. What has no weight is not evaluated.
    """

    def noise(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        if degree == 0:
            return model.noise(noisy, timestep)
        parts = shares[max(threshold for threshold in shares if threshold <= timestep)]
        pairs = [(share, weights) for share, weights in zip(parts, tuned_weights, strict=True) if share]
        predicted = torch.stack([share * model.noise(noisy, timestep, weights) for share, weights in pairs])
        whole = predicted.sum(dim=0) / sum(share for share, _ in pairs)
        return whole if degree == 1 else degree * whole + (1 - degree) * model.noise(noisy, timestep)

    return noise
