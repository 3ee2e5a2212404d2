"""Which vectors a set of metrics needs, each named once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.data.item import EditItem
from evalkit.metrics.base import Feature, Metric
from evalkit.metrics.templates import fill

IMAGE_FIELDS = ("source_image", "edited_image", "reference_image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The unique inputs of every encoder, in the order in which items first ask for them."""

    images: Mapping[str, tuple[Path, ...]]
    """Encoder name to image files."""
    texts: Mapping[str, tuple[str, ...]]
    """Encoder name to texts."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image file, once."""
        return tuple(dict.fromkeys(path for paths in self.images.values() for path in paths))


def plan_features(metrics: Sequence[Metric], items: Iterable[EditItem]) -> Plan:
    """What must be encoded so that every metric can be computed for every item that has what it needs."""
    images: dict[str, dict[Path, None]] = {}
    texts: dict[str, dict[str, None]] = {}
    for item in items:
        for metric in metrics:
            if lacking(metric, item):
                continue
            for feature in metric.features.values():
                if feature.field in IMAGE_FIELDS:
                    images.setdefault(feature.encoder, {})[image_of(feature, item)] = None
                else:
                    texts.setdefault(feature.encoder, {}).update(dict.fromkeys(texts_of(feature, item)))
    return Plan(
        images={encoder: tuple(paths) for encoder, paths in images.items()},
        texts={encoder: tuple(strings) for encoder, strings in texts.items()},
    )


def lacking(metric: Metric, item: EditItem) -> tuple[str, ...]:
    """The fields that a metric needs and an item does not have."""
    return tuple(feature.field for feature in metric.features.values() if not getattr(item, feature.field))


def image_of(feature: Feature, item: EditItem) -> Path:
    """The image file that a feature of an item is made from."""
    path: Path = getattr(item, feature.field)
    return path


def texts_of(feature: Feature, item: EditItem) -> tuple[str, ...]:
    """The texts that a feature of an item is made from: a caption in its templates, or attributes as JSON."""
    value: str | Mapping[str, str] = getattr(item, feature.field)
    if isinstance(value, str):
        return fill(feature.template, value)
    return (json.dumps(dict(value), sort_keys=True, ensure_ascii=False),)
