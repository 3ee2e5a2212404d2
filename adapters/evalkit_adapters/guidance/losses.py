"""What CLIP-guided methods minimise: pure functions of embeddings and tokens, all differentiable.

Embeddings are ``(n, dimension)``, as the network gives them; each function says what it normalises.
"""

import torch
from torch.nn.functional import normalize


def spherical_distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Half the squared angle, ``2 arcsin(‖x̂ − ŷ‖ / 2)² = θ² / 2``, of vectors normalised here; over the last axis.

    Equal vectors have distance 0 and opposite ones π² / 2. Both ends are kept finite in their derivative.
    """
    chord = normalize(one, dim=-1) - normalize(other, dim=-1)
    half = (chord.square().sum(dim=-1) + 1e-24).sqrt() / 2
    return 2 * half.clamp(max=1 - 1e-6).arcsin().square()


def cosine_distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """``1 − cos``; over the last axis."""
    return 1 - torch.cosine_similarity(one, other, dim=-1)


def directional_distance(edited: torch.Tensor, source: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """``1 − cos(f(edited) − f(source), direction)`` with f normalised; one value per row, in [0, 2].

    Args:
        edited: Embeddings of the edited pictures.
        source: Embeddings of the source pictures.
        direction: ``(dimension,)``, from the source text to the target text.
    """
    moved = normalize(edited, dim=-1) - normalize(source, dim=-1)
    # Not by normalize: an edited picture that is still the source has no direction, and must have a derivative.
    moved = moved / (moved.norm(dim=-1, keepdim=True) + 1e-7)
    cosine: torch.Tensor = moved @ normalize(direction, dim=-1)
    return 1 - cosine


def log_likeness(distance: torch.Tensor) -> torch.Tensor:
    """``−log((2 − D) / 2)``: 0 at a directional distance of 0, ln 2 at 1, and finite (13.8) at 2."""
    return -((2 - distance) / 2).clamp(min=1e-6).log()


def self_similarity(tokens: torch.Tensor) -> torch.Tensor:
    """``S_ij = t_i · t_j / max(‖t_i‖ ‖t_j‖, 1e-8)`` of ``(n, tokens, width)``: ``(n, tokens, tokens)``."""
    norms = tokens.norm(dim=-1)
    likeness: torch.Tensor = tokens @ tokens.transpose(1, 2) / (norms[:, :, None] * norms[:, None, :]).clamp(min=1e-8)
    return likeness


def sparsity(opacity: torch.Tensor, *, mean_weight: float, count_weight: float) -> torch.Tensor:
    """How much an edit layer covers: ``γ₁ mean α + γ₀ mean(2 sigmoid(5 α) − 1)``; the second counts."""
    count = (2 * (5 * opacity).sigmoid() - 1).mean()
    return mean_weight * opacity.mean() + count_weight * count
