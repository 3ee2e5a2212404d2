"""What DiffusionCLIP minimises (Kim et al. 2022, section 3.1): CLIP's directional distance and the change of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.functional import normalize

from evalkit_adapters.guidance.augmentations import Augmentation
from evalkit_adapters.guidance.clip import GuidingClip, resize


def directional_distance(edited: torch.Tensor, source: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """``1 − cos(f(edited) − f(source), direction)`` with f normalised; one value per row, in [0, 2].

    The direction, ``(dimension,)``, leads from the source text to the target text.
    """
    moved = normalize(edited, dim=-1) - normalize(source, dim=-1)
    # Not by normalize: an edited picture that is still the source has no direction, and must have a derivative.
    moved = moved / (moved.norm(dim=-1, keepdim=True) + 1e-7)
    cosine: torch.Tensor = moved @ normalize(direction, dim=-1)
    return 1 - cosine


def log_distance(distance: torch.Tensor) -> torch.Tensor:
    """``−log((2 − D) / 2)``: 0 at a directional distance of 0, ln 2 at 1, and finite (13.8) at 2."""
    return -((2 - distance) / 2).clamp(min=1e-6).log()


def text_direction(clip: GuidingClip, source: str, target: str, templates: Sequence[str]) -> torch.Tensor:
    """From one text to the other: normalised embeddings, their difference averaged over templates, and normalised."""
    before, after = (
        normalize(clip.embed_texts([template.format(text) for template in templates]), dim=-1)
        for text in (source, target)
    )
    return normalize((after - before).mean(dim=0), dim=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionalObjective:
    """``λ_clip L_clip + λ_1 mean|x₀ − x|``."""

    clip: GuidingClip
    direction: torch.Tensor
    """``(dimension,)`` from the source text to the target text."""
    clip_weight: float
    l1_weight: float
    is_logarithmic: bool
    """Whether the directional distance D enters as ``−log((2 − D) / 2)``, as in the authors' code, or as it is."""
    views: int = 0
    """Random views in which CLIP is shown a picture and its source, both in the same; 0: as they are."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Of the views."""

    def loss(self, made: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Of pictures ``(n, 3, side, side)`` in [0, 1] against those that they were made of."""
        drawn = torch.get_rng_state()
        before = self._embed(source)
        torch.set_rng_state(drawn)
        distance = directional_distance(self._embed(made), before, self.direction)
        clip_loss = log_distance(distance) if self.is_logarithmic else distance
        # Of pixels in [−1, 1], which are twice as far apart.
        return self.clip_weight * clip_loss.mean() + self.l1_weight * 2 * (source - made).abs().mean()

    def _embed(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.views:
            seen = [self.augmentation.views(picture[None], self.views, self.clip.side) for picture in pictures]
            return self.clip.embed(torch.cat(seen))
        side = (self.clip.side, self.clip.side)
        return self.clip.embed(resize(pictures, side, "bicubic"))
