"""What an image file is like, as a few numbers that can be kept by its content, so that it is decoded for them once."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.images.colour import Profile
from evalkit.images.decode import ALL_SUFFIXES, Decoded
from evalkit.images.digests import pixel_digest

FACTS_VERSION = 1
"""Raised whenever other facts are taken, or written in another way."""
_FORMATS = tuple(ALL_SUFFIXES)
_PROFILES = get_args(Profile)
_WORDS = np.dtype(">u4")
"""In which a digest is written: numbers that a float holds exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What there is to say about an image file: of its header alone, or of its pixels too."""

    size: tuple[int, int]
    """Width and height in pixels."""
    format: str
    """Pillow's name, such as ``PNG``."""
    pixels: str | None = None
    """SHA-256 of size and RGB values; None where nothing was decoded, and then nothing below is known either."""
    transparent: bool = False
    deep: bool = False
    rotated: bool = False
    animated: bool = False
    profile: Profile = "none"

    def as_numbers(self) -> Floats:
        """All of it, if it was decoded, as ``(16,)`` numbers."""
        flags = (self.transparent, self.deep, self.rotated, self.animated)
        codes = (_FORMATS.index(self.format), _PROFILES.index(self.profile))
        digest = np.frombuffer(bytes.fromhex(self.pixels or ""), dtype=_WORDS)
        return np.array([*self.size, *codes, *flags, *digest.tolist()], dtype=np.float64)


def facts_of(decoded: Decoded) -> ImageFacts:
    """What a decoded file is like."""
    return ImageFacts(
        size=decoded.image.size,
        format=decoded.format,
        pixels=pixel_digest(decoded.image),
        transparent=decoded.transparent,
        deep=decoded.deep,
        rotated=decoded.rotated,
        animated=decoded.animated,
        profile=decoded.profile,
    )


def facts_from(numbers: npt.NDArray[np.floating]) -> ImageFacts:
    """The facts that :meth:`ImageFacts.as_numbers` gave."""
    width, height, form, profile, *flags = (int(number) for number in numbers[:8])
    transparent, deep, rotated, animated = map(bool, flags)
    return ImageFacts(
        size=(width, height),
        format=_FORMATS[form],
        pixels=numbers[8:].astype(_WORDS).tobytes().hex(),
        transparent=transparent,
        deep=deep,
        rotated=rotated,
        animated=animated,
        profile=_PROFILES[profile],
    )
