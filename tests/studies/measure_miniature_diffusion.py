"""Measures the miniature latent diffusion model that evalkit's adapters edit with, and writes its card.

::

    python -m tests.studies.measure_miniature_diffusion         # rewrites the card of the shipped weights
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from scipy import stats
from transformers import CLIPTextModel, CLIPTokenizer

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.details import HEIGHTS, SLOPES
from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.recognise import read
from evalkit.benchmarks.shapes.recogniser import codes
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Jitter, Scene, draw
from evalkit.formatting import format_p
from evalkit.metrics.details import scene_detail_preservation, subject_detail_preservation
from evalkit.stats.intervals import wilson_ends
from evalkit.stats.multiplicity import adjust
from evalkit_adapters.diffusion.latent_diffusion import MINIATURE_DIFFUSION_V2, LatentDiffusion
from tests.studies.measure_miniature_clip import split
from tests.support.scenes import in_version

SHIPPED = MINIATURE_DIFFUSION_V2
GUIDANCE = 4.0
STEPS = 50
N_WATCHED = 64
"""Held-out scenes, the first ones, that training is watched on; the figures are of others."""
N_CAPTIONS = 300
"""Held-out scenes that are sampled; none was trained on, or looked at."""
N_INVERTED = 48
"""Held-out drawings that are inverted and reconstructed."""
DETAIL_RANGES = {"stripe_angle": (0.0, 180.0), "horizon_height": HEIGHTS, "horizon_slope": SLOPES}
_SEED = 12

_CARD = """\
---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags:
  - evalkit
  - miniature
---

# The miniature latent diffusion model

A text-to-image model of {megabytes} MB with the topology of Stable Diffusion 1.x, which draws one thing: the pictures
of version 2 of evalkit's shapes benchmark, one striped shape before a horizon. It makes every editing method of evalkit
run on a CPU in seconds, against known truth. About photographs it knows nothing, and a result made with it says nothing
about a method on real images.

`StableDiffusionPipeline.from_pretrained` opens the directory. 64 × 64 pixels, latents of 16 × 16 × 4, {parameters}
parameters of the UNet (four down and four up blocks of two layers, cross-attention in the outer three), the text
encoder and tokenizer of evalkit's miniature CLIP, captions of up to {tokens} tokens, the noise schedule of Stable
Diffusion 1.x. The UNet and the autoencoder are stored in half precision.

## Figures

Written by `python -m tests.studies.measure_miniature_diffusion`.

| figure | value | 95 % interval |
|---|---|---|
{figures}

*Found*: one sample for each of {n_captions} held-out captions ({steps} DDIM steps, guidance {guidance:g}); the share in
which the benchmark's recogniser finds what the caption asked for. *Chance* is one in the number of an attribute's
values. *PSNR* and *kept*: {n_inverted} held-out drawings, through the autoencoder alone, and through DDIM inversion and
reconstruction under their own captions without guidance ({steps} steps each way); of the stripe and the horizon what
`subject_detail_preservation` and `scene_detail_preservation` say, 1 where kept exactly and 0 by chance.

What captions leave out should be as varied as in the drawings that it was trained on, where it is uniform:

| not named | read in | distance from uniform | p | corrected |
|---|---|---|---|---|
{spread}

{n_captions} samples for captions that name the shape alone. *Distance*: total variation of the values, of details the
largest difference of the distribution functions; *p*: χ², of details Kolmogorov–Smirnov; *corrected*: after Holm.
{uneven}

## Training

`python -m tests.studies.train_miniature_diffusion`: {trained} steps of the UNet; noise prediction, Min-SNR weighting,
a tenth of the captions dropped, moving average of the weights. Drawn on the spot from scenes and phrasings of the
shapes world; all scenes of the benchmark (sources, targets and wrong edits) and all scenes of the figures were left
out, and training was watched on other scenes. The weights began as version 1's, though, whose training left out its own
benchmark's scenes: it saw most of these combinations of attributes, drawn in other sizes and without details.

Licence: Apache-2.0, as evalkit itself; no data of others was used.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the card states."""

    n_captions: int
    found: dict[str, float]
    """Attribute to the share of samples that show what the caption asked for."""
    found_all: float
    """Share of samples that show all five."""
    n_inverted: int
    autoencoder_psnr: float
    """Mean over drawings, in dB."""
    reconstruction_psnr: float
    """The same after DDIM inversion and back."""
    steps: int
    guidance: float
    trained: int
    """Steps of training of the UNet."""
    kept: dict[str, float]
    """What the autoencoder, and inversion and reconstruction, keep of the details; chance is 0."""
    spread: dict[str, "Spread"]
    """Of what captions leave out: attribute or detail to how it is distributed."""


class Spread(TypedDict):
    """How what no caption names is distributed, against uniform."""

    read: int
    """Samples in which it could be read."""
    distance: float
    p_value: float


def figured() -> tuple[Scene, ...]:
    """The scenes that figures may be of: held out, and not watched."""
    return split("2")[1][N_WATCHED:]


def assemble(
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: DDIMScheduler,
) -> StableDiffusionPipeline:
    """The parts as the pipeline that everybody can load."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        unet=unet,
        text_encoder=text,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def samples(
    pipeline: StableDiffusionPipeline, named: Sequence[tuple[Scene, Collection[str]]], *, steps: int
) -> npt.NDArray[np.uint8]:
    """One sample for each scene's caption, which names some attributes: ``(n, 64, 64, 3)`` uint8."""
    pipeline.set_progress_bar_config(disable=True)
    made = []
    for first in range(0, len(named), 32):
        part = named[first : first + 32]
        generators = [torch.Generator().manual_seed(first + index) for index in range(len(part))]
        texts = [caption(*each) for each in part]
        output = pipeline(
            texts, num_inference_steps=steps, guidance_scale=GUIDANCE, generator=generators, output_type="np"
        )
        made.append(np.rint(output.images * 255).astype(np.uint8))
    return np.concatenate(made)


def shown(pipeline: StableDiffusionPipeline, scenes: Sequence[Scene], *, steps: int) -> npt.NDArray[np.bool_]:
    """Whether the recogniser finds what the caption asked for, ``(scenes, attributes)``."""
    pictures = samples(pipeline, [(scene, tuple(ATTRIBUTES)) for scene in scenes], steps=steps)
    found = [read(picture).attributes for picture in pictures]
    return np.array(
        [
            [scene.attributes[name] == seen[name] for name in ATTRIBUTES]
            for scene, seen in zip(scenes, found, strict=True)
        ]
    )


def found_share(pipeline: StableDiffusionPipeline, scenes: Sequence[Scene], *, steps: int) -> dict[str, float]:
    """For each attribute the share of samples in which the recogniser finds what the caption asked for."""
    found = shown(pipeline, scenes, steps=steps)
    return dict(zip(ATTRIBUTES, found.mean(axis=0).round(4).tolist(), strict=True))


def psnr(ours: npt.NDArray[np.floating], drawing: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of a picture in [0, 1], in dB."""
    return float(-10 * np.log10(np.mean((ours - drawing / 255) ** 2)))


def reconstruction(pipeline: StableDiffusionPipeline, n_inverted: int = N_INVERTED) -> tuple[float, float]:
    """Mean PSNR of drawings through the autoencoder, and through DDIM inversion and back."""
    alone, inverted = np.mean([psnrs for _, psnrs, _ in reconstructed(pipeline, n_inverted)], axis=0)
    return float(alone), float(inverted)


@torch.no_grad()
def reconstructed(
    pipeline: StableDiffusionPipeline, n_inverted: int
) -> Iterator[tuple[Scene, list[float], list[Pixels]]]:
    """Scenes whose drawings went through the autoencoder, and through inversion and back: PSNR and picture of both."""
    model = LatentDiffusion.from_pipeline(pipeline)
    steps, rng = model.schedule.steps(STEPS), np.random.default_rng([_SEED, 9])
    for plain in figured()[:n_inverted]:
        scene = in_version(plain, "2", rng)
        drawing = draw(scene, Jitter.sample(rng))
        clean, states = model.encode(Image.fromarray(drawing)), model.embed(caption(scene))

        def noise(latents: torch.Tensor, timestep: int, states: torch.Tensor = states) -> torch.Tensor:
            return model.noise(latents, timestep, states)

        start = model.schedule.invert(clean, steps, noise)[steps[0].timestep]
        back = model.schedule.sample(start, steps, noise)
        made = [model.decode(latent) for latent in (clean, back)]
        pictures = [np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8) for picture in made]
        yield scene, [psnr(picture, drawing) for picture in made], pictures


def kept_details(scenes: Sequence[Scene], pictures: Sequence[Sequence[Pixels]]) -> dict[str, float]:
    """What pictures made in two ways, of scenes with details, keep of these; chance is 0."""
    true = np.array([codes(scene.details.attributes).ravel() for scene in scenes if scene.details])
    kept = {}
    for way, made in zip(("autoencoder", "reconstruction"), zip(*pictures, strict=True), strict=True):
        seen = np.array([codes(read(picture).details).ravel() for picture in made])
        kept[f"stripe, {way}"] = float(subject_detail_preservation(seen, true).values.mean())
        kept[f"horizon, {way}"] = float(scene_detail_preservation(seen, true).values.mean())
    return kept


def measure(pipeline: StableDiffusionPipeline, *, trained: int, n_captions: int = N_CAPTIONS) -> Figures:
    """Every figure of the card."""
    right = shown(pipeline, figured()[:n_captions], steps=STEPS)
    scenes, psnrs, pictures = zip(*reconstructed(pipeline, N_INVERTED), strict=True)
    alone, inverted = np.mean(psnrs, axis=0).tolist()
    return Figures(
        n_captions=len(right),
        found=dict(zip(ATTRIBUTES, right.mean(axis=0).tolist(), strict=True)),
        found_all=float(right.all(axis=1).mean()),
        n_inverted=N_INVERTED,
        autoencoder_psnr=alone,
        reconstruction_psnr=inverted,
        steps=STEPS,
        guidance=GUIDANCE,
        trained=trained,
        kept=kept_details(scenes, pictures),
        spread=spread(pipeline, n_captions),
    )


def spread(pipeline: StableDiffusionPipeline, number: int) -> dict[str, Spread]:
    """How what captions leave out is distributed in samples for captions that name the shape alone."""
    named = [(scene, ("shape",)) for scene in figured()[:number]]
    found = [read(picture) for picture in samples(pipeline, named, steps=STEPS)]
    told: dict[str, Spread] = {}
    for name in (name for name in ATTRIBUTES if name != "shape"):
        counts = np.array([sum(one.attributes[name] == value for one in found) for value in ATTRIBUTES[name]])
        share = counts / counts.sum()
        told[name] = {
            "read": int(counts.sum()),
            "distance": float(np.abs(share - 1 / len(share)).sum() / 2),
            "p_value": float(stats.chisquare(counts).pvalue),
        }
    for name, (low, high) in DETAIL_RANGES.items():
        values = [value for one in found if (value := one.details[name]) is not None]
        test = stats.kstest(np.clip((np.array(values) - low) / (high - low), 0, 1), "uniform")
        told[name] = {"read": len(values), "distance": float(test.statistic), "p_value": float(test.pvalue)}
    return told


def render_card(figures: Figures, *, n_bytes: int, n_parameters: int, tokens: int) -> str:
    """The card in Markdown, with the Hub's YAML header."""
    rows = [
        (f"{name} found (chance {1 / len(values):.0%})", figures.found[name]) for name, values in ATTRIBUTES.items()
    ]
    lines = []
    for what, share in [*rows, ("all five found", figures.found_all)]:
        low, high = wilson_ends(share, figures.n_captions, 0.95)
        lines.append(f"| {what} | {100 * share:.1f} % | {100 * low:.1f}–{100 * high:.1f} % |")
    lines.append(f"| PSNR of the autoencoder | {figures.autoencoder_psnr:.1f} dB | |")
    lines.append(f"| PSNR of DDIM inversion and reconstruction | {figures.reconstruction_psnr:.1f} dB | |")
    lines += [f"| kept of the {what} | {value:.2f} | |" for what, value in figures.kept.items()]
    corrected = adjust([each["p_value"] for each in figures.spread.values()])
    spread = [
        f"| {name.replace('_', ' ')} | {each['read']} | {each['distance']:.2f} | {format_p(each['p_value'])} "
        f"| {format_p(p_value)} |"
        for (name, each), p_value in zip(figures.spread.items(), corrected, strict=True)
    ]
    uneven = [
        name.replace("_", " ") for name, p_value in zip(figures.spread, corrected, strict=True) if p_value <= 0.05
    ]
    return _CARD.format(
        figures="\n".join(lines),
        spread="\n".join(spread),
        uneven=f"**Less varied than in the drawings** (corrected p ≤ .05): {', '.join(uneven)}." if uneven else "",
        megabytes=f"{n_bytes / 1e6:.1f}",
        parameters=f"{n_parameters:,}",
        tokens=tokens,
        n_captions=figures.n_captions,
        n_inverted=figures.n_inverted,
        steps=figures.steps,
        guidance=figures.guidance,
        trained=f"{figures.trained:,}",
    )


def write_card(directory: Path, *, trained: int) -> Figures:
    """Measures the model in a directory, and writes the figures and the card that states them."""
    pipeline = StableDiffusionPipeline.from_pretrained(directory)
    figures = measure(pipeline, trained=trained)
    card = render_card(
        figures,
        n_bytes=sum(path.stat().st_size for path in directory.rglob("*.safetensors")),
        n_parameters=sum(part.numel() for part in pipeline.unet.parameters()),
        tokens=pipeline.tokenizer.model_max_length,
    )
    (directory / "figures.json").write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
    (directory / "README.md").write_text(card, encoding="utf-8")
    return figures


def read_figures(directory: Path) -> Figures:
    """The figures that :func:`write_card` wrote."""
    return Figures(**json.loads((directory / "figures.json").read_text(encoding="utf-8")))


def main() -> None:
    """Measures the shipped weights."""
    figures = write_card(SHIPPED, trained=read_figures(SHIPPED).trained)
    print(json.dumps(asdict(figures), indent=2))


if __name__ == "__main__":
    main()
