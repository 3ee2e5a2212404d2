"""Prediction-powered inference, against closed forms, its authors' package and promised coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.prediction_powered import FEWEST_GROUPS, Tuning, balance, labelled_mean, labels_needed, tune
from tests.support.grouped import group_differences, tedbench_groups


def study(seed, *, n_labels=40, n_items=200, correlation=0.7, methods=1, groups=None):
    """Labels of a random part of the items, and a metric of all of them."""
    rng = np.random.default_rng(seed)
    groups = list(range(n_items)) if groups is None else groups
    truth = np.stack([group_differences(rng, groups, 0.2) for _ in range(methods)], axis=1)
    noise = np.stack([group_differences(rng, groups, 0.2) for _ in range(methods)], axis=1)
    metric = correlation * truth + np.sqrt(1 - correlation**2) * noise
    labels = np.full_like(truth, np.nan)
    chosen = rng.permutation(len(groups))[:n_labels]
    labels[chosen] = truth[chosen]
    return labels, metric, groups


def fixed(coefficient, n_groups):
    """A coefficient that nothing was estimated for."""
    return Tuning(coefficient=coefficient, without=np.full(n_groups, coefficient), weight=1.0, correlation=None)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0, 2))
def test_of_single_items_it_is_ppi_plus_plus(seed, coefficient):
    """θ = Ȳ + λ(f̄_U − f̄_L) and SE² = Var(Y − λf)/n + λ² Var(f_U)/N, equations 2 and 5 of the paper."""
    labels, metric, groups = study(seed, n_labels=15, n_items=50)
    y, f = labels[:, 0], metric[:, 0]
    labelled = ~np.isnan(y)
    found = labelled_mean(y, f, groups, fixed(coefficient, 50))
    rest = y[labelled] - coefficient * f[labelled]
    assert found.value == pytest.approx(rest.mean() + coefficient * f[~labelled].mean())
    variance = rest.var(ddof=1) / 15 + coefficient**2 * f[~labelled].var(ddof=1) / 35
    assert found.error.error == pytest.approx(variance**0.5)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_the_coefficient_makes_the_variance_least(seed):
    """Before it is shrunk, no other coefficient has a smaller standard error."""
    labels, metric, groups = study(seed, correlation=0.9)
    tuned = tune(labels, metric, groups)

    def variance(coefficient):
        return labelled_mean(labels[:, 0], metric[:, 0], groups, fixed(coefficient, 200)).error.error

    best = min(np.linspace(0, 2, 201), key=variance)
    assert tuned.coefficient <= best + 0.01
    assert tuned.coefficient == pytest.approx(best, abs=0.1)
    assert 0 < tuned.weight <= 1


def test_it_agrees_with_the_authors_package():
    """Value, interval and tuning are those of ppi_py, whose variances divide by n."""
    ppi = pytest.importorskip("ppi_py", reason="the test extra has it")
    labels, metric, groups = study(3, n_labels=1000, n_items=2000)
    y, f = labels[:, 0], metric[:, 0]
    labelled = ~np.isnan(y)
    parts = y[labelled], f[labelled], f[~labelled]
    found = labelled_mean(y, f, groups, fixed(0.4, 2000))
    assert found.value == pytest.approx(float(ppi.ppi_mean_pointestimate(*parts, lam=0.4)[0]))
    low, high = ppi.ppi_mean_ci(*parts, lam=0.4, alpha=0.05)
    theirs = float((high - low)[0]) / 2 / reference.norm.ppf(0.975)
    assert found.error.error == pytest.approx(theirs * np.sqrt(1000 / 999))
    tuned = tune(labels, metric, groups)
    low, high = ppi.ppi_mean_ci(*parts, alpha=0.05)
    found = labelled_mean(y, f, groups, tuned)
    assert found.value == pytest.approx(float((low + high)[0]) / 2, abs=0.05 * found.error.error)
    assert found.error.error == pytest.approx(float((high - low)[0]) / 2 / reference.norm.ppf(0.975), rel=0.01)


def test_without_the_metric_it_is_the_labels_cluster_robust_mean():
    """A coefficient of 0 leaves the mean, the CR2 error and the degrees of freedom that every other mean has."""
    labels, metric, groups = study(0, groups=tedbench_groups())
    labelled = ~np.isnan(labels[:, 0])
    found = labelled_mean(labels[:, 0], metric[:, 0], groups, fixed(0.0, 39))
    expected = cluster_error(labels[labelled, 0], code_groups(groups).where(labelled))
    assert found.value == labels[labelled].mean()
    assert found.error.error == pytest.approx(expected.error)
    assert found.error.freedom == expected.freedom


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-5, 5))
def test_units_and_order_do_not_matter(seed, scale, shift):
    """Another unit or zero of the metric, another order of items or of methods: the same means."""
    labels, metric, groups = study(seed, methods=3, groups=tedbench_groups())
    order = np.random.default_rng(seed).permutation(100)

    def means(labels, metric, groups):
        tuned = tune(labels, metric, groups)
        return [labelled_mean(y, f, groups, tuned) for y, f in zip(labels.T, metric.T, strict=True)]

    ours = means(labels, metric, groups)
    others = means(labels[order][:, ::-1], scale * metric[order][:, ::-1] + shift, np.array(groups)[order].tolist())
    for one, other in zip(ours, others[::-1], strict=True):
        assert one.value == pytest.approx(other.value)
        assert one.error.error == pytest.approx(other.error.error)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_differences_are_those_of_the_means(seed):
    """With one coefficient for all methods a difference between two is the difference of their means."""
    labels, metric, groups = study(seed, methods=3)
    tuned = tune(labels, metric, groups)
    a, b, _ = (labelled_mean(y, f, groups, tuned).value for y, f in zip(labels.T, metric.T, strict=True))
    difference = labelled_mean(labels[:, 1] - labels[:, 0], metric[:, 1] - metric[:, 0], groups, tuned)
    assert difference.value == pytest.approx(b - a)


def test_each_group_is_held_against_the_coefficient_of_the_others():
    """κ = w Σyb/Σb² over groups; without a group both sums lack its terms, and the shrinkage w is the same."""
    labels, metric, groups = study(1, correlation=0.9)
    labelled = ~np.isnan(labels[:, 0])

    def spread(values, part):
        return np.where(part, values - values[part].mean(), 0) / part.sum() / np.sqrt(1 - 1 / part.sum())

    y = spread(labels[:, 0], labelled)
    b = spread(metric[:, 0], labelled) - spread(metric[:, 0], ~labelled)
    y[~labelled] = 0
    tuned, best = tune(labels, metric, groups), (y @ b) / (b @ b)
    shrinkage = 1 - np.square(b * (y - best * b)).sum() / (y @ b) ** 2
    assert tuned.coefficient == pytest.approx(shrinkage * best)
    assert tuned.without == pytest.approx(shrinkage * (y @ b - y * b) / (b @ b - b * b))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda y, f: (y, -f), "do not show"),
        (lambda y, f: (y, np.ones_like(f)), "do not vary"),
        (lambda y, f: (np.where(np.isnan(y), np.nan, 3.0), f), "do not vary"),
        (lambda y, f: (np.where(np.arange(len(y))[:, None] < FEWEST_GROUPS - 1, 1.0 * f, np.nan), f), "show no slope"),
        (lambda y, f: (f + 1, f), "every item"),
    ],
    ids=["opposed", "constant metric", "constant labels", "few groups", "all labelled"],
)
def test_where_the_metric_cannot_help_the_labels_stand_alone(change, reason):
    """A metric that points the other way, does not vary, or has nothing to add is left out, with the reason."""
    labels, metric, groups = study(5)
    labels, metric = change(labels, metric)
    tuned = tune(labels, metric, groups)
    assert tuned.coefficient == tuned.weight == 0
    assert reason in tuned.reason
    found = labelled_mean(labels[:, 0], metric[:, 0], groups, tuned)
    assert found.value == pytest.approx(np.nanmean(labels))


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_intervals_cover_and_are_no_wider_than_the_labels(correlation):
    """Of 40 labels on TEdBench's groups: 95 % of intervals cover, useless metrics cost nothing, good ones halve it."""
    covered, error, alone = 0, 0.0, 0.0
    for seed in range(200):
        labels, metric, groups = study(seed, correlation=correlation, groups=tedbench_groups() * 3)
        tuned = tune(labels, metric, groups)
        found = labelled_mean(labels[:, 0], metric[:, 0], groups, tuned)
        half = reference.t.ppf(0.975, found.error.freedom) * found.error.error
        covered += abs(found.value) <= half
        error += found.value**2
        alone += np.nanmean(labels) ** 2
    assert covered / 200 >= 0.91
    assert error / alone <= (0.75 if correlation else 1.05)


def test_a_biased_part_of_the_items_shows_in_the_metric():
    """Labels of the best half are no random part; of a random half p-values are uniform."""
    rng = np.random.default_rng(0)
    metric, groups = rng.normal(size=120), [n // 2 for n in range(120)]
    found = balance(metric, metric > np.median(metric), groups)
    assert found.p_value < 1e-6
    assert found.difference > 1
    draws = [balance(rng.normal(size=120), rng.permutation(120) < 40, groups).p_value for _ in range(200)]
    assert reference.kstest(draws, "uniform").pvalue > 0.01


def test_a_metric_that_does_not_vary_shows_no_imbalance():
    """Nothing can be compared where all is equal, or one part has a single group."""
    assert balance(np.ones(9), np.arange(9) < 4, range(9)) is None
    assert balance(np.arange(9.0), np.arange(9) < 1, range(9)) is None


def test_shapes_and_scores_are_checked():
    """Labels of other items than the scores, and scores that are not there, are refused."""
    labels, metric, groups = study(0)
    with pytest.raises(OptionError, match="same items"):
        tune(labels[:-1], metric, groups)
    with pytest.raises(OptionError, match="Finite"):
        tune(labels, np.where(metric > 1, np.inf, metric), groups)
    assert labelled_mean(np.full(200, np.nan), metric[:, 0], groups, Tuning.alone(200)) is None


def test_items_without_a_score_are_not_spoken_of():
    """Leaving items out, and marking them as without a score, are the same."""
    labels, metric, groups = study(2, groups=tedbench_groups())
    there = np.arange(100) % 3 > 0
    left_out = [groups[n] for n in np.flatnonzero(there)]
    marked = np.where(there[:, None], metric, np.nan)
    ours = labelled_mean(labels[:, 0], marked[:, 0], groups, tune(labels, marked, groups))
    tuned = tune(labels[there], metric[there], left_out)
    theirs = labelled_mean(labels[there, 0], metric[there, 0], left_out, tuned)
    assert ours.value == pytest.approx(theirs.value)
    assert ours.error.error == pytest.approx(theirs.error.error)


@pytest.mark.parametrize(("correlation", "n_items"), [(0.0, 400), (0.5, 200), (0.9, 100), (0.9, 1000)])
def test_so_many_labels_are_as_certain_as_planned(correlation, n_items):
    """Studies of the planned number of labels err as much as those of labels alone that were asked for."""
    alone = 90
    planned = labels_needed(alone, correlation, n_items)
    assert planned <= alone
    errors = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        truth, noise = rng.normal(size=(2, n_items, 1))
        metric = correlation * truth + np.sqrt(1 - correlation**2) * noise
        labels = np.where(rng.permutation(n_items)[:, None] < planned, truth, np.nan)
        found = labelled_mean(labels[:, 0], metric[:, 0], range(n_items), tune(labels, metric, range(n_items)))
        errors.append(found.error.error)
    assert np.mean(errors) == pytest.approx(alone**-0.5, rel=0.06)


def test_no_number_of_labels_makes_up_for_too_few_items():
    """Where all items labelled are not enough, the metric does not help; an opposed metric is as none."""
    assert labels_needed(200, 1.0, 150) is None
    assert labels_needed(200, -0.8, 1000) == 200
    assert labels_needed(200, 0.8, 200) == 200


def test_a_metric_that_differs_by_a_constant_has_nothing_to_add():
    """Rounding of equal differences is no slope."""
    labels, metric, groups = study(0, methods=2)
    tuned = tune(labels, metric[:, :1] + np.array([0.0, 0.1]), groups)
    assert (tuned.coefficient, tuned.correlation, tuned.reason) == (0.0, None, "labels or metric do not vary")
