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

from evalkit.editing.method import MINIATURE, MINIATURE_V2, MethodRun
from evalkit.errors import WeightsError
from evalkit_adapters.diffusion.loading import open_pipeline
from evalkit_adapters.diffusion.schedule import Schedule, Step
from evalkit_adapters.images import centre_square, to_array, to_tensor

MINIATURE_DIFFUSION = Path(__file__).parents[1] / "miniature_diffusion"
MINIATURE_DIFFUSION_V2 = MINIATURE_DIFFUSION.with_name("miniature_diffusion_v2")
_DIRECTORIES = {MINIATURE: MINIATURE_DIFFUSION, MINIATURE_V2: MINIATURE_DIFFUSION_V2}


def classifier_free_guidance(unconditional: torch.Tensor, conditional: torch.Tensor, guidance: float) -> torch.Tensor:
    """ε_u + g (ε_c − ε_u), of two predictions of the noise (Ho & Salimans 2022)."""
    return unconditional + guidance * (conditional - unconditional)


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
        try:
            pipeline = open_pipeline(
                "StableDiffusionPipeline",
                replace(run, model=str(_DIRECTORIES.get(run.model, run.model))),
                safety_checker=None,
                requires_safety_checker=False,
            )
        except WeightsError as error:
            raise WeightsError(f"{error}, or try it without real weights: --model {MINIATURE}") from error
        return cls.from_pipeline(pipeline)

    @classmethod
    def from_pipeline(cls, pipeline: Any) -> "LatentDiffusion":  # noqa: ANN401 - diffusers ships no types
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
            schedule=Schedule.from_scheduler(pipeline.scheduler),
        )

    @property
    def side(self) -> int:
        """Of the pictures that it was trained on, in pixels."""
        factor: int = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)
        return int(self.unet.config.sample_size) * factor

    def square(self, image: Image.Image, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
        """The middle square of a picture at the model's size."""
        return centre_square(image, self.side, resample)

    @torch.no_grad()
    def encode(self, image: Image.Image, *, sample: torch.Generator | None = None) -> torch.Tensor:
        """A square picture's latent, ``(1, channels, side/f, side/f)``: the posterior's mean, or a draw; scaled."""
        pixels = to_tensor(image, self.autoencoder.device, self.autoencoder.dtype) / 127.5 - 1
        posterior = self.autoencoder.encode(pixels).latent_dist
        latent: torch.Tensor = posterior.mode() if sample is None else posterior.sample(sample)
        scaled: torch.Tensor = latent * self.autoencoder.config.scaling_factor
        return scaled

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> npt.NDArray[np.floating]:
        """The picture of one latent, ``(side, side, 3)`` in [0, 1]."""
        return to_array(self.autoencoder.decode(latent / self.autoencoder.config.scaling_factor).sample / 2 + 0.5)

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

    def guided_noise(
        self, latents: torch.Tensor, timestep: int, empty: torch.Tensor, caption: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        """The noise under classifier-free guidance, ε_u and ε_c in one batch; at a guidance of 1 it is ε_c alone."""
        if guidance == 1:
            return self.noise(latents, timestep, caption)
        n = len(latents)
        both = torch.cat([empty.expand(n, -1, -1), caption.expand(n, -1, -1)])
        unconditional, conditional = self.noise(torch.cat([latents, latents]), timestep, both).chunk(2)
        return classifier_free_guidance(unconditional, conditional, guidance)

    @torch.no_grad()
    def sample(
        self, latents: torch.Tensor, steps: Sequence[Step], caption: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        """Latents at the first step's level, denoised along all steps under classifier-free guidance by a caption."""
        empty = self.embed("")
        return self.schedule.sample(latents, steps, lambda x, t: self.guided_noise(x, t, empty, caption, guidance))

    @torch.no_grad()
    def invert(self, clean: torch.Tensor, steps: Sequence[Step], caption: torch.Tensor) -> dict[int, torch.Tensor]:
        """DDIM inversion under a caption, without guidance: by its timestep, the latents at each step's noisy level."""
        return self.schedule.invert(clean, steps, lambda x, t: self.noise(x, t, caption))

    def initial_noise(self, seed: int, side: int | None = None) -> torch.Tensor:
        """Gaussian noise, ``(1, channels, side, side)``, the same on every device; of the model's side by default."""
        side = side or self.unet.config.sample_size
        shape = (1, self.unet.config.in_channels, side, side)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(self.unet.device, self.autoencoder.dtype)
