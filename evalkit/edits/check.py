"""Everything that can be said against a folder without a model; what equal files say; and the folder's digest."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from evalkit.edits.folder import EditFolder
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.edits.names import tolerant
from evalkit.edits.problems import shown
from evalkit.errors import ImageError
from evalkit.images.decode import (
    IMAGE_SUFFIXES,
    SUFFIXES,
    decode_image,
    image_digest,
    image_size,
    read_image_bytes,
    sniff_format,
)
from evalkit.images.digests import pixel_digest
from evalkit.storage.prefetch import Progress, in_batches, no_progress, prefetch

TINY = 16
"""Pixels: an image with a shorter side shows nothing that a caption could describe."""
LONG_CAPTION = 60
"""Words: with more, most text encoders, which read 77 tokens, cut the end off."""
CHUNK = 1000
"""Items whose files are examined together."""
_THREADS = min(4, os.cpu_count() or 1)
_PROFILES = {"converted": "was converted to sRGB", "ignored": "is broken or made for other channels, and was ignored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What was found out about one image file."""

    error: str | None = None
    digest: str | None = None
    pixels: str | None = None
    """SHA-256 of size and RGB values; None where nothing was decoded."""
    size: tuple[int, int] = (0, 0)
    notes: tuple[tuple[str, str], ...] = ()
    """Code and message of each remark."""


def check_folder(folder: EditFolder, *, decode: bool = True, progress: Progress = no_progress) -> tuple[Problem, ...]:
    """Every problem of a folder: those that opening it showed, then those of its texts and images, item by item.

    No model is loaded, and memory does not grow with the size or the number of the images.

    Args:
        folder: The opened folder.
        decode: Whether images are decoded, which alone shows truncated files and edits that changed nothing; without
            it, only headers and digests are compared.
        progress: Called after each image, with the share of the items that is done.
    """
    edits = (item for item in folder.items if item.status == "ok" and item.edited_image)
    edited, others = list[Problem](), dict[Path, Problem]()
    files: dict[Path, _File] = {}
    digests: dict[Path, str] = {}
    done = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for chunk in in_batches(edits, CHUNK):
            paths = dict.fromkeys(path for item in chunk for path in _files_of(item))
            # The edits of a source mostly stand side by side: what the last ones showed is worth keeping.
            files = {path: files[path] for path in paths if path in files}
            unread = [path for path in paths if path not in files]
            results = prefetch(pool, partial(_examine, root=folder.root, decode=decode), unread, 2 * _THREADS)
            for number, (path, file) in enumerate(results, start=1):
                files[path] = file
                progress("checking images", done + number * len(chunk) // len(unread), len(folder.items))
            digests |= {path: file.digest for path, file in files.items() if file.digest}
            for item in chunk:
                edited += _image_problems(item, files, folder.root)
                for problem in _other_file_problems(item, files):
                    others.setdefault(problem.path or folder.root, problem)
            done += len(chunk)
    progress("checking images", len(folder.items), len(folder.items))
    return (
        *folder.problems,
        *_text_problems(folder.items),
        *edited,
        *others.values(),
        *duplicates(folder.items, digests),
    )


def _files_of(item: EditItem) -> Iterator[Path]:
    return (path for name in IMAGE_FIELDS if (path := getattr(item, name)))


def _examine(path: Path, root: Path, *, decode: bool) -> _File:
    """What is to be known about one file."""
    name = shown(path, root)
    try:
        if not decode:
            notes = _suffix_note(path, name, sniff_format(path) or "")
            return _File(digest=image_digest(path), size=image_size(path), notes=notes)
        data = read_image_bytes(path)
        decoded = decode_image(data, name)
    except ImageError as error:
        return _File(error=str(error))
    remarks = (
        (decoded.transparent, "transparent_image", "has transparent pixels, which were composited on white"),
        (decoded.deep, "deep_image", "has more than 8 bits per channel, which were scaled to 8"),
        (decoded.rotated, "rotated_image", "is turned by its EXIF data, which was done"),
        (decoded.animated, "animated_image", "is an animation, of which the first frame was used"),
        (decoded.profile in _PROFILES, "colour_profile", f"has an ICC profile that {_PROFILES.get(decoded.profile)}"),
    )
    return _File(
        digest=hashlib.sha256(data).hexdigest(),
        pixels=pixel_digest(decoded.image),
        size=decoded.image.size,
        notes=(
            *_suffix_note(path, name, decoded.format),
            *((code, f"{name} {text}.") for applies, code, text in remarks if applies),
        ),
    )


def _suffix_note(path: Path, name: str, format_name: str) -> tuple[tuple[str, str], ...]:
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES or suffix in SUFFIXES.get(format_name, ()):
        return ()
    return (("suffix_mismatch", f"{name} is a {format_name} file, whatever its suffix says."),)


def _image_problems(item: EditItem, files: Mapping[Path, _File], root: Path) -> Iterator[Problem]:
    """What is to be said about one item's edited image."""
    path = item.edited_image
    if path is None:
        return
    file, name = files[path], shown(path, root)

    def problem(code: str, message: str) -> Problem:
        return Problem(code=code, message=message, item_id=item.item_id, path=path)

    if file.error:
        yield problem("unreadable_image", file.error)
        return
    width, height = file.size
    if min(file.size) < TINY:
        yield problem("tiny_image", f"{name} has {width} × {height} pixels; nothing can be judged by that.")
    for code, message in file.notes:
        yield problem(code, message)
    source = files.get(item.source_image) if item.source_image else None
    if source and not source.error:
        if source.size != file.size:
            size = f"{source.size[0]} × {source.size[1]}"
            yield problem("size_differs", f"{name} has {width} × {height} pixels, its source image {size}.")
        if file.pixels and file.pixels == source.pixels and file.digest != source.digest:
            yield _unchanged(item, "has the very pixels of its source image")


def _other_file_problems(item: EditItem, files: Mapping[Path, _File]) -> Iterator[Problem]:
    """Sources, references and masks that cannot be read; what they are like is their benchmark's affair."""
    for path in (item.source_image, item.reference_image, item.edit_mask):
        error = files[path].error if path else None
        if error:
            yield Problem(code="unreadable_image", message=error, item_id=item.item_id, path=path)


def _text_problems(items: Iterable[EditItem]) -> Iterator[Problem]:
    """What is to be said about the texts, once for each item whatever its seeds."""
    without = Counter[str]()
    n_items = 0
    for _, seeds in groupby(items, key=lambda item: item.item_id):
        *_, item = seeds
        n_items += 1
        without.update(name for name in ("source_image", "target_caption") if getattr(item, name) is None)
        yield from _caption_problems(item)
    for name, count in sorted(without.items()):
        what = name.replace("_", " ")
        message = f"{count} of {n_items} items have no {what}; metrics that need it are undefined for them."
        yield Problem(code=f"missing_{name}", message=message)


def _caption_problems(item: EditItem) -> Iterator[Problem]:
    """What is to be said about an item's captions."""
    for kind, caption in (("target", item.target_caption), ("source", item.source_caption)):
        words = len((caption or "").split())
        if caption is not None and not words:
            message = f"The {kind} caption of {item.item_id} is empty."
            yield Problem(code="empty_caption", message=message, item_id=item.item_id)
        if words > LONG_CAPTION:
            message = f"The {kind} caption of {item.item_id} has {words} words; most text encoders cut its end off."
            yield Problem(code="long_caption", message=message, item_id=item.item_id)
    if item.target_caption and item.source_caption and tolerant(item.target_caption) == tolerant(item.source_caption):
        message = f"The source caption of {item.item_id} is its target caption: '{item.target_caption}'."
        yield Problem(code="equal_captions", message=message, item_id=item.item_id)


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
            yield _unchanged(item, "is the very file of its source image")
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


def _unchanged(item: EditItem, how: str) -> Problem:
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
