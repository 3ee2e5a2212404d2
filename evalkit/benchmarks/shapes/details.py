"""What a picture of version 2 holds and no caption names: a stripe across the shape, and a horizon behind it.

The *stripe* is a detail of the subject. It runs through the middle of the shape's bounding box, as wide as a fixed part
of the shape's radius, in another tone of the shape's colour. It goes where the shape goes and grows as the shape grows;
its angle in the picture stays, whatever the shape turns into.

The *horizon* is a detail of the scene: below it the background has another tone of its colour.
"""

from dataclasses import asdict, dataclass

import numpy as np

from evalkit.arrays import Floats

HEIGHTS = (0.3, 0.7)
"""Of the horizon in the middle of the picture, from the top, as shares of the side: drawn uniformly between these."""
SLOPES = (-0.3, 0.3)
"""By how much of the side the horizon falls from the left border to the right one: likewise."""
STRIPE_WIDTH = 0.7
"""In radii of the circle that has the shape's area."""
STRIPE_TONE = 0.55, 0.5, 140.0
"""Of a light colour the share that is left, of a dark one the share of its way to white, and how light it must be."""
GROUND_TONE = 0.8, 0.25, 100.0
"""The same of the background below the horizon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """One stripe and one horizon."""

    stripe_angle: float
    """Degrees in [0, 180), anticlockwise from the horizontal."""
    horizon_height: float
    """Where the horizon crosses the middle column, from the top, within ``HEIGHTS``."""
    horizon_slope: float
    """Within ``SLOPES``; above 0 it falls from left to right."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Details":
        """Details, each uniform in its range and independent of the others."""
        return cls(
            stripe_angle=float(rng.uniform(0.0, 180.0)),
            horizon_height=float(rng.uniform(*HEIGHTS)),
            horizon_slope=float(rng.uniform(*SLOPES)),
        )

    @property
    def attributes(self) -> dict[str, str]:
        """The details as attribute to value, exact."""
        return {name: repr(value) for name, value in asdict(self).items()}


def depth(height: float, slope: float, *, size: int) -> Floats:
    """How many pixels each pixel's middle lies below a horizon, ``(size, size)``; above it less than 0."""
    along = (np.arange(size) + 0.5) / size
    return np.asarray((along[:, None] - height - slope * (along - 0.5)) * size)


def below_horizon(height: float, slope: float, *, size: int) -> Floats:
    """How much of each pixel lies below a horizon, ``(size, size)``, 0 to 1."""
    return np.clip(depth(height, slope, size=size) + 0.5, 0.0, 1.0)


def on_stripe(angle: float, *, middle: tuple[float, float], width: float, size: int) -> Floats:
    """How much of each pixel lies on an endless stripe, ``(size, size)``, 0 to 1.

    Args:
        angle: Degrees, anticlockwise from the horizontal.
        middle: A point on its axis, (x, y) from the top left, in shares of the side.
        width: In shares of the side.
        size: Side of the picture in pixels.
    """
    along = (np.arange(size) + 0.5) / size
    turn = np.deg2rad(angle)
    off_axis = (along - middle[0]) * np.sin(turn) + (along[:, None] - middle[1]) * np.cos(turn)
    return covered_by_stripe(off_axis * size, width * size)


def covered_by_stripe(off_axis: Floats, width: float) -> Floats:
    """How much of pixels a stripe covers, by how far their middles are from its axis; all in pixels."""
    return np.clip((width / 2 - np.abs(off_axis)) + 0.5, 0.0, 1.0)


def stripe_tone(colour: Floats) -> Floats:
    """Of a shape's colour: a light colour's is darker, a dark one's lighter."""
    return _other_tone(colour, *STRIPE_TONE)


def ground_tone(colour: Floats) -> Floats:
    """Of a background's colour, likewise, and nearer to it."""
    return _other_tone(colour, *GROUND_TONE)


def _other_tone(colour: Floats, darker: float, lighter: float, light_from: float) -> Floats:
    """A part of a light colour, or a dark one that far on its way to white."""
    is_light = colour @ np.array([0.299, 0.587, 0.114]) >= light_from
    return np.asarray(colour * darker if is_light else colour + (255.0 - colour) * lighter)


def mixed(first: Floats, second: Floats, share: Floats) -> Floats:
    """Colours between two, ``(height, width, 3)``; ``share`` is the second one's, ``(height, width)``."""
    return np.asarray(first + share[..., None] * (second - first))
