"""Latent diffusion from the target caption alone (Rombach et al. 2022): what editing looks like without the source."""

from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem

if TYPE_CHECKING:
    from evalkit_adapters.diffusion.latent import LatentDiffusion


class TextToImage:
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
            "steps": Setting(default=50, summary="Steps of sampling.", lowest=1, highest=999),
            "guidance": Setting(default=7.5, summary="Classifier-free guidance.", lowest=0),
        },
        miniature={"guidance": 4.0, "steps": 20},
        edit_types=frozenset(),
        cannot="It preserves nothing: it is a control.",
    )
    model: "LatentDiffusion"
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The base model."""
        from evalkit_adapters.diffusion.latent import LatentDiffusion

        self.model, self.settings = LatentDiffusion.open(run), dict(run.settings)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> None:
        """Nothing: the source is ignored."""

    def edit(self, item: EditItem, fitted: None, *, seed: int) -> EditedPicture:  # noqa: ARG002 - the protocol's
        """A sample for the target caption, from the noise of the seed."""
        import torch

        model, guidance = self.model, self.settings["guidance"]
        empty, wanted = model.embed(""), model.embed(item.target_caption or "")
        with torch.no_grad():
            latent = model.schedule.sample(
                model.start(seed),
                model.schedule.steps(self.settings["steps"]),
                lambda x, t: model.guided(x, t, empty, wanted, guidance),
            )
        return model.decode(latent)
