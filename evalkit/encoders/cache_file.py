"""The cache's file: how it is opened, and what SQLite's errors mean to a person."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evalkit.errors import CacheError

FORMAT = 2
"""Of the tables. What the first one held could not be found again: its keys said nothing of decoders and libraries."""
BUSY_SECONDS = 30.0
SCHEMA = (
    "CREATE TABLE encoders (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, label TEXT, dtype TEXT, "
    "dimension INTEGER)",
    "CREATE TABLE embeddings (encoder INTEGER NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, "
    "vector BLOB NOT NULL, checksum INTEGER NOT NULL, UNIQUE (encoder, kind, digest))",
    "CREATE TABLE specs (request TEXT PRIMARY KEY, key TEXT NOT NULL, facts TEXT NOT NULL)",
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
                usable = _is_usable(connection, path)
            if not usable:
                with transaction(connection, "IMMEDIATE"):
                    # Only under the lock is it sure that no other process has just made the tables.
                    if not _is_usable(connection, path):
                        create_tables(connection)
            _use_write_ahead_log(connection)
            # Each commit survives the death of the process; one lost with the power is only computed again.
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def create_tables(connection: sqlite3.Connection) -> None:
    """The tables, empty."""
    for table in ("encoders", "embeddings", "memos"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in SCHEMA:
        connection.execute(statement)


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
        advice = f"Mend it, or {ELSEWHERE}"
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            advice = f"Delete it, it fills again by itself: rm {where}*"
        raise CacheError(
            f"The embedding cache {where} cannot be {action}: {MEANINGS.get(code, 'SQLite refuses')} ({failure}). "
            f"{advice}"
        ) from failure
    except OSError as failure:
        raise CacheError(
            f"The embedding cache {where} cannot be {action}: {failure.strerror or failure}. Mend it, or {ELSEWHERE}"
        ) from failure


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


def _require_writable(path: Path) -> None:
    # SQLite would open a file it may not write and fail at the first vector, after an hour of encoding.
    for needed in (path.parent, path):
        if needed.exists() and not os.access(needed, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise CacheError(
                f"The embedding cache {path} cannot be opened: this user may not write {needed}. Make it "
                f"writable, or {ELSEWHERE}"
            )


def _is_usable(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there; False where they can be made, an error where the file is somebody else's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "embeddings" not in tables:
        raise CacheError(
            f"The embedding cache {path} cannot be opened: it belongs to another program. Move it away, or {ELSEWHERE}"
        )
    if version > FORMAT:
        raise CacheError(
            f"The embedding cache {path} has format {version}; this evalkit reads and writes format {FORMAT}. "
            f"Use the evalkit that wrote it, or {ELSEWHERE}"
        )
    return bool(tables) and version == FORMAT


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Changing the mode is the one step that SQLite does not wait for when another process does the same.
    deadline = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < deadline:
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(0.01)
    connection.execute("PRAGMA journal_mode = WAL")
