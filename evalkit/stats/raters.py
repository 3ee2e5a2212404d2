"""Whether raters agree: Krippendorff's α, and raters who do not vote as the others do."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evalkit.arrays import Floats, Indices, Mask
from evalkit.errors import OptionError
from evalkit.stats.agreement import MAX_UNDEFINED_SHARE, bca_ends
from evalkit.stats.bootstrap import group_weights
from evalkit.stats.clusters import Groups, cluster_error, code_groups
from evalkit.stats.intervals import Estimate, estimate_of
from evalkit.stats.multiplicity import adjust
from evalkit.stats.signs import positive

FEWEST_SHARED = 10
"""With fewer votes on what others voted on, too, nothing is said of a rater."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterAgreement:
    """How one rater votes beside the others."""

    rater: int
    """Its code."""
    n_votes: int
    n_shared: int
    """Votes on what another rater voted on, too."""
    agreement: float | None = None
    """Mean of the products of own vote and mean vote of the others, −1 and 1 for either side and 0 for a tie."""
    of_others: float | None = None
    """The mean agreement of all others."""
    p_lower: float | None = None
    """One-sided, corrected for the number of raters: of an agreement as high as that of the others."""
    p_chance: float | None = None
    """One-sided: of votes without regard to what was shown."""
    is_flagged: bool = False
    """Whether the rater agrees less than the others do, and not shown to agree more than chance."""


def krippendorff_alpha(
    units: Indices,
    values: Floats,
    groups: Groups,
    *,
    scale: Literal["nominal", "interval"] = "nominal",
    level: float = 0.95,
    n_resamples: int = 4_999,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's α: agreement of raters beyond chance, with a BCa bootstrap interval over groups.

    ``α = 1 − D_o/D_e`` with ``D_o = Σ_u Σ_{v≠w} n_uv n_uw δ²(v, w)/(m_u − 1) / n`` and
    ``D_e = Σ_{v≠w} n_v n_w δ²(v, w) / (n(n − 1))`` over units that two raters or more gave a value; of the m_u values
    of unit u n_uv are v (Krippendorff, Content Analysis, 2004, ch. 11). 1: raters agree; 0: as by chance.

    Args:
        units: ``(n,)`` codes of what was rated.
        values: ``(n,)``, finite.
        groups: Of each value; all values of a unit are of one group.
        scale: ``nominal``: two values are equal or not; ``interval``: they differ by the square of their difference.
        level: Coverage.
        n_resamples: Bootstrap resamples.
        seed: Determines them.

    Raises:
        OptionError: Lengths differ.

    >>> units, values = np.array([0, 0, 1, 1, 2, 2]), np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    >>> round(krippendorff_alpha(units, values, code_groups(units)).value, 4)
    0.4444
    """
    if not len(units) == len(values) == len(groups):
        raise OptionError("Every value needs its unit and its group.")
    several = np.bincount(units)[units] > 1
    coded = groups.where(several)
    levels, value_codes = np.unique(values[several], return_inverse=True)
    kept = code_groups(units[several])
    few = {0: "nobody rated what another rated", 1: "only one unit was rated by several"}.get(kept.n_groups)
    if few is not None:
        return estimate_of(coded, "group_bca", None, reason=few)
    distance = np.square(levels[:, None] - levels) if scale == "interval" else 1.0 - np.eye(len(levels))
    table = np.zeros((kept.n_groups, len(levels)))
    np.add.at(table, (kept.codes, value_codes), 1)
    disagreement = ((table @ distance) * table).sum(axis=1) / (kept.sizes - 1)
    _, first = np.unique(kept.codes, return_index=True)
    of_group = Groups(codes=coded.codes[first], sizes=coded.sizes)
    observed, counts = of_group.sums(disagreement), of_group.sums(table)
    n, ones = coded.n_groups, np.ones((1, coded.n_groups))
    value = float(_alpha(ones, observed, counts, distance)[0])
    if not np.isfinite(value):
        return estimate_of(coded, "group_bca", None, reason="all votes are the same")
    if n < 2:
        return estimate_of(coded, "group_bca", value, reason="one group only")
    resamples = group_weights(n, n_resamples=n_resamples, seed=seed)
    draws = np.concatenate([_alpha(weights, observed, counts, distance) for weights in resamples])
    jackknife = _alpha(ones - np.eye(n), observed, counts, distance) if n <= 2_000 else draws[:0]
    draws, jackknife = draws[np.isfinite(draws)], jackknife[np.isfinite(jackknife)]
    if len(draws) < (1 - MAX_UNDEFINED_SHARE) * n_resamples or not np.ptp(draws):
        return estimate_of(coded, "group_bca", value, reason="too many resamples show no disagreement to compare with")
    return estimate_of(coded, "group_bca", value, bca_ends(value, draws, jackknife, level))


def _alpha(weights: Floats, observed: Floats, counts: Floats, distance: Floats) -> Floats:
    """α with each group counted as often as its weight; NaN where all values are the same."""
    of_value = weights @ counts
    n = of_value.sum(axis=1)
    expected = ((of_value @ distance) * of_value).sum(axis=1) / np.maximum(n - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 1 - (weights @ observed) / expected
    return np.where(expected > 0, found, np.nan)


def rater_agreements(
    raters: Indices, units: Indices, values: Floats, frames: Floats, groups: Groups, *, alpha: float = 0.05
) -> tuple[RaterAgreement, ...]:
    """Hold each rater's votes against what the others think of the same, and flag who might as well vote at random.

    A rater is flagged whose agreement is lower than that of the others (Welch's t test over groups, one-sided, Holm's
    correction over raters) and not shown to be above chance (a permutation test of the rater's votes in its normal
    approximation, one-sided). Votes are permuted as they were shown, so that who always votes left is found by it.

    Args:
        raters: ``(n,)`` codes.
        units: ``(n,)`` codes of what was voted on.
        values: ``(n,)``: −1 and 1 for either method, 0 for a tie.
        frames: ``(n,)``: 1 where the method that 1 stands for was shown first, −1 where the other was.
        groups: Of each vote.
        alpha: Error rate.
    """
    own = code_groups(raters * (int(units.max()) + 1) + units)  # who is asked the same again is no other rater
    of_unit = Groups(codes=units, sizes=np.bincount(units).astype(np.float64))
    n_others = of_unit.sizes[units] - own.sizes[own.codes]
    total = of_unit.sums(values)[units] - own.sums(values)[own.codes]
    shared = n_others > 0
    others = total[shared] / n_others[shared]
    products, of, coded = values[shared] * others, raters[shared], groups.where(shared)
    found = [
        _agreement(
            code, int((raters == code).sum()), of == code, products, frames[shared] * values[shared],
            frames[shared] * others, coded,
        )
        for code in range(int(raters.max()) + 1)
    ]  # fmt: skip
    corrected = adjust([each.p_lower for each in found])
    return tuple(
        replace(
            each,
            p_lower=p,
            is_flagged=p is not None and p <= alpha and (each.p_chance is None or each.p_chance > alpha),
        )
        for each, p in zip(found, corrected, strict=True)
    )


def _agreement(
    code: int, n_votes: int, own: Mask, products: Floats, votes: Floats, consensus: Floats, groups: Groups
) -> RaterAgreement:
    """One rater, not corrected; votes and consensus as they were shown."""
    from scipy.special import ndtr, stdtr

    n_shared = int(own.sum())
    basis = RaterAgreement(rater=code, n_votes=n_votes, n_shared=n_shared)
    if n_shared < FEWEST_SHARED:
        return basis
    errors = [cluster_error(products[part], groups.where(part)) for part in (own, ~own)]
    agreement, of_others = float(products[own].mean()), float(products[~own].mean())
    squares = [0.0 if error is None else error.error**2 for error in errors]
    p_lower = None
    if None not in errors and sum(squares) > 0:
        freedom = sum(squares) ** 2 / sum(s**2 / e.freedom for s, e in zip(squares, errors, strict=True) if e)
        p_lower = positive(float(stdtr(freedom, (agreement - of_others) / sum(squares) ** 0.5)))
    x, y = votes[own] - votes[own].mean(), consensus[own] - consensus[own].mean()
    spread = float(np.square(x).sum() * np.square(y).sum()) / (n_shared - 1)
    p_chance = 1.0 if not spread else positive(float(ndtr(-float(x @ y) / spread**0.5)))
    return replace(basis, agreement=agreement, of_others=of_others, p_lower=p_lower, p_chance=p_chance)
