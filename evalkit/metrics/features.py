"""What a metric asks for: features of an item, each known by an explicit key.

A feature is computed once per content, kept between runs, and shared by all metrics that ask for it. What is computed
is named by its :class:`FeatureKey`, which somebody wrote down, and never by the identity of a Python function: two
functions made by one factory would be taken for one another, and a changed one for itself.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evalkit.edits.item import IMAGE_FIELDS
from evalkit.edits.whole_item import WholeItem

FeatureKind = Literal["image", "text", "pair", "item", "file", "tokens"]
"""What numbers are about; ``file`` and ``tokens`` are what inputs are like, which no metric asks for."""
TEXT_FIELDS = ("source_caption", "target_caption", "instruction")
ATTRIBUTE_FIELDS = ("source_attributes", "target_attributes")


def _plain() -> tuple[str, ...]:
    return ("{}",)


def _photo_depicts() -> tuple[str, ...]:
    return ("A photo depicts {}",)


def _imagenet() -> tuple[str, ...]:
    """The 79 that StyleGAN-NADA averages over: CLIP's 80 for ImageNet without "many", which is plural."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(sentence for make in OPENAI_IMAGENET_TEMPLATES if "many" not in (sentence := make("{}")))


TEMPLATES: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "none": _plain,
    "photo_depicts": _photo_depicts,
    "imagenet79": _imagenet,
}
"""Name, as it stands in a signature, to the sentences with ``{}`` where the caption goes."""


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """What is computed, apart from the content that it is computed of: all that a metric's author decides."""

    kind: FeatureKind
    name: str
    version: int
    parameters: tuple[tuple[str, str | float | bool | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFeature:
    """The vector of an image or a text of the item through an encoder: ``(n, dimension)``."""

    field: str
    """A field of :class:`~evalkit.edits.item.EditItem`: an image, a text, or attributes (encoded as their JSON)."""
    encoder: str = "clip"
    """``clip`` is the encoder that the run was given; any other name is a registered encoder of its own."""
    template: str = "none"
    """For texts, a key of :data:`TEMPLATES`; with several templates the metric receives
    ``(n, templates, dimension)``."""
    masked: bool = False
    """For images, whether all that lies outside of the edit mask is blackened before the encoder sees it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the item that it is made from."""
        return (self.field, *(("edit_mask",) if self.masked else ()))

    @property
    def frames(self) -> tuple[tuple[str, str], ...]:
        """Which image is brought to whose size: of the fields of the item, each with that of the other."""
        return (("edit_mask", self.field),) if self.masked else ()

    @property
    def key(self) -> FeatureKey:
        """Image or text through an encoder; which sentence or which pixels is a matter of the content."""
        return FeatureKey("image" if self.field in IMAGE_FIELDS else "text", self.encoder, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFeature:
    """A few numbers about the edited image beside another of the item, in the other's size: ``(n, dimension)``.

    They come from a *measure*, which then has a name and a version, or from an encoder that compares pairs.
    """

    measure: Callable[..., Sequence[float]] | None = None
    """Pure function of ``edited`` and ``source`` (the other image, whichever that is), ``(height, width, 3)`` 8-bit
    sRGB pixels, red first, and, where ``masked``, of ``background``, ``(height, width)`` booleans; always as many
    numbers."""
    encoder: str = "none"
    """The registered encoder that takes the place of a measure."""
    against: Literal["source_image", "reference_image"] = "source_image"
    """The other image of the pair."""
    masked: bool = False
    """Whether the edit mask takes part."""
    name: str = ""
    """Of the measure; where none is given, that of the metric with that of the argument."""
    version: int = 1
    """Of the measure: raised whenever a change of code changes its numbers."""
    parameters: Mapping[str, str | float | bool | None] = field(default_factory=dict)
    """What the measure was made with, where one function makes several."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the item that it is made from."""
        return ("edited_image", self.against, *(("edit_mask",) if self.masked else ()))

    @property
    def frames(self) -> tuple[tuple[str, str], ...]:
        """Which image is brought to whose size: of the fields of the item, each with that of the other."""
        return (("edited_image", self.against), *((("edit_mask", self.against),) if self.masked else ()))

    @property
    def key(self) -> FeatureKey:
        """The measure or encoder and its parameters; the same for a source and a reference, which differ as content."""
        parameters = tuple(sorted({**self.parameters, "masked": self.masked}.items()))
        return FeatureKey("pair", self.name if self.measure else self.encoder, self.version, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFeature:
    """A few numbers about the whole item, from something that looks at all of it: ``(n, dimension)``.

    It comes from a *judge*, a callable with a name and a version, or from a registered encoder with ``encode_items``.
    """

    takes: tuple[str, ...]
    """The fields that it is shown, which an item must have: images and texts."""
    judge: Callable[[WholeItem], Sequence[float]] | None = None
    """Gives always as many numbers."""
    encoder: str = "none"
    """The registered encoder that takes the place of a judge."""
    name: str = ""
    """Of the judge; its own attribute ``name`` where none is given, or that of the metric with that of the argument."""
    version: int = 1
    """Of the judge: raised whenever its numbers change, as with another model or prompt."""
    parameters: Mapping[str, str | float | bool | None] = field(default_factory=dict)
    """What the judge was made with."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the item that it is made from."""
        return self.takes

    @property
    def images(self) -> tuple[str, ...]:
        """Those of the fields that are images, in their order."""
        return tuple(name for name in self.takes if name in IMAGE_FIELDS)

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of the fields that are texts, in their order."""
        return tuple(name for name in self.takes if name in TEXT_FIELDS)

    @property
    def key(self) -> FeatureKey:
        """The judge or encoder, its parameters, and what it is shown."""
        parameters = tuple(sorted({**self.parameters, "takes": ",".join(self.takes)}.items()))
        return FeatureKey("item", self.name if self.judge else self.encoder, self.version, parameters)


Feature = VectorFeature | PairFeature | ItemFeature


def fill(template: str, caption: str) -> tuple[str, ...]:
    """The caption in each sentence of a set of templates.

    Sentences that end in a full stop take the caption without its own.

    >>> fill("photo_depicts", "A cat.")
    ('A photo depicts A cat.',)
    """
    bare = caption.rstrip().removesuffix(".")
    return tuple(
        sentence.replace("{}", bare if sentence.endswith(".") else caption) for sentence in TEMPLATES[template]()
    )


def computed_by(feature: Feature) -> Callable[..., Sequence[float]] | None:
    """The measure or judge; None for what an encoder computes."""
    if isinstance(feature, VectorFeature):
        return None
    return feature.measure if isinstance(feature, PairFeature) else feature.judge


def feature_faults(feature: object) -> Iterator[str]:
    """What keeps a feature from being computed, each as a clause."""
    if isinstance(feature, VectorFeature):
        yield from _vector_faults(feature)
    elif isinstance(feature, PairFeature):
        if feature.against not in ("source_image", "reference_image"):
            yield f"an edited image is compared with source_image or reference_image, not with '{feature.against}'"
        arguments = ("edited", "source", *(["background"] if feature.masked else []))
        yield from _source_faults("measure", feature.measure, feature.encoder, arguments, positional=False)
    elif isinstance(feature, ItemFeature):
        can = (*IMAGE_FIELDS, *TEXT_FIELDS)
        unknown = [name for name in feature.takes if name not in can]
        if unknown or not feature.takes:
            yield f"a judge can be shown {', '.join(can)}, not {', '.join(unknown) or 'nothing'}"
        yield from _source_faults("judge", feature.judge, feature.encoder, ("item",), positional=True)
    else:
        yield f"expected a VectorFeature, a PairFeature or an ItemFeature, got {type(feature).__name__}"


def _vector_faults(feature: VectorFeature) -> Iterator[str]:
    if feature.field not in (*IMAGE_FIELDS, *TEXT_FIELDS, *ATTRIBUTE_FIELDS):
        yield f"items have no field '{feature.field}' that could be encoded"
    if feature.template not in TEMPLATES:
        yield f"there is no template '{feature.template}': expected one of {', '.join(TEMPLATES)}"
    if feature.template != "none" and feature.field not in TEXT_FIELDS:
        yield f"templates are for texts, not for {feature.field}"
    if feature.masked and feature.field not in IMAGE_FIELDS:
        yield f"masks are for images, not for {feature.field}"
    if feature.encoder == "none":
        yield "it names no encoder"


def _source_faults(
    what: str, function: object, encoder: str, arguments: tuple[str, ...], *, positional: bool
) -> Iterator[str]:
    if (function is None) == (encoder == "none"):
        yield f"it needs a {what} or an encoder, and not both"
    if function is not None and (fault := call_fault(function, arguments, positional=positional)):
        yield f"its {what} does not take {', '.join(arguments)} ({fault})"


def call_fault(function: object, arguments: Iterable[str], *, positional: bool = False) -> str | None:
    """Why a function cannot be called with arguments of those names; None where it can, or nobody can tell."""
    if not callable(function):
        return f"a {type(function).__name__} cannot be called"
    names = list(arguments)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # as for functions that are written in C
        return None
    try:
        signature.bind(*names) if positional else signature.bind(**dict.fromkeys(names))
    except TypeError as failure:
        return str(failure)
    return None
