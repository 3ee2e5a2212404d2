"""Trains the miniature latent diffusion model that the adapters edit with, and writes its card.

::

    python -m tests.studies.train_miniature_diffusion           # killed and started again, it goes on

Two stages, each checkpointed: the autoencoder, then the UNet on latents made once. The text encoder is that of the
miniature CLIP, frozen, as Stable Diffusion's is that of OpenAI's CLIP. No scene of the shapes benchmark (source,
target or wrong edit) is ever drawn, nor any scene whose caption the card's figures are measured on.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.nn.functional import avg_pool2d, mse_loss
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from evalkit.benchmarks.shapes.world import NATIVE_SIZE, Jitter, draw
from evalkit.encoders.miniature import DIRECTORY as MINIATURE_CLIP
from tests.studies.measure_miniature_clip import split
from tests.studies.measure_miniature_diffusion import SHIPPED, assemble, found_share, write_card
from tests.support.scenes import paraphrases

SEED = 12
AUTOENCODER_STEPS = 2600
QUARTER_STEPS = 1000
"""The first ones are on quarters of pictures, at the shape: four times as cheap, and most of what there is to learn."""
AUTOENCODER_BATCH = 8
AUTOENCODER_RATE = 2e-3
LATENT_NOISE = 0.05
"""Deviation of the posterior, as a share of the latents' own; the decoder learns to bear it."""
UNET_STEPS = 12_500
UNET_BATCH = 16
UNET_RATE = 1e-3
WARMUP = 300
TOKENS = 24
DECAY_SHARE = 0.2
"""The last part of the UNet's training, in which the learning rate falls to nothing."""
DRAWINGS = 3
"""Latents of each training scene, of as many drawings."""
SNR_CAP = 5.0
"""Min-SNR weighting (Hang et al. 2023): a step's weight is min(SNR, cap) / SNR."""
DROPPED_CAPTIONS = 0.1
"""Share of empty captions, for classifier-free guidance."""
AVERAGING = 0.9995
DEFAULT_WORK = Path("build/miniature_diffusion")


def build_autoencoder() -> AutoencoderKL:
    """64 × 64 pixels to 16 × 16 latents of four channels."""
    torch.manual_seed(SEED)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 48),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=NATIVE_SIZE,
        scaling_factor=1.0,
    )


def build_unet(width: int) -> UNet2DConditionModel:
    """Stable Diffusion 1.x's topology, narrow; ``width`` is that of the caption's token embeddings."""
    torch.manual_seed(SEED)
    return UNet2DConditionModel(
        sample_size=NATIVE_SIZE // 4,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(24, 48, 96, 96),
        layers_per_block=2,
        cross_attention_dim=width,
        attention_head_dim=2,
        norm_num_groups=8,
    )


def scheduler() -> DDIMScheduler:
    """Stable Diffusion 1.x's."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def drawings(number: int) -> Iterator[np.ndarray]:
    """One drawing of every training scene, ``(64, 64, 3)`` uint8; another number gives other drawings."""
    rng = np.random.default_rng([SEED, 1, number])
    for scene in split()[0]:
        yield draw(scene, Jitter.sample(rng))


def to_input(pixels: np.ndarray) -> torch.Tensor:
    """``(n, height, width, 3)`` uint8 to ``(n, 3, height, width)`` in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a training run is made of, and where it is kept."""

    path: Path
    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, torch.Tensor] | None = None
    step: int = 0

    def resume(self) -> None:
        """Goes back to the last checkpoint, where there is one."""
        if not self.path.exists():
            return
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state["average"], state["step"]

    def save(self) -> None:
        """Writes a checkpoint in one piece."""
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "step": self.step,
        }
        torch.save(state, self.path.with_suffix(".new"))
        self.path.with_suffix(".new").replace(self.path)

    def advance(self, loss: torch.Tensor, rate: float) -> None:
        """One step of the optimiser, and of the moving average where one is kept."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        if self.average is not None:
            keep = min(AVERAGING, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for name, value in self.model.state_dict().items():
                    self.average[name].lerp_(value, 1 - keep)


def train_autoencoder(work: Path) -> AutoencoderKL:
    """The trained autoencoder, its latents standardised.

    Three of the four latent channels are held to the picture's local means, or colours like yellow and orange take
    thousands of steps to come apart.
    """
    model = build_autoencoder()
    progress = Progress(
        path=work / "autoencoder.pt",
        model=model,
        optimiser=torch.optim.AdamW(model.parameters(), lr=AUTOENCODER_RATE, betas=(0.9, 0.99)),
    )
    progress.resume()
    pool = np.stack(list(drawings(0))) if progress.step < AUTOENCODER_STEPS else np.empty(0)
    start = time.monotonic()
    while progress.step < AUTOENCODER_STEPS:
        rng = np.random.default_rng([SEED, 2, progress.step])
        whole = progress.step >= QUARTER_STEPS
        batch = pool[rng.integers(len(pool), size=AUTOENCODER_BATCH * (1 if whole else 2))]
        images = to_input(batch if whole else at_the_shape(batch, rng))
        latents = model.encode(images).latent_dist.mean
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
        output = model.decode(latents + LATENT_NOISE * latents.detach().std() * noise).sample
        error = (output - images).square() + (output - images).abs()
        seen = (latents[:, :3] - avg_pool2d(images, 4)).abs().mean()
        loss = (error * prominence(images)).mean() + seen
        share = progress.step / AUTOENCODER_STEPS
        progress.advance(loss, AUTOENCODER_RATE * min((progress.step + 1) / 100, math.cos(math.pi * share / 2) + 0.01))
        if progress.step % 100 == 0 or progress.step == AUTOENCODER_STEPS:
            progress.save()
            decibels = -10 * math.log10(mse_loss(output, images).item() / 4)
            print(f"autoencoder {progress.step}: {decibels:.1f} dB, {time.monotonic() - start:.0f} s", flush=True)
    return standardise(model.eval())


def prominence(images: torch.Tensor) -> torch.Tensor:
    """Weights of pixels, ``(n, 1, height, width)``: the few that differ from the background count more."""
    background = images.flatten(2).median(dim=2).values[:, :, None, None]
    return 1 + 8 * ((images - background).abs().amax(dim=1, keepdim=True) > 0.05)


def at_the_shape(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A quarter of each picture, ``(n, 32, 32, 3)``, that holds a pixel of its shape."""
    side, parts = NATIVE_SIZE // 2, []
    for picture in pixels:
        contrast = np.abs(picture - np.median(picture, axis=(0, 1))).max(axis=2)
        places = np.argwhere(contrast > 20)
        top, left = np.clip(places[rng.integers(len(places))] - rng.integers(side, size=2), 0, NATIVE_SIZE - side)
        parts.append(picture[top : top + side, left : left + side])
    return np.stack(parts)


@torch.no_grad()
def standardise(model: AutoencoderKL) -> AutoencoderKL:
    """Moves each latent channel's mean and deviation into the 1 × 1 convolutions around the latents.

    The diffusion then starts from noise of the data's own mean and deviation, with a scaling factor of 1.
    """
    latents = encode(model, np.stack(list(drawings(0))[::7]))
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    before, after = model.quant_conv, model.post_quant_conv
    n = len(mean)
    before.weight[:n] /= deviation[:, None, None, None]
    before.bias[:n] = (before.bias[:n] - mean) / deviation
    before.weight[n:] = 0
    before.bias[n:] = 2 * math.log(LATENT_NOISE)
    after.bias += (after.weight[:, :, 0, 0] * mean).sum(dim=1)
    after.weight *= deviation[:, None, None]
    return model


@torch.no_grad()
def encode(model: AutoencoderKL, pixels: np.ndarray) -> torch.Tensor:
    """Posterior means, ``(n, 4, 16, 16)``."""
    parts = np.array_split(pixels, max(1, len(pixels) // 64))
    return torch.cat([model.encode(to_input(part)).latent_dist.mean for part in parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Everything that the UNet's batches are made of."""

    latents: torch.Tensor
    """``(DRAWINGS, scenes, 4, 16, 16)`` float16."""
    captions: torch.Tensor
    """``(scenes, phrasings, tokens, width)`` float16."""
    empty: torch.Tensor
    """``(tokens, width)`` of the empty caption."""


def build_pool(work: Path, autoencoder: AutoencoderKL, tokenizer: CLIPTokenizer, text: CLIPTextModel) -> Pool:
    """Latents of the drawings, kept in a file, and the embeddings of all captions."""
    path = work / "latents.pt"
    if not path.exists():
        made = [encode(autoencoder, np.stack(list(drawings(number)))).half() for number in range(DRAWINGS)]
        torch.save(torch.stack(made), path)
    texts = [phrase for scene in split()[0] for phrase in paraphrases(scene)]
    states = torch.cat([embed(tokenizer, text, texts[i : i + 512]).half() for i in range(0, len(texts), 512)])
    return Pool(
        latents=torch.load(path, weights_only=True),
        captions=states.reshape(len(split()[0]), -1, *states.shape[1:]),
        empty=embed(tokenizer, text, [""])[0],
    )


@torch.no_grad()
def embed(tokenizer: CLIPTokenizer, text: CLIPTextModel, texts: list[str]) -> torch.Tensor:
    """Token embeddings as Stable Diffusion's pipeline makes them: padded to the tokenizer's full length."""
    tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    return text(tokens)[0]


def loss_of(unet: UNet2DConditionModel, pool: Pool, signal: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise-prediction loss of a fresh batch; ``signal`` is the scheduler's ᾱ."""
    drawing, scene, phrasing = (torch.from_numpy(rng.integers(size, size=UNET_BATCH)) for size in (
        DRAWINGS, pool.latents.shape[1], pool.captions.shape[1]
    ))  # fmt: skip

    def predict(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        states = pool.captions[scene, phrasing].float()
        states[torch.from_numpy(rng.random(UNET_BATCH) < DROPPED_CAPTIONS)] = pool.empty
        predicted: torch.Tensor = unet(noisy, times, states).sample
        return predicted

    return noise_loss(predict, pool.latents[drawing, scene].float(), signal, rng)


def noise_loss(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    clean: torch.Tensor,
    signal: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Min-SNR-weighted loss of the noise that ``predict`` finds in what it is shown, each at a time of its own."""
    n, noise = len(clean), torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
    # One time in each of equally many slices of the schedule: the same expectation, less variance.
    times = torch.from_numpy((1000 * (np.arange(n) + rng.random(n)) / n).astype(np.int64))
    abar = signal[times][:, None, None, None]
    predicted = predict(abar.sqrt() * clean + (1 - abar).sqrt() * noise, times)
    snr = (abar / (1 - abar)).flatten()
    return (snr.clamp(max=SNR_CAP) / snr * (predicted - noise).square().mean(dim=(1, 2, 3))).mean()


def train_unet(
    work: Path, pool: Pool, *, steps: int, measure: Callable[[dict[str, torch.Tensor]], str]
) -> UNet2DConditionModel:
    """The UNet with the moving average of its weights."""
    unet = build_unet(pool.captions.shape[-1])
    print(f"{sum(part.numel() for part in unet.parameters()):,} parameters of the UNet", flush=True)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=UNET_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    progress = Progress(path=work / "unet.pt", model=unet, optimiser=optimiser)
    progress.average = {name: value.clone() for name, value in unet.state_dict().items()}
    progress.resume()
    signal, start, losses = scheduler().alphas_cumprod, time.monotonic(), []
    for step in count(progress.step):
        if step >= steps:
            break
        loss = loss_of(unet, pool, signal, np.random.default_rng([SEED, 3, step]))
        progress.advance(loss, UNET_RATE * min((step + 1) / WARMUP, 1.0, (steps - step) / (DECAY_SHARE * steps)))
        losses.append(loss.item())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            progress.save()
            print(f"unet {step + 1}: loss {np.mean(losses[-250:]):.4f}, {time.monotonic() - start:.0f} s", flush=True)
        if (step + 1) % 2000 == 0:
            print(measure(progress.average), flush=True)
    assert progress.average is not None
    unet.load_state_dict(progress.average)
    return unet.eval()


def text_tower() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """The miniature CLIP's tokenizer and text encoder."""
    clip = CLIPModel.from_pretrained(MINIATURE_CLIP)
    text = CLIPTextModel(clip.config.text_config)
    text.load_state_dict(clip.text_model.state_dict())
    # The longest caption has 19 tokens; half of the CLIP's 48 make every cross-attention layer cheaper.
    return CLIPTokenizer.from_pretrained(MINIATURE_CLIP, model_max_length=TOKENS), text.eval()


def main() -> None:
    """Trains, and writes the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=SHIPPED, help="directory of the model")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="directory of the checkpoints")
    parser.add_argument("--steps", type=int, default=UNET_STEPS, help="of the UNet")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    autoencoder = train_autoencoder(options.work)
    tokenizer, text = text_tower()

    def pipeline(unet: UNet2DConditionModel) -> StableDiffusionPipeline:
        return assemble(autoencoder, unet, text, tokenizer, scheduler())

    def measure(average: dict[str, torch.Tensor]) -> str:
        unet = build_unet(text.config.hidden_size)
        unet.load_state_dict(average)
        return str(found_share(pipeline(unet.eval()), split()[1][:64], steps=20))

    pool = build_pool(options.work, autoencoder, tokenizer, text)
    unet = train_unet(options.work, pool, steps=options.steps, measure=measure)
    whole = pipeline(unet)
    for part in (whole.unet, whole.vae):
        part.half()
    whole.save_pretrained(options.output)
    write_card(options.output, trained=options.steps)


if __name__ == "__main__":
    main()
