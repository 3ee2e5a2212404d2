"""Does a metric measure anything? Separation from controls, and agreement with people or the truth."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.formatting import counted
from evalkit.stats.clusters import GRID, Labels, check_level, cluster_error, code_groups, finite_by_group, to_steps
from evalkit.stats.intervals import (
    Estimate,
    design_effect_of,
    effective_trials,
    estimate_of,
    group_bootstrap_t_interval,
    group_wilson_interval,
    wilson_ends,
)

USABLE = 0.75
"""A metric that prefers the real edit over a control less often than this cannot rank single items."""
MAX_UNDEFINED_SHARE = 0.05
"""With more undefined resamples than this there is no interval."""
FEWEST_GROUPS = 4
"""With fewer groups a rank correlation has no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superiority:
    """How surely a metric tells edits from a control (a shuffled caption, a random image, the unedited source)."""

    paired: Estimate
    """``P(edit > control of the same item) + ½ P(tie)``: what ranking on an item needs."""
    unpaired: Estimate
    """``P(edit of any item > control of any item)``: the area under the ROC curve."""
    n_ties: int
    """Items with the same score for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankAgreement:
    """Mean over items of the rank correlation, across methods, of a metric with a reference."""

    correlation: Estimate
    n_items: int
    """Items with a correlation."""
    undefined: Mapping[str, int]
    """Reason to number of items without one."""


def superiority(
    values: Floats,
    control: Floats,
    groups: Labels,
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
) -> Superiority:
    """Probability that an edit scores better than a control on the same item, and than one on any item.

    The paired one has Wilson's interval with the design effect of the groups; the area under the curve has Wilson's on
    the number of trials that match its cluster-robust error, from the placement values of Obuchowski (Biometrics 1997).

    Args:
        values: ``(n,)`` scores of the edits, finite.
        control: ``(n,)`` scores of the control on the same items.
        groups: ``(n,)``; items with the same label are dependent.
        higher_is_better: Direction of the metric.
        level: Coverage.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.

    >>> result = superiority(np.array([0.3, 0.4, 0.2, 0.5]), np.array([0.1, 0.2, 0.2, 0.6]), range(4))
    >>> result.paired.value, result.n_ties
    (0.625, 1)
    """
    values, coded = finite_by_group(values, groups)
    control, _ = finite_by_group(control, groups)
    sign = 1 if higher_is_better else -1
    edited, other = sign * to_steps(values), sign * to_steps(control)
    wins = (np.sign(edited - other) + 1) / 2
    paired = group_wilson_interval(wins, groups, level=level)
    above, below = _placements(edited, other), 1 - _placements(other, edited)
    area = float(above.mean()) if len(above) else None
    spread = cluster_error(above + below, coded)
    if area is None or spread is None:
        unpaired = estimate_of(coded, "wilson_u_statistic", area, reason=paired.reason)
    else:
        effect = design_effect_of(area, spread.error, len(coded))
        trials = effective_trials(len(coded), effect, spread.freedom, level) if effect else coded.n_groups
        ends = wilson_ends(area, trials, level)
        unpaired = estimate_of(coded, "wilson_u_statistic", area, ends, freedom=spread.freedom)
    return Superiority(paired=paired, unpaired=unpaired, n_ties=int((wins == 0.5).sum()))


def item_agreement(
    metric: Floats,
    reference: Floats,
    groups: Labels,
    *,
    higher_is_better: bool = True,
    level: float = 0.95,
    n_resamples: int = 9_999,
    seed: int = 0,
) -> RankAgreement:
    """Whether a metric orders the methods on each item as people, or the truth, do (Deutsch et al., EMNLP 2023).

    Kendall's τ_b is taken across methods within each item and averaged over items; pooling items and methods would mix
    in how difficult the items are. The interval is a bootstrap-t over groups.

    Args:
        metric: ``(n, methods)``; NaN marks a missing score.
        reference: ``(n, methods)``, higher is better.
        groups: ``(n,)``; items with the same label are drawn together.
        higher_is_better: Direction of the metric.
        level: Coverage.
        n_resamples: Bootstrap resamples.
        seed: Determines them.

    Raises:
        OptionError: Shapes differ, a value is infinite, or an option is out of range.

    >>> metric = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.3, 0.2]])
    >>> truth = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    >>> agreement = item_agreement(metric, truth, range(3))
    >>> agreement.correlation.value, agreement.undefined
    (0.0, {'the reference ties all methods': 1})
    """
    correlations, reasons = item_correlations(metric, reference, higher_is_better=higher_is_better)
    if len(correlations) != len(groups):
        raise OptionError(f"Every item needs its group: got {len(correlations)} items and {len(groups)} groups.")
    kept = np.array([reason is None for reason in reasons], dtype=np.bool_)
    interval = group_bootstrap_t_interval(
        correlations[kept],
        code_groups(groups).where(kept),
        level=level,
        bounds=(-1.0, 1.0),
        n_resamples=n_resamples,
        seed=seed,
    )
    undefined = Counter(reason for reason in reasons if reason is not None)
    return RankAgreement(correlation=interval, n_items=int(kept.sum()), undefined=dict(undefined))


def item_correlations(
    metric: Floats, reference: Floats, *, higher_is_better: bool = True
) -> tuple[Floats, list[str | None]]:
    """Kendall's τ_b across methods within each item, with the reason where it is undefined (and then 0).

    Args:
        metric: ``(n, methods)``; NaN marks a missing score.
        reference: ``(n, methods)``.
        higher_is_better: Direction of the metric.

    Raises:
        OptionError: Shapes differ, or a value is infinite.
    """
    metric, reference = np.asarray(metric, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if metric.ndim != 2 or metric.shape != reference.shape or np.isinf(metric).any() or np.isinf(reference).any():
        raise OptionError(f"Two finite tables of items × methods are needed; got {metric.shape}, {reference.shape}.")
    metric, reference = to_steps(metric), to_steps(reference)
    correlations, reasons = np.zeros(len(metric)), []
    for number, (of_metric, of_reference) in enumerate(zip(metric, reference, strict=True)):
        both = ~np.isnan(of_metric) & ~np.isnan(of_reference)
        x, y = of_metric[both] * (1 if higher_is_better else -1), of_reference[both]
        reasons.append(
            _why_undefined(x, y, ("the metric ties all methods", "the reference ties all methods"), "method")
        )
        if reasons[-1] is None:
            correlations[number] = _kendall(x, y)
    return correlations, reasons


def rank_correlation(x: Floats, y: Floats, groups: Labels, *, level: float = 0.95) -> Estimate:
    """Spearman's rank correlation over items of two columns, with Student's interval of its jackknife over groups.

    The standard error is that of the estimates without each group; the interval is made on Fisher's z with G − 1
    degrees of freedom. By simulation it covers what it says from 4 groups on, where bootstrap intervals do not.

    For two metrics give the differences between two methods, not the raw scores: those share how difficult the items
    are, and correlate even where the metrics agree on nothing else.

    Args:
        x: ``(n,)``, finite.
        y: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are left out together.
        level: Coverage, in (0, 1).

    Returns:
        Without ends, and with the reason, where there are fewer than `FEWEST_GROUPS` groups or no spread.

    Raises:
        OptionError: Lengths differ, a value is not finite, or the level is out of range.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0, 5.0]), np.array([1.0, 4.0, 9.0, 7.0]), range(4)).value
    0.8
    """
    from scipy.special import stdtrit

    check_level(level)
    x, coded = finite_by_group(x, groups)
    y, _ = finite_by_group(y, groups)
    x, y = to_steps(x), to_steps(y)
    reason = _why_undefined(x, y, ("the first column is constant", "the second column is constant"), "item")
    if reason is not None:
        return estimate_of(coded, "group_jackknife", reason=reason)
    value = float(weighted_spearman(x, y, np.ones((1, len(x))))[0])
    n = coded.n_groups
    if n < FEWEST_GROUPS:
        few = f"{counted(n, 'group')}: an interval of a rank correlation needs {FEWEST_GROUPS}"
        return estimate_of(coded, "group_jackknife", value, reason=few)
    without = np.concatenate([weighted_spearman(x, y, 1.0 - (coded.codes == group)[None]) for group in range(n)])
    if np.isnan(without).any():
        return estimate_of(coded, "group_jackknife", value, reason="without one of the groups a column is constant")
    spread = float(np.sqrt((n - 1) / n * np.square(without - value).sum()))
    if spread < GRID or abs(value) > 1 - GRID:
        return estimate_of(coded, "group_jackknife", value, reason="the correlation shows no spread between groups")
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * spread / (1 - value**2)
    ends = np.tanh(np.arctanh(value) + np.array([-half, half])).tolist()
    return estimate_of(coded, "group_jackknife", value, (ends[0], ends[1]), freedom=n - 1.0)


def weighted_spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's correlation of items that count as often as their weights say; NaN where a column is constant.

    Args:
        x: ``(n,)``.
        y: ``(n,)``.
        weights: ``(rows, n)``, not negative.

    Returns:
        ``(rows,)``, in [−1, 1].

    >>> weighted_spearman(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), np.array([[2.0, 1, 0]]))
    array([1.])
    """
    total = weights.sum(axis=1, keepdims=True)
    x, y = _midranks(x, weights), _midranks(y, weights)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    products = (weights * x * y).sum(axis=1)
    sizes = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    ratio = np.divide(products, sizes, out=np.full(len(products), np.nan), where=sizes > 1e-12)
    return np.asarray(np.clip(ratio, -1.0, 1.0), dtype=np.float64)


def bca_ends(value: float, draws: Floats, jackknife: Floats, level: float) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated bootstrap interval (Efron, JASA 1987).

    Args:
        value: The estimate.
        draws: ``(B,)`` its bootstrap replicates, finite and not all equal.
        jackknife: ``(G,)`` the estimate without each group; empty to do without the acceleration.
        level: Coverage.
    """
    from scipy.special import ndtr, ndtri

    below = ((draws < value).sum() + (draws == value).sum() / 2) / len(draws)
    bias = float(ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws))))
    residuals = jackknife.mean() - jackknife if len(jackknife) else jackknife
    spread = float(np.square(residuals).sum()) ** 1.5
    acceleration = float((residuals**3).sum()) / (6 * spread) if spread else 0.0
    z = bias + ndtri(np.array([0.5 - level / 2, 0.5 + level / 2]))
    low, high = np.quantile(draws, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def _kendall(x: Floats, y: Floats) -> float:
    """τ_b of two columns, neither of them constant."""
    signs_x, signs_y = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    return float((signs_x * signs_y).sum() / np.sqrt(np.square(signs_x).sum() * np.square(signs_y).sum()))


def _midranks(values: Floats, weights: Floats) -> Floats:
    """Rank of each item among the weighted items (up to a constant), ties sharing the mean."""
    _, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2)[:, inverse], dtype=np.float64)


def _placements(values: Floats, others: Floats) -> Floats:
    """For each value the share of the others below it, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return np.asarray(below / (2 * max(1, len(others))), dtype=np.float64)


def _why_undefined(x: Floats, y: Floats, constant: tuple[str, str], unit: str) -> str | None:
    if len(x) < 2:
        return f"fewer than two {unit}s with both scores"
    return constant[0] if not np.ptp(x) else constant[1] if not np.ptp(y) else None
