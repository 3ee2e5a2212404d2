"""Encoding and comparing done by an engine's workers; files are read here, when their turn comes, and sent along."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NoReturn, TypeVar

from evalkit.arrays import Pixels
from evalkit.encoders.base import AnyEncoder, EncoderSpec
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import EncoderConfig
from evalkit.engine.base import Engine, Lost, Runner
from evalkit.errors import CacheError, EngineError, ImageError
from evalkit.images.decode import read_image_bytes
from evalkit.images.pairs import ImagePair
from evalkit.scoring.pairs import PairUnit, Seen
from evalkit.scoring.requests import Picture
from evalkit.scoring.units import (
    Encoded,
    File,
    ImageUnit,
    ScoreResult,
    ScoreUnit,
    ScoreWork,
    SentPairs,
    SpecUnit,
    TextUnit,
    Unreadable,
)
from evalkit.storage.prefetch import prefetch

READERS = 8
"""Threads that read files: on a network's file system it is the answers that are waited for."""
T = TypeVar("T")


class Workers:
    """An engine's workers, with encoders of their own.

    Args:
        engine: Where they are.
        orders: What encoders are opened with, by the names that features use.
    """

    def __init__(self, engine: Engine, orders: Mapping[str, EncoderConfig]) -> None:
        self._engine = engine
        self._work = ScoreWork(encoders=tuple(orders.items()))

    def encoder(self, name: str, cache: EmbeddingCache) -> AnyEncoder:
        """An encoder that knows what it is, by asking a worker, and does not encode here.

        Raises:
            EvalkitError: There can be none like that.
        """
        order = dict(self._work.encoders)[name]
        order.open()  # nothing is loaded; a wrong name is found before workers are started

        def ask() -> tuple[EncoderSpec, str]:
            answers = [answer for _, answer in self._run([SpecUnit(encoder=name)]) if isinstance(answer, tuple)]
            if not answers:
                raise EngineError(f"The encoder {order.spec} cannot be loaded: the workers that try to die of it.")
            with suppress(CacheError):
                cache.describe(answers[0][0].fingerprint, answers[0][0].label)
            return answers[0]

        return _Elsewhere(ask)

    def images(
        self, name: str, spec: EncoderSpec, pictures: Mapping[str, Picture], batches: Iterable[Sequence[str]]
    ) -> Iterator[Encoded]:
        """The vectors of pictures, by digest, batch by batch.

        A batch that no worker survives is divided; a picture that none survives is unreadable.
        """

        def unit(batch: Sequence[str]) -> ImageUnit:
            paths = [pictures[digest].paths for digest in batch]
            return ImageUnit(
                encoder=name,
                fingerprint=spec.fingerprint,
                digests=tuple(batch),
                files=tuple(tuple(_file(path) for path in each) for each in paths),
                names=tuple(tuple(str(path) for path in each) for each in paths),
            )

        lost: list[str] = []
        for sent, answer in self._run(_read_ahead(unit, list(batches))):
            if isinstance(answer, Encoded):
                yield answer
            elif isinstance(answer, Lost) and isinstance(sent, ImageUnit):
                if len(sent.digests) > 1:
                    lost.extend(sent.digests)
                    continue
                message = f"{sent.names[0][0]} cannot be used as an image: {answer.reason}."
                yield Encoded(vectors={}, unreadable={sent.digests[0]: Unreadable(number=0, message=message)})
        if lost:
            yield from self.images(name, spec, pictures, [[digest] for digest in lost])

    def texts(
        self, name: str, spec: EncoderSpec, texts: Mapping[str, str], batches: Iterable[Sequence[str]]
    ) -> Iterator[Encoded]:
        """The vectors of texts, by digest, batch by batch.

        Raises:
            EngineError: No worker survives some of them.
        """
        units = (
            TextUnit(
                encoder=name,
                fingerprint=spec.fingerprint,
                digests=tuple(batch),
                texts=tuple(texts[digest] for digest in batch),
            )
            for batch in batches
        )
        for sent, answer in self._run(units):
            if isinstance(answer, Encoded):
                yield answer
            elif isinstance(answer, Lost) and isinstance(sent, TextUnit):
                raise EngineError(f"These texts cannot be encoded ({answer.reason}): {', '.join(sent.texts)}")

    def pairs(self, units: Sequence[PairUnit], specs: Mapping[str, EncoderSpec]) -> Iterator[tuple[PairUnit, Seen]]:
        """What is to be seen of pairs; of a pair that no worker survives the edited image is unreadable.

        Args:
            units: Which pairs.
            specs: Of the encoders that compare them.
        """
        fingerprints = {name: spec.fingerprint for name, spec in specs.items()}

        def sent_pairs(unit: PairUnit) -> SentPairs:
            paths = {path for place in unit.files for path in place.paths}
            return SentPairs(unit=unit, files={path: _file(path) for path in paths}, fingerprints=fingerprints)

        lost: list[PairUnit] = []
        for sent, answer in self._run(_read_ahead(sent_pairs, units)):
            if not isinstance(sent, SentPairs):
                continue
            if isinstance(answer, Seen):
                yield sent.unit, answer
            elif isinstance(answer, Lost) and len(sent.unit.files) > 1:
                lost.extend(_divided(sent.unit))
            elif isinstance(answer, Lost):
                path = sent.unit.files[0].edited_image
                yield sent.unit, Seen(unreadable={path: f"{path} cannot be used as an image: {answer.reason}."})
        if lost:
            yield from self.pairs(lost, specs)

    def _run(self, units: Iterable[ScoreUnit]) -> Iterator[tuple[ScoreUnit, ScoreResult | Lost]]:
        run: Runner[ScoreUnit, ScoreResult] = self._engine.start(self._work)
        return run(units)


class _Elsewhere:
    """An encoder whose network is in other processes, which are given files and not what it reads."""

    def __init__(self, ask: Callable[[], tuple[EncoderSpec, str]]) -> None:
        self._ask = ask

    @cached_property
    def _known(self) -> tuple[EncoderSpec, str]:
        return self._ask()

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""
        return self._known[0]

    @property
    def device(self) -> str:
        """Where the workers compute."""
        return self._known[1]

    def encode_images(self, pixels: Pixels) -> NoReturn:
        """Is done by the workers."""
        raise NotImplementedError(pixels.shape)

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        """Is done by the workers."""
        raise NotImplementedError(texts)

    def encode_pairs(self, pairs: Sequence[ImagePair]) -> NoReturn:
        """Is done by the workers."""
        raise NotImplementedError(pairs)


def _divided(unit: PairUnit) -> Iterator[PairUnit]:
    for place, lacking in zip(unit.files, unit.lacking, strict=True):
        yield PairUnit(files=(place,), lacking=(lacking,))


def _read_ahead(make: Callable[[T], ScoreUnit], inputs: Sequence[T]) -> Iterator[ScoreUnit]:
    """Units with their files, a few of them read before they are asked for."""
    with ThreadPoolExecutor(READERS) as pool:
        for _, unit in prefetch(pool, make, inputs, READERS):
            yield unit


def _file(path: Path) -> File:
    try:
        return read_image_bytes(path)
    except ImageError as failure:
        return failure
