"""Open an edit folder, whatever its layout: what is expected, which files match it, and what counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.edits.asked import read_asked
from evalkit.edits.captions import read_captions
from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.item import EditItem
from evalkit.edits.layouts import (
    Assignment,
    assign,
    by_benchmark_names,
    by_table_names,
    items_by_pattern,
    pattern_layout,
)
from evalkit.edits.manifest import MANIFEST_NAME, Manifest, benchmark_of, read_manifest
from evalkit.edits.names import Pattern, stem
from evalkit.edits.problems import shown
from evalkit.edits.resolve import match_manifest, resolve
from evalkit.edits.scan import Scan, scan_folder
from evalkit.edits.sources import with_groups, with_sources
from evalkit.errors import LayoutError, OptionError
from evalkit.images.stored import AnyImage


def open_folder(
    root: Path,
    *,
    expected: ExpectedItems | None = None,
    sources: Path | None = None,
    captions: Path | None = None,
    pattern: str | None = None,
) -> EditFolder:
    """Finds out which file of a folder is which item's edited image.

    A manifest is believed unless ``captions`` or ``pattern`` say otherwise, and no more is expected than ``evalkit
    edit`` was asked for; else names decide, and never the order of the files. What does not fit is a problem of the
    result, not an error.

    Args:
        root: The folder. Sub-folders are searched; links that lead out of it are not followed.
        expected: The benchmark's items, if the folder holds edits of a benchmark.
        sources: A folder with source images, for items that have none yet; found by name.
        captions: A captions table, for a folder without a benchmark: see :func:`evalkit.edits.captions.read_captions`.
        pattern: How the files are named: see :class:`evalkit.edits.names.Pattern`.

    Raises:
        LayoutError: There is no such folder, or nothing explains what its files are.
        ManifestError: A line of the manifest or of the captions table is wrong.
        OptionError: The pattern is malformed, or two options contradict each other.
    """
    if expected and captions:
        raise OptionError(
            f"--captions goes with folders without a benchmark, and {expected.benchmark} has captions of its own. "
            "Leave out one of the two."
        )
    scan = _scan_edits(root, sources, captions)
    source_scan = scan_folder(_folder(sources)) if sources else Scan(root=Path(), images=(), problems=())
    manifest, asked = None, None
    if (root / MANIFEST_NAME).is_file() and not captions and not pattern:
        manifest, asked = _manifest_of(root, expected), read_asked(root)
        matches, source_names = match_manifest(manifest, scan, expected, asked), {}
    else:
        parsed = Pattern(pattern) if pattern else None
        known = expected or _expected(scan, captions, parsed, source_scan.images)
        matches, source_names = _best_layout(scan, known, parsed).matches(), dict(known.source_names)
    resolved = resolve(matches, root, asked)
    grouped = with_groups(with_sources(resolved.items, source_names, source_scan.images), source_names)
    links = [problem for problem in source_scan.problems if problem.code != "other_file"]
    return EditFolder(
        root=root,
        layout=matches.layout,
        items=grouped.items,
        n_files=matches.n_files,
        n_matched=matches.n_matched,
        problems=(*scan.problems, *matches.problems, *resolved.problems, *links, *grouped.problems),
        benchmark=expected.benchmark if expected else manifest.benchmark if manifest else None,
        method=manifest.method if manifest else None,
        benchmark_items=tuple(item.item_id for item in expected.items) if expected else (),
    )


def infer_benchmark(root: Path, candidates: Iterable[ExpectedItems]) -> str | None:
    """The benchmark that a folder holds edits of.

    It is what the manifest says; without one, the candidate whose names most files carry, if they are at least half
    of all image files and more than twice as many as fit any other.

    Args:
        root: The folder.
        candidates: The items of the benchmarks that there are, which are not asked for where there is a manifest.

    Raises:
        LayoutError: There is no such folder.
        ManifestError: The manifest is malformed where it must say it.
    """
    if (_folder(root) / MANIFEST_NAME).is_file():
        return benchmark_of(root)
    scan = scan_folder(root)
    best = [_best(by_benchmark_names(scan, each)) for each in candidates]
    counts = sorted(((each.n_matched, each.expected.benchmark or "") for each in best), reverse=True)
    if not counts or counts[0][0] == 0 or 2 * counts[0][0] < len(scan.images):
        return None
    return counts[0][1] if len(counts) == 1 or counts[0][0] > 2 * counts[1][0] else None


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise LayoutError(f"Expected a folder, got {path}, which {'is a file' if path.exists() else 'does not exist'}.")
    return path


def _scan_edits(root: Path, sources: Path | None, captions: Path | None) -> Scan:
    """The folder's files, without the sources and the captions table where these lie inside of it."""
    scan = scan_folder(_folder(root))
    apart = [path.resolve() for path in (sources, captions) if path]
    # As the sources may be the whole folder, only a proper sub-folder is set apart.
    apart = [path for path in apart if path.is_relative_to(root.resolve()) and path != root.resolve()]

    def remains(path: AnyImage | None) -> bool:
        return not isinstance(path, Path) or not any(path.resolve().is_relative_to(other) for other in apart)

    if not apart:
        return scan
    problems = (problem for problem in scan.problems if remains(problem.path))
    return replace(scan, images=tuple(filter(remains, scan.images)), problems=tuple(problems))


def _manifest_of(root: Path, expected: ExpectedItems | None) -> Manifest:
    """The folder's manifest, which may not be of another benchmark than the one that is expected."""
    manifest = read_manifest(root)
    if expected and manifest.benchmark not in (None, expected.benchmark):
        raise LayoutError(
            f"{root / MANIFEST_NAME} was expected to hold edits of {expected.benchmark}, and says it holds edits "
            f"of {manifest.benchmark}. Give --benchmark {manifest.benchmark}, or leave the option out."
        )
    return manifest


def _expected(
    scan: Scan, captions: Path | None, pattern: Pattern | None, source_files: Sequence[Path]
) -> ExpectedItems:
    """What a folder without a benchmark should hold, from whoever knows it best."""
    if captions:
        return read_captions(captions)
    if pattern:
        return items_by_pattern(scan, pattern, source_files)
    if source_files:  # each is edited once, under its own name
        stems = Counter(stem(path.name) for path in source_files)
        names = {name if stems[name := stem(path.name)] == 1 else path.name: path.name for path in source_files}
        return ExpectedItems(items=tuple(EditItem(item_id=item_id) for item_id in names), source_names=names)
    raise LayoutError(
        f"It is not known what the {len(scan.images)} image files in {scan.root} are edits of: there is no "
        f"{MANIFEST_NAME}, and their names are no benchmark's. Say it with --benchmark NAME (evalkit list benchmarks), "
        'with --sources DIR --captions FILE, or with --pattern "{source}-{target_caption}".'
    )


def _best_layout(scan: Scan, expected: ExpectedItems, pattern: Pattern | None) -> Assignment:
    """What the layout makes of the files that explains them best."""
    if pattern:
        _refuse_unknown_values(pattern, expected)
        slots_of = pattern_layout(pattern, expected)
        tried = [assign(scan, "pattern", f'names like "{pattern.text}"', slots_of, expected)]
    else:
        tried = by_benchmark_names(scan, expected) if expected.benchmark else by_table_names(scan, expected)
    best = _best(tried)
    if not best.explains:
        raise LayoutError(_unexplained(scan, expected, tried))
    return best


def _best(tried: Iterable[Assignment]) -> Assignment:
    """The layout that finds most items; of equals the first, which is the most specific."""
    return max(tried, key=lambda assignment: len(assignment.files))


def _refuse_unknown_values(pattern: Pattern, expected: ExpectedItems) -> None:
    """A placeholder for something that no item has can match nothing."""
    known = {"source": expected.source_names, "target_caption": any(item.target_caption for item in expected.items)}
    if expected.items and (unknown := [name for name in pattern.names if not known.get(name, True)]):
        raise OptionError(
            f'The pattern "{pattern.text}" asks for {{{unknown[0]}}}, which is known of no item. '
            "Say where it is to be had, with --data DIR or --captions FILE, or use another placeholder."
        )


def _unexplained(scan: Scan, expected: ExpectedItems, tried: Sequence[Assignment]) -> str:
    """What was compared with what, an example of each side, and what to type."""
    if not scan.images:
        return f"{scan.root} was expected to hold edited images, and holds no image file."
    fits = "; ".join(f"{each.title} fit {each.n_matched}" for each in tried)
    ids = [expected.edited_names.get(item.item_id, item.item_id) for item in expected.items[:1]]
    wanted = f", and names such as '{ids[0]}' are expected" if ids else ""
    return (
        f"No layout explains the {len(scan.images)} image files in {scan.root}: {fits}. "
        f"The first is '{shown(scan.images[0], scan.root)}'{wanted}. Say how the files are named, for example: "
        f'evalkit check {scan.root} --pattern "*_{{item_id}}.png"'
    )
