"""LEDITS++ (Brack et al. 2024): the source inverted exactly, then sampled again with guidance towards concepts."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit_adapters.diffusion.loading import open_pipeline
from evalkit_adapters.images import to_image, working_size
from evalkit_adapters.pipelines.base import run_pipeline
from evalkit_adapters.seeding import globally_seeded
from evalkit_adapters.settings import from_zero, share, working_side

_STATE = ("init_latents", "zs", "inversion_steps", "batch_size", "eta", "size")
"""What ``invert`` leaves on the pipeline for the call that follows; the last only on Stable Diffusion XL's."""
_SOLVER = {
    "algorithm_type": "sde-dpmsolver++",
    "solver_order": 2,
    # The inversion computes every step so; a last step to no noise at all, or of lower order, would not undo it.
    "final_sigmas_type": "sigma_min",
    "lower_order_final": False,
}
_LICENCE = "Apache-2.0, as diffusers' {}. The weights: {}"


def _settings(steps: int, side: int) -> dict[str, Setting]:
    return {
        "steps": Setting(default=steps, summary="Steps of inversion and of sampling.", lowest=1),
        "skip": Setting(default=0.15, summary="Share of the noisiest steps left out.", lowest=0, highest=0.99),
        "guidance": from_zero(5.0, "Towards the target caption (edit_guidance_scale)."),
        "threshold": share(0.9, "Quantile of the guidance that a pixel must reach to be changed."),
        "side": working_side(side),
    }


@dataclass(frozen=True, slots=True)
class Inversion:
    """A source image as its pipeline found it in the noise."""

    size: tuple[int, int]
    """Of the source image, in pixels."""
    state: dict[str, Any]
    """Attributes of the pipeline."""
    scheduler: Any


class LEditsPP:
    """On Stable Diffusion 1.5."""

    card: ClassVar[MethodCard] = MethodCard(
        name="leditspp",
        title="LEDITS++",
        summary="Inverts the source to its noise maps and adds guidance where the target caption matters.",
        paper="https://arxiv.org/abs/2311.16711",
        licence=_LICENCE.format("LEditsPPPipelineStableDiffusion", "CreativeML OpenRAIL-M"),
        variant=(
            "The whole target caption is the one concept, where the authors name short phrases. Inverted without a "
            "source caption, diffusers' default; its class for Stable Diffusion would mix up the two embeddings. "
            "diffusers warns that with its present solver the inversion is no longer perfect: it is again with the "
            "solver's last level at sigma_min and its order kept to the end, as here. Masks from attention and "
            "guidance together."
        ),
        base_model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        needs=frozenset({"target_caption"}),
        settings=_settings(30, 512),
        cannot="Change pose or layout much: what is outside of the mask keeps its noise, and so its place.",
    )
    pipeline_class: ClassVar[str] = "LEditsPPPipelineStableDiffusion"
    parts: ClassVar[dict[str, Any]] = {"safety_checker": None, "requires_safety_checker": False}
    masks: ClassVar[dict[str, Any]] = {"use_intersect_mask": True}
    pipeline: Any
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The pipeline, with the solver that the method is made for."""
        from diffusers import DPMSolverMultistepScheduler

        self.pipeline = open_pipeline(self.pipeline_class, run, **self.parts)
        self.settings = dict(run.settings)
        self.pipeline.scheduler = DPMSolverMultistepScheduler.from_config(self.pipeline.scheduler.config, **_SOLVER)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Inversion:  # noqa: ARG002
        """The inversion, taken off the pipeline, which keeps that of the last source only."""
        pipeline, (width, height) = self.pipeline, working_size(source_image.size, self.settings["side"], 32)
        processors = pipeline.unet.attn_processors
        try:
            with globally_seeded(seed, pipeline.device) as generator:
                pipeline.invert(
                    source_image,
                    num_inversion_steps=self.settings["steps"],
                    skip=self.settings["skip"],
                    width=width,
                    height=height,
                    generator=generator,
                )
        finally:
            pipeline.unet.set_attn_processor(processors)
        state = {name: getattr(pipeline, name) for name in _STATE if hasattr(pipeline, name)}
        return Inversion(source_image.size, state, deepcopy(pipeline.scheduler))

    def edit(self, item: EditItem, fitted: Inversion, *, seed: int) -> EditedPicture:
        """The target caption as the one concept, from the source's own noise."""
        pipeline, processors = self.pipeline, self.pipeline.unet.attn_processors
        for name, value in fitted.state.items():
            setattr(pipeline, name, value)
        pipeline.scheduler = deepcopy(fitted.scheduler)
        try:
            pixels = run_pipeline(
                pipeline,
                seed,
                editing_prompt=[item.target_caption],
                edit_guidance_scale=self.settings["guidance"],
                edit_threshold=self.settings["threshold"],
                **self.masks,
            )
        finally:
            # The pipeline leaves its own in the UNet, with every attention map of the edit.
            pipeline.unet.set_attn_processor(processors)
        return to_image(pixels, fitted.size)


class LEditsPPXL(LEditsPP):
    """On Stable Diffusion XL."""

    card: ClassVar[MethodCard] = MethodCard(
        name="leditspp_xl",
        title="LEDITS++ XL",
        summary="LEDITS++ on Stable Diffusion XL.",
        paper="https://arxiv.org/abs/2311.16711",
        licence=_LICENCE.format("LEditsPPPipelineStableDiffusionXL", "CreativeML OpenRAIL++-M"),
        variant=(
            "As leditspp, with diffusers' defaults for this class: 50 steps, the mask from guidance alone, no noise in "
            "the last three steps. No invisible watermark."
        ),
        base_model="stabilityai/stable-diffusion-xl-base-1.0",
        needs=frozenset({"target_caption"}),
        settings=_settings(50, 1024),
        cannot="Change pose or layout much: what is outside of the mask keeps its noise, and so its place.",
    )
    pipeline_class: ClassVar[str] = "LEditsPPPipelineStableDiffusionXL"
    parts: ClassVar[dict[str, Any]] = {"add_watermarker": False}
    masks: ClassVar[dict[str, Any]] = {"use_intersect_mask": False}
