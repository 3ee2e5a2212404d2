"""What an edit costs: seconds and UNet evaluations, against the same UNet calls made bare, and with sharing or without.

::

    python tests/benchmarks/editing.py                  # the miniature model, a few items of shapes
    python tests/benchmarks/editing.py --device cuda --dtype fp16 --model DIRECTORY

*Overhead* is the time of ``fit`` and ``edit`` over that of the same UNet calls on their own: as many, of the same
batch sizes, with a backward pass where the method took one. *Sharing* counts what a whole run over TEdBench evaluates
when ``fit`` is done once per source and when it is done for every edit.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.editing.method import METHODS, MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image


@dataclass(slots=True)
class Calls:
    """The UNet calls of one piece of work."""

    seconds: float = 0.0
    arguments: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """Latents and embeddings of each call, with what they ask to be differentiated by."""

    @property
    def evaluations(self) -> int:
        """Latents that were put through the UNet."""
        return sum(len(latents) for latents, _ in self.arguments)


@contextmanager
def watched() -> Iterator[Calls]:
    """Notes every call of any UNet, and the time that the whole takes."""
    calls, original = Calls(), UNet2DConditionModel.forward

    def noted(self: Any, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **rest: Any) -> Any:
        grad = torch.is_grad_enabled()
        calls.arguments.append(
            tuple(
                torch.zeros_like(part).requires_grad_(grad and part.requires_grad)
                for part in (sample, encoder_hidden_states)
            )
        )
        return original(self, sample, timestep, encoder_hidden_states, **rest)

    UNet2DConditionModel.forward = noted
    start = time.perf_counter()
    try:
        yield calls
    finally:
        UNet2DConditionModel.forward = original
        calls.seconds = time.perf_counter() - start


def bare(unet: UNet2DConditionModel, calls: Calls) -> float:
    """Seconds of the same calls with nothing around them."""
    start = time.perf_counter()
    for latents, embeddings in calls.arguments:
        differentiated = latents.requires_grad or embeddings.requires_grad
        with torch.set_grad_enabled(differentiated):
            output = unet(latents, 500, embeddings).sample
            if differentiated:
                output.sum().backward()
    return time.perf_counter() - start


def shapes_items(number: int) -> tuple[EditItem, ...]:
    """Edits of one source of the shapes benchmark."""
    shapes = BENCHMARKS.get("shapes")()
    return shapes.load().items[:number]


def is_sampled(name: str) -> bool:
    """Whether a method edits with the miniature model as it is; those that train have a benchmark of their own."""
    card = METHODS.get(name).card
    return bool(card.base_model) and bool(card.miniature) and "checkpointing" not in card.settings


def main() -> None:
    """Measure every method that edits with the base model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(name for name in METHODS.names() if is_sampled(name)))
    parser.add_argument("--model", default=MINIATURE)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--edits", type=int, default=2, help="of one source")
    options = parser.parse_args()
    tedbench = BENCHMARKS.get("tedbench")()
    items = shapes_items(options.edits)
    source = read_image(items[0].source_image)
    print("| method | fit: s, evaluations | edit: s, evaluations | over bare calls | TEdBench, shared | not shared |")
    print("|---|---|---|---|---|---|")
    for name in options.methods.split(","):
        method = METHODS.get(name)
        settings = method.card.values(miniature=options.model == MINIATURE)
        adapter = method()
        adapter.load(
            MethodRun(model=options.model, revision=None, settings=settings, device=options.device, dtype=options.dtype)
        )
        unet = getattr(getattr(adapter, "model", None), "unet", None)
        if unet is not None:
            print(row(name, adapter, unet, source, items, tedbench), flush=True)


def row(name: str, adapter: Any, unet: Any, source: Image.Image, items: tuple[EditItem, ...], tedbench: Any) -> str:
    """One line of the table."""
    adapter.edit(items[0], adapter.fit(source, items[0].source_caption, seed=0), seed=0)  # the first call is slower
    with watched() as fit:
        fitted = adapter.fit(source, items[0].source_caption, seed=0)
    edits = []
    for item in items:
        with watched() as edit:
            adapter.edit(item, fitted, seed=0)
        edits.append(edit)
    seconds = sum(edit.seconds for edit in edits)
    over = (fit.seconds + seconds) / sum(bare(unet, calls) for calls in (fit, *edits))
    per_edit = sum(edit.evaluations for edit in edits) / len(edits)
    n_items, n_groups = len(tedbench.items), tedbench.n_groups
    shared = fit.evaluations * n_groups + per_edit * n_items
    apart = (fit.evaluations + per_edit) * n_items
    return (
        f"| `{name}` | {fit.seconds:.2f}, {fit.evaluations} | {seconds / len(edits):.2f}, {per_edit:.0f} "
        f"| {over:.3f} | {shared:,.0f} | {apart:,.0f} |"
    )


if __name__ == "__main__":
    main()
