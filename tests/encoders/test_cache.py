"""The embedding cache: what it keeps, and how it is looked at and emptied."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from evalkit.encoders.cache import EmbeddingCache
from tests.support.caches import BATCH, FINGERPRINT, batch, digest, vector

KEY = "a" * 64


def test_what_is_put_is_got_back_bit_for_bit(cache):
    """Vectors come back under the digests that were asked for; others are absent."""
    vectors = {digest(n): vector(n) for n in range(1200)}
    cache.put_many(FINGERPRINT, "image", vectors)
    found = cache.get_many(FINGERPRINT, "image", [*vectors, digest("absent")])
    assert set(found) == set(vectors)
    assert all((found[key] == vectors[key]).all() for key in vectors)


def test_encoders_and_kinds_do_not_mix(cache):
    """The same content has one vector per encoder and kind."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    cache.put_many(FINGERPRINT, "text", {digest(0): vector(1)})
    cache.put_many("e" * 64, "image", {digest(0): vector(2, 8)})
    assert (cache.get_many(FINGERPRINT, "image", [digest(0)])[digest(0)] == vector(0)).all()
    assert (cache.get_many(FINGERPRINT, "text", [digest(0)])[digest(0)] == vector(1)).all()
    assert (cache.get_many("e" * 64, "image", [digest(0)])[digest(0)] == vector(2, 8)).all()
    assert cache.get_many("e" * 64, "text", [digest(0)]) == {}


def test_it_outlives_the_process_and_in_memory_does_not(cache, cache_path):
    """A second opening finds what the first one put; a cache in memory works the same and writes nothing."""
    cache.put_many(FINGERPRINT, "image", batch(0))
    cache.close()
    with EmbeddingCache.open(cache_path) as again:
        assert len(again.get_many(FINGERPRINT, "image", list(batch(0)))) == BATCH
    with EmbeddingCache.in_memory() as memory:
        memory.put_many(FINGERPRINT, "image", batch(0))
        assert len(memory.get_many(FINGERPRINT, "image", list(batch(0)))) == BATCH
        assert memory.info().path == ""


def test_the_default_place_is_the_cache_directory(tmp_path, monkeypatch):
    """Without a path the file lies in EVALKIT_CACHE."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "chosen"))
    with EmbeddingCache.open() as cache:
        assert cache.info().path == str(tmp_path / "chosen" / "embeddings.sqlite")


@pytest.mark.parametrize(
    "damage",
    ["vector = substr(vector, 1, 2000)", "vector = CAST('x' || substr(vector, 2) AS BLOB)", "checksum = checksum + 1"],
)
def test_a_damaged_row_is_a_miss(cache, cache_path, damage):
    """A vector that was cut or changed is not given out, and can be put again."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0), digest(1): vector(1)})
    with closing(sqlite3.connect(cache_path, isolation_level=None)) as other:
        other.execute(f"UPDATE embeddings SET {damage} WHERE digest = ?", [bytes.fromhex(digest(0))])
    assert list(cache.get_many(FINGERPRINT, "image", [digest(0), digest(1)])) == [digest(1)]
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    assert (cache.get_many(FINGERPRINT, "image", [digest(0)])[digest(0)] == vector(0)).all()


def test_vectors_of_another_length_are_refused_whole(cache):
    """One encoder has one dimension: a batch that disagrees leaves nothing behind."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    with pytest.raises(ValueError, match="expected type and length"):
        cache.put_many(FINGERPRINT, "image", {digest(1): vector(1), digest(2): vector(2, 8)})
    assert cache.get_many(FINGERPRINT, "image", [digest(1)]) == {}


def test_facts_are_kept_replaced_and_forgotten(cache):
    """What a request for an encoder led to comes back as it was, the newest only."""
    assert cache.recall("request") is None
    cache.remember("request", FINGERPRINT, {"files": 1})
    cache.remember("request", FINGERPRINT, {"files": 2})
    assert cache.recall("request") == {"files": 2}
    cache.remember("request", None, None)
    assert cache.recall("request") is None


def test_numbers_keep_their_type(cache):
    """What was computed in 64 bits comes back in 64; one key has one type."""
    cache.put_many(FINGERPRINT, "pair", {digest(0): np.array([1 / 255])})
    assert cache.get_many(FINGERPRINT, "pair", [digest(0)])[digest(0)].tolist() == [1 / 255]
    with pytest.raises(ValueError, match="expected type and length"):
        cache.put_many(FINGERPRINT, "pair", {digest(1): np.array([1 / 255], np.float32)})


def test_info_counts_and_clear_gives_the_space_back(cache):
    """Each encoder is listed with its label and counts; one or all can be dropped, and the file shrinks."""
    cache.remember("request", KEY, {})
    cache.describe(KEY, "fake/net")
    for number in range(40):
        cache.put_many(KEY, "image", batch(number))
    cache.put_many(KEY, "text", {digest("text"): vector(0)})
    cache.put_many(FINGERPRINT, "text", {digest("text"): vector(0, 8)})
    described, bare = cache.info().encoders
    assert (described.label, described.n_images, described.n_texts) == ("fake/net", 40 * BATCH, 1)
    assert described.n_bytes == (40 * BATCH + 1) * 512 * 4
    assert (bare.label, bare.fingerprint, bare.n_images, bare.n_texts) == (None, FINGERPRINT, 0, 1)
    before = cache.info().n_bytes
    assert cache.clear(KEY) == 40 * BATCH + 1
    assert cache.recall("request") is None
    assert cache.info().n_bytes < before / 4
    assert [encoder.fingerprint for encoder in cache.info().encoders] == [FINGERPRINT]
    assert cache.clear() == 1
    assert cache.info().n_entries == 0


def test_threads_share_one_cache(cache):
    """Batches from many threads all arrive."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cache.put_many(FINGERPRINT, "image", batch(number)), range(40)))
        found = list(pool.map(lambda n: cache.get_many(FINGERPRINT, "image", list(batch(n))), range(40)))
    assert [len(rows) for rows in found] == [BATCH] * 40


def test_using_a_closed_cache_is_the_callers_fault(cache):
    """It is not reported as a fault of the file, which a run would go on without."""
    cache.close()
    with pytest.raises(sqlite3.ProgrammingError):
        cache.put_many(FINGERPRINT, "image", batch(0))
