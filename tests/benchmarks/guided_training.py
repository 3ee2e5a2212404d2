"""What a training step of the CLIP-guided methods costs, against its networks' bare forward and backward passes.

::

    OMP_NUM_THREADS=1 python tests/benchmarks/guided_training.py

Miniature models, the card's settings, one source of shapes. *Bare* is every network that the step asks, as often and
with as many pictures, forward and backward on ready inputs. *Overhead* is what comes on top: losses, optimiser, other
weights put in, and for Text2LIVE the augmentations, which are also given by themselves. Seconds of processor time, so
that another process beside it does not count.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from madgrad import MADGRAD
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image
from evalkit_adapters.methods.diffusionclip.method import DiffusionCLIP
from evalkit_adapters.methods.diffusionclip.tuning import fine_tune
from evalkit_adapters.methods.text2live.edit_layer import render
from evalkit_adapters.methods.text2live.method import Text2LIVE

N_STEPS = 12


def seconds(work: Callable[[], Any], number: int = N_STEPS) -> float:
    """Of the processor, each time."""
    work()
    start = time.process_time()
    for _ in range(number):
        work()
    return (time.process_time() - start) / number


def run_of(method: Any, **settings: Any) -> Any:
    """A method on the miniature models."""
    adapter = method()
    adapter.load(MethodRun(model=MINIATURE, revision=None, settings=method.card.values(miniature=True) | settings))
    return adapter


def text2live(source: Image.Image, item: EditItem) -> tuple[float, float, str]:
    """Seconds of a step, of its networks alone, and a remark."""
    method = run_of(Text2LIVE)
    picture, objective = method.resized(source), method.objective(item)
    network = method.network()
    optimiser = MADGRAD(network.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        method.loss(network, picture, objective, 1).backward()
        optimiser.step()

    pixels = method.pixels(picture)
    number, clip = method.settings["views"], method.clip
    views = objective.augmentation.views(pixels, number, clip.side).detach()

    def bare() -> None:
        layer = network(pixels)
        free = [part.clone().requires_grad_() for part in (views, views, pixels)]
        with torch.no_grad():
            clip.embed(views)
            clip.tokens(pixels)
        outputs = [layer.sum(), *(clip.embed(part).sum() for part in free[:2]), clip.tokens(free[2]).sum()]
        torch.stack(outputs).sum().backward()
        if method.settings["bootstrap_steps"]:
            clip.relevancy(pixels, objective.texts.region)

    seen = render(network(pixels), pixels).composite

    def augment() -> None:
        objective.augmentation.views(seen, number, clip.side).sum().backward(retain_graph=True)

    whole, alone = seconds(step), seconds(bare)
    share = 3 * (seconds(augment) - seconds(lambda: seen.sum().backward(retain_graph=True))) / alone
    return whole, alone, f"of which augmentations about {share:.0%}"


def diffusionclip(source: Image.Image, item: EditItem) -> tuple[float, float, str]:
    """The same, in efficient mode."""
    method = run_of(DiffusionCLIP, passes=1, visits=N_STEPS // 6, domain="", views=0)
    fitted = method.fit(source, item.source_caption, seed=0)
    objective = method.objective(item.source_caption, item.target_caption)
    tuning = method.tuning(1)
    whole = (
        seconds(lambda: fine_tune(method.model, [fitted], objective, tuning, progress=method.run.progress), 2) / N_STEPS
    )
    model, side = method.model, (method.clip.side, method.clip.side)
    pixels = torch.rand(1, 3, *side)

    def bare() -> None:
        model.unet.zero_grad()  # added to the last ones they would cost more than the step's
        noise = model.noise(fitted.latent, 500)
        free = [part.detach().clone().requires_grad_() for part in (fitted.latent, pixels)]
        with torch.no_grad():
            method.clip.embed(pixels)
        torch.stack([noise.sum(), model.pictures(free[0]).sum(), method.clip.embed(free[1]).sum()]).sum().backward()

    model.unet.requires_grad_(True)
    return whole, seconds(bare), ""


def main() -> None:
    """Measure both."""
    shapes = BENCHMARKS.get("shapes")()
    item = replace(shapes.load().items[0])
    source = read_image(item.source_image)
    torch.manual_seed(0)
    print("| method | steps per second | bare passes per second | overhead | |")
    print("|---|---|---|---|---|")
    for name, measure in (("text2live", text2live), ("diffusionclip", diffusionclip)):
        whole, alone, remark = measure(source, item)
        print(f"| `{name}` | {1 / whole:.2f} | {1 / alone:.2f} | {whole / alone - 1:+.1%} | {remark} |", flush=True)


if __name__ == "__main__":
    main()
