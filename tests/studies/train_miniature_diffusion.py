"""Trains the miniature latent diffusion model that the adapters edit with, and writes its card.

::

    python -m tests.studies.train_miniature_diffusion \
        --start adapters/evalkit_adapters/miniature_diffusion           # killed and started again, it goes on

Two stages, each checkpointed: the autoencoder, then the UNet on latents made once. The text encoder is that of the
miniature CLIP, frozen, as Stable Diffusion's is that of OpenAI's CLIP. No scene of version 2 of the shapes benchmark
(source, target or wrong edit) is ever drawn, nor any scene that the card's figures are measured on, or that training is
watched on. Every drawing has details of its own, and captions name any part of the attributes. With ``--start`` both
networks go on from the weights of a model that is there.

The model of version 1 was made by this script before there was a version 2. The shipped weights began as those
(``--start``), with 6,000 steps of the autoencoder and 16,000 of the UNet: 9,750 under an SNR cap of 5 and without the
weight of shapes, and from their checkpoint 6,250 as it stands here, the last 3,250 of them under ``--steps 16000``: the
learning rate falls in the last fifth alone.
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
from torch.nn.functional import avg_pool2d, max_pool2d, mse_loss
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from evalkit.benchmarks.shapes.world import NATIVE_SIZE, Jitter, coverage, draw
from tests.studies.measure_miniature_clip import SHIPPED as MINIATURE_CLIP
from tests.studies.measure_miniature_clip import split
from tests.studies.measure_miniature_diffusion import N_WATCHED, SHIPPED, assemble, found_share, write_card
from tests.support.scenes import in_version, namings, paraphrases

VERSION = "2"
"""Of the shapes world."""
SEED = 12
AUTOENCODER_STEPS = 6000
QUARTER_STEPS = 1000
"""The first ones are on quarters of pictures, at the shape: four times as cheap, and most of what there is to learn."""
AUTOENCODER_BATCH = 8
AUTOENCODER_RATE = 2e-3
HALF_SHARE = 0.8
"""The first part of the autoencoder's training, which is in bfloat16 where the processor multiplies it faster."""
LATENT_NOISE = 0.05
"""Deviation of the posterior, as a share of the latents' own; the decoder learns to bear it."""
UNET_STEPS = 16_000
UNET_BATCH = 16
UNET_RATE = 1e-3
WARMUP = 300
TOKENS = 24
DECAY_SHARE = 0.2
"""The last part of the UNet's training, in which the learning rate falls to nothing."""
DRAWINGS = 8
"""Latents of each training scene, of as many drawings: details differ from drawing to drawing."""
SNR_CAP = 1.0
"""Min-SNR weighting (Hang et al. 2023): a step's weight is min(SNR, cap) / SNR.

Their cap is 5. What fails in a sample of this world fails early: a drawing that is noised to an SNR of 1 comes back
with its shape and its stripe, one that is noised to 0.2 loses a sixth of both (9,200 steps under a cap of 5).
"""
SHAPE_WEIGHT = 4.0
"""Added to the weight of latents at the shape, which are few and hold most of what there is to learn."""
VISIBLE_SNR = 0.05
"""Least SNR at which they count more: where a shape cannot be seen yet, its weight would draw it too often."""
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
    """One drawing of every training scene with its shape's mask, ``(64, 64, 4)`` uint8; another number gives others."""
    rng = np.random.default_rng([SEED, 1, number])
    for scene in split(VERSION)[0]:
        jitter = Jitter.sample(rng)
        chosen = in_version(scene, VERSION, rng)
        yield np.dstack([draw(chosen, jitter), coverage(chosen, jitter)])


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


def train_autoencoder(work: Path, *, start_from: Path | None, steps: int) -> AutoencoderKL:
    """The trained autoencoder, its latents standardised.

    Begun anew, three of the four latent channels are held to the picture's local means, or colours like yellow and
    orange take thousands of steps to come apart.
    """
    model = AutoencoderKL.from_pretrained(start_from / "vae", torch_dtype=torch.float32) if start_from else None
    quarter_steps, model = (0, model.train()) if model else (QUARTER_STEPS, build_autoencoder())
    progress = Progress(
        path=work / "autoencoder.pt",
        model=model,
        optimiser=torch.optim.AdamW(model.parameters(), lr=AUTOENCODER_RATE, betas=(0.9, 0.99)),
    )
    progress.resume()
    model.to(memory_format=torch.channels_last)
    pool = np.stack(list(drawings(0))) if progress.step < steps else np.empty(0)
    start = time.monotonic()
    while progress.step < steps:
        rng = np.random.default_rng([SEED, 2, progress.step])
        whole = progress.step >= quarter_steps
        batch = pool[rng.integers(len(pool), size=AUTOENCODER_BATCH * (1 if whole else 2))]
        batch = batch if whole else at_the_shape(batch, rng)
        images, share = to_input(batch[..., :3]), progress.step / steps
        with torch.autocast("cpu", torch.bfloat16, enabled=share < HALF_SHARE):
            latents = model.encode(images).latent_dist.mean.float()
            noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
            output = model.decode(latents + LATENT_NOISE * latents.detach().std() * noise).sample.float()
        error = (output - images).square() + (output - images).abs()
        # The few pixels of the shape count more.
        loss = (error * torch.from_numpy(1.0 + 8.0 * (batch[:, None, ..., 3] > 0)).float()).mean()
        loss = loss if start_from else loss + (latents[:, :3] - avg_pool2d(images, 4)).abs().mean()
        progress.advance(loss, AUTOENCODER_RATE * min((progress.step + 1) / 100, math.cos(math.pi * share / 2) + 0.01))
        if progress.step % 100 == 0 or progress.step == steps:
            progress.save()
            decibels = -10 * math.log10(mse_loss(output, images).item() / 4)
            print(f"autoencoder {progress.step}: {decibels:.1f} dB, {time.monotonic() - start:.0f} s", flush=True)
    return standardise(model.eval(), np.stack(list(drawings(0))[::7])[..., :3])


def at_the_shape(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A quarter of each picture with its mask, ``(n, 32, 32, 4)``, that holds a pixel of its shape."""
    side, parts = NATIVE_SIZE // 2, []
    for picture in pixels:
        places = np.argwhere(picture[..., 3] > 0)
        top, left = np.clip(places[rng.integers(len(places))] - rng.integers(side, size=2), 0, NATIVE_SIZE - side)
        parts.append(picture[top : top + side, left : left + side])
    return np.stack(parts)


@torch.no_grad()
def standardise(model: AutoencoderKL, pixels: np.ndarray) -> AutoencoderKL:
    """Moves each latent channel's mean and deviation into the 1 × 1 convolutions around the latents.

    The diffusion then starts from noise of the data's own mean and deviation, with a scaling factor of 1.
    """
    latents = encode(model, pixels)
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
    at_shape: torch.Tensor
    """``(DRAWINGS, scenes, 16, 16)`` bool: which latents lie at the shape, or beside it."""
    captions: torch.Tensor
    """``(different captions, tokens, width)`` float16."""
    fitting: torch.Tensor
    """``(scenes, captions of a scene)``: which of the captions."""
    empty: torch.Tensor
    """``(tokens, width)`` of the empty caption."""


def build_pool(work: Path, autoencoder: AutoencoderKL, tokenizer: CLIPTokenizer, text: CLIPTextModel) -> Pool:
    """Latents of the drawings, kept in a file, and the embeddings of all captions."""
    path, numbers = work / "latents.pt", range(DRAWINGS)
    if not path.exists():
        pixels = (np.stack(list(drawings(number)))[..., :3] for number in numbers)
        torch.save(torch.stack([encode(autoencoder, each).half() for each in pixels]), path)
    fitting = [[phrase for named in namings(VERSION) for phrase in paraphrases(s, named)] for s in split(VERSION)[0]]
    texts = sorted({phrase for phrases in fitting for phrase in phrases})
    index = {phrase: number for number, phrase in enumerate(texts)}
    return Pool(
        latents=torch.load(path, weights_only=True),
        at_shape=torch.stack([near_shape(np.stack([each[..., 3] for each in drawings(n)])) for n in numbers]),
        captions=torch.cat([embed(tokenizer, text, texts[i : i + 512]).half() for i in range(0, len(texts), 512)]),
        fitting=torch.tensor([[index[phrase] for phrase in phrases] for phrases in fitting]),
        empty=embed(tokenizer, text, [""])[0],
    )


def near_shape(masks: np.ndarray) -> torch.Tensor:
    """Which latents a shape covers a part of, or lie beside such: ``(n, 64, 64)`` to ``(n, 16, 16)`` bool."""
    covered = max_pool2d(torch.from_numpy(masks > 0)[:, None].float(), 4)
    return max_pool2d(covered, 3, stride=1, padding=1)[:, 0] > 0


@torch.no_grad()
def embed(tokenizer: CLIPTokenizer, text: CLIPTextModel, texts: list[str]) -> torch.Tensor:
    """Token embeddings as Stable Diffusion's pipeline makes them: padded to the tokenizer's full length."""
    tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    return text(tokens)[0]


def loss_of(unet: UNet2DConditionModel, pool: Pool, signal: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise-prediction loss of a fresh batch; ``signal`` is the scheduler's ᾱ."""
    drawing, scene, phrasing = (torch.from_numpy(rng.integers(size, size=UNET_BATCH)) for size in (
        *pool.latents.shape[:2], pool.fitting.shape[1]
    ))  # fmt: skip

    def predict(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        states = pool.captions[pool.fitting[scene, phrasing]].float()
        states[torch.from_numpy(rng.random(UNET_BATCH) < DROPPED_CAPTIONS)] = pool.empty
        predicted: torch.Tensor = unet(noisy, times, states).sample
        return predicted

    return noise_loss(predict, pool.latents[drawing, scene].float(), pool.at_shape[drawing, scene], signal, rng)


def noise_loss(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    clean: torch.Tensor,
    at_shape: torch.Tensor,
    signal: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Weighted loss of the noise that ``predict`` finds in what it is shown, each at a time of its own."""
    n, noise = len(clean), torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
    # One time in each of equally many slices of the schedule: the same expectation, less variance.
    times = torch.from_numpy((1000 * (np.arange(n) + rng.random(n)) / n).astype(np.int64))
    abar = signal[times][:, None, None, None]
    predicted = predict(abar.sqrt() * clean + (1 - abar).sqrt() * noise, times)
    snr = abar / (1 - abar)
    weight = snr.clamp(max=SNR_CAP) / snr * (1 + SHAPE_WEIGHT * (at_shape[:, None] & (snr > VISIBLE_SNR)))
    return (weight * (predicted - noise).square()).mean()


def train_unet(
    work: Path,
    pool: Pool,
    *,
    start_from: Path | None,
    steps: int,
    measure: Callable[[dict[str, torch.Tensor]], str],
) -> UNet2DConditionModel:
    """The UNet with the moving average of its weights."""
    unet = build_unet(pool.captions.shape[-1])
    if start_from:
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(start_from / "unet").float().state_dict())
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


def text_tower(directory: Path) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A miniature CLIP's tokenizer and text encoder."""
    clip = CLIPModel.from_pretrained(directory)
    text = CLIPTextModel(clip.config.text_config)
    text.load_state_dict(clip.text_model.state_dict())
    # The longest caption has 19 tokens; half of the CLIP's 48 make every cross-attention layer cheaper.
    return CLIPTokenizer.from_pretrained(directory, model_max_length=TOKENS), text.eval()


def main() -> None:
    """Trains, and writes the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=SHIPPED, help="directory of the model")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="directory of the checkpoints")
    parser.add_argument("--start", type=Path, help="directory of a model whose weights are the beginning")
    parser.add_argument("--clip", type=Path, default=MINIATURE_CLIP[VERSION], help="directory of the miniature CLIP")
    parser.add_argument("--autoencoder-steps", type=int, default=AUTOENCODER_STEPS)
    parser.add_argument("--steps", type=int, default=UNET_STEPS, help="of the UNet; 0 stops after the autoencoder")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    autoencoder = train_autoencoder(options.work, start_from=options.start, steps=options.autoencoder_steps)
    if not options.steps:
        autoencoder.save_pretrained(options.output / "vae")
        return
    tokenizer, text = text_tower(options.clip)

    def pipeline(unet: UNet2DConditionModel) -> StableDiffusionPipeline:
        return assemble(autoencoder, unet, text, tokenizer, scheduler())

    def measure(average: dict[str, torch.Tensor]) -> str:
        unet = build_unet(text.config.hidden_size)
        unet.load_state_dict(average)
        return str(found_share(pipeline(unet.eval()), split(VERSION)[1][:N_WATCHED], steps=20))

    pool = build_pool(options.work, autoencoder, tokenizer, text)
    unet = train_unet(options.work, pool, start_from=options.start, steps=options.steps, measure=measure)
    whole = pipeline(unet)
    for part in (whole.unet, whole.vae):
        part.half()
    whole.save_pretrained(options.output)
    write_card(options.output, trained=options.steps)


if __name__ == "__main__":
    main()
