"""Any number of methods on the same items: every pair, or each against a baseline, as one family of tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from evalkit.errors import OptionError
from evalkit.stats.clusters import GRID, Labels
from evalkit.stats.equivalence import Margin
from evalkit.stats.multiplicity import Adjusted, FamilyCorrection, adjust, flips_needed
from evalkit.stats.paired import (
    PairedComparison,
    ScoreArray,
    corrected,
    item_means,
    seed_table,
    seeds_only,
    summarize_pair,
)
from evalkit.stats.permutation import SignFlip, default_flips, sign_flip_tests
from evalkit.stats.power import POWER

FAMILY_EXACT_STEPS = 20_000
"""In families only coarse scores (ratings, successes) are counted exactly: pair by pair it takes its time."""
MAX_FLIPS = 999_999
"""More random arrangements than this are not drawn, however many pairs there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPair:
    """Method b against method a."""

    a: str
    b: str
    comparison: PairedComparison
    factor: float | None = None
    """What the raw p-value was multiplied by at its step; None for max-t, which does not multiply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodComparisons:
    """One family of comparisons on one metric."""

    pairs: tuple[MethodPair, ...]
    correction: FamilyCorrection
    n_tests: int
    """Pairs that have a p-value."""
    global_p_value: float | None
    """Against "all are equal": the smallest adjusted p-value. It is reported and gates nothing."""


def compare_methods(
    values: Mapping[str, ScoreArray],
    groups: Labels,
    *,
    higher_is_better: bool,
    baseline: str | None = None,
    correction: FamilyCorrection = "holm",
    margin: Margin | None = None,
    alpha: float = 0.05,
    power: float = POWER,
    seed: int = 0,
    n_flips: int | None = None,
    grid: float = GRID,
    exact_steps: int = FAMILY_EXACT_STEPS,
    common_items: bool = True,
) -> MethodComparisons:
    """`compare_paired` for all pairs, with the same signs for all and p-values corrected within the family.

    Equivalence p-values are corrected by Holm. The minimum detectable effect is that of the corrected test: at α over
    the number of pairs for corrections that hold the family-wise error.

    Args:
        values: Method to ``(n,)`` or ``(n, seeds)`` scores; None or NaN marks a missing one.
        groups: ``(n,)``; items with the same label are dependent.
        higher_is_better: Direction of the metric.
        baseline: Compare each other method with this one only, which is worth fewer corrections.
        correction: ``holm``, ``max_t`` (step-down maximum of |t| over shared signs), ``benjamini_hochberg``,
            ``benjamini_yekutieli`` or ``none``.
        margin: Difference below which methods count as equivalent, declared before scoring.
        alpha: Error rate of the family; the intervals have level 1 − α each.
        power: For the minimum detectable effect and the items needed.
        seed: Determines random arrangements.
        n_flips: Their number; by default as in `compare_paired`, or more where the correction needs a finer p-value.
        grid: Unit to which scores are rounded.
        exact_steps: Largest ``Σ|D_g|`` in steps to count exactly instead.
        common_items: Use only the items that all methods have, so that the pairs fit together (a table in which each
            pair has its own items can say a < b < c < a); otherwise each pair has the items that both have.

    Raises:
        OptionError: Fewer than two methods, an unknown baseline, or as for `compare_paired`.

    >>> scores = {"a": [0.1, 0.2, 0.3, 0.1, 0.2, 0.1], "b": [0.3, 0.3, 0.5, 0.2, 0.6, 0.2]}
    >>> [pair.comparison.adjusted_p_value for pair in compare_methods(scores, range(6), higher_is_better=True).pairs]
    [0.03125]
    """
    names = list(values)
    pairs = _pairs(names, baseline)
    tables = [seed_table(values[name], len(groups)) for name in names]
    scores = np.stack([item_means(table, grid) for table in tables], axis=1)
    if common_items:
        scores[np.isnan(scores).any(axis=1)] = np.nan
    tests = sign_flip_tests(
        scores,
        groups,
        pairs,
        alpha=alpha,
        n_flips=_n_flips(groups, len(pairs), alpha) if n_flips is None else n_flips,
        seed=seed,
        grid=grid,
        exact_steps=exact_steps,
        max_t_families=[0] * len(pairs) if correction == "max_t" else None,
    )
    adjusted = _adjust(tests, correction)
    mde_alpha = alpha / max(1, adjusted.n_tests) if correction in ("holm", "max_t") else alpha
    comparisons = []
    for (a, b), test in zip(pairs, tests, strict=True):
        comparison = summarize_pair(
            scores[:, (a, b)],
            groups,
            test,
            higher_is_better=higher_is_better,
            margin=margin,
            grid=grid,
            mde_alpha=mde_alpha,
            power=power,
        )
        seeds = seeds_only([tables[a], tables[b]], scores[:, (a, b)], 1 - alpha)
        comparisons.append(MethodPair(a=names[a], b=names[b], comparison=replace(comparison, fixed_items=seeds)))
    return _as_family(comparisons, adjusted)


def _pairs(names: Sequence[str], baseline: str | None) -> list[tuple[int, int]]:
    """Positions of every two methods, or of the baseline and each other one."""
    if len(names) < 2 or (baseline is not None and baseline not in names):
        raise OptionError(f"A comparison needs two methods or more, the baseline among them; got {names}, {baseline}.")
    if baseline is None:
        return list(combinations(range(len(names)), 2))
    first = names.index(baseline)
    return [(first, other) for other in range(len(names)) if other != first]


def _as_family(pairs: Sequence[MethodPair], adjusted: Adjusted) -> MethodComparisons:
    """The pairs with their adjusted p-values; those of equivalence are corrected by Holm."""
    equivalence = [pair.comparison.equivalence for pair in pairs]
    one_sided = adjust([None if found is None else found.p_value for found in equivalence]).p_values
    members = [
        replace(
            pair,
            factor=factor,
            comparison=corrected(
                pair.comparison,
                adjusted_p_value=p_value,
                correction=adjusted.correction,
                n_comparisons=adjusted.n_tests,
                adjusted_equivalence_p_value=equivalence_p_value,
            ),
        )
        for pair, p_value, factor, equivalence_p_value in zip(
            pairs, adjusted.p_values, adjusted.factors, one_sided, strict=True
        )
    ]
    return MethodComparisons(
        pairs=tuple(members),
        correction=adjusted.correction,
        n_tests=adjusted.n_tests,
        global_p_value=min((p for p in adjusted.p_values if p is not None), default=None),
    )


def _n_flips(groups: Labels, n_tests: int, alpha: float) -> int:
    """Enough arrangements to resolve p-values after correction."""
    return max(default_flips(len(set(groups))), min(flips_needed(n_tests, alpha), MAX_FLIPS))


def _adjust(tests: Sequence[SignFlip], correction: FamilyCorrection) -> Adjusted:
    if correction != "max_t":
        return adjust([test.p_value for test in tests], correction)
    p_values = tuple(test.max_t_p_value for test in tests)
    n_tests = sum(p is not None for p in p_values)
    return Adjusted(p_values=p_values, factors=(None,) * len(p_values), n_tests=n_tests, correction="max_t")
