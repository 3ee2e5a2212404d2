"""The embedding cache's file: where it is, how it is opened, and what its errors mean to a person."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.errors import CacheError
from evalkit.storage.paths import cache_directory

FORMAT = 1
APPLICATION = 0x65766B74
"""``evkt`` in the file's header, by which other programs' SQLite files are told apart."""
BUSY_SECONDS = 30.0
SCHEMA = (
    "CREATE TABLE encoders (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, label TEXT, dimension INTEGER)",
    "CREATE TABLE embeddings (encoder INTEGER NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, "
    "vector BLOB NOT NULL, checksum INTEGER NOT NULL, UNIQUE (encoder, kind, digest))",
    "CREATE TABLE memos (request TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, spec TEXT NOT NULL, "
    "evidence TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
ELSEWHERE = "keep it elsewhere: export EVALKIT_CACHE=<directory>"
MEANINGS = {
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "this user may not write it",
    sqlite3.SQLITE_PERM: "this user may not write it",
    sqlite3.SQLITE_CANTOPEN: "its directory cannot be used",
    sqlite3.SQLITE_BUSY: f"another process has held it for {BUSY_SECONDS:g} s",
    sqlite3.SQLITE_IOERR: "the disk refused, as a full or a broken one does",
}
REBUILT = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def default_path() -> Path:
    """``embeddings.sqlite`` in the cache directory."""
    return cache_directory() / "embeddings.sqlite"


def size_on_disk(path: Path) -> int:
    """Bytes of the file and of what SQLite keeps beside it."""
    files = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    return sum(file.stat().st_size for file in files if file.exists())


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the cache's file, which is made, with its directory, if it is not there.

    Raises:
        CacheError: The file or its directory cannot be written, is damaged, belongs to another program or was
            written by a newer evalkit.
    """
    with explained(path, "opened"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_writable(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with transaction(connection, "DEFERRED"):
                new = _is_new(connection, path)
            if new:
                _create(connection, path)
            # Only now that the file is ours, since this writes to it; SQLite does it outside of transactions only.
            _use_write_ahead_log(connection)
            # Each commit survives the death of the process; one lost with the power is only encoded again.
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def explained(path: Path | None, action: str) -> Iterator[None]:
    """Turns what SQLite and the system say into a :class:`CacheError` that says what to do."""
    where = "in memory" if path is None else str(path)
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a fault of the caller's, not of the file
    except sqlite3.Error as failure:
        code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
        meaning = MEANINGS.get(code, "SQLite refuses")
        advice = f"Delete it, it fills again by itself: rm {where}*" if code in REBUILT else f"Mend it, or {ELSEWHERE}"
        raise CacheError(
            f"The embedding cache {where} cannot be {action}: {meaning} ({failure}). {advice}"
        ) from failure
    except OSError as failure:
        raise CacheError(
            f"The embedding cache {where} cannot be {action}: {failure.strerror or failure}. Mend it, or {ELSEWHERE}"
        ) from failure


def _require_writable(path: Path) -> None:
    # SQLite would open a file it may not write and fail at the first vector, after an hour of encoding.
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise CacheError(
                f"The embedding cache {path} cannot be opened: this user may not write {place}. Make it "
                f"writable, or {ELSEWHERE}"
            )


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """``IMMEDIATE`` takes the write lock at once; ``DEFERRED`` reads one state of the file, however often asked."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite may have rolled back by itself, as on a full disk
            connection.execute("ROLLBACK")
        raise


def create_tables(connection: sqlite3.Connection) -> None:
    """The tables, and in the header whose they are."""
    for statement in SCHEMA:
        connection.execute(statement)


def _create(connection: sqlite3.Connection, path: Path) -> None:
    # Vectors of 2 or 3 kB would leave half of the usual 4 kB pages empty.
    connection.execute("PRAGMA page_size = 16384")
    with transaction(connection, "IMMEDIATE"):
        # Only under the lock is it sure that no other process has made the file since it was found empty.
        if _is_new(connection, path):
            create_tables(connection)


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is still empty; refuses what this version cannot use. To be asked in a transaction."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not tables:
        return True
    if application != APPLICATION:
        raise CacheError(
            f"The embedding cache {path} cannot be opened: it belongs to another program "
            f"(application id {application:#x}, expected {APPLICATION:#x}). Move it away, or {ELSEWHERE}"
        )
    if version != FORMAT:
        raise CacheError(
            f"The embedding cache {path} has format {version}; this evalkit reads and writes format {FORMAT}. "
            f"Use the evalkit that wrote it, or {ELSEWHERE}"
        )
    return False


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Changing the mode is the one step that SQLite does not wait for when another process does the same.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
