"""Captions and alternative texts of the figures of votes."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.comparison.statements.terms import Inference, how_corrected
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.comparison.votes.statements import basis
from evalkit.formatting import counted, format_ranks, format_signed, one_line
from evalkit.stats.records import RankedMethod

MOST_PAIRS = 15
"""Of six methods; of more, each is shown against the best one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedPair:
    """The votes between two methods, seen from the one with the higher ability."""

    method: str
    other: str
    won: int
    tied: int
    lost: int

    @property
    def votes(self) -> int:
        """All of them."""
        return self.won + self.tied + self.lost


def voted_pairs(criterion: ComparedCriterion) -> list[VotedPair]:
    """The pairs with votes between them, those first whose abilities lie farthest apart."""
    order = [row.method for row in criterion.result.ranking.methods]
    pairs = [pair for pair in criterion.result.pairs if pair.n_votes]
    if len(pairs) > MOST_PAIRS:
        pairs = [pair for pair in pairs if order[0] in (pair.a, pair.b)]
    return [
        VotedPair(method=pair.b, other=pair.a, won=pair.win, tied=pair.tie, lost=pair.loss)
        if order.index(pair.b) < order.index(pair.a)
        else VotedPair(method=pair.a, other=pair.b, won=pair.loss, tied=pair.tie, lost=pair.win)
        for pair in sorted(pairs, key=lambda pair: -abs(pair.difference or 0.0))
    ]


def abilities_caption(comparison: VoteComparison, criterion: ComparedCriterion) -> str:
    """Of abilities and ranks."""
    inference = Inference.of(comparison.settings)
    corrected = how_corrected(inference.correction if criterion.primary else inference.exploratory_correction)
    some = any(row.mean is not None and row.ci_low is None for row in criterion.result.ranking.methods)
    endless = " Without an interval: an end of it is not known." if some else ""
    return (
        f"Ability of each method by the votes on {one_line(criterion.name)}, in log-odds around their mean, with its "
        f"pointwise {inference.level} interval (left), and the ranks that the decisions allow (right): t tests of "
        f"differences, {corrected} ({basis(comparison, criterion)}). Shaded: no method is decided better.{endless}"
    )


def abilities_alt(criterion: ComparedCriterion, rows: Sequence[RankedMethod]) -> str:
    """What can be seen of abilities and ranks."""
    said = [f"{row.method} {format_signed(row.mean)}, rank {format_ranks(row.rank_low, row.rank_high)}" for row in rows]
    return f"Abilities on {one_line(criterion.name)}, best first: {'; '.join(said)}."


def shares_caption(comparison: VoteComparison, criterion: ComparedCriterion, left_out: int) -> str:
    """Of the shares of votes, pair by pair."""
    others = f" {counted(left_out, 'other pair is', 'other pairs are')} in the table alone." if left_out else ""
    return (
        f"Of the votes between two methods on {one_line(criterion.name)}, the share that each won, and of ties (grey, "
        "in the middle), the pairs most alike in ability last. These are votes as they were given; abilities rest on "
        f"all of them ({basis(comparison, criterion)}).{others}"
    )


def shares_alt(criterion: ComparedCriterion, pairs: Sequence[VotedPair]) -> str:
    """What can be seen of them."""
    said = [f"{each.method} {each.won:,}, tied {each.tied:,}, {each.other} {each.lost:,}" for each in pairs]
    return f"Votes on {one_line(criterion.name)}: {'; '.join(said)}."
