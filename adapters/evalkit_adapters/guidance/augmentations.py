"""Text2LIVE's augmentations: what its network trains on, and how CLIP looks at what a method made.

Everything random is drawn from torch's global generator, as torchvision does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torchvision import transforms

from evalkit_adapters.guidance.clip import fit_within, resize
from evalkit_adapters.guidance.transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    perspectives,
    rotations,
    to_grey,
    warp,
)

_LONGEST = 320 / 224
"""Of a view's long side, to the short side that CLIP was trained on."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly pictures are changed at random.

    Args:
        strength: 1 is the published one, in which a picture may be mirrored, turned and grey. Where captions name
            sides, places or colours less is right: all ranges and probabilities shrink in proportion, to nothing at 0.
    """

    strength: float = 1.0

    @property
    def min_share(self) -> float:
        """What :meth:`training_view` leaves of a side at least."""
        return (1 - 0.2 * self.strength) * (1 - 0.15 * self.strength)

    def views(self, pixels: torch.Tensor, number: int, side: int) -> torch.Tensor:
        """What CLIP is shown of a picture: the whole and random crops of it, all of one size, each augmented.

        Args:
            pixels: ``(1, 3, height, width)`` in [0, 1].
            number: Of views.
            side: Of the pictures that the network was trained on; the views' short side.

        Returns:
            ``(number, 3, …)``, differentiable by the pixels.
        """
        height, width = pixels.shape[2:]
        size = fit_within((height, width), side, round(side * _LONGEST))
        crops = [pixels]
        for _ in range(number - 1):
            share = uniform(1 - 0.4 * self.strength, 1)
            crops.append(_cropped(pixels, int(share * height), int(share * width)))
        return self.augment(torch.cat([resize(crop, size) for crop in crops]))

    def augment(self, views: torch.Tensor) -> torch.Tensor:
        """Views ``(number, 3, height, width)`` after the published changes in their order, each by its own chance.

        All views are changed at once: those that chance spares, by nothing. The order of the four tints, which is
        random as well, is one for all of them.
        """
        number, strength, size = len(views), self.strength, (views.shape[2], views.shape[3])

        def bernoulli(share: float) -> torch.Tensor:
            return (torch.rand(number) < share * strength).to(views.device)

        def between(low: float, high: float, *columns: int) -> torch.Tensor:
            return (low + (high - low) * torch.rand(number, *columns)).to(views)

        views = torch.where(bernoulli(0.5).view(-1, 1, 1, 1), views.flip(-1), views)
        if (some := bernoulli(0.8)).any():
            room = 0.1 * strength * views.new_tensor([size[1], size[0]])
            angles, shifts = between(-15 * strength, 15 * strength), (between(-1, 1, 2) * room).round()
            views = warp(views, rotations(angles * some, shifts * some[:, None], size))
        if (some := bernoulli(0.5)).any():
            corners = views.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
            # Each corner wanders inwards, by up to so much of half a side.
            inwards = 0.4 * strength * between(0, 1, 4, 2) * some[:, None, None]
            views = warp(views, perspectives(corners * (1 - inwards), corners.expand(number, -1, -1)))
        if (some := bernoulli(0.7)).any():
            amounts = between(-0.1 * strength, 0.1 * strength, 4) * some[:, None]
            for tint in torch.randperm(4).tolist():
                amount = amounts[:, tint].view(-1, 1, 1, 1)
                views = _TINTS[tint](views, amount)
        return torch.where(bernoulli(0.15).view(-1, 1, 1, 1), to_grey(views), views)

    def training_view(self, picture: Image.Image) -> Image.Image:
        """A picture as the network sees it in one iteration: perhaps tinted and mirrored, scaled, and most of it."""
        strength = self.strength
        if uniform(0, 1) < 0.1 * strength:
            picture = _jitter(strength)(picture)
        if uniform(0, 1) < 0.5 * strength:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        scale = uniform(1 - 0.2 * strength, 1 + 0.2 * strength)
        width, height = (int(scale * length) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        share = uniform(1 - 0.15 * strength, 1)
        width, height = int(share * width), int(share * height)
        left, top = (_random_offset(whole - part) for whole, part in zip(picture.size, (width, height), strict=True))
        return picture.crop((left, top, left + width, top + height))


def _jitter(strength: float) -> transforms.ColorJitter:
    return transforms.ColorJitter(*[0.1 * strength] * 4)


_TINTS: tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], ...] = (
    lambda views, amount: adjust_brightness(views, 1 + amount),
    lambda views, amount: adjust_contrast(views, 1 + amount),
    lambda views, amount: adjust_saturation(views, 1 + amount),
    adjust_hue,
)
"""By an amount of which 0 changes nothing."""


def uniform(low: float, high: float) -> float:
    """A number from torch's global generator."""
    return low + (high - low) * torch.rand(()).item()


def _cropped(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    top, left = (_random_offset(whole - part) for whole, part in zip(pixels.shape[2:], (height, width), strict=True))
    return pixels[:, :, top : top + height, left : left + width]


def _random_offset(room: int) -> int:
    return int(torch.randint(room + 1, ()).item())
