"""What a rater is shown: a sample that is balanced over items, pairs of methods, sides and edit types.

Every next ballot is the one of which least has been asked so far (minimisation: Pocock and Simon, *Biometrics* 31,
1975), with lots among equals. So a rater who stops early leaves a balanced sample as well, and all raters together
cover items and pairs evenly. One ballot of four is, where that can be, one that another rater was given too, so that
it is known whether raters agree.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from evalkit.arrays import Floats, Indices
from evalkit.votes.records import AskedPair, Vote, Winner

SHARED_EVERY = 4
"""Of so many ballots of a rater one is shared with another rater."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two methods' edits of one item, between which somebody can choose."""

    item_id: str
    a: str
    b: str
    seed: int | None = None
    """Of both edits, where methods made several."""
    edit_type: str | None = None
    group: str | None = None
    expected: Winner | None = None
    """Of an attention check: the vote of whoever looks."""


class Ballot(BaseModel):
    """A contest as one rater is shown it; with an answer it is a vote."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    a: str
    b: str
    first: Literal["a", "b"]
    """Which of the two is on the left."""
    seed: int | None = None
    edit_type: str | None = None
    group: str | None = None
    criterion: str | None = None
    expected: Winner | None = None

    @property
    def left(self) -> str:
        """The method whose edit is on the left."""
        return self.a if self.first == "a" else self.b

    @property
    def right(self) -> str:
        """The method whose edit is on the right."""
        return self.b if self.first == "a" else self.a

    @property
    def asked(self) -> AskedPair:
        """As the votes on it have it."""
        return self.vote("tie", "anybody").asked

    def vote(self, winner: Winner, rater: str, seconds: float | None = None) -> Vote:
        """The vote that an answer makes of it."""
        return Vote(**self.model_dump(), winner=winner, rater=rater, seconds=seconds)

    def answers(self, vote: Vote) -> bool:
        """Whether a vote is one on this ballot, whoever cast it."""
        own = {name: value.strip() if isinstance(value, str) else value for name, value in self}  # as votes have names
        return all(getattr(vote, name) == value for name, value in own.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How much a rater is asked, and how lots are drawn."""

    votes: int
    """Ballots of each rater, without checks; all contests where there are fewer."""
    checks: int
    """Attention checks of each rater."""
    seed: int = 0
    criterion: str | None = None


def draw_ballots(
    contests: Sequence[Contest], checks: Sequence[Contest], given: Iterable[Sequence[Ballot]], sampling: Sampling
) -> list[Ballot]:
    """The next rater's ballots, in the order in which they are shown.

    Args:
        contests: All between which there is a choice.
        checks: Contests whose answer is known.
        given: The ballots of every rater so far.
        sampling: How many are wanted.

    Returns:
        At most ``sampling.votes`` contests, none twice, and between them the checks.
    """
    earlier = [list(of_rater) for of_rater in given]
    rng = np.random.default_rng([sampling.seed, len(earlier)])
    before = [ballot for of_rater in earlier for ballot in of_rater]
    chosen = list(_least_asked(contests, before, sampling.votes, rng))
    sides = _Sides(before)
    ballots = [sides.ballot(contest, rng, sampling.criterion) for contest in chosen]
    drawn = _drawn_checks(checks, sampling.checks, rng)
    every = len(ballots) / max(len(drawn), 1)
    places = [int(number * every + rng.integers(1, max(2, int(every)))) for number in range(len(drawn))]
    for place, check in sorted(zip(places, drawn, strict=True), key=lambda both: -both[0]):
        ballots.insert(place, sides.ballot(check, rng, sampling.criterion))
    return ballots


def _least_asked(
    contests: Sequence[Contest], before: Sequence[Ballot], n: int, rng: np.random.Generator
) -> Iterator[Contest]:
    """The contests, each the one of which least was asked: first of this rater, then of all."""
    code = {(c.item_id, c.seed, c.a, c.b): number for number, c in enumerate(contests)}
    items = _codes([contest.item_id for contest in contests])
    pairs = _codes([(contest.a, contest.b) for contest in contests])
    types = _codes([contest.edit_type for contest in contests])
    crossed = _codes(list(zip(pairs.tolist(), types.tolist(), strict=True)))
    kinds = (items, pairs, types, crossed, np.arange(len(contests), dtype=np.intp))
    overall, own = ([np.zeros(int(kind.max(initial=-1)) + 1) for kind in kinds] for _ in range(2))
    for ballot in before:
        number = code.get((ballot.item_id, ballot.seed, ballot.a, ballot.b))
        if number is not None and ballot.expected is None:
            _count(overall, kinds, number)
    of_type = np.array([len(np.unique(items[types == each])) for each in range(len(own[2]))], dtype=float)
    left = np.arange(len(contests), dtype=np.intp)
    for turn in range(min(n, len(contests))):
        # Types in proportion to their items, as Webster's method has seats.
        asked = [(own[0], items), ((own[2] + 0.5) / of_type, types)]
        balance = [(overall[0], items), (own[1], pairs), (overall[1], pairs), (overall[3], crossed)]
        if turn % SHARED_EVERY == SHARED_EVERY - 1:
            asked += [(own[1], pairs), (abs(overall[4] - 1), kinds[4]), *balance]
        else:
            asked += [*balance, (overall[4], kinds[4])]
        least = left
        for counts, kind in asked:
            values = counts[kind[least]]
            least = least[values == values.min()]
        number = int(rng.choice(least))
        left = left[left != number]
        _count(overall, kinds, number)
        _count(own, kinds, number)
        yield contests[number]


def _count(counts: Sequence[Floats], kinds: Sequence[Indices], number: int) -> None:
    for count, kind in zip(counts, kinds, strict=True):
        count[kind[number]] += 1


def _codes(values: Sequence[Any]) -> Indices:
    code = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([code[value] for value in values], dtype=np.intp)


class _Sides:
    """Puts of every pair each method on the left as often as on the right: for this rater, and for all together."""

    def __init__(self, before: Sequence[Ballot]) -> None:
        self._overall = Counter((ballot.left, ballot.right) for ballot in before)
        self._own = Counter[tuple[str, str]]()

    def ballot(self, contest: Contest, rng: np.random.Generator, criterion: str | None) -> Ballot:
        """The contest with its sides."""
        a, b = contest.a, contest.b
        leads = (self._own[a, b] - self._own[b, a], self._overall[a, b] - self._overall[b, a])
        lead = next((lead for lead in leads if lead), int(rng.choice([-1, 1])))
        first: Literal["a", "b"] = "a" if lead < 0 else "b"
        ballot = Ballot(
            item_id=contest.item_id, a=a, b=b, first=first, seed=contest.seed, edit_type=contest.edit_type,
            group=contest.group, criterion=criterion, expected=contest.expected,
        )  # fmt: skip
        for counts in (self._own, self._overall):
            counts[ballot.left, ballot.right] += 1
        return ballot


def _drawn_checks(checks: Sequence[Contest], n: int, rng: np.random.Generator) -> list[Contest]:
    """At most so many checks, none twice, of each kind about as many."""
    kinds: dict[tuple[str, str], list[Contest]] = {}
    for number in rng.permutation(len(checks)).tolist():
        kinds.setdefault((checks[number].a, checks[number].b), []).append(checks[number])
    return [check for of_each in zip_longest(*kinds.values()) for check in of_each if check][:n]
