"""What an encoder is, and the record of everything about it that can change a number."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""``(height, width, 3)`` sRGB, 0 to 255; a batch is ``(n, height, width, 3)``."""
Embeddings = npt.NDArray[np.float32]
"""``(n, dimension)``, as the network gives them: not normalised."""
DType = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How an image of any size becomes the square that a network reads.

    The resize is Pillow's, which always antialiases; rounding to 8 bits happens once, after it. Every backend uses
    this one implementation, so that the same weights give the same numbers through any of them.
    """

    size: int
    """Side of the square in pixels."""
    mode: Literal["center", "squash"] = "center"
    """``center``: the short side becomes ``size`` and the middle is cropped; ``squash``: both sides become ``size``."""
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def label(self) -> str:
        """The part of a signature that names the preprocessing: ``224-bicubic-aa-center``."""
        return f"{self.size}-{self.interpolation}-aa-{self.mode}"

    def apply(self, image: Image.Image) -> Pixels:
        """The square that the network reads, before normalisation.

        Args:
            image: RGB image of any size.

        Returns:
            ``(size, size, 3)`` pixels, 0 to 255.
        """
        resample = Image.Resampling[self.interpolation.upper()]
        if self.mode == "squash":
            return np.asarray(image.resize((self.size, self.size), resample))
        width, height = image.size
        scale = self.size / min(width, height)
        # int() and not round(): the reference implementation, torchvision's Resize, truncates the long side.
        new = (
            (self.size, int(self.size * height / width))
            if width <= height
            else (int(self.size * width / height), self.size)
        )
        if scale != 1:
            image = image.resize(new, resample)
        left, top = round((new[0] - self.size) / 2), round((new[1] - self.size) / 2)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """Everything about an encoder that can change a number."""

    name: str
    """``backend/architecture/weights``, as it stands in a signature."""
    weights_sha256: str
    """Digest of the weights' actual bytes: see :func:`weights_digest`."""
    preprocess: Preprocess
    tokenizer: str
    """Digest of whatever decides the tokens (vocabulary, case, context length, padding); "none" without text."""
    dtype: DType = "fp32"
    version: int = 1
    """Raised by hand whenever our own code changes the numbers of this backend."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of the above: the cache's key."""
        canonical = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def label(self) -> str:
        """The part of a signature that names the encoder: ``open_clip/ViT-B-32-quickgelu/openai@0123456789ab``."""
        return f"{self.name}@{self.weights_sha256[:12]}"


class Encoder(Protocol):
    """A network that turns images, and perhaps texts, into vectors of one space."""

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of a batch of ``(n, size, size, 3)`` squares made by ``spec.preprocess``."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of texts; an over-long one is cut and keeps its end token."""
