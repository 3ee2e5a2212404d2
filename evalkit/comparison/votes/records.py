"""What a comparison by votes found, as records."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

from evalkit.stats.copied_answers import CopiedAnswers
from evalkit.stats.intervals import Estimate
from evalkit.stats.raters import RaterAgreement
from evalkit.stats.records import RankedMethod
from evalkit.stats.votes import VotePair, VoteResult
from evalkit.tables.exportable import Exportable, Shown, scalars_of

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCriterion:
    """One question, and what the votes on it say."""

    name: str
    primary: bool
    """Whether its p-values form the confirmatory family; others are exploratory."""
    margin: float | None
    """Log-odds that do not matter; None where nobody said so."""
    n_votes: int
    n_ties: int
    """Those that are "both bad" among them."""
    n_both_bad: int
    n_items: int
    n_groups: int
    n_raters: int | None
    """None where nobody knows who voted."""
    won: Mapping[str, tuple[float, int]]
    """Method to its share of its votes, ties counting half, and how many these are."""
    result: VoteResult
    agreement: Estimate | None = None
    """Krippendorff's α of its raters; None where nobody knows them, or of edit types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VotingRater:
    """One rater."""

    name: str
    seconds: float | None
    """Median time for a vote."""
    n_checks: int
    """Attention checks."""
    n_failed_checks: int
    n_open_checks: int
    """Answered "both bad": neither passed nor failed, see `evalkit.votes.records.Vote.check`."""
    agreement: RaterAgreement


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VoteComparison(Exportable):
    """Methods compared by votes; ``print(comparison)`` shows what the command does."""

    sources: tuple[str, ...]
    criteria: tuple[ComparedCriterion, ...]
    raters: tuple[VotingRater, ...]
    """By their codes."""
    copied: CopiedAnswers | None
    """Raters who answer as one; None where no two are known."""
    settings: Mapping[str, object]
    """alpha, seed, correction, …: what it takes to get the same numbers again."""
    notes: tuple[str, ...] = ()
    edit_types: Mapping[str, tuple[ComparedCriterion, ...]] | None = None
    """Edit type to what its votes say, all exploratory; None where that was not asked for."""

    @property
    def n_raters(self) -> int | None:
        """Who voted on any question; None where nobody knows."""
        found = self.settings["n_raters"]
        return None if found is None else int(str(found))

    @property
    def baseline(self) -> str | None:
        """The method that all others are compared with; None for all pairs."""
        found = self.settings["baseline"]
        return None if found is None else str(found)

    @property
    def pairs(self) -> tuple[VotePair, ...]:
        """Every pair on every question."""
        return tuple(pair for criterion in self.criteria for pair in criterion.result.pairs)

    @property
    def ranking(self) -> tuple[RankedMethod, ...]:
        """The methods on every question, best first."""
        return tuple(row for criterion in self.criteria for row in criterion.result.ranking.methods)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row per pair and question, and per edit type where asked for: the columns of ``--export csv``."""
        import pandas

        from evalkit.comparison.votes.export import pair_rows

        columns, rows = pair_rows(self)
        return pandas.DataFrame([[nan if cell is None else cell for cell in row] for row in rows], columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """The object that ``evalkit compare VOTES --json`` prints."""
        from evalkit.comparison.votes.export import votes_as_json

        return votes_as_json(self)

    def to_csv(self) -> str:
        """A line per pair and question."""
        from evalkit.comparison.votes.export import pair_rows
        from evalkit.tables.table import csv_text

        return csv_text(*pair_rows(self))

    def scalars(self) -> dict[str, float]:
        """Each method's ability with its interval and ranks on each question, for a logger."""
        numbers = ("mean", "ci_low", "ci_high", "rank_low", "rank_high")
        return scalars_of({(r.metric, r.method, name): getattr(r, name) for r in self.ranking for name in numbers})

    def _shown(self) -> Shown:
        from evalkit.comparison.votes.shown import shown_in_full

        return shown_in_full(self)
