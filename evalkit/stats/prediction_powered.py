"""Few labels and many scores: what people would say of all items, narrowed by a metric that cannot bias it.

People labelled some of the items, drawn at random; a metric scored all of them. Prediction-powered inference takes the
labels' mean and adds what the metric says of the items that nobody labelled (Angelopoulos, Duchi & Zrnic 2023, PPI++,
arXiv 2311.01453, eq. 2):

``θ̂ = Ȳ_L + κ (f̄_U − f̄_L)``

with Y the labels, f the metric, L the labelled and U the other items. Whatever the metric is, the second term is 0 in
expectation, since L is a random part: it can only take noise away. κ is the metric's slope times PPI++'s tuning λ in
[0, 1]. It is tuned to make the variance least (their eq. 6), shrunk towards 0 where the labels do not show that the
metric helps, and 0, that is the labels alone, where it would help in the wrong direction. In the standard error each
group is held against the κ of the others (cross-fitting), so that the slope's own noise is part of it.

With one item per group and a given κ, value and standard error are those of PPI++.
"""

import math
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats.clusters import (
    ClusterError,
    Groups,
    Labels,
    code_groups,
    group_deviations,
    satterthwaite,
)

FEWEST_GROUPS = 8
"""With labels in fewer groups no slope is estimated: the labels stand alone."""
NOT_SHOWN = "the labels do not show that it goes with what people say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How much of the metric is taken: one coefficient for all methods, so that differences are those of the means."""

    coefficient: float
    """κ, in units of the labels per unit of the metric; 0 for the labels alone."""
    without: Floats
    """``(G,)``, κ as the other groups tell it, for each group."""
    weight: float
    """λ: the coefficient as a share of the metric's slope on the labelled items, in [0, 1]."""
    correlation: float | None
    """Of labels and metric over the labelled items, in [−1, 1]: of what distinguishes the methods, where there are
    several; None where one of them does not vary."""
    reason: str | None = None
    """Why the metric is not used."""

    @classmethod
    def alone(cls, n_groups: int, *, correlation: float | None = None, reason: str | None = None) -> "Tuning":
        """The labels by themselves."""
        nothing = np.zeros(n_groups)
        return cls(coefficient=0.0, without=nothing, weight=0.0, correlation=correlation, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMean:
    """What people would say on average of all items."""

    value: float
    error: ClusterError
    """Its cluster-robust standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Whether labelled items look like a random part of all, by what a metric says of them."""

    difference: float
    """Mean of the metric over the labelled items less that over the others, in standard deviations of the metric."""
    p_value: float
    """Two-sided, of a cluster-robust t test; of items drawn at random it is uniform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The labelled items and the others; an item without a score of the metric is none of them."""

    labelled: Mask
    others: Mask
    groups: Groups

    @classmethod
    def of(cls, labelled: Mask, metric: Floats, groups: Labels) -> "_Parts":
        scored = np.logical_not(np.isnan(metric))
        return cls(labelled=labelled & scored, others=~labelled & scored, groups=code_groups(groups))

    def n_groups(self, part: Mask) -> int:
        return self.groups.where(part).n_groups

    def freedom(self, part: Mask) -> float:
        return satterthwaite(self.groups.where(part).sizes)

    def deviations(self, columns: Floats, part: Mask) -> Floats:
        """``(G, c)``: what each group adds to the errors of the part's means."""
        some = self.groups.where(part)
        result = np.zeros((self.groups.n_groups, columns.shape[1]))
        if some.n_groups > 1:
            _, first = np.unique(some.codes, return_index=True)
            result[self.groups.codes[part][first]] = group_deviations(columns[part], some)
        return result


def tune(labels: Floats, metric: Floats, groups: Labels) -> Tuning:
    """Choose the coefficient that makes the differences between methods least uncertain.

    Group by group let ``y`` be what the labels add to the error of a mean and ``b`` what the metric does, labelled less
    other items. The variance ``Σ (y − κb)²`` is least at ``κ = Σyb / Σb²``; this is multiplied by ``(1 − 1/t²)₊``, t
    its ratio to its own standard error (a positive-part shrinkage; Efron & Morris 1973).

    Args:
        labels: ``(n, methods)`` what people said, more is better; NaN for items that nobody labelled.
        metric: ``(n, methods)``, more is better; NaN for items that are not spoken of.
        groups: ``(n,)``; items with the same label are dependent.

    Raises:
        OptionError: Shapes differ, or a score is infinite.
    """
    labels, metric = _checked(labels, metric, groups)
    y, f = _between_methods(labels), _between_methods(metric)
    parts = _Parts.of(np.logical_not(np.isnan(y[:, 0])), f[:, 0], groups)
    correlation = _correlation(y[parts.labelled], f[parts.labelled])
    reason, n_groups = _why_alone(parts, correlation), parts.groups.n_groups
    if reason is not None:
        return Tuning.alone(n_groups, correlation=correlation, reason=reason)
    of_labels, of_metric = (parts.deviations(columns, parts.labelled) for columns in (y, f))
    b = of_metric - parts.deviations(f, parts.others)
    products, squares = (of_labels * b).sum(axis=1), np.square(b).sum(axis=1)
    best = float(products.sum() / squares.sum())
    noise = float(np.square(products - best * squares).sum())
    shrinkage = max(0.0, 1 - noise / float(products.sum()) ** 2) if best > 0 else 0.0
    if not shrinkage:
        return Tuning.alone(n_groups, correlation=correlation, reason=NOT_SHOWN)
    slope = float((of_labels * of_metric).sum() / np.square(of_metric).sum())
    return Tuning(
        coefficient=shrinkage * best,
        without=shrinkage * np.maximum(0.0, (products.sum() - products) / (squares.sum() - squares)),
        weight=min(1.0, shrinkage * best / slope) if slope > 0 else 1.0,
        correlation=correlation,
    )


def labelled_mean(labels: Floats, metric: Floats, groups: Labels, tuning: Tuning) -> LabelledMean | None:
    """The mean of what people would say of all items, or of a difference between two methods.

    Args:
        labels: ``(n,)``, NaN for items that nobody labelled.
        metric: ``(n,)``, NaN for items that are not spoken of.
        groups: ``(n,)``; items with the same label are dependent.
        tuning: How much of the metric is taken; of a coefficient of 0 the labels' own mean and CR2 error remain.

    Returns:
        None where labels are in fewer than two groups.

    Raises:
        OptionError: Lengths differ, or a score is infinite.

    >>> labels = np.array([1.0, 2.0, np.nan, np.nan])
    >>> taken = Tuning(coefficient=1.0, without=np.ones(4), weight=1.0, correlation=None)
    >>> labelled_mean(labels, np.array([1.0, 2.0, 3.0, 2.0]), range(4), taken).value
    2.5
    """
    labels, metric = _checked(labels[:, None], metric[:, None], groups)
    parts = _Parts.of(np.logical_not(np.isnan(labels[:, 0])), metric[:, 0], groups)
    labelled, others = parts.labelled, parts.others
    if parts.n_groups(labelled) < 2:
        return None
    value = float(labels[labelled].mean())
    if tuning.coefficient:
        value += tuning.coefficient * float(metric[others].mean() - metric[labelled].mean())
    of_labels, of_metric = (parts.deviations(columns, labelled)[:, 0] for columns in (labels, metric))
    residuals = of_labels - tuning.without * of_metric
    from_others = tuning.without * parts.deviations(metric, others)[:, 0]
    freedom = parts.freedom(labelled)
    if from_others.any():
        ours, theirs = (float(np.square(part).sum()) for part in (residuals, from_others))
        freedom = (ours + theirs) ** 2 / (ours**2 / freedom + theirs**2 / parts.freedom(others))
    error = float(np.sqrt(np.square(residuals + from_others).sum()))
    return LabelledMean(value=value, error=ClusterError(error=error, freedom=freedom))


def labels_needed(alone: int, correlation: float, n_items: int) -> int | None:
    """How many labelled items do with a metric what so many do alone, for the same standard error.

    Of n labelled of N items the variance is ``σ²[(1 − ρ²)(1 + 1/(n−3))/n + ρ²/N]``, the factor for the slope that must
    be estimated, too (Cochran 1977, eq. 12.62, of double sampling), against ``σ²/n`` alone.

    Args:
        alone: Labelled items that are needed without the metric.
        correlation: ρ of labels and metric in the difference of two methods, in [−1, 1]; of a negative one the metric
            is not taken.
        n_items: N, that are scored.

    Returns:
        None where labelling all items is not enough.

    >>> labels_needed(200, 0.8, 1000), labels_needed(200, 0.0, 1000), labels_needed(200, 0.8, 150)
    (84, 200, None)
    """
    if alone > n_items:
        return None
    share = max(0.0, correlation) ** 2
    for n in range(FEWEST_GROUPS, alone):
        if (1 - share) * (1 + 1 / (n - 3)) / n + share / n_items <= 1 / alone:
            return n
    return alone


def balance(metric: Floats, labelled: Mask, groups: Labels) -> Balance | None:
    """Compare labelled items with the others in the metric, which should differ by chance only.

    Args:
        metric: ``(n,)``, NaN for items that are not spoken of.
        labelled: ``(n,)``.
        groups: ``(n,)``; items with the same label are dependent.

    Returns:
        None where the metric does not vary, or one of the two parts has fewer than two groups.

    Raises:
        OptionError: Lengths differ, or a score is infinite.

    >>> balance(np.arange(40.0), np.arange(40) < 20, range(40)).p_value < 1e-8
    True
    """
    from scipy.special import stdtr

    _, columns = _checked(metric[:, None], metric[:, None], groups)
    parts = _Parts.of(labelled, metric, groups)
    both = (parts.labelled, parts.others)
    if min(map(parts.n_groups, both)) < 2:
        return None
    deviation = float(np.nanstd(metric, ddof=1))
    ours, theirs = (parts.deviations(columns, part) for part in both)
    error = float(np.sqrt(np.square(ours - theirs).sum()))
    if not (deviation and error):
        return None
    difference = float(metric[both[0]].mean() - metric[both[1]].mean())
    p_value = 2 * float(stdtr(min(map(parts.freedom, both)), -abs(difference) / error))
    return Balance(difference=difference / deviation, p_value=p_value)


def _checked(labels: Floats, metric: Floats, groups: Labels) -> tuple[Floats, Floats]:
    labels, metric = np.asarray(labels, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    if labels.shape != metric.shape or len(labels) != len(groups) or np.isinf([labels, metric]).any():
        raise OptionError(
            f"Finite labels and scores of the same items are needed; got {labels.shape}, {metric.shape} and "
            f"{len(groups)} groups."
        )
    return labels, metric


def _why_alone(parts: _Parts, correlation: float | None) -> str | None:
    """Why no slope can be estimated; None where one can."""
    n_groups = parts.n_groups(parts.labelled)
    if not parts.others.any():
        return "every item is labelled"
    if parts.n_groups(parts.others) < 2:
        return "all other items are in one group"
    if n_groups < FEWEST_GROUPS:
        return f"labels in {n_groups} groups show no slope: expected {FEWEST_GROUPS}"
    return "labels or metric do not vary" if correlation is None else None


def _between_methods(columns: Floats) -> Floats:
    """What distinguishes methods on each item; of one method its values as they are. NaN where one has none."""
    return columns if columns.shape[1] == 1 else np.subtract(columns, columns.mean(axis=1, keepdims=True))


def _centred(columns: Floats) -> Floats:
    """Less their means, and 0 where only rounding is left."""
    centred: Floats = columns - columns.mean(axis=0)
    rounding = 64 * np.finfo(np.float64).eps * np.abs(columns).max(axis=0)
    return np.where(np.abs(centred) <= rounding, 0.0, centred)


def _correlation(y: Floats, f: Floats) -> float | None:
    if not len(y):
        return None
    y, f = _centred(y), _centred(f)
    size = math.sqrt(float(np.square(y).sum()) * float(np.square(f).sum()))
    return float((y * f).sum()) / size if size > 0 else None
