"""Trains the miniature diffusion model of pixels, without captions, that DiffusionCLIP tunes.

::

    python -m tests.studies.train_miniature_pixels              # killed and started again, it goes on

The published kind in small: a ``DDPMPipeline`` with linear betas that predicts noise. As for the latent model, no scene
of the shapes benchmark is ever drawn, nor any scene that a figure is measured on.
"""

import argparse
import time
from itertools import count
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from evalkit.benchmarks.shapes.world import NATIVE_SIZE
from tests.studies.train_miniature_diffusion import Progress, at_the_shape, drawings, to_input

SEED = 13
STEPS = 3200
QUARTER_STEPS = 1500
"""The first ones are on quarters of pictures, at the shape: four times as cheap."""
BATCH = 16
RATE = 1.5e-3
WARMUP = 200
DECAY_SHARE = 0.25
"""The last part of the training, in which the learning rate falls to nothing."""
SNR_CAP = 5.0
"""Min-SNR weighting (Hang et al. 2023): a step's weight is min(SNR, cap) / SNR."""
DEFAULT_WORK = Path("build/miniature_pixels")
DEFAULT_OUTPUT = DEFAULT_WORK / "model"


def build() -> UNet2DModel:
    """Ho et al.'s topology, narrow: attention where there are 16 × 16 and 8 × 8 places."""
    torch.manual_seed(SEED)
    return UNet2DModel(
        sample_size=NATIVE_SIZE,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=32,
    )


def loss_of(unet: UNet2DModel, images: torch.Tensor, signal: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise-prediction loss of pictures in [-1, 1]; ``signal`` is the scheduler's ᾱ."""
    noise = torch.from_numpy(rng.standard_normal(images.shape, np.float32))
    n = len(images)
    # One time in each of equally many slices of the schedule: the same expectation, less variance.
    times = torch.from_numpy((1000 * (np.arange(n) + rng.random(n)) / n).astype(np.int64))
    abar = signal[times][:, None, None, None]
    predicted = unet(abar.sqrt() * images + (1 - abar).sqrt() * noise, times).sample
    snr = (abar / (1 - abar)).flatten()
    return (snr.clamp(max=SNR_CAP) / snr * (predicted - noise).square().mean(dim=(1, 2, 3))).mean()


def train(work: Path, steps: int) -> UNet2DModel:
    """The UNet with the moving average of its weights."""
    unet = build()
    print(f"{sum(part.numel() for part in unet.parameters()):,} parameters", flush=True)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    progress = Progress(path=work / "unet.pt", model=unet, optimiser=optimiser)
    progress.average = {name: value.clone() for name, value in unet.state_dict().items()}
    progress.resume()
    pool = np.stack(list(drawings(0)))
    signal, start, losses = DDPMScheduler().alphas_cumprod, time.monotonic(), []
    for step in count(progress.step):
        if step >= steps:
            break
        rng = np.random.default_rng([SEED, 1, step])
        batch = pool[rng.integers(len(pool), size=BATCH)]
        images = to_input(at_the_shape(batch, rng) if step < QUARTER_STEPS else batch)
        progress.advance(
            loss := loss_of(unet, images, signal, rng),
            RATE * min((step + 1) / WARMUP, 1.0, (steps - step) / (DECAY_SHARE * steps)),
        )
        losses.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            progress.save()
            print(f"{step + 1}: loss {np.mean(losses[-100:]):.4f}, {time.monotonic() - start:.0f} s", flush=True)
    assert progress.average is not None
    unet.load_state_dict(progress.average)
    return unet.eval()


def main() -> None:
    """Trains, and writes the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="directory of the model")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="directory of the checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    unet = train(options.work, options.steps)
    DDPMPipeline(unet=unet.half(), scheduler=DDPMScheduler()).save_pretrained(options.output)


if __name__ == "__main__":
    main()
