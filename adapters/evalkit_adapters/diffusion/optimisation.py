"""What methods that optimise have in common: the denoising loss, the loop, and networks tuned for a while.

Everything random comes from one generator on the CPU, so that a seed means the same on every device. Whatever is
optimised is float32 (float64 where the model is), also where the run's precision is lower: at the published rates a
step is smaller than what half precision can tell from nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import mse_loss

from evalkit.editing.method import Precision
from evalkit.errors import OptionError
from evalkit.storage.prefetch import Progress, no_progress
from evalkit.storage.tensors import Tensors
from evalkit_adapters.diffusion.schedule import Noise, Schedule, add_noise

_LOWER: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def denoising_loss(predict: Noise, clean: torch.Tensor, schedule: Schedule, generator: torch.Generator) -> torch.Tensor:
    """Mean squared error of the predicted noise at one random timestep: mean (ε − ε_θ(z_t, t))².

    Draws the noise first, then the timestep, uniform over all of training's, from a generator on the CPU.
    """
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    timestep = int(torch.randint(len(schedule.alphas_cumprod), (1,), generator=generator))
    return mse_loss(predict(add_noise(clean, noise, schedule.alphas_cumprod[timestep]), timestep), noise)


def adam(
    parameters: Iterable[torch.Tensor],
    rate: float,
    *,
    decay: float | None = None,
    eight_bit: bool = False,
) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015), in one kernel where torch has it; with a decay AdamW, which decouples it.

    In 8 bits are the moments; bitsandbytes keeps those of fewer than 4,096 elements in 32.

    Raises:
        OptionError: 8 bits are asked for where there is no CUDA, or no bitsandbytes.
    """
    parameters = list(parameters)
    if not eight_bit:
        kind = torch.optim.Adam if decay is None else torch.optim.AdamW
        return kind(parameters, lr=rate, weight_decay=decay or 0.0, fused=True)
    if not all(part.is_cuda for part in parameters):
        raise OptionError("Adam in 8 bits needs a CUDA device. Leave it out: --set eight_bit=false")
    try:
        from bitsandbytes import optim
    except ImportError as error:
        raise OptionError(
            "Adam in 8 bits needs bitsandbytes. Install it (pip install bitsandbytes), or leave it out: "
            "--set eight_bit=false"
        ) from error
    kind = optim.Adam8bit if decay is None else optim.AdamW8bit
    optimiser: torch.optim.Optimizer = kind(parameters, lr=rate, weight_decay=decay or 0.0)
    return optimiser


def optimise(
    loss: Callable[[int], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    steps: int,
    *,
    what: str,
    progress: Progress = no_progress,
    dtype: Precision = "fp32",
    rates: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> torch.Tensor:
    """Steps of an optimiser down a scalar loss, which is called with the step, from 0.

    In a run at fp16 the loss is scaled for the way back, and the gradients scaled back before the optimiser sees
    them; a step whose gradients overflow is left out. No gradient is left behind.

    Args:
        loss: Of what the optimiser holds.
        optimiser: Any.
        steps: How many.
        what: Is optimised, as the progress calls it.
        progress: The run's.
        dtype: The run's.
        rates: The learning rate's schedule, moved after each step.

    Returns:
        The losses, ``(steps,)``, on the CPU.

    Raises:
        FloatingPointError: A loss is infinite or no number.
    """
    if steps == 0:
        return torch.zeros(0)
    device = optimiser.param_groups[0]["params"][0].device
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == "fp16")
    losses = []
    try:
        progress(what, 0, steps)
        for step in range(steps):
            optimiser.zero_grad(set_to_none=True)
            with torch.enable_grad():
                value = loss(step)
                scaler.scale(value).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimiser)
            scaler.update()
            if rates is not None:
                rates.step()
            losses.append(value.detach())  # on the device: asking for the number would wait for it
            progress(what, step + 1, steps)
    finally:
        optimiser.zero_grad(set_to_none=True)
    found = torch.stack(losses).cpu()
    if not found.isfinite().all():
        at = int((~found.isfinite()).nonzero()[0])
        raise FloatingPointError(f"the loss of {what} is {found[at].item()} at step {at} of {steps}: take a lower rate")
    return found


@contextmanager
def checkpointed(network: Any, enabled: bool = True) -> Iterator[None]:  # noqa: ANN401 - diffusers ships no types
    """While it lasts, a network that offers gradient checkpointing recomputes its inner values on the way back."""
    switches = enabled and hasattr(network, "enable_gradient_checkpointing") and not network.is_gradient_checkpointing
    if switches:
        network.enable_gradient_checkpointing()
    try:
        yield
    finally:
        if switches:
            network.disable_gradient_checkpointing()


class TrainableWeights:
    """The weights of a network that are free to change for a while."""

    def __init__(self, weights: Mapping[str, nn.Parameter], before: Mapping[str, torch.Tensor]) -> None:
        self._weights = weights
        self._before = before

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is to be optimised."""
        return list(self._weights.values())

    def changed(self) -> Tensors:
        """The weights that are not as they were, whole: a difference would not always add up to the same bits."""
        return {
            name: part.detach()
            for name, part in self._weights.items()
            if not torch.equal(part, self._before[name].to(part.dtype))
        }

    @torch.no_grad()
    def load(self, weights: Tensors) -> None:
        """Sets what :meth:`changed` gave, now or in an earlier run."""
        for name, part in weights.items():
            self._weights[name].copy_(part)


@contextmanager
def trainable(
    network: nn.Module, *, dtype: Precision = "fp32", checkpointing: bool = False
) -> Iterator[TrainableWeights]:
    """A network whose weights may be changed; afterwards, however it ends, it is bit by bit as it was.

    Its weights are float32 at least. At a lower precision of the run, the network computes in it by autocast,
    whoever calls it. Its modes are left as they are: a frozen network stays in evaluation mode.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    before = {name: (part.data, part.requires_grad, part.grad) for name, part in tensors.items()}
    modes = {part: part.training for part in network.modules()}
    own_forward = network.__dict__.get("forward")
    try:
        for part in tensors.values():
            part.data = part.data.float() if part.dtype in _LOWER.values() else part.data.clone()
            part.grad = None
        for part in network.parameters():
            part.requires_grad_(True)
        if dtype in _LOWER:
            device = next(network.parameters()).device.type
            network.forward = torch.autocast(device, _LOWER[dtype])(network.forward)
        with checkpointed(network, checkpointing):
            yield TrainableWeights(
                dict(network.named_parameters()), {name: data for name, (data, _, _) in before.items()}
            )
    finally:
        if own_forward is not None:
            network.forward = own_forward
        else:
            network.__dict__.pop("forward", None)
        for name, part in tensors.items():
            data, requires_grad, grad = before[name]
            part.data, part.grad = data, None
            part.requires_grad_(requires_grad)
            part.grad = grad
        for module, training in modes.items():
            module.training = training
