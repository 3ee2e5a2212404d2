"""Editing methods on models that a test has at hand, and whether they leave them as they found them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from evalkit.editing.method import Adapter, MethodRun
from evalkit_adapters.diffusion.latent import LatentDiffusion


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
