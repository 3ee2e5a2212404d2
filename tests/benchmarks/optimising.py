"""What a step of optimisation costs: steps per second, against the same UNet passes made bare.

::

    python tests/benchmarks/optimising.py               # the miniature model, one edit of shapes
    python tests/benchmarks/optimising.py --methods imagic --device cuda --dtype bf16 --model DIRECTORY

*Bare passes* are the UNet calls of the optimisation on their own, forward and backward, as many and of the same sizes,
differentiated by the same things, in the same process right after it. *Overhead* is what the loop takes beyond them;
*without Adam* leaves out the optimiser's own steps, which are arithmetic on every weight that is tuned and no smaller
for a small picture. On a CPU the time is that of the processor, so that a busy machine does not count.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.editing.method import METHODS, MINIATURE, MethodRun
from evalkit.images.decode import read_image
from evalkit_adapters.diffusion import optimisation
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion

Call = tuple[torch.Tensor, torch.Tensor]
"""Latents and embeddings of a UNet call, with what they ask to be differentiated by."""


@dataclass(slots=True, kw_only=True)
class Cost:
    """Of one optimisation."""

    what: str
    steps: int
    seconds: float
    optimiser: float
    """Seconds of the optimiser's own steps."""
    bare: float
    """Seconds of its UNet passes on their own."""


class Clock:
    """Processor time, or on CUDA the time by which the device has finished."""

    def __init__(self, device: str) -> None:
        self.device = device

    def now(self) -> float:
        """Seconds."""
        if not self.device.startswith("cuda"):
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


@contextmanager
def watched(clock: Clock, limit: int | None = None) -> Iterator[list[Cost]]:
    """Measures every optimisation, or so many steps of it, and then its passes on their own."""
    costs: list[Cost] = []
    optimise, noise = optimisation.optimise, LatentDiffusion.noise
    calls: list[tuple[LatentDiffusion, Call]] = []

    def noted(self: LatentDiffusion, latents: torch.Tensor, timestep: int, embeddings: torch.Tensor) -> torch.Tensor:
        given = tuple(torch.zeros_like(part).requires_grad_(part.requires_grad) for part in (latents, embeddings))
        calls.append((self, given))
        return noise(self, latents, timestep, embeddings)

    def measured(loss: Any, optimiser: torch.optim.Optimizer, steps: int, *, what: str, **rest: Any) -> torch.Tensor:
        calls.clear()
        steps = limit or steps
        inside, begun = [0.0], [0.0]
        optimiser.register_step_pre_hook(lambda *_: begun.__setitem__(0, clock.now()))
        optimiser.register_step_post_hook(lambda *_: inside.__setitem__(0, inside[0] + clock.now() - begun[0]))
        start = clock.now()
        losses = optimise(loss, optimiser, steps, what=what, **rest)
        seconds = clock.now() - start
        bare = bare_passes(clock, noise, calls)
        costs.append(Cost(what=what, steps=steps, seconds=seconds, optimiser=inside[0], bare=bare))
        return losses

    optimisation.optimise, LatentDiffusion.noise = measured, noted
    try:
        yield costs
    finally:
        optimisation.optimise, LatentDiffusion.noise = optimise, noise


def bare_passes(clock: Clock, noise: Any, calls: list[tuple[LatentDiffusion, Call]]) -> float:
    """Seconds of the calls, forward and backward, with nothing around them."""
    start = clock.now()
    for model, (latents, embeddings) in calls:
        with torch.enable_grad():
            noise(model, latents, 500, embeddings).sum().backward()
        model.unet.zero_grad(set_to_none=True)
        embeddings.grad = None
    return clock.now() - start


def cost_of(name: str, options: argparse.Namespace) -> list[Cost]:
    """Every optimisation of one edit of the shapes benchmark."""
    shapes, method = BENCHMARKS.get("shapes")(), METHODS.get(name)
    item = shapes.load().items[0]
    settings = method.card.values(miniature=options.model == MINIATURE)
    adapter = method()
    adapter.load(
        MethodRun(model=options.model, revision=None, settings=settings, device=options.device, dtype=options.dtype)
    )
    with watched(Clock(options.device), options.steps) as costs:
        adapter.edit(item, adapter.fit(read_image(item.source_image), item.source_caption, seed=0), seed=0)
    return costs


def main() -> None:
    """Measure every method that optimises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="hiper,imagic")
    parser.add_argument("--model", default=MINIATURE)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--steps", type=int, help="of each optimisation, instead of the card's")
    options = parser.parse_args()
    print("| method | optimises | steps | steps per second | overhead | without Adam |")
    print("|---|---|---|---|---|---|")
    for name in options.methods.split(","):
        for cost in cost_of(name, options):
            over, without = (
                f"{100 * (seconds / cost.bare - 1):.1f} %" if cost.bare else "no UNet passes"
                for seconds in (cost.seconds, cost.seconds - cost.optimiser)
            )
            rate = cost.steps / cost.seconds
            print(f"| `{name}` | {cost.what} | {cost.steps} | {rate:.1f} | {over} | {without} |", flush=True)


if __name__ == "__main__":
    main()
