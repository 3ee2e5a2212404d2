"""Files that are there whole or not at all, and folders whose files change together.

What is being written lies in a *draft* beside its place: a file or a folder ``.NAME.PROCESS.THREAD``, locked as long as
it is written. The lock goes with the process, however that ends, so that a draft without one is known to be left over,
and the next who writes to that place removes it.
"""

import os
import re
import shutil
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_DRAFT = re.compile(r"\.(.+)\.\d+\.\d+")
"""Name, process, thread."""
_UPDATE = ".evalkit-update"
"""The folder in a folder that holds all its new files, until they are in their places."""


@contextmanager
def atomic_write(path: Path, *, tidy: bool = True) -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` in one step when the block ends well.

    Whoever reads ``path`` meanwhile sees the old file or the new; if the block fails, or is never finished, the old.
    The folder is made if it is not there.

    Args:
        path: The file that is wanted.
        tidy: Whether drafts of this file that killed writers left are looked for, which reads the folder; not needed
            after :func:`remove_leftovers`.

    Raises:
        OSError: The folder or the file cannot be written; ``filename`` is ``path``.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "card.md") as temporary:
        ...         _ = temporary.write_text("# A card")
        ...     [file.name for file in Path(folder).iterdir()]
        ['card.md']
    """
    draft = _draft_of(path)
    try:
        with _naming(draft, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if tidy:
                remove_drafts_of(path)
            with _locked(draft, os.O_RDWR | os.O_CREAT):
                yield draft
                with draft.open("rb") as file:  # a full disk may show only here
                    os.fsync(file.fileno())
                draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_update(folder: Path) -> Iterator[Path]:
    """An empty folder to write to, whose files all take their places in ``folder`` when the block ends well.

    If the block fails, or is never finished, ``folder`` stays as it was. Once all are written they are moved in; who is
    killed meanwhile has it completed by :func:`finish_update`, which the next update calls. Files of other names stay.

    Args:
        folder: The folder that is wanted; made if it is not there.

    Raises:
        OSError: The folder or one of its files cannot be written.
    """
    finish_update(folder)
    draft = _draft_of(folder / _UPDATE)
    try:
        with _naming(draft, folder):
            draft.mkdir(parents=True)
            with _locked(draft, os.O_RDONLY):
                yield draft
                draft.rename(folder / _UPDATE)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    finish_update(folder)


def finish_update(folder: Path) -> bool:
    """Completes the update of a folder whose writer was killed after all was written, and removes drafts of others.

    Returns:
        Whether there was one to complete.

    Raises:
        OSError: The folder cannot be written.
    """
    remove_drafts_of(folder / _UPDATE)
    ready = folder / _UPDATE
    if ready.is_symlink() or not ready.is_dir():
        return False
    for path in sorted(found for found in ready.rglob("*") if not found.is_dir()):
        place = folder / path.relative_to(ready)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    shutil.rmtree(ready)
    return True


def names_in_folder(folder: Path, ours: Collection[str] = ()) -> set[str]:
    """The names in a folder, without drafts of our own files and of updates: empty too where the folder is not there.

    Args:
        folder: Which.
        ours: The names of the files that are written there; what looks like the draft of another is somebody's file.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    drafts = {name for name in names if (draft := _DRAFT.fullmatch(name)) and draft[1] in {*ours, _UPDATE}}
    return names - drafts - {_UPDATE}


def remove_leftovers(folder: Path) -> None:
    """Removes the drafts that killed writers left in a folder of ours and below.

    Raises:
        OSError: One of them cannot be removed.
    """
    for path in sorted(folder.rglob(".*")):
        if _DRAFT.fullmatch(path.name):
            _remove_if_left(path)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")


def remove_drafts_of(path: Path) -> None:
    """Removes the drafts of a file that killed writers left.

    Raises:
        OSError: One of them cannot be removed.
    """
    prefix, left = f".{path.name}.", list[str]()
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        left = [entry.name for entry in entries if entry.name.startswith(prefix)]  # many files, hardly ever a draft
    for name in left:
        if (draft := _DRAFT.fullmatch(name)) and draft[1] == path.name:
            _remove_if_left(path.with_name(name))


@contextmanager
def _locked(draft: Path, flags: int) -> Iterator[None]:
    """Shows others that a draft is being written."""
    if sys.platform == "win32":  # where nobody can remove a file that is open
        yield
        return
    descriptor = os.open(draft, flags | os.O_CLOEXEC, 0o666)
    try:
        with suppress(OSError):  # a file system without locks: all its drafts count as being written
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_left(draft: Path) -> None:
    """Removes a draft that nobody is writing."""
    if sys.platform == "win32" or draft.is_symlink() or not (draft.is_file() or draft.is_dir()):
        return
    with suppress(FileNotFoundError):  # another was faster
        descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        else:
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def _naming(draft: Path, path: Path) -> Iterator[None]:
    """Has errors of writing name what was to be written, and not its draft."""
    try:
        yield
    except OSError as error:
        given = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | os.PathLike)]
        named = [name for name in map(Path, map(os.fsdecode, given)) if name.is_relative_to(draft)]
        if error.errno is not None and (named or not given):
            error.filename = str(path / named[0].relative_to(draft) if named else path)
            error.strerror = os.strerror(error.errno)
            del error.filename2  # None would be shown as a second name
        raise
