"""Latent diffusion from the target caption alone (Rombach et al. 2022): what editing looks like without the source."""

from typing import ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, SAMPLING_STEPS


class TextToImage(LatentDiffusionMethod):
    """Draws the target caption from noise, and never looks at the source image."""

    card: ClassVar[MethodCard] = MethodCard(
        name="text_to_image",
        title="Text to image",
        summary="Draws the target caption from fresh noise and ignores the source: the floor of preservation.",
        paper="https://arxiv.org/abs/2112.10752",
        licence="Apache-2.0",
        variant="Deterministic DDIM sampling under classifier-free guidance, as in Stable Diffusion 1.",
        base_model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        needs=frozenset({"target_caption"}),
        settings={
            "steps": SAMPLING_STEPS,
            "guidance": GUIDANCE,
        },
        miniature={"guidance": 4.0, "steps": 20},
        edit_types=frozenset(),
        cannot="It preserves nothing: it is a control.",
    )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> None:
        """Nothing: the source is ignored."""

    def edit(self, item: EditItem, fitted: None, *, seed: int) -> EditedPicture:  # noqa: ARG002 - the protocol's
        """A sample for the target caption, from the noise of the seed."""
        return self.sample(self.model.embed(item.target_caption or ""), seed)
