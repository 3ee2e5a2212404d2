"""The cache of features: one SQLite file that any number of processes may share.

Numbers are kept by what computed them (a key, see :mod:`evalkit.scoring.requests`), by kind, and by the SHA-256 of the
content, so that nothing is computed twice and nothing stale is ever found. Each batch is one transaction of a
write-ahead log: a process killed at any moment leaves whole batches and a sound file. Whatever has the methods of
:class:`~evalkit.encoders.base.FeatureCache` can be put in its place.
"""

import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from evalkit.encoders.base import ContentKind, Numbers
from evalkit.errors import CacheError
from evalkit.storage.paths import cache_directory

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
CHUNK = 500
"""Rows per look-up: below the 999 parameters that older builds of SQLite allow."""
SELECT = "SELECT digest, vector, checksum FROM embeddings WHERE encoder = ? AND kind = ? AND digest IN ({marks})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedEncoder:
    """One encoder's, measure's or judge's part of the cache."""

    fingerprint: str
    """Its key."""
    label: str | None
    """As in a signature; None where it was never described."""
    n_images: int
    n_texts: int
    n_pairs: int
    """Edited images beside their sources or references."""
    n_items: int
    n_bytes: int
    """Of its numbers."""

    @property
    def n_entries(self) -> int:
        """All that is kept of it."""
        return self.n_images + self.n_texts + self.n_pairs + self.n_items


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """What ``evalkit cache info`` shows: the cache's file, its size, and what is kept of each encoder."""

    path: str
    format: int
    n_entries: int
    n_bytes: int
    """Size on disk, with the write-ahead log."""
    encoders: tuple[CachedEncoder, ...]


class EmbeddingCache:
    """One SQLite file as a :class:`~evalkit.encoders.base.FeatureCache`, safe to share between threads and processes.

    Opened with :meth:`open` or :meth:`in_memory`, best in a ``with`` statement. A file that fails is left as it was.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """The cache in a file, made if it is not there.

        Args:
            path: The file; :func:`default_path` by default.

        Raises:
            CacheError: The file or its directory cannot be written, is damaged, belongs to another program or was
                written by a newer evalkit.
        """
        path = default_path() if path is None else path
        return cls(connect(path), path)

    @classmethod
    def in_memory(cls) -> Self:
        """A cache that lasts as long as the process."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        create_tables(connection)
        return cls(connection, None)

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def get_many(self, key: str, kind: ContentKind, digests: Sequence[str]) -> dict[str, Numbers]:
        """Those of some contents' numbers that are known.

        Args:
            key: What computed them.
            kind: What the content is.
            digests: SHA-256 of each content, in hexadecimal.

        Returns:
            Digest to ``(dimension,)``, read-only; a row that does not match its own checksum is left out.
        """
        found: dict[str, Numbers] = {}
        with self._reading():
            known = self._connection.execute("SELECT id, dtype, dimension FROM encoders WHERE key = ?", [key])
            encoder, dtype, dimension = known.fetchone() or (None, None, None)
            if dtype is None:
                return found
            size = dimension * np.dtype(dtype).itemsize
            for start in range(0, len(digests), CHUNK):
                wanted = [bytes.fromhex(digest) for digest in digests[start : start + CHUNK]]
                query = SELECT.format(marks=",".join("?" * len(wanted)))
                for digest, row, checksum in self._connection.execute(query, [encoder, kind, *wanted]):
                    if len(row) == size and zlib.crc32(row) == checksum:
                        found[digest.hex()] = np.frombuffer(row, dtype=dtype)
        return found

    def put_many(self, key: str, kind: ContentKind, rows: Mapping[str, Numbers]) -> None:
        """Keep numbers, all of them or, if the process dies or the disk is full, none.

        Args:
            key: What computed them.
            kind: What the content is.
            rows: SHA-256 of each content, in hexadecimal, to ``(dimension,)`` float32 or float64.

        Raises:
            ValueError: The rows differ in length or type from each other or from those that are kept.
        """
        if not rows:
            return
        shapes = {(row.dtype.newbyteorder("<").str, row.size) for row in rows.values()}
        data = [
            (bytes.fromhex(d), np.ascontiguousarray(r, r.dtype.newbyteorder("<")).tobytes()) for d, r in rows.items()
        ]
        with self._writing():
            encoder = self._encoder_id(key, shapes)
            self._connection.executemany(
                "INSERT OR REPLACE INTO embeddings (encoder, kind, digest, vector, checksum) VALUES (?, ?, ?, ?, ?)",
                [(encoder, kind, digest, row, zlib.crc32(row)) for digest, row in data],
            )

    def describe(self, key: str, label: str) -> None:
        """Say what it is that a key stands for."""
        with self._writing():
            self._label(key, label)

    def recall(self, request: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """What was remembered of a request for an encoder, as JSON; None where nothing was."""
        with self._reading():
            row = self._connection.execute("SELECT facts FROM specs WHERE request = ?", [request]).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, request: str, key: str | None, facts: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        """Keep what a request for an encoder led to until the numbers of that key go; without a key, drop it."""
        with self._writing():
            self._connection.execute("DELETE FROM specs WHERE request = ?", [request])
            if key is not None:
                self._connection.execute("INSERT INTO specs VALUES (?, ?, ?)", [request, key, json.dumps(facts)])

    def info(self) -> CacheInfo:
        """What the cache holds."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT key, label, SUM(kind IN ('image', 'file')), SUM(kind IN ('text', 'tokens')), "
                "SUM(kind = 'pair'), SUM(kind = 'item'), SUM(LENGTH(vector)) "
                "FROM encoders LEFT JOIN embeddings ON encoder = id GROUP BY id "
                "ORDER BY label IS NULL, label, key"
            ).fetchall()
        names = ("n_images", "n_texts", "n_pairs", "n_items", "n_bytes")
        encoders = tuple(
            CachedEncoder(fingerprint=key, label=label, **{name: n or 0 for name, n in zip(names, counts, strict=True)})
            for key, label, *counts in rows
        )
        files = [] if self._path is None else [Path(f"{self._path}{end}") for end in ("", "-wal", "-shm")]
        return CacheInfo(
            path="" if self._path is None else str(self._path),
            format=FORMAT,
            n_entries=sum(encoder.n_entries for encoder in encoders),
            n_bytes=sum(file.stat().st_size for file in files if file.exists()),
            encoders=encoders,
        )

    def clear(self, key: str | None = None) -> int:
        """Drop what one key stands for, or everything, and give the space back.

        Returns:
            The number of entries dropped.
        """
        with self._writing():
            chosen = self._connection.execute("SELECT id FROM encoders WHERE key = ? OR ? IS NULL", [key, key])
            dropped = sum(
                self._connection.execute("DELETE FROM embeddings WHERE encoder = ?", row).rowcount
                for row in chosen.fetchall()
            )
            for table in ("encoders", "specs"):
                self._connection.execute(f"DELETE FROM {table} WHERE key = ? OR ? IS NULL", [key, key])  # noqa: S608 - fixed
        with self._lock, suppress(sqlite3.OperationalError):  # as long as others read, the space stays for new rows
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped

    def _label(self, key: str, label: str) -> None:
        self._connection.execute(
            "INSERT INTO encoders (key, label) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET label = excluded.label",
            [key, label],
        )

    def _encoder_id(self, key: str, shapes: set[tuple[str, int]]) -> int:
        dtype, dimension = max(shapes)
        self._connection.execute(
            "INSERT INTO encoders (key, dtype, dimension) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET dtype = COALESCE(dtype, excluded.dtype), dimension = COALESCE(dimension, excluded.dimension)",
            [key, dtype, dimension],
        )
        encoder, *expected = self._connection.execute(
            "SELECT id, dtype, dimension FROM encoders WHERE key = ?", [key]
        ).fetchone()
        if shapes != {tuple(expected)}:
            raise ValueError(f"numbers of {key[:12]}: expected type and length {expected}, got {sorted(shapes)}")
        return int(encoder)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, explained(self._path, "read"):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, which takes the write lock at once so that it cannot fail half-way for want of it."""
        with self._lock, explained(self._path, "written"), transaction(self._connection, "IMMEDIATE"):
            yield


def default_path() -> Path:
    """``embeddings.sqlite`` in the cache directory."""
    return cache_directory() / "embeddings.sqlite"


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
