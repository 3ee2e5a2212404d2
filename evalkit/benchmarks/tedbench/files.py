"""Finds the photographs of TEdBench and Imagic's published edits, or fetches them: always the official bytes."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from evalkit.benchmarks.tedbench.records import TEDBENCH_URL, official_name, rows, sources
from evalkit.errors import BenchmarkError
from evalkit.formatting import listed
from evalkit.storage.atomic import atomic_write
from evalkit.storage.paths import cache_directory

FIRST_WAIT_S = 0.5
"""Before the first of three retries; each next one waits twice as long."""
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Official:
    """A folder of the authors' repository, every file by its digest."""

    folder: str
    what: str
    digests: Mapping[str, str]
    """File name to SHA-256."""

    def inside(self, data: Path) -> Path | None:
        """Which directory of a copy holds any of the files."""
        for candidate in (data, data / self.folder, data / "tedbench" / self.folder):
            if any((candidate / name).is_file() for name in self.digests):
                return candidate
        return None

    def faults(self, folder: Path) -> list[str]:
        """What is wrong with each file in a directory that has not the official bytes."""
        return [fault for name in self.digests if (fault := self.fault(folder, name))]

    def fault(self, folder: Path, name: str) -> str | None:
        """What is wrong with one file, if anything is."""
        try:
            got = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        return None if got == self.digests[name] else f"{name} has SHA-256 {got}, expected {self.digests[name]}"


def locate(data: Path | None = None, *, near: Path | None = None) -> Path:
    """The directory that holds the 40 photographs, every one with the official bytes.

    A copy may be the folder ``originals`` itself, or hold ``originals`` or ``tedbench/originals``. One that is named,
    by ``data`` or by ``EVALKIT_DATA``, must be the official one; one that merely lies beside ``near`` is passed over
    where it is not.

    Args:
        data: The user's local copy; None looks at ``EVALKIT_DATA``, beside ``near`` and in the cache, and at last
            fetches what is missing there.
        near: The folder that is being scored.

    Raises:
        BenchmarkError: A named copy is incomplete or differs, or the photographs cannot be fetched.
    """
    digests = {source.file_name: source.sha256 for source in sources()}
    return _located(_Official(folder="originals", what="photographs", digests=digests), data, near)


def locate_imagic(data: Path | None = None, *, near: Path | None = None) -> Path:
    """The directory that holds the 100 edits that Imagic's authors published; otherwise as :func:`locate`."""
    digests = {official_name(row.source, row.target_caption): row.imagic_sha256 for row in rows()}
    return _located(_Official(folder="imagic", what="published Imagic edits", digests=digests), data, near)


def _located(official: _Official, data: Path | None, near: Path | None) -> Path:
    if data is not None:
        return _named_copy(official, data)
    looked = []
    if chosen := os.environ.get("EVALKIT_DATA"):
        if official.inside(Path(chosen)) is not None:
            return _named_copy(official, Path(chosen))
        looked.append(f"EVALKIT_DATA={chosen}")
    if near is not None:
        beside = near.resolve().parent
        found = official.inside(beside)
        if found is not None and not official.faults(found):
            return found
        looked.append(str(beside / official.folder))
    return _fetch(official, cache_directory() / "benchmarks" / "tedbench" / official.folder, looked)


def _named_copy(official: _Official, data: Path) -> Path:
    """The files in a copy that the user named."""
    found = official.inside(data)
    if found is None:
        raise BenchmarkError(
            f"TEdBench's {official.what} are not in {data}: expected {next(iter(official.digests))} and "
            f"{len(official.digests) - 1} more there, in its folder {official.folder} or in "
            f"tedbench/{official.folder}. Give the directory with: --data DIR"
        )
    faults = official.faults(found)
    if faults:
        raise BenchmarkError(
            f"The TEdBench copy in {found} is not the official one: {listed(faults, 1)}. "
            f"Put the official files there, or leave --data and EVALKIT_DATA out to have them fetched."
        )
    return found


def _fetch(official: _Official, folder: Path, looked: list[str]) -> Path:
    """Completes the cached copy, file by file: an interrupted fetch goes on where it stopped."""
    base = (os.environ.get("EVALKIT_TEDBENCH_URL") or TEDBENCH_URL).rstrip("/")
    for name in official.digests:
        if official.fault(folder, name) is not None:
            _put(folder / name, _download(official, name, f"{base}/{official.folder}/{quote(name)}", looked))
    return folder


def _download(official: _Official, name: str, url: str, looked: list[str]) -> bytes:
    """One file from upstream, verified."""
    from huggingface_hub.errors import HTTPError as AnyHTTPError  # type: ignore[attr-defined]  # re-exported
    from huggingface_hub.utils import http_backoff  # type: ignore[attr-defined]  # exported lazily

    ways_out = "Give a local copy with --data DIR or EVALKIT_DATA, or try again with a network."
    try:
        with _without_remarks("huggingface_hub"):
            response = http_backoff("GET", url, max_retries=3, base_wait_time=FIRST_WAIT_S, timeout=TIMEOUT_S)
        response.raise_for_status()
    except (AnyHTTPError, OSError) as failure:
        elsewhere = f" They were not found in {', '.join(looked)} either." if looked else ""
        reason = (str(failure).strip().splitlines() or [""])[0].rstrip(".")
        raise BenchmarkError(
            f"TEdBench's {official.what} could not be fetched: {url} failed with {type(failure).__name__}: {reason}."
            f"{elsewhere} {ways_out}"
        ) from failure
    content: bytes = response.content
    got = hashlib.sha256(content).hexdigest()
    if got != official.digests[name]:
        raise BenchmarkError(
            f"{url} is not the official file: expected SHA-256 {official.digests[name]}, got {got} "
            f"({len(content)} bytes). {ways_out}"
        )
    return content


@contextmanager
def _without_remarks(library: str) -> Iterator[None]:
    """Keeps a library from announcing every retry: if all fail, ours is the one message."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _put(path: Path, content: bytes) -> None:
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise BenchmarkError(
            f"{path.name} was fetched and cannot be kept in {path.parent}: {error.strerror}. "
            f"Choose another cache directory with: EVALKIT_CACHE=DIR"
        ) from error
