"""Corrections for many comparisons at once. A comparison without a p-value is not in the family."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import check_alpha

FamilyProcedure = Literal["holm", "benjamini_hochberg", "benjamini_yekutieli", "none"]
FamilyCorrection = FamilyProcedure | Literal["max_t"]
"""``max_t`` needs the arrangements themselves and is made with them, in `sign_flip_tests`."""
PValues = Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """P-values adjusted within one family, in the order in which they were given."""

    p_values: tuple[float | None, ...]
    """None stays None."""
    factors: tuple[float | None, ...]
    """What each raw p-value was multiplied by at its own step, before the steps were made monotone."""
    n_tests: int
    """Size of the family: the p-values that there are."""
    correction: FamilyCorrection


def adjust(p_values: PValues, correction: FamilyProcedure = "holm") -> Adjusted:
    """Adjust a family's p-values.

    * ``holm``: family-wise error under any dependence, ``max_{j≤i} min(1, (m−j+1)·p_(j))`` (Holm 1979). Not
      Holm–Šidák, which gives smaller numbers and needs independence.
    * ``benjamini_hochberg``: false discovery rate, ``min_{j≥i} m·p_(j)/j`` (1995), for exploratory metrics.
    * ``benjamini_yekutieli``: the same under any dependence, times ``Σ 1/j`` (2001).
    * ``none``: as they are.

    Args:
        p_values: In [0, 1]; None for a comparison that has none, which leaves the family.
        correction: One of the above.

    Raises:
        OptionError: A p-value is outside [0, 1] or not a number, or the correction is unknown.

    >>> adjust([0.01, None, 0.03, 0.02]).p_values
    (0.03, None, 0.04, 0.04)
    """
    if correction not in _STEPS:
        raise OptionError(f"The correction must be one of {', '.join(_STEPS)}; got {correction!r}.")
    known = [p for p in p_values if p is not None]
    if not all(0 <= p <= 1 for p in known):
        raise OptionError(f"P-values must lie in [0, 1]; got {[p for p in known if not 0 <= p <= 1][:3]}.")
    order = np.argsort(known, kind="stable")
    adjusted, factors = np.empty(len(known)), np.empty(len(known))
    adjusted[order], factors[order] = _STEPS[correction](np.asarray(known, dtype=np.float64)[order])
    values, steps = iter(adjusted.tolist()), iter(factors.tolist())
    return Adjusted(
        p_values=tuple(None if p is None else next(values) for p in p_values),
        factors=tuple(None if p is None else next(steps) for p in p_values),
        n_tests=len(known),
        correction=correction,
    )


def flips_needed(n_tests: int, alpha: float = 0.05) -> int:
    """Random arrangements that resolve a corrected p-value: ``B + 1 ≥ 20·m/α``.

    >>> flips_needed(45)
    17999
    """
    check_alpha(alpha)
    return max(1, math.ceil(20 * n_tests / alpha) - 1)


def _holm(p: Floats) -> tuple[Floats, Floats]:
    factors = np.arange(len(p), 0, -1, dtype=np.float64)
    return np.minimum(1, np.maximum.accumulate(factors * p)), factors


def _benjamini_hochberg(p: Floats) -> tuple[Floats, Floats]:
    factors = len(p) / np.arange(1, len(p) + 1)
    return np.minimum(1, np.minimum.accumulate((factors * p)[::-1])[::-1]), factors


def _benjamini_yekutieli(p: Floats) -> tuple[Floats, Floats]:
    ranks = np.arange(1, len(p) + 1)
    factors = len(p) * (1 / ranks).sum() / ranks
    return np.minimum(1, np.minimum.accumulate((factors * p)[::-1])[::-1]), factors


def _none(p: Floats) -> tuple[Floats, Floats]:
    return p, np.ones(len(p))


_STEPS: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "holm": _holm,
    "benjamini_hochberg": _benjamini_hochberg,
    "benjamini_yekutieli": _benjamini_yekutieli,
    "none": _none,
}
