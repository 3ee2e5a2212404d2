"""Vectors for a plan: ask the cache, encode what it lacks, and hand them out in any order."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from evalkit.arrays import Pixels
from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.encoders.base import AnyEncoder, Encoder, EncoderSpec
from evalkit.encoders.cache import EmbeddingCache, EmbeddingKind
from evalkit.errors import ImageError
from evalkit.images.decode import image_digest, read_image
from evalkit.images.pairs import masked
from evalkit.metrics.base import Feature, Metric, PairFeature, Scores
from evalkit.metrics.base import Vectors as Arrays
from evalkit.scoring.pairs import Pairs, PairUnit, Seen
from evalkit.scoring.requests import Picture, Plan, pair_of, picture_of, texts_of
from evalkit.scoring.units import Encoded, Unreadable, encode_batch
from evalkit.scoring.vectors import Vectors
from evalkit.scoring.workers import Workers
from evalkit.storage.prefetch import Progress, in_batches, no_progress, prefetch


class Features:
    """The vectors that metrics ask for.

    Images are known by the SHA-256 of their file's bytes and texts by that of their UTF-8, so that a picture that
    occurs under two names is encoded once, and one that was encoded in an earlier run not at all.

    Args:
        encoders: By the names that features use.
        cache: Where vectors are kept. If it fails midway the work goes on in memory, and ``cache_failure`` says so.
        batch_size: Images, or texts, per pass of the network.
        threads: Threads that read and decode; one per core by default.
        workers: Workers elsewhere that decode, encode and compare instead; only this process writes to the cache.
        progress: Called with the kind of work, how much is done and how much there is.
    """

    def __init__(
        self,
        encoders: Mapping[str, AnyEncoder],
        cache: EmbeddingCache,
        *,
        batch_size: int = 32,
        threads: int | None = None,
        workers: Workers | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._encoders = encoders
        self._vectors = Vectors(cache)
        self._batch_size = batch_size
        self._threads = threads or os.cpu_count() or 1
        self._workers = workers
        self._progress = progress
        self.digests: dict[Path, str] = {}
        """SHA-256 of the image files of the last plan."""
        self._text_digests: dict[str, str] = {}
        self.unreadable: dict[Path, str] = {}
        """Image files that could not be decoded, each with the reason."""
        self.n_encoded_images = 0
        self.n_encoded_texts = 0
        self._pairs = Pairs(
            encoders,
            self._vectors,
            self.digests,
            threads=self._threads,
            elsewhere=self._pairs_elsewhere if workers else None,
            progress=progress,
        )

    @property
    def cache_failure(self) -> str | None:
        """Why vectors are no longer kept, if the cache failed midway."""
        return self._vectors.failure

    @property
    def n_compared_pairs(self) -> int:
        """Pairs of edited and source image that were looked at, and not known from an earlier run."""
        return self._pairs.n_compared

    def prepare(self, plan: Plan) -> None:
        """Make every vector of the plan available; those of unreadable images are left out and listed.

        What an earlier plan asked for is let go, but for files that both name.
        """
        self._vectors.let_go()
        self._text_digests.clear()
        files = plan.files
        kept = {path: self.digests[path] for path in files if path in self.digests}
        self.digests.clear()
        self.digests.update(kept)
        self._digest([path for path in files if path not in kept and path not in self.unreadable])
        self._encode_images(plan)
        for name in self._encoders:
            self._encode_texts(name, plan.texts.get(name, ()))
        self.unreadable.update(self._pairs.prepare(plan.pairs))

    def compute(self, metric: Metric, items: Sequence[EditItem]) -> Scores:
        """A metric's values for items that have all that it needs."""
        arrays = {name: self._array(feature, items) for name, feature in metric.features.items()}
        resolution = self._encoders[metric.encoder].spec.resolution if metric.needs_resolution else 0.0
        return metric.compute(arrays, resolution=resolution)

    def _array(self, feature: Feature | PairFeature, items: Sequence[EditItem]) -> Arrays:
        if isinstance(feature, PairFeature):
            return self._pairs.array(feature, [pair_of(feature, item) for item in items])
        fingerprint = self._encoders[feature.encoder].spec.fingerprint
        if feature.field in IMAGE_FIELDS:
            digests = [self._digest_of(picture_of(feature, item)) for item in items]
            found = self._vectors.get(fingerprint, "image", digests)
            return np.stack([found[digest] for digest in digests])
        texts = [[self._text_digest(text) for text in texts_of(feature, item)] for item in items]
        found = self._vectors.get(fingerprint, "text", [digest for row in texts for digest in row])
        stacked = np.stack([np.stack([found[digest] for digest in row]) for row in texts])
        return stacked[:, 0] if stacked.shape[1] == 1 else stacked

    def _digest(self, paths: Sequence[Path]) -> None:
        def digest(path: Path) -> str | ImageError:
            try:
                return image_digest(path)
            except ImageError as failure:
                return failure

        with ThreadPoolExecutor(self._threads) as pool:
            results = prefetch(pool, digest, paths, 4 * self._threads)
            for done, (path, result) in enumerate(results, start=1):
                if isinstance(result, ImageError):
                    self.unreadable[path] = str(result)
                else:
                    self.digests[path] = result
                self._progress("reading images", done, len(paths))

    def _digest_of(self, picture: Picture) -> str:
        """The SHA-256 of an image file or, for a masked picture, of those of its files."""
        digests = [self.digests[path] for path in picture.paths]
        return digests[0] if len(digests) == 1 else text_digest("black outside of the mask " + " ".join(digests))

    def _encode_images(self, plan: Plan) -> None:
        """Every picture that some encoder lacks."""
        by_digest: dict[str, list[Picture]] = {}
        batches: dict[str, list[list[str]]] = {}
        for name in self._encoders:
            digests: dict[str, None] = {}
            for picture in plan.images.get(name, ()):
                if all(path in self.digests for path in picture.paths):
                    digests[self._digest_of(picture)] = None
                    by_digest.setdefault(self._digest_of(picture), []).append(picture)
            batches[name] = self._batches(name, "image", digests)
        done, total = 0, sum(len(batch) for each in batches.values() for batch in each)
        first = {digest: alike[0] for digest, alike in by_digest.items()}
        for name, encoded in (self._images_elsewhere if self._workers else self._images)(first, batches):
            for digest, unreadable in encoded.unreadable.items():
                paths = [picture.paths[unreadable.number] for picture in by_digest[digest]]
                self.unreadable.update(dict.fromkeys(paths, unreadable.message))
            self._vectors.put(self._encoders[name].spec.fingerprint, "image", encoded.vectors)
            self.n_encoded_images += len(encoded.vectors)
            done += len(encoded.vectors) + len(encoded.unreadable)
            self._progress("encoding images", done, total)

    def _images(
        self, pictures: Mapping[str, Picture], batches: Mapping[str, Sequence[Sequence[str]]]
    ) -> Iterator[tuple[str, Encoded]]:
        """Each encoder's batches; while one is encoded the next is gathered, and what was made before is kept."""

        def encode(batch: tuple[str, Mapping[str, Pixels | Unreadable]]) -> Encoded:
            return encode_batch(self._encoders[batch[0]], batch[1])

        with ThreadPoolExecutor(1) as encoding:
            for (name, _), encoded in prefetch(encoding, encode, self._gathered(pictures, batches), 2):
                yield name, encoded

    def _gathered(
        self, pictures: Mapping[str, Picture], batches: Mapping[str, Sequence[Sequence[str]]]
    ) -> Iterator[tuple[str, Mapping[str, Pixels | Unreadable]]]:
        """Each encoder's batches as it reads them, every picture decoded once for all of them."""
        places: dict[str, list[tuple[str, int]]] = {}
        for name, each in batches.items():
            for number, batch in enumerate(each):
                for digest in batch:
                    places.setdefault(digest, []).append((name, number))
        gathered: dict[tuple[str, int], dict[str, Pixels | Unreadable]] = {}
        with ThreadPoolExecutor(self._threads) as pool:
            load = partial(self._squares, pictures, places)
            for digest, squares in prefetch(pool, load, list(places), 2 * self._batch_size):
                for name, number in places[digest]:
                    found = gathered.setdefault((name, number), {})
                    label = self._encoders[name].spec.preprocess.label
                    found[digest] = squares if isinstance(squares, Unreadable) else squares[label]
                    batch = batches[name][number]
                    if len(found) == len(batch):
                        del gathered[name, number]
                        yield name, {digest: found[digest] for digest in batch}

    def _squares(
        self, pictures: Mapping[str, Picture], places: Mapping[str, Sequence[tuple[str, int]]], digest: str
    ) -> dict[str, Pixels] | Unreadable:
        """A picture as each of the encoders that lack it reads it, by the name of the preprocessing."""
        images = []
        for number, path in enumerate(pictures[digest].paths):
            try:
                images.append(read_image(path))
            except ImageError as failure:
                return Unreadable(number=number, message=str(failure))
        image = images[0] if len(images) == 1 else masked(*images)
        kinds = [self._encoders[name].spec.preprocess for name, _ in places[digest]]
        return {label: preprocess.apply(image) for label, preprocess in {kind.label: kind for kind in kinds}.items()}

    def _images_elsewhere(
        self, pictures: Mapping[str, Picture], batches: Mapping[str, Sequence[Sequence[str]]]
    ) -> Iterator[tuple[str, Encoded]]:
        for name, each in batches.items():
            if self._workers and each:
                for encoded in self._workers.images(name, self._encoders[name].spec, pictures, each):
                    yield name, encoded

    def _encode_texts(self, name: str, texts: Sequence[str]) -> None:
        # Texts of like length in one batch: a network that ignores padding then reads little of it.
        by_digest = {self._text_digest(text): text for text in sorted(texts, key=len)}
        batches = self._batches(name, "text", by_digest)
        encode = partial(self._workers.texts, name) if self._workers else partial(self._texts, self._encoders[name])
        done, total = 0, sum(map(len, batches))
        for encoded in encode(self._encoders[name].spec, by_digest, batches) if batches else ():
            self._vectors.put(self._encoders[name].spec.fingerprint, "text", encoded.vectors)
            self.n_encoded_texts += len(encoded.vectors)
            done += len(encoded.vectors)
            self._progress("encoding texts", done, total)

    def _texts(
        self, encoder: Encoder, _spec: EncoderSpec, texts: Mapping[str, str], batches: Iterable[Sequence[str]]
    ) -> Iterator[Encoded]:
        for batch in batches:
            vectors = encoder.encode_texts([texts[digest] for digest in batch])
            yield Encoded(vectors=dict(zip(batch, vectors, strict=True)), unreadable={})

    def _text_digest(self, text: str) -> str:
        if text not in self._text_digests:
            self._text_digests[text] = text_digest(text)
        return self._text_digests[text]

    def _batches(self, name: str, kind: EmbeddingKind, digests: Mapping[str, object]) -> list[list[str]]:
        """What must be encoded, in the batches of one pass each.

        Vectors depend in their last digits on who shares a batch. So all that is wanted is divided, and then what is
        known left out: a run that goes on where one was killed, with any engine, has the batches that were left.
        """
        if not digests:
            return []
        lacking = set(self._vectors.missing(self._encoders[name].spec.fingerprint, kind, digests))
        batches = ([digest for digest in batch if digest in lacking] for batch in in_batches(digests, self._batch_size))
        return [batch for batch in batches if batch]

    def _pairs_elsewhere(self, units: Sequence[PairUnit]) -> Iterator[tuple[PairUnit, Seen]]:
        features = {feature for unit in units for lacking in unit.lacking for feature in lacking}
        names = {feature.encoder for feature in features if feature.measure is None}
        if self._workers and units:
            yield from self._workers.pairs(units, {name: self._encoders[name].spec for name in names})


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
