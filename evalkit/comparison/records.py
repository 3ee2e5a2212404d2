"""What a comparison of methods found, as records: everything that tables, figures, sentences and pages show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import nan
from typing import TYPE_CHECKING, Any, Literal

from evalkit.judges.judgement import Judgement
from evalkit.metrics.base import Family
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import FolderRecord
from evalkit.stats.components import AnswerComponents
from evalkit.stats.intervals import Estimate
from evalkit.stats.multiplicity import Correction
from evalkit.stats.records import PairComparison, RankedMethod, VerdictName
from evalkit.tables.exportable import Exportable, Shown, scalars_of

if TYPE_CHECKING:
    import pandas

__all__ = ["ComparedMethod", "ComparedMetric", "Comparison", "EditTypes", "MethodVerdict", "PairResult", "RankedMethod"]

MethodVerdict = Literal["better", "worse", "equivalent", "inconclusive"]
_OTHER_SIDE: Mapping[VerdictName, VerdictName] = {"a_better": "b_better", "b_better": "a_better"}
CORRECTIONS: Mapping[Correction, str] = {
    "holm": "holm",
    "maxt": "max_t",
    "bh": "benjamini_hochberg",
    "by": "benjamini_yekutieli",
    "none": "none",
}
"""Corrections as the settings of a comparison name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMethod:
    """One method that took part."""

    name: str
    source: str
    """The run directory, or the table, that its scores come from."""
    table: ScoreFrame
    folder: FolderRecord | None = None
    """The edit folder that was scored, where a run directory names one: pages show its pictures."""
    n_items: int
    """Items of the comparison: all that any of its methods has."""
    n_missing: int
    """Those without an edited image of this method."""
    judgements: tuple[Judgement, ...] = ()
    """What judges answered about its edits: pages show their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric that the methods were compared on."""

    name: str
    higher_is_better: bool
    direction_known: bool = True
    """Whether it is known which way is better; nobody is called better otherwise."""
    family: Family | Literal["unknown"]
    primary: bool
    """Whether its p-values form the confirmatory family; others are exploratory."""
    signature: str | None
    """None for scores of other tools."""
    margin: float | None
    """Differences smaller than this do not matter; None where nobody said so."""
    is_rate: bool = False
    """Whether it is a mean of zeros and ones."""
    repeated: bool = False
    """Whether the repeats of a judge stand for seeds."""
    components: AnswerComponents | None = None
    """Where the spread of that judge's answers comes from; None where nothing can be said of it."""
    range: tuple[float | None, float | None] = (None, None)
    """Its least and greatest value, None where it has none or nobody knows it."""
    neutral: float | None = None
    """What an edit without merit scores; None where nobody knows it."""
    beside: "ComparedMetric | None" = None
    """Where it is people's labels of some items: the metric that stands beside them."""

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Better, worse, best and worst on it; or, where that is not known, what the numbers are."""
        return ("better", "worse", "best", "worst") if self.direction_known else ("more", "less", "largest", "smallest")

    @property
    def unbounded(self) -> str | None:
        """Why nothing bounds a difference over items that were not run; None where its range does."""
        low, high = self.range
        if low is None and high is None:
            return f"the range of {self.name} is not known"
        return None if low is not None and high is not None else f"{self.name} can be any number from {low:g} on"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult(PairComparison):
    """Two methods on one metric, with what is said of them."""

    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of items that the pair leaves out."""
    sentence: str
    """The line to paste into a paper. It speaks of b − a as the methods were given, from whichever side it is seen."""

    @classmethod
    def of(cls, pair: PairComparison, *, excluded: Mapping[str, int], sentence: str) -> "PairResult":
        """The statistics of a pair with what is said of them."""
        found = {each.name: _unsigned(getattr(pair, each.name)) for each in fields(pair)}
        return cls(**found, excluded=excluded, sentence=sentence)

    def seen_from(self, method: str) -> "PairResult":
        """The same pair with ``method``, one of its two, as b: a positive difference means that it scores more.

        Means, difference, interval, effect size, wins, bounds and verdict are turned; p-values are the same from both
        sides. Figures and pages that show one method against others need no bookkeeping of their own.
        """
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
            rank_biserial=self.rank_biserial and _turned(self.rank_biserial),
            new_seeds=self.new_seeds
            and replace(self.new_seeds, low=_negated(self.new_seeds.high), high=_negated(self.new_seeds.low)),
            complete_cases=self.complete_cases
            and replace(
                self.complete_cases,
                difference=_negated(self.complete_cases.difference),
                ci_low=_negated(self.complete_cases.ci_high),
                ci_high=_negated(self.complete_cases.ci_low),
            ),
            labels=self.labels
            and replace(
                self.labels,
                difference=0.0 - self.labels.difference,
                ci_low=_negated(self.labels.ci_high),
                ci_high=_negated(self.labels.ci_low),
            ),
            bounds=self.bounds and (0.0 - self.bounds[1], 0.0 - self.bounds[0]),
            verdict=_OTHER_SIDE.get(self.verdict, self.verdict),
        )

    def verdict_on(self, method: str) -> MethodVerdict:
        """The verdict, seen from one of the two."""
        if self.verdict == "equivalent" or self.verdict == "inconclusive":
            return self.verdict
        return "better" if (self.verdict == "b_better") == (method == self.b) else "worse"

    @property
    def win_rate(self) -> float | None:
        """Share of items on which b is better, ties counted half, in [0, 1]; None without items."""
        n = self.win + self.tie + self.loss
        return (self.win + self.tie / 2) / n if n else None


def _turned(estimate: Estimate) -> Estimate:
    return replace(estimate, value=_negated(estimate.value), low=_negated(estimate.high), high=_negated(estimate.low))


def _unsigned(value: object) -> Any:  # noqa: ANN401 - a field of whatever type
    """A zero without a sign; anything else as it is."""
    return value + 0.0 if isinstance(value, float) else value


def _negated(value: float | None) -> float | None:
    return None if value is None else 0.0 - value  # 0 has no sign


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Exportable):
    """Several methods, compared pair by pair on the same items.

    ``print(comparison)`` shows the tables and sentences of the command, and a notebook shows them by itself.
    """

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
    """alpha, seed, test, correction, groups, permutations, …: what it takes to get the same numbers again."""
    notes: tuple[str, ...] = ()
    """What a reader must know: first the warnings, then how tables were read, items left out and metrics that could not
    be compared."""
    warnings: tuple[str, ...] = ()
    """Those of the notes that change what may be concluded: they are always shown."""
    edit_types: "EditTypes | None" = None
    """What was found on the items of each edit type, where that was asked for."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row per metric and pair, and per edit type where these were asked for; the columns of ``--export csv``.

        Means and ranks of the methods are in `ranking`, of which ``pandas.DataFrame(comparison.ranking)`` is a frame.
        """
        import pandas

        from evalkit.comparison.tables.export import pair_rows

        columns, rows = pair_rows(self)
        return pandas.DataFrame([[nan if cell is None else cell for cell in row] for row in rows], columns=columns)

    @property
    def other_notes(self) -> tuple[str, ...]:
        """The notes that are no warnings."""
        return self.notes[len(self.warnings) :]

    def to_markdown(self) -> str:
        """Sentences, means, comparisons and notes in GitHub's Markdown: what ``--export md`` prints."""
        from evalkit.comparison.tables.export import markdown

        return markdown(self)

    def to_latex(self) -> str:
        """``table`` environments for ``booktabs`` and ``graphicx``: what ``--export latex`` prints."""
        from evalkit.comparison.tables.latex import latex

        return latex(self)

    def scalars(self) -> dict[str, float]:
        """On each metric each method's ``mean``, ``ci_low``, ``ci_high``, ``rank_low`` and ``rank_high``, for a logger.

        Names are like ``clip_score/ours/mean``: of letters, digits, blanks and ``_-./``, which W&B, TensorBoard and
        MLflow take.
        """
        numbers = ("mean", "ci_low", "ci_high", "rank_low", "rank_high")
        return scalars_of({(r.metric, r.method, name): getattr(r, name) for r in self.ranking for name in numbers})

    def to_dict(self) -> dict[str, Any]:
        """The object that ``evalkit compare --json`` prints."""
        from evalkit.comparison.tables.export import comparison_as_json

        return comparison_as_json(self)

    def _shown(self) -> Shown:
        from evalkit.comparison.tables.shown import shown_comparison

        return shown_comparison(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTypes:
    """What was found on the items of each edit type."""

    of: Mapping[str, Comparison] = field(default_factory=dict)
    """Edit type to a comparison on its items, in which every metric is exploratory; the types in the order in which
    they first appear. Empty where items have no type, or all have the same one."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Edit type to the reason why nothing can be compared on it."""
    n_untyped: int = 0
    """Items without an edit type."""
