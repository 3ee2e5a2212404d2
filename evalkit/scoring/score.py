"""``score_into``: from an edit folder to a run directory, with cache and encoders opened and closed here."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import Problem
from evalkit.encoders.base import AnyEncoder, DType, precision
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import EncoderConfig, open_encoder
from evalkit.engine.base import Engine
from evalkit.errors import CacheError, OptionError
from evalkit.metrics.base import Metric, get_metrics
from evalkit.scores.run import ScoredRun, check_destination, write_run
from evalkit.scoring.apply import Missing, score_folder
from evalkit.scoring.workers import Workers
from evalkit.storage.prefetch import Progress, no_progress
from evalkit.storage.remote import origin_of

DEFAULT_ENCODER = "open_clip:ViT-B-32-quickgelu/openai"
DEFAULT_METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity")


def score_into(
    directory: Path,
    folder: EditFolder,
    *,
    metrics: Sequence[str] | None = None,
    encoder: str | Sequence[str] = (),
    default_encoder: str = DEFAULT_ENCODER,
    name: str | None = None,
    benchmark_version: str | None = None,
    protocol: Protocol | None = None,
    missing: Missing = "fail",
    level: float = 0.95,
    device: str = "auto",
    dtype: DType = "fp32",
    compiled: bool = False,
    batch_size: int = 32,
    cached: bool = True,
    engine: Engine | None = None,
    progress: Progress = no_progress,
) -> ScoredRun:
    """Score an edit folder and write its run directory.

    Args:
        directory: Where the run goes; a run of the same folder there is replaced.
        folder: What to score.
        metrics: Names of metrics; the protocol's, or :data:`DEFAULT_METRICS`, by default.
        encoder: Specification of the network behind the CLIP metrics, or several: see :func:`open_encoders`.
        default_encoder: The one behind the CLIP metrics where none is given; the protocol's comes first.
        name: The run's name; the method in the manifest, or the folder's name, by default.
        benchmark_version: Of the benchmark that the folder's items belong to.
        protocol: What the run must keep to.
        missing: What an absent edited image means: see :func:`evalkit.scoring.apply.score_folder`.
        level: Coverage of the intervals.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: Precision of the network.
        compiled: Whether the network's operations are fused; part of the signature.
        batch_size: Images per pass; it does not change a score.
        cached: Whether vectors are kept between runs.
        engine: Whose workers encode and compare; by default this process does. Its device is the workers'.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EvalkitError: A name is unknown, items are missing, weights cannot be had, the run cannot be written, or the
            folder is not what the protocol asks for.
    """
    check_destination(directory, origin_of(folder.root))
    if protocol and metrics:
        raise OptionError(f"{protocol.name} fixes the metrics: leave --metrics out.")
    chosen = get_metrics(metrics or (protocol.metrics if protocol else DEFAULT_METRICS))
    if protocol:
        folder = protocol.part_of(folder)
        rounding = precision(dtype, compiled=compiled)
        _require(protocol, folder, chosen, encoder, version=benchmark_version, missing=missing, dtype=rounding)
        default_encoder = protocol.encoder
    with open_cache(enabled=cached) as (cache, problems):
        workers = workers_for(engine, chosen, encoder, default=default_encoder, dtype=dtype, compiled=compiled)
        run = score_folder(
            folder,
            chosen,
            open_encoders(
                chosen,
                encoder,
                default=default_encoder,
                device=device,
                dtype=dtype,
                compiled=compiled,
                cache=cache,
                workers=workers,
            ),
            cache,
            name=name or folder.method or folder.root.resolve().name,
            benchmark_version=benchmark_version,
            protocol=protocol.name if protocol else None,
            missing=missing,
            level=level,
            batch_size=batch_size,
            problems=problems,
            workers=workers,
            progress=progress,
        )
    write_run(directory, run)
    return run


def _require(
    protocol: Protocol,
    folder: EditFolder,
    metrics: Sequence[Metric],
    specs: str | Sequence[str],
    *,
    version: str | None,
    missing: Missing,
    dtype: str,
) -> None:
    """Raises an OptionError where the run would not keep to the protocol.

    The weights of networks that metrics bring themselves may come from a file; the CLIP encoder is the protocol's.
    """
    own = {metric.encoder for metric in metrics} - {"clip"}
    for spec in [specs] if isinstance(specs, str) else specs:
        if spec.partition(":")[0] not in own:
            raise OptionError(
                f"{protocol.name} fixes the CLIP encoder, {protocol.encoder}: leave --encoder {spec} out."
            )
    seeds = Counter(item.item_id for item in folder.items)
    protocol.require(
        benchmark=folder.benchmark,
        version=version,
        n_items=len(seeds),
        n_seeds=max(seeds.values(), default=0),
        missing=missing,
        dtype=dtype,
    )


def open_encoders(
    metrics: Sequence[Metric],
    specs: str | Sequence[str],
    *,
    default: str = DEFAULT_ENCODER,
    device: str,
    dtype: DType,
    compiled: bool = False,
    cache: EmbeddingCache,
    workers: Workers | None = None,
) -> dict[str, AnyEncoder]:
    """The encoders that some metrics go through, by the names that their features use.

    Args:
        metrics: Which metrics.
        specs: Specifications of encoders. One whose backend has the name that a feature uses, such as ``dino``, stands
            behind that; the other one is behind the CLIP metrics.
        default: The one behind the CLIP metrics where none is given.
        device: Where they run.
        dtype: What they compute in.
        compiled: Whether their operations are fused.
        cache: Remembers what they turned out to be.
        workers: The workers that have them, if they are not to be in this process: see :func:`workers_for`.

    Raises:
        OptionError: Two specifications are for the same.
    """
    chosen = _specs(metrics, specs, default)
    if workers:
        return {name: workers.encoder(name, cache) for name in chosen}
    return {
        name: open_encoder(spec, device=device, dtype=dtype, compiled=compiled, cache=cache)
        for name, spec in chosen.items()
    }


def workers_for(
    engine: Engine | None,
    metrics: Sequence[Metric],
    specs: str | Sequence[str],
    *,
    default: str = DEFAULT_ENCODER,
    dtype: DType,
    compiled: bool = False,
) -> Workers | None:
    """The workers of an engine, for the encoders that :func:`open_encoders` would open; None if they are not needed."""
    if engine is None or not engine.distributed:
        return None
    chosen = _specs(metrics, specs, default)
    orders = {
        name: EncoderConfig(spec=spec, device=engine.device, dtype=dtype, compiled=compiled)
        for name, spec in chosen.items()
    }
    return Workers(engine, orders)


def _specs(metrics: Sequence[Metric], specs: str | Sequence[str], default: str) -> dict[str, str]:
    """The specification behind each name that features use."""
    names = tuple(dict.fromkeys(metric.encoder for metric in metrics if metric.encoder != "none"))
    chosen: dict[str, str] = {}
    for spec in [specs] if isinstance(specs, str) else specs:
        backend = spec.partition(":")[0]
        place = backend if backend in names else "clip"
        if place in chosen:
            what = "the CLIP metrics" if place == "clip" else f"'{place}'"
            raise OptionError(f"Encoder: '{chosen[place]}' and '{spec}' are both for {what}. Give one of them.")
        chosen[place] = spec
    chosen.setdefault("clip", default)
    return {name: chosen.get(name, name) for name in names}


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
