"""Corrections for many comparisons at once. A comparison without a p-value is not in the family."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError
from evalkit.stats.clusters import check_alpha

Procedure = Literal["holm", "bh", "by", "none"]
Correction = Procedure | Literal["maxt"]
"""``maxt`` needs the permutations themselves and is made with them, in `sign_flip_tests`."""
EXPLORATORY: Mapping[Correction, Procedure] = {"holm": "bh", "maxt": "bh", "bh": "bh", "by": "by", "none": "none"}
"""What corrects the metrics that are not primary, by what corrects those that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What a comparison's family makes of its p-values."""

    p_value: float | None
    equivalence_p_value: float | None
    n_comparisons: int
    """Size of the family: the comparisons that have a p-value."""
    level: float
    """What an uncorrected p-value must not exceed to be significant: where the false discovery rate is held, in a
    family with as many discoveries as this one; else at the first step."""
    factor: float
    """What the smallest p-value that a design allows is multiplied by, at the least."""


def correct_families(
    p_values: Sequence[float | None],
    equivalence: Sequence[float | None],
    primary: Sequence[bool],
    correction: Correction,
    *,
    alpha: float,
    max_t: Sequence[float | None],
) -> list[Corrected]:
    """Adjust the p-values of the primary comparisons as one family, and those of the others as a second.

    Args:
        p_values: Of the differences.
        equivalence: Of the tests of equivalence, which form families of their own.
        primary: Whether each comparison is on a primary metric.
        correction: Of the primary ones; `EXPLORATORY` says what corrects the others.
        alpha: Error rate of each family; shared among its comparisons where the family-wise error is held.
        max_t: Adjusted p-values from the permutations themselves, for ``maxt``.

    Raises:
        OptionError: A p-value is outside [0, 1] or not a number, or the correction is unknown.
    """
    if correction not in EXPLORATORY:
        raise OptionError(f"The correction must be one of {', '.join(EXPLORATORY)}; got {correction!r}.")
    found: dict[int, Corrected] = {}
    for family, chosen in ((True, correction), (False, EXPLORATORY[correction])):
        members = [number for number, of in enumerate(primary) if of == family]
        procedure: Procedure = "holm" if chosen == "maxt" else chosen
        adjusted = adjust([p_values[number] for number in members], procedure)
        if chosen == "maxt":
            adjusted = tuple(max_t[number] for number in members)
        one_sided = adjust([equivalence[number] for number in members], procedure)
        n_comparisons = sum(p_value is not None for p_value in adjusted)
        n_found = sum(p_value is not None and p_value <= alpha for p_value in adjusted)
        for number, p_value, of_equivalence in zip(members, adjusted, one_sided, strict=True):
            found[number] = Corrected(
                p_value=p_value,
                equivalence_p_value=of_equivalence,
                n_comparisons=n_comparisons,
                level=alpha * level_share(procedure, n_comparisons, n_found),
                factor=_factor(chosen, n_comparisons),
            )
    return [found[number] for number in range(len(p_values))]


def level_share(procedure: Procedure, n_comparisons: int, n_found: int) -> float:
    """The share of α that an uncorrected p-value is held against.

    Args:
        procedure: What corrects the family.
        n_comparisons: Its size.
        n_found: Its discoveries.

    >>> level_share("holm", 10, 4), level_share("bh", 10, 4)
    (0.1, 0.4)
    """
    if procedure == "none":
        return 1.0
    found = 1 if procedure == "holm" else max(1, n_found) / _factor(procedure, n_comparisons)
    return found / max(1, n_comparisons)


def _factor(correction: Correction, n_comparisons: int) -> float:
    """By how much the correction raises p-values that are all equally small."""
    if correction == "holm":
        return max(1, n_comparisons)
    return sum(1 / rank for rank in range(1, n_comparisons + 1)) or 1.0 if correction == "by" else 1.0


def adjust(p_values: Sequence[float | None], correction: Procedure = "holm") -> tuple[float | None, ...]:
    """Adjust a family's p-values.

    * ``holm``: family-wise error under any dependence, ``max_{j≤i} min(1, (m−j+1)·p_(j))`` (Holm 1979). Not
      Holm–Šidák, which gives smaller numbers and needs independence.
    * ``bh``: false discovery rate, ``min_{j≥i} m·p_(j)/j`` (Benjamini & Hochberg 1995), for exploratory metrics.
    * ``by``: the same under any dependence, times ``Σ 1/j`` (Benjamini & Yekutieli 2001).
    * ``none``: as they are.

    Args:
        p_values: In [0, 1]; None for a comparison that has none, which leaves the family and stays None.
        correction: One of the above.

    Raises:
        OptionError: A p-value is outside [0, 1] or not a number.

    >>> adjust([0.01, None, 0.03, 0.02])
    (0.03, None, 0.04, 0.04)
    """
    known = [p for p in p_values if p is not None]
    if not all(0 <= p <= 1 for p in known):
        raise OptionError(f"P-values must lie in [0, 1]; got {[p for p in known if not 0 <= p <= 1][:3]}.")
    order = np.argsort(known, kind="stable")
    adjusted = np.empty(len(known))
    adjusted[order] = _STEPS[correction](np.asarray(known, dtype=np.float64)[order])
    values = iter(adjusted.tolist())
    return tuple(None if p is None else next(values) for p in p_values)


def permutations_needed(n_tests: int, alpha: float = 0.05) -> int:
    """Random permutations that resolve a corrected p-value: ``B + 1 ≥ 20·m/α``.

    >>> permutations_needed(45)
    17999
    """
    check_alpha(alpha)
    return max(1, math.ceil(20 * n_tests / alpha) - 1)


def _holm(p: Floats) -> Floats:
    return np.minimum(1, np.maximum.accumulate(np.arange(len(p), 0, -1, dtype=np.float64) * p))


def _benjamini_hochberg(p: Floats) -> Floats:
    return _step_up(len(p) / np.arange(1, len(p) + 1), p)


def _benjamini_yekutieli(p: Floats) -> Floats:
    ranks = np.arange(1, len(p) + 1)
    return _step_up(len(p) * (1 / ranks).sum() / ranks, p)


def _step_up(factors: Floats, p: Floats) -> Floats:
    return np.minimum(1, np.minimum.accumulate((factors * p)[::-1])[::-1])


_STEPS: dict[str, Callable[[Floats], Floats]] = {
    "holm": _holm,
    "bh": _benjamini_hochberg,
    "by": _benjamini_yekutieli,
    "none": lambda p: p,
}
