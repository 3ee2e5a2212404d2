"""Abilities of methods from votes, with errors robust to raters and groups, whether or not all can be known."""

from dataclasses import dataclass, replace

import numpy as np

from evalkit.arrays import Floats, Indices, Mask
from evalkit.stats.bradley_terry import (
    DavidsonFit,
    PairedVotes,
    cluster_covariance,
    components,
    difference_variances,
    fit_davidson,
    run_off,
    two_way_variances,
)
from evalkit.stats.clusters import Groups, code_groups

UNCONNECTED = "no chain of votes leads to those that are ranked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What votes say of K methods."""

    values: Floats
    """``(K,)`` log-odds, with a mean of 0 over those that are known; NaN of a method that is not connected with most
    others."""
    errors: Floats
    """``(K, K)`` standard errors of differences, on the diagonal those of the values; NaN where there is none."""
    freedom: Floats
    """``(K, K)`` degrees of freedom: raters, or groups if fewer, that voted on either of the two, less one."""
    classes: Indices
    """``(K,)``, see `run_off`."""
    part: Indices
    """``(K,)`` those that chains of votes connect have one number, see `components`."""
    comparable: Mask
    """``(K, K)``: whether one of the two won or tied against the other, if by chains of votes."""
    tie: float | None = None
    first: float | None = None
    """Advantage of being shown first, log-odds."""
    first_error: float | None = None
    reason: str | None = None
    """Why nothing is known."""

    @property
    def is_bounded(self) -> bool:
        """Whether no ability that is known runs off from another."""
        return len(set(self.classes[np.isfinite(self.values)].tolist())) == 1

    def why_unknown(self, a: int, b: int) -> str | None:
        """Why nothing is known of a difference; None where something is."""
        if self.reason is not None:
            return self.reason
        if self.part[a] != self.part[b]:
            return "no chain of votes connects them"
        if not np.isfinite(self.values[a]):
            return "no chain of votes leads from them to those that are ranked; compare their votes by themselves"
        return None if self.comparable[a, b] else "both differ from others without end, and from each other unknown"


def fit_abilities(votes: PairedVotes, raters: Groups | None, groups: Groups) -> Abilities:
    """Fit the methods that most others are connected with; of parts alike in that, the one with more votes.

    Where a method won every vote, its ability runs off. One lost vote is then added against each method that it beat,
    of a rater and a group of its own, so that there is an end on the other side.

    Args:
        votes: All of them.
        raters: Of each vote; None where nobody knows who voted.
        groups: Of each vote.

    Raises:
        OptionError: The likelihood has no maximum.
    """
    k, part = votes.n_methods, components(votes)
    n_methods, n_votes = np.bincount(part), np.bincount(part[votes.a], minlength=part.max() + 1)
    connected = part == max(range(len(n_methods)), key=lambda number: (n_methods[number], n_votes[number]))
    known = Abilities(
        values=np.full(k, np.nan),
        errors=np.full((k, k), np.nan),
        freedom=np.zeros((k, k)),
        classes=run_off(votes),
        part=part,
        comparable=_comparable(votes),
    )
    kept = connected[votes.a]
    if not votes.outcome[kept].any():
        return replace(known, reason="every vote is a tie")
    places, numbers, of_connected = np.ix_(connected, connected), np.cumsum(connected) - 1, votes.where(kept)
    votes = replace(of_connected, n_methods=int(connected.sum()), a=numbers[of_connected.a], b=numbers[of_connected.b])
    raters, groups = None if raters is None else raters.where(kept), groups.where(kept)
    known.freedom[places] = _freedom(votes, raters, groups)
    votes, raters, groups = _with_lost_votes(votes, raters, groups)
    fit = fit_davidson(votes)
    known.values[connected] = fit.abilities
    covariances = _covariances(votes, fit, raters, groups)
    if not covariances:
        return replace(known, tie=fit.tie, first=fit.first)
    own = votes.n_methods
    variances = _total([difference_variances(c[:own, :own]) + np.diag(np.diagonal(c)[:own]) for c in covariances])
    known.errors[places] = np.sqrt(variances)
    error = None if fit.first is None else float(np.sqrt(_total([c[own : own + 1, own] for c in covariances])[0]))
    return replace(known, tie=fit.tie, first=fit.first, first_error=error)


def _total(variances: list[Floats]) -> Floats:
    return variances[0] if len(variances) == 1 else two_way_variances(*variances)


def _covariances(votes: PairedVotes, fit: DavidsonFit, raters: Groups | None, groups: Groups) -> list[Floats]:
    """Of clusters that are raters, groups, and both, as far as there are two or more of each."""
    several = [each for each in (raters, groups) if each is not None and each.n_groups > 1]
    found = [cluster_covariance(votes, fit, each) for each in several]
    if raters is not None and len(several) == 2:
        both = code_groups(raters.codes * groups.n_groups + groups.codes)
        found.append(cluster_covariance(votes, fit, both, leave_out=False))
    return found


def _comparable(votes: PairedVotes) -> Mask:
    """``(K, K)``: whether a chain of votes that were won or tied leads from either method to the other."""
    reach = np.eye(votes.n_methods, dtype=np.bool_)
    reach[votes.a[votes.outcome >= 0], votes.b[votes.outcome >= 0]] = True
    reach[votes.b[votes.outcome <= 0], votes.a[votes.outcome <= 0]] = True
    for _ in range(votes.n_methods.bit_length()):
        reach = reach @ reach
    return np.asarray(reach | reach.T, dtype=np.bool_)


def _freedom(votes: PairedVotes, raters: Groups | None, groups: Groups) -> Floats:
    """``(K, K)``: raters, or groups if fewer, that voted on either of two methods, less one; 0 where one did."""
    found = np.full((votes.n_methods,) * 2, np.inf)
    for clusters in (raters, groups):
        if clusters is not None and clusters.n_groups > 1:
            took_part = np.zeros((clusters.n_groups, votes.n_methods))
            took_part[clusters.codes, votes.a] = took_part[clusters.codes, votes.b] = 1
            own = took_part.sum(axis=0)
            found = np.minimum(found, own[:, None] + own - took_part.T @ took_part - 1)
    return np.where(np.isinf(found), 0.0, found)


def _with_lost_votes(
    votes: PairedVotes, raters: Groups | None, groups: Groups
) -> tuple[PairedVotes, Groups | None, Groups]:
    """The votes, and a lost one for every two methods of which one won all votes and the difference runs off."""
    classes = run_off(votes)
    across = classes[votes.a] != classes[votes.b]
    if not across.any():
        return votes, raters, groups
    forth = (votes.outcome > 0)[across]
    a, b = votes.a[across], votes.b[across]
    losers = np.unique(np.stack([np.where(forth, b, a), np.where(forth, a, b)]), axis=1)
    own = np.arange(losers.shape[1])
    more = PairedVotes(
        n_methods=votes.n_methods,
        a=np.append(votes.a, losers[0]),
        b=np.append(votes.b, losers[1]),
        outcome=np.append(votes.outcome, np.ones(len(own))),
        side=np.append(votes.side, np.zeros(len(own))),
    )
    more_raters = None if raters is None else code_groups(np.append(raters.codes, raters.n_groups + own))
    return more, more_raters, code_groups(np.append(groups.codes, groups.n_groups + own))
