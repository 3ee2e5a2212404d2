"""What a metric is: a record that says what it needs and which way is better, and a pure function of arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import EvalkitError
from evalkit.registry import Registry

Vectors = npt.NDArray[np.floating]
"""``(n, dimension)``, one row per item."""
Undefined = npt.NDArray[np.bool_]
"""``(n,)``: whether the item's value is absent for some reason."""

REASONS: Mapping[str, str] = {
    "equal_captions": "source and target caption are the same to the encoder, so there is no text direction",
    "equal_images": "edited and source image are the same to the encoder, so there is no image direction",
    "equal_pixels": "edited and source image have the same pixels, so the ratio of signal to noise is infinite",
    "not_finite": "the encoder gave a zero, infinite or undefined vector",
    "nothing_asked": "source and target have the same attributes, so no change was asked for",
    "nothing_to_preserve": "the edit asks for every attribute to change",
    "no_source_caption": "the item has no source caption",
    "no_target_caption": "the item has no target caption",
    "no_source_image": "the item has no source image",
    "no_reference_image": "the item has no reference image",
    "no_edit_mask": "the item has no edit mask",
    "empty_edit_mask": "the edit mask is empty: nothing may change",
    "no_background": "the edit mask covers the whole image",
    "too_small": "the image is smaller than the window that it is looked at through",
    "no_source_attributes": "the item's source attributes are not known",
    "no_target_attributes": "the item's target attributes are not known",
    "no_edited_image": "there is no edited image, and missing items were left out",
}
"""Why a value can be undefined: the closed list, as it stands in run records and tables."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One value per item, each either a number or absent with a reason.

    Attributes:
        values: ``(n,)``; NaN exactly where there is a reason, and never written anywhere as NaN.
        reasons: For each item None, or a key of :data:`REASONS`.
    """

    values: Floats
    reasons: tuple[str | None, ...]

    @classmethod
    def of(cls, values: Vectors, undefined: Mapping[str, Undefined] | None = None) -> "Scores":
        """Scores whose undefined items are given by masks; where several apply the first stands.

        Args:
            values: ``(n,)``; what stands at an undefined item is ignored.
            undefined: Reason to ``(n,)`` mask.

        Raises:
            EvalkitError: A value without a reason is not finite, or a reason is not in the closed list.
        """
        wide = np.array(values, dtype=np.float64)
        reasons: list[str | None] = [None] * len(wide)
        for reason, mask in (undefined or {}).items():
            if reason not in REASONS:
                raise EvalkitError(f"The reason '{reason}' is not in the closed list of evalkit.metrics.base.REASONS.")
            for index in np.flatnonzero(mask):
                reasons[index] = reasons[index] or reason
        absent = np.array([reason is not None for reason in reasons], dtype=bool)
        if not np.isfinite(wide[~absent]).all():
            raise EvalkitError("A metric gave a value that is not finite and no reason for it.")
        wide[absent] = np.nan
        return cls(values=wide, reasons=tuple(reasons))

    def optional(self) -> list[float | None]:
        """The values as Python numbers, None where undefined."""
        return [None if reason else float(value) for value, reason in zip(self.values, self.reasons, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A vector per item that a metric asks for: which field of the item, through which encoder."""

    field: str
    """A field of :class:`~evalkit.edits.item.EditItem`: an image, a caption, or attributes (encoded as their JSON)."""
    encoder: str = "clip"
    """``clip`` is the encoder that the run was given; any other name is a registered encoder of its own."""
    template: str = "none"
    """For texts, a key of :data:`evalkit.metrics.templates.TEMPLATES`; with several templates the metric receives
    ``(n, templates, dimension)``."""
    masked: bool = False
    """For images, whether all that lies outside of the edit mask is blackened before the encoder sees it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the item that it is made from."""
        return (self.field, *(("edit_mask",) if self.masked else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFeature:
    """A few numbers about the edited image beside its source, in the source's size (:mod:`evalkit.images.pairs`).

    They come from a measure or, where it takes a network, from an encoder that compares pairs; either way once per
    pair, whichever metrics ask, and are kept between runs.
    """

    measure: Callable[..., Sequence[float]] | None = None
    """Pure function of ``edited`` and ``source``, ``(height, width, 3)`` 8-bit pixels, and, where ``masked``, of
    ``background``, ``(height, width)`` booleans; always as many numbers."""
    encoder: str = "none"
    """The registered encoder that takes the place of a measure."""
    masked: bool = False
    """Whether the edit mask takes part."""
    version: int = 1
    """Of the measure: raised whenever a change of code changes its numbers."""

    @property
    def template(self) -> str:
        """Images have none."""
        return "none"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the item that it is made from."""
        return ("edited_image", "source_image", *(("edit_mask",) if self.masked else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric or variant, as data.

    ``function`` is pure: it takes the features as keyword arguments, ``(n, dimension)`` each, opens no file, loads no
    model, prints nothing, and gives one value per item.
    """

    name: str
    """``lower_snake_case``, or ``name:variant``."""
    summary: str
    """One sentence."""
    reference: str
    """Paper and equation."""
    family: Literal["alignment", "preservation", "ground_truth"]
    higher_is_better: bool
    lowest: float
    highest: float
    """The attainable range; the worse end is what a failed edit scores."""
    features: Mapping[str, Feature | PairFeature]
    """Argument name to feature."""
    function: Callable[..., Scores]
    needs_resolution: bool = False
    """Whether ``function`` takes ``resolution``, the encoder's rounding floor."""
    summarize: Literal["mean", "clamped_mean", "rate"] = "mean"
    """``clamped_mean`` clamps the mean at ``lowest`` and not the items; ``rate`` is a mean of zeros and ones."""
    version: int = 1
    """Raised whenever a change of code changes a number."""

    @property
    def floor(self) -> float:
        """What a failed edit scores: the worse end of the range."""
        return self.lowest if self.higher_is_better else self.highest

    @property
    def encoder(self) -> str:
        """The encoder that all its features go through, ``none`` for a metric of pixels."""
        return next(iter(self.features.values())).encoder

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that an item must have."""
        return tuple(dict.fromkeys(field for feature in self.features.values() for field in feature.fields))

    @property
    def pair(self) -> PairFeature | None:
        """What it asks of the pair of edited and source image, if it does."""
        return next((feature for feature in self.features.values() if isinstance(feature, PairFeature)), None)

    @property
    def template(self) -> str:
        """The prompt templates that its texts go through, ``none`` when they are used as they are."""
        return next((f.template for f in self.features.values() if f.template != "none"), "none")

    def compute(self, arrays: Mapping[str, Vectors], *, resolution: float) -> Scores:
        """The metric's values from its features.

        Args:
            arrays: One array per key of ``features``.
            resolution: The encoder's rounding floor, for metrics that are undefined below it.
        """
        if self.needs_resolution:
            return self.function(**arrays, resolution=resolution)
        return self.function(**arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Everything that can change a number, in one line that can be pasted in a paper."""

    metric: str
    encoder: str
    image: str
    template: str
    dtype: str
    version: int
    evalkit: str
    missing: str = field(default="fail")
    """How absent edits were treated; shown only where it is not ``fail``."""

    def fields(self) -> dict[str, str]:
        """Key to value, in the order of the line."""
        pairs = {
            "enc": self.encoder,
            "img": self.image,
            "tpl": self.template,
            "dtype": self.dtype,
            "v": str(self.version),
            "evalkit": self.evalkit,
        }
        if self.missing != "fail":
            pairs["missing"] = self.missing
        return pairs

    def __str__(self) -> str:
        return "|".join([self.metric, *(f"{key}:{value}" for key, value in self.fields().items())])


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "clip_score": "evalkit.metrics.clip:CLIP_SCORE",
        "clip_score:hessel": "evalkit.metrics.clip:CLIP_SCORE_HESSEL",
        "clip_score:torchmetrics": "evalkit.metrics.clip:CLIP_SCORE_TORCHMETRICS",
        "clip_score:pie_bench": "evalkit.metrics.clip:CLIP_SCORE_PIE_BENCH",
        "clip_directional_similarity": "evalkit.metrics.clip:CLIP_DIRECTIONAL_SIMILARITY",
        "clip_directional_similarity:loss": "evalkit.metrics.clip:CLIP_DIRECTIONAL_SIMILARITY_LOSS",
        "clip_directional_similarity:templates": "evalkit.metrics.clip:CLIP_DIRECTIONAL_SIMILARITY_TEMPLATES",
        "clip_image_similarity": "evalkit.metrics.clip:CLIP_IMAGE_SIMILARITY",
        "clip_reference_similarity": "evalkit.metrics.clip:CLIP_REFERENCE_SIMILARITY",
        "l1": "evalkit.metrics.pixel:L1",
        "mse": "evalkit.metrics.pixel:MSE",
        "psnr": "evalkit.metrics.pixel:PSNR",
        "ssim": "evalkit.metrics.pixel:SSIM",
        "ssim:multiscale": "evalkit.metrics.pixel:SSIM_MULTISCALE",
        "l1_background": "evalkit.metrics.pixel:L1_BACKGROUND",
        "mse_background": "evalkit.metrics.pixel:MSE_BACKGROUND",
        "mse_background:pie_bench": "evalkit.metrics.pixel:MSE_BACKGROUND_PIE_BENCH",
        "psnr_background": "evalkit.metrics.pixel:PSNR_BACKGROUND",
        "psnr_background:pie_bench": "evalkit.metrics.pixel:PSNR_BACKGROUND_PIE_BENCH",
        "ssim_background": "evalkit.metrics.pixel:SSIM_BACKGROUND",
        "ssim_background:pie_bench": "evalkit.metrics.pixel:SSIM_BACKGROUND_PIE_BENCH",
        "lpips": "evalkit.metrics.lpips:LPIPS",
        "lpips:vgg": "evalkit.metrics.lpips:LPIPS_VGG",
        "lpips:squeeze": "evalkit.metrics.lpips:LPIPS_SQUEEZE",
        "lpips_background": "evalkit.metrics.lpips:LPIPS_BACKGROUND",
        "lpips_background:pie_bench": "evalkit.metrics.lpips:LPIPS_BACKGROUND_PIE_BENCH",
        "dino_image_similarity": "evalkit.metrics.dino:DINO_IMAGE_SIMILARITY",
        "dino_image_similarity:dinov2": "evalkit.metrics.dino:DINO_IMAGE_SIMILARITY_DINOV2",
        "structure_distance": "evalkit.metrics.dino:STRUCTURE_DISTANCE",
        "structure_distance:pie_bench": "evalkit.metrics.dino:STRUCTURE_DISTANCE_PIE_BENCH",
        "pick_score": "evalkit.metrics.preference:PICK_SCORE",
        "edit_success": "evalkit.metrics.attributes:EDIT_SUCCESS",
        "attribute_preservation": "evalkit.metrics.attributes:ATTRIBUTE_PRESERVATION",
    },
    "evalkit.metrics",
)


def get_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of those names, in that order, each once.

    Raises:
        UnknownNameError: One of them is not registered.
    """
    return tuple(METRICS.get(name) for name in dict.fromkeys(names))
