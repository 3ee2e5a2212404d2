"""SDEdit (Meng et al. 2022): noise on the source image, then denoising under the target caption."""

from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, Setting
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, share

if TYPE_CHECKING:
    import torch


class SDEdit(LatentDiffusionMethod):
    """Starts half-way: from the source image under as much noise as ``strength`` says."""

    card: ClassVar[MethodCard] = MethodCard(
        name="sdedit",
        title="SDEdit",
        summary="Adds noise to the source image and denoises it under the target caption.",
        paper="https://arxiv.org/abs/2108.01073",
        licence="Apache-2.0; the paper's own code is MIT",
        variant=(
            "Image-to-image on latents as in Stable Diffusion (strength 0.8), sampled with deterministic DDIM from the "
            "posterior's mean, where diffusers draws from the posterior. The paper's own runs in pixels, stochastic."
        ),
        base_model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        needs=frozenset({"target_caption"}),
        settings={
            "steps": Setting(default=50, summary="Steps of the whole schedule.", lowest=1, highest=999),
            "strength": share(0.8, "Share of the schedule that is run."),
            "guidance": GUIDANCE,
        },
        miniature={"guidance": 4.0, "steps": 20},
        edit_types=frozenset({"recolour", "reshape", "resize", "move_left", "move_right"}),
        cannot="What changes and what stays is one choice for the whole picture: the strength.",
    )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "torch.Tensor":  # noqa: ARG002
        """The source image's latent."""
        return self.model.encode(self.model.square(source_image))

    def edit(self, item: EditItem, fitted: "torch.Tensor", *, seed: int) -> EditedPicture:
        """The source under the noise of the seed, denoised."""
        from evalkit_adapters.diffusion.schedule import add_noise

        model, steps = self.model, self.steps
        steps = steps[len(steps) - int(len(steps) * self.settings["strength"]) :]
        if not steps:
            return model.decode(fitted)
        noisy = add_noise(fitted, model.initial_noise(seed), steps[0].alpha)
        caption = model.embed(item.target_caption or "")
        return model.decode(model.sample(noisy, steps, caption, self.settings["guidance"]))
