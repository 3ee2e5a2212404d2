"""A latent diffusion model of Stable Diffusion's kind, as the editing methods use it.

Pictures in and out, latents between, the noise prediction, and the captions' embeddings; nothing about editing.
Latents and the arithmetic on them are float32 (float64 where the model is), whatever the UNet computes in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.errors import WeightsError
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.pipelines.base import open_pipeline

MINIATURE_DIFFUSION = Path(__file__).parents[1] / "miniature_diffusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentDiffusion:
    """An autoencoder, a UNet that predicts noise, a CLIP text encoder, and the noise schedule."""

    autoencoder: Any
    unet: Any
    tokenizer: Any
    text_encoder: Any
    schedule: Schedule

    @classmethod
    def open(cls, run: MethodRun) -> "LatentDiffusion":
        """The base model of a run.

        Raises:
            WeightsError: It cannot be found or downloaded, or is no noise-predicting model of Stable Diffusion's kind.
        """
        miniature = run.model == MINIATURE
        try:
            pipeline = open_pipeline(
                "StableDiffusionPipeline",
                replace(run, model=str(MINIATURE_DIFFUSION)) if miniature else run,
                safety_checker=None,
                requires_safety_checker=False,
            )
        except WeightsError as error:
            raise WeightsError(f"{error}, or try it without real weights: --model {MINIATURE}") from error
        return cls.of(pipeline)

    @classmethod
    def of(cls, pipeline: Any) -> "LatentDiffusion":  # noqa: ANN401 - diffusers ships no types
        """The parts of a ``StableDiffusionPipeline``, frozen.

        Raises:
            WeightsError: It does not predict noise.
        """
        prediction = pipeline.scheduler.config.prediction_type
        if prediction != "epsilon":
            raise WeightsError(
                f"The base model must predict the noise (epsilon), as the methods' formulas assume; got {prediction}. "
                f"Of Stable Diffusion 2 take a -base model."
            )
        if pipeline.vae.dtype.itemsize < 4:
            pipeline.vae.float()
        for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
            part.eval().requires_grad_(False)
        return cls(
            autoencoder=pipeline.vae,
            unet=pipeline.unet,
            tokenizer=pipeline.tokenizer,
            text_encoder=pipeline.text_encoder,
            schedule=Schedule.of(pipeline.scheduler),
        )

    @property
    def side(self) -> int:
        """Of the pictures that it was trained on, in pixels."""
        factor: int = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)
        return int(self.unet.config.sample_size) * factor

    def square(self, image: Image.Image, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
        """The middle square of a picture at the model's size."""
        width, height = image.size
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        cropped = image.crop((left, top, left + short, top + short))
        return cropped if short == self.side else cropped.resize((self.side, self.side), resample)

    @torch.no_grad()
    def encode(self, image: Image.Image, *, sample: torch.Generator | None = None) -> torch.Tensor:
        """A square picture's latent, ``(1, channels, side/f, side/f)``, scaled to unit variance.

        Args:
            image: RGB, of the model's side.
            sample: Draws from the posterior; without it the latent is the posterior's mean.
        """
        pixels = torch.from_numpy(np.asarray(image).copy()).to(self.autoencoder.device)
        pixels = pixels.permute(2, 0, 1)[None].to(self.autoencoder.dtype) / 127.5 - 1
        posterior = self.autoencoder.encode(pixels).latent_dist
        latent: torch.Tensor = posterior.mode() if sample is None else posterior.sample(sample)
        scaled: torch.Tensor = latent * self.autoencoder.config.scaling_factor
        return scaled

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> npt.NDArray[np.floating]:
        """The picture of one latent, ``(side, side, 3)`` in [0, 1]."""
        pixels = self.autoencoder.decode(latent / self.autoencoder.config.scaling_factor).sample
        picture: npt.NDArray[np.floating] = (pixels[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return picture

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids, ``(n, tokens)``, cut or padded to the tokenizer's full length."""
        ids: torch.Tensor = self.tokenizer(
            list(texts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )["input_ids"]
        return ids.to(self.unet.device)

    @property
    def length(self) -> int:
        """Tokens of a caption's embedding."""
        return int(min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings))

    @torch.no_grad()
    def embed(self, *texts: str) -> torch.Tensor:
        """The captions' token embeddings, ``(n, tokens, width)``: the text encoder's last hidden state."""
        states: torch.Tensor = self.text_encoder(self.tokens(texts))[0]
        return states.to(self.autoencoder.dtype)

    def noise(self, latents: torch.Tensor, timestep: int, embeddings: torch.Tensor) -> torch.Tensor:
        """The UNet's prediction of the noise in ``(n, channels, height, width)`` latents, of the same shape.

        Args:
            latents: At one noise level.
            timestep: Of that level, 0 to 999.
            embeddings: ``(n, tokens, width)``, or ``(1, …)`` for all.
        """
        embeddings = embeddings.expand(len(latents), -1, -1)
        dtype = self.unet.dtype
        predicted: torch.Tensor = self.unet(latents.to(dtype), timestep, embeddings.to(dtype)).sample
        return predicted.to(latents.dtype)

    def guided(
        self, latents: torch.Tensor, timestep: int, empty: torch.Tensor, wanted: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        """The noise under classifier-free guidance: ε_u + g (ε_c − ε_u), both in one batch.

        Args:
            latents: ``(n, channels, height, width)``.
            timestep: 0 to 999.
            empty: ``(n or 1, tokens, width)`` of the empty caption.
            wanted: ``(n or 1, tokens, width)`` of the target caption.
            guidance: g; at 1 the unconditional half is not computed.
        """
        if guidance == 1:
            return self.noise(latents, timestep, wanted)
        n = len(latents)
        both = torch.cat([empty.expand(n, -1, -1), wanted.expand(n, -1, -1)])
        without, with_text = self.noise(torch.cat([latents, latents]), timestep, both).chunk(2)
        return without + guidance * (with_text - without)

    def start(self, seed: int) -> torch.Tensor:
        """Gaussian noise of a latent's shape, ``(1, channels, side/f, side/f)``, the same on every device."""
        config = self.unet.config
        shape = (1, config.in_channels, config.sample_size, config.sample_size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(self.unet.device, self.autoencoder.dtype)
