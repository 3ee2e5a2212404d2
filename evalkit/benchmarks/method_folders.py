"""Folders that hold a folder for each of several methods."""

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit.benchmarks.open import open_edits
from evalkit.edits.folder import EditFolder
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.errors import EvalkitError, LayoutError
from evalkit.scores.run import RECORD

_SEED = re.compile(r"(?:seeds?[ _=-]?)?\d+", re.IGNORECASE)
MOST = 64
"""Sub-folders that are tried; of more nobody would think that each is a method's."""


def sub_folders(root: Path, apart: Iterable[Path | None] = ()) -> list[Path]:
    """The folders in a folder, by name, each once; hidden ones and those of runs are passed over.

    Args:
        root: Which.
        apart: Files and folders that are no edits; what is or holds one of them is passed over too.

    Raises:
        LayoutError: There is none.
    """
    others = [path.resolve() for path in apart if path]
    found: dict[Path, Path] = {}
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "__")) and not _holds_runs(path):
            real = path.resolve()
            if not any(other.is_relative_to(real) for other in others):
                found.setdefault(real, path)
    if not found:
        raise LayoutError(f"{root} was expected to hold a folder for each method, and holds no folder.")
    return list(found.values())


def _holds_runs(folder: Path) -> bool:
    """Whether a folder is a run directory, or has run directories in it."""
    with suppress(OSError):  # whoever opens it says that it cannot be listed
        return any((path / RECORD).is_file() for path in (folder, *filter(Path.is_dir, folder.iterdir())))
    return False


def method_folders(root: Path, options: dict[str, Any]) -> list[Path]:
    """The sub-folders of a folder that are a method's each: those that hold edits when they are opened by themselves.

    Args:
        root: The folder.
        options: What :func:`open_edits` is to know of each; folders of edit types and of seeds are no methods'.
    """
    apart = [path for path in options.values() if isinstance(path, Path)]
    found = []
    try:
        candidates = sub_folders(root, apart)
    except (LayoutError, OSError):
        return []
    if len(candidates) > MOST or all(_SEED.fullmatch(path.name) for path in candidates):
        return []
    for path in candidates:
        try:
            folder = open_edits(path, **options).folder
            # A folder that is called as a kind of edits is that kind's.
            if folder.n_edited and path.name not in {item.edit_type for item in folder.items}:
                found.append(path)
        except EvalkitError:
            continue
    return found


def explains_little(folder: EditFolder) -> bool:
    """Whether a folder may be several methods' edits: nothing in it is understood, all twice, or it holds manifests."""
    if folder.layout == "item_id" and sum(1 for _ in islice(folder.root.glob(f"*/{MANIFEST_NAME}"), 2)) > 1:
        return True
    twice = {problem.item_id for problem in folder.problems if problem.code == "duplicate_item"}
    return folder.n_edited == 0 or 2 * len(twice) >= folder.n_items
