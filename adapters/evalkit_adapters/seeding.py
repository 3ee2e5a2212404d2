"""Random numbers that follow a seed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seeded_generator(seed: int, purpose: str) -> "torch.Generator":
    """A generator on the CPU; for another purpose, the same seed gives independent numbers."""
    import torch

    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def globally_seeded(seed: int, device: "torch.device | None" = None) -> "Iterator[torch.Generator]":
    """While it lasts torch's global generators follow the seed; afterwards those of CPU and device are where they were.

    Yields:
        A generator of the same seed on the CPU, whose numbers are the same on every device.
    """
    import torch

    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)
