"""Text2LIVE's augmentations: what its network trains on, and how CLIP looks at what it made.

Everything random is drawn from torch's global generator, as torchvision does; :func:`seeded` makes it follow a seed
and gives the generator back as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from evalkit_adapters.clip import resize, size_within

_LONGEST = 320 / 224
"""Of a view's long side, to the short side that CLIP was trained on."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much chance changes pictures.

    Args:
        strength: 1 is the published one, in which a picture may be mirrored, turned and grey. Where captions name
            sides, places or colours less is right: all ranges and probabilities shrink in proportion, to nothing at 0.
    """

    strength: float = 1.0

    @property
    def least_share(self) -> float:
        """What :meth:`varied` leaves of a side at least."""
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
        size = size_within((height, width), side, round(side * _LONGEST))
        crops = [pixels]
        for _ in range(number - 1):
            share = uniform(1 - 0.4 * self.strength, 1)
            crops.append(_cropped(pixels, int(share * height), int(share * width)))
        change = _change(self.strength)
        return torch.cat([change(resize(crop, size)) for crop in crops])

    def varied(self, picture: Image.Image) -> Image.Image:
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
        left, top = (_place(whole - part) for whole, part in zip(picture.size, (width, height), strict=True))
        return picture.crop((left, top, left + width, top + height))


@cache
def _change(strength: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """The published changes of a view, in their order."""
    turn = transforms.RandomAffine(
        15 * strength, translate=(0.1 * strength, 0.1 * strength), interpolation=InterpolationMode.BILINEAR, fill=1
    )
    change: Callable[[torch.Tensor], torch.Tensor] = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(p=0.5 * strength),
            transforms.RandomApply([turn], p=0.8 * strength),
            transforms.RandomPerspective(distortion_scale=0.4 * strength, p=0.5 * strength, fill=1),
            transforms.RandomApply([_jitter(strength)], p=0.7 * strength),
            transforms.RandomGrayscale(p=0.15 * strength),
        ]
    )
    return change


def _jitter(strength: float) -> transforms.ColorJitter:
    return transforms.ColorJitter(*[0.1 * strength] * 4)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it torch's global generator follows the seed; afterwards it is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def uniform(low: float, high: float) -> float:
    """A number from torch's global generator."""
    return low + (high - low) * torch.rand(()).item()


def _cropped(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    top, left = (_place(whole - part) for whole, part in zip(pixels.shape[2:], (height, width), strict=True))
    return pixels[:, :, top : top + height, left : left + width]


def _place(room: int) -> int:
    return int(torch.randint(room + 1, ()).item())
