"""How a folder is scored: one record, which travels whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark
    from evalkit.benchmarks.protocols import Protocol
    from evalkit.encoders.base import DType
    from evalkit.judges.asking import JudgeOptions

DEFAULT_ENCODER = "open_clip:ViT-B-32-quickgelu/openai"
DEFAULT_METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity")
Missing = Literal["fail", "floor", "intersect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """How a folder is scored.

    Attributes:
        metrics: Names of metrics, under a protocol some of its own; by default the protocol's, or of
            ``default_metrics`` those that the folder has what it takes for.
        default_metrics: The usual ones where none are named: the benchmark's, if the folder holds edits of one.
        encoder: Specification of the network behind the CLIP metrics, or several. One whose backend has the name that a
            feature uses, such as ``dino``, stands behind that; the other one is behind the CLIP metrics.
        default_encoder: The one behind the CLIP metrics where none is given; the protocol's comes first.
        name: The run's name, which tables show whatever its settings are.
        default_name: The run's name where none is given; the method in the manifest, or the folder's name, by default.
        benchmark_version: Of the benchmark that the folder's items belong to.
        protocol: What the run must keep to.
        missing: What an absent or unreadable edited image means: ``fail`` scores nothing, ``floor`` scores it like the
            worst edit of the run, or like one without merit where that is worse
            (:func:`~evalkit.metrics.base.score_of_failed`), ``intersect`` leaves it out. An edit that its method
            declared failed is always scored so.
        level: Coverage of the intervals.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``; that of an engine's workers is the engine's.
        dtype: Precision of the networks.
        compiled: Whether the networks' operations are fused; part of the signature.
        batch_size: Images that are prepared and encoded together; it does not change a score.
        cached: Whether features and answers are kept between runs.
        judge: Who judges the edits, and how; nobody by default. Where no metrics are named, by its own alone.
    """

    metrics: Sequence[str] | None = None
    default_metrics: Sequence[str] = DEFAULT_METRICS
    encoder: str | Sequence[str] = ()
    default_encoder: str = DEFAULT_ENCODER
    name: str | None = None
    default_name: str | None = None
    benchmark_version: str | None = None
    protocol: "Protocol | None" = None
    missing: Missing = "fail"
    level: float = 0.95
    device: str = "auto"
    dtype: "DType" = "fp32"
    compiled: bool = False
    batch_size: int = 32
    cached: bool = True
    judge: "JudgeOptions | None" = None

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
