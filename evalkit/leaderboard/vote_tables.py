"""What votes say on a board: a table for each collection, of people or of one judge.

It ranks only where the protocol names what people were asked, or the judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.votes.compare import compare_votes
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.leaderboard.protocol import ALPHA
from evalkit.leaderboard.store import LoadedEntry, LoadedVotes
from evalkit.stats.ranking import rank_sets
from evalkit.stats.records import RankedMethod
from evalkit.votes.records import VOTES_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """An entry by the votes on it."""

    entry: LoadedEntry
    ability: RankedMethod
    """Log-odds; its ranks are those among all that were voted on, controls too."""
    ranks: tuple[int, int] | None
    """Among the methods; None where votes do not rank, and of controls."""
    won: float
    """Share of its votes, ties half."""
    n_votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteResults:
    """A collection of votes, compared as ``evalkit compare`` does."""

    votes: LoadedVotes
    comparison: VoteComparison
    rows: tuple[VoteRow, ...]
    """The ranked by their ability, else the methods by name; controls last."""
    is_ranking: bool

    @property
    def criterion(self) -> ComparedCriterion:
        """What was found on its question."""
        return self.comparison.criteria[0]


def vote_tables(
    protocol: Protocol, collections: Sequence[LoadedVotes], entries: Sequence[LoadedEntry]
) -> tuple[VoteResults, ...]:
    """A table for every collection, those that rank first.

    Args:
        protocol: Of the board.
        collections: Its votes.
        entries: All of its entries.
    """
    by_name = {entry.method: entry for entry in entries}
    found = [_results(protocol, votes, by_name) for votes in collections]
    return tuple(sorted(found, key=lambda of: (not of.is_ranking, of.votes.record.name)))


def _results(protocol: Protocol, votes: LoadedVotes, entries: dict[str, LoadedEntry]) -> VoteResults:
    comparison = compare_votes(votes.path / VOTES_FILE, alpha=ALPHA)
    criterion, judge = comparison.criteria[0], votes.identity
    is_ranking = protocol.votes == votes.record.question if judge is None else protocol.voting_judge == judge
    abilities = {row.method: row for row in criterion.result.ranking.methods}
    methods = [name for name, row in abilities.items() if row.mean is not None and entries[name].card.kind == "method"]
    among = [pair for pair in criterion.result.pairs if {pair.a, pair.b} <= set(methods)]
    ranks = rank_sets(methods, among) if is_ranking else {}
    rows = [
        VoteRow(
            entry=entries[name],
            ability=row,
            ranks=ranks.get(name),
            won=criterion.won[name][0],
            n_votes=criterion.won[name][1],
        )
        for name, row in abilities.items()
    ]
    rows.sort(key=lambda row: (row.entry.card.kind == "control", row.ranks is None, *_order(row)))
    return VoteResults(votes=votes, comparison=comparison, rows=tuple(rows), is_ranking=is_ranking)


def _order(row: VoteRow) -> tuple[float, str]:
    return (-(row.ability.mean or 0.0) if row.ranks else 0.0), row.entry.method
