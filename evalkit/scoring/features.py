"""Vectors for a plan: ask the cache, encode what it lacks, and hand them out in any order."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from evalkit.data.images import image_digest, read_image
from evalkit.data.item import EditItem
from evalkit.data.parallel import Progress, ahead, in_batches, unwatched
from evalkit.encoders.base import Embeddings, Encoder, Pixels
from evalkit.encoders.store import EmbeddingCache, Kind
from evalkit.errors import CacheError, ImageError
from evalkit.metrics.base import Feature, Metric, Scores, Vectors
from evalkit.scoring.plan import IMAGE_FIELDS, Plan, image_of, texts_of

LOOKUP = 1000
"""Vectors asked of the cache at a time, so that a long list of items does not fill the memory."""


class Features:
    """The vectors that metrics ask for.

    Images are known by the SHA-256 of their file's bytes and texts by that of their UTF-8, so that a picture that
    occurs under two names is encoded once, and one that was encoded in an earlier run not at all.

    Args:
        encoders: By the names that features use.
        cache: Where vectors are kept. If it fails midway the work goes on in memory, and ``cache_failure`` says so.
        batch_size: Images, or texts, per pass of the network.
        workers: Threads that read and decode; one per core by default.
        progress: Called with the kind of work, how much is done and how much there is.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        cache: EmbeddingCache,
        *,
        batch_size: int = 32,
        workers: int | None = None,
        progress: Progress = unwatched,
    ) -> None:
        self._encoders = encoders
        self._cache = cache
        self._batch_size = batch_size
        self._workers = workers or os.cpu_count() or 1
        self._progress = progress
        self.digests: dict[Path, str] = {}
        self.unreadable: dict[Path, str] = {}
        """Image files that could not be decoded, each with the reason."""
        self.cache_failure: str | None = None
        self._memory: EmbeddingCache | None = None
        self.n_encoded_images = 0
        self.n_encoded_texts = 0

    def prepare(self, plan: Plan) -> None:
        """Make every vector of the plan available; those of unreadable images are left out and listed."""
        self._digest(plan.files)
        for name, encoder in self._encoders.items():
            self._encode_images(encoder, plan.images.get(name, ()))
            self._encode_texts(encoder, plan.texts.get(name, ()))

    def compute(self, metric: Metric, items: Sequence[EditItem]) -> Scores:
        """A metric's values for items that have all that it needs."""
        arrays = {name: self._array(feature, items) for name, feature in metric.features.items()}
        return metric.compute(arrays, resolution=self._encoders[metric.encoder].spec.resolution)

    def _array(self, feature: Feature, items: Sequence[EditItem]) -> Vectors:
        fingerprint = self._encoders[feature.encoder].spec.fingerprint
        if feature.field in IMAGE_FIELDS:
            digests = [self.digests[image_of(feature, item)] for item in items]
            found = self._get(fingerprint, "image", digests)
            return np.stack([found[digest] for digest in digests])
        texts = [[text_digest(text) for text in texts_of(feature, item)] for item in items]
        found = self._get(fingerprint, "text", [digest for row in texts for digest in row])
        stacked = np.stack([np.stack([found[digest] for digest in row]) for row in texts])
        return stacked[:, 0] if stacked.shape[1] == 1 else stacked

    def _digest(self, paths: Sequence[Path]) -> None:
        def digest(path: Path) -> str | ImageError:
            try:
                return image_digest(path)
            except ImageError as failure:
                return failure

        with ThreadPoolExecutor(self._workers) as pool:
            results = ahead(pool, digest, paths, 4 * self._workers)
            for done, (path, result) in enumerate(results, start=1):
                if isinstance(result, ImageError):
                    self.unreadable[path] = str(result)
                else:
                    self.digests[path] = result
                self._progress("reading images", done, len(paths))

    def _encode_images(self, encoder: Encoder, paths: Sequence[Path]) -> None:
        by_digest: dict[str, list[Path]] = {}
        for path in paths:
            if path in self.digests:
                by_digest.setdefault(self.digests[path], []).append(path)
        missing = self._missing(encoder, "image", by_digest)

        def load(digest: str) -> Pixels | ImageError:
            try:
                return encoder.spec.preprocess.apply(read_image(by_digest[digest][0]))
            except ImageError as failure:
                return failure

        done = 0
        with ThreadPoolExecutor(self._workers) as pool:
            for batch in in_batches(ahead(pool, load, missing, 2 * self._batch_size), self._batch_size):
                pixels: dict[str, Pixels] = {}
                for digest, result in batch:
                    if isinstance(result, ImageError):
                        self.unreadable.update(dict.fromkeys(by_digest[digest], str(result)))
                    else:
                        pixels[digest] = result
                if pixels:
                    self._put(encoder, "image", list(pixels), encoder.encode_images(np.stack(list(pixels.values()))))
                self.n_encoded_images += len(pixels)
                done += len(batch)
                self._progress("encoding images", done, len(missing))

    def _encode_texts(self, encoder: Encoder, texts: Sequence[str]) -> None:
        by_digest = {text_digest(text): text for text in texts}
        missing = self._missing(encoder, "text", by_digest)
        done = 0
        for batch in in_batches(missing, self._batch_size):
            self._put(encoder, "text", batch, encoder.encode_texts([by_digest[digest] for digest in batch]))
            self.n_encoded_texts += len(batch)
            done += len(batch)
            self._progress("encoding texts", done, len(missing))

    def _missing(self, encoder: Encoder, kind: Kind, digests: Iterable[str]) -> list[str]:
        """The digests that no store knows; an encoder that is asked for nothing is not even identified."""
        return [
            digest
            for chunk in in_batches(digests, LOOKUP)
            for known in [self._get(encoder.spec.fingerprint, kind, chunk)]
            for digest in chunk
            if digest not in known
        ]

    def _get(self, fingerprint: str, kind: Kind, digests: Sequence[str]) -> dict[str, Embeddings]:
        found = self._memory.get_many(fingerprint, kind, digests) if self._memory else {}
        absent = [digest for digest in digests if digest not in found]
        try:
            found.update(self._cache.get_many(fingerprint, kind, absent))
        except CacheError as failure:
            self._go_on_in_memory(failure)
        return found

    def _put(self, encoder: Encoder, kind: Kind, digests: Sequence[str], vectors: Embeddings) -> None:
        rows = dict(zip(digests, vectors, strict=True))
        try:
            (self._memory or self._cache).put_many(encoder.spec.fingerprint, kind, rows)
        except CacheError as failure:
            self._go_on_in_memory(failure).put_many(encoder.spec.fingerprint, kind, rows)

    def _go_on_in_memory(self, failure: CacheError) -> EmbeddingCache:
        self.cache_failure = self.cache_failure or str(failure)
        self._memory = self._memory or EmbeddingCache.in_memory()
        return self._memory


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
