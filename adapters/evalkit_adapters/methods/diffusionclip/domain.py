"""The pictures that DiffusionCLIP tunes a model on: a domain that the source captions describe."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.benchmarks.shapes.language import scene_for
from evalkit.benchmarks.shapes.world import Jitter, draw
from evalkit.errors import OptionError

DRAWN = "drawn"
"""In place of a folder: pictures of the shapes world that fit the source caption."""
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def drawn_pictures(caption: str, number: int, seed: int, *, detailed: bool) -> list[Image.Image]:
    """Drawings that a caption of the shapes world fits; all that it does not name, and the details, by lot.

    Without details they are of the first version of that world.
    """
    rng = np.random.default_rng([seed, *caption.encode()])
    scenes = [scene_for(caption, rng) for _ in range(number)]
    scenes = scenes if detailed else [replace(scene, details=None) for scene in scenes]
    return [Image.fromarray(draw(scene, Jitter.sample(rng))) for scene in scenes]


def list_images(domain: str, number: int) -> list[Path]:
    """The first pictures of a folder, by name; none where the domain is no folder.

    Raises:
        OptionError: There is no such folder, or no picture in it.
    """
    if domain in ("", DRAWN):
        return []
    folder = Path(domain).expanduser()
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _IMAGES)
    if not found:
        raise OptionError(
            f"The setting 'domain' must be a folder with pictures ({', '.join(_IMAGES)}) to tune the model on; there "
            f"is none in {folder}. Leave it out to tune on each source by itself."
        )
    return found[:number]
