"""The trial of metrics: their values of every system on the same items, and the truths that these are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.arrays import Floats
from evalkit.comparison.people import labels_in
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem
from evalkit.encoders.base import AnyEncoder, FeatureCache
from evalkit.engine.base import Engine
from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted
from evalkit.judges.asking import RubricJudge
from evalkit.metrics.base import Metric, get_metrics
from evalkit.metrics.details import CODED
from evalkit.scores.columns import ColumnNames
from evalkit.scores.people import HumanLabels, rater_words
from evalkit.scores.run import ScoredRun
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from evalkit.stats.clusters import Groups, code_groups
from evalkit.storage.prefetch import Progress
from evalkit.validity.systems import System, Systems

RECOGNISED = ("edit_success", "attribute_preservation")
"""What a recogniser reads off pictures whose attributes are known exactly."""
RECOGNISED_V2 = (
    "edit_success:v2",
    "subject_detail_preservation",
    "scene_detail_preservation",
    "unnamed_attribute_preservation",
)
"""The same where details are known too."""
CLOSENESS = "reference_closeness"
"""1 minus the mean absolute difference from the reference image, in [0, 1]."""
_DISTANCE = "l1_reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanScores:
    """A table of what people said of edits."""

    table: Path
    column: str | None
    """The one with the scores, more is better; None for the only one of numbers."""
    columns: ColumnNames
    """Which other column is what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything that judging a metric needs."""

    systems: Systems
    runs: Mapping[str, ScoredRun]
    """By system."""
    items: tuple[EditItem, ...]
    """The benchmark's, in its order."""
    groups: Groups
    truths: Mapping[str, Mapping[str, Floats]]
    """Truth to system to ``(n,)`` values, NaN where there is none."""
    level: float
    seed: int
    people: str | None = None
    """The truth that people said."""
    notes: tuple[str, ...] = ()
    """What there is to say of their labels."""

    def values(self, system: str, metric: str) -> Floats:
        """``(n,)`` values of a metric of a system, NaN where there is none."""
        return _aligned(self.runs[system].table.item_means(metric).by_item(), self.items)


def truth_metrics(items: Sequence[EditItem]) -> tuple[Metric, ...]:
    """The metrics that say what is true of some items."""
    known = [set(item.target_attributes or ()) for item in items]
    recognised = RECOGNISED_V2 if all(names == set(CODED) for names in known) else RECOGNISED if all(known) else ()
    return get_metrics((*recognised, *((_DISTANCE,) if all(item.reference_image for item in items) else ())))


def score_systems(
    systems: Sequence[System],
    metrics: Sequence[Metric],
    encoders: Mapping[str, AnyEncoder],
    cache: FeatureCache,
    *,
    benchmark: str,
    engine: Engine | None = None,
    progress: Progress,
    judges: Mapping[str, RubricJudge] | None = None,
    with_truth: bool = True,
) -> dict[str, ScoredRun]:
    """Score every system with every metric, and, unless told not to, with those that say what is true of its items."""
    truth = truth_metrics(systems[0].items) if with_truth else ()
    wanted = tuple({metric.name: metric for metric in (*metrics, *truth)}.values())
    runs = {}
    for number, system in enumerate(systems, start=1):
        root = next((path.parent for item in system.items if isinstance(path := item.edited_image, Path)), Path())
        folder = EditFolder(
            root=root, layout="manifest", items=system.items, n_files=0, n_matched=0, benchmark=benchmark
        )
        options = ScoreOptions(name=system.name, missing="intersect")
        runs[system.name] = score_folder(folder, wanted, encoders, cache, options, engine=engine, judges=judges)
        progress("scoring", number, len(systems))
    return runs


def make_trial(
    items: Sequence[EditItem],
    systems: Systems,
    runs: Mapping[str, ScoredRun],
    human: HumanScores | None,
    level: float,
    seed: int,
) -> Trial:
    """The trial of some systems.

    Args:
        items: The benchmark's; those that the systems have are used, in this order.
        systems: What was scored.
        runs: By system.
        human: What people said.
        level: Coverage of the intervals.
        seed: Determines what is resampled.

    Raises:
        DataError: The table of what people said cannot be read, has no such column, or labels none of the items.
        OptionError: It holds votes, or no scores of any of the methods.
    """
    kept = {item.item_id for item in systems.true.items}
    items = tuple(item for item in items if item.item_id in kept)
    labels = labels_in(human.table, human.columns, human.column, systems.methods) if human else None
    truths = {labels.name: _of_people(labels, systems, items)} if labels else {}
    for metric in truth_metrics(systems.true.items):
        name = CLOSENESS if metric.name == _DISTANCE else metric.name
        truths[name] = {
            system.name: _aligned(runs[system.name].table.item_means(metric.name).by_item(), items)
            for system in systems.all
            if system.kind != "damage"
        }
    if CLOSENESS in truths:
        truths[CLOSENESS] = {system: 1.0 - distances for system, distances in truths[CLOSENESS].items()}
    groups = code_groups([item.group or item.item_id for item in items])
    return Trial(
        systems=systems,
        runs=runs,
        items=items,
        groups=groups,
        truths=truths,
        level=level,
        seed=seed,
        people=labels.name if labels else None,
        notes=(*labels.left_out, *rater_words(labels)) if labels else (),
    )


def _of_people(labels: HumanLabels, systems: Systems, items: Sequence[EditItem]) -> dict[str, Floats]:
    """What people said of each method, averaged over raters; a table of one method is of the only one."""
    found = {name: labels.means(name) for name in labels.methods}
    methods = systems.methods
    if len(found) == len(methods) == 1:
        found = {methods[0]: next(iter(found.values()))}
    common = [name for name in methods if name in found]
    if not common:
        raise OptionError(
            f"{labels.source} holds scores of {', '.join(found)}, and the folders are {', '.join(methods) or 'none'}: "
            "expected the same names. Name the column of methods: --map method=HEADING"
        )
    aligned = {name: _aligned(found[name], items) for name in common}
    if all(np.isnan(values).all() for values in aligned.values()):
        raise DataError(
            f"{labels.source} labels none of the {counted(len(items), 'item')}: items are joined by their id, and got "
            f"ids like '{next(iter(found[common[0]]))}' and '{items[0].item_id}'. Name the column of ids: --map "
            "item=HEADING"
        )
    return aligned


def _aligned(by_item: Mapping[str, float], items: Sequence[EditItem]) -> Floats:
    return np.array([by_item.get(item.item_id, np.nan) for item in items], dtype=np.float64)
