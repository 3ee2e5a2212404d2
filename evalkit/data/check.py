"""Everything that can be said against a folder without a model."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from evalkit.data.folder import EditFolder
from evalkit.data.images import (
    IMAGE_SUFFIXES,
    SUFFIXES,
    decode_image,
    image_digest,
    image_size,
    read_image_bytes,
    sniff_format,
)
from evalkit.data.item import EditItem, Problem
from evalkit.data.names import tolerant
from evalkit.data.parallel import Progress, ahead, unwatched
from evalkit.data.problems import shown
from evalkit.errors import ImageError

TINY = 16
"""Pixels: an image with a shorter side shows nothing that a caption could describe."""
LONG_CAPTION = 60
"""Words: with more, most text encoders, which read 77 tokens, cut the end off."""
_THREADS = min(4, os.cpu_count() or 1)
_STRIP = 1 << 22
"""Pixels that are hashed at a time."""
_PROFILES = {"converted": "was converted to sRGB", "ignored": "is broken or made for other channels, and was ignored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What was found out about one image file; as little as possible, for there may be many."""

    error: str | None = None
    digest: str | None = None
    pixels: str | None = None
    """SHA-256 of size and RGB values; None where nothing was decoded."""
    size: tuple[int, int] = (0, 0)
    notes: tuple[tuple[str, str], ...] = ()
    """Code and message of each remark."""


def check_folder(folder: EditFolder, *, decode: bool = True, progress: Progress = unwatched) -> tuple[Problem, ...]:
    """Every problem of a folder: those that opening it showed, then those of its texts and images, item by item.

    No model is loaded, and memory does not grow with the size or the number of the images.

    Args:
        folder: The opened folder.
        decode: Whether images are decoded, which alone shows truncated files and edits that changed nothing; without
            it, only headers and bytes are looked at.
        progress: Called after each image.
    """
    edits = [item for item in folder.items if item.status == "ok" and item.edited_image]
    files = _examined(edits, folder.root, decode=decode, progress=progress)
    digests = {path: file.digest for path, file in files.items() if file.digest}
    return (
        *folder.problems,
        *_text_problems(folder.items),
        *(problem for item in edits for problem in _image_problems(item, files, folder.root)),
        *_other_file_problems(edits, files),
        *digest_problems(edits, digests),
    )


def edits_digest(items: Iterable[EditItem], known: Mapping[Path, str]) -> str:
    """SHA-256 over every item's id, seed and edited file: equal for folders that hold the same edits.

    Args:
        items: In any order; those that are missing do not count, so that it does not matter how many were expected.
        known: Digests of files' bytes; the others are read. An item without a readable file counts by its status.
    """
    lines = []
    for item in items:
        content: str = item.status
        if item.edited_image:
            with suppress(ImageError):
                content = known.get(item.edited_image) or image_digest(item.edited_image)
        if content != "missing":
            lines.append(f"{item.item_id}\t{item.seed}\t{content}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def digest_problems(items: Iterable[EditItem], digests: Mapping[Path, str]) -> tuple[Problem, ...]:
    """What equal files say: an edit that is its source, two items or two seeds with one result.

    Args:
        items: The folder's items.
        digests: Digests of their files' bytes; what is not among them is passed over.
    """
    problems = []
    same: dict[str, list[EditItem]] = defaultdict(list)
    for item in items:
        digest = digests.get(item.edited_image) if item.edited_image else None
        if digest is None:
            continue
        if item.source_image and digests.get(item.source_image) == digest:
            problems.append(_unchanged(item, "is the very file of its source image"))
        else:
            same[digest].append(item)
    for claimants in same.values():
        problems.extend(_shared_output(claimants))
    return tuple(problems)


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


def _unchanged(item: EditItem, how: str) -> Problem:
    message = f"The edited image of {item.label} {how}: nothing was edited."
    return Problem(code="edited_equals_source", message=message, item_id=item.item_id, path=item.edited_image)


def _examined(edits: Sequence[EditItem], root: Path, *, decode: bool, progress: Progress) -> dict[Path, _File]:
    """What is to be known about every file of these items, each looked at once, a few at a time."""
    edited = dict.fromkeys(item.edited_image for item in edits if item.edited_image)
    others = dict.fromkeys(
        path for item in edits for path in (item.source_image, item.reference_image, item.edit_mask) if path
    )
    paths = list(edited | others)
    files: dict[Path, _File] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for path, file in ahead(pool, lambda path: _examine(path, root, decode=decode), paths, 2 * _THREADS):
            files[path] = file
            progress("checking images", len(files), len(paths))
    return files


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
        pixels=_pixel_digest(decoded.image),
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


def _pixel_digest(image: Image.Image) -> str:
    """SHA-256 of an image's size and pixels, taken in strips so that no second copy of a large one is made."""
    width, height = image.size
    digest = hashlib.sha256(f"{width}x{height}".encode())
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        digest.update(image.crop((0, top, width, min(top + rows, height))).tobytes())
    return digest.hexdigest()


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


def _other_file_problems(edits: Iterable[EditItem], files: Mapping[Path, _File]) -> Iterator[Problem]:
    """Sources, references and masks that cannot be read; what they are like is their benchmark's affair."""
    seen: set[Path] = set()
    for item in edits:
        for path in (item.source_image, item.reference_image, item.edit_mask):
            error = files[path].error if path else None
            if path and error and path not in seen:
                seen.add(path)
                yield Problem(code="unreadable_image", message=error, item_id=item.item_id, path=path)


def _text_problems(items: Iterable[EditItem]) -> Iterator[Problem]:
    """What is to be said about the texts, once for each item whatever its seeds."""
    distinct = {item.item_id: item for item in items}.values()
    for item in distinct:
        for kind, caption in (("target", item.target_caption), ("source", item.source_caption)):
            words = len((caption or "").split())
            if caption is not None and not words:
                message = f"The {kind} caption of {item.item_id} is empty."
                yield Problem(code="empty_caption", message=message, item_id=item.item_id)
            if words > LONG_CAPTION:
                message = f"The {kind} caption of {item.item_id} has {words} words; most text encoders cut its end off."
                yield Problem(code="long_caption", message=message, item_id=item.item_id)
        if (
            item.target_caption
            and item.source_caption
            and tolerant(item.target_caption) == tolerant(item.source_caption)
        ):
            message = f"The source caption of {item.item_id} is its target caption: '{item.target_caption}'."
            yield Problem(code="equal_captions", message=message, item_id=item.item_id)
    for code, attribute, what in (
        ("missing_source_image", "source_image", "source image"),
        ("missing_target_caption", "target_caption", "target caption"),
    ):
        without = sum(getattr(item, attribute) is None for item in distinct)
        if without:
            message = f"{without} of {len(distinct)} items have no {what}; metrics that need it are undefined for them."
            yield Problem(code=code, message=message)
