"""Qwen-Image-Edit (Wu et al. 2025): a multimodal language model reads source and instruction for the transformer."""

from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, Setting
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import pipeline_steps

_SETTINGS = {
    "steps": pipeline_steps(50),
    "guidance": Setting(default=4.0, summary="Classifier-free guidance (true_cfg); at 1 there is none.", lowest=1),
    "negative": Setting(default=" ", summary="Text that guidance leads away from."),
}
_CANNOT = "Work at another size than about 1024² pixels; fine texture of the source is repainted."


class QwenImageEdit(EditingPipeline):
    """The first release."""

    card: ClassVar[MethodCard] = MethodCard(
        name="qwen_image_edit",
        title="Qwen-Image-Edit",
        summary="A 20-billion-parameter transformer told by Qwen2.5-VL what source and instruction show.",
        paper="https://arxiv.org/abs/2508.02324",
        licence="Apache-2.0, as diffusers' QwenImageEditPipeline; the weights: Apache-2.0",
        variant=(
            "50 steps, true guidance 4. It takes effect only beside a negative prompt, so there always is one (a "
            "blank); the pipeline's guidance_scale does nothing in these models and is not offered."
        ),
        base_model="Qwen/Qwen-Image-Edit",
        needs=frozenset({"instruction"}),
        settings=_SETTINGS,
        cannot=_CANNOT,
    )
    pipeline_class = "QwenImageEditPipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The negative prompt is left out where nothing guides: the pipeline would warn of it."""
        guidance = self.settings["guidance"]
        negative = {"negative_prompt": self.settings["negative"] or " "} if guidance > 1 else {}
        return {"prompt": text, "image": source, "true_cfg_scale": guidance, **negative}


class QwenImageEditPlus(QwenImageEdit):
    """The later releases, which take several pictures; here one."""

    card: ClassVar[MethodCard] = MethodCard(
        name="qwen_image_edit_plus",
        title="Qwen-Image-Edit Plus",
        summary="The later Qwen-Image-Edit: the source is shown to the language model small, to the transformer large.",
        paper="https://arxiv.org/abs/2508.02324",
        licence="Apache-2.0, as diffusers' QwenImageEditPlusPipeline; the weights: Apache-2.0",
        variant=(
            "As qwen_image_edit, with the release of September 2025; the one of November goes the same way: "
            "--model Qwen/Qwen-Image-Edit-2511"
        ),
        base_model="Qwen/Qwen-Image-Edit-2509",
        needs=frozenset({"instruction"}),
        settings=_SETTINGS,
        cannot=_CANNOT,
    )
    pipeline_class = "QwenImageEditPlusPipeline"
