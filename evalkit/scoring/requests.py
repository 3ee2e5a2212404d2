"""What a set of metrics asks for: every feature of every item, each once.

A *request* is a feature with the contents that it is wanted of, in the order in which items first ask for them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.errors import OptionError
from evalkit.metrics.base import Metric
from evalkit.metrics.features import (
    Feature,
    FeatureKey,
    ItemFeature,
    PairFeature,
    VectorFeature,
    computed_by,
)
from evalkit.metrics.templates import fill


@dataclass(frozen=True, slots=True)
class Content:
    """What a feature is computed of: image files and texts of an item, in the order of the feature's fields.

    Of a pair the other image comes first, then the edited one, then the mask if it takes part.
    """

    files: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()


def content_digest(files: Sequence[str], texts: Sequence[str] = ()) -> str:
    """SHA-256 of a content, in hexadecimal.

    Args:
        files: SHA-256 of each of its files, in hexadecimal.
        texts: Its texts.
    """
    return sha256(json.dumps([list(files), list(texts)]).encode()).hexdigest()


@dataclass(slots=True)
class Request:
    """A feature and what it is wanted of."""

    feature: Feature
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


def missing_fields(metric: Metric, item: EditItem) -> tuple[str, ...]:
    """The fields that a metric needs and an item does not have."""
    return tuple(name for name in metric.fields if not getattr(item, name))


def contents_of(feature: Feature, item: EditItem) -> tuple[Content, ...]:
    """What a feature of an item is computed of: one content, or for a text one per template."""
    masks = (item.edit_mask,) if isinstance(feature, VectorFeature | PairFeature) and feature.masked else ()
    if isinstance(feature, PairFeature):
        return (_content([getattr(item, feature.against), item.edited_image, *masks]),)
    if isinstance(feature, ItemFeature):
        return (_content([getattr(item, name) for name in feature.takes]),)
    value: Path | str | Mapping[str, str] = getattr(item, feature.field)
    if feature.field in IMAGE_FIELDS:
        return (_content([value, *masks]),)
    if isinstance(value, str):
        return tuple(Content(texts=(text,)) for text in fill(feature.template, value))
    attributes = value if isinstance(value, Mapping) else {}
    return (Content(texts=(json.dumps(dict(attributes), sort_keys=True, ensure_ascii=False),)),)


def _content(values: Iterable[object]) -> Content:
    values = list(values)
    return Content(
        files=tuple(value for value in values if isinstance(value, Path)),
        texts=tuple(value for value in values if isinstance(value, str)),
    )
