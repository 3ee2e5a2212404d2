"""Methods compared by votes: Davidson's model, its differences tested for raters and groups, corrected and ranked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any, Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.stats.abilities import UNCONNECTED, Abilities, fit_abilities
from evalkit.stats.bradley_terry import PairedVotes
from evalkit.stats.clusters import Groups
from evalkit.stats.intervals import Estimate, estimate_of
from evalkit.stats.multiplicity import Corrected, correct_families
from evalkit.stats.power import minimum_detectable_effect
from evalkit.stats.ranking import rank_sets, undecided_sets
from evalkit.stats.records import PairComparison, RankedMethod, Ranking
from evalkit.stats.scores import InferenceOptions
from evalkit.stats.signs import positive
from evalkit.stats.verdicts import decide

DAVIDSON_T = "davidson_t"
"""How the p-values of votes are obtained."""
ENDLESS = (
    "won every vote, if by chains: the difference has no end on that side, and abilities are those with one lost vote "
    "added"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionVotes:
    """All votes on one question."""

    criterion: str
    methods: tuple[str, ...]
    votes: PairedVotes
    raters: Groups | None
    """Of each vote; None where nobody knows who voted."""
    groups: Groups
    """Items that share a source image."""
    n_items: int
    primary: bool = True
    margin: float | None = None
    """Log-odds that do not matter; None where nobody said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VotePair(PairComparison):
    """Method b against method a by votes: the difference is in log-odds, win, tie and loss count votes between both."""

    n_votes: int
    """Between the two; their abilities rest on all votes."""
    n_raters: int | None
    """Who voted on either of the two; None where nobody knows."""
    runs_off: bool = False
    """Whether one of the two won every vote, if by chains: the difference has no end on that side."""
    more_votes: int | None = None
    """Votes that would have to be added, with as many more raters and items, for a difference as large as the margin to
    be found; where the verdict is inconclusive and a margin was declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteResult:
    """What the votes on one question say."""

    criterion: str
    pairs: tuple[VotePair, ...]
    ranking: Ranking
    tie: float | None
    """ν of Davidson's model, log-odds of a tie of equals; None where there is no tie."""
    first: Estimate | None
    """Advantage of being shown first, log-odds; None where it cannot be known."""
    only_place: Literal["first", "second"] | None
    """Where every vote that is no tie is for the edit that was shown there, and these are more than chance explains."""


def compare_votes(criteria: Sequence[CriterionVotes], options: InferenceOptions) -> tuple[VoteResult, ...]:
    """Compare every pair of methods (or each with the baseline) by the votes on each question, and rank them.

    Differences of abilities are held against t with one degree of freedom less than there are raters, or groups if
    these are fewer; their variance is that of votes which are dependent within raters and within groups
    (`two_way_variances`). P-values of the primary questions form one family, those of the others a second.

    Where a method won every vote against others, its ability has no end. The end that is there is found with one lost
    vote added against each method that it beat: votes so clear are worth no less than those with one more lost.

    Args:
        criteria: The votes, question by question.
        options: Error rate, power, correction and baseline.

    Raises:
        OptionError: The likelihood has no maximum, or an option is out of range.
    """
    fits = [fit_abilities(of.votes, of.raters, of.groups) for of in criteria]
    chosen = [(of, fit, pair) for of, fit in zip(criteria, fits, strict=True) for pair in _pairs(of, options.baseline)]
    tests = [_test(of, fit, *pair, options) for of, fit, pair in chosen]
    corrected = correct_families(
        [test.p_value for test in tests],
        [test.equivalence_p_value for test in tests],
        [of.primary for of, _, _ in chosen],
        options.correction,
        alpha=options.alpha,
        max_t=[None] * len(tests),
    )
    decided = iter(
        [
            _decided(test, of, fit, pair, each, options)
            for test, (of, fit, pair), each in zip(tests, chosen, corrected, strict=True)
        ]
    )
    return tuple(
        _result(of, fit, list(islice(decided, len(_pairs(of, options.baseline)))), options)
        for of, fit in zip(criteria, fits, strict=True)
    )


def _pairs(of: CriterionVotes, baseline: str | None) -> list[tuple[int, int]]:
    """Indices of every two methods, or of the baseline and each other one; none without the baseline."""
    everyone = range(len(of.methods))
    if baseline is None:
        return list(combinations(everyone, 2))
    first = [number for number in everyone if of.methods[number] == baseline]
    return [(number, other) for number in first for other in everyone if other != number]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """One pair before any correction."""

    difference: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    equivalence_p_value: float | None = None
    runs_off: bool = False
    error: float | None = None
    freedom: float = 0.0
    reason: str | None = None


def _test(of: CriterionVotes, fit: Abilities, a: int, b: int, options: InferenceOptions) -> _Tested:
    """The difference b − a with its interval and p-values."""
    from scipy.special import stdtr, stdtrit

    names, reason = of.methods, fit.why_unknown(a, b)
    difference, error, freedom = float(fit.values[b] - fit.values[a]), float(fit.errors[a, b]), float(fit.freedom[a, b])
    if reason is not None:
        return _Tested(difference=None, reason=f"{names[a]} and {names[b]}: {reason}")
    runs_off, equivalence = bool(fit.classes[a] != fit.classes[b]), None
    if not (error > 0 and freedom >= 1):
        why = _no_spread(of, freedom)
        return (
            _Tested(difference=None, reason=f"one won every vote, and {why}")
            if runs_off
            else _Tested(difference=difference, reason=why)
        )
    half = float(stdtrit(freedom, 1 - options.alpha / 2)) * error
    better = names[b] if difference > 0 else names[a]
    if of.margin is not None and not runs_off:
        equivalence = positive(float(stdtr(freedom, (abs(difference) - of.margin) / error)))
    return _Tested(
        difference=difference,
        low=None if runs_off and better == names[a] else difference - half,
        high=None if runs_off and better == names[b] else difference + half,
        p_value=positive(2 * float(stdtr(freedom, -abs(difference) / error))),
        equivalence_p_value=equivalence,
        runs_off=runs_off,
        error=error,
        freedom=freedom,
        reason=f"{better} {ENDLESS}" if runs_off else None,
    )


def _no_spread(of: CriterionVotes, freedom: float) -> str:
    """Why a difference has no error."""
    n_raters = 1 if of.raters is None else of.raters.n_groups
    if n_raters == of.groups.n_groups == 1:
        who = "nobody knows who voted, and all votes are" if of.raters is None else "all votes are of one rater"
        return f"{who} on one group: no spread can be known"
    if freedom < 1:
        return "all votes on them are of one rater or on one group: no spread can be known"
    return "votes do not differ from rater to rater or from group to group: no test can rest on their spread"


def _decided(
    test: _Tested,
    of: CriterionVotes,
    fit: Abilities,
    pair: tuple[int, int],
    corrected: Corrected,
    options: InferenceOptions,
) -> VotePair:
    """The record of one pair, filled once."""
    verdict, significant, equivalent = decide(
        test.difference or 0.0,
        (test.low, test.high),
        corrected,
        alpha=options.alpha,
        tests_equivalence=of.margin is not None,
    )
    detectable = _detectable(test, corrected, options)
    return VotePair(
        **_counted(of, fit, pair, is_known=test.difference is not None),
        difference=test.difference,
        ci_low=test.low,
        ci_high=test.high,
        p_value=test.p_value,
        adjusted_p_value=corrected.p_value,
        n_comparisons=corrected.n_comparisons,
        how=None if test.p_value is None else DAVIDSON_T,
        effect_size_dz=None,
        minimum_detectable_effect=detectable,
        margin=of.margin,
        equivalence_p_value=corrected.equivalence_p_value,
        equivalent=equivalent,
        verdict=verdict,
        practically_equivalent=significant and verdict == "equivalent",
        reason=test.reason,
        runs_off=test.runs_off,
        more_votes=_more_votes(detectable, of) if verdict == "inconclusive" else None,
    )


def _counted(of: CriterionVotes, fit: Abilities, pair: tuple[int, int], *, is_known: bool) -> dict[str, Any]:
    """The fields of a pair that no test is needed for."""
    (a, b), votes = pair, of.votes
    of_b = _direct(votes, a, b)
    either = np.isin(votes.a, pair) | np.isin(votes.b, pair)
    return {
        "metric": of.criterion,
        "a": of.methods[a],
        "b": of.methods[b],
        "n_items": of.n_items,
        "n_total": of.n_items,
        "n_groups": of.groups.n_groups,
        "n_seeds": 1,
        "mean_a": float(fit.values[a]) if is_known else None,
        "mean_b": float(fit.values[b]) if is_known else None,
        "win": int((of_b > 0).sum()),
        "tie": int((of_b == 0).sum()),
        "loss": int((of_b < 0).sum()),
        "n_votes": len(of_b),
        "n_raters": None if of.raters is None else len(np.unique(of.raters.codes[either])),
    }


def _direct(votes: PairedVotes, a: int, b: int) -> Floats:
    """The outcomes of votes between two methods: 1 where b was preferred."""
    forth, back = (votes.a == a) & (votes.b == b), (votes.a == b) & (votes.b == a)
    return np.concatenate([-votes.outcome[forth], votes.outcome[back]])


def _detectable(test: _Tested, corrected: Corrected, options: InferenceOptions) -> float | None:
    """The true difference that would be found with the power asked for, at the corrected level."""
    if test.error is None or test.runs_off:
        return None
    return minimum_detectable_effect(
        standard_error=test.error,
        degrees_of_freedom=test.freedom,
        alpha=corrected.level,
        power=options.power,
        n_groups=None,
    )


def _more_votes(detectable: float | None, of: CriterionVotes) -> int | None:
    """How many votes are lacking for the margin to be detectable, by the variance that each has now."""
    if of.margin is None or detectable is None or detectable <= of.margin:
        return None
    return math.ceil(len(of.votes) * ((detectable / of.margin) ** 2 - 1))


def _result(of: CriterionVotes, fit: Abilities, pairs: Sequence[VotePair], options: InferenceOptions) -> VoteResult:
    """Pairs and ranking of one question."""
    connected = [name for name, is_known in zip(of.methods, np.isfinite(fit.values), strict=True) if is_known]
    tested = [pair for pair in pairs if pair.a in connected and pair.b in connected]
    ranks = rank_sets(connected, tested)
    rows = {name: _row(of, fit, number, ranks.get(name), options) for number, name in enumerate(of.methods)}
    order = sorted(connected, key=lambda name: -(rows[name].mean or 0.0))
    return VoteResult(
        criterion=of.criterion,
        pairs=tuple(pairs),
        ranking=Ranking(
            methods=tuple(rows[name] for name in (*order, *(name for name in of.methods if name not in connected))),
            cliques=undecided_sets(order, tested),
            n_items=of.n_items,
        ),
        tie=fit.tie,
        first=_first(of, fit, options),
        only_place=_only_place(of.votes, options.alpha),
    )


def _only_place(votes: PairedVotes, alpha: float) -> Literal["first", "second"] | None:
    """Where whatever was preferred was shown, if that is always the same place, by a two-sided sign test."""
    won_first = (votes.outcome * votes.side)[votes.outcome * votes.side != 0] > 0
    if not len(won_first) or won_first.any() != won_first.all() or 2 * 0.5 ** len(won_first) > alpha:
        return None
    return "first" if won_first.all() else "second"


def _first(of: CriterionVotes, fit: Abilities, options: InferenceOptions) -> Estimate | None:
    """The advantage of being shown first, with its interval."""
    from scipy.special import stdtrit

    if fit.first is None:
        return None
    freedom = min(each.n_groups for each in (of.raters, of.groups) if each is not None and each.n_groups > 1) - 1.0
    half = float(stdtrit(freedom, 1 - options.alpha / 2)) * (fit.first_error or 0.0)
    ends = (fit.first - half, fit.first + half) if half else None
    return estimate_of(of.groups, DAVIDSON_T, fit.first, ends, freedom=freedom)


def _row(
    of: CriterionVotes, fit: Abilities, number: int, ranks: tuple[int, int] | None, options: InferenceOptions
) -> RankedMethod:
    """One method's ability, with an interval where neither end runs off."""
    from scipy.special import stdtrit

    error, freedom = float(fit.errors[number, number]), float(fit.freedom[number, number])
    value = float(fit.values[number])
    half = float(stdtrit(freedom, 1 - options.alpha / 2)) * error if freedom >= 1 and fit.is_bounded else None
    low, high = ranks or (None, None)
    return RankedMethod(
        metric=of.criterion,
        method=of.methods[number],
        mean=value if ranks else None,
        ci_low=value - half if ranks and half else None,
        ci_high=value + half if ranks and half else None,
        rank_low=low,
        rank_high=high,
        tied_with_best=low == 1,
        reason=None if ranks else fit.reason or UNCONNECTED,
    )
