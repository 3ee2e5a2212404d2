"""Where vectors are kept while a run lasts: the cache and, should that fail midway, memory."""

from collections.abc import Iterable, Mapping, Sequence

from evalkit.encoders.base import Embeddings
from evalkit.encoders.cache import EmbeddingCache, EmbeddingKind
from evalkit.errors import CacheError
from evalkit.storage.prefetch import in_batches

LOOKUP = 1000
"""Vectors asked of the cache at a time, so that a long list of items does not fill the memory."""


class Vectors:
    """A cache that does not stop a run, and what was taken from it lately.

    Args:
        cache: Where vectors are kept. If it fails midway the work goes on in memory, and ``failure`` says so.
    """

    def __init__(self, cache: EmbeddingCache) -> None:
        self._cache = cache
        self._memory: EmbeddingCache | None = None
        self._held: dict[tuple[str, EmbeddingKind], dict[str, Embeddings]] = {}
        self.failure: str | None = None

    def missing(self, fingerprint: str, kind: EmbeddingKind, digests: Iterable[str]) -> list[str]:
        """The digests of which nothing is known."""
        return [
            digest
            for chunk in in_batches(digests, LOOKUP)
            for known in [self.get(fingerprint, kind, chunk)]
            for digest in chunk
            if digest not in known
        ]

    def get(self, fingerprint: str, kind: EmbeddingKind, digests: Sequence[str]) -> Mapping[str, Embeddings]:
        """Vectors by digest: those of the given ones that are known are among them."""
        held = self._held.setdefault((fingerprint, kind), {})
        for source in filter(None, (self._memory, self._cache)):
            absent = [digest for digest in dict.fromkeys(digests) if digest not in held]
            try:
                held.update(source.get_many(fingerprint, kind, absent))
            except CacheError as failure:
                self._go_on_in_memory(failure)
        return held

    def let_go(self) -> None:
        """Hold no vectors any more: others are asked for next."""
        self._held.clear()

    def put(self, fingerprint: str, kind: EmbeddingKind, rows: Mapping[str, Embeddings]) -> None:
        """Keep vectors."""
        self._held.setdefault((fingerprint, kind), {}).update(rows)
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
