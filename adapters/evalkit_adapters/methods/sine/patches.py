"""Crops of one picture and where they lie in it (SINE, Zhang et al. 2023).

A network that is tuned on crops is given the position of each latent pixel in the whole picture: a fixed sinusoidal
encoding, cut to the crop and resized to the latent, is added to what the UNet's first convolution gives.
"""

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from PIL import Image
from torch.nn.functional import interpolate

Interpolation = Literal["bilinear", "nearest"]
SMALLEST = 0.1
"""Of a crop's sides, as a share of the picture's."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the picture, in cells of the grid; the ends are outside."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, cells: int) -> "Box":
        """All of a picture of ``cells`` by ``cells``."""
        return cls(0, 0, cells, cells)

    @classmethod
    def draw(cls, cells: int, generator: torch.Generator) -> "Box":
        """A random part: each side 0.1 to 1 of the picture's by itself, and then any position where it fits."""
        height, width = (
            int(cells * (share * (1 - SMALLEST) + SMALLEST)) for share in torch.rand(2, generator=generator).tolist()
        )
        top, left = (
            int(torch.randint(cells - length + 1, (), generator=generator).item()) for length in (height, width)
        )
        return cls(top, left, top + height, left + width)

    def cut(self, image: Image.Image, cell: int, side: int) -> Image.Image:
        """The part of a picture with cells of so many pixels, stretched to a square of ``side`` pixels."""
        part = image.crop((self.left * cell, self.top * cell, self.right * cell, self.bottom * cell))
        # Not by resize(box=…), whose filter reads pixels around the box.
        return part.resize((side, side), Image.Resampling.BICUBIC)


def position_grid(channels: int, cells: int) -> torch.Tensor:
    """The positions in a picture as sines and cosines, ``(1, channels, cells, cells)`` in float64.

    The first half of the channels says the column, the second the row: at the frequencies f_k = 10000^(−k/(n−1)) of
    n = channels/4, n sines of (position + 1) f_k and then n cosines. Channels are a multiple of four, at least eight.
    """
    frequencies = torch.exp(-torch.arange(channels // 4, dtype=torch.float64) * log(10000) / (channels // 4 - 1))
    angles = torch.arange(1, cells + 1, dtype=torch.float64)[:, None] * frequencies
    encoding = torch.cat([angles.sin(), angles.cos()], dim=1).T
    columns, rows = encoding[:, None, :].expand(-1, cells, -1), encoding[:, :, None].expand(-1, -1, cells)
    return torch.cat([columns, rows])[None]


def crop_positions(grid: torch.Tensor, box: Box, size: int, how: Interpolation) -> torch.Tensor:
    """The grid in a box, at a latent's size: ``(1, channels, size, size)``.

    Bilinear with the corners aligned, or the nearest cell.
    """
    part = grid[..., box.top : box.bottom, box.left : box.right]
    if how == "nearest":
        return interpolate(part, (size, size), mode="nearest")
    return interpolate(part, (size, size), mode="bilinear", align_corners=True)
