"""How often the shapes recogniser reads all attributes of a drawing rightly, clean and spoilt.

::

    python -m tests.studies.recogniser_accuracy        # two minutes
"""

from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.recognise import recognise
from evalkit.benchmarks.shapes.world import Jitter, draw
from tests.support.scenes import scenes

SEED = 19
N_SPOILT = 1000
"""Drawings per way of spoiling; of clean ones there is one of every scene."""


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


def main() -> None:
    """Prints one line per condition."""
    everything = list(scenes())
    report("clean, every scene", range(len(everything)), lambda pixels, _: pixels)
    for name, spoil in SPOILT.items():
        chosen = np.random.default_rng([SEED, 1]).integers(len(everything), size=N_SPOILT)
        report(name, chosen, spoil)


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
