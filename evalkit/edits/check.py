"""Everything that can be said against a folder without a model; what equal files say; and the folder's digest.

``check`` looks at the files for nothing else, scoring comes by what they are like when it decodes them; both then say
the same by :class:`FolderCheck`.
"""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from evalkit.edits.caption_length import LONGEST, estimated_tokens
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.edits.names import tolerant
from evalkit.edits.problems import PROBLEMS, shown
from evalkit.errors import ImageError
from evalkit.formatting import series
from evalkit.images.decode import (
    ALL_SUFFIXES,
    IMAGE_SUFFIXES,
    image_digest,
    image_size,
    read_image_bytes,
    sniff_format,
    with_decoded,
)
from evalkit.images.facts import ImageFacts, facts_of
from evalkit.images.pairs import TINY, misfit
from evalkit.images.stored import AnyImage
from evalkit.storage.prefetch import Progress, in_batches, no_progress, prefetch

CHUNK = 1000
"""Items whose files are examined together."""
_THREADS = min(4, os.cpu_count() or 1)
_PROFILES = {"converted": "was converted to sRGB", "ignored": "is broken or made for other channels, and was ignored"}
_FRAMES = {"edited_image": ("source_image", "reference_image"), "edit_mask": ("source_image",)}
"""What is held against what."""
_OFTEN_ABSENT = ("source_image", "source_caption", "target_caption")
"""What metrics need and items may lack."""
_TRANSPARENT = "has transparent pixels, which were composited on white"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedFile:
    """What was found out about one image file."""

    error: str | None = None
    """Why it cannot be read."""
    digest: str | None = None
    """SHA-256 of its bytes."""
    facts: ImageFacts | None = None


def unreadable_file(path: AnyImage, root: Path, message: str) -> ExaminedFile:
    """A file that cannot be read, with the reason as it reads of a folder's file."""
    return ExaminedFile(error=message.replace(str(path), shown(path, root), 1))


_CONTROLS = {
    "identity": frozenset({"edited_equals_source", "duplicate_output", "repeated_seed"}),
    "shuffled_source": frozenset({"duplicate_output"}),
}
"""Methods that are meant not to edit, each with what is then no problem."""


class FolderCheck:
    """Gathers what is wrong with a folder, some of its items after the other; of images little is kept.

    Args:
        folder: The opened folder.
        estimate_captions: Whether the lengths of captions are estimated, as where no encoder counts their tokens.
    """

    def __init__(self, folder: EditFolder, *, estimate_captions: bool = True) -> None:
        self._folder = folder
        self._estimate_captions = estimate_captions
        self._edited: list[Problem] = []
        self._others: dict[tuple[str, AnyImage | None], Problem] = {}
        self._digests: dict[AnyImage, str] = {}

    def add(self, items: Iterable[EditItem], files: Mapping[AnyImage, ExaminedFile]) -> None:
        """Look at some items, whose files were examined; one without an edited image is passed over."""
        self._digests |= {path: file.digest for path, file in files.items() if file.digest}
        for item in items:
            if item.status == "ok" and item.edited_image:
                self._edited += _image_problems(item, files, self._folder.root)
                for problem in _other_file_problems(item, files):
                    self._others.setdefault((problem.code, problem.path), problem)

    def problems(self) -> tuple[Problem, ...]:
        """Those that opening the folder showed, then those of its texts and images, item by item."""
        return (
            *self._folder.problems,
            *_text_problems(self._folder.items, estimate=self._estimate_captions),
            *self._as_meant([*self._edited, *self._others.values(), *duplicates(self._folder.items, self._digests)]),
        )

    def _as_meant(self, problems: Sequence[Problem]) -> Iterator[Problem]:
        """The problems, with one notice in place of what a control is meant to do."""
        meant = _CONTROLS.get(self._folder.method or "", frozenset())
        yield from (problem for problem in problems if problem.code not in meant)
        counts = Counter(problem.code for problem in problems if problem.code in meant)
        if counts:
            found = "; ".join(f"{code} ({count}), {PROBLEMS[code]}" for code, count in counts.items())
            yield Problem(code="control_edits", message=f"The control {self._folder.method}: {found}.")


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
    found, done = FolderCheck(folder), 0
    files: dict[AnyImage, ExaminedFile] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for chunk in in_batches(edits, CHUNK):
            paths = dict.fromkeys(path for item in chunk for path in item.images)
            # The edits of a source mostly stand side by side: what the last ones showed is worth keeping.
            files = {path: files[path] for path in paths if path in files}
            unread = [path for path in paths if path not in files]
            results = prefetch(pool, partial(_examine, root=folder.root, decode=decode), unread, 2 * _THREADS)
            for number, (path, file) in enumerate(results, start=1):
                files[path] = file
                progress("checking images", done + number * len(chunk) // len(unread), len(folder.items))
            found.add(chunk, files)
            done += len(chunk)
    progress("checking images", len(folder.items), len(folder.items))
    return found.problems()


def _examine(path: AnyImage, root: Path, *, decode: bool) -> ExaminedFile:
    """What is to be known about one file."""
    try:
        if not decode:
            facts = ImageFacts(size=image_size(path), format=sniff_format(path) or "")
            return ExaminedFile(digest=image_digest(path), facts=facts)
        data = read_image_bytes(path)
        facts = with_decoded(data, shown(path, root), facts_of)
    except ImageError as error:
        return unreadable_file(path, root, str(error))
    return ExaminedFile(digest=hashlib.sha256(data).hexdigest(), facts=facts)


def _remarks(path: AnyImage, facts: ImageFacts, root: Path) -> Iterator[tuple[str, str]]:
    """Code and message of what is worth knowing of an edited image."""
    name, suffix = shown(path, root), path.suffix.lower()
    if suffix in IMAGE_SUFFIXES and suffix not in ALL_SUFFIXES.get(facts.format, ()):
        yield "suffix_mismatch", f"{name} is a {facts.format} file, whatever its suffix says."
    remarks = (
        (facts.transparent, "transparent_image", _TRANSPARENT),
        (facts.deep, "deep_image", "has more than 8 bits per channel, which were scaled to 8"),
        (facts.rotated, "rotated_image", "is turned by its EXIF data, which was done"),
        (facts.animated, "animated_image", "is an animation, of which the first frame was used"),
        (facts.profile in _PROFILES, "colour_profile", f"has an ICC profile that {_PROFILES.get(facts.profile)}"),
    )
    yield from ((code, f"{name} {text}.") for applies, code, text in remarks if applies)


def _image_problems(item: EditItem, files: Mapping[AnyImage, ExaminedFile], root: Path) -> Iterator[Problem]:
    """What is to be said about one item's edited image."""
    path = item.edited_image
    if path is None:
        return
    file, name = files[path], shown(path, root)

    def problem(code: str, message: str) -> Problem:
        return Problem(code=code, message=message, item_id=item.item_id, path=path)

    if file.facts is None:
        yield problem("unreadable_image", file.error or f"{name} cannot be read.")
        return
    width, height = file.facts.size
    if min(file.facts.size) < TINY:
        yield problem("tiny_image", f"{name} has {width} × {height} pixels; nothing can be judged by that.")
    for code, message in _remarks(path, file.facts, root):
        yield problem(code, message)
    for what in _misfits(item, files):
        yield problem("other_aspect", what)
    source = files.get(item.source_image) if item.source_image else None
    if source and source.facts:
        if source.facts.size != file.facts.size and misfit(file.facts.size, source.facts.size) is None:
            size = _size(source.facts)
            yield problem("size_differs", f"{name} has {width} × {height} pixels, its source image {size}.")
        same = file.facts.pixels and file.facts.pixels == source.facts.pixels
        if same and file.digest != source.digest:
            yield _unchanged(item, "has the very pixels of its source image")


def _misfits(item: EditItem, files: Mapping[AnyImage, ExaminedFile]) -> Iterator[str]:
    """A sentence about the images of an item whose aspect ratio is not that of what they are held against, if any."""
    others = []
    for field, frames in _FRAMES.items():
        for frame in frames:
            paths = getattr(item, field), getattr(item, frame)
            image, other = (files[path].facts if path else None for path in paths)
            is_mask = field == "edit_mask"
            if image and other and misfit(image.size, other.size, is_mask=is_mask) == "other_aspect":
                one, two = (name.replace("_", " ") for name in (field, frame))
                others.append(f"the {one} has {_size(image)} pixels and the {two} {_size(other)}")
    if others:
        yield f"{item.label}: {series(others, 'and')}; with other aspect ratios they are not held against each other."


def _size(facts: ImageFacts) -> str:
    return f"{facts.size[0]} × {facts.size[1]}"


def _other_file_problems(item: EditItem, files: Mapping[AnyImage, ExaminedFile]) -> Iterator[Problem]:
    """Sources, references and masks that cannot be read or had to be laid on white; else they are what they are."""
    for name in ("source_image", "reference_image", "edit_mask"):
        path = getattr(item, name)
        file = files.get(path)
        if file and file.error:
            yield Problem(code="unreadable_image", message=file.error, item_id=item.item_id, path=path)
        elif file and file.facts and file.facts.transparent and name != "edit_mask":
            message = f"The {name.replace('_', ' ')} of {item.item_id} {_TRANSPARENT}."
            yield Problem(code="transparent_image", message=message, item_id=item.item_id, path=path)


def _text_problems(items: Iterable[EditItem], *, estimate: bool) -> Iterator[Problem]:
    """What is to be said about the texts, once for each item whatever its seeds."""
    without = Counter[str]()
    n_items = 0
    for _, seeds in groupby(items, key=lambda item: item.item_id):
        *_, item = seeds
        n_items += 1
        without.update(name for name in _OFTEN_ABSENT if getattr(item, name) is None)
        yield from _caption_problems(item, estimate=estimate)
    for name, count in sorted(without.items()):
        what = name.replace("_", " ")
        message = f"{count} of {n_items} items have no {what}; metrics that need it are undefined for them."
        yield Problem(code=f"missing_{name}", message=message)


def _caption_problems(item: EditItem, *, estimate: bool) -> Iterator[Problem]:
    """What is to be said about an item's captions."""
    for kind, caption in (("target", item.target_caption), ("source", item.source_caption)):
        if caption is not None and not caption.strip():
            message = f"The {kind} caption of {item.item_id} is empty."
            yield Problem(code="empty_caption", message=message, item_id=item.item_id)
        tokens = estimated_tokens(caption or "") if estimate else 0
        if tokens > LONGEST:
            message = (
                f"The {kind} caption of {item.item_id} has about {tokens} tokens, by an estimate; most text encoders "
                f"read {LONGEST} and would cut its end off."
            )
            yield Problem(code="long_caption", message=message, item_id=item.item_id)
    if item.target_caption and item.source_caption and tolerant(item.target_caption) == tolerant(item.source_caption):
        message = f"The source caption of {item.item_id} is its target caption: '{item.target_caption}'."
        yield Problem(code="equal_captions", message=message, item_id=item.item_id)


def duplicates(items: Iterable[EditItem], digests: Mapping[AnyImage, str]) -> Iterator[Problem]:
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


def edits_digest(items: Iterable[EditItem], known: Mapping[AnyImage, str] | None = None) -> str:
    """SHA-256 over every item's id, seed and edited file: equal for folders that hold the same edits, in any order.

    Args:
        items: One that is missing does not count, so that it does not matter how many were expected. An item without a
            readable file counts by its status.
        known: Digests of files; others are read.

    Returns:
        The digest in hexadecimal.
    """
    contents = []
    for item in items:
        content: str = item.status
        if item.edited_image:
            with suppress(ImageError):
                content = (known or {}).get(item.edited_image) or image_digest(item.edited_image)
        if content != "missing":
            contents.append((item.item_id, item.seed, content))
    return contents_digest(contents)


def contents_digest(edits: Iterable[tuple[str, int | None, str]]) -> str:
    """What :func:`edits_digest` gives where it is known of every edit that is there what its file holds.

    Args:
        edits: Item, seed, and the SHA-256 of the file in hexadecimal, or the status of one without a readable file.
    """
    lines = sorted(f"{item_id}\t{seed}\t{content}\n" for item_id, seed, content in edits)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def inputs_digest(items: Iterable[EditItem], known: Mapping[AnyImage, str]) -> str:
    """SHA-256 over all that can be scored of items: their ids, groups, texts and attributes, and the bytes of images.

    Args:
        items: Of a folder.
        known: Digests of files; one that is not among them counts as not there.

    Returns:
        The digest in hexadecimal.
    """
    digest = hashlib.sha256()
    for item in items:
        facts = [known.get(value) if name in IMAGE_FIELDS else value for name, value in _scored_fields(item)]
        digest.update(f"{json.dumps(facts, sort_keys=True)}\n".encode())
    return digest.hexdigest()


def _scored_fields(item: EditItem) -> Iterator[tuple[str, Any]]:
    for field in fields(EditItem):
        if field.name not in ("reason", "seconds", "cost", "currency"):
            value = getattr(item, field.name)
            yield field.name, dict(value) if isinstance(value, Mapping) else value


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
