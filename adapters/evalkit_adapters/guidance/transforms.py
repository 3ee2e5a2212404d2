"""Changes of many pictures at once, each by numbers of its own: warps that fill with white, and tints.

Pure functions of ``(n, 3, height, width)`` in [0, 1], differentiable by the pictures. torchvision draws and applies its
transforms one picture at a time, which takes longer than the networks that look at the result.
"""

import torch
from torch.nn.functional import grid_sample

GREY = (0.2989, 0.587, 0.114)
"""Of red, green and blue in the brightness (ITU-R BT.601), as torchvision rounds it."""


def warp(pictures: torch.Tensor, homographies: torch.Tensor) -> torch.Tensor:
    """Pictures ``(n, 3, height, width)`` bilinearly sampled elsewhere; white where that is outside of them.

    Homographies ``(n, 3, 3)`` lead from where a pixel comes to lie to where it is taken from, in coordinates that are
    -1 and 1 at the picture's edges, x first.
    """
    height, width = pictures.shape[2:]
    y, x = ((2 * torch.arange(n).to(homographies) + 1) / n - 1 for n in (height, width))
    points = torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones_like(x + y[:, None])])
    sources = (homographies @ points.flatten(1)).view(-1, 3, height, width).permute(0, 2, 3, 1)
    # Padding is by zeros, so it is the negative that is looked up.
    return 1 - grid_sample(1 - pictures, sources[..., :2] / sources[..., 2:], align_corners=False)


def rotations(angles: torch.Tensor, shifts: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Homographies of a turn about the middle and a shift after it, for pictures of a height and width.

    Angles ``(n,)`` are in degrees, clockwise; shifts ``(n, 2)`` in pixels, right and down.
    """
    half = torch.tensor([size[1] / 2, size[0] / 2]).to(shifts)
    cos, sin = angles.deg2rad().cos(), angles.deg2rad().sin()
    back = torch.stack([torch.stack([cos, sin], dim=1), torch.stack([-sin, cos], dim=1)], dim=1)
    made = torch.eye(3).to(shifts).repeat(len(angles), 1, 1)
    made[:, :2, :2] = back * half[None, None, :] / half[None, :, None]
    made[:, :2, 2] = -(back @ shifts[:, :, None])[:, :, 0] / half
    return made


def perspectives(wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Homographies that take four points to four others, each ``(n, 4, 2)``; to ``(n, 3, 3)``."""
    ones, zeros = torch.ones_like(wanted[..., :1]), torch.zeros_like(wanted)
    point = torch.cat([wanted, ones], dim=-1)
    empty = torch.cat([zeros, zeros[..., :1]], dim=-1)
    rows_x = torch.cat([point, empty, -given[..., :1] * wanted], dim=-1)
    rows_y = torch.cat([empty, point, -given[..., 1:] * wanted], dim=-1)
    system, result = torch.cat([rows_x, rows_y], dim=1), torch.cat([given[..., 0], given[..., 1]], dim=1)
    eight = torch.linalg.solve(system, result[..., None])[..., 0]
    return torch.cat([eight, torch.ones_like(eight[:, :1])], dim=1).view(-1, 3, 3)


def to_grey(pictures: torch.Tensor) -> torch.Tensor:
    """The brightness, in all three channels."""
    return (pictures * pictures.new_tensor(GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True).expand_as(pictures)


def adjust_brightness(pictures: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Times ``(n, 1, 1, 1)``."""
    return (factors * pictures).clamp(0, 1)


def adjust_contrast(pictures: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Away from, or with factors under 1 towards, the mean brightness."""
    return (factors * pictures + (1 - factors) * to_grey(pictures).mean(dim=(1, 2, 3), keepdim=True)).clamp(0, 1)


def adjust_saturation(pictures: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Away from, or with factors under 1 towards, each pixel's brightness."""
    return (factors * pictures + (1 - factors) * to_grey(pictures)).clamp(0, 1)


def adjust_hue(pictures: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The hue moved by a share of the circle of colours, value and chroma kept."""
    red, green, blue = pictures.unbind(dim=1)
    value, chroma = pictures.amax(dim=1), pictures.amax(dim=1) - pictures.amin(dim=1)
    safe = torch.where(chroma > 0, chroma, 1)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    moved = sixth[:, None] + 6 * shares + pictures.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    sector = moved - 6 * (moved / 6).floor()
    return value[:, None] - chroma[:, None] * torch.minimum(sector, 4 - sector).clamp(0, 1)
