"""Paths and URLs: where evalkit keeps what it can make or fetch again, and what lies inside a folder."""

import os
import re
from collections.abc import Callable
from pathlib import Path

Resolve = Callable[[str], str]
"""From a path to the same path without links, as ``os.path.realpath``."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")


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


def copies_directory() -> Path:
    """Where the local copies of folders behind URLs lie, each in a directory of its own with its URL beside it."""
    return cache_directory() / "remote"


def is_url(text: str) -> bool:
    """Whether a text is a URL, and no path.

    >>> is_url("s3://bucket/edits"), is_url("edits"), is_url("C:/edits")
    (True, False, False)
    """
    return bool(_URL.match(text))


def origin_of(folder: Path) -> str:
    """The URL that a folder is a copy of, else its absolute path."""
    resolved, copies = folder.resolve(), copies_directory().resolve()
    if resolved.is_relative_to(copies):
        digest, _, *below = resolved.relative_to(copies).parts
        return "/".join([(copies / digest / "url").read_text(encoding="utf-8"), *below])
    return str(resolved)


def is_within(path: Path, folder: Path, resolve: Resolve = os.path.realpath) -> bool:
    """Whether a path, with all links followed, is a folder or lies inside it; the folder may itself be a link.

    Args:
        path: Of a file that need not exist.
        folder: Which.
        resolve: Follows the links of a directory. Whoever asks about many files of a folder passes
            ``functools.cache(os.path.realpath)``, so that every directory is looked at once.
    """
    text = os.fspath(path)
    try:
        os.fsencode(text)
        linked = path.is_symlink()
    except (OSError, UnicodeEncodeError):  # no file can have this name: it is too long, or half a character
        return False
    parent, name = os.path.split(text)
    real = os.path.realpath(text) if linked else os.path.join(resolve(parent), name)  # noqa: PTH118 - once per file
    root = resolve(os.fspath(folder))
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def name_within(path: Path, folder: Path, resolve: Resolve = os.path.realpath) -> str | None:
    """A path relative to a folder, with forward slashes; None if it lies outside or leads out.

    Args:
        path: Of a file.
        folder: Which.
        resolve: As for :func:`is_within`.
    """
    if not is_within(path, folder, resolve):
        return None
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (Path.absolute keeps "..", Path.resolve follows links)
    for root in (os.path.abspath(folder), resolve(os.fspath(folder))):  # noqa: PTH100
        if absolute.is_relative_to(root):
            return absolute.relative_to(root).as_posix()
    return path.resolve().relative_to(folder.resolve()).as_posix()
