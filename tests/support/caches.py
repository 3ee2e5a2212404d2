"""Vectors to put into an embedding cache; processes that a test starts make the same ones."""

import hashlib

import numpy as np

FINGERPRINT = "f" * 64
BATCH = 16


def digest(content: object) -> str:
    """SHA-256 in hexadecimal of whatever stands for a picture."""
    return hashlib.sha256(str(content).encode()).hexdigest()


def vector(seed: int, dimension: int = 512) -> np.ndarray:
    """A vector that only ``seed`` decides."""
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)


def batch(number: int) -> dict[str, np.ndarray]:
    """The vectors of one transaction."""
    return {digest((number, row)): vector(1000 * number + row) for row in range(BATCH)}
