"""What a set of metrics asks for, each once, and the keys by which it is kept.

A *request* is a feature with the contents that it is wanted of, in the order in which items first ask for them.

The *key* of a feature's numbers is a digest of all that can change them, apart from the content that they are about:

* for a network, its specification: the digest of its weights, architecture, tokenizer, preprocessing, precision, the
  version of our own code, and the versions of the libraries that compute (torch, transformers, open_clip, …);
* for a measure or a judge, the explicit name, version and parameters of its :class:`FeatureKey`, and the versions of
  NumPy and SciPy, in which they are written;
* for both, the version of the rules by which a file becomes pixels, and that of Pillow, which decodes and resizes;
* for pairs, the rules by which two sizes, and a mask's, are brought together.

So nothing stale is found after an upgrade, and the versions in a run's record are those that made its numbers. The
content itself is known by the SHA-256 of its files and texts: names, places and times of files do not matter.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.encoders.base import EncoderSpec, decoding_rules, library_versions, settings_digest
from evalkit.errors import OptionError
from evalkit.images.facts import FACTS_VERSION
from evalkit.images.pairs import MASK_RULE, SIZE_RULE
from evalkit.images.stored import AnyImage
from evalkit.metrics.base import Metric
from evalkit.metrics.features import (
    TEXT_FIELDS,
    Feature,
    FeatureKey,
    ItemFeature,
    PairFeature,
    VectorFeature,
    computed_by,
    fill,
)

MEASURING = ("numpy", "scipy")
"""The libraries that measures are written in."""


def environment() -> tuple[tuple[str, str], ...]:
    """What takes part in the numbers of measures and judges on this machine: rules and libraries, with versions."""
    return (*decoding_rules(), *library_versions(MEASURING))


@dataclass(frozen=True, slots=True)
class Content:
    """What a feature is computed of: image files and texts of an item, in the order of the feature's fields.

    Of a pair the other image comes first, then the edited one, then the mask if it takes part.
    """

    files: tuple[AnyImage, ...] = ()
    texts: tuple[str, ...] = ()


def content_digest(files: Sequence[str], texts: Sequence[str] = ()) -> str:
    """SHA-256 of a content, in hexadecimal.

    Args:
        files: SHA-256 of each of its files, in hexadecimal.
        texts: Its texts.
    """
    lengths = f"{len(files)} files, texts of {[len(text) for text in texts]}: "
    return sha256("".join([lengths, *files, *texts]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FileFeature:
    """What an image file is like: :class:`~evalkit.images.facts.ImageFacts`, taken whenever the file is decoded."""

    encoder: str = "none"

    @property
    def key(self) -> FeatureKey:
        """One for all."""
        return FeatureKey("file", "image_facts", FACTS_VERSION)


@dataclass(frozen=True, slots=True)
class TokenFeature:
    """What a text is to an encoder's tokenizer: :class:`~evalkit.encoders.base.TokenCount`."""

    encoder: str

    @property
    def key(self) -> FeatureKey:
        """One for each encoder."""
        return FeatureKey("tokens", self.encoder, 1)


FILE = FileFeature()
InputFeature = FileFeature | TokenFeature
"""What inputs are like, which no metric asks for."""


@dataclass(slots=True)
class Request:
    """A feature and what it is wanted of."""

    feature: Feature | InputFeature
    contents: dict[Content, None] = field(default_factory=dict)
    """In order; a dictionary for its speed."""


def distinct_features(metrics: Iterable[Metric]) -> dict[FeatureKey, Feature]:
    """The features of metrics by key.

    Raises:
        OptionError: Two metrics give one name and version to different measures or judges.
    """
    found: dict[FeatureKey, tuple[Feature, str]] = {}
    for metric in metrics:
        for feature in metric.features.values():
            first, owner = found.setdefault(feature.key, (feature, metric.name))
            if computed_by(first) != computed_by(feature):
                raise OptionError(
                    f"The metrics {owner} and {metric.name} have different functions under one name, "
                    f"'{feature.key.name}' version {feature.key.version}: their numbers would be taken for each "
                    f"other's. Give each feature a name of its own: name=…"
                )
    return {key: feature for key, (feature, _) in found.items()}


def requests_of(metrics: Sequence[Metric], items: Iterable[EditItem]) -> dict[FeatureKey, Request]:
    """What must be computed so that every metric has its features for every item that has what it needs."""
    requests = {key: Request(feature) for key, feature in distinct_features(metrics).items()}
    asked = [
        (metric, [(feature, requests[feature.key].contents) for feature in metric.features.values()])
        for metric in metrics
    ]
    for item in items:
        for metric, features in asked:
            if not missing_fields(metric, item):
                for feature, contents in features:
                    contents.update(dict.fromkeys(contents_of(feature, item)))
    return requests


def requests_about(metrics: Sequence[Metric], items: Iterable[EditItem]) -> dict[FeatureKey, Request]:
    """What must be computed to know what inputs are like: the image files of items, the texts that encoders read."""
    encoded = distinct_texts(metrics)
    about: list[InputFeature] = [FILE, *dict.fromkeys(TokenFeature(feature.encoder) for feature in encoded)]
    requests = {feature.key: Request(feature) for feature in about}
    for item in items:
        if item.status == "ok":
            requests[FILE.key].contents.update((Content((path,)), None) for path in item.images)
        for feature in encoded:
            if getattr(item, feature.field):
                texts = dict.fromkeys(contents_of(feature, item))
                requests[TokenFeature(feature.encoder).key].contents.update(texts)
    return requests


def distinct_texts(metrics: Iterable[Metric]) -> list[VectorFeature]:
    """The texts that metrics have encoded, each once for each encoder and template."""
    features = (feature for metric in metrics for feature in metric.features.values())
    return list(dict.fromkeys(f for f in features if isinstance(f, VectorFeature) and f.field in TEXT_FIELDS))


def missing_fields(metric: Metric, item: EditItem) -> tuple[str, ...]:
    """The fields that a metric needs and an item does not have."""
    return tuple(name for name in metric.fields if not getattr(item, name))


def contents_of(feature: Feature, item: EditItem) -> tuple[Content, ...]:
    """What a feature of an item is computed of: one content, or for a text one per template."""
    masks = (item.edit_mask,) if isinstance(feature, VectorFeature | PairFeature) and feature.masked else ()
    if isinstance(feature, PairFeature):
        pair: tuple[Any, Any] = (getattr(item, feature.against), item.edited_image)
        return (Content((*pair, *masks)),)
    if isinstance(feature, ItemFeature):
        files = tuple(getattr(item, name) for name in feature.takes if name in IMAGE_FIELDS)
        return (Content(files, tuple(getattr(item, name) for name in feature.takes if name not in IMAGE_FIELDS)),)
    value: Any = getattr(item, feature.field)
    if isinstance(value, AnyImage):
        return (Content((value, *masks)),)
    if isinstance(value, str):
        return tuple(Content((), (text,)) for text in fill(feature.template, value))
    return (Content((), (json.dumps(dict(value), sort_keys=True, ensure_ascii=False),)),)


def cache_key(feature: Feature | InputFeature, spec: EncoderSpec | None) -> str:
    """The key of a feature's numbers.

    Args:
        feature: Which.
        spec: Of its encoder, if it goes through one.
    """
    if isinstance(feature, VectorFeature) and spec:
        return spec.cache_key
    facts: list[object] = [spec.cache_key if spec else environment(), asdict(feature.key)]
    if isinstance(feature, PairFeature):
        facts += [SIZE_RULE, MASK_RULE]
    return settings_digest(facts)


def key_label(feature: Feature | InputFeature, spec: EncoderSpec | None) -> str:
    """What a key stands for, as it reads in ``evalkit cache info``."""
    if isinstance(feature, InputFeature):
        return f"tokens/{spec.label}" if spec else "images/facts"
    if spec:
        return spec.label
    return f"{'pixels' if isinstance(feature, PairFeature) else 'judge'}/{feature.key.name}"
