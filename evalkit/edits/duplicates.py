"""What equal files say: an edit that is its source, two items with one result; and the folder's digest."""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit.data.keys import Keys
from evalkit.data.shelf import Sorter
from evalkit.edits.item import EditItem, Problem
from evalkit.errors import ImageError
from evalkit.images.decode import image_digest


class SameFiles:
    """Looks out for equal files while the items of a folder go by, in their order; each takes 24 bytes of memory."""

    def __init__(self) -> None:
        self._n_seen = 0
        self._places = array("q")
        self._digests = Keys()
        self._unchanged: list[Problem] = []

    def add(self, item: EditItem, digests: Mapping[Path, str]) -> None:
        """The next item, with the digests of its files' bytes; what is not among them is passed over."""
        place, self._n_seen = self._n_seen, self._n_seen + 1
        digest = digests.get(item.edited_image) if item.edited_image else None
        if digest is None:
            return
        if item.source_image and digests.get(item.source_image) == digest:
            self._unchanged.append(unchanged(item, "is the very file of its source image"))
        else:
            self._places.append(place)
            self._digests.add(digest)

    def problems(self, items: Sequence[EditItem]) -> Iterator[Problem]:
        """What was found, once all items went by: an edit that is its source, two items or two seeds with one result.

        Args:
            items: The items that went by.
        """
        yield from self._unchanged
        for alike in self._digests.repeated():
            yield from _shared_output([items[self._places[number]] for number in alike])


class EditsDigest:
    """SHA-256 over every item's id, seed and edited file: equal for folders that hold the same edits, in any order."""

    def __init__(self) -> None:
        self._lines = Sorter()

    def add(self, item: EditItem, known: Mapping[Path, str]) -> None:
        """One more item.

        Args:
            item: One that is missing does not count, so that it does not matter how many were expected.
            known: Digests of files' bytes; others are read. An item without a readable file counts by its status.
        """
        content: str = item.status
        if item.edited_image:
            with suppress(ImageError):
                content = known.get(item.edited_image) or image_digest(item.edited_image)
        if content != "missing":
            self._lines.add(f"{item.item_id}\t{item.seed}\t{content}\n")

    def hexdigest(self) -> str:
        """The digest, in hexadecimal."""
        digest = hashlib.sha256()
        for line in self._lines:
            digest.update(line.encode())
        return digest.hexdigest()


def edits_digest(items: Iterable[EditItem], known: Mapping[Path, str] | None = None) -> str:
    """The :class:`EditsDigest` of some items; files whose digests are not known are read."""
    digest = EditsDigest()
    for item in items:
        digest.add(item, known or {})
    return digest.hexdigest()


def unchanged(item: EditItem, how: str) -> Problem:
    """The problem of an edit that is its source."""
    message = f"The edited image of {item.label} {how}: nothing was edited."
    return Problem(code="edited_equals_source", message=message, item_id=item.item_id, path=item.edited_image)


def _shared_output(claimants: Sequence[EditItem]) -> Iterator[Problem]:
    """The problems of items whose edited images are one and the same."""
    by_item: dict[str, list[EditItem]] = defaultdict(list)
    for item in claimants:
        by_item[item.item_id].append(item)
    if len(by_item) > 1:
        message = f"{', '.join(by_item)} have the same edited image, byte by byte."
        yield Problem(code="duplicate_output", message=message, item_id=next(iter(by_item)))
    for item_id, seeds in by_item.items():
        if len(seeds) > 1:
            message = f"{', '.join(item.label for item in seeds)} have the same edited image, byte by byte."
            yield Problem(code="repeated_seed", message=message, item_id=item_id)
