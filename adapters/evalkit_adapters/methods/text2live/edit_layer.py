"""Text2LIVE's edit layer: the network that paints colour and opacity over a picture, and how they are put on it.

Bar-Tal et al. 2022, section 3.1 and the authors' released settings. The network is a U of convolutions with thin skips,
trained for one picture.
"""

from dataclasses import dataclass

import torch
from torch import nn

SLOPE = 0.2
"""Of LeakyReLU below zero."""
GREEN = (0.0, 177 / 255, 64 / 255)
"""Of the screen that the layer is shown on by itself, RGB."""


def colour_matrix() -> torch.Tensor:
    """From decorrelated colours to RGB, ``(3, 3)`` in float64: ``output_d = Σ_c input_c · M[d, c]``.

    The square root of the colours' correlation in natural pictures: each column scaled, all by the largest norm.
    """
    root = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64)
    scaled = root / torch.tensor([1.6, 1.0, 1.0], dtype=torch.float64)
    largest: torch.Tensor = scaled.square().sum(dim=0).sqrt().max()
    return scaled / largest


class EditLayer(nn.Module):
    """Picture in, colour and opacity out: ``(n, 3, height, width)`` to ``(n, 4, height, width)`` in [0, 1].

    Args:
        scales: How often the picture is halved.
        width: Channels of every scale.
        skip: Channels of what goes straight across.
    """

    matrix: torch.Tensor

    def __init__(self, *, scales: int = 7, width: int = 128, skip: int = 4) -> None:
        super().__init__()
        deep: nn.Module | None = None
        for scale in reversed(range(scales)):
            deep = _Scale(3 if scale == 0 else width, width, skip, deep, is_outermost=scale == 0)
        if deep is None:
            raise ValueError(f"an edit layer needs at least one scale, got {scales}")
        self.body = deep
        self.colours = nn.Conv2d(width, 4, 1)
        self.register_buffer("matrix", colour_matrix().float(), persistent=False)

    @torch.no_grad()
    def shift_colour(self, colour: torch.Tensor) -> None:
        """Add to the colour that everything begins with, ``(3,)`` in logits of RGB."""
        self.colours.get_parameter("bias")[:3] += torch.linalg.solve(self.matrix, colour.to(self.matrix))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Colour in the first three channels, opacity in the fourth."""
        painted = self.colours(self.body(picture))
        colour = torch.einsum("nchw,dc->ndhw", painted[:, :3], self.matrix.to(painted.dtype))
        return torch.cat([colour, painted[:, 3:]], dim=1).sigmoid()


class _Scale(nn.Module):
    """One scale: the thin way across beside the way down, through the next scale, and up."""

    def __init__(self, given: int, width: int, skip: int, deeper: nn.Module | None, *, is_outermost: bool) -> None:
        super().__init__()
        self.across = _norm_act(nn.Conv2d(given, skip, 1), skip)
        down = [_norm_act(_conv3x3(given, width, stride=2), width), _norm_act(_conv3x3(width, width), width)]
        up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.deep = nn.Sequential(*down, *([deeper] if deeper else []), up)
        last = nn.Conv2d(width, width, 1)
        self.joined = nn.Sequential(
            nn.BatchNorm2d(skip + width),
            _norm_act(_conv3x3(skip + width, width), width),
            nn.Sequential(last, nn.LeakyReLU(SLOPE)) if is_outermost else _norm_act(last, width),
        )

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Of the picture's size."""
        across, deep = self.across(picture), self.deep(picture)
        height, width = (min(sides) for sides in zip(across.shape[2:], deep.shape[2:], strict=True))
        joined: torch.Tensor = self.joined(
            torch.cat([_centre_crop(part, height, width) for part in (across, deep)], dim=1)
        )
        return joined


def _conv3x3(given: int, made: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(given, made, 3, stride=stride, padding=1, padding_mode="reflect")


def _norm_act(convolution: nn.Conv2d, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE))


def _centre_crop(plane: torch.Tensor, height: int, width: int) -> torch.Tensor:
    top, left = (plane.shape[2] - height) // 2, (plane.shape[3] - width) // 2
    return plane[:, :, top : top + height, left : left + width]


def min_side(scales: int) -> int:
    """The smallest side that an edit layer can be trained on.

    At the deepest scale one pixel would be left of anything smaller, which has no spread to normalise a batch by.
    """
    return int(2**scales + 1)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An edit layer over a picture."""

    opacity: torch.Tensor
    """``(1, 1, height, width)``."""
    composite: torch.Tensor
    """The layer over the picture, ``(1, 3, height, width)`` in [0, 1]."""
    screen: torch.Tensor
    """The layer over the green screen."""


def render(layer: torch.Tensor, picture: torch.Tensor) -> Rendered:
    """A layer ``(1, 4, height, width)``, colour and opacity, over a picture and over green: ``α C + (1 − α) I``."""
    colour, opacity = layer[:, :3], layer[:, 3:]
    green = layer.new_tensor(GREEN).view(1, 3, 1, 1)
    return Rendered(
        opacity=opacity,
        composite=opacity * colour + (1 - opacity) * picture,
        screen=opacity * colour + (1 - opacity) * green,
    )
