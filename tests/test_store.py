"""The embedding cache: what it keeps, and what becomes of it when things go wrong."""

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from evalkit.encoders import store_file
from evalkit.encoders.base import EncoderSpec, Preprocess
from evalkit.encoders.store import EmbeddingCache, Memo
from evalkit.errors import CacheError

FINGERPRINT = "f" * 64
SPEC = EncoderSpec(
    name="fake/net/random",
    weights_sha256="0" * 64,
    preprocess=Preprocess(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    tokenizer="none",
)
WRITER = """
import sys
from pathlib import Path
from tests.test_store import FINGERPRINT, batch
from evalkit.encoders.store import EmbeddingCache
path, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with EmbeddingCache.open(path) as cache:
    for number in range(first, last):
        cache.put_many(FINGERPRINT, "image", batch(number))
        print(number, flush=True)
"""
BATCH = 16


def digest(content: object) -> str:
    """SHA-256 in hexadecimal of whatever stands for a picture."""
    return hashlib.sha256(str(content).encode()).hexdigest()


def vector(seed: int, dimension: int = 512) -> np.ndarray:
    """A vector that only ``seed`` decides."""
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)


def batch(number: int) -> dict[str, np.ndarray]:
    """The vectors of one transaction."""
    return {digest((number, row)): vector(1000 * number + row) for row in range(BATCH)}


def require_sound(path: Path) -> None:
    """SQLite's own check of the whole file."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def writer(path: Path, first: int, last: int) -> subprocess.Popen[str]:
    """A process that writes batches and says so after each."""
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path) -> Path:
    """Where a cache may be made."""
    return tmp_path / "new" / "embeddings.sqlite"


@pytest.fixture
def cache(path) -> Iterator[EmbeddingCache]:
    """An empty cache."""
    with EmbeddingCache.open(path) as opened:
        yield opened


def test_what_is_put_is_got_back_bit_for_bit(cache):
    """Vectors come back under the very keys that were asked for, in hexadecimal or as bytes; others are absent."""
    vectors = {digest(n): vector(n) for n in range(1200)}
    cache.put_many(FINGERPRINT, "image", vectors)
    found = cache.get_many(FINGERPRINT, "image", [*vectors, digest("absent")])
    assert set(found) == set(vectors)
    assert all((found[key] == vectors[key]).all() for key in vectors)
    raw = bytes.fromhex(digest(3))
    assert (cache.get_many(FINGERPRINT, "image", [raw])[raw] == vector(3)).all()


def test_encoders_and_kinds_do_not_mix(cache):
    """The same content has one vector per encoder and kind."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    cache.put_many(FINGERPRINT, "text", {digest(0): vector(1)})
    cache.put_many("e" * 64, "image", {digest(0): vector(2, 8)})
    assert (cache.get_many(FINGERPRINT, "image", [digest(0)])[digest(0)] == vector(0)).all()
    assert (cache.get_many(FINGERPRINT, "text", [digest(0)])[digest(0)] == vector(1)).all()
    assert (cache.get_many("e" * 64, "image", [digest(0)])[digest(0)] == vector(2, 8)).all()
    assert cache.get_many("e" * 64, "text", [digest(0)]) == {}


def test_it_outlives_the_process_and_in_memory_does_not(cache, path):
    """A second opening finds what the first one put; a cache in memory works the same and writes nothing."""
    cache.put_many(FINGERPRINT, "image", batch(0))
    cache.close()
    with EmbeddingCache.open(path) as again:
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
def test_a_damaged_row_is_a_miss(cache, path, damage):
    """A vector that was cut or changed is not given out, and can be put again."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0), digest(1): vector(1)})
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"UPDATE embeddings SET {damage} WHERE digest = ?", [bytes.fromhex(digest(0))])
    assert list(cache.get_many(FINGERPRINT, "image", [digest(0), digest(1)])) == [digest(1)]
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    assert (cache.get_many(FINGERPRINT, "image", [digest(0)])[digest(0)] == vector(0)).all()


def test_vectors_of_another_length_are_refused_whole(cache):
    """One encoder has one dimension: a batch that disagrees leaves nothing behind."""
    cache.put_many(FINGERPRINT, "image", {digest(0): vector(0)})
    with pytest.raises(ValueError, match="expected length 512, got \\[8, 512\\]"):
        cache.put_many(FINGERPRINT, "image", {digest(1): vector(1), digest(2): vector(2, 8)})
    assert cache.get_many(FINGERPRINT, "image", [digest(1)]) == {}


def test_memos_are_kept_replaced_and_forgotten(cache, path):
    """What a request led to comes back with its evidence, the newest only; one in an unknown form is none."""
    assert cache.recall("request") is None
    cache.remember("request", Memo(spec=SPEC, evidence={"files": 1}))
    cache.remember("request", Memo(spec=SPEC, evidence={"files": 2}))
    assert cache.recall("request") == Memo(spec=SPEC, evidence={"files": 2})
    cache.remember("other", Memo(spec=SPEC, evidence={}))
    cache.forget("other")
    assert cache.recall("other") is None
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE memos SET spec = '{\"name\": 1}'")
    assert cache.recall("request") is None


def test_info_counts_and_clear_gives_the_space_back(cache):
    """Each encoder is listed with its label and counts; one or all can be dropped, and the file shrinks."""
    cache.remember("request", Memo(spec=SPEC, evidence={}))
    for number in range(40):
        cache.put_many(SPEC.fingerprint, "image", batch(number))
    cache.put_many(SPEC.fingerprint, "text", {digest("text"): vector(0)})
    cache.put_many(FINGERPRINT, "text", {digest("text"): vector(0, 8)})
    described, bare = cache.info().encoders
    assert (described.label, described.n_images, described.n_texts) == (SPEC.label, 40 * BATCH, 1)
    assert described.n_bytes == (40 * BATCH + 1) * 512 * 4
    assert (bare.label, bare.fingerprint, bare.n_images, bare.n_texts) == (None, FINGERPRINT, 0, 1)
    before = cache.info().n_bytes
    assert cache.clear(SPEC.fingerprint) == 40 * BATCH + 1
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


def test_two_processes_write_at_once(path):
    """Started together on a file that does not exist yet, both write all their batches."""
    writers = [writer(path, 0, 60), writer(path, 60, 120)]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    require_sound(path)
    with EmbeddingCache.open(path) as cache:
        assert cache.info().n_entries == 120 * BATCH


def test_a_kill_at_any_moment_leaves_whole_batches(path):
    """Of a process killed while it writes beside another, every batch that it reported is there and none in part."""
    chance = random.Random(0)
    survivor = writer(path, 100_000, 100_200)
    for attempt in range(4):
        first = 1000 * attempt
        process = writer(path, first, first + 1000)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        told = [first, *(int(line) for line in process.communicate()[0].splitlines())]
        require_sound(path)
        with EmbeddingCache.open(path) as cache:
            found = [len(cache.get_many(FINGERPRINT, "image", list(batch(n)))) for n in range(first, told[-1] + 3)]
        assert found[: len(told)] == [BATCH] * len(told)
        assert set(found[len(told) :]) <= {0, BATCH}
    survivor.communicate(timeout=60)
    assert survivor.returncode == 0


def refused(path: Path) -> str:
    """The message with which a cache is not opened."""
    with pytest.raises(CacheError) as failure:
        EmbeddingCache.open(path)
    return str(failure.value)


def test_a_newer_cache_is_left_alone(cache, path):
    """A file of a later format is refused, with both formats named, and not touched."""
    cache.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    message = refused(path)
    assert "has format 7; this evalkit reads and writes format 1" in message
    assert "EVALKIT_CACHE" in message
    assert path.read_bytes() == before


def test_another_programs_file_is_left_alone(tmp_path):
    """A SQLite file that is not ours is refused by its application id."""
    path = tmp_path / "browser.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "belongs to another program" in refused(path)


def test_a_file_that_is_no_database_says_how_to_be_rid_of_it(tmp_path):
    """Anything but SQLite is refused with the command that removes it."""
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(b"not a database at all" * 500)
    message = refused(path)
    assert "it is not a SQLite file" in message
    assert f"rm {path}*" in message


def test_a_damaged_file_is_reported_when_it_is_read(cache, path):
    """Pages overwritten in the middle of the file give a clear error instead of vectors."""
    for number in range(30):
        cache.put_many(FINGERPRINT, "image", batch(number))
    cache.close()
    content = bytearray(path.read_bytes())
    content[16384:] = b"\xaa" * (len(content) - 16384)
    path.write_bytes(content)
    with EmbeddingCache.open(path) as damaged, pytest.raises(CacheError, match=r"it is damaged .*rm "):
        damaged.get_many(FINGERPRINT, "image", list(batch(0)))


def test_a_place_that_cannot_be_a_directory_is_named(tmp_path):
    """A file in the place of the cache directory is an error with the way out."""
    (tmp_path / "file").write_text("")
    message = refused(tmp_path / "file" / "embeddings.sqlite")
    assert str(tmp_path / "file") in message
    assert "EVALKIT_CACHE" in message


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory outside of the test's own, which only its owner may enter."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def ordinary_user(public_directory) -> Iterator[None]:
    """For the time of the test not the superuser, whom no permission holds back."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("what", ["directory", "file"])
def test_what_may_not_be_written_is_said_at_once(public_directory, request, what):
    """A read-only directory or file is refused when it is opened, not after an hour of encoding."""
    path = public_directory / "embeddings.sqlite"
    EmbeddingCache.open(path).close()
    path.chmod(0o444 if what == "file" else 0o666)
    public_directory.chmod(0o777 if what == "file" else 0o555)
    request.getfixturevalue("ordinary_user")
    message = refused(path)
    assert f"may not write {path if what == 'file' else public_directory}." in message


FILLER = """
import sys
from pathlib import Path
from tests.test_store import FINGERPRINT, batch
from evalkit.encoders.store import EmbeddingCache
from evalkit.errors import CacheError
if sys.argv[2] == "limit":
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
with EmbeddingCache.open(Path(sys.argv[1])) as cache:
    for number in range(1000):
        try:
            cache.put_many(FINGERPRINT, "image", batch(number))
        except CacheError as failure:
            print(number, len(cache.get_many(FINGERPRINT, "image", list(batch(number - 1)))), failure)
            break
"""


def fill(path: Path, how: str) -> tuple[int, int, str]:
    """How many batches were written until none more could be, rows of the last one that are found, and the message."""
    command = [sys.executable, "-c", FILLER, str(path), how]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    written, found, message = told.split(" ", 2)
    return int(written), int(found), message


def test_a_file_at_its_limit_is_reported_and_stays_readable(path):
    """Where the system lets a file grow no further, the batch is lost, the rest is kept, and the message says why."""
    written, found, message = fill(path, "limit")
    assert written > 5
    assert found == BATCH
    assert "cannot be written: the disk refused" in message
    require_sound(path)


def test_a_full_disk_is_reported_and_the_cache_stays_readable(tmp_path):
    """On a file system without space the batch is lost, the rest is kept, and the message says why."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only a superuser may mount a file system of one megabyte")
    try:
        written, found, message = fill(disk / "embeddings.sqlite", "disk")
        assert written > 5
        assert found == BATCH
        assert "cannot be written: the disk is full" in message
        assert "EVALKIT_CACHE" in message
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_cache_held_by_another_process_is_waited_for_and_then_given_up(path, monkeypatch):
    """A write lock that is not released ends in an error that says so; reading goes on meanwhile."""
    monkeypatch.setattr(store_file, "BUSY_SECONDS", 0.1)
    with EmbeddingCache.open(path) as cache, closing(sqlite3.connect(path, isolation_level=None)) as other:
        cache.put_many(FINGERPRINT, "image", batch(0))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheError, match="another process has held it"):
            cache.put_many(FINGERPRINT, "image", batch(1))
        assert len(cache.get_many(FINGERPRINT, "image", list(batch(0)))) == BATCH
        other.execute("ROLLBACK")
        cache.put_many(FINGERPRINT, "image", batch(1))


def test_using_a_closed_cache_is_the_callers_fault(cache):
    """It is not reported as a fault of the file, which a run would go on without."""
    cache.close()
    with pytest.raises(sqlite3.ProgrammingError):
        cache.put_many(FINGERPRINT, "image", batch(0))
