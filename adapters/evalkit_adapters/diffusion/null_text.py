"""Null-text inversion (Mokady et al. 2023): real images that survive classifier-free guidance.

DDIM inversion under the source caption gives a path of latents, the pivots. Guided sampling leaves it; so for each
step the embedding of the empty caption is optimised until the guided step lands on the next pivot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import mse_loss

from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion, classifier_free_guidance
from evalkit_adapters.diffusion.schedule import Step


@dataclass(frozen=True, slots=True)
class NullText:
    """A real image as guided sampling can draw it again."""

    start: torch.Tensor
    """Latent at the noisiest level."""
    caption: torch.Tensor
    """``(1, tokens, width)`` of the source caption."""
    empty: tuple[torch.Tensor, ...]
    """For each step the ``(1, tokens, width)`` that stands in for the empty caption."""


def invert(
    model: LatentDiffusion,
    clean: torch.Tensor,
    caption: torch.Tensor,
    steps: Sequence[Step],
    *,
    guidance: float,
    iterations: int,
) -> NullText:
    """DDIM inversion under the caption without guidance, then the optimisation for the guidance that is to follow.

    At most so many iterations are made for each step.
    """
    pivots = model.invert(clean, steps, caption)
    goals = [*(pivots[step.timestep] for step in steps[1:]), clean]
    start = pivots[steps[0].timestep]
    empty = optimise_empty(model, start, goals, caption, steps, guidance=guidance, iterations=iterations)
    return NullText(start, caption, empty)


def optimise_empty(
    model: LatentDiffusion,
    start: torch.Tensor,
    goals: Sequence[torch.Tensor],
    caption: torch.Tensor,
    steps: Sequence[Step],
    *,
    guidance: float,
    iterations: int = 10,
) -> tuple[torch.Tensor, ...]:
    """The empty caption's embedding for each step, each starting from the one before, by which it leads to its goal.

    Adam anew at every step i, with the learning rate ``0.01 · (1 − i / 2T)``; it stops after ``iterations``, or after
    the step whose mean squared distance was below ``10⁻⁵ · (1 + 2i)``. The authors have ``1 − i / 100``: the same for
    T = 50 steps, the published number, and below 0 for more than 100.
    """
    latent, empty, found = start, model.embed(""), []
    for step, goal in zip(steps, goals, strict=True):
        with torch.no_grad():
            conditional = model.noise(latent, step.timestep, caption)

        def next_latent(
            embedding: torch.Tensor, latent: torch.Tensor = latent, step: Step = step, cond: torch.Tensor = conditional
        ) -> torch.Tensor:
            unconditional = model.noise(latent, step.timestep, embedding)
            return step.denoise(latent, classifier_free_guidance(unconditional, cond, guidance))

        rate = 1e-2 * (1 - step.index / (2 * len(steps)))
        empty = _optimised(empty, next_latent, goal, iterations, 1e-5 * (1 + 2 * step.index), rate)
        found.append(empty)
        with torch.no_grad():
            latent = next_latent(empty)
    return tuple(found)


def _optimised(
    embedding: torch.Tensor,
    next_latent: Callable[[torch.Tensor], torch.Tensor],
    goal: torch.Tensor,
    iterations: int,
    tolerance: float,
    rate: float,
) -> torch.Tensor:
    """An embedding after Adam's steps towards a goal."""
    embedding = embedding.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([embedding], lr=rate)
    for _ in range(iterations):
        with torch.enable_grad():
            loss = mse_loss(next_latent(embedding), goal, reduction="sum")
            # Of the sum, and divided after: the mean's own gradient is below what half precision can tell from 0.
            (gradient,) = torch.autograd.grad(loss, embedding)
        embedding.grad = gradient / goal.numel()
        optimiser.step()
        if loss.item() / goal.numel() < tolerance:
            break
    return embedding.detach()
