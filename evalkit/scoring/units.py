"""What workers do for a run of scoring: batches of images and texts to encode, pairs of images to compare."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from evalkit.arrays import Pixels
from evalkit.encoders.base import AnyEncoder, Embeddings, Encoder, EncoderSpec
from evalkit.encoders.load import EncoderConfig
from evalkit.errors import EncoderError, ImageError
from evalkit.images.decode import decode_image
from evalkit.images.pairs import masked
from evalkit.scoring.pairs import PairUnit, Seen, look

File = bytes | ImageError
"""A file's bytes, or why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file of a picture that cannot be read."""

    number: int
    """Which of the picture's files."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecUnit:
    """The question what an encoder is."""

    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUnit:
    """Pictures to be encoded in one pass."""

    encoder: str
    fingerprint: str
    digests: tuple[str, ...]
    files: tuple[tuple[File, ...], ...]
    """Of each picture its file, and that of its mask if it has one."""
    names: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextUnit:
    """Texts to be encoded in one pass."""

    encoder: str
    fingerprint: str
    digests: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPairs:
    """Pairs to be compared, with their files."""

    unit: PairUnit
    files: Mapping[Path, File]
    fingerprints: Mapping[str, str]
    """Of the encoders that compare them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The vectors of a unit, by digest, and the pictures that have none."""

    vectors: Mapping[str, Embeddings]
    unreadable: Mapping[str, Unreadable]


ScoreUnit = SpecUnit | ImageUnit | TextUnit | SentPairs
ScoreResult = tuple[EncoderSpec, str] | Encoded | Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWork:
    """The encoders of a run."""

    encoders: tuple[tuple[str, EncoderConfig], ...]
    """Each with the name that features use."""
    concurrency: ClassVar[int] = 2
    """The next unit's images are decoded while the network is busy."""

    def open(self, *, threads: int) -> Callable[[ScoreUnit], Iterator[ScoreResult]]:
        """The encoders; each reads its network when it is first used."""
        opened = {name: order.open() for name, order in self.encoders}
        return ScoreWorker(opened, ThreadPoolExecutor(threads))


class ScoreWorker:
    """Encodes and compares what it is sent.

    Args:
        encoders: By the names that features use.
        pool: For decoding.
    """

    def __init__(self, encoders: Mapping[str, AnyEncoder], pool: ThreadPoolExecutor) -> None:
        self._encoders = encoders
        self._pool = pool
        self._lock = threading.Lock()

    def __call__(self, unit: ScoreUnit) -> Iterator[ScoreResult]:
        """The one result of a unit."""
        if isinstance(unit, SpecUnit):
            with self._lock:
                encoder = self._encoders[unit.encoder]
                yield encoder.spec, encoder.device
        elif isinstance(unit, ImageUnit):
            yield self._images(unit)
        elif isinstance(unit, TextUnit):
            encoder = self._encoder(unit.encoder, unit.fingerprint)
            with self._lock:
                vectors = encoder.encode_texts(unit.texts)
            yield Encoded(vectors=dict(zip(unit.digests, vectors, strict=True)), unreadable={})
        else:
            yield self._pairs(unit)

    def _images(self, unit: ImageUnit) -> Encoded:
        encoder = self._encoder(unit.encoder, unit.fingerprint)
        loaded = self._pool.map(partial(_pixels, encoder.spec), unit.files, unit.names)
        results = dict(zip(unit.digests, loaded, strict=True))
        with self._lock:
            return encode_batch(encoder, results)

    def _pairs(self, sent: SentPairs) -> Seen:
        def read(path: Path) -> Image.Image:
            return _decoded(sent.files[path], str(path))

        seen = look(sent.unit, read)
        with self._lock:
            return seen.compared({name: self._encoder(name, own) for name, own in sent.fingerprints.items()})

    def _encoder(self, name: str, fingerprint: str) -> AnyEncoder:
        """The encoder of that name.

        Raises:
            EncoderError: It is not the one that the run has: this machine has other weights, or other libraries.
        """
        encoder = self._encoders[name]
        if encoder.spec.fingerprint != fingerprint:
            raise EncoderError(
                f"A worker's encoder for '{name}', {encoder.spec.label}, is not that of the run. Give every machine "
                f"the same weights and the same version of evalkit."
            )
        return encoder


def encode_batch(encoder: Encoder, results: Mapping[str, Pixels | Unreadable]) -> Encoded:
    """The vectors of a batch's pictures, in one pass, but for those that cannot be read."""
    unreadable = {digest: result for digest, result in results.items() if isinstance(result, Unreadable)}
    pixels = {digest: result for digest, result in results.items() if not isinstance(result, Unreadable)}
    vectors = encoder.encode_images(np.stack(list(pixels.values()))) if pixels else ()
    return Encoded(vectors=dict(zip(pixels, vectors, strict=True)), unreadable=unreadable)


def _pixels(spec: EncoderSpec, files: tuple[File, ...], names: tuple[str, ...]) -> Pixels | Unreadable:
    """What a network reads of a picture."""
    images = []
    for number, (file, name) in enumerate(zip(files, names, strict=True)):
        try:
            images.append(_decoded(file, name))
        except ImageError as failure:
            return Unreadable(number=number, message=str(failure))
    return spec.preprocess.apply(images[0] if len(images) == 1 else masked(*images))


def _decoded(file: File, name: str) -> Image.Image:
    if isinstance(file, ImageError):
        raise file
    return decode_image(file, name).image
