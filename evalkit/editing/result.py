"""What a method may return as an edited image."""

from typing import Any

import numpy as np
from PIL import Image

from evalkit.arrays import Pixels
from evalkit.errors import ImageError


def checked_picture(picture: object, size: tuple[int, int]) -> Image.Image:
    """What a method returned, as an RGB image of the source's size or square.

    Args:
        picture: Anything; a :data:`evalkit.editing.method.EditedPicture` is what is wanted.
        size: Width and height of the source image, in pixels.

    Raises:
        ImageError: It is none; the message says what it is instead.

    Example:
        >>> checked_picture(np.full((2, 2, 3), 0.5), (4, 3)).getpixel((0, 0))
        (128, 128, 128)
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_eight_bit(picture))
    if not isinstance(picture, Image.Image):
        raise ImageError(f"the method must return an RGB image or an array, got {type(picture).__name__}")
    if picture.mode != "RGB":
        raise ImageError(f"the method must return an RGB image, got mode {picture.mode}")
    if (picture.size != size and picture.width != picture.height) or not picture.width:
        expected, got = (f"{width} × {height}" for width, height in (size, picture.size))
        raise ImageError(f"the method must return an image of the source's size {expected}, or a square; got {got}")
    return picture


def _eight_bit(picture: np.ndarray[Any, Any]) -> Pixels:
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ImageError(f"the method must return an array of height × width × 3, got {picture.shape}")
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise ImageError(f"the method must return bytes or floating-point numbers, got {picture.dtype}")
    if not np.isfinite(picture).all():
        raise ImageError("the method returned an image that is not finite (NaN or infinite)")
    low, high = float(picture.min()), float(picture.max())
    if low < 0 or high > 1:
        raise ImageError(f"the method must return numbers from 0 to 1, got {low:.9g} to {high:.9g}")
    levels: Pixels = np.rint(picture * 255).astype(np.uint8)
    return levels
