"""The instruction editors of Black Forest Labs: FLUX.1 Kontext and FLUX.2."""

from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, MethodRun, Setting
from evalkit.errors import OptionError
from evalkit_adapters.pipelines.base import EditingPipeline
from evalkit_adapters.settings import from_zero, pipeline_steps, working_side

_FLUX_2 = "https://bfl.ai/blog/flux-2"


class FluxKontext(EditingPipeline):
    """FLUX.1 Kontext [dev]."""

    card: ClassVar[MethodCard] = MethodCard(
        name="flux_kontext",
        title="FLUX.1 Kontext",
        summary="A 12-billion-parameter flow transformer that reads the source as a second picture beside the noise.",
        paper="https://arxiv.org/abs/2506.15742",
        licence=(
            "Apache-2.0, as diffusers' FluxKontextPipeline. The weights: FLUX.1 [dev] non-commercial licence, to be "
            "accepted on their page before they can be downloaded"
        ),
        variant=(
            "28 steps and a distilled guidance of 2.5, as in the model's example (diffusers' own default is 3.5). The "
            "result is asked for in the source's proportions: left to itself the pipeline makes a square."
        ),
        base_model="black-forest-labs/FLUX.1-Kontext-dev",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(28),
            "guidance": from_zero(2.5, "Distilled guidance, which the network is told."),
            "preferred_sizes": Setting(
                default=True, summary="Fits the source to the nearest size of training, all of about 1024² pixels."
            ),
            "side": working_side(1024),
        },
        cannot="Be used commercially without another licence; it repaints all pixels, edited or not.",
    )
    pipeline_class = "FluxKontextPipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The area as well as the sides, or the pipeline scales them up to its own area of 1024²."""
        image = self.resized(source)
        return {
            "prompt": text,
            "image": source if self.settings["preferred_sizes"] else image,
            "guidance_scale": self.settings["guidance"],
            "width": image.width,
            "height": image.height,
            "max_area": image.width * image.height,
            "_auto_resize": self.settings["preferred_sizes"],
        }


class Flux2(EditingPipeline):
    """The largest FLUX.2, which follows guidance that was distilled into it."""

    card: ClassVar[MethodCard] = MethodCard(
        name="flux2",
        title="FLUX.2 [dev]",
        summary="A 32-billion-parameter flow transformer with a Mistral text encoder, for drawing and editing.",
        paper=_FLUX_2,
        licence=(
            "Apache-2.0, as diffusers' Flux2Pipeline. The weights: FLUX [dev] non-commercial licence, to be accepted "
            "on their page before they can be downloaded"
        ),
        variant="50 steps and a distilled guidance of 4, one reference picture: the source. No prompt is rewritten.",
        base_model="black-forest-labs/FLUX.2-dev",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(50),
            "guidance": from_zero(4.0, "Distilled guidance, which the network is told."),
            "side": working_side(1024),
        },
        cannot="Be used commercially without another licence, nor run on one ordinary graphics card.",
    )
    pipeline_class = "Flux2Pipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The result takes the size of the picture that is given."""
        return {"prompt": text, "image": self.resized(source), "guidance_scale": self.settings["guidance"]}


class Flux2Klein(Flux2):
    """FLUX.2 [klein]."""

    card: ClassVar[MethodCard] = MethodCard(
        name="flux2_klein",
        title="FLUX.2 [klein]",
        summary="The small FLUX.2, distilled to four steps.",
        paper=_FLUX_2,
        licence=(
            "Apache-2.0, as diffusers' Flux2KleinPipeline. The weights of klein-4B and its base: Apache-2.0; those of "
            "9B: FLUX non-commercial licence"
        ),
        variant=(
            "The distilled 4B: 4 steps, without guidance, which it ignores. For the undistilled ones: "
            "--model black-forest-labs/FLUX.2-klein-base-4B --set steps=50 --set guidance=4"
        ),
        base_model="black-forest-labs/FLUX.2-klein-4B",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(4),
            "guidance": Setting(
                default=1.0, summary="Classifier-free guidance; only undistilled models have any.", lowest=1
            ),
            "side": working_side(1024),
        },
        cannot="Follow long or many-part instructions as well as the large one.",
    )
    pipeline_class = "Flux2KleinPipeline"

    def load(self, run: MethodRun) -> None:
        """The pipeline.

        Raises:
            OptionError: A guidance that the distilled model would ignore.
        """
        super().load(run)
        if self.pipeline.config.is_distilled and self.settings["guidance"] > 1:
            raise OptionError(
                f"{run.model} is distilled and ignores guidance. Leave it at 1, or name an undistilled model: "
                f"--model black-forest-labs/FLUX.2-klein-base-4B"
            )


class Flux2KleinKV(Flux2):
    """FLUX.2 [klein] that reads the source once."""

    card: ClassVar[MethodCard] = MethodCard(
        name="flux2_klein_kv",
        title="FLUX.2 [klein] KV",
        summary="FLUX.2 [klein] that computes the source's keys and values in the first step and keeps them.",
        paper=_FLUX_2,
        licence=(
            "Apache-2.0, as diffusers' Flux2KleinKVPipeline. The weights: FLUX non-commercial licence, to be accepted "
            "on their page before they can be downloaded"
        ),
        variant="4 steps, without guidance: there is only this distilled model.",
        base_model="black-forest-labs/FLUX.2-klein-9b-kv",
        needs=frozenset({"instruction"}),
        settings={
            "steps": pipeline_steps(4),
            "side": working_side(1024),
        },
        cannot="Be used commercially without another licence, nor be guided.",
    )
    pipeline_class = "Flux2KleinKVPipeline"

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """The prompt and the source; this pipeline takes no guidance."""
        return {"prompt": text, "image": self.resized(source)}
