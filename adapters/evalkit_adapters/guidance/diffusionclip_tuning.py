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
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from evalkit.storage.prefetch import Progress
from evalkit.storage.tensors import Tensors
from evalkit_adapters.diffusion.pixel_diffusion import PictureDiffusion, Weights
from evalkit_adapters.diffusion.schedule import Noise, Schedule, move
from evalkit_adapters.diffusion.tuning import adam, optimise
from evalkit_adapters.guidance.clip import GuidingClip, resize
from evalkit_adapters.guidance.losses import directional_distance, log_likeness

CLEAN = 1.0
"""ᾱ that the last step of generation goes to."""


@dataclass(frozen=True, slots=True)
class Inverted:
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
        clean = move(clean, noise(clean, low), schedule.signal[low], schedule.signal[high])
    return clean


def generate(schedule: Schedule, latent: torch.Tensor, steps: Sequence[int], noise: Noise) -> torch.Tensor:
    """From the last timestep down, and from timestep 0 to the clean picture: one evaluation for each timestep."""
    for state, _ in path(schedule, latent, steps, noise):
        latent = state
    return latent


def path(
    schedule: Schedule, latent: torch.Tensor, steps: Sequence[int], noise: Noise, *, detached: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """After each step of generation: where it got to, and the clean picture that it saw.

    Args:
        schedule: ᾱ of the timesteps.
        latent: At the last timestep.
        steps: From :func:`timesteps`.
        noise: What predicts it.
        detached: Whether each step starts without the derivative of those before.
    """
    for place in reversed(range(len(steps))):
        origin = schedule.signal[steps[place]]
        goal = schedule.signal[steps[place - 1]] if place else CLEAN
        predicted = noise(latent, steps[place])
        state = move(latent, predicted, origin, goal)
        yield state, move(latent, predicted, origin, CLEAN)
        latent = state.detach() if detached else state


def text_direction(clip: GuidingClip, source: str, target: str, templates: Sequence[str]) -> torch.Tensor:
    """From one text to the other: normalised embeddings, their difference averaged over templates, and normalised."""
    before, after = (
        normalize(clip.embed_texts([template.format(text) for template in templates]), dim=-1)
        for text in (source, target)
    )
    return normalize((after - before).mean(dim=0), dim=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """``λ_clip L_clip + λ_1 mean|x₀ − x|``."""

    clip: GuidingClip
    direction: torch.Tensor
    """``(dimension,)`` from the source text to the target text."""
    clip_weight: float
    l1_weight: float
    is_logarithmic: bool
    """Whether the directional distance D enters as ``−log((2 − D) / 2)``, as in the authors' code, or as it is."""

    def loss(self, made: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Of pictures ``(n, 3, side, side)`` in [0, 1] against those that they were made of."""
        distance = directional_distance(self._seen(made), self._seen(source), self.direction)
        likeness = log_likeness(distance) if self.is_logarithmic else distance
        # Of pixels in [−1, 1], which are twice as far apart.
        return self.clip_weight * likeness.mean() + self.l1_weight * 2 * (source - made).abs().mean()

    def _seen(self, pictures: torch.Tensor) -> torch.Tensor:
        side = (self.clip.side, self.clip.side)
        return self.clip.embed(resize(pictures, side, "bicubic"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
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


def pixels_of(image: Image.Image, like: torch.Tensor) -> torch.Tensor:
    """An image as ``(1, 3, height, width)`` in [0, 1], on the device and in the precision of another tensor."""
    levels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    return levels.to(like.device, like.dtype) / 255


def tuned(
    model: PictureDiffusion,
    pictures: Sequence[Inverted],
    objective: Objective,
    tuning: Tuning,
    *,
    progress: Progress,
) -> Tensors:
    """Weights under which the pictures' latents are generated as the text direction wants; the model keeps its own.

    Args:
        model: The base model.
        pictures: To train on.
        objective: The losses.
        tuning: How.
        progress: The run's.
    """
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
    model: PictureDiffusion, picture: Inverted, objective: Objective, tuning: Tuning, weights: Weights
) -> Iterator[torch.Tensor]:
    """What one visit of a picture minimises, one after the other, each by the weights as they are then."""
    source = pixels_of(picture.image, picture.latent)

    def noise(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        return model.noise(noisy, timestep, weights)

    def saving(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        found: torch.Tensor = checkpoint(noise, noisy, timestep, use_reentrant=False)
        return found

    if tuning.is_stepwise:
        for _, clean in path(model.schedule, picture.latent, tuning.steps, noise, detached=True):
            yield objective.loss(model.pictures(clean), source)
        return
    clean = generate(model.schedule, picture.latent, tuning.steps, saving if tuning.is_checkpointed else noise)
    yield objective.loss(model.pictures(clean), source)


def mixed(
    model: PictureDiffusion, tuned_weights: Sequence[Weights], shares: Mapping[int, Sequence[float]], degree: float
) -> Noise:
    """The noise by several tuned models and, where the degree of change is not 1, by the model itself.

    ``r Σ g_i(t) ε_i / Σ g_i(t) + (1 − r) ε``. What has no weight is not evaluated.

    Args:
        model: The base model.
        tuned_weights: Of each attribute.
        shares: Weights g of the attributes from a timestep on; of several the highest that is passed.
        degree: r.
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
