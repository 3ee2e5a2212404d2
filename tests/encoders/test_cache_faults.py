"""The embedding cache when processes are killed, disks are full and files are not what they should be."""

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
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evalkit.encoders import cache as cache_module
from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import CacheError
from tests.support.caches import BATCH, FINGERPRINT, batch

WRITER = """
import sys
from pathlib import Path
from tests.support.caches import FINGERPRINT, batch
from evalkit.encoders.cache import EmbeddingCache
path, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with EmbeddingCache.open(path) as cache:
    for number in range(first, last):
        cache.put_many(FINGERPRINT, "image", batch(number))
        print(number, flush=True)
"""


OPENERS = """
import multiprocessing, sys
from pathlib import Path
from evalkit.encoders.cache import EmbeddingCache
def open_all(directory, together):
    for number in range(40):
        together.wait(20)
        EmbeddingCache.open(directory / str(number) / "embeddings.sqlite").close()
fork = multiprocessing.get_context("fork")
together = fork.Barrier(8)
openers = [fork.Process(target=open_all, args=(Path(sys.argv[1]), together)) for _ in range(8)]
for opener in openers:
    opener.start()
for opener in openers:
    opener.join()
sys.exit(any(opener.exitcode for opener in openers))
"""


def require_sound(path: Path) -> None:
    """SQLite's own check of the whole file."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def writer(path: Path, first: int, last: int) -> Iterator[subprocess.Popen[str]]:
    """A process that writes batches and says so after each; it does not outlive the test, however that ends."""
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_processes_that_open_a_new_cache_at_once_all_get_it(tmp_path):
    """Of eight processes that meet at files that do not exist yet, none takes a half-made one for another's."""
    opened = subprocess.run(
        [sys.executable, "-c", OPENERS, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert opened.returncode == 0, opened.stderr
    for number in range(40):
        with closing(sqlite3.connect(tmp_path / str(number) / "embeddings.sqlite")) as made:
            assert made.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_processes_write_at_once(cache_path):
    """Started together on a file that does not exist yet, both write all their batches."""
    with writer(cache_path, 0, 60) as one, writer(cache_path, 60, 120) as other:
        for process in (one, other):
            process.communicate(timeout=60)
            assert process.returncode == 0
    require_sound(cache_path)
    with EmbeddingCache.open(cache_path) as cache:
        assert cache.info().n_entries == 120 * BATCH


def test_a_kill_at_any_moment_leaves_whole_batches(cache_path):
    """Of a process killed while it writes beside another, every batch that it reported is there and none in part."""
    chance = random.Random(0)
    with writer(cache_path, 100_000, 100_200) as survivor:
        for attempt in range(4):
            first = 1000 * attempt
            with writer(cache_path, first, first + 1000) as process:
                process.stdout.readline()
                time.sleep(chance.uniform(0, 0.15))
                process.send_signal(signal.SIGKILL)
                told = [first, *(int(line) for line in process.communicate()[0].splitlines())]
            require_sound(cache_path)
            with EmbeddingCache.open(cache_path) as cache:
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


def test_a_newer_cache_is_left_alone(cache, cache_path):
    """A file of a later format is refused, with both formats named, and not touched."""
    cache.close()
    with closing(sqlite3.connect(cache_path, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 7")
    before = cache_path.read_bytes()
    message = refused(cache_path)
    assert "has format 7; this evalkit reads and writes format 2" in message
    assert "EVALKIT_CACHE" in message
    assert cache_path.read_bytes() == before


def test_another_programs_file_is_left_alone(tmp_path):
    """A SQLite file that is not ours is refused."""
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


def test_a_damaged_file_is_reported_when_it_is_read(cache, cache_path):
    """Pages overwritten in the middle of the file give a clear error instead of vectors."""
    for number in range(30):
        cache.put_many(FINGERPRINT, "image", batch(number))
    cache.close()
    content = bytearray(cache_path.read_bytes())
    content[16384:] = b"\xaa" * (len(content) - 16384)
    cache_path.write_bytes(content)
    with EmbeddingCache.open(cache_path) as damaged, pytest.raises(CacheError, match=r"it is damaged .*rm "):
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
from tests.support.caches import FINGERPRINT, batch
from evalkit.encoders.cache import EmbeddingCache
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


def test_a_file_at_its_limit_is_reported_and_stays_readable(cache_path):
    """Where the system lets a file grow no further, the batch is lost, the rest is kept, and the message says why."""
    written, found, message = fill(cache_path, "limit")
    assert written > 5
    assert found == BATCH
    assert "cannot be written: the disk refused" in message
    require_sound(cache_path)


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


def test_a_cache_held_by_another_process_is_waited_for_and_then_given_up(cache_path, monkeypatch):
    """A write lock that is not released ends in an error that says so; reading goes on meanwhile."""
    monkeypatch.setattr(cache_module, "BUSY_SECONDS", 0.1)
    with EmbeddingCache.open(cache_path) as cache, closing(sqlite3.connect(cache_path, isolation_level=None)) as other:
        cache.put_many(FINGERPRINT, "image", batch(0))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheError, match="another process has held it"):
            cache.put_many(FINGERPRINT, "image", batch(1))
        assert len(cache.get_many(FINGERPRINT, "image", list(batch(0)))) == BATCH
        other.execute("ROLLBACK")
        cache.put_many(FINGERPRINT, "image", batch(1))
