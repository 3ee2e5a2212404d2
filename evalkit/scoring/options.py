"""How a folder is scored: one record, which travels whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark
    from evalkit.benchmarks.protocols import Protocol
    from evalkit.encoders.base import DType

DEFAULT_ENCODER = "open_clip:ViT-B-32-quickgelu/openai"
DEFAULT_METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity")
Missing = Literal["fail", "floor", "intersect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """What a user can choose."""

    metrics: Sequence[str] | None = None
    """Names of metrics, under a protocol some of its own; by default the protocol's, or of ``default_metrics`` those
    that the folder has what it takes for."""
    default_metrics: Sequence[str] = DEFAULT_METRICS
    """The usual ones where none are named: the benchmark's, if the folder holds edits of one."""
    encoder: str | Sequence[str] = ()
    """Specification of the network behind the CLIP metrics, or several. One whose backend has the name that a feature
    uses, such as ``dino``, stands behind that; the other one is behind the CLIP metrics."""
    default_encoder: str = DEFAULT_ENCODER
    """The one behind the CLIP metrics where none is given; the protocol's comes first."""
    name: str | None = None
    """The run's name, which tables show whatever its settings are."""
    default_name: str | None = None
    """The run's name where none is given; the method in the manifest, or the folder's name, by default."""
    benchmark_version: str | None = None
    """Of the benchmark that the folder's items belong to."""
    protocol: "Protocol | None" = None
    """What the run must keep to."""
    missing: Missing = "fail"
    """What an absent or unreadable edited image means: ``fail`` scores nothing, ``floor`` scores it like the worst
    edit of the run, or like one without merit where that is worse (:func:`~evalkit.metrics.base.score_of_failed`),
    ``intersect`` leaves it out. An edit that its method declared failed is always scored so."""
    level: float = 0.95
    """Coverage of the intervals."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``; that of an engine's workers is the engine's."""
    dtype: "DType" = "fp32"
    """Precision of the networks."""
    compiled: bool = False
    """Whether the networks' operations are fused; part of the signature."""
    batch_size: int = 32
    """Images that are prepared and encoded together; it does not change a score."""
    cached: bool = True
    """Whether features are kept between runs."""

    def __post_init__(self) -> None:
        if isinstance(self.metrics, str):  # one name, which is a sequence of letters to Python
            object.__setattr__(self, "metrics", (self.metrics,))


def completed(options: ScoreOptions, benchmark: "Benchmark | None") -> ScoreOptions:
    """The options with what a folder's benchmark decides where they leave it open."""
    if benchmark is None:
        return options
    return replace(
        options,
        benchmark_version=options.benchmark_version or benchmark.version,
        default_metrics=benchmark.default_metrics,
        default_encoder=benchmark.default_encoder,
    )
