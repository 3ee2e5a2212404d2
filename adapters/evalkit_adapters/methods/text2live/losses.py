"""What Text2LIVE minimises (Bar-Tal et al. 2022, section 3.2, with the weights of the authors' configuration)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import mse_loss, normalize

from evalkit_adapters.guidance.augmentations import Augmentation
from evalkit_adapters.guidance.clip import GuidingClip, fit_within, resize
from evalkit_adapters.methods.text2live.edit_layer import Rendered

TEMPLATES = (
    "photo of {}.",
    "high quality photo of {}.",
    "a photo of {}.",
    "the photo of {}.",
    "image of {}.",
    "an image of {}.",
    "high quality image of {}.",
    "a high quality image of {}.",
    "the {}.",
    "a {}.",
    "{}.",
    "{}",
    "{}!",
    "{}...",
)
"""For what describes the edited picture and its source."""
SCREEN_TEMPLATES = ("{} over a green screen.", "{} in front of a green screen.")
_LONGEST = 380 / 224
"""Of a picture's long side where its structure is read, to the short side that CLIP was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionEmbeddings:
    """The embeddings of an edit's texts, not normalised."""

    composite: torch.Tensor
    """``(templates, dimension)`` of what the edited picture shows."""
    source: torch.Tensor
    """The same templates, of what the source shows."""
    screen: torch.Tensor
    """``(screen templates, dimension)`` of what the layer alone shows."""
    region: torch.Tensor
    """``(dimension,)`` of what is to be painted over."""

    @classmethod
    def from_captions(
        cls, clip: GuidingClip, composite: str, source: str, screen: str, region: str, *, plain: bool
    ) -> "CaptionEmbeddings":
        """Captions put into the templates; ``plain`` leaves composite and source as they are."""

        def filled(text: str, templates: Sequence[str]) -> torch.Tensor:
            # What follows the caption is the template's to say: "the dog.." is no sentence.
            return clip.embed_texts([template.format(text.rstrip(". ")) for template in templates])

        templates = ("{}.",) if plain else TEMPLATES
        return cls(
            composite=filled(composite, templates),
            source=filled(source, templates),
            screen=filled(screen, SCREEN_TEMPLATES),
            region=clip.embed_texts([region])[0],
        )


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


def self_similarity(tokens: torch.Tensor) -> torch.Tensor:
    """``S_ij = t_i · t_j / max(‖t_i‖ ‖t_j‖, 1e-8)`` of ``(n, tokens, width)``: ``(n, tokens, tokens)``."""
    norms = tokens.norm(dim=-1)
    likeness: torch.Tensor = tokens @ tokens.transpose(1, 2) / (norms[:, :, None] * norms[:, None, :]).clamp(min=1e-8)
    return likeness


def sparsity(opacity: torch.Tensor, *, mean_weight: float, count_weight: float) -> torch.Tensor:
    """How much an edit layer covers: ``γ₁ mean α + γ₀ mean(2 sigmoid(5 α) − 1)``; the second counts."""
    count = (2 * (5 * opacity).sigmoid() - 1).mean()
    return mean_weight * opacity.mean() + count_weight * count


def bootstrap_weight(step: int, *, first: float, steps: int, schedule: str) -> float:
    """The weight of the bootstrapping at a step, counted from 0; nothing from step ``steps`` on.

    ``linear`` falls to 0 at the last step, ``exponential`` by 1 % each step, the first included, ``constant`` does not.
    """
    if step >= steps:
        return 0.0
    share = {"linear": max(1 - (step + 1) / steps, 0.0), "exponential": 0.99 ** (step + 1), "constant": 1.0}[schedule]
    return first * share


def mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
    """Of scalars."""
    return torch.stack([*values]).mean()


def sample_rows(*embeddings: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Random rows with replacement, the same of each tensor; how many is random too."""
    n_rows = len(embeddings[0])
    number = int(torch.randint(1, n_rows + 1, ()).item())
    rows = torch.randint(n_rows, (number,)).to(embeddings[0].device)
    return tuple(part[rows] for part in embeddings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text2LiveObjective:
    """The losses of one edit."""

    clip: GuidingClip
    texts: CaptionEmbeddings
    settings: Mapping[str, Any]

    @property
    def augmentation(self) -> Augmentation:
        """Of what the network and CLIP are shown."""
        return Augmentation(self.settings["augmentation"])

    def weighted_losses(
        self, pictures: Sequence[torch.Tensor], layers: Sequence[Rendered], step: int
    ) -> dict[str, torch.Tensor]:
        """Each loss with its weight, averaged over the pictures of one iteration; those without weight are left out.

        Pictures are ``(1, 3, height, width)``, each with the edit layer over it; steps are counted from 0.
        """
        losses: dict[str, Callable[[], torch.Tensor]] = {
            "composition": lambda: self.composition(layers),
            "direction": lambda: self.direction(pictures, layers),
            "structure": lambda: mean(map(self.structure, pictures, layers)),
            "screen": lambda: self.screen(layers),
            "sparsity": lambda: mean(map(self.sparsity, layers)),
            "bootstrap": lambda: mean(map(self.bootstrap, pictures, layers)),
        }
        weights = self.weights(step)
        return {name: weights[name] * loss() for name, loss in losses.items() if weights[name]}

    def weights(self, step: int) -> dict[str, float]:
        """Loss to its weight at a step; only the bootstrap's changes with it."""
        s = self.settings
        return {
            "composition": s["composition"],
            "direction": s["composition"],
            "structure": s["structure"],
            "screen": s["screen"],
            "sparsity": s["sparsity"],
            "bootstrap": bootstrap_weight(
                step, first=s["bootstrap"], steps=s["bootstrap_steps"], schedule=s["bootstrap_schedule"]
            ),
        }

    def composition(self, layers: Sequence[Rendered]) -> torch.Tensor:
        """The composites against their text, in the same sentences."""
        (texts,) = sample_rows(self.texts.composite)
        return mean(self.text_distance(layer.composite, texts) for layer in layers)

    def direction(self, pictures: Sequence[torch.Tensor], layers: Sequence[Rendered]) -> torch.Tensor:
        """The way from each source to its composite against that of their texts, all as CLIP gives them.

        The texts are in the same sentences for all.
        """
        target, source = sample_rows(self.texts.composite, self.texts.source)

        def distance(picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
            with torch.no_grad():
                before = self.view_embeddings(picture)
            moved = self.view_embeddings(layer.composite) - before
            return cosine_distance(moved[:, None], (target - source)[None]).mean()

        return mean(map(distance, pictures, layers))

    def screen(self, layers: Sequence[Rendered]) -> torch.Tensor:
        """The layers alone against their text, in the same sentences."""
        (texts,) = sample_rows(self.texts.screen)
        return mean(self.text_distance(layer.screen, texts) for layer in layers)

    def structure(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
        """How far the tokens' self-similarity has changed."""
        with torch.no_grad():
            before = self.token_self_similarity(picture)
        return mse_loss(self.token_self_similarity(layer.composite), before)

    def sparsity(self, layer: Rendered) -> torch.Tensor:
        """How much the layer covers."""
        mean, count = self.settings["opacity_mean"], self.settings["opacity_count"]
        return sparsity(layer.opacity, mean_weight=mean, count_weight=count)

    def bootstrap(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
        """How far the opacity is from where CLIP sees what is to be painted over."""
        side = self.clip.side
        return mse_loss(resize(layer.opacity, (side, side)), self.clip.relevancy(picture, self.texts.region))

    def text_distance(self, pixels: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """The criterion between all views of a picture and all texts."""
        embeddings = self.view_embeddings(pixels)
        if self.settings["criterion"] == "cosine":
            return 1.2 * cosine_distance(embeddings[:, None], texts[None]).mean()
        return spherical_distance(embeddings[:, None], texts[None]).mean()

    def view_embeddings(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of random views of a picture."""
        return self.clip.embed(self.augmentation.views(pixels, self.settings["views"], self.clip.side))

    def token_self_similarity(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of a picture's tokens before CLIP's last block."""
        height, width = pixels.shape[2:]
        size = fit_within((height, width), self.clip.side, round(self.clip.side * _LONGEST))
        return self_similarity(self.clip.tokens(resize(pixels, size)))
