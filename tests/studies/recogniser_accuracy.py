"""How often the shapes recogniser reads all attributes of a drawing rightly, clean and spoilt.

::

    python -m tests.studies.recogniser_accuracy        # version 1, printed; two minutes
    python -m tests.studies.recogniser_accuracy --version 2 --autoencoder DIR --autoencoder-is "TRAINED HOW"
                                                       # written to recogniser_accuracy.md

Version 2 is read with its details, also through an autoencoder: what a latent diffusion model can keep at the best.
The unit of ``closeness``, how far two unrelated drawings are apart, is measured as well.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.details import Details
from evalkit.benchmarks.shapes.recognise import UNKNOWN, read, recognise
from evalkit.benchmarks.shapes.recogniser import codes
from evalkit.benchmarks.shapes.world import ATTRIBUTES, DETAILED_RADII, Jitter, Scene, draw
from evalkit.metrics.details import scene_detail_preservation, subject_detail_preservation
from evalkit.metrics.pixel import differences
from tests.support.scenes import scenes

SEED = 19
N_SPOILT = 1000
"""Drawings per way of spoiling; of clean ones of version 1 there is one of every scene."""
N_UNRELATED = 40_000
BATCH = 1_000
RESULT = Path(__file__).with_suffix(".md")


def jpeg(quality: int, size: int = 64) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """Through a JPEG file of that size, colours at half the resolution as is usual."""

    def spoil(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        buffer = BytesIO()
        Image.fromarray(resize(size, size)(pixels, rng)).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return spoil


def noise(deviation: float) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """Independent Gaussian noise, in levels of 255."""
    return lambda pixels, rng: np.clip(np.rint(pixels + rng.normal(0, deviation, pixels.shape)), 0, 255).astype(
        np.uint8
    )


def resize(width: int, height: int) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """To another size, bicubic."""
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def blur(radius: float) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """Gaussian, in pixels of 64."""
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


SPOILT = {
    "JPEG quality 90": jpeg(90),
    "JPEG quality 75": jpeg(75),
    "JPEG quality 50": jpeg(50),
    "at 512 × 512, JPEG quality 75": jpeg(75, 512),
    "noise, deviation 8": noise(8),
    "noise, deviation 16": noise(16),
    "resized to 32 × 32": resize(32, 32),
    "resized to 48 × 48": resize(48, 48),
    "resized to 512 × 300": resize(512, 300),
    "blurred, radius 1": blur(1),
    "blurred, radius 2": blur(2),
}


def autoencoded(directory: Path) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """Through the autoencoder of a latent diffusion model, without noise."""
    import torch
    from diffusers import AutoencoderKL

    model = AutoencoderKL.from_pretrained(directory, torch_dtype=torch.float32).eval()

    @torch.no_grad()
    def spoil(pixels: Pixels, _: np.random.Generator) -> Pixels:
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        made = model.decode(model.encode(image).latent_dist.mean).sample[0]
        return np.asarray(((made.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0))

    return spoil


def main() -> None:
    """Prints one line per condition, or writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", choices=("1", "2"), default="1", help="of the shapes world")
    parser.add_argument("--autoencoder", type=Path, help="directory of an autoencoder to read drawings through")
    parser.add_argument("--autoencoder-is", default="", help="what it is, said below the table")
    parser.add_argument("--number", type=int, default=N_SPOILT, help="drawings per condition of version 2")
    options = parser.parse_args()
    if options.version == "2":
        write_details(options.autoencoder, options.number, options.autoencoder_is)
        return
    everything = list(scenes())
    report("clean, every scene", range(len(everything)), lambda pixels, _: pixels)
    for name, spoil in SPOILT.items():
        chosen = np.random.default_rng([SEED, 1]).integers(len(everything), size=N_SPOILT)
        report(name, chosen, spoil)


def write_details(autoencoder: Path | None, number: int, autoencoder_is: str) -> None:
    """The table of version 2, one line per condition, and what stands below it."""
    ways: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {"clean": lambda pixels, _: pixels, **SPOILT}
    if autoencoder:
        through, compressed = autoencoded(autoencoder), jpeg(75)
        name = f"autoencoded ({decibels(through, number):.1f} dB)"
        ways[name] = through
        ways[f"{name}, JPEG quality 75"] = lambda pixels, rng: compressed(through(pixels, rng), rng)
    lines = [HEADING.format(number=number, columns=" | ".join(DETAILED_RADII))]
    for name, spoil in ways.items():
        lines.append(details_line(name, spoil, number))
        print(lines[-1], flush=True)
    mean, error = unrelated(N_UNRELATED)
    lines.append(f"\nTwo unrelated drawings are {mean:.4f} ± {error:.4f} apart (mean L1, {N_UNRELATED:,} drawings).")
    if autoencoder_is:
        lines.append(f"\nThe autoencoder is {autoencoder_is}.")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


HEADING = """\
# The recogniser of version 2 of the shapes

`python -m tests.studies.recogniser_accuracy --version 2 --autoencoder DIR --number {number}`: so many drawings of
random scenes per line. *All right*: the share of drawings whose five attributes are all read rightly. *Wrong* and
*unknown*: how many attributes were read as something else, or not at all. *Stripe*: mean of cos 2Δ of the angle by
the shape's size, 0 where none was found, and how many were not. *Horizon*: the same of `scene_detail_preservation`.

| drawings | all right | wrong | unknown | stripe: {columns} | not found | horizon | not found |
|---|---|---|---|---|---|---|---|---|---|"""


def details_line(name: str, spoil: Callable[[Pixels, np.random.Generator], Pixels], number: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng([SEED, 3])
    shown = [any_scene(rng) for _ in range(number)]
    seen = [read(spoil(draw(scene, Jitter.sample(rng)), rng)) for scene in shown]
    faults = [
        {attribute: found.attributes[attribute] for attribute, value in scene.attributes.items()
         if found.attributes[attribute] != value}
        for scene, found in zip(shown, seen, strict=True)
    ]  # fmt: skip
    n_unknown = sum(value == UNKNOWN for fault in faults for value in fault.values())
    n_wrong = sum(map(len, faults)) - n_unknown
    true = np.array([codes(scene.details.attributes).ravel() for scene in shown if scene.details])
    ours = np.array([codes(found.details).ravel() for found in seen])
    stripe, horizon = (
        function(ours, true).values for function in (subject_detail_preservation, scene_detail_preservation)
    )
    by_size = [stripe[[scene.size == size for scene in shown]].mean() for size in DETAILED_RADII]
    lost = [sum(found.details[detail] is None for found in seen) for detail in ("stripe_angle", "horizon_height")]
    cells = [
        *(name, f"{100 * np.mean([not fault for fault in faults]):.1f} %", n_wrong, n_unknown),
        *(*(f"{mean:.3f}" for mean in by_size), lost[0], f"{horizon.mean():.3f}", lost[1]),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def decibels(spoil: Callable[[Pixels, np.random.Generator], Pixels], number: int) -> float:
    """Mean PSNR of drawings after what spoils them."""
    rng = np.random.default_rng([SEED, 4])
    drawings = [draw(any_scene(rng), Jitter.sample(rng)) for _ in range(number)]
    return float(np.mean([-10 * np.log10(differences(spoil(drawing, rng), drawing)[1]) for drawing in drawings]))


def unrelated(number: int) -> tuple[float, float]:
    """Mean L1 of two drawings of version 2 that have nothing to do with each other, and its standard error."""
    rng = np.random.default_rng([SEED, 5])
    means = []
    for _ in range(number // BATCH):
        drawn = np.stack([draw(any_scene(rng), Jitter.sample(rng)) for _ in range(BATCH)]).astype(np.int16)
        means.append(np.mean([np.abs(drawn - np.roll(drawn, step, axis=0)).mean() / 255 for step in range(1, 6)]))
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(len(means)))


def any_scene(rng: np.random.Generator) -> Scene:
    """One of version 2, everything of it drawn by lot."""
    attributes = {name: str(rng.choice(values)) for name, values in ATTRIBUTES.items()}
    return Scene(**attributes, details=Details.sample(rng))


def report(
    name: str, chosen: Sequence[int] | np.ndarray, spoil: Callable[[Pixels, np.random.Generator], Pixels]
) -> None:
    """Prints the share of drawings of which every attribute is read rightly, and which attributes were not."""
    everything, rng = list(scenes()), np.random.default_rng([SEED, 2])
    wrong: Counter[str] = Counter()
    n_right = 0
    for scene in (everything[index] for index in chosen):
        seen = recognise(spoil(draw(scene, Jitter.sample(rng)), rng))
        faults = [attribute for attribute, value in scene.attributes.items() if seen[attribute] != value]
        wrong.update(faults)
        n_right += not faults
    print(
        f"{name:32} {n_right} of {len(chosen)} = {100 * n_right / len(chosen):.2f} %  {dict(wrong) or ''}", flush=True
    )


if __name__ == "__main__":
    main()
