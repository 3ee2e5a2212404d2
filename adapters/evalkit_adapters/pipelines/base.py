"""diffusers' own editing pipelines: opened by a run, called with a seed, and made an adapter of.

A method that diffusers maintains is a thin class: its card, the pipeline's class, and how its settings are called
there (:class:`EditingPipeline`). torch and diffusers are imported when a pipeline is opened, never to list it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun
from evalkit.edits.item import EditItem
from evalkit_adapters.diffusion.loading import open_pipeline, quiet
from evalkit_adapters.images import to_image, working_size
from evalkit_adapters.seeding import globally_seeded


def run_pipeline(pipeline: Any, seed: int, **arguments: Any) -> npt.NDArray[np.floating]:  # noqa: ANN401 - no types
    """The one picture that a pipeline makes of these arguments, ``(height, width, 3)`` in [0, 1].

    Its noise comes from a generator on the CPU, so that it is the same on every device. Some pipelines also draw from
    torch's global one (OmniGen encodes its input so), which is seeded and put back.
    """
    # What transformers warns of in a call is how diffusers calls it; what diffusers warns of is the user's to know.
    with globally_seeded(seed, pipeline.device) as generator, quiet("transformers"):
        images = pipeline(generator=generator, output_type="np", **arguments).images
    picture: npt.NDArray[np.floating] = images[0]
    return picture


class EditingPipeline:
    """A pipeline class of diffusers that takes a picture and a text: the one that the card needs."""

    card: ClassVar[MethodCard]
    pipeline_class: ClassVar[str]
    parts: ClassVar[Mapping[str, Any]] = {}
    """What the pipeline is built with other than what is saved."""
    multiple: ClassVar[int] = 16
    """Of the sides of the pictures that it takes, in pixels."""
    pipeline: Any
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The pipeline."""
        self.pipeline, self.settings = open_pipeline(self.pipeline_class, run, **self.parts), dict(run.settings)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Image.Image:  # noqa: ARG002
        """The source image as it is: the edits of one source share nothing else."""
        return source_image

    def edit(self, item: EditItem, fitted: Image.Image, *, seed: int) -> EditedPicture:
        """What the pipeline makes of the source and the text, at the source's size."""
        arguments = self.arguments(fitted, item.instruction or item.target_caption or "")
        pixels = run_pipeline(self.pipeline, seed, num_inference_steps=self.settings["steps"], **arguments)
        return to_image(pixels, fitted.size)

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """What the pipeline is called with, beside steps and seed."""
        raise NotImplementedError

    def resized(self, source: Image.Image) -> Image.Image:
        """The source at the size that the settings ask for, its proportions kept."""
        size = working_size(source.size, self.settings["side"], self.multiple)
        return source if source.size == size else source.resize(size, Image.Resampling.LANCZOS)
