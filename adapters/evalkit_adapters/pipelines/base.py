"""diffusers' own editing pipelines: opened by a run, called with a seed, and made an adapter of.

A method that diffusers maintains is a thin class: its card, the pipeline's class, and how its settings are called
there (:class:`EditingPipeline`). torch and diffusers are imported when a pipeline is opened, never to list it.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from math import sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import BrokenPluginError, ImageError, WeightsError

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
Size = tuple[int, int]
"""Width and height in pixels."""


def side_setting(default: int) -> Setting:
    """The setting for the size at which a pipeline works."""
    return Setting(default=default, summary="Pixels: it works on pictures of this value's square in area.", lowest=64)


def open_pipeline(kind: str, run: MethodRun, **parts: Any) -> Any:  # noqa: ANN401 - diffusers ships no types
    """A pipeline of diffusers, in memory on the run's device.

    Args:
        kind: Name of its class.
        run: Says from where, in which precision and on which device.
        parts: What it is built with other than what is saved.

    Raises:
        BrokenPluginError: The installed diffusers has no such class.
        WeightsError: The weights cannot be found or downloaded, or are those of another pipeline.
    """
    import diffusers
    import torch

    made = getattr(diffusers, kind, None)
    if made is None:
        raise BrokenPluginError(
            f"diffusers {diffusers.__version__} has no {kind}, which this method runs. "
            f"Install a newer one: pip install --upgrade diffusers"
        )
    # Only where it is not the default: older and newer releases call this option by different names.
    precision = {} if run.dtype == "fp32" else {"torch_dtype": getattr(torch, _DTYPES[run.dtype])}
    try:
        with _quietly("diffusers", "transformers"):
            pipeline = made.from_pretrained(
                run.model, revision=run.revision, local_files_only=Path(run.model).is_dir(), **precision, **parts
            ).to(run.device)
    except Exception as error:  # of half a dozen libraries: hub, files, configuration, weights
        raise WeightsError(
            f"The base model {run.model} cannot be loaded as a {kind} "
            f"({type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}). "
            f"Name another with --model HUB_ID_OR_DIRECTORY"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def call(pipeline: Any, seed: int, **arguments: Any) -> npt.NDArray[np.floating]:  # noqa: ANN401 - no types
    """The one picture that a pipeline makes of these arguments, ``(height, width, 3)`` in [0, 1].

    Its noise comes from a generator on the CPU, so that it is the same on every device. Some pipelines also draw from
    torch's global one (OmniGen encodes its input so), which is seeded and put back.
    """
    # What transformers warns of in a call is how diffusers calls it; what diffusers warns of is the user's to know.
    with seeded(pipeline, seed) as generator, _quietly("transformers"):
        images = pipeline(generator=generator, output_type="np", **arguments).images
    picture: npt.NDArray[np.floating] = images[0]
    return picture


@contextmanager
def seeded(pipeline: Any, seed: int) -> Iterator[Any]:  # noqa: ANN401 - diffusers ships no types
    """A generator of the seed on the CPU; meanwhile torch's global ones follow the seed too."""
    import torch

    devices = [pipeline.device] if pipeline.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def working_size(size: Size, side: int, multiple: int) -> Size:
    """The size of about ``side`` squared pixels that is nearest to a picture's proportions.

    Example:
        >>> working_size((600, 400), 512, 16)
        (624, 416)
    """
    ratio = sqrt(size[0] / size[1])
    width, height = (max(1, round(length / multiple)) * multiple for length in (side * ratio, side / ratio))
    return width, height


def sized_back(pixels: npt.NDArray[np.floating], size: Size) -> Image.Image:
    """What a pipeline made, as a picture of the source's size.

    Args:
        pixels: ``(height, width, 3)`` in [0, 1].
        size: Of the source image.

    Raises:
        ImageError: It is not finite.
    """
    if not np.isfinite(pixels).all():
        raise ImageError("the pipeline's picture is not finite; many models overflow in fp16: try --dtype bf16 or fp32")
    picture = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


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
        pixels = call(self.pipeline, seed, num_inference_steps=self.settings["steps"], **arguments)
        return sized_back(pixels, fitted.size)

    def arguments(self, source: Image.Image, text: str) -> dict[str, Any]:
        """What the pipeline is called with, beside steps and seed."""
        raise NotImplementedError

    def resized(self, source: Image.Image) -> Image.Image:
        """The source at the size that the settings ask for, its proportions kept."""
        size = working_size(source.size, self.settings["side"], self.multiple)
        return source if source.size == size else source.resize(size, Image.Resampling.LANCZOS)


@contextmanager
def _quietly(*libraries: str) -> Iterator[None]:
    """Keeps the libraries' progress bars, which would mix with ours, and their warnings off the terminal."""
    loggers = [import_module(f"{library}.utils.logging") for library in libraries]
    before = [(logger, logger.get_verbosity(), logger.is_progress_bar_enabled()) for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, verbosity, shown in before:
            logger.set_verbosity(verbosity)
            if shown:
                logger.enable_progress_bar()
