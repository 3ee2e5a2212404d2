"""OmniGen (Xiao et al. 2024): one transformer that reads text and pictures and draws, without a text encoder."""

from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import from_zero, pipeline_steps, working_side


class OmniGen(EditingPipeline):
    """The first version; OmniGen2 has no class in diffusers."""

    card: ClassVar[MethodCard] = MethodCard(
        name="omnigen",
        title="OmniGen",
        summary="A 3.8-billion-parameter transformer that reads the source as part of the prompt.",
        paper="https://arxiv.org/abs/2409.11340",
        licence="Apache-2.0, as diffusers' OmniGenPipeline; the weights: MIT",
        variant=(
            "50 steps, guidance 2 (diffusers' example for editing; its default is 2.5) and 1.6 towards the source. The "
            "instruction follows the picture's placeholder."
        ),
        base_model="Shitao/OmniGen-v1-diffusers",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(50),
            "guidance": from_zero(2.0, "Guidance towards the instruction."),
            "image_guidance": from_zero(1.6, "Guidance towards the source."),
            "side": working_side(1024),
        },
        cannot="Be told what to avoid; it redraws the whole picture, and is slow: three evaluations a step.",
    )
    pipeline_class = "OmniGenPipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """One picture, and its place in the prompt."""
        image = self.resized(source)
        return {
            "prompt": f"<img><|image_1|></img> {text}",
            "input_images": [image],
            "width": image.width,
            "height": image.height,
            "max_input_image_size": max(image.size),
            "guidance_scale": self.settings["guidance"],
            "img_guidance_scale": self.settings["image_guidance"],
        }
