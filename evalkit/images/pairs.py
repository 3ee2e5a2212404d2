"""An edited image beside its source, in one size: what metrics of pixels look at.

One rule for sizes that differ: the source is never touched, the edited image is resized to its size, whatever the
shapes, with Pillow's bicubic filter, which antialiases, and rounded to 8 bits once. A mask of another size is resized
by the nearest pixel, so that it stays a mask.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from evalkit.arrays import Mask, Pixels

SIZE_RULE = "source-bicubic-aa"
"""How signatures name the rule."""
MASK_RULE = "mask-nearest"
WHITE = 128
"""From this grey level on a mask's pixel may change."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImagePair:
    """An edited image and its source, both of the source's size."""

    edited: Pixels
    """``(height, width, 3)``, RGB, 0 to 255."""
    source: Pixels
    """``(height, width, 3)``, RGB, 0 to 255."""
    background: Mask | None = None
    """``(height, width)``, true where nothing should have changed: outside of the edit mask, if one was asked for."""


def align(edited: Image.Image, source: Pixels, mask: Image.Image | None = None) -> ImagePair:
    """Brings an edited image, and the edit mask, to the size of the source.

    Args:
        edited: RGB image of any size.
        source: ``(height, width, 3)``, RGB, 0 to 255.
        mask: The edit mask, of any mode and size: white may change.
    """
    size = (source.shape[1], source.shape[0])
    if edited.size != size:
        edited = edited.resize(size, Image.Resampling.BICUBIC)
    background = None if mask is None else background_of(mask, size)
    return ImagePair(edited=np.asarray(edited), source=source, background=background)


def masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """An image with all that lies outside of its edit mask in black.

    Args:
        image: RGB.
        mask: Of any mode and size: white may change.

    >>> image, mask = Image.new("RGB", (2, 1), "white"), Image.new("L", (2, 1), 0)
    >>> mask.putpixel((0, 0), 255)
    >>> [masked(image, mask).getpixel((x, 0)) for x in (0, 1)]
    [(255, 255, 255), (0, 0, 0)]
    """
    pixels = np.array(image)
    pixels[background_of(mask, image.size)] = 0
    return Image.fromarray(pixels)


def background_of(mask: Image.Image, size: tuple[int, int]) -> Mask:
    """Where an edit mask says that nothing may change.

    Args:
        mask: White where the image may change; of another size it is resized by the nearest pixel.
        size: Width and height of the image.

    Returns:
        ``(height, width)``, true outside of the mask.
    """
    grey = mask.convert("L")
    return np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.NEAREST)) < WHITE
