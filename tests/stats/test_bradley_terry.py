"""Davidson's model: the fit against other libraries, its errors against resampling, and what it refuses to say."""

import choix
import evalica
import numpy as np
import pytest
import statsmodels.api as sm

from evalkit.errors import OptionError
from evalkit.stats.bradley_terry import (
    PairedVotes,
    cluster_covariance,
    components,
    difference_variances,
    fit_davidson,
    run_off,
    two_way_variances,
)
from evalkit.stats.clusters import code_groups


def simulated(n=400, k=4, seed=0, *, ties=0.5, first=0.0, ability=0.4):
    """Votes of Davidson's model, of methods whose abilities are as far apart as this."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, k, n)
    b = (a + rng.integers(1, k, n)) % k
    side = rng.choice([-1.0, 1.0], n) if first else np.zeros(n)
    d = ability * (a - b) + first * side
    p = np.stack([np.exp(d / 2), np.full(n, ties), np.exp(-d / 2)], axis=1)
    drawn = rng.random(n) * p.sum(axis=1)
    outcome = np.where(drawn < p[:, 0], 1.0, np.where(drawn < p[:, :2].sum(axis=1), 0.0, -1.0))
    return PairedVotes(n_methods=k, a=a, b=b, outcome=outcome, side=side)


def made(rows, k=3):
    """Votes from lines of a, b and outcome."""
    a, b, outcome = np.array(rows).T
    return PairedVotes(n_methods=k, a=a, b=b, outcome=outcome.astype(float), side=np.zeros(len(a)))


def test_without_ties_it_is_the_model_of_bradley_and_terry():
    """Choix and evalica find the same abilities."""
    votes = simulated(ties=0.0)
    fit = fit_davidson(votes)
    assert fit.tie is None
    won = votes.outcome > 0
    winners, losers = np.where(won, votes.a, votes.b), np.where(won, votes.b, votes.a)
    theirs = choix.opt_pairwise(4, list(zip(winners.tolist(), losers.tolist(), strict=True)), method="Newton-CG")
    assert fit.abilities == pytest.approx(theirs - theirs.mean(), abs=1e-5)
    others = evalica.bradley_terry(
        winners.tolist(), losers.tolist(), [evalica.Winner.X] * len(votes), tolerance=1e-12, limit=10_000
    ).scores
    logs = np.log(others[range(4)].to_numpy())
    assert fit.abilities == pytest.approx(logs - logs.mean(), abs=1e-4)


def test_with_ties_it_is_a_loglinear_model():
    """Counts of outcomes as Poisson numbers (Fienberg 1979) have the same abilities and variances."""
    votes = simulated(first=0.3)
    fit = fit_davidson(votes)
    design, counts = [], []
    for a, b, side in sorted({*zip(votes.a.tolist(), votes.b.tolist(), votes.side.tolist(), strict=True)}):
        here = (votes.a == a) & (votes.b == b) & (votes.side == side)
        for outcome in (1, 0, -1):
            row = np.zeros(4 + 1 + 1 + 32)
            row[a], row[b], row[4], row[5] = outcome / 2, -outcome / 2, outcome * side / 2, outcome == 0
            row[6 + (a * 4 + b) * 2 + int(side > 0)] = 1
            design.append(row)
            counts.append((here & (votes.outcome == outcome)).sum())
    design = np.array(design)[:, 1:]  # the first method's ability is 0
    kept = design.any(axis=0)
    theirs = sm.GLM(counts, design[:, kept], family=sm.families.Poisson()).fit(tol=1e-12)
    assert fit.abilities[1:] - fit.abilities[0] == pytest.approx(theirs.params[:3], abs=1e-6)
    assert (fit.first, fit.tie) == pytest.approx(theirs.params[3:5], abs=1e-6)
    inverse = np.linalg.inv(fit.information)[:4, :4]
    assert difference_variances(inverse)[0, 1:] == pytest.approx(np.square(theirs.bse[:3]), rel=1e-5)


def test_the_sandwich_is_that_of_a_logistic_regression():
    """Without leaving clusters out it is statsmodels' cluster-robust covariance without small-sample factors."""
    votes = simulated(ties=0.0)
    clusters = code_groups(np.random.default_rng(1).integers(0, 25, len(votes)))
    fit = fit_davidson(votes)
    design = np.zeros((len(votes), 4))
    design[range(len(votes)), votes.a], design[range(len(votes)), votes.b] = 1, -1
    theirs = sm.Logit((votes.outcome > 0).astype(float), design[:, 1:]).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": clusters.codes, "use_correction": False}
    )
    ours = difference_variances(cluster_covariance(votes, fit, clusters, leave_out=False))
    assert ours[0, 1:] == pytest.approx(np.square(theirs.bse), rel=1e-5)


@pytest.mark.parametrize("n_clusters", [3, 12])
def test_leaving_clusters_out_is_close_to_fitting_without_them(n_clusters):
    """The variance is that of the jackknife with a fit for each cluster left out, clusters of all sizes among them."""
    votes = simulated(n=900, first=0.2)
    rng = np.random.default_rng(2)
    codes = rng.choice(n_clusters, len(votes), p=rng.dirichlet(np.full(n_clusters, 4.0)))
    clusters = code_groups(codes)
    fit = fit_davidson(votes)
    ours = difference_variances(cluster_covariance(votes, fit, clusters)[:4, :4])
    others = np.array([fit_davidson(votes.where(clusters.codes != c)).abilities for c in range(n_clusters)])
    changes = others - fit.abilities
    theirs = difference_variances(changes.T @ changes * (n_clusters - 1) / n_clusters)
    assert ours == pytest.approx(theirs, rel=0.15, abs=1e-12)


def test_two_ways_of_dependence():
    """Their variance is that of both less what they share, and never less than that of either."""
    by_rater, by_group, by_both = np.array([2.0, 1.0]), np.array([3.0, 1.0]), np.array([1.0, 1.5])
    assert two_way_variances(by_rater, by_group, by_both).tolist() == [4.0, 1.0]


def test_it_does_not_matter_which_is_called_a():
    """Votes that are turned round give the same abilities, and twice the votes the same with half the variance."""
    votes = simulated(first=0.3)
    turned = PairedVotes(n_methods=4, a=votes.b, b=votes.a, outcome=-votes.outcome, side=-votes.side)
    fit, other = fit_davidson(votes), fit_davidson(turned)
    assert other.abilities == pytest.approx(fit.abilities, abs=1e-7)
    assert (other.tie, other.first) == pytest.approx((fit.tie, fit.first), abs=1e-7)
    twice = fit_davidson(votes.where(np.tile(np.arange(len(votes)), 2)))
    assert twice.abilities == pytest.approx(fit.abilities, abs=1e-7)


def test_the_order_needs_both_orders():
    """The advantage of being first is not guessed where nobody knows the order, or one method was always first."""
    votes = simulated(k=2)
    assert fit_davidson(votes).first is None
    always = PairedVotes(
        n_methods=2, a=votes.a, b=votes.b, outcome=votes.outcome, side=np.where(votes.a == 0, 1.0, -1.0)
    )
    assert fit_davidson(always).first is None


def test_what_is_connected_and_what_runs_off():
    """Votes connect whoever won them; wins and ties have to lead both ways, or nothing bounds the difference."""
    votes = made([(0, 1, 1), (1, 2, 0), (3, 4, 1)], k=5)
    assert components(votes).tolist() == [0, 0, 0, 1, 1]
    classes = run_off(votes)
    assert classes[1] == classes[2]
    assert len(set(classes.tolist())) == 4
    with pytest.raises(OptionError, match="no greatest likelihood"):
        fit_davidson(made([(0, 1, 1)] * 4, k=2))


@pytest.mark.parametrize("wrong", [{"b": np.array([0, 1])}, {"outcome": np.zeros(3)}, {"a": np.zeros(0, int)}])
def test_what_are_no_votes(wrong):
    """A vote is between two methods, and has an outcome."""
    right = {"a": np.array([0, 0]), "b": np.array([1, 1]), "outcome": np.ones(2), "side": np.zeros(2)}
    with pytest.raises(OptionError, match="two different methods"):
        PairedVotes(n_methods=2, **{**right, **wrong})
