"""Folders of small images, and what was made of them in a form that is easy to compare."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.item import EditItem
from tests.support.pictures import encoded, scene

PICTURE = encoded(scene(8, 8))


def put(folder: Path, names: Iterable[str]) -> Path:
    """Writes an image under each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURE)
    return folder


def items_named(*ids: str, sources: Mapping[str, Path] | None = None) -> ExpectedItems:
    """A benchmark of these items, without official names."""
    items = tuple(EditItem(item_id=i, target_caption=f"about {i}", source_image=(sources or {}).get(i)) for i in ids)
    names = {item_id: path.name for item_id, path in (sources or {}).items()}
    return ExpectedItems(benchmark="mine", items=items, source_names=names)


def pairs(folder: EditFolder) -> dict[str, str | None]:
    """Each item's label with the file it got, relative to the folder."""
    return {
        item.label: item.edited_image.relative_to(folder.root).as_posix() if item.edited_image else None
        for item in folder.items
    }


def codes(folder: EditFolder) -> list[tuple[str, str | None]]:
    """Code of each problem, with its item or else its file."""
    return [
        (problem.code, problem.item_id or problem.path.relative_to(folder.root).as_posix())
        for problem in folder.problems
    ]
