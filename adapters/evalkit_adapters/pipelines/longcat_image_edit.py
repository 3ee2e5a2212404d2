"""LongCat-Image-Edit (Meituan 2025): a 6-billion-parameter transformer told by Qwen2.5-VL what the source shows."""

from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, Setting
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import pipeline_steps


class LongCatImageEdit(EditingPipeline):
    """The one release."""

    card: ClassVar[MethodCard] = MethodCard(
        name="longcat_image_edit",
        title="LongCat-Image-Edit",
        summary="A transformer that reads the source beside the noise, told by Qwen2.5-VL what is asked for.",
        paper="https://arxiv.org/abs/2512.07584",
        licence="Apache-2.0, as diffusers' LongCatImageEditPipeline; the weights: Apache-2.0",
        variant="50 steps and guidance 4.5, against an empty instruction.",
        base_model="meituan-longcat/LongCat-Image-Edit",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(50),
            "guidance": Setting(default=4.5, summary="Classifier-free guidance; at 1 there is none.", lowest=1),
        },
        cannot="Work at another size than about 1024² pixels.",
    )
    pipeline_class = "LongCatImageEditPipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The pipeline resizes the source by itself."""
        return {"prompt": text, "image": source, "guidance_scale": self.settings["guidance"]}
