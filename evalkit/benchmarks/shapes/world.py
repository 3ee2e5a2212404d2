"""The shapes world: pictures of one shape on one background, of which everything is known.

A :class:`Scene` is five words, and in version 2 the details that no word names; a :class:`Jitter` moves, scales, turns
and tints its drawing by an amount that changes none of them. The colours of shapes and the colours of backgrounds are
different words for clearly different colours, so that a shape is always visible and a colour in a caption says what it
belongs to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from evalkit.arrays import Floats, Pixels
from evalkit.benchmarks.shapes.details import (
    STRIPE_WIDTH,
    Details,
    below_horizon,
    ground_tone,
    mixed,
    on_stripe,
    stripe_tone,
)

NATIVE_SIZE = 64
"""Side of the benchmark's files in pixels."""
_SUPERSAMPLING = 8


COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (215, 40, 45),
        "orange": (245, 140, 30),
        "yellow": (245, 215, 45),
        "green": (45, 160, 70),
        "cyan": (60, 205, 220),
        "blue": (45, 95, 225),
        "purple": (140, 60, 190),
        "pink": (245, 125, 185),
    }
)
"""Colours of shapes, sRGB."""
BACKGROUNDS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "white": (240, 240, 240),
        "grey": (128, 128, 128),
        "black": (20, 20, 20),
        "cream": (232, 214, 176),
        "brown": (105, 70, 45),
        "navy": (22, 32, 86),
    }
)
"""Colours of backgrounds, sRGB."""
RADII: Mapping[str, float] = MappingProxyType({"small": 0.09, "medium": 0.127, "large": 0.18})
"""Sizes: the radius of the circle of equal area, as a share of the picture's side."""
DETAILED_RADII: Mapping[str, float] = MappingProxyType({"small": 0.11, "medium": 0.14, "large": 0.18})
"""The same where the shape has a stripe, which must be seen on the smallest one too."""
PLACES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "top left": (0.295, 0.295),
        "top": (0.5, 0.295),
        "top right": (0.705, 0.295),
        "left": (0.295, 0.5),
        "centre": (0.5, 0.5),
        "right": (0.705, 0.5),
        "bottom left": (0.295, 0.705),
        "bottom": (0.5, 0.705),
        "bottom right": (0.705, 0.705),
    }
)
"""Places: where the middle of the shape's bounding box lies, (x, y) from the top left as shares of the side."""


def _ring(radii: tuple[float, ...], start: float) -> Floats:
    """Corners at equal angles around the origin; ``start`` is the first one's, in degrees from straight up."""
    turn = np.deg2rad(start) + np.arange(len(radii)) * (2 * np.pi / len(radii))
    return np.asarray(np.array(radii)[:, None] * np.stack([np.sin(turn), -np.cos(turn)], axis=1))


def _cross() -> Floats:
    """A plus sign whose arms are a third of its width."""
    quarter = np.array([(1 / 3, -1.0), (1 / 3, -1 / 3), (1.0, -1 / 3)])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn.T for turn in turns])


def _normalised(corners: Floats) -> Floats:
    """The polygon scaled to the area of the unit circle, its bounding box centred on the origin."""
    x, y = corners.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    scaled = corners * np.sqrt(np.pi / area)
    return np.asarray(scaled - (scaled.min(axis=0) + scaled.max(axis=0)) / 2)


OUTLINES: Mapping[str, Floats] = MappingProxyType(
    {
        "circle": _normalised(_ring((1.0,) * 96, 0)),
        "square": _normalised(_ring((1.0,) * 4, 45)),
        "triangle": _normalised(_ring((1.0,) * 3, 0)),
        "diamond": _normalised(_ring((1.0,) * 4, 0)),
        "star": _normalised(_ring((1.0, 0.5) * 5, 0)),
        "cross": _normalised(_cross()),
    }
)
"""Shapes: polygons of area π, ``(corners, 2)``, y downwards."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shape": tuple(OUTLINES),
        "colour": tuple(COLOURS),
        "size": tuple(RADII),
        "place": tuple(PLACES),
        "background": tuple(BACKGROUNDS),
    }
)
"""Every attribute of a scene with its values, in the order of their codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One shape on a background, each attribute one of ``ATTRIBUTES``' values."""

    shape: str
    colour: str
    size: str
    place: str
    background: str
    details: Details | None = None
    """What captions never name; None in version 1, whose pictures have none."""

    @property
    def radius(self) -> float:
        """Of the circle that has the shape's area, as a share of the picture's side."""
        return (DETAILED_RADII if self.details else RADII)[self.size]

    @property
    def attributes(self) -> dict[str, str]:
        """What captions can name, as attribute to value."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """What makes two drawings of one scene differ, without making it another scene."""

    shift: tuple[float, float] = (0.0, 0.0)
    """(x, y) as shares of the picture's side, each within ±0.01."""
    scale: float = 1.0
    """Factor of the shape's radius, within ±4 %."""
    rotation: float = 0.0
    """Degrees, within ±5."""
    colour_tint: tuple[int, int, int] = (0, 0, 0)
    """Added to the shape's colour, each within ±6."""
    background_tint: tuple[int, int, int] = (0, 0, 0)
    """Added to the background's colour, each within ±6."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Jitter":
        """A jitter, uniform within the stated limits."""
        x, y, scale, rotation = rng.uniform(-1.0, 1.0, 4)
        tints = rng.integers(-6, 7, (2, 3))
        return cls(
            shift=(float(x) / 100, float(y) / 100),
            scale=1 + 0.04 * float(scale),
            rotation=5 * float(rotation),
            colour_tint=(int(tints[0, 0]), int(tints[0, 1]), int(tints[0, 2])),
            background_tint=(int(tints[1, 0]), int(tints[1, 1]), int(tints[1, 2])),
        )


STILL = Jitter()
"""No jitter."""


def coverage(scene: Scene, jitter: Jitter = STILL, *, size: int = NATIVE_SIZE) -> npt.NDArray[np.uint8]:
    """How much of each pixel the shape covers.

    Args:
        scene: What to draw.
        jitter: How this drawing differs from the plain one.
        size: Side of the picture in pixels.

    Returns:
        ``(size, size)``, 0 (none) to 255 (wholly covered).
    """
    turn = np.deg2rad(jitter.rotation)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = scene.radius * jitter.scale * OUTLINES[scene.shape] @ rotation.T
    corners = (corners + PLACES[scene.place] + jitter.shift) * size * _SUPERSAMPLING
    canvas = Image.new("L", (size * _SUPERSAMPLING, size * _SUPERSAMPLING))
    # Pillow counts pixel centres from 0, so a coordinate in the plane lies half a (small) pixel further.
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners - 0.5], fill=255)
    return np.asarray(canvas.reduce(_SUPERSAMPLING))


def draw(scene: Scene, jitter: Jitter = STILL, *, size: int = NATIVE_SIZE) -> Pixels:
    """A picture of a scene.

    Args:
        scene: What to draw.
        jitter: How this drawing differs from the plain one.
        size: Side of the picture in pixels.

    Returns:
        ``(size, size, 3)`` pixels.
    """
    shape = np.clip(np.array(COLOURS[scene.colour]) + jitter.colour_tint, 0, 255)
    background = np.clip(np.array(BACKGROUNDS[scene.background]) + jitter.background_tint, 0, 255)
    if scene.details:
        striped, below = detailed(scene, scene.details, jitter, size=size)
        shape = mixed(shape, stripe_tone(shape), striped)
        background = mixed(background, ground_tone(background), below)
    return np.rint(mixed(background, shape, coverage(scene, jitter, size=size) / 255)).astype(np.uint8)


def detailed(
    scene: Scene, details: Details, jitter: Jitter = STILL, *, size: int = NATIVE_SIZE
) -> tuple[Floats, Floats]:
    """How much of each pixel the other tones have, ``(size, size)``, 0 to 1: on the stripe's way, below the horizon."""
    (x, y), (right, down) = PLACES[scene.place], jitter.shift
    width = STRIPE_WIDTH * scene.radius * jitter.scale
    return (
        on_stripe(details.stripe_angle, middle=(x + right, y + down), width=width, size=size),
        below_horizon(details.horizon_height, details.horizon_slope, size=size),
    )
