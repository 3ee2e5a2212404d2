"""InstructPix2Pix (Brooks et al. 2023): a diffusion model trained on pairs of pictures and instructions."""

from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, Setting
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import pipeline_steps, working_side

_IMAGE_GUIDANCE = Setting(
    default=1.5, summary="Guidance towards the source; needs guidance above 1 to have an effect.", lowest=1
)
_CANNOT = "Move, count or rearrange objects reliably; a strong instruction recolours the whole picture."


class InstructPix2Pix(EditingPipeline):
    """On Stable Diffusion 1.5."""

    card: ClassVar[MethodCard] = MethodCard(
        name="instruct_pix2pix",
        title="InstructPix2Pix",
        summary="A Stable Diffusion 1.5 trained to follow instructions, with the source in extra input channels.",
        paper="https://arxiv.org/abs/2211.09800",
        licence=(
            "Apache-2.0, as diffusers' StableDiffusionInstructPix2PixPipeline. The weights descend from Stable "
            "Diffusion 1.5 (CreativeML OpenRAIL-M); their own terms stand on their page"
        ),
        variant=(
            "The published defaults: 100 steps, guidance 7.5 and 1.5. At about 512² pixels in the source's own "
            "proportions, where the authors fit the longer side to 512. No safety checker: it would blacken edits."
        ),
        base_model="timbrooks/instruct-pix2pix",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(100),
            "guidance": Setting(default=7.5, summary="Guidance towards the instruction; at 1 there is none.", lowest=1),
            "image_guidance": _IMAGE_GUIDANCE,
            "side": working_side(512),
        },
        cannot=_CANNOT,
    )
    pipeline_class = "StableDiffusionInstructPix2PixPipeline"
    parts: ClassVar[dict[str, Any]] = {"safety_checker": None, "requires_safety_checker": False}
    multiple = 64

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """Both guidances and the source."""
        return {
            "prompt": text,
            "image": self.resized(source),
            "guidance_scale": self.settings["guidance"],
            "image_guidance_scale": self.settings["image_guidance"],
        }


class InstructPix2PixXL(InstructPix2Pix):
    """On Stable Diffusion XL."""

    card: ClassVar[MethodCard] = MethodCard(
        name="instruct_pix2pix_xl",
        title="InstructPix2Pix XL",
        summary="InstructPix2Pix trained on Stable Diffusion XL at 768 pixels.",
        paper="https://arxiv.org/abs/2211.09800",
        licence=(
            "Apache-2.0, as diffusers' StableDiffusionXLInstructPix2PixPipeline. The weights: CreativeML OpenRAIL++-M, "
            "as Stable Diffusion XL's"
        ),
        variant=(
            "diffusers' defaults: 100 steps, guidance 5 and 1.5 (its example has 30 steps and guidance 3). The weights "
            "are an experiment of diffusers' authors, not of the paper's. No invisible watermark."
        ),
        base_model="diffusers/sdxl-instructpix2pix-768",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(100),
            "guidance": Setting(default=5.0, summary="Guidance towards the instruction; at 1 there is none.", lowest=1),
            "image_guidance": _IMAGE_GUIDANCE,
            "side": working_side(768),
        },
        cannot=_CANNOT,
    )
    pipeline_class = "StableDiffusionXLInstructPix2PixPipeline"
    parts: ClassVar[dict[str, Any]] = {"add_watermarker": False}

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The size too, without which the pipeline takes the one it was trained at, whatever the proportions."""
        arguments = super().arguments(source, text)
        width, height = arguments["image"].size
        return arguments | {"width": width, "height": height}
