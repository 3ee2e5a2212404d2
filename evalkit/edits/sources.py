"""Source images: which item's they are, what groups they make, and the user's own as items to be edited."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.edits.captions import read_captions
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.inferred_patterns import infer_patterns
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.layouts import Assignment, by_patterns
from evalkit.edits.named_files import with_named_files
from evalkit.edits.names import PathIndex, Pattern, composed, stem, tolerant
from evalkit.edits.problems import shown
from evalkit.edits.resolve import Resolved
from evalkit.edits.scan import Scan, scan_folder
from evalkit.errors import ImageError, LayoutError
from evalkit.formatting import listed
from evalkit.images.decode import ALL_SUFFIXES, image_digest, read_image_bytes, sniff_format
from evalkit.images.stored import AnyImage
from evalkit.storage.atomic import atomic_write


def with_sources(
    items: Sequence[EditItem], known: ExpectedItems, scan: Scan, *, pattern: str | None = None, beside: bool = False
) -> Resolved:
    """The items with their source images, found by their names, else by the item ids, else by how they are all named.

    Args:
        items: Those of a folder, or those that are to be edited.
        known: What is known of them.
        scan: The folder that the source images lie in.
        pattern: How they are named, as the user says it.
        beside: Whether they lie beside the edits, where only a pattern or a word in their names tells them.

    Raises:
        LayoutError: Two patterns explain as many of the names.
        OptionError: The pattern is malformed.
    """
    edits = {item.edited_image for item in items}
    scan = replace(scan, images=tuple(path for path in scan.images if path not in edits))
    if not beside:
        index = PathIndex((path.relative_to(scan.root).as_posix(), path) for path in scan.images)
        items = [_with_source(item, index.find(known.source_names.get(item.item_id, item.item_id))) for item in items]
    certain = () if pattern or "source_image" in known.unsure else known.source_names
    unpaired = {item.item_id: item for item in items if item.source_image is None and item.item_id not in certain}
    if not unpaired or not scan.images:
        return Resolved(items=tuple(items), problems=())
    best = _best_pattern(scan, replace(known, items=tuple(unpaired.values())), pattern, beside=beside)
    if best is None:
        return Resolved(items=tuple(items), problems=())
    paths = {best.expected.items[position].item_id: tuple(files) for (position, _), files in best.files.items()}
    item_id, (path, *_) = next(iter(paths.items()))
    message = f"{shown(path, scan.root)} was read as the source image of {item_id}, and so on for {len(paths)} items"
    note = Problem(code="guessed", message=f"{message}; to have it otherwise: --source-pattern PATTERN", path=path)
    items = [_with_source(item, paths.get(item.item_id, ())) for item in items]
    return Resolved(items=tuple(items), problems=() if pattern else (note,))


def _best_pattern(scan: Scan, unpaired: ExpectedItems, pattern: str | None, *, beside: bool) -> Assignment | None:
    """What the pattern makes of the source images that explains most of them."""
    if pattern:
        patterns = [Pattern(pattern)]
    else:
        inferred = infer_patterns(scan.images, scan.root, [item.item_id for item in unpaired.items], "item_id")
        marked = [each.pattern for each in inferred if each.role == "source_image"]
        patterns = marked if marked or beside else [each.pattern for each in inferred if each.role is None]
    tried = sorted((by_patterns(scan, unpaired, [each]) for each in patterns), key=lambda each: each.rank, reverse=True)
    if not tried or not tried[0].rank[0]:
        return None
    best, *others = tried
    if others and others[0].rank == best.rank and others[0].files != best.files:
        raise LayoutError(
            f"The source images in {scan.root} may be {best.title} or {others[0].title}. Say which: --source-pattern P"
        )
    return best


def _with_source(item: EditItem, files: Sequence[Path]) -> EditItem:
    return replace(item, source_image=files[0]) if item.source_image is None and len(files) == 1 else item


def with_groups(items: Sequence[EditItem], source_names: Mapping[str, str]) -> Resolved:
    """Groups the items that nobody has grouped: by the bytes of their source images, else by the names of these.

    Returns:
        The items, and a problem for each source image that cannot be read.
    """
    digests: dict[AnyImage, str | None] = {}
    problems: list[Problem] = []

    def digest_of(source: AnyImage) -> str | None:
        try:
            return image_digest(source)
        except ImageError as error:
            problems.append(Problem(code="unreadable_image", message=str(error), path=source))
            return None

    grouped = []
    for item in items:
        group, source = item.group, item.source_image
        if group is None and source is not None:
            if source not in digests:
                digests[source] = digest_of(source)
            group = digests[source]
        elif group is None and item.item_id in source_names:
            group = f"source:{tolerant(stem(composed(source_names[item.item_id])))}"
        grouped.append(item if group == item.group else replace(item, group=group))
    return Resolved(items=tuple(grouped), problems=tuple(problems))


def source_items(sources: Path, captions: Path, mapped: Mapping[str, str] | None = None) -> tuple[EditItem, ...]:
    """The rows of a captions table as items to be edited, each with its source image.

    Args:
        sources: The folder of source images.
        captions: See :func:`evalkit.edits.captions.read_captions`. A row without the name of its source image is
            matched by its item id.
        mapped: Which columns of the captions hold which of our fields.

    Raises:
        LayoutError: There is no such folder, the table is empty, or a row has no source image there.
        ManifestError: The table cannot be read.
    """
    if not sources.is_dir():
        raise LayoutError(f"Expected a folder of source images, got {sources}, which is none.")
    scan = scan_folder(sources)
    table = with_named_files(read_captions(captions, mapped), scan, scan).expected
    items = with_sources(table.items, table, scan).items
    without = [item.item_id for item in items if item.source_image is None]
    if without:
        raise LayoutError(
            f"{len(without)} of the {len(items)} rows of {captions} have no source image in {sources}, or several "
            f"files of that name: {listed(without, shown=5)}. Name the file in the column source_image_file_name."
        )
    return with_groups(items, table.source_names).items


def copy_sources(items: Sequence[EditItem], folder: Path) -> tuple[EditItem, ...]:
    """The items with their images but the edited ones copied to ``folder``, one file for equal bytes.

    Raises:
        ImageError: An image cannot be read.
        OSError: The folder cannot be written.
    """

    def copied(path: AnyImage) -> Path:
        # By its content, as everybody else who reads the folder goes by the suffix.
        suffix = ALL_SUFFIXES[found][0] if (found := sniff_format(path)) else path.suffix.lower()
        copy = folder / f"{image_digest(path)[:16]}{suffix}"
        if not copy.exists():
            with atomic_write(copy) as temporary:
                temporary.write_bytes(read_image_bytes(path))
        return copy

    return tuple(replace(item, edited_image=None).with_images(copied) for item in items)
