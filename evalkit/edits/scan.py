"""The files of a folder: which are images, which are not, and which must not be touched."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.edits.item import Problem
from evalkit.edits.manifest import MANIFEST_NAME, RECIPE_NAME
from evalkit.edits.names import composed
from evalkit.edits.problems import shown
from evalkit.images.decode import IMAGE_SUFFIXES, sniff_format
from evalkit.storage.paths import Resolve, is_within
from evalkit.storage.tensors import ARTEFACT_SUFFIX

MAX_FOLDERS = 64
"""Sub-folders inside of each other that are listed."""
_JUNK = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})
"""What operating systems leave behind, beside names that begin with a full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What lies below a folder, in the order of the names."""

    root: Path
    images: tuple[Path, ...]
    """Files with the suffix or the first bytes of an image format that is read."""
    problems: tuple[Problem, ...]
    """Links that are not followed, folders that cannot be listed, files that are neither images nor artefacts."""

    @property
    def other_files(self) -> list[Path]:
        """Files that are no images."""
        others = (problem.path for problem in self.problems if problem.code == "other_file")
        return [path for path in others if isinstance(path, Path)]


def scan_folder(root: Path) -> Scan:
    """Lists a folder and its sub-folders.

    Hidden files, hidden folders and what operating systems leave behind are passed over. A symbolic link is followed
    if it leads to a file inside the folder; the folder itself may be reached through one.
    """
    resolve = functools.cache(os.path.realpath)
    images: list[Path] = []
    problems: list[Problem] = []
    for found in _walk(root, root, resolve):
        if isinstance(found, Problem):
            problems.append(found)
        elif found.suffix.lower() in IMAGE_SUFFIXES or sniff_format(found):
            images.append(found)
        elif found not in (root / MANIFEST_NAME, root / RECIPE_NAME) and found.suffix != ARTEFACT_SUFFIX:
            problems.append(Problem(code="other_file", message=f"{shown(found, root)} is no image.", path=found))
    return Scan(root=root, images=tuple(images), problems=tuple(problems))


def _walk(folder: Path, root: Path, resolve: Resolve) -> Iterator[Path | Problem]:
    """The files below a folder, in an order that does not depend on the file system."""
    if len(folder.relative_to(root).parts) > MAX_FOLDERS:
        message = f"{shown(folder, root):.40}… lies more than {MAX_FOLDERS} folders deep and is not listed."
        yield Problem(code="unreadable_folder", message=message, path=folder)
        return
    try:
        with os.scandir(folder) as entries:
            found = sorted((composed(entry.name), entry.name, _kind(entry)) for entry in entries)
    except OSError as error:
        name = shown(folder, root)
        yield Problem(code="unreadable_folder", message=f"{name} cannot be listed: {error.strerror}.", path=folder)
        return
    for _, name, kind in found:
        if name.startswith(".") or name.lower() in _JUNK:
            continue
        path = folder / name
        if not _is_text(name):
            message = f"{shown(path, root)} has a name that is not UTF-8 and is not looked at. Rename it."
            yield Problem(code="unreadable_name", message=message, path=path)
        elif kind == "link":
            yield from _link(path, root, resolve)
        elif kind == "folder":
            yield from _walk(path, root, resolve)
        elif kind == "file":
            yield path
        else:  # a pipe, a socket or a device: reading it could wait for ever
            yield Problem(code="other_file", message=f"{shown(path, root)} is no regular file.", path=path)


def _is_text(name: str) -> bool:
    """Whether a manifest can hold a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"


def _link(path: Path, root: Path, resolve: Resolve) -> Iterator[Path | Problem]:
    """A link to a file inside is that file; a link to a folder inside is passed over, as its files are seen anyway."""
    name = shown(path, root)
    if not is_within(path, root, resolve):
        yield Problem(
            code="symlink_outside_folder", message=f"{name} leads out of the folder and is not followed.", path=path
        )
    elif not path.exists():
        yield Problem(code="broken_link", message=f"{name} is a symbolic link to nothing.", path=path)
    elif path.is_file():
        yield path
