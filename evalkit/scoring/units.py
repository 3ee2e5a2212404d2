"""What an engine's workers do for a run of scoring: the same units, in this process or on another machine.

A unit holds the bytes of its files. A worker decodes them in threads, brings images to the size that is asked for and
takes measures there; networks and judges are asked afterwards, one unit at a time, while the next one is decoded.

Our networks are given inputs in passes of one size, so that a number depends on its content alone. Those of plug-ins
may let it depend, in its last digits, on who shares a batch. So all that is wanted is divided into units, and only then
is what is known left out: a run that goes on where one was killed has the batches that were left.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from evalkit.arrays import Pixels
from evalkit.edits.whole_item import WholeItem
from evalkit.encoders.base import AnyEncoder, ContentKind, EncoderSpec, Numbers
from evalkit.encoders.load import EncoderConfig
from evalkit.encoders.tokens import count_tokens
from evalkit.errors import EncoderError, EngineError, ImageError
from evalkit.images.decode import decode_image
from evalkit.images.facts import ImageFacts, facts_of
from evalkit.images.pairs import align, masked
from evalkit.images.stored import AnyImage
from evalkit.metrics.features import Feature, FeatureKey, ItemFeature, PairFeature, VectorFeature
from evalkit.scoring.requests import FILE, Content, FileFeature, InputFeature, TokenFeature, environment
from evalkit.storage.prefetch import in_batches

FileBytes = bytes | ImageError
"""A file's content, or why it cannot be read."""


EDITS = 4
"""Edits of one source image, or items before a judge, that go together; a killed run loses few more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Contents that go through one network together, or to one measure or judge one after the other."""

    feature: Feature | InputFeature
    contents: tuple[Content, ...]


Batches = tuple[Batch, ...]
"""What makes a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreUnit:
    """Batches that share files."""

    batches: tuple[Batch, ...]
    encoder_keys: Mapping[str, str]
    """The cache keys of the encoders that it needs: what the run says that they are."""
    environment: tuple[tuple[str, str], ...]
    """Of the machine that asks, which must be the worker's."""
    files: Mapping[AnyImage, FileBytes] = field(default_factory=dict)
    unexamined: frozenset[AnyImage] = frozenset()
    """Files of which it is not known what they are like; that is among the numbers of a unit that decodes them."""

    @property
    def contents(self) -> tuple[Content, ...]:
        """All contents, each once."""
        return tuple(dict.fromkeys(content for batch in self.batches for content in batch.contents))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecUnit:
    """Asks a worker for an encoder's specification."""

    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """The numbers that a unit's batches gave, and the files that could not be read."""

    numbers: Mapping[FeatureKey, Mapping[Content, Numbers]]
    unreadable: Mapping[AnyImage, str]
    """Files that cannot be decoded, each with the reason; contents with such a file have no numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWork:
    """What a worker opens: the encoders that a run needs."""

    encoders: tuple[tuple[str, AnyEncoder | EncoderConfig], ...]
    """By the names that features use: opened, or what to open there."""
    concurrency: ClassVar[int] = 2
    """The next unit's images are decoded while the network is busy."""

    def open(self, *, threads: int) -> "Callable[[ScoreUnit | SpecUnit], Iterator[ScoreResult | EncoderAnswer]]":
        """The encoders; each reads its network when it is first used."""
        opened = {name: given.open() if isinstance(given, EncoderConfig) else given for name, given in self.encoders}
        return ScoreWorker(opened, ThreadPoolExecutor(threads))


EncoderAnswer = tuple[EncoderSpec, str]
"""An encoder's specification, and the device that it computes on."""


class ScoreWorker:
    """Computes what it is sent.

    Args:
        encoders: By the names that features use.
        pool: For decoding and measuring.
    """

    def __init__(self, encoders: Mapping[str, AnyEncoder], pool: ThreadPoolExecutor) -> None:
        self._encoders = encoders
        self._pool = pool
        self._environment = environment()
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, unit: ScoreUnit | SpecUnit) -> "Iterator[ScoreResult | EncoderAnswer]":
        """The one result of a unit.

        Raises:
            EncoderError: An encoder is not the one that the run has: this machine has other weights, or libraries.
            EngineError: This machine has other versions of what decodes and measures.
        """
        if isinstance(unit, SpecUnit):
            with self._lock:
                encoder = self._encoders[unit.encoder]
                yield encoder.spec, encoder.device
            return
        if unit.environment != self._environment:
            theirs, ours = (", ".join(map(" ".join, each)) for each in (unit.environment, self._environment))
            raise EngineError(f"A worker has {ours}: expected {theirs}, as in the run. Give every machine the same.")
        for name, key in unit.encoder_keys.items():
            if name not in self._keys:
                self._keys[name] = self._encoders[name].spec.cache_key
            if self._keys[name] != key:
                raise EncoderError(
                    f"A worker's encoder for '{name}', {self._encoders[name].spec.label}, is not that of the run. Give "
                    f"every machine the same weights and the same versions of evalkit and its libraries."
                )
        yield self._computed(unit)

    def _computed(self, unit: ScoreUnit) -> ScoreResult:
        images = _UnitImages(unit)
        wanted: dict[Content, list[Feature | InputFeature]] = {content: [] for content in unit.contents}
        for batch in unit.batches:
            for content in batch.contents:
                wanted[content].append(batch.feature)

        def prepare(content: Content) -> dict[FeatureKey, Any]:
            return self._prepared(content, wanted[content], images)

        prepared = dict(zip(wanted, self._pool.map(prepare, wanted), strict=True))
        facts = {Content((path,)): facts.as_numbers() for path, facts in images.facts.items()}
        numbers: dict[FeatureKey, dict[Content, Numbers]] = {FILE.key: dict(facts)} if facts else {}
        for batch in unit.batches:
            key = batch.feature.key
            ready = {content: prepared[content].pop(key) for content in batch.contents if key in prepared[content]}
            if ready:
                found = self._numbers(batch.feature, list(ready.values()))
                numbers.setdefault(key, {}).update(zip(ready, found, strict=True))
        paths = dict.fromkeys(path for content in wanted for path in content.files)  # in order, whoever was first
        unreadable = {path: images.unreadable[path] for path in paths if path in images.unreadable}
        return ScoreResult(numbers=numbers, unreadable=unreadable)

    def _prepared(
        self, content: Content, features: Iterable[Feature | InputFeature], images: "_UnitImages"
    ) -> dict[FeatureKey, Any]:
        """What networks and judges read of a content, and the numbers of measures; nothing if it cannot be read."""
        opened = images.open(content.files)
        if opened is None:
            return {}
        squares: dict[str, Pixels] = {}
        found: dict[FeatureKey, Any] = {}
        for feature in features:
            if isinstance(feature, FileFeature):
                continue  # it was opened, and that was all
            if isinstance(feature, VectorFeature) and opened:
                preprocess = self._encoders[feature.encoder].spec.preprocess
                if preprocess.label not in squares:
                    squares[preprocess.label] = preprocess.apply(opened[0] if len(opened) == 1 else masked(*opened))
                found[feature.key] = squares[preprocess.label]
            elif isinstance(feature, VectorFeature | TokenFeature):
                (found[feature.key],) = content.texts
            elif isinstance(feature, PairFeature):
                pair = align(opened[1], images.pixels(content.files[0], opened[0]), *opened[2:])
                found[feature.key] = pair
                if feature.measure is not None:
                    background = {"background": pair.background} if feature.masked else {}
                    numbers = feature.measure(edited=pair.edited, source=pair.source, **background)
                    found[feature.key] = np.array(numbers, dtype=np.float64)
            else:
                found[feature.key] = whole_item(feature, opened, content.texts)
        return found

    def _numbers(self, feature: Feature | InputFeature, ready: list[Any]) -> Iterable[Numbers]:
        """The numbers of contents that were prepared; whoever holds a network holds the lock."""
        if isinstance(feature, PairFeature) and feature.measure is not None:
            return ready
        with self._lock:
            if isinstance(feature, TokenFeature):
                return count_tokens(self._encoders[feature.encoder], ready)
            if isinstance(feature, VectorFeature):
                encoder = self._encoders[feature.encoder]
                return (
                    encoder.encode_texts(ready) if isinstance(ready[0], str) else encoder.encode_images(np.stack(ready))
                )
            if isinstance(feature, PairFeature):
                return self._encoders[feature.encoder].encode_pairs(ready)
            if isinstance(feature, FileFeature) or feature.judge is None:
                return self._encoders[feature.encoder].encode_items(ready)
            return [np.array(feature.judge(item), dtype=np.float64) for item in ready]


def whole_item(feature: ItemFeature, images: Sequence[Image.Image], texts: Sequence[str]) -> WholeItem:
    """What is shown of an item: the images and texts that a feature takes, in its order."""
    shown, written = zip(feature.images, images, strict=True), zip(feature.texts, texts, strict=True)
    return WholeItem(**dict(shown), **dict(written))  # type: ignore[arg-type]


class _UnitImages:
    """A unit's images, those that several contents share decoded once."""

    def __init__(self, unit: ScoreUnit) -> None:
        self._files = unit.files
        uses = Counter(path for content in unit.contents for path in content.files)
        self._locks = {path: threading.Lock() for path, n in uses.items() if n > 1}
        self._shared: dict[AnyImage, Image.Image] = {}
        self._pixels: dict[AnyImage, Pixels] = {}
        self._unexamined = unit.unexamined
        self.facts: dict[AnyImage, ImageFacts] = {}
        """Of the files that were decoded, those of which nothing was known."""
        self.unreadable: dict[AnyImage, str] = {}

    def open(self, paths: Iterable[AnyImage]) -> list[Image.Image] | None:
        """The images of a content; None if one of them cannot be decoded."""
        opened = []
        for path in paths:
            try:
                opened.append(self._image(path))
            except ImageError as failure:
                self.unreadable[path] = str(failure)
        return opened if not any(path in self.unreadable for path in paths) else None

    def pixels(self, path: AnyImage, image: Image.Image) -> Pixels:
        """The array of an image: for one that is shared always the same, by which networks know it again."""
        if path not in self._locks:
            return np.asarray(image)
        with self._locks[path]:
            return self._pixels.setdefault(path, np.asarray(image)) if path not in self._pixels else self._pixels[path]

    def _image(self, path: AnyImage) -> Image.Image:
        if path not in self._locks:
            return self._decoded(path)
        with self._locks[path]:
            if path not in self._shared:
                self._shared[path] = self._decoded(path)
            return self._shared[path]

    def _decoded(self, path: AnyImage) -> Image.Image:
        file = self._files[path]
        if isinstance(file, ImageError):
            raise file
        decoded = decode_image(file, str(path))
        if path in self._unexamined and path not in self.facts:
            self.facts[path] = facts_of(decoded)
        return decoded.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncached:
    """A feature, all that it is wanted of, and what of that must be computed."""

    feature: Feature | InputFeature
    contents: Mapping[str, Content]
    """Digest to content, in the order in which they are wanted."""
    digests: frozenset[str]
    """Those that are not known."""

    def batches(self, size: int) -> Iterator[tuple[Content, ...]]:
        """What is missing, of batches of ``size`` of all that is wanted."""
        for batch in in_batches(self.contents, size):
            if left := tuple(self.contents[digest] for digest in batch if digest in self.digests):
                yield left


def units_of(kind: ContentKind, missing: Sequence[Uncached], *, batch_size: int, pairs: int) -> list[Batches]:
    """The units of one kind of work.

    Args:
        kind: Of all the features.
        missing: What must be computed.
        batch_size: Images, texts or items that a network is asked for together.
        pairs: Of how many pairs a unit is made, so that the threads of a worker have enough to do.
    """
    if kind in ("image", "file"):
        return _image_units(missing, batch_size)
    if kind in ("text", "tokens"):
        return [(Batch(feature=each.feature, contents=c),) for each in missing for c in each.batches(batch_size)]
    if kind == "pair":
        return list(_packed(_pair_units(missing), pairs))
    sizes = [batch_size if each.feature.encoder != "none" else EDITS for each in missing]
    return [
        (Batch(feature=each.feature, contents=contents),)
        for each, size in zip(missing, sizes, strict=True)
        for contents in each.batches(size)
    ]


def single_units(batches: Batches) -> Iterator[Batches]:
    """A unit divided, a content to each."""
    for content in dict.fromkeys(content for batch in batches for content in batch.contents):
        yield tuple(Batch(feature=b.feature, contents=(content,)) for b in batches if content in b.contents)


def _image_units(missing: Sequence[Uncached], size: int) -> list[Batches]:
    """Networks that want the same pictures get them in one unit, so that each is decoded once."""
    wanted: dict[tuple[Content, ...], list[Feature | InputFeature]] = {}
    for each in missing:
        for contents in each.batches(size):
            wanted.setdefault(contents, []).append(each.feature)
    return [tuple(Batch(feature=f, contents=contents) for f in features) for contents, features in wanted.items()]


def _pair_units(missing: Sequence[Uncached]) -> Iterator[Batches]:
    """By source image, in the order in which items first ask for it."""
    wanted: dict[Content, list[Feature | InputFeature]] = {}
    for each in missing:
        for digest, content in each.contents.items():
            features = wanted.setdefault(content, [])
            if digest in each.digests:
                features.append(each.feature)
    # Side by side, an edit's contents with and without its mask have their images decoded once.
    paths = dict.fromkeys(path for content in wanted for path in content.files[:2])
    rank: dict[AnyImage, int] = {path: number for number, path in enumerate(paths)}
    ordered = sorted(wanted, key=lambda content: (rank[content.files[0]], rank[content.files[1]]))
    for _, edits in groupby(ordered, key=lambda content: content.files[0]):
        for group in in_batches(edits, EDITS):
            by_feature: dict[int, tuple[Feature | InputFeature, list[Content]]] = {}
            for content in group:
                for feature in wanted[content]:
                    by_feature.setdefault(id(feature), (feature, []))[1].append(content)
            if by_feature:
                yield tuple(Batch(feature=f, contents=tuple(contents)) for f, contents in by_feature.values())


def _packed(units: Iterator[Batches], pairs: int) -> Iterator[Batches]:
    """Small units together, their batches as they are."""
    together: list[Batch] = []
    count = 0
    for unit in units:
        n_pairs = len({content for batch in unit for content in batch.contents})
        if together and count + n_pairs > pairs:
            yield tuple(together)
            together, count = [], 0
        together.extend(unit)
        count += n_pairs
    if together:
        yield tuple(together)
