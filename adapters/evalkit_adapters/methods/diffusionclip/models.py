"""Diffusion models as DiffusionCLIP tunes them: pictures in, differentiable pictures out, noise under any weights.

The published kind diffuses pixels (a ``DDPMPipeline``); the latent kind is ours. Both are asked in the same way, and
neither's own weights are ever changed: others are put in for the length of one call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.func import functional_call

from evalkit.editing.method import MINIATURE, MINIATURES, MethodRun
from evalkit.errors import WeightsError
from evalkit.storage.documents import read_json
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.loading import open_pipeline
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.images import centre_square, to_tensor

Weights = Mapping[str, torch.Tensor]
"""A UNet's parameters by name."""
_PIXEL_PIPELINES = ("DDPMPipeline", "DDIMPipeline")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelDiffusion:
    """A UNet on pixels in [−1, 1] that predicts their noise; what it predicts beside it, a variance, is not used."""

    unet: Any
    schedule: Schedule

    @classmethod
    def from_pipeline(cls, pipeline: Any) -> "PixelDiffusion":  # noqa: ANN401 - diffusers ships no types
        """The parts of a ``DDPMPipeline``, frozen.

        Raises:
            WeightsError: It does not predict noise.
        """
        prediction = pipeline.scheduler.config.get("prediction_type", "epsilon")
        if prediction != "epsilon":
            raise WeightsError(
                f"The base model must predict the noise (epsilon); got {prediction}. Name another: --model"
            )
        return cls(
            unet=pipeline.unet.float().eval().requires_grad_(False),
            schedule=Schedule.from_scheduler(pipeline.scheduler),
        )

    def square(self, image: Image.Image) -> Image.Image:
        """The middle square of a picture at the model's size."""
        return centre_square(image, self.unet.config.sample_size)

    def encode(self, image: Image.Image) -> torch.Tensor:
        """Pixels in [−1, 1], ``(1, 3, side, side)``."""
        return to_tensor(self.square(image), self.unet.device, self.unet.dtype) / 127.5 - 1

    def pictures(self, clean: torch.Tensor) -> torch.Tensor:
        """Pixels ``(n, 3, side, side)``, in [0, 1] but for overshoots; differentiable."""
        return (clean + 1) / 2

    def noise(self, noisy: torch.Tensor, timestep: int, weights: Weights | None = None) -> torch.Tensor:
        """The noise, by the model's own weights or by others; differentiable by both."""
        found: torch.Tensor = functional_call(self.unet, dict(weights or {}), (noisy, timestep)).sample
        return found[:, : noisy.shape[1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionlessLatents:
    """Stable Diffusion's kind under the empty caption, unguided: guidance would break the inversion."""

    model: LatentDiffusion
    unet: Any
    schedule: Schedule
    empty: torch.Tensor

    @classmethod
    def from_model(cls, model: LatentDiffusion) -> "CaptionlessLatents":
        """The same model without captions."""
        return cls(model=model, unet=model.unet, schedule=model.schedule, empty=model.embed(""))

    def square(self, image: Image.Image) -> Image.Image:
        """The middle square of a picture at the model's size."""
        return self.model.square(image)

    def encode(self, image: Image.Image) -> torch.Tensor:
        """The mean of the picture's latent."""
        return self.model.encode(self.model.square(image))

    def pictures(self, clean: torch.Tensor) -> torch.Tensor:
        """As :meth:`PixelDiffusion.pictures`, through the frozen decoder."""
        autoencoder = self.model.autoencoder
        pixels: torch.Tensor = autoencoder.decode(clean / autoencoder.config.scaling_factor).sample
        return (pixels + 1) / 2

    def noise(self, noisy: torch.Tensor, timestep: int, weights: Weights | None = None) -> torch.Tensor:
        """As :meth:`PixelDiffusion.noise`, under the empty caption."""
        if weights is None:
            return self.model.noise(noisy, timestep, self.empty)
        caption = self.empty.expand(len(noisy), -1, -1)
        found: torch.Tensor = functional_call(self.unet, dict(weights), (noisy, timestep, caption)).sample
        return found


PictureDiffusion = PixelDiffusion | CaptionlessLatents
"""A diffusion model without a caption."""


def open_diffusion(run: MethodRun) -> PictureDiffusion:
    """The base model of a run: in pixels where it is a DDPM pipeline, else in latents.

    Raises:
        WeightsError: It cannot be found or downloaded, or predicts something else than noise.
    """
    if run.model in MINIATURES or _pipeline_class(run) not in _PIXEL_PIPELINES:
        return CaptionlessLatents.from_model(LatentDiffusion.open(run))
    return PixelDiffusion.from_pipeline(open_pipeline("DDPMPipeline", run))


def _pipeline_class(run: MethodRun) -> str:
    """The class that a pipeline was saved with."""
    from huggingface_hub import hf_hub_download

    try:
        if Path(run.model).is_dir():
            path = Path(run.model) / "model_index.json"
        else:
            path = Path(hf_hub_download(run.model, "model_index.json", revision=run.revision))
        return str(read_json(path)["_class_name"])
    except Exception as error:  # of the hub's client, the file system and JSON
        raise WeightsError(
            f"The base model {run.model} cannot be loaded as a DDPM or a Stable Diffusion pipeline "
            f"({type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}). "
            f"Name another with --model HUB_ID_OR_DIRECTORY, or try it without real weights: --model {MINIATURE}"
        ) from error
