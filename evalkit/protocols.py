"""Protocols: how a benchmark is scored so that numbers of different people can stand in one table.

A protocol fixes the benchmark's revision, the metrics, the encoder and its precision, how many edited images an item
has and what an absent one means. It also names the two primary metrics, one of alignment and one of preservation, and
the differences that are too small to matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.errors import OptionError
from evalkit.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a protocol's table."""

    metric: str
    title: str
    scale: float = 1.0
    """What values are multiplied by in the table; records keep them as they are."""
    digits: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Everything that is fixed."""

    name: str
    """``benchmark/version``; a change of anything below is another version."""
    title: str
    benchmark: str
    benchmark_version: str
    """For a benchmark that is read from a copy, what stands before the copy's digest."""
    n_items: int
    encoder: str
    columns: tuple[Column, ...]
    alignment: str
    """The primary metric of whether what was asked for happened."""
    preservation: str
    """The primary metric of whether all else stayed."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Metric to the difference below which methods count as equivalent; where noise was not measured there is none."""
    n_seeds: int | None = None
    """Edited images per item; None allows any number, whose mean counts."""
    dtype: str = "fp32"
    evidence: str = ""
    """Where primary metrics and margins come from."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its columns."""
        return tuple(column.metric for column in self.columns)

    @property
    def primary(self) -> tuple[str, str]:
        """The metrics whose p-values form the confirmatory family."""
        return self.alignment, self.preservation

    def require(
        self, *, benchmark: str | None, version: str | None, n_items: int, n_seeds: int, missing: str, dtype: str
    ) -> None:
        """Refuse what is not scored as the protocol says.

        Args:
            benchmark: Of the folder.
            version: Of the benchmark.
            n_items: Items of the benchmark's list.
            n_seeds: The most edited images that an item has.
            missing: How absent edits are treated.
            dtype: The network's precision.

        Raises:
            OptionError: The first thing that differs is named.
        """
        differences: tuple[tuple[str, object, object, bool], ...] = (
            ("benchmark", self.benchmark, benchmark, benchmark == self.benchmark),
            ("version of the benchmark", self.benchmark_version, version, _stem(version) == self.benchmark_version),
            ("number of items", self.n_items, n_items, n_items == self.n_items),
            ("number of edited images per item", self.n_seeds, n_seeds, self.n_seeds in (None, n_seeds)),
            ("treatment of missing edits", "fail or floor", missing, missing in ("fail", "floor")),
            ("precision", self.dtype, dtype, dtype == self.dtype),
        )
        for what, expected, got, fits in differences:
            if not fits:
                raise OptionError(
                    f"{self.name} fixes the {what}: expected {expected}, got {got}. "
                    "Leave --protocol out to score the folder in another way."
                )


def _stem(version: str | None) -> str:
    return (version or "").partition("@")[0]


PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    {
        "pie_bench/v1": "evalkit.protocols:PIE_BENCH_V1",
        "tedbench/v1": "evalkit.protocols:TEDBENCH_V1",
        "shapes/v1": "evalkit.protocols:SHAPES_V1",
    },
    "evalkit.protocols",
)

PIE_BENCH_V1 = Protocol(
    name="pie_bench/v1",
    title="The seven columns of PIE-Bench's table",
    benchmark="pie_bench",
    benchmark_version="v1",
    n_items=700,
    encoder="transformers:openai/clip-vit-large-patch14",
    columns=(
        Column(metric="structure_distance:pie_bench", title="Structure distance ×10³", scale=1e3, digits=2),
        Column(metric="psnr_background:pie_bench", title="PSNR", digits=2),
        Column(metric="lpips_background:pie_bench", title="LPIPS ×10³", scale=1e3, digits=2),
        Column(metric="mse_background:pie_bench", title="MSE ×10⁴", scale=1e4, digits=2),
        Column(metric="ssim_background:pie_bench", title="SSIM ×10²", scale=1e2, digits=2),
        Column(metric="clip_score:torchmetrics", title="CLIP whole", digits=2),
        Column(metric="clip_score:pie_bench", title="CLIP edited", digits=2),
    ),
    alignment="clip_score:pie_bench",
    preservation="lpips_background:pie_bench",
    n_seeds=1,
    evidence=(
        "Metrics, encoder and scales are those of the authors' evaluation (Ju et al. 2024, table 1). No margin is "
        "declared: the noise of these metrics was not measured on this benchmark."
    ),
)
TEDBENCH_V1 = Protocol(
    name="tedbench/v1",
    title="TEdBench: alignment and preservation",
    benchmark="tedbench",
    benchmark_version="1",
    n_items=100,
    encoder="open_clip:ViT-B-32-quickgelu/openai",
    columns=(
        Column(metric="clip_score", title="CLIPScore"),
        Column(metric="clip_directional_similarity", title="CLIP directional similarity"),
        Column(metric="clip_image_similarity", title="CLIP image similarity"),
    ),
    alignment="clip_directional_similarity",
    preservation="clip_image_similarity",
)
SHAPES_V1 = Protocol(
    name="shapes/v1",
    title="Shapes, in the miniature world",
    benchmark="shapes",
    benchmark_version="1",
    n_items=288,
    encoder="miniature",
    columns=(
        Column(metric="clip_score", title="CLIPScore"),
        Column(metric="clip_directional_similarity", title="CLIP directional similarity"),
        Column(metric="clip_image_similarity", title="CLIP image similarity"),
        Column(metric="edit_success", title="Edit success"),
        Column(metric="attribute_preservation", title="Attribute preservation"),
    ),
    alignment="edit_success",
    preservation="attribute_preservation",
)
