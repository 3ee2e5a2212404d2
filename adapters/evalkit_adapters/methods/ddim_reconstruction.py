"""DDIM inversion and back (Song et al. 2021): what a method that starts from inverted noise can at best preserve."""

from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem

if TYPE_CHECKING:
    from evalkit_adapters.diffusion.latent import LatentDiffusion


class DDIMReconstruction:
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
            "guidance": Setting(default=1.0, summary="Classifier-free guidance of the way back.", lowest=0),
        },
        miniature={"steps": 20},
        edit_types=frozenset(),
        cannot="It makes no edit: it is a control.",
    )
    model: "LatentDiffusion"
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The base model."""
        from evalkit_adapters.diffusion.latent import LatentDiffusion

        self.model, self.settings = LatentDiffusion.open(run), dict(run.settings)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> EditedPicture:  # noqa: ARG002
        """The reconstruction, which does not depend on the edit."""
        import torch

        model = self.model
        steps = model.schedule.steps(self.settings["steps"])
        empty, caption = model.embed(""), model.embed(source_caption or "")
        latent = model.encode(model.square(source_image))
        with torch.no_grad():
            reached = model.schedule.invert(latent, steps, lambda x, t: model.noise(x, t, caption))
            guidance = self.settings["guidance"]
            latent = model.schedule.sample(
                reached[steps[0].timestep], steps, lambda x, t: model.guided(x, t, empty, caption, guidance)
            )
        return model.decode(latent)

    def edit(self, item: EditItem, fitted: EditedPicture, *, seed: int) -> EditedPicture:  # noqa: ARG002 - the protocol's
        """The reconstruction."""
        return fitted
