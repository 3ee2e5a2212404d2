"""Files that are there whole or not at all."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DRAFT = re.compile(r"\..+\.\d+\.\d+")
"""Name, process, thread."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` in one step when the block ends well.

    Whoever reads ``path`` meanwhile sees the old file or the new; if the block fails, or is never finished, the old.
    The folder is made if it is not there.

    Args:
        path: The file that is wanted.

    Raises:
        OSError: The folder or the file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "card.md") as temporary:
        ...         _ = temporary.write_text("# A card")
        ...     [file.name for file in Path(folder).iterdir()]
        ['card.md']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        with temporary.open("rb") as file:  # a full disk may show only here
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the drafts that killed writers left in a folder and below; nobody may be writing there now.

    Raises:
        OSError: One of them cannot be removed.
    """
    for path in folder.rglob(".*"):
        if _DRAFT.fullmatch(path.name) and path.is_file():
            path.unlink()
