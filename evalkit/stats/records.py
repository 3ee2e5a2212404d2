"""What a comparison of methods finds: every pair on every metric, decided, and the ranks that follow."""

from dataclasses import dataclass
from typing import Literal

from evalkit.stats.intervals import Estimate
from evalkit.stats.seeds import SeedInterval

VerdictName = Literal["a_better", "b_better", "equivalent", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A design on which no difference, however large, can be significant: groups can be flipped in too few ways."""

    smallest_p_value: float
    """After correction."""
    n_differing: int
    """Groups that differ at all."""
    groups_needed: int
    """So many differing groups would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteCases:
    """The same comparison on the items that both methods edited."""

    n_items: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    """Not corrected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsAlone:
    """A difference by people's labels alone, and what the metric beside them adds."""

    n_items: int
    """Labelled items."""
    n_groups: int
    difference: float
    ci_low: float | None
    """None, as the other end, where all groups differ by the same."""
    ci_high: float | None
    p_value: float | None
    """Of a cluster-robust t test, or, where all groups differ by the same, of sign flips; not corrected."""
    metric: str
    """The one beside the labels."""
    coefficient: float
    """How much of it is taken, in units of the labels per unit of the metric; 0 for nothing."""
    weight: float
    """PPI++'s λ: the coefficient as a share of the metric's slope on the labelled items, in [0, 1]."""
    correlation: float | None
    """Of labels and metric in what distinguishes the methods, over the labelled items, in [−1, 1]."""
    n_worth: float | None
    """Labelled items that would be as certain without the metric; None where nothing is uncertain."""
    reason: str | None = None
    """Why nothing of the metric is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Method b against method a on one metric. What is None has its reason in ``reason``."""

    metric: str
    a: str
    b: str
    n_items: int
    """Items that the pair was compared on."""
    n_total: int
    """Items of the whole comparison."""
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
    """How the p-value was obtained: ``enumeration``, ``dynamic_programming``, ``monte_carlo``, ``saddlepoint``,
    ``normal``; ``group_t``, ``crossed_t`` and ``group_signed_rank`` for other tests; ``prediction_powered_t`` where
    people labelled some of the items, unless all groups of these differ by the same: then signs are flipped."""
    effect_size_dz: float | None
    """``d̄/s_d``; None where the differences do not vary."""
    rank_biserial: Estimate | None = None
    """``b`` over ``a`` in signed ranks, in [−1, 1], positive where b is better; where ranks were tested."""
    win: int
    """Items on which b is better."""
    tie: int
    loss: int
    minimum_detectable_effect: float | None
    """True difference that would be found with the power asked for, at the corrected error rate; None where no
    difference can be found on so many groups."""
    margin: float | None = None
    """Differences smaller than this do not matter; None where nobody said so."""
    equivalence_p_value: float | None
    """Of two one-sided tests, corrected within the family; None where no margin was declared."""
    equivalent: bool | None = None
    """Whether the difference is shown to lie inside the margin; None where none was declared."""
    skewness_ratio: float | None = None
    """|skewness of group sums| / √G, where equivalence was tested: above .3 the test errs more often than it says."""
    new_seeds: SeedInterval | None = None
    """The difference on exactly these items, uncertain through the seeds only; None for one seed."""
    seed_effect: float | None = None
    """Standard deviation of an effect that all items of a seed share, where there is one: it is part of the interval
    and of the p-value."""
    n_not_run: int = 0
    """Items that one of the two, or both, were not run on."""
    n_failed: int = 0
    """Items whose edit by one of the two, or both, failed; they were given a score."""
    complete_cases: CompleteCases | None = None
    """Without the failed items; None where there are none."""
    labels: LabelsAlone | None = None
    """Where people labelled some of the items: what their labels say alone. Wins, ties and losses count these items."""
    bounds: tuple[float, float] | None = None
    """Least and greatest mean difference, whatever the items that were not run had scored; None where the metric has
    no bounds."""
    items_needed: int | None = None
    """Items, in whole groups, on which a difference as large as the margin would be found; where the verdict is
    inconclusive."""
    floor: Floor | None = None
    """Why no difference could have been significant; None where one could."""
    verdict: VerdictName
    undirected: bool = False
    """A difference is shown, and nobody knows which way is better: the verdict is inconclusive."""
    practically_equivalent: bool = False
    """Different beyond chance and inside the margin."""
    reason: str | None = None
    """Why a figure is missing."""

    @property
    def winner(self) -> str | None:
        """The method that was decided to be better; None where none was."""
        return {"a_better": self.a, "b_better": self.b}.get(self.verdict)

    @property
    def is_open(self) -> bool:
        """Whether one is better on the common items while those that were not run could turn it round."""
        within = self.bounds is None or self.bounds[0] <= 0 <= self.bounds[1]
        return self.winner is not None and self.n_not_run > 0 and within


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
    """1 + the number of methods decided better."""
    rank_high: int | None
    """The number of ranked methods less those decided worse."""
    tied_with_best: bool
    """Whether no method is decided better."""
    reason: str | None = None
    """Why it is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """One metric's methods, best first, those without a rank last."""

    methods: tuple[RankedMethod, ...]
    cliques: tuple[tuple[str, ...], ...] = ()
    """Maximal sets of two methods or more without a decided pair, as far as pairs were tested; they need not be
    neighbours."""
    n_items: int = 0
    """Items that all ranked methods have a value for."""
