"""Models that many files share. What is heavy is imported by the fixture that needs it."""

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.pictures import noise_picture

if TYPE_CHECKING:
    from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
    from evalkit_adapters.guidance.clip import GuidingClip


@pytest.fixture(scope="session")
def model() -> "LatentDiffusion":
    """A tiny model in float64, which every test leaves as it found it."""
    from tests.support.diffusion import tiny_model

    return tiny_model()


@pytest.fixture(scope="session")
def clip() -> "GuidingClip":
    """A small CLIP in float64, which every test leaves as it found it."""
    from tests.support.guides import guide

    return guide()


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A source image of the tiny model's size."""
    return noise_picture((64, 64), 80)
