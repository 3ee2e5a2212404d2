"""What an encoder is, and the record of everything about it that can change a number."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.arrays import Pixels
from evalkit.edits.whole_item import WholeItem
from evalkit.images.decode import RULES_VERSION
from evalkit.images.pairs import ImagePair

if TYPE_CHECKING:
    import torch

Embeddings = npt.NDArray[np.float32]
"""``(n, dimension)``, as the network gives them: not normalised."""
DType = Literal["fp32", "bf16", "fp16"]
ContentKind = Literal["image", "text", "pair", "item", "file", "tokens"]
Numbers = npt.NDArray[np.floating]
"""``(dimension,)``: float32 from networks, float64 from measures of pixels and judges."""

GIANT = 1 << 24
"""Pixels, of 64 MiB: of an image that would be resized to more, and to more than it has, only the crop is made."""

RESOLUTION: Mapping[DType, float] = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}
"""Measured by ``tests/studies/encoder_resolution.py`` on the true ViT-B/32 at random weights, with a margin for other
networks. In float32 one content's embeddings lie up to 8.2e-7 apart over instruction sets and inputs per pass (margin
12); in fp16 and bf16 each lies up to 1.7e-3 and 1.2e-2 from the float32 one, two of them at most twice that apart
(margins 3, 2)."""
REACH = 4
"""Pixels of an image that is enlarged which a filter sees on either side of its centre, at most; Lanczos' are 3."""
NUMERICS = 2
"""Raised where our own code changes last digits, or rare pictures alone: what was cached before is not used."""
ABSENT = "absent"
PROBES = (
    "",
    "A photo of a CAT.",
    "  two\tspaces \n and a line ",
    "it's, you're, I'LL; don’t — “quoted”…",
    "&amp; &lt;b&gt; under_score #1234567890 !!! ???",
    "naïve café, cafe\u0301, ﬁne, Ünïcödé, ｆｕｌｌ，ｗｉｄｔｈ",
    "日本語 и кириллица 🎨🖌️",
    "<|endoftext|> </s> [SEP]",
    "one word after another " * 60,
)
"""Texts on which tokenizers are known to differ: case, spaces, contractions, entities, composition, length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How an image of any size becomes the square that a network reads.

    The resize is Pillow's, which always antialiases; rounding to 8 bits happens once, after it. Every backend uses
    this one implementation, so that the same weights give the same numbers through any of them.
    """

    size: int
    """Side of the square in pixels; 0 in ``native`` mode."""
    mode: Literal["center", "margin", "squash", "short", "native"] = "center"
    """``center``: the short side becomes ``size`` and the middle is cropped; ``margin``: the same with an eighth
    cropped off, 32 of 256 pixels for 224; ``squash``: both sides become ``size``; ``short``: the short side becomes
    ``size``, by the network itself and without antialiasing; ``native``: nothing is resized, the network reads images
    of any size."""
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def label(self) -> str:
        """The part of a signature that names the preprocessing: ``224-bicubic-aa-center``."""
        filtered = "noaa" if self.mode == "short" else "aa"
        return "native" if self.mode == "native" else f"{self.size}-{self.interpolation}-{filtered}-{self.mode}"

    def apply(self, image: Image.Image) -> Pixels:
        """The square that the network reads, before normalisation.

        Args:
            image: RGB image of any size.

        Returns:
            ``(size, size, 3)`` pixels, 0 to 255; in ``short`` and ``native`` mode those of the image itself.
        """
        resample = Image.Resampling[self.interpolation.upper()]
        square = (self.size, self.size)
        if self.mode in ("short", "native"):
            return np.asarray(image)
        if self.mode == "squash":
            return np.asarray(image.resize(square, resample))
        width, height = image.size
        short, long = min(width, height), max(width, height)
        scaled = self.size * 8 // 7 if self.mode == "margin" else self.size
        # int() and not round(): the reference implementation, torchvision's Resize, truncates the long side.
        new_long = int(scaled * long / short)
        start, side = round((new_long - self.size) / 2), round((scaled - self.size) / 2)
        wide = width > height
        left, top = (start, side) if wide else (side, start)
        crop = (left, top, left + self.size, top + self.size)
        resized = (new_long, scaled) if wide else (scaled, new_long)
        if new_long * scaled > max(GIANT, width * height):
            return np.asarray(_resized_part(image, resized, crop, resample))
        if short != scaled:
            image = image.resize(resized, resample)
        return np.asarray(image.crop(crop))


def _resized_part(
    image: Image.Image, size: tuple[int, int], crop: tuple[int, int, int, int], resample: Image.Resampling
) -> Image.Image:
    """``image.resize(size, resample).crop(crop)`` of an image that is enlarged, without making the rest of it.

    12,000 × 1 pixels would become 2,688,000 × 224. Filters see beyond the crop, so the pixels are the same, but for a
    level in fewer than one of a thousand: Pillow keeps the fractions of a box in 32 bits.
    """
    scales = [before / after for before, after in zip(image.size, size, strict=True)]
    near, far = ([edge * scale for edge, scale in zip(edges, scales, strict=True)] for edges in (crop[:2], crop[2:]))
    # Cut to what the filter can reach, so that the box's numbers are small.
    start = [max(0, int(edge) - REACH) for edge in near]
    stop = [min(side, int(edge) + 1 + REACH) for side, edge in zip(image.size, far, strict=True)]
    image = image.crop((start[0], start[1], stop[0], stop[1]))
    left, top, right, bottom = near[0] - start[0], near[1] - start[1], far[0] - start[0], far[1] - start[1]
    # One axis after the other, in the order that Pillow takes for such images.
    image = image.resize((crop[2] - crop[0], image.height), resample, box=(left, 0, right, image.height))
    return image.resize((image.width, crop[3] - crop[1]), resample, box=(0, top, image.width, bottom))


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """Everything about an encoder that can change a number."""

    name: str
    """``backend/architecture/weights``, as it stands in a signature."""
    weights_sha256: str
    """Digest of the weights' actual bytes: see :func:`evalkit.encoders.base.weights_digest`."""
    preprocess: Preprocess
    tokenizer: str
    """Digest of whatever decides the tokens (vocabulary, case, context length, padding); "none" without text."""
    architecture: str = "none"
    """Digest of the settings by which the weights are used (activation, heads, pooling, …); "none" where the name
    says it all."""
    dtype: DType = "fp32"
    version: int = 1
    """Raised by hand whenever our own code changes the numbers of this backend."""
    compiled: bool = False
    """Whether ``torch.compile`` has fused its operations, which rounds otherwise."""
    libraries: tuple[tuple[str, str], ...] = ()
    """Name and version of the distributions that compute."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of the above but the libraries: the same network on any machine."""
        facts = asdict(self)
        del facts["libraries"]
        if not self.compiled:  # so that what was cached before there was a choice is found
            del facts["compiled"]
        return settings_digest(facts)

    @property
    def cache_key(self) -> str:
        """SHA-256 of all that can change its numbers on this machine: libraries and the decoding of images included."""
        return settings_digest([self.fingerprint, self.libraries, decoding_rules(), NUMERICS])

    @property
    def precision(self) -> str:
        """The part of a signature that says how numbers are rounded."""
        return precision(self.dtype, compiled=self.compiled)

    @property
    def label(self) -> str:
        """The part of a signature that names the encoder: ``open_clip/ViT-B-32-quickgelu/openai@0123456789ab``.

        The digits stand for all that the name and the signature's own fields (preprocessing, dtype) leave open:
        weights, architecture, tokenizer, normalisation and the version of our code.
        """
        normalisation = (self.preprocess.mean, self.preprocess.std)
        rest = (self.weights_sha256, self.architecture, self.tokenizer, normalisation, self.version)
        return f"{self.name}@{settings_digest(rest)[:12]}"

    @property
    def resolution(self) -> float:
        """Rounding floor: two normalised embeddings of one and the same picture may lie this far apart.

        An upper bound, as an L2 distance (unit vectors, so also relative to their length). A difference of two
        embeddings below it has no direction. :data:`RESOLUTION` says where the figures come from.
        """
        return RESOLUTION[self.dtype]

    def as_json(self) -> dict[str, Any]:
        """The specification as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "EncoderSpec":
        """The specification that :meth:`as_json` gave.

        Raises:
            KeyError: A field is missing.
            TypeError: There is a field that this version does not know.
        """
        preprocess = dict(value["preprocess"])
        preprocess |= {name: tuple(preprocess[name]) for name in ("mean", "std")}
        libraries = tuple((name, version) for name, version in value["libraries"])
        return cls(**{**value, "preprocess": Preprocess(**preprocess), "libraries": libraries})


def precision(dtype: DType, *, compiled: bool) -> str:
    """How numbers are rounded, in a word.

    >>> precision("fp32", compiled=False), precision("bf16", compiled=True)
    ('fp32', 'bf16+compiled')
    """
    return f"{dtype}+compiled" if compiled else dtype


class EncoderNetwork(Protocol):
    """What is behind every kind of encoder."""

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""


class Encoder(EncoderNetwork, Protocol):
    """A network that turns images, and perhaps texts, into vectors of one space.

    It may also have ``count_tokens``, which says of texts what :func:`~evalkit.encoders.tokens.token_numbers` gives.
    """

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of a batch of ``(n, size, size, 3)`` squares made by ``spec.preprocess``."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of texts; an over-long one is cut and keeps its end token."""


class PairEncoder(EncoderNetwork, Protocol):
    """A network that compares an edited image with another and gives a few numbers."""

    def encode_pairs(self, pairs: Sequence[ImagePair]) -> Embeddings:
        """``(n, dimension)`` numbers about pairs of any sizes; ``dimension`` may depend on whether they have masks."""


class ItemEncoder(EncoderNetwork, Protocol):
    """A network that looks at whole items, such as a judge, and gives a few numbers."""

    def encode_items(self, items: Sequence[WholeItem]) -> Embeddings:
        """``(n, dimension)`` numbers about items, which hold what the feature takes."""


class AnyEncoder(Encoder, PairEncoder, ItemEncoder, Protocol):
    """An encoder that hands on what it is asked for, and refuses what its network cannot do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEncoder:
    """An encoder whose network is in memory, and what its specification depends on."""

    encoder: EncoderNetwork
    """An :class:`Encoder`, a :class:`PairEncoder` or an :class:`ItemEncoder`."""
    files: tuple[Path, ...] = ()
    """Every file, or directory of files, that was read. While none of them changes, the specification is taken as known
    and the network stays on disk until something must be encoded; empty: the specification is not remembered."""
    libraries: tuple[str, ...] = ("numpy", "torch")
    """Distributions whose version takes part in the numbers."""


class Backend(Protocol):
    """A way to build encoders: what is registered in the entry-point group ``evalkit.encoders``."""

    def __call__(self, argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
        """Loads a network.

        Args:
            argument: What follows the backend's name and a colon; empty where there is none.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``.
            dtype: What the network computes in.

        Raises:
            UnknownNameError: No such architecture or weights.
            WeightsError: The weights cannot be found, downloaded or trusted.
            EncoderError: The network cannot be built from what was given.
            OptionError: The device is not there.
        """


class FeatureCache(Protocol):
    """What scoring needs of a cache; every method raises a :class:`~evalkit.errors.CacheError` where it fails."""

    def get_many(self, key: str, kind: ContentKind, digests: Sequence[str]) -> dict[str, Numbers]:
        """Those of some contents' numbers that are known."""

    def put_many(self, key: str, kind: ContentKind, rows: Mapping[str, Numbers]) -> None:
        """Keep numbers by content, all of them or none."""

    def describe(self, key: str, label: str) -> None:
        """Say what it is that a key stands for."""

    def recall(self, request: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """What was remembered of a request for an encoder; None where nothing was."""

    def remember(self, request: str, key: str | None, facts: Any) -> None:  # noqa: ANN401 - as above
        """Keep what a request for an encoder led to, or, without a key, drop it."""


def weights_digest(state: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all tensors, whatever file they came from.

    Args:
        state: A network's ``state_dict()``, on the CPU.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        # The bytes themselves, seen through a view: nothing is copied, and NumPy need not know bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_digest(vocabulary: Mapping[str, int], tokenize: Callable[[Sequence[str]], "torch.Tensor"]) -> str:
    """SHA-256 over a tokenizer's vocabulary and over what it makes of :data:`PROBES`.

    The behaviour rather than the settings: it takes in every rule, wherever a library keeps it, and does not depend
    on how a version of that library writes its settings down.

    Args:
        vocabulary: Token to number.
        tokenize: Texts to ``(n, length)`` token numbers, cut and padded as the network reads them.
    """
    tokens = tokenize(PROBES).tolist()
    return settings_digest([sorted(vocabulary.items()), tokens])


def library_versions(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Distributions with their installed versions, :data:`ABSENT` for one that is not installed."""
    found = []
    for name in names:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, ABSENT))
    return tuple(found)


def decoding_rules() -> tuple[tuple[str, str], ...]:
    """What decides which pixels a file has: our rules, and the library that decodes and resizes."""
    return (("decoder", str(RULES_VERSION)), *library_versions(["pillow"]))


def settings_digest(settings: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
