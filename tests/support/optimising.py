"""Optimisation written a second time: Adam as its paper has it, and the loss out of numpy's noise schedule."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from tests.support.ddim import SIGNAL

Tensors = list[torch.Tensor]


def adam(
    weights: Sequence[torch.Tensor],
    gradients: Callable[[Tensors], Sequence[torch.Tensor]],
    rate: float,
    steps: int,
    decay: float = 0.0,
) -> Tensors:
    """Weights after so many steps; with a decay, as Loshchilov & Hutter decouple it."""
    now = [part.detach().clone() for part in weights]
    moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in now]
    for n in range(1, steps + 1):
        for k, slope in enumerate(gradients(now)):
            first, second = moments[k]
            moments[k] = first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            down = (first / (1 - 0.9**n)) / ((second / (1 - 0.999**n)).sqrt() + 1e-8)
            now[k] = ((1 - rate * decay) * now[k] - rate * down).detach()
    return now


def draws(generator: torch.Generator, shape: tuple[int, ...]) -> Iterator[tuple[torch.Tensor, int]]:
    """Noise and timestep of each step, in float64: the noise is drawn first."""
    while True:
        noise = torch.randn(shape, generator=generator).double()
        yield noise, int(torch.randint(0, 1000, (1,), generator=generator))


def slopes(
    predict: Callable[[torch.Tensor, int], Any],
    clean: torch.Tensor,
    noise: torch.Tensor,
    timestep: int,
    weights: Sequence[torch.Tensor],
) -> Tensors:
    """Gradients of the mean squared error of the noise predicted at one timestep."""
    noisy = SIGNAL[timestep] ** 0.5 * clean + (1 - SIGNAL[timestep]) ** 0.5 * noise
    error = noise - predict(noisy, timestep)
    return list(torch.autograd.grad((error**2).sum() / error.numel(), list(weights)))
