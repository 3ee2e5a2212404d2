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


class Fence:
    """The border of a folder: what may be read through it is what lies inside, wherever the folder itself lies.

    The directories that were looked at are remembered, so that asking about every file of a folder is linear.
    """

    def __init__(self, root: Path) -> None:
        self._given = os.path.abspath(root)  # noqa: PTH100  (Path.absolute keeps "..", Path.resolve follows links)
        self._real = os.path.realpath(root)
        self._parents: dict[str, str] = {}

    def holds(self, path: Path) -> bool:
        """True if ``path``, with all links followed, is the folder or lies inside it."""
        text = os.fspath(path)
        try:
            os.fsencode(text)
            linked = path.is_symlink()
        except (OSError, UnicodeEncodeError):  # no file can have this name: it is too long, or half a character
            return False
        if linked:
            real = os.path.realpath(text)
        else:
            parent, name = os.path.split(text)  # hot: once per file
            if parent not in self._parents:
                self._parents[parent] = os.path.realpath(parent)
            real = os.path.join(self._parents[parent], name)  # noqa: PTH118
        return real == self._real or real.startswith(self._real.rstrip(os.sep) + os.sep)

    def relative(self, path: Path) -> str | None:
        """``path`` relative to the folder, with forward slashes; None if it lies outside or leads out."""
        if not self.holds(path):
            return None
        absolute = os.path.abspath(path)  # noqa: PTH100
        for root in (self._given, self._real):
            if absolute.startswith(root.rstrip(os.sep) + os.sep):
                return Path(os.path.relpath(absolute, root)).as_posix()
        return Path(os.path.relpath(os.path.realpath(path), self._real)).as_posix()
