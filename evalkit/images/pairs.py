"""An edited image beside its source, in one size: what metrics of pixels look at; and what is done to get there.

* Alpha: every image is laid on white when it is decoded, for every metric.
* Size: the source is never touched; an edited image of another size is resized to its size, with Pillow's bicubic
  filter, which antialiases, and rounded to 8 bits once. A mask of another size is resized by the nearest pixel, so that
  it stays a mask.
* Aspect ratio: what is off by more than :data:`ASPECT_PERCENT` is not stretched, as pixels would be compared with
  those of other places. Nor is an image enlarged that is too small to show anything. Metrics that hold the two against
  each other have no value there.

Which features bring which image to whose size is said by their ``frames``; one that looks at each image by itself, as
those of CLIP do, has none, and its encoder's preprocessing says what becomes of size and aspect ratio.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from evalkit.arrays import Mask, Pixels

SIZE_RULE = "source-bicubic-aa"
"""How signatures name the rule."""
MASK_RULE = "mask-nearest"
ALPHA_RULE = "white"
ASPECT_PERCENT = 2
"""Of the smaller one, by which two aspect ratios may differ: by 8 pixels of 400, as models take that want blocks."""
ASPECT_RULE = f"{ASPECT_PERCENT}%"
TINY = 16
"""Pixels: an image with a shorter side shows nothing that a caption could describe, or that could be enlarged."""
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


Misfit = Literal["other_aspect", "tiny_image"]
"""Why an image is not resized to another's size."""


def same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes, width and height each, have one aspect ratio, up to :data:`ASPECT_PERCENT`.

    >>> same_aspect((512, 512), (1045, 1046)), same_aspect((200, 300), (300, 200))
    (True, False)
    """
    products = one[0] * other[1], one[1] * other[0]
    return 100 * max(products) <= (100 + ASPECT_PERCENT) * min(products)


def misfit(size: tuple[int, int], frame: tuple[int, int], *, is_mask: bool = False) -> Misfit | None:
    """Why an image cannot be held against another; None where it can.

    Args:
        size: Width and height of the image that would be resized.
        frame: Of the other one.
        is_mask: Whether it is an edit mask, which may be as coarse as it likes.
    """
    if size == frame:
        return None
    if min(size) < TINY and not is_mask:
        return "tiny_image"
    return None if same_aspect(size, frame) else "other_aspect"


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
