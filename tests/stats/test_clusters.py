"""The one standard error of grouped items against full matrices, statsmodels and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from scipy.linalg import fractional_matrix_power

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, cluster_errors, code_groups, group_deviations, satterthwaite
from tests.support.grouped import TEDBENCH_GROUP_SIZES, tedbench_groups


def cr2_by_matrices(d, groups) -> tuple[float, float]:
    """Error of the mean and its degrees of freedom from the matrices of the regression on a constant."""
    n, labels = len(d), np.array(groups)
    hat = np.full((n, n), 1 / n)
    rows = []
    for group in dict.fromkeys(groups):
        inside = np.flatnonzero(labels == group)
        adjustment = fractional_matrix_power(np.eye(len(inside)) - hat[np.ix_(inside, inside)], -0.5)
        rows.append((np.ones(len(inside)) @ adjustment @ (np.eye(n) - hat)[inside]).real / n)
    factors = np.array(rows)  # the squared error is the sum of the squares of factors @ d
    spread = np.linalg.eigvalsh(factors @ factors.T)
    return float(np.sqrt(np.square(factors @ d).sum())), float(spread.sum() ** 2 / np.square(spread).sum())


@given(st.lists(st.integers(1, 7), min_size=2, max_size=12), st.integers(0, 99))
def test_it_is_bell_and_mccaffreys_error(sizes, seed):
    """Error and degrees of freedom are those of the full matrices."""
    groups = np.repeat(np.arange(len(sizes)), sizes).tolist()
    d = np.random.default_rng(seed).normal(size=len(groups))
    ours = cluster_error(d, code_groups(groups))
    assert (ours.error, ours.freedom) == pytest.approx(cr2_by_matrices(d, groups), rel=1e-8)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_of_independent_items_it_is_the_textbooks(values):
    """One item per group: s/√n with n − 1 degrees of freedom."""
    ours = cluster_error(np.array(values), code_groups(range(len(values))))
    assert ours.error == pytest.approx(reference.sem(values), rel=1e-9, abs=1e-9)
    assert ours.freedom == pytest.approx(len(values) - 1)


def test_uneven_groups_leave_few_degrees_of_freedom():
    """Equal groups have G − 1, TEdBench's 39 fewer, one of 61 beside 39 of one hardly any, 10⁶ beside 1 just one."""
    assert satterthwaite(np.full(8, 5.0)) == pytest.approx(7)
    assert satterthwaite(np.array(TEDBENCH_GROUP_SIZES, dtype=float)) == pytest.approx(27.42, abs=0.005)
    assert satterthwaite(np.array([61.0] + [1.0] * 39)) == pytest.approx(2.61, abs=0.005)
    assert satterthwaite(np.array([1e6, 1.0])) == pytest.approx(1, abs=1e-6)


@given(st.lists(st.floats(-10, 10), min_size=4, max_size=20), st.permutations(range(4)))
def test_columns_names_and_scale_change_nothing(values, names):
    """Many columns at once have the errors of each alone, whatever the groups are called and however large they are."""
    columns = np.stack([values, values[::-1], np.ones(len(values))], axis=1)
    groups = [i % 4 for i in range(len(values))]
    errors, freedom = cluster_errors(columns, code_groups(groups))
    renamed = code_groups([f"group {names[group]}" for group in groups])
    for column, error in zip(columns.T, errors, strict=True):
        alone = cluster_error(column, renamed)
        assert (alone.error, alone.freedom) == (pytest.approx(error, abs=1e-12), pytest.approx(freedom))
    assert errors[2] == 0
    for scale in (1e-300, 1e300):
        assert cluster_errors(columns * scale, code_groups(groups))[0] == pytest.approx(errors * scale, rel=1e-9)
    deviations = group_deviations(columns, code_groups(groups))
    assert np.sqrt(np.diag(deviations.T @ deviations)) == pytest.approx(errors, abs=1e-12)


def test_groups_that_do_not_differ_have_an_error_of_exactly_0():
    """Equal values, items that cancel within every group, and sums that differ by rounding only."""
    for values in ([0.1] * 4, [1.0, -1.0, 1.0, -1.0], [0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2]):
        assert cluster_error(np.array(values), code_groups([0, 0, 1, 1])).error == 0


def test_one_group_has_no_error():
    """Nothing is known of a spread between groups; many columns at once must not be asked for."""
    for values, groups in ((np.array([1.0, 2.0]), "aa"), (np.array([]), "")):
        assert cluster_error(values, code_groups(groups)) is None
        with pytest.raises(OptionError):
            cluster_errors(values[:, None], code_groups(groups))


def test_one_dominating_group_does_not_deceive_it():
    """With 61 of 100 items in one group and correlated groups the t interval covers 95 %, not 58 %."""
    groups = code_groups([0] * 61 + list(range(1, 40)))
    rng = np.random.default_rng(0)
    items = np.sqrt(0.2) * rng.normal(size=(40, 4_000))[groups.codes] + np.sqrt(0.8) * rng.normal(size=(100, 4_000))
    errors, freedom = cluster_errors(items, groups)
    covered = np.abs(items.mean(axis=0)) <= reference.t.ppf(0.975, freedom) * errors
    assert covered.mean() >= 0.91


def test_tedbenchs_groups_are_covered_as_promised():
    """Whatever the correlation within groups, 95 of 100 intervals hold the mean."""
    groups = code_groups(tedbench_groups())
    rng = np.random.default_rng(1)
    for correlation in (0.0, 0.2, 0.8):
        between, within = rng.normal(size=(39, 4_000))[groups.codes], rng.normal(size=(100, 4_000))
        items = np.sqrt(correlation) * between + np.sqrt(1 - correlation) * within
        errors, freedom = cluster_errors(items, groups)
        covered = np.abs(items.mean(axis=0)) <= reference.t.ppf(0.975, freedom) * errors
        assert covered.mean() == pytest.approx(0.95, abs=0.012)
