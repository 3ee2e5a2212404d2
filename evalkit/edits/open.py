"""Open an edit folder, whatever its layout: what is expected, which files match it, and what counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.edits.asked import read_asked
from evalkit.edits.beside import pairs_beside, with_captions_beside
from evalkit.edits.captions import read_captions
from evalkit.edits.choose import Typed, best_numbering, best_of, notes_on, propose, without_images
from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.edits.layouts import by_names, items_by_patterns
from evalkit.edits.manifest import MANIFEST_NAME, Manifest, benchmark_of, read_manifest
from evalkit.edits.named_files import NamedFiles, with_named_files
from evalkit.edits.names import PathIndex, Pattern, bare_name, stem
from evalkit.edits.resolve import Matches, Resolved, match_manifest, resolve
from evalkit.edits.scan import Scan, scan_folder
from evalkit.edits.sides import with_sides
from evalkit.edits.sources import with_groups, with_sources
from evalkit.errors import DataError, LayoutError, OptionError
from evalkit.images.stored import AnyImage
from evalkit.storage.tables import SUFFIXES

_STRANGERS = ("unmatched_file", "other_file")
_OTHER_IMAGES = tuple(name for name in IMAGE_FIELDS if name != "edited_image")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a folder holds, before its items are put together."""

    matches: Matches
    known: ExpectedItems
    problems: tuple[Problem, ...]
    files: Scan
    """Its files without those that a table names as other images than edits."""


def open_folder(
    root: Path,
    *,
    expected: ExpectedItems | None = None,
    sources: Path | None = None,
    captions: Path | None = None,
    pattern: str | Sequence[str] | None = None,
    source_pattern: str | None = None,
    mapped: Mapping[str, str] | None = None,
    typed: Typed | None = None,
) -> EditFolder:
    """Finds out which file of a folder is which item's edited image.

    A manifest is believed unless ``captions`` or ``pattern`` say otherwise, and no more is expected than ``evalkit
    edit`` was asked for; else names decide, and never the order of the files. What does not fit is a problem of the
    result, not an error.

    Args:
        root: The folder. Sub-folders are searched; links that lead out of it are not followed.
        expected: The benchmark's items, if the folder holds edits of a benchmark.
        sources: A folder with source images, for items that have none yet; found by name.
        captions: Captions, for a folder without a benchmark: see :func:`evalkit.edits.captions.read_captions`.
        pattern: How the files are named, or several patterns: see :class:`evalkit.edits.names.Pattern`.
        source_pattern: How the source images are named, in ``sources`` or beside the edits.
        mapped: Which columns of the captions hold which of our fields.
        typed: What was typed to open it, for the commands that errors suggest.

    Raises:
        LayoutError: There is no such folder, or nothing explains what its files are.
        DataError: A line of the manifest or of the captions is wrong.
        OptionError: The pattern is malformed, or two options contradict each other.
    """
    if expected and captions:
        raise OptionError(
            f"--captions goes with folders without a benchmark, and {expected.benchmark} has captions of its own. "
            "Leave out one of the two."
        )
    scan = _scan_edits(root, sources, captions)
    source_scan = scan_folder(_folder(sources)) if sources else None
    manifest, asked = None, None
    if (root / MANIFEST_NAME).is_file() and not captions and not pattern:
        manifest, asked = _manifest_of(root, expected), read_asked(root)
        matches = match_manifest(manifest, scan, expected, asked)
        found = _Found(matches=matches, known=ExpectedItems(items=()), problems=(), files=scan)
    else:
        patterns = [Pattern(text) for text in ([pattern] if isinstance(pattern, str) else pattern or ())]
        known = expected or _expected(scan, captions, patterns, source_scan, mapped or {})
        found = _found(scan, source_scan, known, patterns, typed or Typed())
    resolved = resolve(found.matches, root, asked)
    problems = [*scan.problems, *found.problems, *found.matches.problems, *resolved.problems]
    if source_scan or source_pattern or not (expected or manifest):
        look_in, beside = source_scan or found.files, source_scan is None
        resolved = with_sources(resolved.items, found.known, look_in, pattern=source_pattern, beside=beside)
        links = [problem for problem in (source_scan.problems if source_scan else ()) if problem.code != "other_file"]
        problems += [*resolved.problems, *links]
    return replace(
        _together(root, found, resolved, problems),
        benchmark=expected.benchmark if expected else manifest.benchmark if manifest else None,
        method=manifest.method if manifest else None,
        benchmark_items=tuple(item.item_id for item in expected.items) if expected else (),
    )


def _together(root: Path, found: _Found, resolved: Resolved, problems: Sequence[Problem]) -> EditFolder:
    """The folder, with its items in groups; what was used for something is no stranger in it."""
    grouped = with_groups(resolved.items, found.known.source_names)
    used = {path for item in grouped.items for name in _OTHER_IMAGES if (path := getattr(item, name))}
    used |= found.known.caption_files
    strange = [problem for problem in problems if problem.code not in _STRANGERS or problem.path not in used]
    n_used = len(problems) - len(strange) - sum(p.code == "other_file" and p.path in used for p in problems)
    return EditFolder(
        root=root,
        layout=found.matches.layout,
        items=grouped.items,
        n_files=found.matches.n_files - n_used,
        n_matched=found.matches.n_matched,
        problems=(*strange, *grouped.problems),
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
    known = tuple(candidates)
    for propositions in (by_names, propose):  # words inside of names only where whole names say nothing
        best = [best_of(propositions(scan, each)) for each in known]
        counts = sorted(((each.n_matched, each.expected.benchmark or "") for each in best), reverse=True)
        if counts and counts[0][0] and 2 * counts[0][0] >= len(scan.images):
            return counts[0][1] if len(counts) == 1 or counts[0][0] > 2 * counts[1][0] else None
    return None


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
    scan: Scan, captions: Path | None, patterns: Sequence[Pattern], sources: Scan | None, mapped: Mapping[str, str]
) -> ExpectedItems:
    """What a folder without a benchmark should hold, from whoever knows it best."""
    if captions:
        return read_captions(captions, mapped)
    if not patterns and not sources and (table := _table_inside(scan, mapped)):
        return table
    if mapped:
        raise OptionError("--map says what the columns of a table are. Give the table too: --captions FILE")
    known = _by_files(scan, patterns, sources)
    if known is None and not scan.images:
        raise LayoutError(without_images(scan))
    if known is None:
        raise LayoutError(
            f"It is not known what the {len(scan.images)} image files in {scan.root} are edits of: there is no "
            f"{MANIFEST_NAME}, and their names are no benchmark's. Say it with --benchmark NAME (evalkit list "
            'benchmarks), with --sources DIR --captions FILE, or with --pattern "{source}-{target_caption}".'
        )
    return with_captions_beside(known, scan)


def _table_inside(scan: Scan, mapped: Mapping[str, str]) -> ExpectedItems | None:
    """What the one table at the top of a folder says, if it names most of what lies there."""
    tables = [path for path in scan.other_files if path.parent == scan.root and path.suffix.lower() in SUFFIXES]
    if len(tables) != 1:
        return None
    try:
        known = read_captions(tables[0], mapped)
    except (DataError, OptionError):  # a file of another kind
        return None
    index = PathIndex((path.relative_to(scan.root).as_posix(), path) for path in scan.images)
    names = {*known.source_names.values(), *known.edited_names.values(), *known.seed_names.values()}
    if not names or 2 * sum(len(index.find(name)) == 1 for name in names) < len(names):
        return None
    note = f"{tables[0]}: the table in the folder was read as its captions; to have it otherwise: --captions FILE"
    return replace(known, notes=(*known.notes, note))


def _by_files(scan: Scan, patterns: Sequence[Pattern], sources: Scan | None) -> ExpectedItems | None:
    """The items that names of files describe."""
    if patterns:
        return items_by_patterns(scan, patterns, sources.images if sources else ())
    if sources and sources.root.resolve() != scan.root.resolve():  # each is edited once, under its own name
        relative = [path.relative_to(sources.root).as_posix() for path in sources.images]
        bare, stems = (Counter(map(key, relative)) for key in (lambda name: stem(bare_name(name)), stem))

        def item_id(name: str) -> str:
            if bare[short := stem(bare_name(name))] == 1:
                return short
            return stem(name) if stems[stem(name)] == 1 else name

        names = {item_id(name): name for name in relative}
        return ExpectedItems(items=tuple(EditItem(item_id=item_id) for item_id in names), source_names=names)
    return pairs_beside(scan)


def _found(scan: Scan, sources: Scan | None, known: ExpectedItems, patterns: Sequence[Pattern], typed: Typed) -> _Found:
    """Which files are the edits of what is known, and which are its other images."""
    if known.table and not sources and not patterns:
        known = with_sides(known, scan, typed)
    named = with_named_files(known, scan, sources) if known.table else NamedFiles(expected=known, problems=())
    others = {path for item in named.expected.items for path in item.images}
    rest = replace(scan, images=tuple(path for path in scan.images if path not in others))
    if scan.images and not rest.images:  # what the table calls the sources are the edits: it was written for these
        known, rest = replace(known, unsure={"source_image": ""}), scan
        named = with_named_files(known, scan, sources)
    best = best_numbering(rest, named.expected, patterns, typed)
    notes = tuple(Problem(code="guessed", message=note, path=known.table) for note in known.notes)
    problems = (*notes, *named.problems, *notes_on(best, rest))
    return _Found(matches=best.matches(), known=best.expected, problems=problems, files=rest)
