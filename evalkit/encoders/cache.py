"""The embedding cache: one SQLite file that any number of processes may share.

Vectors are kept by encoder fingerprint, kind and SHA-256 of the content, so that nothing is encoded twice and nothing
stale is ever found. Each batch is one transaction of a write-ahead log: a process killed at any moment leaves whole
batches and a sound file. Beside them the cache remembers what an encoder turned out to be
(:class:`Memo`), so that a run that finds everything here loads no network at all.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from evalkit.encoders.base import EncoderSpec
from evalkit.encoders.cache_file import (
    FORMAT,
    connect,
    create_tables,
    default_path,
    explained,
    size_on_disk,
    transaction,
)

EmbeddingKind = Literal["image", "text", "pair"]
Vector = npt.NDArray[np.float32]
DigestT = TypeVar("DigestT", bytes, str)

CHUNK = 500
"""Rows per look-up: below the 999 parameters that older builds of SQLite allow."""
SELECT = "SELECT digest, vector, checksum FROM embeddings WHERE encoder = ? AND kind = ? AND digest IN ({marks})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """What a request for an encoder led to, and what must still be so for that to hold."""

    spec: EncoderSpec
    evidence: Mapping[str, Any]
    """JSON; the cache keeps it and gives it no meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedEncoder:
    """One encoder's part of the cache."""

    fingerprint: str
    label: str | None
    """As in a signature; None for an encoder that was never described."""
    n_images: int
    n_texts: int
    n_pairs: int
    """Edited images beside their sources."""
    n_bytes: int
    """Of its vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """What a cache holds."""

    path: str
    format: int
    n_entries: int
    n_bytes: int
    """Size on disk, with the write-ahead log."""
    encoders: tuple[CachedEncoder, ...]


class EmbeddingCache:
    """Vectors and memos in one SQLite file; safe to share between threads and between processes.

    Opened with :meth:`open` or :meth:`in_memory`, best in a ``with`` statement. Every method raises
    :class:`~evalkit.errors.CacheError` where the file cannot be read or written, and leaves it as it was.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path | None = None) -> "EmbeddingCache":
        """The cache in a file, made if it is not there.

        Args:
            path: The file; ``embeddings.sqlite`` in the cache directory by default.

        Raises:
            CacheError: The file or its directory cannot be written, is damaged, belongs to another program or was
                written by a newer evalkit.
        """
        path = default_path() if path is None else path
        return cls(connect(path), path)

    @classmethod
    def in_memory(cls) -> "EmbeddingCache":
        """A cache that lasts as long as the process."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        create_tables(connection)
        return cls(connection, None)

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> "EmbeddingCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get_many(self, fingerprint: str, kind: EmbeddingKind, digests: Sequence[DigestT]) -> dict[DigestT, Vector]:
        """Those of some vectors that are known.

        Args:
            fingerprint: The encoder's, :attr:`EncoderSpec.fingerprint`.
            kind: Whether the content is an image, a text or a pair of images.
            digests: SHA-256 of each content, as 32 bytes or in hexadecimal.

        Returns:
            Digest to ``(dimension,)`` float32, read-only; a row that does not match its own checksum is left out.
        """
        found: dict[DigestT, Vector] = {}
        with self._reading():
            known = self._connection.execute(
                "SELECT id, dimension FROM encoders WHERE fingerprint = ?", [fingerprint]
            ).fetchone()
            if known is None:
                return found
            encoder, dimension = known
            for start in range(0, len(digests), CHUNK):
                wanted: dict[bytes, DigestT] = {_raw(digest): digest for digest in digests[start : start + CHUNK]}
                query = SELECT.format(marks=",".join("?" * len(wanted)))
                for raw, vector, checksum in self._connection.execute(query, [encoder, kind, *wanted]):
                    if len(vector) == 4 * dimension and zlib.crc32(vector) == checksum:
                        found[wanted[raw]] = np.frombuffer(vector, dtype="<f4")
        return found

    def put_many(self, fingerprint: str, kind: EmbeddingKind, vectors: Mapping[DigestT, Vector]) -> None:
        """Keep vectors, all of them or, if the process dies or the disk is full, none.

        Args:
            fingerprint: The encoder's.
            kind: Whether the content is an image, a text or a pair of images.
            vectors: SHA-256 of each content, as 32 bytes or in hexadecimal, to ``(dimension,)`` float32.

        Raises:
            ValueError: The vectors differ in length from each other or from those that are kept.
        """
        if not vectors:
            return
        rows = [
            (_raw(digest), np.ascontiguousarray(vector, dtype="<f4").tobytes()) for digest, vector in vectors.items()
        ]
        sizes = {len(row) // 4 for _, row in rows}
        with self._writing():
            encoder = self._encoder_id(fingerprint, sizes)
            self._connection.executemany(
                "INSERT OR REPLACE INTO embeddings (encoder, kind, digest, vector, checksum) VALUES (?, ?, ?, ?, ?)",
                [(encoder, kind, digest, row, zlib.crc32(row)) for digest, row in rows],
            )

    def recall(self, request: str) -> Memo | None:
        """What is remembered of a request for an encoder; None where nothing is, or in a form no longer understood."""
        with self._reading():
            row = self._connection.execute("SELECT spec, evidence FROM memos WHERE request = ?", [request]).fetchone()
        if row is None:
            return None
        try:
            return Memo(spec=EncoderSpec.from_json(json.loads(row[0])), evidence=json.loads(row[1]))
        except (KeyError, TypeError, ValueError):
            return None

    def remember(self, request: str, memo: Memo) -> None:
        """Keep what a request for an encoder led to."""
        spec = memo.spec
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO memos (request, fingerprint, spec, evidence) VALUES (?, ?, ?, ?)",
                [request, spec.fingerprint, json.dumps(spec.as_json()), json.dumps(memo.evidence)],
            )
            self._label(spec.fingerprint, spec.label)

    def describe(self, fingerprint: str, label: str) -> None:
        """Say what it is that a fingerprint stands for."""
        with self._writing():
            self._label(fingerprint, label)

    def forget(self, request: str) -> None:
        """Drop what is remembered of a request."""
        with self._writing():
            self._connection.execute("DELETE FROM memos WHERE request = ?", [request])

    def info(self) -> CacheInfo:
        """What the cache holds."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT fingerprint, label, COALESCE(dimension, 0),"
                " (SELECT COUNT(*) FROM embeddings WHERE encoder = id AND kind = 'image'),"
                " (SELECT COUNT(*) FROM embeddings WHERE encoder = id AND kind = 'text'),"
                " (SELECT COUNT(*) FROM embeddings WHERE encoder = id AND kind = 'pair')"
                " FROM encoders ORDER BY label IS NULL, label, fingerprint"
            ).fetchall()
        encoders = tuple(
            CachedEncoder(
                fingerprint=fingerprint,
                label=label,
                n_images=images,
                n_texts=texts,
                n_pairs=pairs,
                n_bytes=4 * dimension * (images + texts + pairs),
            )
            for fingerprint, label, dimension, images, texts, pairs in rows
        )
        return CacheInfo(
            path="" if self._path is None else str(self._path),
            format=FORMAT,
            n_entries=sum(encoder.n_images + encoder.n_texts + encoder.n_pairs for encoder in encoders),
            n_bytes=0 if self._path is None else size_on_disk(self._path),
            encoders=encoders,
        )

    def clear(self, fingerprint: str | None = None) -> int:
        """Drop one encoder's vectors and memos, or everything, and give the space back.

        Returns:
            The number of vectors dropped.
        """
        chosen = "" if fingerprint is None else " WHERE fingerprint = ?"
        values = [] if fingerprint is None else [fingerprint]
        with self._writing():
            dropped = self._connection.execute(
                f"DELETE FROM embeddings WHERE encoder IN (SELECT id FROM encoders{chosen})",  # noqa: S608 - fixed text
                values,
            ).rowcount
            self._connection.execute(f"DELETE FROM encoders{chosen}", values)  # noqa: S608 - fixed text
            self._connection.execute(f"DELETE FROM memos{chosen}", values)  # noqa: S608 - fixed text
        with self._lock, suppress(sqlite3.OperationalError):  # as long as others read, the space stays for new rows
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped

    def _label(self, fingerprint: str, label: str) -> None:
        self._connection.execute(
            "INSERT INTO encoders (fingerprint, label) VALUES (?, ?) "
            "ON CONFLICT (fingerprint) DO UPDATE SET label = excluded.label",
            [fingerprint, label],
        )

    def _encoder_id(self, fingerprint: str, sizes: set[int]) -> int:
        self._connection.execute("INSERT OR IGNORE INTO encoders (fingerprint) VALUES (?)", [fingerprint])
        self._connection.execute(
            "UPDATE encoders SET dimension = ? WHERE fingerprint = ? AND dimension IS NULL", [max(sizes), fingerprint]
        )
        encoder, dimension = self._connection.execute(
            "SELECT id, dimension FROM encoders WHERE fingerprint = ?", [fingerprint]
        ).fetchone()
        if sizes != {dimension}:
            raise ValueError(f"vectors of encoder {fingerprint[:12]}: expected length {dimension}, got {sorted(sizes)}")
        return int(encoder)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, explained(self._path, "read"):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, which takes the write lock at once so that it cannot fail half-way for want of it."""
        with (
            self._lock,
            explained(self._path, "written"),
            transaction(self._connection, "IMMEDIATE"),
        ):
            yield


def _raw(digest: bytes | str) -> bytes:
    return bytes.fromhex(digest) if isinstance(digest, str) else digest
