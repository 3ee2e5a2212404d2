"""PIE-Bench's edit masks: runs of pixels, as a picture of the size of the image."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.arrays import Mask
from evalkit.images.decode import write_image
from evalkit.storage.paths import cache_directory

SIDE = 512
"""The runs count the pixels of a square grid of this side, row by row from the top left."""


def decode_mask(runs: Sequence[int], size: tuple[int, int] = (SIDE, SIDE)) -> Mask:
    """The pixels that an edit may change.

    Runs may overlap, and what reaches beyond the last pixel is cut off. One pixel along each side always may change: so
    the authors' evaluation has it, against annotations that miss the border.

    Args:
        runs: ``start, length, start, length, …`` on a grid of 512 × 512.
        size: Width and height of the image, in pixels; another than the grid's is filled with the nearest pixels.

    Returns:
        ``(height, width)``, true where the image may change.

    Raises:
        ValueError: The runs are no such list.

    >>> int(decode_mask([513, 2, 600, 0]).sum()) - (4 * 512 - 4)
    2
    """
    pairs = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    starts, lengths = pairs.T
    if (pairs < 0).any() or (starts >= SIDE * SIDE).any():
        raise ValueError(f"a run lies outside of the grid of {SIDE} × {SIDE} pixels")
    steps = np.zeros(SIDE * SIDE + 1, dtype=np.int64)
    np.add.at(steps, starts, 1)
    np.add.at(steps, np.minimum(starts + lengths, SIDE * SIDE), -1)
    grid = (np.cumsum(steps[:-1]) > 0).reshape(SIDE, SIDE)
    width, height = size
    mask: Mask = grid[_nearest(height)[:, None], _nearest(width)]
    mask[[0, -1], :] = True
    mask[:, [0, -1]] = True
    return mask


def mask_picture(runs: Sequence[int], size: tuple[int, int]) -> Path:
    """The file of a mask's picture in the cache, white where the image may change; made if it is not there.

    Raises:
        ValueError: See :func:`decode_mask`.
        OSError: The cache cannot be written.
    """
    content = json.dumps([list(runs), list(size)], separators=(",", ":"))
    name = hashlib.sha256(content.encode()).hexdigest()[:32]
    path = cache_directory() / "benchmarks" / "pie_bench" / "masks" / f"{name}.png"
    if not path.is_file():
        levels = np.where(decode_mask(runs, size), 255, 0).astype(np.uint8)
        write_image(path, Image.fromarray(np.repeat(levels[..., None], 3, axis=2)))
    return path


def _nearest(length: int) -> npt.NDArray[np.int64]:
    """The pixel of the grid that lies nearest to each of so many pixels."""
    return (2 * np.arange(length, dtype=np.int64) + 1) * SIDE // (2 * length)
