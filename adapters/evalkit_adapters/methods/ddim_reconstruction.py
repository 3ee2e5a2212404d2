"""DDIM inversion and back (Song et al. 2021): what a method that starts from inverted noise can at best preserve."""

from typing import ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, Setting
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import from_zero


class DDIMReconstruction(LatentDiffusionMethod):
    """Inverts the source image to noise and samples it back with its own caption."""

    card: ClassVar[MethodCard] = MethodCard(
        name="ddim_reconstruction",
        title="DDIM reconstruction",
        summary="Inverts the source image to noise with DDIM and samples it back under its own caption.",
        paper="https://arxiv.org/abs/2010.02502",
        licence="Apache-2.0; the formula is that of the paper",
        variant="The source caption conditions both ways, unguided by default; no null-text optimisation.",
        base_model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        needs=frozenset({"source_caption"}),
        settings={
            "steps": Setting(default=50, summary="Steps each way.", lowest=1, highest=999),
            "guidance": from_zero(1.0, "Classifier-free guidance of the way back."),
        },
        miniature={"steps": 20},
        edit_types=frozenset(),
        cannot="It makes no edit: it is a control.",
    )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> EditedPicture:  # noqa: ARG002
        """The reconstruction, which does not depend on the edit."""
        model, caption = self.model, self.model.embed(source_caption or "")
        steps = self.steps
        inverted = model.invert(model.encode(model.square(source_image)), steps, caption)
        return model.decode(model.sample(inverted[steps[0].timestep], steps, caption, self.settings["guidance"]))

    def edit(self, item: EditItem, fitted: EditedPicture, *, seed: int) -> EditedPicture:  # noqa: ARG002 - the protocol's
        """The reconstruction."""
        return fitted
