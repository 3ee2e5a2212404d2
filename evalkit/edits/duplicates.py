"""What equal files say: an edit that is its source, two items with one result; and the folder's digest."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit.edits.item import EditItem, Problem
from evalkit.edits.names import tolerant
from evalkit.errors import ImageError
from evalkit.images.decode import image_digest


def duplicates(items: Iterable[EditItem], digests: Mapping[Path, str]) -> Iterator[Problem]:
    """Edits that are their own sources, and edited images that several items or seeds share.

    Args:
        items: The items of a folder.
        digests: SHA-256 of files; an item whose edited image is not among them is passed over.
    """
    by_digest: dict[str, list[EditItem]] = defaultdict(list)
    for item in items:
        digest = digests.get(item.edited_image) if item.edited_image else None
        if digest is None:
            continue
        if item.source_image and digests.get(item.source_image) == digest:
            yield unchanged(item, "is the very file of its source image")
        else:
            by_digest[digest].append(item)
    for same in by_digest.values():
        if len(same) > 1:
            yield from _shared_output(same)


def edits_digest(items: Iterable[EditItem], known: Mapping[Path, str] | None = None) -> str:
    """SHA-256 over every item's id, seed and edited file: equal for folders that hold the same edits, in any order.

    Args:
        items: One that is missing does not count, so that it does not matter how many were expected. An item without a
            readable file counts by its status.
        known: Digests of files; others are read.

    Returns:
        The digest in hexadecimal.
    """
    lines = []
    for item in items:
        content: str = item.status
        if item.edited_image:
            with suppress(ImageError):
                content = (known or {}).get(item.edited_image) or image_digest(item.edited_image)
        if content != "missing":
            lines.append(f"{item.item_id}\t{item.seed}\t{content}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def unchanged(item: EditItem, how: str) -> Problem:
    """The problem of an edit that is its source."""
    message = f"The edited image of {item.label} {how}: nothing was edited."
    return Problem(code="edited_equals_source", message=message, item_id=item.item_id, path=item.edited_image)


def _shared_output(same: Sequence[EditItem]) -> Iterator[Problem]:
    """The problems of items whose edited images are one and the same."""
    by_item: dict[str, list[EditItem]] = defaultdict(list)
    for item in same:
        by_item[item.item_id].append(item)
    if len({_request(item) for item in same}) > 1:
        message = f"{', '.join(by_item)} have the same edited image, byte by byte."
        yield Problem(code="duplicate_output", message=message, item_id=next(iter(by_item)))
    for item_id, seeds in by_item.items():
        if len(seeds) > 1:
            message = f"{', '.join(item.label for item in seeds)} have the same edited image, byte by byte."
            yield Problem(code="repeated_seed", message=message, item_id=item_id)


def _request(item: EditItem) -> tuple[str | None, ...]:
    """What an item asks for: which edit of which source image; its own id where nothing says it."""
    if not (item.target_caption or item.instruction):
        return (item.item_id,)
    source = item.group or (str(item.source_image) if item.source_image else None)
    return (source, tolerant(item.target_caption or ""), tolerant(item.instruction or ""))
