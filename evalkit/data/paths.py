"""Where evalkit keeps what it can make or fetch again."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """The directory for everything that can be made or fetched again; it may not exist yet.

    ``EVALKIT_CACHE`` where it is set, else ``XDG_CACHE_HOME/evalkit``, else ``~/.cache/evalkit``.
    """
    chosen = os.environ.get("EVALKIT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification has relative paths ignored.
    base = Path(shared) if shared and Path(shared).is_absolute() else Path.home() / ".cache"
    return base / "evalkit"
