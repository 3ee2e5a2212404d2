"""SDEdit (Meng et al. 2022) on the larger models, as diffusers' image-to-image pipelines have it."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, MethodRun, Setting
from evalkit.errors import OptionError
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import from_zero, share, working_side


class ImageToImage(EditingPipeline):
    """Whatever image-to-image pipeline diffusers has for the base model."""

    card: ClassVar[MethodCard] = MethodCard(
        name="image_to_image",
        title="Image to image",
        summary="SDEdit with Stable Diffusion XL, 3, FLUX.1, Qwen-Image or Z-Image: noise on the source, and back.",
        paper="https://arxiv.org/abs/2108.01073",
        licence=(
            "Apache-2.0, as diffusers' AutoPipelineForImage2Image. The weights of Stable Diffusion XL: CreativeML "
            "OpenRAIL++-M; of others: see their page"
        ),
        variant=(
            "diffusers' defaults for Stable Diffusion XL: 50 steps, guidance 5, strength 0.3. Those for others: "
            "Stable Diffusion 3 --set guidance=7 --set strength=0.6; FLUX.1 the same with --set steps=28; Qwen-Image "
            "--set guidance=4 --set strength=0.6 (a true guidance, against a blank); Z-Image --set strength=0.6. "
            "Stochastic where the model's own scheduler is. No safety checker, no invisible watermark."
        ),
        base_model="stabilityai/stable-diffusion-xl-base-1.0",
        needs=frozenset({"target_caption"}),
        settings={
            "steps": Setting(default=50, summary="Steps of the whole schedule.", lowest=1),
            "strength": share(0.3, "Share of the schedule that is run."),
            "guidance": from_zero(5.0, "Classifier-free or distilled guidance."),
            "side": working_side(1024),
        },
        cannot="What changes and what stays is one choice for the whole picture: the strength.",
    )
    pipeline_class = "AutoPipelineForImage2Image"
    parts: ClassVar[dict[str, Any]] = {
        "safety_checker": None,
        "requires_safety_checker": False,
        "add_watermarker": False,
    }

    accepted: Mapping[str, Parameter]
    """What the pipeline can be called with."""

    def load(self, run: MethodRun) -> None:
        """The pipeline.

        Raises:
            OptionError: The model's is for instructions, and starts from noise alone.
        """
        super().load(run)
        self.accepted = signature(self.pipeline.__call__).parameters
        if "strength" not in self.accepted:
            raise OptionError(
                f"{run.model} is a {type(self.pipeline).__name__}, which has no strength. Its own method: "
                f"evalkit list methods"
            )

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The size too, where the pipeline would take its own; guidance under the name that has an effect.

        Qwen-Image is told no guidance, and ignores it: it is guided away from a negative prompt, if there is one.
        """
        image, guidance = self.resized(source), self.settings["guidance"]
        guided: dict[str, Any] = {"guidance_scale": guidance}
        if self.accepted["guidance_scale"].default is None:
            guided = {"true_cfg_scale": guidance, "negative_prompt": " "} if guidance > 1 else {"true_cfg_scale": 1.0}
        size = {"width": image.width, "height": image.height} if "width" in self.accepted else {}
        return {"prompt": text, "image": image, "strength": self.settings["strength"], **guided, **size}
