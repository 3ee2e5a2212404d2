"""Protocols: how a benchmark is scored so that numbers of different people can stand in one table.

A protocol fixes the benchmark's revision, the metrics, the encoder and its precision, how many edited images an item
has and what an absent one means. It also names the two primary metrics, one of alignment and one of preservation, and
the differences that are too small to matter.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem
from evalkit.formatting import listed
from evalkit.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolColumn:
    """One column of a protocol's table."""

    metric: str
    title: str
    scale: float = 1.0
    """What values are multiplied by in the table; records keep them as they are."""
    digits: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The rules of a board: benchmark, items, encoder, metrics and margins, so that entries can be compared."""

    name: str
    """``benchmark/version``; a change of anything below is another version."""
    title: str
    benchmark: str
    benchmark_version: str
    """For a benchmark that is read from a copy, what stands before the copy's digest."""
    n_items: int
    """The first so many edits of the benchmark's list."""
    encoder: str
    columns: tuple[ProtocolColumn, ...]
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
    judge: str | None = None
    """The one judge whose numbers rank: the metric that does, and the exact signature that a board shows,
    ``judge:overall|enc:…``; numbers of any other are refused. None: judges are shown, each by itself, and rank nobody.
    """
    votes: str | None = None
    """The question on which votes of people rank, word for word. None: they are shown and rank nobody."""
    voting_judge: str | None = None
    """The one judge whose votes rank: its exact signature, question included, as a board shows it, ``enc:…|dtype:…``.
    None: votes of judges are shown, those of each by themselves, and rank nobody."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its columns."""
        return tuple(column.metric for column in self.columns)

    @property
    def primary(self) -> tuple[str, str]:
        """The metrics whose p-values form the confirmatory family."""
        return self.alignment, self.preservation

    def awaiting(self, scored: Collection[str]) -> tuple[str, ...]:
        """Its metrics that are not among those that were scored."""
        return tuple(name for name in self.metrics if name not in scored)

    def covered(self, items: Sequence[EditItem], benchmark_items: Sequence[str] = ()) -> tuple[EditItem, ...]:
        """Those of a benchmark's items that the protocol is about, with every seed of them.

        Args:
            items: In the benchmark's order.
            benchmark_items: The ids of all that it has, where ``items`` may be a part of them.
        """
        kept = set(islice(benchmark_items or dict.fromkeys(item.item_id for item in items), self.n_items))
        return tuple(item for item in items if item.item_id in kept)

    def part_of(self, folder: EditFolder) -> EditFolder:
        """A folder without the items that the protocol is not about, and without what is wrong with those."""
        items = self.covered(folder.items, folder.benchmark_items)
        dropped = {item.item_id for item in folder.items} - {item.item_id for item in items}
        problems = tuple(problem for problem in folder.problems if problem.item_id not in dropped)
        return replace(folder, items=items, problems=problems)

    def mismatch(
        self, *, benchmark: str | None, version: str | None, n_items: int, n_seeds: int, missing: str, dtype: str
    ) -> str | None:
        """The first thing that is not scored as the protocol says, in a sentence; None where everything is.

        Args:
            benchmark: Of the folder.
            version: Of the benchmark.
            n_items: Items that are covered.
            n_seeds: The most edited images that an item has.
            missing: How absent edits are treated.
            dtype: The network's precision.
        """
        demands: tuple[tuple[str, object, object, bool], ...] = (
            ("benchmark", self.benchmark, benchmark, benchmark == self.benchmark),
            ("version of the benchmark", self.benchmark_version, version, _stem(version) == self.benchmark_version),
            ("number of items", self.n_items, n_items, n_items == self.n_items),
            ("number of edited images per item", self.n_seeds, n_seeds, self.n_seeds in (None, n_seeds)),
            ("treatment of missing edits", "fail or floor", missing, missing in ("fail", "floor")),
            ("precision", self.dtype, dtype, dtype == self.dtype),
        )
        for what, expected, got, fits in demands:
            if not fits:
                return f"{self.name} fixes the {what}: expected {expected}, got {got}."
        return None

    def uncovered(self, edits: Iterable[tuple[str, int | None]], item_ids: Sequence[str]) -> str | None:
        """Why edits are not one per item and seed, for every item and the same seeds, in a sentence; None if they are.

        Args:
            edits: Item and seed of each edit, failed ones included.
            item_ids: The items that the protocol is about.
        """
        listing = list(edits)
        duplicates = [f"{item} seed {seed}" for (item, seed), count in Counter(listing).items() if count > 1]
        if duplicates:
            return f"Coverage: expected one edit per item and seed, got several of {_shortened(duplicates)}."
        seeds: dict[str, set[int | None]] = {}
        for item, seed in listing:
            seeds.setdefault(item, set()).add(seed)
        absent = [item for item in item_ids if item not in seeds]
        unknown = sorted(seeds.keys() - set(item_ids))
        if absent or unknown:
            what = f"{len(absent)} are absent: {_shortened(absent)}" if absent else f"got also {_shortened(unknown)}"
            return (
                f"Coverage: expected an edit of each of the {len(item_ids)} items of {self.benchmark}; {what}. An edit "
                "that the method could not make stands in the manifest with status 'failed', and scores like the "
                "worst edit. See: evalkit check FOLDER"
            )
        common = seeds[item_ids[0]]
        uneven = next((item for item in item_ids if seeds[item] != common), None)
        if uneven is not None:
            return (
                f"Coverage: expected the same seeds for every item, got {_seeds(common)} for {item_ids[0]} and "
                f"{_seeds(seeds[uneven])} for {uneven}."
            )
        return None


def _stem(version: str | None) -> str:
    return (version or "").partition("@")[0]


def _shortened(names: Sequence[str]) -> str:
    return listed([name if len(name) <= 80 else f"{name[:79]}…" for name in names])


def _seeds(seeds: set[int | None]) -> str:
    return "seeds " + ", ".join(sorted(map(str, seeds)))


PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    {
        "pie_bench/v2": "evalkit.benchmarks.protocols:PIE_BENCH_V2",
        "tedbench/v1": "evalkit.benchmarks.protocols:TEDBENCH_V1",
        "shapes/v1": "evalkit.benchmarks.protocols:SHAPES_V1",
        "shapes/v2": "evalkit.benchmarks.protocols:SHAPES_V2",
        "magicbrush/v1": "evalkit.benchmarks.protocols:MAGICBRUSH_V1",
        "magicbrush:multi_turn/v1": "evalkit.benchmarks.protocols:MAGICBRUSH_MULTI_TURN_V1",
    },
    "evalkit.protocols",
)

PIE_BENCH_V2 = Protocol(
    name="pie_bench/v2",
    title="The seven columns of PIE-Bench's table",
    benchmark="pie_bench",
    benchmark_version="v1",
    n_items=700,
    encoder="transformers:openai/clip-vit-large-patch14",
    columns=(
        ProtocolColumn(metric="structure_distance:pie_bench", title="Structure distance ×10³", scale=1e3, digits=2),
        ProtocolColumn(metric="psnr_background:pie_bench", title="PSNR", digits=2),
        ProtocolColumn(metric="lpips_background:pie_bench", title="LPIPS ×10³", scale=1e3, digits=2),
        ProtocolColumn(metric="mse_background:pie_bench", title="MSE ×10⁴", scale=1e4, digits=2),
        ProtocolColumn(metric="ssim_background:pie_bench", title="SSIM ×10²", scale=1e2, digits=2),
        ProtocolColumn(metric="clip_score", title="CLIP whole", scale=1e2, digits=2),
        ProtocolColumn(metric="clip_score:pie_bench", title="CLIP edited", digits=2),
    ),
    alignment="clip_score",
    preservation="mse_background:pie_bench",
    n_seeds=1,
    evidence=(
        "Metrics, encoder and scales are those of the authors' evaluation (Ju et al. 2024, table 1), whose CLIP whole "
        "is a hundred times clip_score: it clamps each item at 0, as v1, after torchmetrics, did not. Of them the two "
        "primary ones prefer the true edit to every control that they can see, and have a value for every item "
        "with a background, in tests/studies/metric_validity_v1.md, where LPIPS and the structure distance could not "
        "be tried. No margin: noise was not measured on this benchmark with this encoder."
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
        ProtocolColumn(metric="clip_score", title="CLIPScore"),
        ProtocolColumn(metric="clip_directional_similarity", title="CLIP directional similarity"),
        ProtocolColumn(metric="clip_image_similarity", title="CLIP image similarity"),
        ProtocolColumn(metric="l1", title="L1"),
    ),
    alignment="clip_score",
    preservation="l1",
    margins={"l1": 0.0004},
    evidence=(
        "CLIPScore prefers the true edit to every control that is wrong in what a caption says and, unlike directional "
        "similarity, has a value for an edit that does nothing; what no caption says it does not see. Of the "
        "preservation metrics without masks L1 agrees best with the closeness to the reference edit, which is an L1 "
        "itself: both in the shapes world (tests/studies/metric_validity.md), where LPIPS and DINO could not be tried. "
        "The margin of L1 is the noise of re-encoding Imagic's published edits (tests/studies/protocol_margins.md); "
        "each was published once, so reseeding could not be measured, nor could what this encoder sees: those columns "
        "have none."
    ),
)
SHAPES_V1 = Protocol(
    name="shapes/v1",
    title="Shapes, in the miniature world",
    benchmark="shapes",
    benchmark_version="1",
    # Eighteen sources: methods that take half a minute for an edit are done within an hour on a laptop.
    n_items=72,
    encoder="miniature",
    columns=(
        ProtocolColumn(metric="clip_score", title="CLIPScore"),
        ProtocolColumn(metric="clip_directional_similarity", title="CLIP directional similarity"),
        ProtocolColumn(metric="clip_image_similarity", title="CLIP image similarity"),
        ProtocolColumn(metric="edit_success", title="Edit success"),
        ProtocolColumn(metric="attribute_preservation", title="Attribute preservation"),
        ProtocolColumn(metric="l1_background", title="L1 of the background"),
    ),
    alignment="edit_success",
    preservation="l1_background",
    margins={
        "clip_score": 0.002,
        "clip_directional_similarity": 0.007,
        "clip_image_similarity": 0.004,
        "attribute_preservation": 0.008,
        "l1_background": 0.01,
    },
    evidence=(
        "Edit success is the truth itself. Attribute preservation is not told apart by methods whose captions name "
        "every attribute; L1 of the background agrees best with the closeness to the reference edit (an L1 itself) "
        "and does not reward doing nothing (tests/studies/metric_validity_v1.md). Margins are the noise of re-encoding "
        "and reseeding (tests/studies/protocol_margins.md), which did not move edit success: it has none."
    ),
)
SHAPES_V2 = Protocol(
    name="shapes/v2",
    title="Shapes, version 2: what is kept without being told",
    benchmark="shapes:v2",
    benchmark_version="2",
    n_items=96,
    encoder="miniature:v2",
    columns=(
        ProtocolColumn(metric="edit_success:v2", title="Edit success"),
        ProtocolColumn(metric="closeness", title="Closeness to the perfect edit"),
        ProtocolColumn(metric="subject_detail_preservation", title="Stripe kept"),
        ProtocolColumn(metric="scene_detail_preservation", title="Horizon kept"),
        ProtocolColumn(metric="unnamed_attribute_preservation", title="Unnamed attributes kept"),
        ProtocolColumn(metric="clip_score", title="CLIPScore"),
        ProtocolColumn(metric="clip_directional_similarity", title="CLIP directional similarity"),
        ProtocolColumn(metric="clip_image_similarity", title="CLIP image similarity"),
    ),
    alignment="edit_success:v2",
    preservation="closeness",
    margins={
        "edit_success:v2": 0.05,
        "closeness": 0.09,
        "subject_detail_preservation": 0.2,
        "scene_detail_preservation": 0.2,
        "unnamed_attribute_preservation": 0.2,
        "clip_score": 0.007,
        "clip_directional_similarity": 0.04,
        "clip_image_similarity": 0.04,
    },
    evidence=(
        "Edit success is the truth itself; closeness is the L1 to the perfect edit, with 1 for that edit and 0 for a "
        "drawing without relation, and so counts whatever was lost, whether a caption names it or not. Which metric "
        "sees that a single detail was lost is in tests/studies/lost_details.md. Margins are the noise of re-encoding "
        "and reseeding (tests/studies/protocol_margins.md): of a fresh sample, which keeps no detail but by chance. "
        "Which methods keep more of stripe and horizon than that, beside what a survey says they conserve, is tested "
        "in tests/studies/what_is_conserved.md."
    ),
)
MAGICBRUSH_V1 = Protocol(
    name="magicbrush/v1",
    title="The five columns of MagicBrush's table, single turn",
    benchmark="magicbrush",
    benchmark_version="v1",
    n_items=1053,
    encoder="open_clip:ViT-B-32-quickgelu/openai",
    columns=(
        ProtocolColumn(metric="l1_reference", title="L1"),
        ProtocolColumn(metric="mse_reference", title="L2"),
        ProtocolColumn(metric="clip_reference_similarity", title="CLIP-I"),
        ProtocolColumn(metric="dino_reference_similarity", title="DINO"),
        ProtocolColumn(metric="clip_score:cosine", title="CLIP-T"),
    ),
    alignment="clip_reference_similarity",
    preservation="l1_reference",
    evidence=(
        "The columns are those of the authors' evaluation/image_eval.py, every one but CLIP-T against the true edit; "
        "L2 is a mean of squares there too, and CLIP-T is with the local description of the true edit. As there, an "
        "edit of another size is resized to the true one's with Pillow's bicubic filter, CLIP is ViT-B/32, DINO is "
        "ViT-S/16 of the middle of 256 pixels, and a mean is over turns. Otherwise than there, precision is fp32 "
        "where theirs is fp16 on a GPU, an edit whose aspect ratio is off by more than 2 % is not stretched but has "
        "no L1 and L2, and a caption of more than 77 tokens is cut where theirs ends in an error. The primary metrics "
        "are CLIP-I and L1, one of what is seen and one of pixels; noise was not measured: there are no margins."
    ),
)
MAGICBRUSH_MULTI_TURN_V1 = replace(
    MAGICBRUSH_V1,
    name="magicbrush:multi_turn/v1",
    title="The five columns of MagicBrush's table, multi-turn",
    benchmark="magicbrush:multi_turn",
    n_items=535,
    evidence=MAGICBRUSH_V1.evidence.replace(
        "a mean is over turns", "a mean is over sessions, each with the last edit that was made turn by turn"
    ),
)
