"""What people said of some items, with a metric of all beside it, where methods are compared."""

from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats, Indices, Mask
from evalkit.stats import signs
from evalkit.stats.clusters import ClusterError, Groups
from evalkit.stats.equivalence import Equivalence
from evalkit.stats.intervals import Bounds, Estimate, estimate_of
from evalkit.stats.prediction_powered import LabelledMean, Tuning, labelled_mean, tune
from evalkit.stats.records import LabelsAlone
from evalkit.stats.scores import MetricScores

PREDICTION_POWERED = "prediction_powered_t"
"""How the p-value was obtained of labels with a metric beside them."""
TOO_FEW_LABELS = "labels in fewer than two groups show no spread"
NO_SPREAD = "the labelled items show no spread to test with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The labels of every method with the metric beside them, and how much of it is taken."""

    metric: str
    """The one beside the labels."""
    labels: Floats
    """``(n, methods)``, NaN where nobody labelled the edit of every method that can be ranked."""
    scores: Floats
    """``(n, methods)`` of the metric, more of it with more of the labels; NaN for items that are not spoken of."""
    groups: Groups
    tuning: Tuning

    def of_method(self, method: int, *, level: float, bounds: Bounds) -> Estimate:
        """A method's mean over all items, by its number."""
        labels, scores = self.labels[:, method], self.scores[:, method]
        return self._estimate(labels, scores, self.tuning, level=level, bounds=bounds)

    def mean(self, method: int, kept: Mask) -> float | None:
        """A method's mean over the items that are kept."""
        found = labelled_mean(
            self.labels[:, method], np.where(kept, self.scores[:, method], np.nan), self.groups, self.tuning
        )
        return None if found is None else found.value

    def spoken_of(self, methods: tuple[int, ...]) -> Groups:
        """The items that some methods are compared on, as their groups."""
        return self.groups.where(self._known(self.scores[:, methods].sum(axis=1)))

    def labelled_items(self, methods: tuple[int, ...]) -> Mask:
        """``(n,)``: items that the edits of all these methods were labelled on."""
        return self._known(self.scores[:, methods].sum(axis=1) + self.labels[:, methods].sum(axis=1))

    def difference(self, pair: tuple[int, int], *, alone: bool = False) -> LabelledMean | None:
        """Of the second method less the first; ``alone``: by the labels only."""
        labels, scores = (columns[:, pair[1]] - columns[:, pair[0]] for columns in (self.labels, self.scores))
        return labelled_mean(labels, scores, self.groups, self._alone if alone else self.tuning)

    @property
    def n_items(self) -> int:
        """Of how many items is spoken."""
        return int(self._known(self.scores).any(axis=1).sum())

    @property
    def _alone(self) -> Tuning:
        return Tuning.alone(self.groups.n_groups)

    def _known(self, values: Floats) -> Mask:
        return np.logical_not(np.isnan(values))

    def _estimate(self, labels: Floats, scores: Floats, tuning: Tuning, *, level: float, bounds: Bounds) -> Estimate:
        found, spoken_of = labelled_mean(labels, scores, self.groups, tuning), self.groups.where(self._known(scores))
        if found is None:
            return estimate_of(spoken_of, PREDICTION_POWERED, reason=TOO_FEW_LABELS)
        if not found.error.error:
            return estimate_of(spoken_of, PREDICTION_POWERED, found.value, reason=NO_SPREAD)
        low, high = ends_of(found, 1 - level)
        lowest, highest = (-np.inf if bounds[0] is None else bounds[0], np.inf if bounds[1] is None else bounds[1])
        value, ends = min(max(found.value, lowest), highest), (max(low, lowest), min(high, highest))
        return estimate_of(spoken_of, PREDICTION_POWERED, value, ends, freedom=found.error.freedom)


def labelled_of(metric: MetricScores, groups: Groups) -> Labelled | None:
    """The labels of a metric with what stands beside them; None for one that was scored on all items itself.

    Only items are spoken of for which every method that can be ranked has a score of the metric beside the labels.
    Where nobody knows which way that metric is better, nothing is taken of it.
    """
    beside = metric.assisted_by
    if beside is None:
        return None
    ranked: Indices = np.flatnonzero([name not in metric.unranked for name in metric.scores])
    sign = 1.0 if metric.higher_is_better == beside.higher_is_better else -1.0
    labels, scores = metric.means, sign * beside.means
    labels = np.where(np.isnan(labels[:, ranked]).any(axis=1, keepdims=True), np.nan, labels)
    scores = np.where(np.isnan(scores[:, ranked]).any(axis=1, keepdims=True), np.nan, scores)
    tuning = tune(labels[:, ranked], scores[:, ranked], groups)
    if not beside.direction_known:
        reason = f"which way {beside.metric} is better is not known"
        tuning = Tuning.alone(groups.n_groups, correlation=tuning.correlation, reason=reason)
    return Labelled(metric=beside.metric, labels=labels, scores=scores, groups=groups, tuning=tuning)


def ends_of(found: LabelledMean, alpha: float) -> tuple[float, float]:
    """The ends of Student's interval."""
    from scipy.special import stdtrit

    half = float(stdtrit(found.error.freedom, 1 - alpha / 2)) * found.error.error
    return found.value - half, found.value + half


def two_sided_p(value: float, error: ClusterError) -> float:
    """Of Student's test that the true value is 0."""
    from scipy.special import stdtr

    return signs.positive(2 * float(stdtr(error.freedom, -abs(value) / error.error)))


def equivalence_of(found: LabelledMean, margin: float | None, alpha: float) -> Equivalence | None:
    """Two one-sided t tests; None where no margin was declared."""
    from scipy.special import stdtr

    if margin is None:
        return None
    error = found.error
    p_value = signs.positive(float(stdtr(error.freedom, (abs(found.value) - margin) / error.error)))
    return Equivalence(equivalent=p_value <= alpha, p_value=p_value)


def labels_alone(labelled: Labelled, pair: tuple[int, int], found: LabelledMean, alpha: float) -> LabelsAlone | None:
    """What the labels of a pair say without the metric, and what it adds; None where they say nothing."""
    alone, kept = labelled.difference(pair, alone=True), labelled.labelled_items(pair)
    if alone is None or not alone.error.error:
        return None
    low, high = ends_of(alone, alpha)
    n_items, tuning = int(kept.sum()), labelled.tuning
    gain = (alone.error.error / found.error.error) ** 2 if found.error.error else None
    return LabelsAlone(
        n_items=n_items,
        n_groups=labelled.groups.where(kept).n_groups,
        difference=alone.value,
        ci_low=low,
        ci_high=high,
        p_value=two_sided_p(alone.value, alone.error),
        metric=labelled.metric,
        coefficient=tuning.coefficient,
        weight=tuning.weight,
        correlation=tuning.correlation,
        n_worth=None if gain is None else gain * n_items,
        reason=tuning.reason,
    )
