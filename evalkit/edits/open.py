"""Open an edit folder, whatever its layout."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.edits.captions import read_captions
from evalkit.edits.expected import (
    ExpectedItems,
    by_benchmark,
    by_pattern,
    by_sources,
    by_table,
    with_groups,
    with_sources,
)
from evalkit.edits.folder import EditFolder, ItemList, LayoutName
from evalkit.edits.layouts import Assignment, assign, item_id_layout, official_layout, pattern_layout, source_layout
from evalkit.edits.listed import claims_of_manifest
from evalkit.edits.manifest import MANIFEST_NAME, benchmark_of, read_manifest
from evalkit.edits.pattern import Pattern
from evalkit.edits.problems import shown
from evalkit.edits.resolve import Candidates, resolve
from evalkit.edits.scan import Scan, scan_folder
from evalkit.errors import LayoutError, OptionError

_NO_EDIT = ("unmatched_file", "unknown_item")
_NO_SOURCES = Scan(root=Path(), images=(), problems=())


def open_folder(
    root: Path,
    *,
    expected: ItemList | None = None,
    sources: Path | None = None,
    captions: Path | None = None,
    pattern: str | None = None,
) -> EditFolder:
    """Finds out which file of a folder is which item's edited image.

    A manifest is believed unless ``captions`` or ``pattern`` say otherwise; then names decide, and never the order
    of the files. What does not fit is a problem of the result, not an error.

    Args:
        root: The folder. Sub-folders are searched; links that lead out of it are not followed.
        expected: The benchmark's items, if the folder holds edits of a benchmark.
        sources: A folder with source images, for items that have none yet; found by name.
        captions: A captions table, for a folder without a benchmark: see :func:`evalkit.edits.captions.read_captions`.
        pattern: How the files are named: see :class:`evalkit.edits.pattern.Pattern`.

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
    source_scan = scan_folder(_folder(sources)) if sources else _NO_SOURCES
    if (root / MANIFEST_NAME).is_file() and not captions and not pattern:
        folder, source_names = _from_manifest(scan, expected), {}
    else:
        parsed = Pattern(pattern) if pattern else None
        described = _described(scan, expected, captions, parsed, source_scan.images)
        source_names = dict(described.source_names)
        folder = _from_names(scan, described, parsed, "parallel" if captions or not expected else None)
    grouped = with_groups(with_sources(folder.items, source_names, source_scan.images), source_names)
    links = tuple(problem for problem in source_scan.problems if problem.code != "other_file")
    return replace(folder, items=grouped.items, problems=(*folder.problems, *links, *grouped.problems))


def infer_benchmark(root: Path, candidates: Sequence[ItemList]) -> str | None:
    """The benchmark that a folder holds edits of.

    It is what the manifest says; without one, the candidate whose names most files carry, if they are at least half
    of all image files and more than twice as many as fit any other.

    Raises:
        LayoutError: There is no such folder.
        ManifestError: The manifest is malformed where it must say it.
    """
    if (_folder(root) / MANIFEST_NAME).is_file():
        return benchmark_of(root)
    scan = scan_folder(root)
    counts = sorted(
        ((_best(_by_benchmark_names(scan, by_benchmark(each))).n_matched, each.benchmark) for each in candidates),
        reverse=True,
    )
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
    if not apart:
        return scan

    def remains(path: Path | None) -> bool:
        return path is None or not any(path.resolve().is_relative_to(other) for other in apart)

    return replace(
        scan,
        images=tuple(filter(remains, scan.images)),
        problems=tuple(problem for problem in scan.problems if remains(problem.path)),
    )


def _from_manifest(scan: Scan, expected: ItemList | None) -> EditFolder:
    manifest = read_manifest(scan.root)
    if expected and manifest.benchmark not in (None, expected.benchmark):
        raise LayoutError(
            f"{scan.root / MANIFEST_NAME} was expected to hold edits of {expected.benchmark}, and says it holds edits "
            f"of {manifest.benchmark}. Give --benchmark {manifest.benchmark}, or leave the option out."
        )
    listed = claims_of_manifest(manifest, scan, expected)
    gathered = resolve(listed.items, listed.claims, scan.root)
    return EditFolder(
        root=scan.root,
        layout="manifest",
        items=gathered.items,
        n_files=listed.claims.n_files + sum(problem.code in _NO_EDIT for problem in listed.problems),
        n_matched=listed.claims.n_files,
        problems=(*scan.problems, *listed.problems, *gathered.problems),
        benchmark=expected.benchmark if expected else manifest.benchmark,
        method=manifest.method,
    )


def _described(
    scan: Scan, expected: ItemList | None, captions: Path | None, pattern: Pattern | None, source_files: Sequence[Path]
) -> ExpectedItems:
    """What the folder should hold, from whoever knows it best."""
    if expected:
        return by_benchmark(expected)
    if captions:
        return by_table(read_captions(captions))
    if pattern:
        return by_pattern(scan, pattern, source_files)
    if source_files:
        return by_sources(source_files)
    raise LayoutError(
        f"It is not known what the {len(scan.images)} image files in {scan.root} are edits of: there is no "
        f"{MANIFEST_NAME}, and their names are no benchmark's. Say it with --benchmark NAME (evalkit list benchmarks), "
        'with --sources DIR --captions FILE, or with --pattern "{source}-{target_caption}".'
    )


def _from_names(scan: Scan, described: ExpectedItems, pattern: Pattern | None, layout: LayoutName | None) -> EditFolder:
    """The folder as the best of the layouts explains it."""
    if pattern:
        _refuse_unknown_values(pattern, described)
        slots_of = pattern_layout(pattern, described.items, described.source_names)
        tried = [assign(scan, "pattern", f'names like "{pattern.text}"', slots_of, described.unclear)]
    elif layout:
        tried = _by_table_names(scan, described)
    else:
        tried = _by_benchmark_names(scan, described)
    best = _best(tried)
    if not best.explains(len(described.items)):
        raise LayoutError(_unexplained(scan, described, tried))
    claims = Candidates()
    for (position, seed), paths in best.files.items():
        for path in paths:
            claims.add(position, replace(described.items[position], seed=seed, edited_image=path))
    gathered = resolve(described.items, claims, scan.root)
    return EditFolder(
        root=scan.root,
        layout=best.layout,
        items=gathered.items,
        n_files=best.n_files,
        n_matched=best.n_matched,
        problems=(*scan.problems, *best.problems, *gathered.problems),
        benchmark=described.benchmark,
    )


def _refuse_unknown_values(pattern: Pattern, described: ExpectedItems) -> None:
    """A placeholder for something that no item has can match nothing."""
    known = {"source": described.source_names, "target_caption": any(item.target_caption for item in described.items)}
    if described.items and (unknown := [name for name in pattern.names if not known.get(name, True)]):
        raise OptionError(
            f'The pattern "{pattern.text}" asks for {{{unknown[0]}}}, which is known of no item. '
            "Say where it is to be had, with --data DIR or --captions FILE, or use another placeholder."
        )


def _by_benchmark_names(scan: Scan, described: ExpectedItems) -> list[Assignment]:
    name, items = described.benchmark, described.items
    official = assign(scan, "official", f"the file names of {name}", official_layout(items, described.edited_names))
    by_id = assign(scan, "item_id", f"the item ids of {name}", item_id_layout(items))
    return [official, by_id]


def _by_table_names(scan: Scan, described: ExpectedItems) -> list[Assignment]:
    items = described.items
    return [
        assign(scan, "parallel", "the table's names of edited images", official_layout(items, described.edited_names)),
        assign(scan, "parallel", "the item ids", item_id_layout(items)),
        assign(scan, "parallel", "the names of the source images", source_layout(items, described.source_names)),
    ]


def _best(tried: Iterable[Assignment]) -> Assignment:
    """The layout that finds most items; of equals the first, which is the most specific."""
    return max(tried, key=lambda assignment: len(assignment.files))


def _unexplained(scan: Scan, described: ExpectedItems, tried: Sequence[Assignment]) -> str:
    """What was compared with what, an example of each side, and what to type."""
    if not scan.images:
        return f"{scan.root} was expected to hold edited images, and holds no image file."
    fits = "; ".join(f"{each.title} fit {each.n_matched}" for each in tried)
    ids = [described.edited_names.get(item.item_id, item.item_id) for item in described.items]
    wanted = f", and names such as '{ids[0]}' are expected" if ids else ""
    return (
        f"No layout explains the {len(scan.images)} image files in {scan.root}: {fits}. "
        f"The first is '{shown(scan.images[0], scan.root)}'{wanted}. Say how the files are named, for example: "
        f'evalkit check {scan.root} --pattern "*_{{item_id}}.png"'
    )
