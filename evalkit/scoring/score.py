"""``score_into``: from an edit folder to a run directory, with cache and encoders opened and closed here."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import Problem
from evalkit.encoders.base import precision
from evalkit.encoders.cache import EmbeddingCache
from evalkit.engine.base import Engine
from evalkit.errors import CacheError, OptionError
from evalkit.metrics.base import Metric, get_metrics
from evalkit.scores.run import ScoredRun, check_destination, write_run
from evalkit.scoring.apply import score_folder
from evalkit.scoring.encoders import open_encoders
from evalkit.scoring.options import DEFAULT_ENCODER, DEFAULT_METRICS, ScoreOptions
from evalkit.storage.prefetch import Progress, no_progress
from evalkit.storage.remote import origin_of

__all__ = ["DEFAULT_ENCODER", "ScoreOptions", "open_cache", "score_into"]


def score_into(
    directory: Path,
    folder: EditFolder,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress = no_progress,
    **changes: Any,  # noqa: ANN401 - fields of the options
) -> ScoredRun:
    """Score an edit folder and write its run directory.

    Args:
        directory: Where the run goes; a run of the same folder there is replaced.
        folder: What to score.
        options: How.
        engine: Whose workers compute; by default this process does. Its device is the workers'.
        progress: Called with the kind of work, how much is done and how much there is.
        **changes: Options that differ from ``options``.

    Raises:
        EvalkitError: A name is unknown, items are missing, weights cannot be had, the run cannot be written, or the
            folder is not what the protocol asks for.
    """
    options = replace(options or ScoreOptions(), **changes)
    check_destination(directory, origin_of(folder.root))
    protocol = options.protocol
    if protocol and not set(options.metrics or ()) <= set(protocol.metrics):
        raise OptionError(f"{protocol.name} fixes the metrics: leave --metrics out.")
    metrics = get_metrics(options.metrics or (protocol.metrics if protocol else DEFAULT_METRICS))
    if protocol:
        folder = protocol.part_of(folder)
        _require(protocol, folder, metrics, options)
        options = replace(options, default_encoder=protocol.encoder)
    with open_cache(enabled=options.cached) as (cache, problems):
        encoders = open_encoders(metrics, options, cache=cache, engine=engine)
        run = score_folder(
            folder, metrics, encoders, cache, options, engine=engine, problems=problems, progress=progress
        )
    write_run(directory, run)
    return run


def _require(protocol: Protocol, folder: EditFolder, metrics: Sequence[Metric], options: ScoreOptions) -> None:
    """Raises an OptionError where the run would not keep to the protocol.

    The weights of networks that metrics bring themselves may come from a file; the CLIP encoder is the protocol's.
    """
    own = {name for metric in metrics for name in metric.encoders} - {"clip"}
    for spec in [options.encoder] if isinstance(options.encoder, str) else options.encoder:
        if spec.partition(":")[0] not in own:
            raise OptionError(
                f"{protocol.name} fixes the CLIP encoder, {protocol.encoder}: leave --encoder {spec} out."
            )
    seeds = Counter(item.item_id for item in folder.items)
    mismatch = protocol.mismatch(
        benchmark=folder.benchmark,
        version=options.benchmark_version,
        n_items=len(seeds),
        n_seeds=max(seeds.values(), default=0),
        missing=options.missing,
        dtype=precision(options.dtype, compiled=options.compiled),
    )
    if mismatch:
        raise OptionError(f"{mismatch} Leave --protocol out to score the folder in another way.")


@contextmanager
def open_cache(*, enabled: bool) -> Iterator[tuple[EmbeddingCache, tuple[Problem, ...]]]:
    """The cache, or one in memory with the reason, so that an unusable cache does not stop a run."""
    with ExitStack() as stack:
        try:
            cache = EmbeddingCache.open() if enabled else EmbeddingCache.in_memory()
            problems: tuple[Problem, ...] = ()
        except CacheError as failure:
            cache = EmbeddingCache.in_memory()
            problems = (Problem(code="cache_unavailable", message=f"{failure} Scoring went on without it."),)
        yield stack.enter_context(cache), problems
