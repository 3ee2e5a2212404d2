"""What a metric is: a record that says what it needs and which way is better, and a pure function of arrays."""

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.errors import BrokenPluginError, EvalkitError
from evalkit.metrics.features import (
    Feature,
    ItemFeature,
    PairFeature,
    VectorFeature,
    call_fault,
    computed_by,
    feature_faults,
)
from evalkit.registry import Registry, refuse_faults

FILES = ("clip", "pixel", "lpips", "dino", "preference", "attributes", "details")
"""The files of this folder that have a table ``METRICS``, in the order of ``evalkit list metrics``."""

Vectors = npt.NDArray[np.floating]
"""``(n, dimension)``, one row per item."""
Undefined = npt.NDArray[np.bool_]
"""``(n,)``: whether the item's value is absent for some reason."""

Family = Literal["alignment", "preservation", "quality", "ground_truth"]
"""Whether what was asked for happened, all else stayed, or the picture is sound by itself; or the truth."""
Scale = tuple[float, float, Literal["up", "down"], float]
"""The attainable range, which way is better, and what an edit without merit scores."""
UNRELATED_DIFFERENCE, UNRELATED_SQUARE = 1 / 3, 1 / 6
"""Mean absolute and squared difference of two independent values that are spread evenly over [0, 1]: what pictures
without relation tend to. TEdBench's 40 sources, each against another: 0.300 and 0.137 (8.96 dB), and an SSIM of 0.203,
which without anything in common would be 0 (256 pixels, 200 pairs)."""

REASONS: Mapping[str, str] = {
    "equal_captions": "source and target caption are the same to the encoder, so there is no text direction",
    "equal_images": "edited and source image are the same to the encoder, so there is no image direction",
    "equal_pixels": "edited and source image have the same pixels, so the ratio of signal to noise is infinite",
    "not_finite": "the encoder gave a zero, infinite or undefined vector",
    "nothing_asked": "source and target have the same attributes, so no change was asked for",
    "nothing_unnamed": "the caption names every attribute that the edit should leave alone",
    "nothing_to_preserve": "the edit asks for every attribute to change",
    "no_source_caption": "the item has no source caption",
    "no_target_caption": "the item has no target caption",
    "no_instruction": "the item has no instruction",
    "no_source_image": "the item has no source image",
    "no_reference_image": "the item has no reference image",
    "no_edit_mask": "the item has no edit mask",
    "empty_edit_mask": "the edit mask is empty: nothing may change",
    "no_background": "the edit mask covers the whole image",
    "other_aspect": "the image, or its mask, has another aspect ratio than the image that it is held against",
    "tiny_image": "the edited image is too small to judge",
    "too_small": "the image is smaller than the window that it is looked at through",
    "no_source_attributes": "the item's source attributes are not known",
    "no_target_attributes": "the item's target attributes are not known",
    "judge_refused": "the judge refused to answer",
    "judge_cut_off": "the judge's answer was longer than allowed, and cut off",
    "judge_unreadable": "the judge's answer does not give each criterion one number",
    "judge_off_scale": "the judge gave a number that is not on the scale",
    "judge_failed": "the judge could not be asked",
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
    family: Family
    higher_is_better: bool
    lowest: float
    highest: float
    """The attainable range."""
    features: Mapping[str, Feature]
    """Argument name to feature."""
    function: Callable[..., Scores]
    needs_resolution: bool = False
    """Whether ``function`` takes ``resolution``, the rounding floor of its encoders."""
    summarize: Literal["mean", "clamped_mean", "rate"] = "mean"
    """``clamped_mean`` clamps the mean at ``lowest`` and not the items; ``rate`` is a mean of zeros and ones."""
    version: int = 1
    """Raised whenever a change of code changes a number."""
    neutral: float | None = None
    """What an edit without merit scores, such as the cosine of vectors that have nothing in common, or the distance to
    an unrelated picture: no failed edit scores more. By default the worse end of the range, or 0 where that is
    infinite."""

    def __post_init__(self) -> None:
        """Gives measures and judges without a name of their own that of the metric and the argument."""
        if self.neutral is None:
            worse_end = self.lowest if self.higher_is_better else self.highest
            object.__setattr__(self, "neutral", worse_end if math.isfinite(worse_end) else 0.0)
        if isinstance(self.features, Mapping):
            named = {argument: _named(feature, self.name, argument) for argument, feature in self.features.items()}
            object.__setattr__(self, "features", named)

    @property
    def version_label(self) -> str:
        """The part of a signature that names the versions: the metric's, then, where one is not 1, the features'."""
        versions = [feature.key.version for feature in self.features.values()]
        return ".".join(map(str, [self.version, *(versions if any(v != 1 for v in versions) else [])]))

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The ends of the attainable range, None where it has no end."""
        low, high = (end if math.isfinite(end) else None for end in (self.lowest, self.highest))
        return low, high

    @property
    def encoders(self) -> tuple[str, ...]:
        """The names of the encoders that its features go through, each once; none for a metric of pixels."""
        return tuple(dict.fromkeys(f.encoder for f in self.features.values() if f.encoder != "none"))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that an item must have."""
        return tuple(dict.fromkeys(name for feature in self.features.values() for name in feature.fields))

    @property
    def pairs(self) -> tuple[PairFeature, ...]:
        """What it asks of pairs of images."""
        return tuple(feature for feature in self.features.values() if isinstance(feature, PairFeature))

    @property
    def frames(self) -> tuple[tuple[str, str], ...]:
        """Which image its features bring to whose size, by the fields of the item; none where each stands by itself."""
        framed = (f.frames for f in self.features.values() if not isinstance(f, ItemFeature))
        return tuple(dict.fromkeys(frame for frames in framed for frame in frames))

    @property
    def template(self) -> str:
        """The prompt templates that its texts go through, ``none`` when they are used as they are."""
        texts = (f.template for f in self.features.values() if isinstance(f, VectorFeature))
        return next((template for template in texts if template != "none"), "none")

    def compute(self, arrays: Mapping[str, Vectors], *, resolution: float) -> Scores:
        """The metric's values from its features.

        Args:
            arrays: One array per key of ``features``.
            resolution: The encoder's rounding floor, for metrics that are undefined below it.
        """
        if self.needs_resolution:
            return self.function(**arrays, resolution=resolution)
        return self.function(**arrays)


def define_metric(
    name: str,
    summary: str,
    function: Callable[..., Scores],
    features: Mapping[str, Feature],
    scale: Scale,
    reference: str,
    family: Family = "preservation",
    **more: Any,  # noqa: ANN401 - further fields of the record
) -> Metric:
    """A metric as a row of a table: as :class:`Metric`, with what is to be known of its scale in one."""
    lowest, highest, better, neutral = scale
    return Metric(
        name=name,
        summary=summary,
        reference=reference,
        family=family,
        higher_is_better=better == "up",
        lowest=lowest,
        highest=highest,
        neutral=neutral,
        features=features,
        function=function,
        **more,
    )


def score_of_failed(attained: Floats, *, higher_is_better: bool, neutral: float | None) -> float | None:
    """What an edit that failed scores: the worse of the worst score attained and the neutral one.

    Not the end of a theoretical range: among a hundred edits two failures at −100 would weigh more than all the others.

    Args:
        attained: ``(n,)`` scores of edits that were made; NaN where there is none.
        higher_is_better: Which way is better.
        neutral: What an edit without merit scores; None where that is not known.

    Returns:
        None where nothing was attained and nothing is known.

    >>> score_of_failed(np.array([0.2, 0.3]), higher_is_better=True, neutral=0.0)
    0.0
    >>> score_of_failed(np.array([0.2, 0.9]), higher_is_better=False, neutral=1 / 3)
    0.9
    """
    known = [*attained[~np.isnan(attained)].tolist(), *([] if neutral is None else [neutral])]
    worst = min if higher_is_better else max
    return worst(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Everything that can change a number, in one line that can be pasted in a paper."""

    metric: str
    encoder: str
    image: str
    template: str
    dtype: str
    manner: str | None = None
    """How a judge was asked; None without one."""
    alpha: str
    """What transparent pixels lie on."""
    aspect: str | None
    """By how much the aspect ratios of images that are held against each other may differ; None where none are."""
    version: str
    evalkit: str
    missing: str = field(default="fail")
    """How absent edits were treated; shown only where it is not ``fail``."""

    def fields(self) -> dict[str, str]:
        """Key to value, in the order of the line."""
        pairs = {
            "enc": self.encoder,
            "img": self.image,
            "tpl": self.template,
            **({"ask": self.manner} if self.manner else {}),
            "dtype": self.dtype,
            "alpha": self.alpha,
            **({"aspect": self.aspect} if self.aspect else {}),
            "v": self.version,
            "evalkit": self.evalkit,
        }
        if self.missing != "fail":
            pairs["missing"] = self.missing
        return pairs

    def __str__(self) -> str:
        return "|".join([self.metric, *(f"{key}:{value}" for key, value in self.fields().items())])


def _named(feature: Feature, metric: str, argument: str) -> Feature:
    if not isinstance(feature, PairFeature | ItemFeature) or feature.name or computed_by(feature) is None:
        return feature
    if isinstance(feature, PairFeature):
        return replace(feature, name=f"{metric}/{argument}")
    name = getattr(feature.judge, "name", f"{metric}/{argument}")
    return replace(feature, name=name, version=getattr(feature.judge, "version", feature.version))


def checked_metric(metric: object, *, registered: str | None = None) -> Metric:
    """A metric that can be computed, as far as its record tells.

    Args:
        metric: What an entry point points to.
        registered: The entry point's name.

    Raises:
        BrokenPluginError: It is no metric, its record contradicts itself or its function, or one of its features has
            the name and version of another that computes something else.
    """
    if not isinstance(metric, Metric):
        raise BrokenPluginError(
            f"'{registered or metric}' is no metric: expected a Metric, got {type(metric).__name__}."
        )
    if registered not in (None, metric.name):
        raise BrokenPluginError(
            f"The metric '{registered}' is registered under another name than its own, which is '{metric.name}'."
        )
    refuse_faults(f"The metric {metric.name}", lambda: _faults(metric))
    return metric


def _faults(metric: Metric) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*(:[a-z0-9_]+)?", metric.name):
        yield f"expected a name such as clip_score or clip_score:variant, got '{metric.name}'"
    if not metric.lowest < metric.highest:
        yield f"its range must have a lowest value below its highest, got {metric.lowest:g} to {metric.highest:g}"
    elif metric.neutral is None or not metric.lowest <= metric.neutral <= metric.highest:
        yield f"what an edit without merit scores must lie in the metric's range, got {metric.neutral:g}"
    for name, value, known in (
        ("family", metric.family, get_args(Family)),
        ("summarize", metric.summarize, ("mean", "clamped_mean", "rate")),
    ):
        if value not in known:
            yield f"its {name} must be one of {', '.join(known)}, got '{value}'"
    if not metric.features:
        yield "it has no features, so that nothing of an item would reach its function"
    for argument, feature in metric.features.items():
        yield from (f"{fault} (its feature {argument})" for fault in feature_faults(feature))
    if all(isinstance(feature, Feature) for feature in metric.features.values()):
        yield from _function_faults(metric)


def _function_faults(metric: Metric) -> Iterator[str]:
    arguments = dict.fromkeys((*metric.features, *(["resolution"] if metric.needs_resolution else [])))
    if fault := call_fault(metric.function, arguments):
        yield f"its function does not take {', '.join(arguments) or 'nothing'} ({fault})"
    if metric.needs_resolution and not metric.encoders:
        yield "it needs a resolution and goes through no encoder that has one"
    if not any(name.startswith("edited_") for name in metric.fields):
        yield "none of its features looks at the edited image"


@functools.cache
def _built_in() -> Mapping[str, Metric]:
    """The metrics of all :data:`FILES`."""
    modules = (import_module(f"evalkit.metrics.{name}") for name in FILES)
    return {metric.name: metric for module in modules for metric in module.METRICS}


METRICS: Registry[Metric] = Registry("metric", _built_in, "evalkit.metrics", check=checked_metric)


def get_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of those names, in that order, each once.

    Raises:
        UnknownNameError: One of them is not registered.
        BrokenPluginError: One of them cannot be imported, or is none.
    """
    return tuple(METRICS.get(name) for name in dict.fromkeys(names))
