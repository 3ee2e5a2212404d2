"""Open an edit folder together with the benchmark that it belongs to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from os import PathLike
from pathlib import Path

from evalkit.benchmarks.base import BENCHMARKS, CARDS, Benchmark, LoadedBenchmark
from evalkit.edits.choose import Typed
from evalkit.edits.dataset_items import dataset_folder, dataset_sources
from evalkit.edits.dataset_rows import Dataset
from evalkit.edits.datasets import is_dataset, open_dataset
from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.headings import mapped_fields
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.edits.open import infer_benchmark, open_folder
from evalkit.edits.problems import shown
from evalkit.edits.sources import with_groups
from evalkit.edits.strips import Strips, refuse_strips
from evalkit.errors import BrokenPluginError, LayoutError, OptionError
from evalkit.scores.run import FolderRecord
from evalkit.storage.paths import is_url
from evalkit.storage.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFolder:
    """An edit folder, and the benchmark whose items it holds, if any."""

    folder: EditFolder
    benchmark: Benchmark | None


def open_edits(
    root: Path | str,
    *,
    benchmark: str | None = None,
    data: Path | str | None = None,
    sources: Path | str | None = None,
    captions: Path | str | None = None,
    pattern: str | Sequence[str] | None = None,
    source_pattern: str | None = None,
    mapped: str | Mapping[str, str] | None = None,
    strip: str | None = None,
    split: str | None = None,
    config: str | None = None,
    with_images: bool = True,
) -> OpenedFolder:
    """Open a folder, with the benchmark that is named, or that its manifest or file names point to.

    Args:
        root: The folder; or a data set with edited images in a column, see :func:`evalkit.edits.datasets.open_dataset`.
        benchmark: The benchmark's name, or the path of its card; inferred where it is None.
        data: A local copy of the benchmark's files.
        sources: Source images, for a folder without a benchmark; or a data set of them, with what else its rows say.
        captions: A table, or a folder of text files, that says what was edited.
        pattern: How files are named; several as a sequence, or one per line.
        source_pattern: How source images are named.
        mapped: Which columns are which of our fields; as a text, a line ``FIELD=HEADING`` for each.
        strip: What the panels are, such as ``source,edited``, where each file is a strip of several images.
        split: Of the data set.
        config: Of the data set.
        with_images: Whether the benchmark's own images are needed; without them nothing is fetched.

    Raises:
        UnknownNameError: No benchmark has that name.
        BenchmarkError: The benchmark's files cannot be had.
        DataError: The folder cannot be read as any layout.
    """
    paths = {"data": data, "sources": sources, "captions": captions}
    for name, path in {"edits": root, **paths}.items():
        if not isinstance(path, str | PathLike | None):
            raise OptionError(f"{name}: expected the path of a file or folder, got a {type(path).__name__}.")
    patterns = pattern.splitlines() if isinstance(pattern, str) else list(pattern or ())
    rows = _rows(root, sources, benchmark, captions, patterns, split=split, config=config)
    holds_edits = rows is not None and sources is None
    is_known = rows or sources or captions
    chosen, notes = _chosen(Path(root), benchmark) if benchmark or not is_known else (None, ())
    expected = chosen.without_files if chosen else None
    if chosen and (with_images or not chosen.items):
        loaded = chosen.load(Path(data) if data else None, near=None if holds_edits else Path(root))
        chosen, expected = loaded.benchmark, loaded.expected
    texts = {"benchmark": benchmark, "source_pattern": source_pattern, "strip": strip, "split": split, "config": config}
    fields = mapped_fields(mapped.splitlines()) if isinstance(mapped, str) else mapped or {}
    said = _Said(texts=texts, paths=paths, patterns=tuple(patterns), fields=fields)
    folder = _opened(root, said, rows, expected)
    folder = _as_benchmark_has_it(_cut(folder, strip, said.typed, chosen), chosen)
    opened_with = said.opened_with(rows, _lasting(benchmark, chosen))
    folder = replace(folder, opened_with=opened_with, problems=(*notes, *folder.problems))
    return OpenedFolder(folder=folder, benchmark=chosen)


def open_again(folder: FolderRecord, *, with_images: bool = True) -> OpenedFolder:
    """A folder that was scored, opened as it was for scoring.

    Args:
        folder: What its run says of it.
        with_images: As for :func:`open_edits`.

    Raises:
        LayoutError: It is not there any more.
        EvalkitError: It cannot be read any more; see :func:`open_edits`.
    """
    root: Path | str = folder.path if folder.layout == "dataset" else Path(folder.path)
    if is_url(folder.path) and folder.layout != "dataset":
        root = Remote(folder.path, index=MANIFEST_NAME).pull()
    if not is_url(str(root)) and not Path(root).exists():
        raise LayoutError(f"{folder.path} is not there any more.")
    paths = ("data", "captions")
    options = {name: Path(value) if name in paths else value for name, value in folder.opened_with.items()}
    return open_edits(root, **options, with_images=with_images)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the user said of a folder, by option."""

    texts: Mapping[str, str | None]
    paths: Mapping[str, Path | str | None]
    patterns: tuple[str, ...]
    fields: Mapping[str, str]

    @property
    def lines(self) -> dict[str, str | None]:
        """All that is no path; what was said several times, line by line."""
        mapped = "\n".join(f"{field}={heading}" for field, heading in self.fields.items())
        return {**self.texts, "pattern": "\n".join(self.patterns), "mapped": mapped}

    @property
    def typed(self) -> Typed:
        """The same as it is typed."""
        return Typed.of({**self.paths, **self.lines})

    def opened_with(self, rows: Dataset | None, benchmark: str | None) -> dict[str, str]:
        """The same as a run remembers it: with absolute paths, and the split and the revision that was read."""
        found = {name: str(Path(path).resolve()) for name, path in self.paths.items() if path} | self.lines
        found |= {"benchmark": benchmark, "split": rows.split if rows else None}
        if rows and self.paths["sources"]:
            found["sources"] = rows.location
        return {name: text for name, text in found.items() if text}


def _opened(root: Path | str, said: _Said, rows: Dataset | None, expected: ExpectedItems | None) -> EditFolder:
    """A data set of edits; or a folder of files, whose items are those that are expected or found in what was said."""
    sources, captions, patterns = said.paths["sources"], said.paths["captions"], said.patterns
    if rows and sources is None:
        return dataset_folder(rows, said.fields, expected)
    if rows:
        expected, sources = dataset_sources(rows, said.fields), None
    if said.texts["strip"] and not (
        expected or sources or captions or patterns or (Path(root) / MANIFEST_NAME).is_file()
    ):
        patterns = ("{item_id}",)
    folder = open_folder(
        Path(root),
        expected=expected,
        sources=Path(sources) if sources else None,
        captions=Path(captions) if captions else None,
        pattern=patterns,
        source_pattern=said.texts["source_pattern"],
        mapped={} if rows else said.fields,
        typed=said.typed,
    )
    return replace(folder, problems=(*expected.problems, *folder.problems)) if rows and expected else folder


def _cut(folder: EditFolder, strip: str | None, typed: Typed, benchmark: Benchmark | None) -> EditFolder:
    """The folder with the panels of its strips, if the user says what these are; other strips are refused.

    Those of a benchmark that knows what its scripts write are left to it.

    Raises:
        LayoutError: It holds strips, or not those that the user says.
        OptionError: What the user says names no panels.
    """
    if strip:
        grouped = with_groups(Strips.of(strip).cut(folder.items, folder.root), {})
        return replace(folder, items=grouped.items, problems=(*folder.problems, *grouped.problems))
    if folder.layout != "dataset" and (benchmark is None or benchmark.edited_image is None):
        refuse_strips(folder.items, folder.root, typed.command(str(folder.root)))
    return folder


def open_edits_of(loaded: LoadedBenchmark, root: Path) -> EditFolder:
    """Open a folder of edits of a benchmark whose files are at hand.

    Raises:
        DataError: The folder cannot be read as any layout.
    """
    folder = _cut(open_folder(root, expected=loaded.expected), None, Typed(), loaded.benchmark)
    return _as_benchmark_has_it(folder, loaded.benchmark)


def _lasting(name: str | None, benchmark: Benchmark | None) -> str | None:
    """The name of a benchmark as it leads there from anywhere: of a card of the user's own its absolute path."""
    return name if name is None or benchmark is None or benchmark.name == name else str(Path(name).resolve())


def _chosen(root: Path, name: str | None) -> tuple[Benchmark | None, tuple[Problem, ...]]:
    """The benchmark that is named, or that a folder's manifest or file names point to; and what is to be said of it."""
    if name:
        return BENCHMARKS.get(name)(), ()
    inferred = infer_benchmark(root, _known())
    if inferred is None:
        return None, ()
    if inferred.partition(":")[0] in BENCHMARKS.names():  # and not a file, which nobody but the user may name
        return BENCHMARKS.get(inferred)(), ()
    message = (
        f"The manifest names the benchmark '{inferred}', which is not known here: its edits are taken as the manifest "
        "has them. If it is a card of your own, give it with: --benchmark FILE"
    )
    return None, (Problem(code="unknown_benchmark", message=message),)


def _as_benchmark_has_it(folder: EditFolder, benchmark: Benchmark | None) -> EditFolder:
    """A folder as its benchmark's own scripts write it, with the edited images that its files hold."""
    if benchmark is None:
        return folder
    if benchmark.edited_image:
        folder = _with_edited_images(folder, benchmark.edited_image)
    problems = (problem for problem in folder.problems if not _is_beside(problem, folder.root, benchmark.beside))
    return replace(folder, problems=(*benchmark.problems, *problems))


def _is_beside(problem: Problem, root: Path, patterns: Sequence[str]) -> bool:
    """Whether a problem is about a file that a benchmark's own scripts write beside the edits."""
    path = problem.path
    if problem.code not in ("unmatched_file", "other_file") or not isinstance(path, Path):
        return False
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return any(fnmatchcase(name, pattern) for name in (path.name, relative) for pattern in patterns)


def _rows(
    root: Path | str,
    sources: Path | str | None,
    benchmark: str | None,
    captions: Path | str | None,
    patterns: Sequence[str],
    *,
    split: str | None,
    config: str | None,
) -> Dataset | None:
    """The data set that holds the edits, or their sources, if there is one.

    Raises:
        OptionError: An option contradicts it, or goes with a data set alone.
    """
    location = sources or root
    if ((captions or patterns) and not sources) or not is_dataset(location):
        if split or config:
            raise OptionError(f"{location} is no data set: leave --split and --config out.")
        return None
    if sources and (benchmark or captions):
        other, what = ("--captions", "texts") if captions else ("--benchmark", "items")
        raise OptionError(f"The rows of {sources} say what its {what} are. Leave {other} out, or --sources.")
    return open_dataset(location, split=split, config=config)


def _known() -> Iterator[ExpectedItems]:
    """The items of every benchmark that knows them before its data are opened.

    A broken plug-in must not keep a folder of another one from being scored.
    """
    for entry in BENCHMARKS.entries():
        if (make := entry.value) is not None and entry.name not in CARDS:
            with suppress(BrokenPluginError):
                yield entry.ask(partial(_without_files, make), f"The benchmark '{entry.name}' cannot be read")


def _without_files(make: Callable[[], Benchmark]) -> ExpectedItems:
    return make().without_files


def _with_edited_images(folder: EditFolder, edited_image: Callable[[Path], Path]) -> EditFolder:
    """The folder with the edited images in the place of the files that hold them among others."""
    items, problems = list[EditItem](), list(folder.problems)
    for item in folder.items:
        found = edited_image(item.edited_image) if isinstance(item.edited_image, Path) else item.edited_image
        if item.edited_image and found != item.edited_image:
            message = f"{shown(item.edited_image, folder.root)} is a strip of images, of which the last is used."
            problems.append(
                Problem(code="strip_of_images", message=message, item_id=item.item_id, path=item.edited_image)
            )
        items.append(replace(item, edited_image=found))
    return replace(folder, items=tuple(items), problems=tuple(problems))
