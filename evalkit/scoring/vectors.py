"""Where vectors are kept while a run lasts: the cache and, should that fail midway, memory."""

from collections.abc import Iterable, Mapping, Sequence

from evalkit.data.parallel import in_batches
from evalkit.encoders.base import Embeddings
from evalkit.encoders.store import EmbeddingCache, Kind
from evalkit.errors import CacheError

LOOKUP = 1000
"""Vectors asked of the cache at a time, so that a long list of items does not fill the memory."""


class Vectors:
    """A cache that does not stop a run.

    Args:
        cache: Where vectors are kept. If it fails midway the work goes on in memory, and ``failure`` says so.
    """

    def __init__(self, cache: EmbeddingCache) -> None:
        self._cache = cache
        self._memory: EmbeddingCache | None = None
        self.failure: str | None = None

    def missing(self, fingerprint: str, kind: Kind, digests: Iterable[str]) -> list[str]:
        """The digests of which nothing is known."""
        return [
            digest
            for chunk in in_batches(digests, LOOKUP)
            for known in [self.get(fingerprint, kind, chunk)]
            for digest in chunk
            if digest not in known
        ]

    def get(self, fingerprint: str, kind: Kind, digests: Sequence[str]) -> dict[str, Embeddings]:
        """Those of some vectors that are known."""
        found = self._memory.get_many(fingerprint, kind, digests) if self._memory else {}
        absent = [digest for digest in digests if digest not in found]
        try:
            found.update(self._cache.get_many(fingerprint, kind, absent))
        except CacheError as failure:
            self._go_on_in_memory(failure)
        return found

    def put(self, fingerprint: str, kind: Kind, rows: Mapping[str, Embeddings]) -> None:
        """Keep vectors."""
        try:
            (self._memory or self._cache).put_many(fingerprint, kind, rows)
        except CacheError as failure:
            self._go_on_in_memory(failure).put_many(fingerprint, kind, rows)

    def describe(self, fingerprint: str, label: str) -> None:
        """Say what a fingerprint stands for, to whoever looks into the cache."""
        try:
            (self._memory or self._cache).describe(fingerprint, label)
        except CacheError as failure:
            self._go_on_in_memory(failure)

    def _go_on_in_memory(self, failure: CacheError) -> EmbeddingCache:
        self.failure = self.failure or str(failure)
        self._memory = self._memory or EmbeddingCache.in_memory()
        return self._memory
