"""Equivalence: two one-sided tests that a difference lies inside a margin which was declared before scoring.

The absence of a significant difference is not equivalence, nor is a tie on every item; this is (Schuirmann 1987).
"""

import math
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.bootstrap import studentized_means
from evalkit.stats.clusters import (
    ONE_GROUP,
    Groups,
    Labels,
    check_alpha,
    cluster_errors,
    finite_by_group,
    satterthwaite,
)

BOOTSTRAP_GROUPS = 5_000
"""With more groups the t test alone decides: the mean of so many is normal, and resampling it takes long."""
NO_SPREAD = "all differences are equal: no spread to test with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether a mean difference is shown to lie inside the margin."""

    equivalent: bool
    p_value: float | None = None
    """The larger of the two one-sided p-values; None where there is nothing to test with."""
    reason: str | None = None
    """Why there is no p-value."""
    skewness_ratio: float | None = None
    """|skewness of the groups' sums| / √G, of differences that are no rates. Above .3 the test errs too often."""


def equivalence_test(
    differences: Floats,
    groups: Labels,
    *,
    margin: float,
    alpha: float = 0.05,
    is_rate: bool = False,
    width: float | None = None,
    n_resamples: int = 9_999,
    seed: int = 0,
) -> Equivalence:
    """Test one pair of methods for equivalence; arguments and errors are those of `equivalence_tests`.

    >>> equivalence_test(np.array([0.1, -0.1, 0.2, -0.1, 0.0]), range(5), margin=0.5).equivalent
    True
    """
    columns = np.asarray(differences, dtype=np.float64)[:, None]
    return equivalence_tests(
        columns, groups, margin=margin, alpha=alpha, is_rate=is_rate, width=width, n_resamples=n_resamples, seed=seed
    )[0]


def equivalence_tests(
    columns: Floats,
    groups: Labels,
    *,
    margin: float,
    alpha: float = 0.05,
    is_rate: bool = False,
    width: float | None = None,
    n_resamples: int = 9_999,
    seed: int = 0,
) -> tuple[Equivalence, ...]:
    """Two one-sided tests for each of several columns of differences on the same items.

    Means: the larger p-value of the t test on the cluster-robust (CR2) error, with the degrees of freedom that it has
    where the items of a group agree, and of the same statistic held against its bootstrap-t distribution over groups.
    Skew that deceives the one is often seen by the other, and both must agree. Rates: `tango_z`, divided by the root of
    the groups' design effect. That is the CR2 variance over that of independent items, at least 1, averaged over the
    groups that differ and one more whose items agree entirely, so that ties are no evidence of independence.

    Differences of means that are all the same have no spread. In a range of width R the share of the G groups that may
    still differ is bounded, and the worst of them differ by R: ``p = (1 − (Δ − |c|)/(R − |c|))^G`` for differences that
    are all c. Without a range nothing is shown.

    Args:
        columns: ``(n, c)``, finite; of rates, differences of zeros and ones or of their means over seeds.
        groups: ``(n,)``; items with the same label are dependent.
        margin: Half-width Δ of the zone of equivalence around 0, in the units of the scores; below 1 for rates.
        alpha: Error rate of each one-sided test, in (0, ½).
        is_rate: Whether the scores are rates.
        width: Of the range that the scores can have; None where it has no end.
        n_resamples: Bootstrap resamples, the same for all columns.
        seed: Determines them.

    Raises:
        OptionError: Lengths differ, a value is not finite, or an option is out of range.
    """
    columns, coded = finite_by_group(columns, groups)
    _check(columns, margin, alpha, is_rate)
    if coded.n_groups < 2:
        reason = ONE_GROUP if len(coded) else "no values"
        return tuple(Equivalence(equivalent=False, reason=reason) for _ in columns.T)
    errors, freedom = cluster_errors(columns, coded)
    if is_rate:
        of_rates = [_rate_p_value(*each, coded, freedom, margin) for each in zip(columns.T, errors, strict=True)]
        return tuple(Equivalence(equivalent=p <= alpha, p_value=p) for p in of_rates)
    tied = [_tied_p_value(mean, coded.n_groups, margin, width) for mean in columns.mean(axis=0)]
    p_values, ratios = np.array(tied), np.full(len(errors), np.nan)
    if (varied := errors > 0).any():
        with np.errstate(over="ignore"):  # a margin may be infinitely many standard errors wide
            scaled, margins = columns[:, varied] / errors[varied], margin / errors[varied]
        freedom = satterthwaite(coded.sizes, agreeing=True)
        p_values[varied] = _mean_p_values(scaled, coded, margins, freedom, n_resamples, seed)
        ratios[varied] = _skewness_ratios(scaled, coded)
    return tuple(_of_means(p, alpha, ratio) for p, ratio in zip(p_values.tolist(), ratios.tolist(), strict=True))


def _check(columns: Floats, margin: float, alpha: float, is_rate: bool) -> None:
    """Raise an OptionError for what cannot be tested."""
    check_alpha(2 * alpha)
    if not (np.isfinite(margin) and margin > 0):
        raise OptionError(f"The margin must be a positive number; got {margin}.")
    if is_rate and margin >= 1:
        raise OptionError(f"The margin of a success rate must lie between 0 and 1; got {margin}.")
    if is_rate and (np.abs(columns) > 1).any():
        raise OptionError("Differences of success rates must lie in [−1, 1].")


def _of_means(p_value: float, alpha: float, skewness_ratio: float) -> Equivalence:
    """The record of one column of differences of means; what there is none of is NaN."""
    if math.isnan(p_value):
        return Equivalence(equivalent=False, reason=NO_SPREAD)
    p_value, skewed = signs.positive(p_value), None if math.isnan(skewness_ratio) else skewness_ratio
    return Equivalence(equivalent=p_value <= alpha, p_value=p_value, skewness_ratio=skewed)


def _mean_p_values(
    columns: Floats, groups: Groups, margins: Floats, freedom: float, n_resamples: int, seed: int
) -> Floats:
    """The larger p-value of the t and the bootstrap-t test of columns that are scaled to a standard error of 1."""
    from scipy.special import stdtr

    means = columns.mean(axis=0)
    above, below = means + margins, means - margins
    p_values: Floats = np.maximum(stdtr(freedom, -above), stdtr(freedom, below))
    if groups.n_groups > BOOTSTRAP_GROUPS:
        return p_values
    reached = np.zeros((2, len(means)))
    residuals = groups.sums(columns - means)
    for t in studentized_means(residuals, groups.sizes, n_resamples=n_resamples, seed=seed):
        reached += (t >= above).sum(axis=0), (t <= below).sum(axis=0)
    larger: Floats = np.maximum(p_values, (1 + reached.max(axis=0)) / (1 + n_resamples))
    return larger


def _tied_p_value(mean: float, n_groups: int, margin: float, width: float | None) -> float:
    """P-value of groups that all differ by the same; NaN without a range."""
    if width is None:
        return np.nan
    size = abs(mean)
    if size >= min(margin, width):
        return 1.0
    return float((1 - min(1.0, (margin - size) / (width - size))) ** n_groups)


def _skewness_ratios(columns: Floats, groups: Groups) -> Floats:
    """|Skewness of the groups' sums of residuals| over √G, of each column."""
    sums = groups.sums(columns - columns.mean(axis=0))
    ratios: Floats = np.abs((sums**3).mean(axis=0) / np.square(sums).mean(axis=0) ** 1.5) / np.sqrt(groups.n_groups)
    return ratios


def _rate_p_value(differences: Floats, error: float, groups: Groups, freedom: float, margin: float) -> float:
    """Two one-sided score tests of a paired difference of rates, for items that come in groups."""
    from scipy.special import ndtr, stdtr

    n = len(differences)
    wins, losses = float(differences.clip(0).sum()), float(-differences.clip(max=0).sum())
    z = max(tango_z(wins, losses, n, margin), tango_z(losses, wins, n, margin))
    if n == groups.n_groups:
        return signs.positive(float(ndtr(z)))
    # What a few differing groups tell of the design effect is little: one more is counted whose items all agree.
    independent, agreed = float(differences.var(ddof=1)) / n, float(np.square(groups.sizes).sum()) / n
    effect = max(1.0, error**2 / independent) if independent else agreed
    n_differing = int((groups.sums(np.abs(differences)) > 0).sum())
    effect = (n_differing * effect + agreed) / (n_differing + 1)
    return signs.positive(float(stdtr(freedom, z / math.sqrt(effect))))


def tango_z(wins: float, losses: float, n: int, margin: float) -> float:
    """Score statistic of a paired difference of two rates against a difference of ``margin`` (Tango 1998).

    ``z = (b − c − nΔ) / √(n (2q + Δ(1 − Δ)))`` with q the maximum-likelihood estimate of the probability of a loss
    where the difference is Δ (Statistics in Medicine 17:891–908, eq. 4 and 8).

    Args:
        wins: Number b of items on which only the second method succeeds; of several seeds the sum of their shares.
        losses: Number c of items on which only the first one does.
        n: Number of items.
        margin: Δ, in (0, 1).

    Returns:
        Negative where the difference is smaller than the margin.

    >>> round(tango_z(2, 0, 100, 0.05), 4)
    -1.3765
    """
    linear = (2 * n - wins + losses) * margin - wins - losses
    root = np.sqrt(linear**2 + 8 * n * losses * margin * (1 - margin))
    only_first = max(0.0, float(root - linear) / (4 * n))
    return float((wins - losses - n * margin) / np.sqrt(n * (2 * only_first + margin * (1 - margin))))
