"""What a comparison of methods found, as records: everything that tables, figures and pages show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from evalkit.scores.frame import ScoreTable
from evalkit.scores.run import FolderRecord

VerdictWord = Literal["a_better", "b_better", "equivalent", "inconclusive"]
MethodVerdict = Literal["better", "worse", "equivalent", "inconclusive"]
_OTHER_SIDE: Mapping[VerdictWord, VerdictWord] = {"a_better": "b_better", "b_better": "a_better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMethod:
    """One method that took part."""

    name: str
    source: str
    """The run directory, or the table, that its scores come from."""
    table: ScoreTable
    folder: FolderRecord | None = None
    """The edit folder that was scored, where a run directory names one: pages show its pictures."""
    n_items: int
    """Items of the comparison: all that any of its methods has."""
    n_missing: int
    """Those without an edited image of this method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric that the methods were compared on."""

    name: str
    higher_is_better: bool
    family: Literal["alignment", "preservation", "ground_truth", "unknown"]
    primary: bool
    """Whether its p-values form the confirmatory family; others are exploratory."""
    signature: str | None
    """None for scores of other tools."""
    margin: float | None
    """Differences smaller than this do not matter; None where nobody said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """Two methods on one metric. A value that is None has its reason in ``reason``."""

    metric: str
    a: str
    b: str
    n_items: int
    n_groups: int
    n_seeds: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    """``b − a``, in the metric's own unit and sign."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    how: str | None
    """How the p-value was obtained: ``enumeration``, ``dynamic_programming``, ``monte_carlo``; ``group_t`` and
    ``group_signed_rank`` for the other tests."""
    effect_size_dz: float | None
    win: int
    """Items on which b is better."""
    tie: int
    loss: int
    minimum_detectable_effect: float | None
    equivalence_p_value: float | None
    items_needed: int | None
    """Items that would decide, where the verdict is inconclusive."""
    items_needed_for: float | None = None
    """The difference that so many would find: the margin, or the observed one."""
    verdict: VerdictWord
    practically_equivalent: bool = False
    """Different beyond chance and inside the margin."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of items that the pair leaves out."""
    sensitivity: Mapping[str, float | None] = field(default_factory=dict)
    """p-values of other tests, never the primary one: ``wilcoxon``, ``sign``, ``mcnemar``, ``paired_t``."""
    reason: str | None = None
    sentence: str
    """The line to paste into a paper."""

    def seen_from(self, method: str) -> "PairResult":
        """The same pair with that method as ``b``: a positive difference means that it scores more."""
        if method == self.b:
            return self
        return replace(
            self,
            a=self.b,
            b=self.a,
            mean_a=self.mean_b,
            mean_b=self.mean_a,
            difference=_negated(self.difference),
            ci_low=_negated(self.ci_high),
            ci_high=_negated(self.ci_low),
            effect_size_dz=_negated(self.effect_size_dz),
            win=self.loss,
            loss=self.win,
            verdict=_OTHER_SIDE.get(self.verdict, self.verdict),
        )

    def verdict_on(self, method: str) -> MethodVerdict:
        """The verdict, seen from one of the two."""
        if self.verdict == "equivalent" or self.verdict == "inconclusive":
            return self.verdict
        return "better" if (self.verdict == "b_better") == (method == self.b) else "worse"

    @property
    def win_rate(self) -> float | None:
        """Share of items on which b is better, ties counted half, in [0, 1]."""
        n = self.win + self.tie + self.loss
        return (self.win + self.tie / 2) / n if n else None


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedMethod:
    """A method's place on one metric."""

    metric: str
    method: str
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    rank_low: int | None
    rank_high: int | None
    tied_with_best: bool
    reason: str | None = None
    """Why it is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several methods, compared pair by pair on the same items."""

    methods: tuple[ComparedMethod, ...]
    metrics: tuple[ComparedMetric, ...]
    pairs: tuple[PairResult, ...]
    ranking: tuple[RankedMethod, ...]
    cliques: Mapping[str, tuple[tuple[str, ...], ...]]
    """Metric to the maximal sets of methods that are not told apart; a set need not be contiguous in rank."""
    benchmark: str | None
    baseline: str | None
    """The method that all others are compared with; None for all pairs."""
    settings: Mapping[str, object]
    """alpha, seed, test, correction, groups, flips, …: what it takes to get the same numbers again."""
    notes: tuple[str, ...] = ()
    """What a reader must know: items left out, metrics that could not be compared, runs that are incomplete."""
