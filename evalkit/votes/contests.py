"""Votes gathered by what was chosen between: two edits of an item, and how many preferred which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from evalkit.votes.records import Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedContest:
    """Two methods' edits of one item, and the votes between them."""

    item_id: str
    seed: int | None
    methods: tuple[str, str]
    edit_type: str | None
    won: tuple[int, int]
    """How many preferred each of the two."""
    tied: int
    """That neither is better, "both bad" among them."""
    both_bad: int

    @property
    def n_votes(self) -> int:
        """All of them."""
        return sum(self.won) + self.tied

    @property
    def preferred(self) -> str | None:
        """The method whose edit all votes prefer."""
        return next((name for name, won in zip(self.methods, self.won, strict=True) if won == self.n_votes), None)


def contests_of(votes: Sequence[Vote]) -> list[VotedContest]:
    """The contests of votes on one question, in the order in which they first come."""
    found: dict[tuple[object, ...], list[Vote]] = {}
    for vote in votes:
        found.setdefault((vote.item_id, vote.seed, *sorted((vote.a, vote.b))), []).append(vote)
    return [_contest(of) for of in found.values()]


def _contest(votes: Sequence[Vote]) -> VotedContest:
    first, winners = votes[0], [{"a": vote.a, "b": vote.b}.get(vote.winner) for vote in votes]
    methods = (min(first.a, first.b), max(first.a, first.b))
    return VotedContest(
        item_id=first.item_id,
        seed=first.seed,
        methods=methods,
        edit_type=first.edit_type,
        won=(winners.count(methods[0]), winners.count(methods[1])),
        tied=winners.count(None),
        both_bad=sum(vote.winner == "both_bad" for vote in votes),
    )


def most_disputed(contests: Sequence[VotedContest]) -> list[VotedContest]:
    """Those on which raters prefer different edits: first where most are of the other opinion than most others.

    Among equals those come first on which it is the larger share.
    """
    divided = [each for each in contests if min(each.won)]
    return sorted(divided, key=lambda each: (-min(each.won), -min(each.won) / each.n_votes))


def most_decisive(contests: Sequence[VotedContest], better: Mapping[frozenset[str], str]) -> list[VotedContest]:
    """Those on which two votes or more all prefer the method that is decided better, most votes first.

    Args:
        contests: All of them.
        better: Two methods to the one that is decided better, of the pairs that are decided; these take turns.
    """
    of_pair: dict[frozenset[str], list[VotedContest]] = {pair: [] for pair in better}
    for each in sorted(contests, key=lambda each: -each.n_votes):
        pair = frozenset(each.methods)
        if each.n_votes > 1 and pair in better and each.preferred == better[pair]:
            of_pair[pair].append(each)
    return [each for each in chain.from_iterable(zip_longest(*of_pair.values())) if each]
