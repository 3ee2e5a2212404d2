"""What Text2LIVE minimises (Bar-Tal et al. 2022, section 3.2, with the weights of the authors' configuration)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import mse_loss

from evalkit_adapters.guidance.augmentations import Augmentation
from evalkit_adapters.guidance.clip import GuidingClip, resize, size_within
from evalkit_adapters.guidance.edit_layer import Rendered
from evalkit_adapters.guidance.losses import cosine_distance, self_similarity, sparsity, spherical_distance

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
    def of(
        cls, clip: GuidingClip, composite: str, source: str, screen: str, region: str, *, plain: bool
    ) -> "CaptionEmbeddings":
        """CaptionEmbeddings put into the templates; ``plain`` leaves composite and source as they are."""

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


def bootstrap_weight(step: int, *, first: float, steps: int, schedule: str) -> float:
    """The weight of the bootstrapping at a step, counted from 0; nothing from step ``steps`` on.

    ``linear`` falls to 0 at the last step, ``exponential`` by 1 % each step, ``constant`` does not fall.
    """
    if step >= steps:
        return 0.0
    share = {"linear": max(1 - (step + 1) / steps, 0.0), "exponential": 0.99**step, "constant": 1.0}[schedule]
    return first * share


def drawn(embeddings: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Some rows, the same of each: as many as chance says, with replacement."""
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

    def parts(self, pictures: Sequence[torch.Tensor], layers: Sequence[Rendered], step: int) -> dict[str, torch.Tensor]:
        """Each loss with its weight, averaged over the pictures of one iteration; those without weight are left out.

        Args:
            pictures: ``(1, 3, height, width)`` each.
            layers: The edit layer over each.
            step: Counted from 0.
        """
        weights = self.weights(step)
        pairs = list(zip(pictures, layers, strict=True))
        return {
            name: weight * sum(getattr(self, name)(*pair) for pair in pairs) / len(pairs)
            for name, weight in weights.items()
            if weight
        }

    def weights(self, step: int) -> dict[str, float]:
        """Of each loss at a step."""
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

    def composition(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:  # noqa: ARG002 - all take both
        """The composite against its text."""
        (texts,) = drawn([self.texts.composite])
        return self.distance(self.embeddings(layer.composite), texts)

    def direction(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
        """The way from the source to the composite against that of their texts, all as CLIP gives them."""
        target, source = drawn([self.texts.composite, self.texts.source])
        with torch.no_grad():
            before = self.embeddings(picture)
        moved = self.embeddings(layer.composite) - before
        return cosine_distance(moved[:, None], (target - source)[None]).mean()

    def screen(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:  # noqa: ARG002
        """The layer alone against its text."""
        (texts,) = drawn([self.texts.screen])
        return self.distance(self.embeddings(layer.screen), texts)

    def structure(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
        """How far the tokens' likenesses among themselves have changed."""
        with torch.no_grad():
            before = self.likenesses(picture)
        return mse_loss(self.likenesses(layer.composite), before)

    def sparsity(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:  # noqa: ARG002
        """How much the layer covers."""
        mean, count = self.settings["opacity_mean"], self.settings["opacity_count"]
        return sparsity(layer.opacity, mean_weight=mean, count_weight=count)

    def bootstrap(self, picture: torch.Tensor, layer: Rendered) -> torch.Tensor:
        """How far the opacity is from where CLIP sees what is to be painted over."""
        side = self.clip.side
        return mse_loss(resize(layer.opacity, (side, side)), self.clip.relevancy(picture, self.texts.region))

    def distance(self, embeddings: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """The criterion between all views and all texts."""
        if self.settings["criterion"] == "cosine":
            return 1.2 * cosine_distance(embeddings[:, None], texts[None]).mean()
        return spherical_distance(embeddings[:, None], texts[None]).mean()

    def embeddings(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of a picture's views, drawn anew."""
        return self.clip.embed(self.augmentation.views(pixels, self.settings["views"], self.clip.side))

    def likenesses(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of a picture's tokens before CLIP's last block, among themselves."""
        height, width = pixels.shape[2:]
        size = size_within((height, width), self.clip.side, round(self.clip.side * _LONGEST))
        return self_similarity(self.clip.tokens(resize(pixels, size)))
