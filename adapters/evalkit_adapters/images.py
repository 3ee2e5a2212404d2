"""Pictures to tensors and back, and the sizes at which they are edited."""

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.errors import ImageError

if TYPE_CHECKING:
    import torch

Size = tuple[int, int]
"""Width and height in pixels."""


def centre_square(image: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """The middle square of a picture, resized to ``side`` pixels."""
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    return image.crop((left, top, left + short, top + short)).resize((side, side), resample)


def to_tensor(image: Image.Image, device: "torch.device", dtype: "torch.dtype") -> "torch.Tensor":
    """An RGB image's levels of 0 to 255, ``(1, 3, height, width)``."""
    import torch

    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].to(device, dtype)


def to_array(pixels: "torch.Tensor") -> npt.NDArray[np.floating]:
    """The first picture of ``(n, 3, height, width)``, clamped to [0, 1], as ``(height, width, 3)``."""
    picture: npt.NDArray[np.floating] = pixels[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return picture


def to_image(pixels: npt.NDArray[np.floating], size: Size) -> Image.Image:
    """What a model drew, ``(height, width, 3)`` in [0, 1], as a picture of the source's size.

    Raises:
        ImageError: It is not finite.
    """
    if not np.isfinite(pixels).all():
        raise ImageError("the pipeline's picture is not finite; many models overflow in fp16: try --dtype bf16 or fp32")
    picture = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def working_size(size: Size, side: int, multiple: int) -> Size:
    """The size of about ``side`` squared pixels that is nearest to a picture's proportions.

    Example:
        >>> working_size((600, 400), 512, 16)
        (624, 416)
    """
    ratio = sqrt(size[0] / size[1])
    width, height = (max(1, round(length / multiple)) * multiple for length in (side * ratio, side / ratio))
    return width, height
