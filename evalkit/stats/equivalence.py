"""Equivalence: two one-sided tests that a difference lies inside a margin which was declared before scoring.

The absence of a significant difference is not equivalence; this is (Schuirmann 1987).
"""

from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.clusters import Labels, check_alpha, finite_by_group, unbiased_cluster_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether a mean difference is shown to lie inside the margin."""

    equivalent: bool
    p_value: float | None = None
    """The larger of the two one-sided p-values; None for fewer than two groups, or groups that do not differ."""


def group_tost(differences: Floats, groups: Labels, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """Two one-sided t tests on the cluster-robust (CR2) standard error, with Satterthwaite's degrees of freedom.

    ``p = max(P(t ≥ (d̄ + Δ)/SE), P(t ≤ (d̄ − Δ)/SE))``. The usual CR1 error with G−1 degrees of freedom errs too often
    at the margin where large groups correlate. Differences that are all the same have no error: they are equivalent by
    definition if they lie strictly inside the margin, and the p-value is undefined.

    Args:
        differences: ``(n,)``, finite.
        groups: ``(n,)``; items with the same label are dependent.
        margin: Half-width Δ of the zone of equivalence around 0, in the units of the scores.
        alpha: Error rate of each one-sided test, in (0, ½).

    Raises:
        OptionError: Lengths differ, a value is not finite, the margin is not positive, or alpha is out of range.

    >>> group_tost(np.array([0.1, -0.1, 0.2, -0.1, 0.0]), range(5), margin=0.5).equivalent
    True
    """
    from scipy.special import stdtr

    differences, coded = finite_by_group(differences, groups)
    check_alpha(2 * alpha)
    if not (np.isfinite(margin) and margin > 0):
        raise OptionError(f"The margin must be a positive number; got {margin}.")
    spread = unbiased_cluster_error(differences, coded)
    if spread is None:
        return Equivalence(equivalent=False)
    mean, (error, freedom) = float(differences.mean()), spread
    if error == 0:
        if (differences == differences[0]).all():
            mean = float(differences[0])  # their computed mean may differ in the last digit
        return Equivalence(equivalent=-margin < mean < margin)
    one_sided = stdtr(freedom, (-margin - mean) / error), stdtr(freedom, (mean - margin) / error)
    p_value = signs.positive(float(max(one_sided)))
    return Equivalence(equivalent=p_value <= alpha, p_value=p_value)
