"""Open an edit folder together with the benchmark that it belongs to."""

from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.data.folder import EditFolder
from evalkit.data.open import infer_benchmark, open_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFolder:
    """An edit folder, and the benchmark whose items it holds, if any."""

    folder: EditFolder
    benchmark: Benchmark | None


def open_edit_folder(
    root: Path,
    *,
    benchmark: str | None = None,
    data: Path | None = None,
    sources: Path | None = None,
    captions: Path | None = None,
    pattern: str | None = None,
    with_images: bool = True,
) -> OpenedFolder:
    """Open a folder, with the benchmark that is named, or that its manifest or file names point to.

    Args:
        root: The folder.
        benchmark: The benchmark's name; inferred where it is None.
        data: A local copy of the benchmark's files.
        sources: Source images, for a folder without a benchmark.
        captions: CSV or JSONL with the captions, to go with ``sources``.
        pattern: How files are named.
        with_images: Whether the benchmark's own images are needed; without them nothing is fetched.

    Raises:
        UnknownNameError: No benchmark has that name.
        BenchmarkError: The benchmark's files cannot be had.
        DataError: The folder cannot be read as any layout.
    """
    chosen = BENCHMARKS.get(benchmark)() if benchmark else None
    if chosen is None and sources is None:
        # A plug-in that cannot be imported must not keep a folder of another benchmark from being scored.
        candidates = [entry.value() for entry in BENCHMARKS.entries() if entry.value]
        inferred = infer_benchmark(root, [candidate.item_list() for candidate in candidates])
        chosen = next((candidate for candidate in candidates if candidate.name == inferred), None)
    files = chosen.locate(data, near=root) if chosen and with_images else None
    expected = chosen.item_list(files) if chosen else None
    folder = open_folder(root, expected=expected, sources=sources, captions=captions, pattern=pattern)
    paths = {"data": data, "sources": sources, "captions": captions}
    options = {"benchmark": benchmark, "pattern": pattern} | {k: str(p.resolve()) for k, p in paths.items() if p}
    opened_with = {name: value for name, value in options.items() if value}
    return OpenedFolder(folder=replace(folder, opened_with=opened_with), benchmark=chosen)
