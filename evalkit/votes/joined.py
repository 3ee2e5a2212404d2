"""Votes of several files as one study, in which a vote that comes again counts once."""

from collections.abc import Iterable

from evalkit.formatting import counted
from evalkit.votes.records import Vote


def asked_of(vote: Vote) -> tuple[object, ...]:
    """What was asked of whom: equal for two votes on one ballot, whichever method is called the first."""
    left = {"a": vote.a, "b": vote.b, None: None}[vote.first]
    return (
        vote.rater, vote.item_id, *sorted((vote.a, vote.b)), left, vote.seed, vote.criterion, vote.repeat,
        vote.expected is None,
    )  # fmt: skip


def preferred(vote: Vote) -> str:
    """The method that a vote prefers, or what it says instead.

    >>> preferred(Vote(item_id="dog", a="ours", b="theirs", winner="b"))
    'theirs'
    """
    return {"a": vote.a, "b": vote.b}.get(vote.winner, vote.winner.replace("_", " "))


def each_once(votes: Iterable[Vote]) -> tuple[list[Vote], int]:
    """Votes without those that come again, and how many these are.

    A vote comes again where one of the same rater is equal in what was asked and answered, and in `seconds` and
    `timestamp` where both have them. Votes whose rater is not known never do: two people may answer alike.

    >>> vote = Vote(item_id="dog", a="ours", b="theirs", winner="a", rater="Ann")
    >>> each_once([vote, vote, vote.model_copy(update={"rater": None}), vote.model_copy(update={"winner": "tie"})])[1]
    1
    """
    found: dict[tuple[object, ...], list[Vote]] = {}
    kept, n_repeats = list[Vote](), 0
    for vote in votes:
        alike = found.setdefault((*asked_of(vote), preferred(vote)), []) if vote.rater else []
        if any(_at_one_time(vote, other) for other in alike):
            n_repeats += 1
        else:
            alike.append(vote)
            kept.append(vote)
    return kept, n_repeats


def about_repeats(n_repeats: int) -> str:
    """That votes came again, as a note."""
    return f"{counted(n_repeats, 'vote')} left out that came again from the same rater: each counts once"


def _at_one_time(one: Vote, other: Vote) -> bool:
    """Whether nothing says that two votes were given at different times."""
    pairs = ((one.seconds, other.seconds), (one.timestamp, other.timestamp))
    return all(None in pair or pair[0] == pair[1] for pair in pairs)
