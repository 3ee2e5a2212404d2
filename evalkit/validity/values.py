"""Every metric's value of every system, item by item, and the truth that values are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem
from evalkit.encoders.base import AnyEncoder
from evalkit.encoders.cache import FeatureCache
from evalkit.engine.base import Engine
from evalkit.errors import DataError
from evalkit.images.decode import read_image
from evalkit.metrics.base import REASONS, Metric, get_metrics
from evalkit.scores.external import ColumnNames, read_table
from evalkit.scores.frame import ScoreFrame
from evalkit.scoring.apply import score_folder
from evalkit.scoring.options import ScoreOptions
from evalkit.storage.prefetch import Progress
from evalkit.validity.systems import System

CLOSENESS = "reference_closeness"
"""1 minus the mean absolute difference from the reference image, over pixels and channels, in [0, 1]."""
RECOGNISED = ("edit_success", "attribute_preservation")
"""What a recogniser reads off pictures whose attributes are known exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumn:
    """One metric of one system."""

    by_item: Mapping[str, float]
    undefined: Mapping[str, int]
    """Reason in words to number of rows without a value."""

    def at(self, items: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The values of some items, NaN where there is none."""
        return np.array([self.by_item.get(item, np.nan) for item in items], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Values of all systems."""

    columns: Mapping[tuple[str, str], MetricColumn]
    """System and metric, or truth, to values."""
    signatures: Mapping[str, str]
    truths: tuple[str, ...]


def score_systems(
    systems: Sequence[System],
    metrics: Sequence[Metric],
    encoders: Mapping[str, AnyEncoder],
    cache: FeatureCache,
    *,
    benchmark: str,
    engine: Engine | None = None,
    progress: Progress,
) -> Scored:
    """Score every system with every metric, and with the truths that its items allow."""
    first = systems[0].items
    recognised = get_metrics(RECOGNISED) if all(item.target_attributes for item in first) else ()
    wanted = tuple({metric.name: metric for metric in (*metrics, *recognised)}.values())
    closeness = all(item.reference_image for item in first)
    columns: dict[tuple[str, str], MetricColumn] = {}
    signatures: dict[str, str] = {}
    for number, system in enumerate(systems, start=1):
        folder = EditFolder(
            root=_root(system.items), layout="manifest", items=system.items, n_files=0, n_matched=0, benchmark=benchmark
        )
        options = ScoreOptions(name=system.name, missing="intersect")
        run = score_folder(folder, wanted, encoders, cache, options, engine=engine)
        for metric in wanted:
            columns[system.name, metric.name] = _column(run.table, metric.name)
            signatures[metric.name] = run.record.metrics[metric.name].signature
        if closeness:
            columns[system.name, CLOSENESS] = _closeness(system.items)
        progress("scoring", number, len(systems))
    truths = (*(metric.name for metric in recognised), *((CLOSENESS,) if closeness else ()))
    return Scored(columns=columns, signatures=signatures, truths=truths)


def human_scores(path: Path, column: str, columns: ColumnNames) -> dict[str, dict[str, float]]:
    """Method to item to what people said, averaged over repeats.

    Args:
        path: A table as other tools write them.
        column: The one with the scores; more is better.
        columns: Which other column is what.

    Raises:
        DataError: The table cannot be read, or has no such column.
    """
    found: dict[str, dict[str, float]] = {}
    for name, table in read_table(path, columns).methods.items():
        if column not in table.metrics:
            raise DataError(
                f"{path} has no column of numbers '{column}': expected one of {', '.join(table.metrics)}. "
                "Name it: --human-column NAME"
            )
        found[name] = table.item_means(column).by_item()
    return found


def _root(items: Sequence[EditItem]) -> Path:
    return next((item.edited_image.parent for item in items if item.edited_image), Path())


def _column(scores: ScoreFrame, metric: str) -> MetricColumn:
    return MetricColumn(
        by_item=scores.item_means(metric).by_item(),
        undefined={REASONS.get(reason, reason): count for reason, count in scores.undefined(metric).items()},
    )


def _closeness(items: Sequence[EditItem]) -> MetricColumn:
    seeds: dict[str, list[float]] = {}
    for item in items:
        if item.edited_image and item.reference_image:
            wanted = read_image(item.reference_image)
            edited = read_image(item.edited_image)
            if edited.size != wanted.size:
                edited = edited.resize(wanted.size, Image.Resampling.BICUBIC)
            apart = np.abs(np.asarray(edited, dtype=np.float64) - np.asarray(wanted, dtype=np.float64)).mean() / 255
            seeds.setdefault(item.item_id, []).append(1.0 - float(apart))
    return MetricColumn(by_item={item: float(np.mean(values)) for item, values in seeds.items()}, undefined={})
