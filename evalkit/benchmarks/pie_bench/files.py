"""The user's copy of PIE-Bench: where it lies, and the edits that its mapping file lists."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.benchmarks.pie_bench.masks import mask_picture
from evalkit.edits.item import EditItem
from evalkit.errors import BenchmarkError, ImageError
from evalkit.images.decode import image_digest, image_size
from evalkit.storage.documents import read_json

MAPPING = "mapping_file.json"
MAX_BYTES = 64 << 20
"""Of the mapping file, which holds a mask of each image."""
IMAGES = "annotation_images"
_READERS = 8


class _Entry(BaseModel):
    """One edit of the mapping file."""

    model_config = ConfigDict(frozen=True)

    image_path: str
    original_prompt: str
    editing_prompt: str
    editing_instruction: str
    editing_type_id: int
    mask: list[int]


def locate(data: Path | None = None, *, near: Path | None = None) -> Path:
    """The directory that holds the mapping file and the images.

    Args:
        data: The user's copy, or what holds it as ``data`` or ``PIE-Bench_v1``; None looks at ``EVALKIT_DATA``, and
            then beside ``near`` and above.
        near: The folder that is being scored.

    Raises:
        BenchmarkError: There is no copy where it was looked for.
    """
    named = data or (Path(os.environ["EVALKIT_DATA"]) if os.environ.get("EVALKIT_DATA") else None)
    above = [] if named or near is None else list(near.resolve().parents[:3])
    for place in [named] if named else above:
        for candidate in (place, place / "data", place / "PIE-Bench_v1"):
            if (candidate / MAPPING).is_file() and (candidate / IMAGES).is_dir():
                return candidate
    looked = f"There is none in {named}. " if named else ""
    raise BenchmarkError(
        f"PIE-Bench is read from your own copy, a directory with {MAPPING} and {IMAGES}. {looked}Its authors hand it "
        "out (see https://github.com/cure-lab/PnPInversion); then give the directory with: --data DIR"
    )


def digest_of(root: Path) -> str:
    """SHA-256 of the mapping file, in hexadecimal: which copy the items come from."""
    return hashlib.sha256((root / MAPPING).read_bytes()).hexdigest()


def read_items(root: Path, edit_types: Sequence[str]) -> tuple[EditItem, ...]:
    """The edits of a copy, in the order of its mapping file.

    Args:
        root: What :func:`locate` returned.
        edit_types: Our names of the published types, by their numbers.

    Returns:
        Items with paths relative to ``root``, but for the masks, whose pictures lie in the cache. Images with the same
        bytes are one group.

    Raises:
        BenchmarkError: The mapping file cannot be read, or an image is absent or damaged.
    """
    entries = _entries(root / MAPPING)
    with ThreadPoolExecutor(_READERS) as pool:
        items = list(pool.map(lambda item_id: _item(root, item_id, entries[item_id], edit_types), entries))
        digests = list(pool.map(lambda item: image_digest(root / str(item.source_image)), items))
    first: dict[str, str] = {}
    groups = [first.setdefault(digest, item.item_id) for digest, item in zip(digests, items, strict=True)]
    return tuple(replace(item, group=group) for item, group in zip(items, groups, strict=True))


def _entries(path: Path) -> dict[str, _Entry]:
    try:
        content = read_json(path, limit=MAX_BYTES)
    except (OSError, ValueError) as failure:
        raise BenchmarkError(f"{path} cannot be read as PIE-Bench's mapping file: {failure}.") from failure
    if not isinstance(content, dict) or not content:
        raise BenchmarkError(f"{path} is not PIE-Bench's mapping file: expected an object with an entry per edit.")
    return {item_id: _entry(path, item_id, value) for item_id, value in content.items()}


def _entry(path: Path, item_id: str, value: Any) -> _Entry:  # noqa: ANN401 - whatever JSON can hold
    try:
        return _Entry.model_validate(value)
    except ValidationError as failure:
        first = failure.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the entry"
        raise BenchmarkError(f"{path}, entry '{item_id}': {where}: {first['msg']}. Get the file anew.") from failure


def _item(root: Path, item_id: str, entry: _Entry, edit_types: Sequence[str]) -> EditItem:
    where = f"{root / MAPPING}, entry '{item_id}'"
    if entry.editing_type_id not in range(len(edit_types)):
        raise BenchmarkError(
            f"{where}: expected an editing_type_id from 0 to {len(edit_types) - 1}, got {entry.editing_type_id}."
        )
    source = Path(IMAGES) / entry.image_path
    try:
        mask = mask_picture(entry.mask, image_size(root / source))
    except ValueError as failure:
        raise BenchmarkError(f"{where}: the mask must be a list of starts and lengths: {failure}.") from failure
    except ImageError as failure:
        raise BenchmarkError(f"{where}: {failure} Get the images anew, or give another copy with: --data DIR") from None
    return EditItem(
        item_id=item_id,
        source_caption=_plain(entry.original_prompt),
        target_caption=_plain(entry.editing_prompt),
        instruction=entry.editing_instruction,
        edit_type=edit_types[entry.editing_type_id],
        source_image=source,
        edit_mask=mask.resolve(),
    )


def _plain(prompt: str) -> str:
    """A prompt without the brackets around what differs."""
    return prompt.replace("[", "").replace("]", "")
