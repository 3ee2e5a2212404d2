"""Finds the photographs of TEdBench, or fetches them; whatever is returned has the official bytes."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.benchmarks.tedbench.records import ORIGINALS_URL, SourceRow, source_url, sources
from evalkit.errors import BenchmarkError
from evalkit.formatting import listed
from evalkit.storage.atomic import atomic_write
from evalkit.storage.paths import cache_directory

FIRST_WAIT_S = 0.5
"""Before the first of three retries; each next one waits twice as long."""
TIMEOUT_S = 30.0


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
    if data is not None:
        return _named_copy(data)
    looked = []
    if chosen := os.environ.get("EVALKIT_DATA"):
        if _originals(Path(chosen)) is not None:
            return _named_copy(Path(chosen))
        looked.append(f"EVALKIT_DATA={chosen}")
    if near is not None:
        beside = near.resolve().parent
        found = _originals(beside)
        if found is not None and not _faults(found, sources()):
            return found
        looked.append(str(beside / "originals"))
    return _fetch(cache_directory() / "benchmarks" / "tedbench" / "originals", looked)


def _named_copy(data: Path) -> Path:
    """The photographs in a copy that the user named."""
    found = _originals(data)
    if found is None:
        raise BenchmarkError(
            f"TEdBench's photographs are not in {data}: expected {sources()[0].file_name} and {len(sources()) - 1} "
            f"more there, in its folder originals or in tedbench/originals. Give the directory with: --data DIR"
        )
    faults = _faults(found, sources())
    if faults:
        raise BenchmarkError(
            f"The TEdBench copy in {found} is not the official one: {listed(faults, 1)}. "
            f"Put the official files there, or leave --data and EVALKIT_DATA out to have them fetched."
        )
    return found


def _originals(data: Path) -> Path | None:
    """Which directory of a copy holds any of the photographs."""
    for candidate in (data, data / "originals", data / "tedbench" / "originals"):
        if any((candidate / source.file_name).is_file() for source in sources()):
            return candidate
    return None


def _faults(folder: Path, expected: Iterable[SourceRow]) -> list[str]:
    """What is wrong with each photograph in ``folder`` that has not the official bytes."""
    return [fault for source in expected if (fault := _fault(folder / source.file_name, source))]


def _fault(path: Path, source: SourceRow) -> str | None:
    try:
        got = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return f"{source.file_name} is missing"
    except OSError as error:
        return f"{source.file_name} cannot be read ({error.strerror})"
    if got != source.sha256:
        return f"{source.file_name} has SHA-256 {got}, expected {source.sha256}"
    return None


def _fetch(folder: Path, looked: list[str]) -> Path:
    """Completes the cached copy, file by file: an interrupted fetch goes on where it stopped."""
    base = os.environ.get("EVALKIT_TEDBENCH_URL") or ORIGINALS_URL
    for source in sources():
        if _fault(folder / source.file_name, source) is not None:
            _put(folder / source.file_name, _download(source, source_url(source.file_name, base), looked))
    return folder


def _download(source: SourceRow, url: str, looked: list[str]) -> bytes:
    """One photograph from upstream, verified."""
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
            f"TEdBench's photographs could not be fetched: {url} failed with {type(failure).__name__}: {reason}."
            f"{elsewhere} {ways_out}"
        ) from failure
    content: bytes = response.content
    got = hashlib.sha256(content).hexdigest()
    if got != source.sha256:
        raise BenchmarkError(
            f"{url} is not the official file: expected SHA-256 {source.sha256}, got {got} "
            f"({len(content)} bytes instead of {source.n_bytes}). {ways_out}"
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
