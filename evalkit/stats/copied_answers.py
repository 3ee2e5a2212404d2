"""Raters who answer as one: one person who votes twice, or answers that were copied."""

from dataclasses import dataclass, replace

import numpy as np

from evalkit.arrays import Floats, Indices
from evalkit.stats.multiplicity import adjust
from evalkit.stats.raters import FEWEST_SHARED
from evalkit.stats.signs import positive

CLEAR_ERRORS = 2.0
"""Standard errors by which others must agree more than by chance, or nothing is expected of two raters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterPair:
    """Two raters, and how often they gave the same answer."""

    raters: tuple[int, int]
    """Their codes."""
    n_shared: int
    """What both voted on."""
    n_same: int
    """Of that, what both gave the same answer to."""
    expected: float
    """As many same answers are explained by how either agrees with the others, and the others with each other."""
    p_value: float
    """One-sided, corrected for the number of pairs of which something can be said: of so many same answers."""
    is_flagged: bool = False
    """Whether that is significant, and they differ less than half as often as expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedAnswers:
    """Which raters of a study answer as one."""

    n_pairs: int
    """Of all raters."""
    n_tested: int
    """Of these, pairs of which something can be said."""
    flagged: tuple[RaterPair, ...]


def copied_answers(raters: Indices, units: Indices, values: Floats, *, alpha: float = 0.05) -> CopiedAnswers:
    """Find the raters who gave the same answers far more often than their agreement with others explains.

    Of raters r and s all others are asked first, whose votes neither has a part in. Let g be the shares of their
    answers, C = Σ g² their agreement by chance, q the share of equal answers among their pairs of votes on the same,
    and q_r the share among pairs of a vote of r and one of theirs. On unit u, of which n_v others gave answer v, two
    raters like them agree with probability P_u = Σ a_v (a_v + 1) / (A (A + 1)), a_v = κ g_v + n_v, A = Σ a_v: the
    Dirichlet-multinomial's, with κ = (1 − q) / (q − C), which makes it q where nobody else voted. So what all agree on
    counts for little. That r and s may be more careful than most is taken from one factor of agreement (Spearman):
    w = (q_r − C) (q_s − C) / (q − C)², at least 0, and p_u = C + min(w, 1) (P_u − C) + max(w − 1, 0) (q − C), at least
    C and at most 1. The number of same answers is held against the Poisson-binomial distribution of the p_u, upper
    tail, corrected after Holm over pairs.

    Nothing is said of two raters who share fewer than :data:`~evalkit.stats.raters.FEWEST_SHARED` units, where either
    shares fewer with the others, or where there are fewer that two others share; nor where q exceeds C by less than two
    standard errors: who does not agree with anybody says nothing of how two careful raters would. Three who copy one
    another hide each other in part, each being one of the others. Raters of the same taste, or judges with the same
    weights, answer alike without having copied.

    Args:
        raters: ``(n,)`` codes.
        units: ``(n,)`` codes of what was voted on; of several votes of one rater on one unit the first counts.
        values: ``(n,)`` answers: equal numbers are the same answer.
        alpha: Error rate.
    """
    table = _Table.of(raters, units, values)
    n_raters = len(table.units)
    found = [pair for a, b in table.candidates() if (pair := table.pair(a, b))]
    corrected = adjust([pair.p_value for pair in found])
    pairs = [replace(pair, p_value=p) for pair, p in zip(found, corrected, strict=True) if p is not None]
    flagged = [pair for pair in pairs if pair.p_value <= alpha and pair.n_shared - pair.n_same <= _half_as_many(pair)]
    return CopiedAnswers(
        n_pairs=n_raters * (n_raters - 1) // 2,
        n_tested=len(found),
        flagged=tuple(replace(pair, is_flagged=True) for pair in flagged),
    )


def _half_as_many(pair: RaterPair) -> float:
    """Half the different answers that are expected."""
    return (pair.n_shared - pair.expected) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """How often answers are the same, with its standard error over units."""

    value: float
    n_units: int

    @property
    def error(self) -> float:
        """By the binomial, and not 0 where all are the same."""
        return float((max(self.value * (1 - self.value), 1 / (4 * self.n_units)) / self.n_units) ** 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """What every rater answered."""

    units: tuple[Indices, ...]
    """Of each rater, ascending."""
    answers: tuple[Indices, ...]
    """Codes of the answers to these."""
    counts: Floats
    """``(units, answers)``: raters who gave each."""

    @classmethod
    def of(cls, raters: Indices, units: Indices, values: Floats) -> "_Table":
        """The first vote of each rater on each unit."""
        n_units = int(units.max(initial=-1)) + 1
        own, first = np.unique(raters * n_units + units, return_index=True)
        answers = np.unique(values[first], return_inverse=True)[1]
        counts = np.zeros((n_units, int(answers.max(initial=-1)) + 1))
        np.add.at(counts, (own % n_units, answers), 1)
        ends = np.searchsorted(own, n_units * np.arange(1, int(raters.max(initial=-1)) + 1))
        return cls(units=tuple(np.split(own % n_units, ends)), answers=tuple(np.split(answers, ends)), counts=counts)

    def candidates(self) -> list[tuple[int, int]]:
        """The pairs of raters who share enough."""
        from scipy.sparse import csr_array

        sizes = [len(units) for units in self.units]
        columns = np.concatenate(self.units)
        voted = csr_array(
            (np.ones(len(columns)), columns, np.concatenate([[0], np.cumsum(sizes)])),
            shape=(len(sizes), len(self.counts)),
        )
        shared = (voted @ voted.T).tocoo()
        enough = (shared.data >= FEWEST_SHARED) & (shared.row < shared.col)
        return sorted(zip(shared.row[enough].tolist(), shared.col[enough].tolist(), strict=True))

    def pair(self, a: int, b: int) -> RaterPair | None:
        """Two raters, not corrected; None where nothing can be said of them."""
        others = self.counts.copy()
        for rater in (a, b):
            others[self.units[rater], self.answers[rater]] -= 1
        among = _same_among(others)
        withs = [_same_with(others, self.units[rater], self.answers[rater]) for rater in (a, b)]
        if among is None or None in withs:
            return None
        shares = others.sum(axis=0) / others.sum()
        chance = float(shares @ shares)
        beyond = among.value - chance
        if beyond < CLEAR_ERRORS * among.error:
            return None
        shared, of_a, of_b = np.intersect1d(self.units[a], self.units[b], assume_unique=True, return_indices=True)
        weights = (1 - among.value) / beyond * shares + others[shared]
        total = weights.sum(axis=1)
        alike = np.ones(len(shared))
        np.divide((weights * (weights + 1)).sum(axis=1), total * (total + 1), out=alike, where=total > 0)
        factor = float(np.prod([max(each.value - chance, 0.0) / beyond for each in withs if each]))
        p = np.clip(chance + min(factor, 1.0) * (alike - chance) + max(factor - 1, 0.0) * beyond, chance, 1)
        n_same = int((self.answers[a][of_a] == self.answers[b][of_b]).sum())
        return RaterPair(
            raters=(a, b), n_shared=len(shared), n_same=n_same, expected=float(p.sum()), p_value=_upper_tail(p, n_same)
        )


def _same_among(counts: Floats) -> _Share | None:
    """The share of same answers among pairs of votes on the same; None where there are too few."""
    sizes = counts.sum(axis=1)
    n_units = int((sizes > 1).sum())
    if n_units < FEWEST_SHARED:
        return None
    return _Share(value=float((counts * (counts - 1)).sum() / (sizes * (sizes - 1)).sum()), n_units=n_units)


def _same_with(others: Floats, units: Indices, answers: Indices) -> _Share | None:
    """The share of a rater's same answers with others; None where too little is shared."""
    sizes = others[units].sum(axis=1)
    n_units = int((sizes > 0).sum())
    if n_units < FEWEST_SHARED:
        return None
    return _Share(value=float(others[units, answers].sum() / sizes.sum()), n_units=n_units)


def _upper_tail(p: Floats, least: int) -> float:
    """Probability that at least so many of independent events happen, event by event."""
    found = np.zeros(len(p) + 1)
    found[0] = 1
    for each in p:
        found[1:] = found[1:] * (1 - each) + found[:-1] * each
        found[0] *= 1 - each
    return positive(min(1.0, float(found[least:].sum())))
