"""Diffusion models as DiffusionCLIP tunes them: pictures in, differentiable pictures out, noise under any weights.

The published kind diffuses pixels (a ``DDPMPipeline``); the latent kind is ours. Both are asked in the same way, and
neither's own weights are ever changed: others are put in for the length of one call.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch.func import functional_call

from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.errors import WeightsError
from evalkit_adapters.diffusion.latent import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.pipelines.base import open_pipeline

Weights = Mapping[str, torch.Tensor]
"""A UNet's parameters by name."""
_PIXEL_PIPELINES = ("DDPMPipeline", "DDIMPipeline")


class PictureDiffusion(Protocol):
    """A diffusion model without a caption."""

    @property
    def unet(self) -> torch.nn.Module:
        """The network that predicts the noise."""

    @property
    def schedule(self) -> Schedule:
        """ᾱ of every timestep."""

    def square(self, image: Image.Image) -> Image.Image:
        """The middle square of a picture at the model's size."""

    def encode(self, image: Image.Image) -> torch.Tensor:
        """What is diffused of the middle square of a picture, ``(1, channels, …)``."""

    def pictures(self, clean: torch.Tensor) -> torch.Tensor:
        """``(n, 3, side, side)``, in [0, 1] but for overshoots; differentiable."""

    def noise(self, noisy: torch.Tensor, timestep: int, weights: Weights | None = None) -> torch.Tensor:
        """The noise in what is diffused, by the model's own weights or by others; differentiable by both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelDiffusion:
    """A UNet on pixels in [−1, 1] that predicts their noise; what it predicts beside it, a variance, is not used."""

    unet: Any
    schedule: Schedule

    @classmethod
    def of(cls, pipeline: Any) -> "PixelDiffusion":  # noqa: ANN401 - diffusers ships no types
        """The parts of a ``DDPMPipeline``, frozen.

        Raises:
            WeightsError: It does not predict noise.
        """
        prediction = pipeline.scheduler.config.get("prediction_type", "epsilon")
        if prediction != "epsilon":
            raise WeightsError(
                f"The base model must predict the noise (epsilon); got {prediction}. Name another: --model"
            )
        return cls(unet=pipeline.unet.float().eval().requires_grad_(False), schedule=Schedule.of(pipeline.scheduler))

    def square(self, image: Image.Image) -> Image.Image:
        """The middle square."""
        side, short = self.unet.config.sample_size, min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        return image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.LANCZOS)

    def encode(self, image: Image.Image) -> torch.Tensor:
        """Pixels in [−1, 1], ``(1, 3, side, side)``."""
        levels = torch.from_numpy(np.asarray(self.square(image)).copy()).permute(2, 0, 1)[None]
        return levels.to(self.unet.device, self.unet.dtype) / 127.5 - 1

    def pictures(self, clean: torch.Tensor) -> torch.Tensor:
        """Pixels in [0, 1]."""
        return (clean + 1) / 2

    def noise(self, noisy: torch.Tensor, timestep: int, weights: Weights | None = None) -> torch.Tensor:
        """Of the noise's own channels."""
        found: torch.Tensor = functional_call(self.unet, dict(weights or {}), (noisy, timestep)).sample
        return found[:, : noisy.shape[1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionlessLatents:
    """Stable Diffusion's kind under the empty caption, unguided: guidance would break the inversion."""

    model: LatentDiffusion
    empty: torch.Tensor

    @classmethod
    def of(cls, model: LatentDiffusion) -> "CaptionlessLatents":
        """The same model without captions."""
        return cls(model=model, empty=model.embed(""))

    @property
    def unet(self) -> Any:  # noqa: ANN401 - diffusers ships no types
        """The network that predicts the noise."""
        return self.model.unet

    @property
    def schedule(self) -> Schedule:
        """ᾱ of every timestep."""
        return self.model.schedule

    def square(self, image: Image.Image) -> Image.Image:
        """The middle square."""
        return self.model.square(image)

    def encode(self, image: Image.Image) -> torch.Tensor:
        """The mean of the picture's latent."""
        return self.model.encode(self.model.square(image))

    def pictures(self, clean: torch.Tensor) -> torch.Tensor:
        """Through the frozen decoder."""
        autoencoder = self.model.autoencoder
        pixels: torch.Tensor = autoencoder.decode(clean / autoencoder.config.scaling_factor).sample
        return (pixels + 1) / 2

    def noise(self, noisy: torch.Tensor, timestep: int, weights: Weights | None = None) -> torch.Tensor:
        """Under the empty caption."""
        if weights is None:
            return self.model.noise(noisy, timestep, self.empty)
        caption = self.empty.expand(len(noisy), -1, -1)
        found: torch.Tensor = functional_call(self.unet, dict(weights), (noisy, timestep, caption)).sample
        return found


def open_diffusion(run: MethodRun) -> PictureDiffusion:
    """The base model of a run: in pixels where it is a DDPM pipeline, else in latents.

    Raises:
        WeightsError: It cannot be found or downloaded, or predicts something else than noise.
    """
    if run.model == MINIATURE or _pipeline_class(run) not in _PIXEL_PIPELINES:
        return CaptionlessLatents.of(LatentDiffusion.open(run))
    return PixelDiffusion.of(open_pipeline("DDPMPipeline", run))


def _pipeline_class(run: MethodRun) -> str:
    """The class that a pipeline was saved with."""
    from huggingface_hub import hf_hub_download

    try:
        if Path(run.model).is_dir():
            path = Path(run.model) / "model_index.json"
        else:
            path = Path(hf_hub_download(run.model, "model_index.json", revision=run.revision))
        return str(json.loads(path.read_text(encoding="utf-8"))["_class_name"])
    except Exception as error:  # of the hub's client, the file system and JSON
        raise WeightsError(
            f"The base model {run.model} cannot be loaded as a DDPM or a Stable Diffusion pipeline "
            f"({type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}). "
            f"Name another with --model HUB_ID_OR_DIRECTORY, or try it without real weights: --model {MINIATURE}"
        ) from error
