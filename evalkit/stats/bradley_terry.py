r"""Abilities from votes between two methods: the Bradley–Terry model with ties of Davidson (JASA 1970).

Methods have abilities β (log-odds). Of a vote between a and b, with ``d = β_a − β_b + δs``,

    ``P(a) = exp(d/2)/Z``, ``P(b) = exp(−d/2)/Z``, ``P(tie) = exp(ν)/Z``, ``Z = exp(d/2) + exp(−d/2) + exp(ν)``,

so that ``d`` is the log-odds of a against b in votes that are no ties. ``s`` is 1 where a was shown first, −1 where b
was, 0 where nobody knows; δ is the advantage of being shown first (Davidson & Beaver, Biometrics 1977).

The fit maximises the likelihood. How uncertain it is comes from sums of scores over raters and over groups of items,
and not from the model: votes of one rater are dependent, as are votes on one item.
"""

from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats, Indices, Mask
from evalkit.errors import OptionError
from evalkit.stats.clusters import Groups

_MAX_LEAVE_OUT = 20_000_000
"""Numbers in the information matrices of single clusters: with more, no cluster is left out by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedVotes:
    """Votes as arrays, an entry per vote."""

    n_methods: int
    a: Indices
    """``(n,)``, in [0, n_methods)."""
    b: Indices
    outcome: Floats
    """``(n,)``: 1 where a was preferred, −1 where b was, 0 for a tie."""
    side: Floats
    """``(n,)``: 1 where a was shown first, −1 where b was, 0 where nobody knows."""

    def __post_init__(self) -> None:
        """Raise an OptionError unless each vote is between two methods and has an outcome and a side."""
        arrays = (self.a, self.b, self.outcome, self.side)
        if len({each.shape for each in arrays}) > 1 or not len(self.a) or (self.a == self.b).any():
            raise OptionError("Votes need two different methods, an outcome and a side each.")

    def __len__(self) -> int:
        """How many votes there are."""
        return len(self.a)

    def where(self, kept: Mask | Indices) -> "PairedVotes":
        """Some of the votes, or the same several times."""
        arrays = {name: getattr(self, name)[kept] for name in ("a", "b", "outcome", "side")}
        return PairedVotes(n_methods=self.n_methods, **arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class DavidsonFit:
    """Abilities, and what it takes to say how uncertain they are."""

    abilities: Floats
    """``(K,)`` log-odds with a mean of 0."""
    tie: float | None
    """ν; None where no vote is a tie."""
    first: float | None
    """δ, log-odds; None where it cannot be known."""
    information: Floats
    """``(q, q)`` of abilities, δ and ν, plus 1 in the direction of all abilities, which votes say nothing about."""
    scores: Floats
    """``(n, 2)``: derivative of each vote's log-likelihood by d and by ν."""
    weights: Floats
    """``(n, 3)``: its information on d, on d and ν, and on ν."""


def fit_davidson(votes: PairedVotes) -> DavidsonFit:
    """Abilities of the greatest likelihood.

    Args:
        votes: Of methods that chains of wins and ties connect both ways, see `run_off`.

    Raises:
        OptionError: The likelihood has no maximum.

    >>> outcome = np.array([1.0, 1.0, 1.0, -1.0, 0.0])
    >>> first, second = np.zeros(5, dtype=np.intp), np.ones(5, dtype=np.intp)
    >>> fit = fit_davidson(PairedVotes(n_methods=2, a=first, b=second, outcome=outcome, side=np.zeros(5)))
    >>> bool(np.isclose(fit.abilities[0] - fit.abilities[1], np.log(3)))
    True
    """
    from scipy.optimize import minimize

    if len(set(run_off(votes).tolist())) > 1:
        raise OptionError("The votes have no greatest likelihood: an ability runs off, of a method that won them all.")
    model = _Model.of(votes)
    found = minimize(
        model.loss, np.zeros(model.size), jac=model.slope, hess=model.information, method="trust-exact",
        options={"gtol": 1e-9 * len(votes)},
    )  # fmt: skip
    probabilities, k = model.probabilities(found.x)[model.cell_of], votes.n_methods
    mean, tie = (probabilities[:, 0] - probabilities[:, 2]) / 2, probabilities[:, 1]
    spread = (1 - tie) / 4 - mean**2
    return DavidsonFit(
        abilities=found.x[:k] - found.x[:k].mean(),
        tie=float(found.x[-1]) if model.has_ties else None,
        first=float(found.x[k]) if model.has_side else None,
        information=model.information(found.x),
        scores=np.stack([votes.outcome / 2 - mean, (votes.outcome == 0) - tie], axis=1),
        weights=np.stack([spread, -mean * tie, tie * (1 - tie)], axis=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """The likelihood of votes, those of the same two methods and order counted together."""

    design: Floats
    """``(cells, K)``, or ``(cells, K + 1)`` with the order: what d is made of."""
    counts: Floats
    """``(cells, 3)``: a preferred, tie, b preferred."""
    cell_of: Indices
    """``(n,)``"""
    n_methods: int
    has_ties: bool
    has_side: bool

    @classmethod
    def of(cls, votes: PairedVotes) -> "_Model":
        k = votes.n_methods
        keys = np.stack([votes.a, votes.b, votes.side.astype(np.intp)], axis=1)
        cells, cell_of = np.unique(keys, axis=0, return_inverse=True)
        counts = np.zeros((len(cells), 3))
        np.add.at(counts, (cell_of, 1 - votes.outcome.astype(np.intp)), 1)
        design, rows = np.zeros((len(cells), k + 1)), np.arange(len(cells))
        design[rows, cells[:, 0]], design[rows, cells[:, 1]], design[:, k] = 1, -1, cells[:, 2]
        decided = votes.outcome * votes.side
        varied = (decided > 0).any() and (decided < 0).any()
        has_side = bool(varied and np.linalg.matrix_rank(design) > np.linalg.matrix_rank(design[:, :k]))
        return cls(
            design=design if has_side else design[:, :k],
            counts=counts,
            cell_of=cell_of,
            n_methods=k,
            has_ties=bool(counts[:, 1].any()),
            has_side=has_side,
        )

    @property
    def size(self) -> int:
        return int(self.design.shape[1]) + self.has_ties

    def _logs(self, theta: Floats) -> Floats:
        """Log-probabilities of each cell's three outcomes."""
        half = self.design @ theta[: self.design.shape[1]] / 2
        tie = np.full_like(half, theta[-1] if self.has_ties else -np.inf)
        terms = np.stack([half, tie, -half], axis=1)
        logs: Floats = terms - np.logaddexp.reduce(terms, axis=1, keepdims=True)
        return logs

    def probabilities(self, theta: Floats) -> Floats:
        """``(cells, 3)``."""
        return np.exp(self._logs(theta))

    def loss(self, theta: Floats) -> float:
        """The negative log-likelihood."""
        logs = self._logs(theta)
        return -float((self.counts * np.where(self.counts > 0, logs, 0.0)).sum())

    def slope(self, theta: Floats) -> Floats:
        """Of the loss."""
        p, n = self.probabilities(theta), self.counts.sum(axis=1)
        by_d = (self.counts[:, 0] - self.counts[:, 2] - n * (p[:, 0] - p[:, 2])) / 2
        by_tie = [(self.counts[:, 1] - n * p[:, 1]).sum()] if self.has_ties else []
        return -np.append(self.design.T @ by_d, by_tie)

    def information(self, theta: Floats) -> Floats:
        """Second derivatives of the loss, plus 1 in the direction of all abilities."""
        p, n = self.probabilities(theta), self.counts.sum(axis=1)
        mean, q = (p[:, 0] - p[:, 2]) / 2, self.design.shape[1]
        found = np.zeros((self.size, self.size))
        found[:q, :q] = self.design.T @ ((n * ((1 - p[:, 1]) / 4 - mean**2))[:, None] * self.design)
        found[: self.n_methods, : self.n_methods] += 1
        if self.has_ties:
            found[:q, -1] = found[-1, :q] = self.design.T @ (-n * mean * p[:, 1])
            found[-1, -1] = (n * p[:, 1] * (1 - p[:, 1])).sum()
        return found


def cluster_covariance(votes: PairedVotes, fit: DavidsonFit, clusters: Groups, *, leave_out: bool = True) -> Floats:
    """Covariance of the abilities where votes of one cluster are dependent: a sandwich.

    ``(G − 1)/G Σ_c d_c d_cᵀ``, ``d_c = (A − A_c)⁻¹ s_c``, what leaving out cluster c changes in one Newton step: the
    jackknife CV₃ of MacKinnon, Nielsen & Webb (Journal of Applied Econometrics 2023). A is the information, A_c and s_c
    are the cluster's parts of it and of the score.

    Args:
        votes: That were fitted.
        fit: What was found.
        clusters: Of each vote, two or more.
        leave_out: Else ``Σ_c d_c d_cᵀ`` with ``d_c = A⁻¹ s_c``, without regard to a cluster's own weight in the fit.

    Returns:
        ``(q, q)``, of abilities with a mean of 0, then of δ and ν where they were fitted.
    """
    k, n, size = votes.n_methods, clusters.n_groups, len(fit.information)
    sums = np.zeros((n, size))
    by_d, by_tie = fit.scores.T
    np.add.at(sums, (clusters.codes, votes.a), by_d)
    np.add.at(sums, (clusters.codes, votes.b), -by_d)
    if fit.first is not None:
        sums[:, k] = clusters.sums(by_d * votes.side)
    if fit.tie is not None:
        sums[:, -1] = clusters.sums(by_tie)
    if leave_out and n * size**2 <= _MAX_LEAVE_OUT:
        without = fit.information - _information_by(votes, fit, clusters)
        without[:, range(size), range(size)] += 1e-9 * np.diagonal(fit.information)
        changes = np.linalg.solve(without, sums[:, :, None])[:, :, 0] * np.sqrt((n - 1) / n)
    else:
        changes = np.linalg.solve(fit.information, sums.T).T * (np.sqrt(n / (n - 1)) if leave_out else 1.0)
    changes[:, :k] -= changes[:, :k].mean(axis=1, keepdims=True)
    covariance: Floats = changes.T @ changes
    return covariance


def _information_by(votes: PairedVotes, fit: DavidsonFit, clusters: Groups) -> Floats:
    """``(G, q, q)``: each cluster's part of the information."""
    k, size, of = votes.n_methods, len(fit.information), clusters.codes
    found = np.zeros((clusters.n_groups, size, size))
    on_d, on_both, on_tie = fit.weights.T
    ends = [(votes.a, np.ones(len(votes))), (votes.b, -np.ones(len(votes)))]
    if fit.first is not None:
        ends.append((np.full_like(of, k), votes.side))
    last = np.full_like(of, size - 1)
    for row, sign in ends:
        for column, other in ends:
            np.add.at(found, (of, row, column), sign * other * on_d)
        if fit.tie is not None:
            np.add.at(found, (of, row, last), sign * on_both)
            np.add.at(found, (of, last, row), sign * on_both)
    if fit.tie is not None:
        np.add.at(found, (of, last, last), on_tie)
    return found


def difference_variances(covariance: Floats) -> Floats:
    """``(K, K)`` variances of all differences of abilities, from their covariance."""
    own = np.diagonal(covariance)
    variances: Floats = own[:, None] + own - 2 * covariance
    return np.maximum(variances, 0.0)


def two_way_variances(by_rater: Floats, by_group: Floats, by_both: Floats) -> Floats:
    """Variances where votes are dependent that share a rater or a group (Cameron, Gelbach & Miller, JBES 2011).

    ``V_rater + V_group − V_both``, at least either of the first two, which that sum may fall below by chance
    (MacKinnon, Nielsen & Webb, JBES 2021).

    Args:
        by_rater: Of clusters that are raters.
        by_group: Of clusters that are groups.
        by_both: Of clusters that are votes of one rater on one group.
    """
    return np.maximum(np.maximum(by_rater, by_group), by_rater + by_group - by_both)


def components(votes: PairedVotes) -> Indices:
    """``(K,)``: methods with the same number are connected by chains of votes, whoever won them."""
    return _components(votes, np.ones(len(votes), dtype=np.bool_), "weak")


def run_off(votes: PairedVotes) -> Indices:
    """``(K,)``: methods with the same number have won or tied against each other, if by chains of votes.

    Between others nothing bounds the difference of abilities: one side has won every vote (Ford, American Mathematical
    Monthly 1957).
    """
    return _components(votes, votes.outcome >= 0, "strong", votes.outcome <= 0)


def _components(votes: PairedVotes, forth: Mask, connection: str, back: Mask | None = None) -> Indices:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    back = np.zeros(len(votes), dtype=np.bool_) if back is None else back
    rows = np.concatenate([votes.a[forth], votes.b[back]])
    columns = np.concatenate([votes.b[forth], votes.a[back]])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(votes.n_methods,) * 2)
    labels: Indices = connected_components(graph, directed=True, connection=connection)[1].astype(np.intp)
    return labels
