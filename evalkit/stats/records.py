"""What a comparison of methods finds: every pair on every metric, and every method's ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VerdictName = Literal["a_better", "b_better", "equivalent", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Method b against method a on one metric. What is None has its reason in ``reason``."""

    metric: str
    a: str
    b: str
    n_items: int
    n_groups: int
    n_seeds: int
    mean_a: float | None
    """Over the pair's items, each item the mean of its seeds."""
    mean_b: float | None
    difference: float | None
    """``b − a``, in the metric's own unit and sign."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    """Within the family; None where the pair has no p-value."""
    n_comparisons: int = 1
    """Size of the family: its pairs that have a p-value."""
    how: str | None
    """How the p-value was obtained: ``enumeration``, ``dynamic_programming``, ``monte_carlo``; ``group_t`` and
    ``group_signed_rank`` for the other tests."""
    effect_size_dz: float | None
    """``d̄/s_d``; None where the differences do not vary."""
    win: int
    """Items on which b is better."""
    tie: int
    loss: int
    minimum_detectable_effect: float | None
    """Smallest true difference that would be found with the power asked for, at the corrected error rate."""
    equivalence_p_value: float | None
    """Of two one-sided tests, corrected within the family; None where no margin was declared."""
    equivalent: bool | None = None
    """Whether the difference is shown to lie inside the margin; None where none was declared."""
    new_seeds: tuple[float, float] | None = None
    """The interval of the difference on exactly these items, uncertain through the seeds only; None for one seed."""
    n_not_run: int = 0
    """Items that one of the two, or both, were not run on."""
    bounds: tuple[float, float] | None = None
    """Least and greatest mean difference, whatever these had scored; None where the metric has no bounds."""
    items_needed: int | None
    """Items that would decide, where the verdict is inconclusive."""
    items_needed_for: float | None = None
    """The difference that so many would find: the margin, or the observed one."""
    verdict: VerdictName
    explanation: str = ""
    """Why the verdict is what it is."""
    practically_equivalent: bool = False
    """Different beyond chance and inside the margin."""
    sensitivity: Mapping[str, float | None] = field(default_factory=dict)
    """p-values of other tests, never the primary one: ``wilcoxon``, ``sign``, ``mcnemar``, ``paired_t``."""
    reason: str | None = None
    """Why a figure is missing, or why these groups could not have shown anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedMethod:
    """A method's mean on one metric, and the ranks that it may have."""

    metric: str
    method: str
    mean: float | None
    """Over the items that all ranked methods have; of a method that is not ranked, over its own."""
    ci_low: float | None
    ci_high: float | None
    rank_low: int | None
    """1 + the number of methods that are certainly better."""
    rank_high: int | None
    """The number of ranked methods less those that are certainly worse."""
    tied_with_best: bool
    reason: str | None = None
    """Why it is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """One metric's methods, best first, those without a rank last."""

    methods: tuple[RankedMethod, ...]
    cliques: tuple[tuple[str, ...], ...] = ()
    """Maximal sets of two methods or more of which no two are distinguishable; they need not be neighbours."""
    n_items: int = 0
    """Items that all ranked methods have a value for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one method is better, both are equivalent, or the data do not decide, and why."""

    verdict: VerdictName
    """``equivalent`` also where the methods differ, but by less than the margin that was declared to matter."""
    significant: bool
    """Whether the difference is established, p ≤ α after correction."""
    equivalent: bool | None
    """Whether it is shown to lie inside the margin; None where no margin was declared."""
    explanation: str
    items_needed: int | None = None
    """Items that would decide an inconclusive comparison four times in five; None where that cannot be told."""
    items_needed_for: float | None = None
    """The difference, in the units of the scores, that so many items would find."""
