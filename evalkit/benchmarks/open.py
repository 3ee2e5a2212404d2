"""Open an edit folder together with the benchmark that it belongs to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from evalkit.benchmarks.base import BENCHMARKS, CARDS, Benchmark, LoadedBenchmark
from evalkit.edits.dataset_items import dataset_folder, dataset_sources
from evalkit.edits.dataset_rows import Dataset
from evalkit.edits.datasets import is_dataset, open_dataset
from evalkit.edits.folder import EditFolder, ExpectedItems
from evalkit.edits.headings import mapped_fields
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.open import infer_benchmark, open_folder
from evalkit.edits.problems import shown
from evalkit.errors import BrokenPluginError, OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFolder:
    """An edit folder, and the benchmark whose items it holds, if any."""

    folder: EditFolder
    benchmark: Benchmark | None


def open_edits(
    root: Path | str,
    *,
    benchmark: str | None = None,
    data: Path | None = None,
    sources: Path | str | None = None,
    captions: Path | None = None,
    pattern: str | None = None,
    mapped: str | Mapping[str, str] | None = None,
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
        captions: CSV or JSONL with the captions, to go with ``sources``.
        pattern: How files are named.
        mapped: Which columns are which of our fields; as a text, a line ``FIELD=HEADING`` for each.
        split: Of the data set.
        config: Of the data set.
        with_images: Whether the benchmark's own images are needed; without them nothing is fetched.

    Raises:
        UnknownNameError: No benchmark has that name.
        BenchmarkError: The benchmark's files cannot be had.
        DataError: The folder cannot be read as any layout.
    """
    rows = _rows(root, sources, benchmark, captions, pattern, split=split, config=config)
    holds_edits = rows is not None and sources is None
    is_known = rows or sources
    chosen, notes = _chosen(Path(root), benchmark) if benchmark or not is_known else (None, ())
    expected = chosen.without_files if chosen else None
    if chosen and (with_images or not chosen.items):
        loaded = chosen.load(data, near=None if holds_edits else Path(root))
        chosen, expected = loaded.benchmark, loaded.expected
    fields = mapped_fields(mapped.splitlines()) if isinstance(mapped, str) else mapped or {}
    if rows and holds_edits:
        folder = dataset_folder(rows, fields, expected)
    elif rows:
        expected = dataset_sources(rows, fields)
        folder, notes = open_folder(Path(root), expected=expected, pattern=pattern), expected.problems
    else:
        paths = {"sources": Path(sources) if sources else None, "captions": captions}
        folder = open_folder(Path(root), expected=expected, pattern=pattern, **paths)
    folder = _as_benchmark_has_it(folder, chosen) if chosen else folder
    texts = {"benchmark": _lasting(benchmark, chosen), "pattern": pattern, "config": config}
    texts["split"] = rows.split if rows else None
    texts["mapped"] = "\n".join(f"{field}={heading}" for field, heading in fields.items())
    texts |= {name: str(path.resolve()) for name, path in (("data", data), ("captions", captions)) if path}
    if sources:
        texts["sources"] = rows.location if rows else str(Path(sources).resolve())
    opened_with = {name: value for name, value in texts.items() if value}
    folder = replace(folder, opened_with=opened_with, problems=(*notes, *folder.problems))
    return OpenedFolder(folder=folder, benchmark=chosen)


def open_edits_of(loaded: LoadedBenchmark, root: Path) -> EditFolder:
    """Open a folder of edits of a benchmark whose files are at hand.

    Raises:
        DataError: The folder cannot be read as any layout.
    """
    return _as_benchmark_has_it(open_folder(root, expected=loaded.expected), loaded.benchmark)


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


def _as_benchmark_has_it(folder: EditFolder, benchmark: Benchmark) -> EditFolder:
    """A folder as its benchmark's own scripts write it, with the edited images that its files hold."""
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
    captions: Path | None,
    pattern: str | None,
    *,
    split: str | None,
    config: str | None,
) -> Dataset | None:
    """The data set that holds the edits, or their sources, if there is one.

    Raises:
        OptionError: An option contradicts it, or goes with a data set alone.
    """
    location = sources or root
    if ((captions or pattern) and not sources) or not is_dataset(location):
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
