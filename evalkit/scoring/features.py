"""Vectors for a plan: ask the cache, encode what it lacks, and hand them out in any order."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from evalkit.data.images import image_digest, read_image
from evalkit.data.item import EditItem
from evalkit.data.pair import blackened
from evalkit.data.parallel import Progress, ahead, in_batches, unwatched
from evalkit.encoders.base import AnyEncoder, Embeddings, Encoder, Pixels
from evalkit.encoders.store import EmbeddingCache, Kind
from evalkit.errors import ImageError
from evalkit.metrics.base import Feature, Metric, PairFeature, Scores
from evalkit.metrics.base import Vectors as Arrays
from evalkit.scoring.pairs import Pairs
from evalkit.scoring.plan import IMAGE_FIELDS, Picture, Plan, pair_of, picture_of, texts_of
from evalkit.scoring.vectors import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unreadable:
    """A file of a picture that cannot be read."""

    number: int
    """Which of the picture's files."""
    message: str


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
        encoders: Mapping[str, AnyEncoder],
        cache: EmbeddingCache,
        *,
        batch_size: int = 32,
        workers: int | None = None,
        progress: Progress = unwatched,
    ) -> None:
        self._encoders = encoders
        self._vectors = Vectors(cache)
        self._batch_size = batch_size
        self._workers = workers or os.cpu_count() or 1
        self._progress = progress
        self.digests: dict[Path, str] = {}
        """SHA-256 of the image files of the last plan."""
        self._text_digests: dict[str, str] = {}
        self.unreadable: dict[Path, str] = {}
        """Image files that could not be decoded, each with the reason."""
        self.n_encoded_images = 0
        self.n_encoded_texts = 0
        self._pairs = Pairs(encoders, self._vectors, self.digests, workers=self._workers, progress=progress)

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
        for name, encoder in self._encoders.items():
            self._encode_texts(encoder, plan.texts.get(name, ()))
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

        with ThreadPoolExecutor(self._workers) as pool:
            results = ahead(pool, digest, paths, 4 * self._workers)
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
        """Every picture that some encoder lacks, read once for all of them."""
        by_digest, lacking = self._lacking(plan)
        total, done = sum(map(len, lacking.values())), 0
        batches: dict[int, dict[str, Pixels]] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            load = partial(self._squares, by_digest, lacking)
            for digest, squares in ahead(pool, load, list(lacking), 2 * self._batch_size):
                if isinstance(squares, _Unreadable):
                    paths = [picture.paths[squares.number] for picture in by_digest[digest]]
                    self.unreadable.update(dict.fromkeys(paths, squares.message))
                    done += len(lacking[digest])
                    self._progress("encoding images", done, total)
                    continue
                for encoder in lacking[digest]:
                    batch = batches.setdefault(id(encoder), {})
                    batch[digest] = squares[encoder.spec.preprocess.label]
                    if len(batch) == self._batch_size:
                        done += self._encode_batch(encoder, batches.pop(id(encoder)))
                        self._progress("encoding images", done, total)
            for encoder in self._encoders.values():
                if batch := batches.pop(id(encoder), {}):
                    done += self._encode_batch(encoder, batch)
                    self._progress("encoding images", done, total)

    def _lacking(self, plan: Plan) -> tuple[dict[str, list[Picture]], dict[str, list[AnyEncoder]]]:
        """The pictures of each digest, and the encoders that know nothing of it."""
        by_digest: dict[str, list[Picture]] = {}
        lacking: dict[str, list[AnyEncoder]] = {}
        for name, encoder in self._encoders.items():
            digests: dict[str, None] = {}
            for picture in plan.images.get(name, ()):
                if all(path in self.digests for path in picture.paths):
                    digest = self._digest_of(picture)
                    digests[digest] = None
                    by_digest.setdefault(digest, []).append(picture)
            if digests:
                for digest in self._vectors.missing(encoder.spec.fingerprint, "image", digests):
                    lacking.setdefault(digest, []).append(encoder)
        return by_digest, lacking

    def _squares(
        self, by_digest: Mapping[str, Sequence[Picture]], lacking: Mapping[str, Sequence[AnyEncoder]], digest: str
    ) -> dict[str, Pixels] | _Unreadable:
        """A picture as each of the encoders that lack it reads it, by the name of the preprocessing."""
        images = []
        for number, path in enumerate(by_digest[digest][0].paths):
            try:
                images.append(read_image(path))
            except ImageError as failure:
                return _Unreadable(number=number, message=str(failure))
        image = images[0] if len(images) == 1 else blackened(*images)
        kinds = {encoder.spec.preprocess.label: encoder.spec.preprocess for encoder in lacking[digest]}
        return {label: preprocess.apply(image) for label, preprocess in kinds.items()}

    def _encode_batch(self, encoder: Encoder, pixels: Mapping[str, Pixels]) -> int:
        """Encodes pictures and keeps their vectors; how many there were."""
        if pixels:
            self._put(encoder, "image", pixels, encoder.encode_images(np.stack(list(pixels.values()))))
            self.n_encoded_images += len(pixels)
        return len(pixels)

    def _encode_texts(self, encoder: Encoder, texts: Sequence[str]) -> None:
        by_digest = {self._text_digest(text): text for text in texts}
        missing = self._vectors.missing(encoder.spec.fingerprint, "text", by_digest) if by_digest else []
        # Texts of like length in one batch: a network that ignores padding then reads little of it.
        missing.sort(key=lambda digest: len(by_digest[digest]))
        done = 0
        for batch in in_batches(missing, self._batch_size):
            self._put(encoder, "text", batch, encoder.encode_texts([by_digest[digest] for digest in batch]))
            self.n_encoded_texts += len(batch)
            done += len(batch)
            self._progress("encoding texts", done, len(missing))

    def _text_digest(self, text: str) -> str:
        if text not in self._text_digests:
            self._text_digests[text] = text_digest(text)
        return self._text_digests[text]

    def _put(self, encoder: Encoder, kind: Kind, digests: Iterable[str], vectors: Embeddings) -> None:
        self._vectors.put(encoder.spec.fingerprint, kind, dict(zip(digests, vectors, strict=True)))


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
