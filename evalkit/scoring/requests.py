"""Which vectors a set of metrics needs, each named once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.images.pairs import PairFiles
from evalkit.metrics.base import Feature, Metric, PairFeature
from evalkit.metrics.templates import fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image file as an encoder sees it."""

    path: Path
    edit_mask: Path | None = None
    """Outside of which all is blackened."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is made from."""
        return (self.path,) if self.edit_mask is None else (self.path, self.edit_mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The unique inputs of every encoder, in the order in which items first ask for them."""

    images: Mapping[str, tuple[Picture, ...]]
    """Encoder name to pictures."""
    texts: Mapping[str, tuple[str, ...]]
    """Encoder name to texts."""
    pairs: Mapping[PairFeature, tuple[PairFiles, ...]] = field(default_factory=dict)
    """What is asked about pairs of edited and source image, and about which."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image file, once."""
        single = (path for pictures in self.images.values() for picture in pictures for path in picture.paths)
        paired = (path for pairs in self.pairs.values() for files in pairs for path in files.paths)
        return tuple(dict.fromkeys([*single, *paired]))


def plan_features(metrics: Sequence[Metric], items: Iterable[EditItem]) -> Plan:
    """What must be encoded so that every metric can be computed for every item that has what it needs."""
    images: dict[str, dict[Picture, None]] = {}
    texts: dict[str, dict[str, None]] = {}
    pairs: dict[PairFeature, dict[PairFiles, None]] = {}
    for item in items:
        for metric in metrics:
            if missing_fields(metric, item):
                continue
            for feature in metric.features.values():
                if isinstance(feature, PairFeature):
                    pairs.setdefault(feature, {})[pair_of(feature, item)] = None
                elif feature.field in IMAGE_FIELDS:
                    images.setdefault(feature.encoder, {})[picture_of(feature, item)] = None
                else:
                    texts.setdefault(feature.encoder, {}).update(dict.fromkeys(texts_of(feature, item)))
    return Plan(
        images={encoder: tuple(pictures) for encoder, pictures in images.items()},
        texts={encoder: tuple(strings) for encoder, strings in texts.items()},
        pairs={feature: tuple(files) for feature, files in pairs.items()},
    )


def missing_fields(metric: Metric, item: EditItem) -> tuple[str, ...]:
    """The fields that a metric needs and an item does not have."""
    return tuple(name for name in metric.fields if not getattr(item, name))


def picture_of(feature: Feature, item: EditItem) -> Picture:
    """The picture that a feature of an item is made from."""
    path: Path = getattr(item, feature.field)
    return Picture(path=path, edit_mask=item.edit_mask if feature.masked else None)


def pair_of(feature: PairFeature, item: EditItem) -> PairFiles:
    """The files that a feature of an item's pair is made from."""
    edited, source = item.edited_image, item.source_image
    if edited is None or source is None:
        raise ValueError(f"{item.label} lacks an image of the pair")
    return PairFiles(edited_image=edited, source_image=source, edit_mask=item.edit_mask if feature.masked else None)


def texts_of(feature: Feature, item: EditItem) -> tuple[str, ...]:
    """The texts that a feature of an item is made from: a caption in its templates, or attributes as JSON."""
    value: str | Mapping[str, str] = getattr(item, feature.field)
    if isinstance(value, str):
        return fill(feature.template, value)
    return (json.dumps(dict(value), sort_keys=True, ensure_ascii=False),)
