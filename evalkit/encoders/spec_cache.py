"""Specifications of encoders from earlier runs, believed as long as everything that they came from is unchanged.

To compute a specification the weights must be read: half a gigabyte, after ten seconds of imports, for a usual
network. A run that finds all its vectors in the cache needs nothing but that specification.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evalkit.encoders.base import DType, EncoderSpec
from evalkit.encoders.cache import FeatureCache
from evalkit.encoders.digest import library_versions
from evalkit.errors import CacheError

OWN_FILES = tuple(sorted(Path(__file__).parent.glob("*.py")))
"""Our own code takes part in every number."""


class SpecCache:
    """Where the specification behind one request is kept.

    A cache that fails is no reason to stop here: the network is read instead, and whoever keeps vectors hears of it.

    Args:
        cache: Where to; None keeps nothing.
        spec: What the user asked for.
        dtype: What the network computes in.
        compiled: Whether its operations are fused.
    """

    def __init__(self, cache: FeatureCache | None, spec: str, dtype: DType, *, compiled: bool = False) -> None:
        self._cache = cache
        self._request = json.dumps([spec, dtype, _paths(spec), *(["compiled"] if compiled else [])])

    def find(self) -> EncoderSpec | None:
        """The specification, if it is known and no file or library behind it has changed."""
        with suppress(CacheError, KeyError, TypeError, ValueError):
            facts = self._cache.recall(self._request) if self._cache is not None else None
            if facts and all(_state(Path(path)) == state for path, state in facts["files"].items()):
                spec = EncoderSpec.from_json(facts["spec"])
                return spec if library_versions(name for name, _ in spec.libraries) == spec.libraries else None
        return None

    def keep(self, spec: EncoderSpec, files: Iterable[Path]) -> None:
        """Keep a specification, with the state of the files that it came from."""
        if self._cache is not None:
            states = {str(path.absolute()): _state(path) for path in (*files, *OWN_FILES)}
            with suppress(CacheError):
                self._cache.remember(self._request, spec.cache_key, {"spec": spec.as_json(), "files": states})
                self._cache.describe(spec.cache_key, spec.label)

    def forget(self) -> None:
        """Drop what is known."""
        if self._cache is not None:
            with suppress(CacheError):
                self._cache.forget(self._request)


def _paths(spec: str) -> list[str]:
    """The existing files that a specification may mean: the same words mean others in another working directory."""
    _, _, argument = spec.partition(":")
    candidates = (argument, argument.partition("/")[2], argument.partition(":")[2])
    paths = [Path(candidate).expanduser() for candidate in candidates if candidate]
    return [str(path.absolute()) for path in paths if path.exists()]


def _state(path: Path) -> list[str | int] | None:
    """Where a path leads to, and size and time of change of what is there; None where there is nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]
