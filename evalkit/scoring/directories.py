"""What runs are called, and the directories that they are written to, where nobody says it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evalkit.edits.folder import EditFolder
from evalkit.errors import RunError
from evalkit.scores.run import RUNS, check_destination
from evalkit.storage.names import file_stem


def run_directory(name: str, parent: Path = RUNS) -> Path:
    """Where the run of a name is written; below ``parent``, whatever the name is."""
    return parent / file_stem(name)


def names_of_runs(folders: Sequence[EditFolder], parent: Path = RUNS) -> list[str]:
    """A name for the run of each folder, so that each has a directory of its own below ``parent``.

    A folder's own name, with as many of the folders around it as tell it from the others and from what other folders'
    runs that lie there are called; a number where these do not help. Scored again, it gets the same name.

    Args:
        folders: Different ones.
        parent: Where the run directories will lie.
    """
    origins = [folder.origin for folder in folders]
    levels = [0] * len(folders)
    while True:
        names = [_name(folder, level) for folder, level in zip(folders, levels, strict=True)]
        directories = [run_directory(name, parent) for name in names]
        # Some file systems take upper case for lower.
        uses = Counter(directory.name.casefold() for directory in directories)
        clashing = [
            index
            for index, (directory, origin) in enumerate(zip(directories, origins, strict=True))
            if uses[directory.name.casefold()] > 1 or _is_taken(directory, origin)
        ]
        if not clashing:
            return names
        for index in clashing:
            # Folders that no name of theirs tells apart must not be counted on together.
            steps = 1 + clashing.index(index) if levels[index] >= _depth(folders[index]) else 1
            levels[index] += steps


def _name(folder: EditFolder, level: int) -> str:
    """A folder's name with that many folders above it, or beyond all of them with a number."""
    parts = folder.root.resolve().parts[1:]
    if level == 0:
        return folder.name
    if level > _depth(folder):
        return f"{folder.name}-{level - _depth(folder) + 1}"
    return f"{folder.method}-{'-'.join(parts[-level:])}" if folder.method else "-".join(parts[-level - 1 :])


def _depth(folder: EditFolder) -> int:
    """How many folders a name can be told apart by."""
    return len(folder.root.resolve().parts) - (1 if folder.method else 2)


def _is_taken(directory: Path, origin: str) -> bool:
    """Whether a directory holds something else than a run of the folder."""
    try:
        check_destination(directory, origin)
    except RunError:
        return True
    return False
