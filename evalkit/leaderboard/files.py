"""The one place that opens a file of the leaderboard: anybody may send some, and only plain files are read."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from evalkit.errors import EntryError
from evalkit.storage.files import file_fault, open_regular, read_regular

ENTRIES = "entries"
CARDS = "methods"
PICTURES = "pictures"
JUDGED = "judgements"
VOTES = "votes"
LIMITS = {".jsonl": 16 << 20, ".json": 1 << 20, ".png": 64 << 10}
"""Bytes of a file with a line per edit, of a record, and of a picture."""
OTHERS = 256 << 10
"""Bytes of any other file: a card, a table of the literature, a template."""
_FOLDERS = {ENTRIES: 4, VOTES: 4, CARDS: 1, "reported": 1, "schema": 1}
"""So many folders, itself included, lie inside of each other."""
_TOP = frozenset((name,) for name in (*_FOLDERS, "site"))
_TEMPLATES_DEPTH = 4
_JUDGED_DEPTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """Something below the leaderboard that is not read, and why."""

    path: Path
    reason: str


def open_file(path: Path) -> BufferedReader:
    """A file of the leaderboard: a regular one, of one name, within the limit for its kind.

    Raises:
        OSError: It is not; ``strerror`` says what it is instead.
    """
    return open_regular(path, limit=_limit(path), alone=True)


def read_file(path: Path) -> bytes:
    """The bytes of a file of the leaderboard.

    Raises:
        EntryError: It is not there, or not one that :func:`open_file` opens.
    """
    try:
        return read_regular(path, limit=_limit(path), alone=True)
    except OSError as failure:
        raise EntryError(f"{path} cannot be read: {failure.strerror or failure}.") from None


def file_faults(root: Path, folder: Path) -> Iterator[FileFault]:
    """Everything in a folder of the leaderboard that is no plain file in the place of one; nothing is opened.

    Args:
        root: The leaderboard's.
        folder: It, or a folder below. A link on the way there is a fault too.
    """
    if fault := link_fault(root, folder):
        yield fault
    else:
        yield from _faults_in(root, folder)


def link_fault(root: Path, path: Path) -> FileFault | None:
    """The first link on the way from the leaderboard's root to a path, which is the last to be looked at."""
    below = [part for part in (path, *path.parents) if root in part.parents]
    link = next((part for part in reversed(below) if part.is_symlink()), None)
    return FileFault(path=link, reason="it is a symbolic link") if link else None


def _faults_in(root: Path, folder: Path) -> Iterator[FileFault]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
    except OSError as failure:
        yield FileFault(path=folder, reason=f"it cannot be listed: {failure.strerror}")
        return
    for name, status in found:
        path = folder / name
        parts = path.relative_to(root).parts
        if parts[0].startswith("."):  # such as git's own, in which nothing of ours lies
            continue
        if stat.S_ISDIR(status.st_mode):
            if _may_be_folder(parts):
                yield from _faults_in(root, path)
            else:
                yield FileFault(path=path, reason="it is a folder, and no folder belongs there")
        elif fault := file_fault(status, limit=_limit(path), alone=True):
            yield FileFault(path=path, reason=fault)
        elif parts in _TOP or (parts[-1] in (PICTURES, JUDGED) and _may_be_folder(parts)):
            yield FileFault(path=path, reason="it is a file, and a folder belongs there")


def _may_be_folder(parts: tuple[str, ...]) -> bool:
    """Whether something at this place is looked into."""
    depth = _FOLDERS.get(parts[0], _TEMPLATES_DEPTH)
    if parts[0] != ENTRIES or len(parts) <= depth:
        return len(parts) <= depth
    below = parts[depth:]
    return below == (PICTURES,) or (below[0] == JUDGED and len(below) <= _JUDGED_DEPTH)


def _limit(path: Path) -> int:
    return LIMITS.get(path.suffix, OTHERS)
