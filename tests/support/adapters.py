"""Editing methods on models that a test has at hand, and whether they leave them as they found them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from evalkit.editing.method import Adapter, MethodRun
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion


def loaded(method: type[Adapter[Any]], model: LatentDiffusion, **settings: Any) -> Any:
    """A method that has gone through its own ``load``, on a given model.

    Args:
        method: The adapter's class.
        model: What its base model's loading returns.
        settings: Those that differ from the published ones.
    """
    adapter = method()
    values = method.card.values(miniature=False) | settings
    with patch.object(LatentDiffusion, "open", return_value=model):
        adapter.load(MethodRun(model="at hand", revision=None, settings=values))
    return adapter


def furthest(one: Any, other: Any) -> float:
    """The largest difference between two tensors or arrays."""
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).max())


@contextmanager
def untouched(unet: torch.nn.Module) -> Iterator[None]:
    """Requires that a UNet leaves the context, by whichever way, as it came: parts, hooks, weights, gradients."""
    before = _state(unet)
    weights = {name: part.detach().clone() for name, part in unet.named_parameters()}
    try:
        yield
    finally:
        assert _state(unet) == before
        for name, part in unet.named_parameters():
            assert torch.equal(part, weights[name]), name


def _state(unet: torch.nn.Module) -> tuple[Any, ...]:
    """What can be compared by equality; processors and hooks are equal to themselves alone."""
    modules = dict(unet.named_modules())
    return (
        {name: module.training for name, module in modules.items()},
        {name: getattr(module, "processor", None) for name, module in modules.items()},
        {
            name: [dict(hooks) for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)]
            for name, module in modules.items()
        },
        {name: module.__dict__.get("forward") for name, module in modules.items()},
        {name: (part.requires_grad, part.grad) for name, part in unet.named_parameters()},
    )


class Evaluations:
    """What happens in a UNet while the context lasts: of each evaluation the timestep, its rows, and what is hooked."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self._unet = unet
        self._own = {name: getattr(module, "processor", None) for name, module in unet.named_modules()}
        self.timesteps: list[int] = []
        self.rows: list[int] = []
        self.n_replaced: list[int] = []
        self.hooks: list[list[str]] = []

    def __enter__(self) -> "Evaluations":
        self._handle = self._unet.register_forward_pre_hook(self._record)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _record(self, unet: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if unet is not self._unet:  # a copy of it, which has the hook too
            return
        modules = dict(unet.named_modules())
        self.timesteps.append(int(inputs[1]))
        self.rows.append(len(inputs[0]))
        processors = {name: getattr(module, "processor", None) for name, module in modules.items()}
        self.n_replaced.append(sum(processors[name] is not own for name, own in self._own.items()))
        self.hooks.append([name for name, module in modules.items() if module._forward_hooks])


def gaussian(seed: int, side: int = 16) -> torch.Tensor:
    """The noise of a seed."""
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed)).double()


@torch.no_grad()
def encoded(model: LatentDiffusion, picture: Any) -> torch.Tensor:
    """The mean of a picture's posterior, scaled, by the autoencoder alone."""
    pixels = torch.tensor(np.asarray(picture), dtype=torch.float64).permute(2, 0, 1)[None]
    posterior = model.autoencoder.encode(pixels / 127.5 - 1).latent_dist
    return posterior.mean * model.autoencoder.config.scaling_factor


@torch.no_grad()
def decoded(model: LatentDiffusion, latents: torch.Tensor) -> np.ndarray:
    """The picture of latents, by the autoencoder alone."""
    pixels = model.autoencoder.decode(latents / model.autoencoder.config.scaling_factor).sample[0]
    return ((pixels + 1) / 2).clamp(0, 1).numpy().transpose(1, 2, 0)
