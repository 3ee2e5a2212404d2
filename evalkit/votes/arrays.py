"""Votes as the arrays that statistics take, question by question, and rater by rater."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats, Indices
from evalkit.errors import DataError
from evalkit.stats.bradley_terry import PairedVotes
from evalkit.stats.clusters import Groups, code_groups
from evalkit.stats.votes import CriterionVotes
from evalkit.votes.records import Vote

PREFERENCE = "preference"
"""The question of votes that name none."""
_OUTCOMES: Mapping[str, float] = {"a": 1.0, "b": -1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterVotes:
    """Who voted how on what: of each vote, as `evalkit.stats.raters` takes them."""

    names: tuple[str, ...]
    raters: Indices
    units: Indices
    """What was asked: item, question, the two methods and the seed."""
    values: Floats
    """1 where the method was preferred whose name comes first, −1 where the other was, 0 for a tie."""
    frames: Floats
    """1 where that method was shown first, −1 where the other was; where nobody knows, where it is ``a``."""
    groups: Groups


def item_groups(votes: Sequence[Vote], table: Mapping[str, str]) -> dict[str, str]:
    """Item to group, where one is known: by a table, else by any vote on the item.

    Raises:
        DataError: Votes on one item name two groups.
    """
    found: dict[str, str] = {}
    for vote in votes:
        if not vote.group:
            continue
        known = found.setdefault(vote.item_id, vote.group)
        if known != vote.group and vote.item_id not in table:
            raise DataError(
                f"Votes on item '{vote.item_id}' name two groups, '{known}' and '{vote.group}'. Mend them, or say in a "
                "table which items belong together: --groups FILE"
            )
    return found | dict(table)


def criterion_votes(
    votes: Sequence[Vote],
    criterion: str,
    *,
    groups: Mapping[str, str],
    primary: bool = True,
    margin: float | None = None,
) -> CriterionVotes:
    """The votes on one question as arrays.

    Args:
        votes: All on this question; attention checks are none of them.
        criterion: Its name.
        groups: Item to group; others are groups of their own.
        primary: Whether its p-values are confirmatory.
        margin: Log-odds that do not matter.
    """
    methods = tuple(sorted({name for vote in votes for name in (vote.a, vote.b)}))
    number = {name: at for at, name in enumerate(methods)}
    raters = [vote.rater for vote in votes]
    known = any(rater is not None for rater in raters)
    return CriterionVotes(
        criterion=criterion,
        methods=methods,
        votes=PairedVotes(
            n_methods=len(methods),
            a=np.array([number[vote.a] for vote in votes], dtype=np.intp),
            b=np.array([number[vote.b] for vote in votes], dtype=np.intp),
            outcome=np.array([_OUTCOMES.get(vote.winner, 0.0) for vote in votes]),
            side=np.array([0.0 if vote.first is None else _OUTCOMES[vote.first] for vote in votes]),
        ),
        # Who is not named is a rater of their own: as if that vote was nobody else's.
        raters=code_groups([rater or (at,) for at, rater in enumerate(raters)]) if known else None,
        groups=code_groups([groups.get(vote.item_id, vote.item_id) for vote in votes]),
        n_items=len({vote.item_id for vote in votes}),
        primary=primary,
        margin=margin,
    )


def rater_votes(votes: Sequence[Vote], groups: Mapping[str, str]) -> RaterVotes:
    """The votes of raters that are known, turned so that the two methods have one order everywhere.

    Args:
        votes: Of any questions.
        groups: Item to group; others are groups of their own.
    """
    known = [vote for vote in votes if vote.rater is not None]
    names = tuple(sorted({str(vote.rater) for vote in known}))
    number = {name: at for at, name in enumerate(names)}
    turned = np.array([-1.0 if vote.a > vote.b else 1.0 for vote in known])
    units = [(vote.item_id, vote.criterion, vote.seed, *sorted((vote.a, vote.b))) for vote in known]
    return RaterVotes(
        names=names,
        raters=np.array([number[str(vote.rater)] for vote in known], dtype=np.intp),
        units=code_groups(units).codes,
        values=turned * [_OUTCOMES.get(vote.winner, 0.0) for vote in known],
        frames=turned * [1.0 if vote.first is None else _OUTCOMES[vote.first] for vote in known],
        groups=code_groups([groups.get(vote.item_id, vote.item_id) for vote in known]),
    )
