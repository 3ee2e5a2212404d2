"""Whether somebody wrote to a folder while it was scored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evalkit.edits.folder import EditFolder
from evalkit.edits.item import Problem
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.edits.problems import shown
from evalkit.images.decode import IMAGE_SUFFIXES
from evalkit.images.stored import State, file_state
from evalkit.storage.paths import is_url


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a folder at a moment: the manifest, those of its items, and the images beside these."""

    states: Mapping[Path, State | None]
    """None: it is not there."""

    @classmethod
    def of(cls, folder: EditFolder) -> Self:
        """What is there now; no file is read."""
        return cls({path: _state(path) for path in dict.fromkeys(_files(folder))})

    def changes(self, folder: EditFolder) -> list[Problem]:
        """What was written, added or removed since, one problem for each file."""
        now = Snapshot.of(folder).states
        owners = {
            path: item.item_id for item in reversed(folder.items) for path in item.images if isinstance(path, Path)
        }
        problems = []
        for path in dict.fromkeys([*self.states, *now]):
            before, after = self.states.get(path), now.get(path)
            if before != after:
                what = "was added" if before is None else "was removed" if after is None else "was written"
                message = f"{shown(path, folder.root)} {what} while the folder was scored. Score it again."
                problems.append(
                    Problem(code="changed_while_scored", message=message, path=path, item_id=owners.get(path))
                )
        return problems


def _files(folder: EditFolder) -> Iterator[Path]:
    yield folder.root / MANIFEST_NAME
    folders = {folder.root}
    for item in folder.items:
        for image in item.images:
            if isinstance(image, Path):
                yield image
            elif not is_url(image.location):
                yield Path(image.location)
        if isinstance(item.edited_image, Path):
            folders.add(item.edited_image.parent)
    for parent in sorted(folders):
        if parent.is_dir():
            yield from sorted(path for path in parent.iterdir() if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _state(path: Path) -> State | None:
    try:
        return file_state(path)
    except OSError:
        return None
