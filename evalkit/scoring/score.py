"""``score_into``: from an edit folder to a run directory, with cache and encoders opened and closed here."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evalkit.data.folder import EditFolder
from evalkit.data.item import Problem
from evalkit.data.parallel import Progress, unwatched
from evalkit.encoders.base import DType, Encoder
from evalkit.encoders.load import open_encoder
from evalkit.encoders.store import EmbeddingCache
from evalkit.errors import CacheError
from evalkit.metrics.base import Metric, get_metrics
from evalkit.results.store import Run, check_destination, write_run
from evalkit.scoring.run import Missing, score_folder

DEFAULT_ENCODER = "open_clip:ViT-B-32-quickgelu/openai"
DEFAULT_METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity")


def score_into(
    directory: Path,
    folder: EditFolder,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    encoder: str = DEFAULT_ENCODER,
    name: str | None = None,
    benchmark_version: str | None = None,
    missing: Missing = "fail",
    level: float = 0.95,
    device: str = "auto",
    dtype: DType = "fp32",
    batch_size: int = 32,
    cached: bool = True,
    progress: Progress = unwatched,
) -> Run:
    """Score an edit folder and write its run directory.

    Args:
        directory: Where the run goes; a run of the same folder there is replaced.
        folder: What to score.
        metrics: Names of metrics.
        encoder: Specification of the network behind the CLIP metrics.
        name: The run's name; the method in the manifest, or the folder's name, by default.
        benchmark_version: Of the benchmark that the folder's items belong to.
        missing: What an absent edited image means: see :func:`evalkit.scoring.run.score_folder`.
        level: Coverage of the intervals.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: Precision of the network.
        batch_size: Images per pass; it does not change a score.
        cached: Whether vectors are kept between runs.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EvalkitError: A name is unknown, items are missing, weights cannot be had, or the run cannot be written.
    """
    check_destination(directory, folder.root.resolve())
    chosen = get_metrics(metrics)
    with _open_cache(enabled=cached) as (cache, problems):
        run = score_folder(
            folder,
            chosen,
            open_encoders(chosen, encoder, device=device, dtype=dtype, cache=cache),
            cache,
            name=name or folder.method or folder.root.resolve().name,
            benchmark_version=benchmark_version,
            missing=missing,
            level=level,
            batch_size=batch_size,
            problems=problems,
            progress=progress,
        )
    write_run(directory, run)
    return run


def open_encoders(
    metrics: Sequence[Metric], spec: str, *, device: str, dtype: DType, cache: EmbeddingCache
) -> dict[str, Encoder]:
    """The encoders that some metrics go through, by the names that their features use."""
    names = dict.fromkeys(metric.encoder for metric in metrics)
    return {
        name: open_encoder(spec if name == "clip" else name, device=device, dtype=dtype, cache=cache) for name in names
    }


@contextmanager
def _open_cache(*, enabled: bool) -> Iterator[tuple[EmbeddingCache, tuple[Problem, ...]]]:
    """The cache, or one in memory with the reason, so that an unusable cache does not stop a run."""
    with ExitStack() as stack:
        try:
            cache = EmbeddingCache.open() if enabled else EmbeddingCache.in_memory()
            problems: tuple[Problem, ...] = ()
        except CacheError as failure:
            cache = EmbeddingCache.in_memory()
            problems = (Problem(code="cache_unavailable", message=f"{failure} Scoring went on without it."),)
        yield stack.enter_context(cache), problems
