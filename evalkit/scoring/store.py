"""The cache behind a run of scoring: what was taken from it lately, and what is done when it fails."""

from collections.abc import Iterable, Mapping, Sequence

from evalkit.encoders.base import ContentKind, FeatureCache, Numbers
from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import CacheError
from evalkit.storage.prefetch import in_batches

LOOKUP = 1000
"""Contents asked of the cache at a time, so that a long list of items does not fill the memory."""


class FeatureStore:
    """A cache that does not stop a run, and what was taken from it lately.

    Args:
        cache: Where numbers are kept. If it fails midway the work goes on in memory, and ``failure`` says so.
    """

    def __init__(self, cache: FeatureCache) -> None:
        self._cache = cache
        self._instead: FeatureCache | None = None
        self._recent: dict[tuple[str, ContentKind], dict[str, Numbers]] = {}
        self.failure: str | None = None

    def missing(self, key: str, kind: ContentKind, digests: Iterable[str]) -> set[str]:
        """The digests of which nothing is known."""
        missing: set[str] = set()
        for chunk in in_batches(digests, LOOKUP):
            missing.update(set(chunk).difference(self.get(key, kind, chunk)))
        return missing

    def get(self, key: str, kind: ContentKind, digests: Sequence[str]) -> Mapping[str, Numbers]:
        """Numbers by digest: those of the given ones that are known are among them."""
        recent = self._recent.setdefault((key, kind), {})
        for cache in filter(None, (self._instead, self._cache)):
            absent = [digest for digest in dict.fromkeys(digests) if digest not in recent]
            try:
                recent.update(cache.get_many(key, kind, absent))
            except CacheError as failure:
                self._go_on_in_memory(failure)
        return recent

    def release(self) -> None:
        """Keep nothing recent any more: other contents are asked for next."""
        self._recent.clear()

    def hold(self, key: str, kind: ContentKind, rows: Mapping[str, Numbers]) -> None:
        """Keep numbers by digest until :meth:`release`, and no longer: what they are made of is kept elsewhere."""
        self._recent.setdefault((key, kind), {}).update(rows)

    def put(self, key: str, kind: ContentKind, rows: Mapping[str, Numbers]) -> None:
        """Keep numbers by digest: in memory until :meth:`release`, and in the cache."""
        self._recent.setdefault((key, kind), {}).update(rows)
        try:
            (self._instead or self._cache).put_many(key, kind, rows)
        except CacheError as failure:
            self._go_on_in_memory(failure).put_many(key, kind, rows)

    def describe(self, key: str, label: str) -> None:
        """Say what a key stands for, to whoever looks into the cache."""
        try:
            (self._instead or self._cache).describe(key, label)
        except CacheError as failure:
            self._go_on_in_memory(failure)

    def _go_on_in_memory(self, failure: CacheError) -> FeatureCache:
        self.failure = self.failure or str(failure)
        self._instead = self._instead or EmbeddingCache.in_memory()
        return self._instead
