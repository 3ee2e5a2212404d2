"""Null-text inversion (Mokady et al. 2023): real images that survive classifier-free guidance.

DDIM inversion under the source caption gives a path of latents, the pivots. Guided sampling leaves it; so for each
step the embedding of the empty caption is optimised until the guided step lands on the next pivot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import mse_loss

from evalkit_adapters.diffusion.latent import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Step, move


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
    """DDIM inversion under the caption without guidance, then the optimisation.

    Args:
        model: The base model.
        clean: The image's latent.
        caption: Embedding of the source caption.
        steps: Of sampling, and of inversion.
        guidance: Of the sampling that is to follow.
        iterations: At most, for each step.
    """
    with torch.no_grad():
        pivots = model.schedule.invert(clean, tuple(steps), lambda x, t: model.noise(x, t, caption))
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
    tolerance: float = 1e-5,
    rate: float = 1e-2,
) -> tuple[torch.Tensor, ...]:
    """The empty caption's embedding for each step, each starting from the one before.

    Adam anew at every step i, with the learning rate ``rate · (1 − i / 2T)``; it stops after ``iterations``, or after
    the step whose loss was below ``tolerance · (1 + 2i)``. The published values are for T = 50 steps.

    Args:
        model: The base model; only the embeddings are differentiated.
        start: Latent at the first step's level.
        goals: For each step the latent that it should lead to.
        caption: Embedding of the source caption.
        steps: Of sampling.
        guidance: Of the sampling that is to follow.
        iterations: At most, for each step.
        tolerance: Mean squared distance from the goal that is near enough.
        rate: Of the first step.
    """
    latent, empty, found = start, model.embed(""), []
    for step, goal in zip(steps, goals, strict=True):
        with torch.no_grad():
            with_text = model.noise(latent, step.timestep, caption)

        def arrive(
            embedding: torch.Tensor,
            latent: torch.Tensor = latent,
            step: Step = step,
            with_text: torch.Tensor = with_text,
        ) -> torch.Tensor:
            without = model.noise(latent, step.timestep, embedding)
            return move(latent, without + guidance * (with_text - without), step.noisy, step.clean)

        embedding = empty.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([embedding], lr=rate * (1 - step.index / (2 * len(steps))))
        for _ in range(iterations):
            with torch.enable_grad():
                loss = mse_loss(arrive(embedding), goal, reduction="sum")
                # Of the sum, and divided after: the mean's own gradient is below what half precision can tell from 0.
                (slope,) = torch.autograd.grad(loss, embedding)
            embedding.grad = slope / goal.numel()
            optimiser.step()
            if loss.item() / goal.numel() < tolerance * (1 + 2 * step.index):
                break
        empty = embedding.detach()
        found.append(empty)
        with torch.no_grad():
            latent = arrive(empty)
    return tuple(found)
