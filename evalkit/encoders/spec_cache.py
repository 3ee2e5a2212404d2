"""What an encoder turned out to be in an earlier run, believed as long as everything that it came from is unchanged.

To compute a specification the weights must be read: half a gigabyte, after ten seconds of imports, for a usual
network. A run that finds all its vectors in the cache needs nothing but that specification.
"""

import json
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from evalkit.encoders.base import DType, EncoderSpec, Loaded
from evalkit.encoders.cache import EmbeddingCache, Memo
from evalkit.errors import CacheError

OWN_FILES = tuple(sorted(Path(__file__).parent.glob("*.py")))
"""Our own code takes part in every number."""


class SpecMemory:
    """The place in a cache where the specification behind one request is kept.

    A cache that fails is no reason to stop here: the network is read instead, and whoever puts vectors into the cache
    hears of it.

    Args:
        cache: Where to; None remembers nothing.
        spec: What the user asked for.
        dtype: What the network computes in.
        compiled: Whether its operations are fused.
    """

    def __init__(self, cache: EmbeddingCache | None, spec: str, dtype: DType, *, compiled: bool = False) -> None:
        self._cache = cache
        self._request = json.dumps([spec, dtype, _paths(spec), *(["compiled"] if compiled else [])])

    def recall(self) -> EncoderSpec | None:
        """The specification, if it is remembered and nothing behind it has changed."""
        memo = None
        if self._cache is not None:
            with suppress(CacheError):
                memo = self._cache.recall(self._request)
        return memo.spec if memo and _is_unchanged(memo) else None

    def remember(self, loaded: Loaded) -> None:
        """Keep what was loaded, unless it does not say which files it came from."""
        if self._cache is not None and loaded.files:
            evidence = {
                "files": {str(path.absolute()): _identity(path) for path in (*loaded.files, *OWN_FILES)},
                "versions": {library: _version(library) for library in loaded.libraries},
            }
            with suppress(CacheError):
                self._cache.remember(self._request, Memo(spec=loaded.encoder.spec, evidence=evidence))

    def forget(self) -> None:
        """Drop what is remembered."""
        if self._cache is not None:
            with suppress(CacheError):
                self._cache.forget(self._request)


def _paths(spec: str) -> list[str]:
    """The existing files that a specification may mean: the same words mean others in another working directory."""
    _, _, argument = spec.partition(":")
    candidates = (argument, argument.partition("/")[2], argument.partition(":")[2])
    paths = [Path(candidate).expanduser() for candidate in candidates if candidate]
    return [str(path.absolute()) for path in paths if path.exists()]


def _is_unchanged(memo: Memo) -> bool:
    files, versions = memo.evidence["files"], memo.evidence["versions"]
    return all(_version(library) == version for library, version in versions.items()) and all(
        _identity(Path(path)) == identity for path, identity in files.items()
    )


def _identity(path: Path) -> list[str | int] | None:
    """Where a path leads to, and size and time of change of what is there; None where there is nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
