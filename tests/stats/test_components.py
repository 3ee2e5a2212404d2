"""Components of a judge's answers: items, items by methods, repeats."""

import numpy as np
import pytest

from evalkit.stats.components import answer_components


def drawn(n, m, k, deviations, seed=0):
    """``(n, k)`` answers of m methods with these standard deviations of items, of items by methods and of repeats."""
    rng = np.random.default_rng(seed)
    items, by_method, repeats = deviations
    of_items = items * rng.normal(size=(n, 1))
    cells = [of_items + 3 * j + by_method * rng.normal(size=(n, 1)) for j in range(m)]
    return [cell + repeats * rng.normal(size=(n, k)) for cell in cells]


def test_by_hand():
    """Two items, methods and repeats: MS_e = 2, MS_im = 8 and MS_i = 72."""
    found = answer_components([np.array([[9.0, 11], [1, 3]]), np.array([[8.0, 10], [4, 6]])])
    assert (found.repeats, found.items_by_methods, found.items) == (2, (8 - 2) / 2, (72 - 8) / 4)
    assert found.shares == pytest.approx((16 / 21, 3 / 21, 2 / 21))
    assert found.share_in_difference == pytest.approx(1 / (3 + 1))


def test_mean_squares_are_those_of_statsmodels():
    """The table of a two-way analysis of variance with interaction."""
    pandas = pytest.importorskip("pandas")
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    tables = drawn(7, 3, 4, (2, 1, 1))
    rows = [(i, m, float(y)) for m, table in enumerate(tables) for i, row in enumerate(table) for y in row]
    fitted = ols("y ~ C(i) * C(m)", pandas.DataFrame(rows, columns=["i", "m", "y"])).fit()
    mean = anova_lm(fitted).mean_sq
    found = answer_components(tables)
    assert found.repeats == pytest.approx(mean["Residual"])
    assert found.items_by_methods == pytest.approx(max(0, (mean["C(i):C(m)"] - mean["Residual"]) / 4))
    assert found.items == pytest.approx(max(0, (mean["C(i)"] - mean["C(i):C(m)"]) / 12))


def test_the_components_of_simulated_answers_are_found():
    """Of many items, within a few per cent."""
    found = answer_components(drawn(20_000, 3, 3, (2, 1, 0.5)))
    assert (found.items, found.items_by_methods, found.repeats) == pytest.approx((4, 1, 0.25), rel=0.05)


def test_what_changes_nothing_and_what_scales():
    """Methods' means, the order of items, methods and repeats; a scale multiplies all by its square."""
    tables = drawn(9, 3, 2, (1, 1, 1))
    found = answer_components(tables)
    order = np.random.default_rng(1).permutation(9)
    other = answer_components([7 + table[order][:, ::-1] for table in reversed(tables)])
    for name in ("items", "items_by_methods", "repeats"):
        assert getattr(other, name) == pytest.approx(getattr(found, name))
        scaled = answer_components([10 * table for table in tables])
        assert getattr(scaled, name) == pytest.approx(100 * getattr(found, name))


def test_items_without_every_answer_are_left_out():
    """As many repeats as all methods have count."""
    one, two = drawn(6, 2, 3, (1, 1, 1))
    hole = one.copy()
    hole[2, 1] = np.nan
    kept = [0, 1, 3, 4, 5]
    assert answer_components([hole, two[:, :2]]) == answer_components([one[kept, :2], two[kept, :2]])


@pytest.mark.parametrize(
    "tables",
    [
        [],
        [np.ones((5, 3))],
        [np.arange(5.0)[:, None], np.arange(5.0)[:, None]],
        [np.ones((1, 3)), np.zeros((1, 3))],
        [np.ones((5, 3)), np.zeros((5, 3))],
        [np.full((5, 3), np.nan), np.zeros((5, 3))],
    ],
)
def test_there_are_none_of_too_little(tables):
    """Fewer than two items, methods or repeats, and answers that never vary."""
    assert answer_components(tables) is None


def test_a_judge_without_repeats_noise_makes_nothing_of_a_difference():
    """And one that is nothing but noise, all of it."""
    silent = answer_components([np.array([[1.0, 1], [2, 2], [4, 4]]), np.array([[1.0, 1], [0, 0], [3, 3]])])
    assert (silent.share_in_difference, silent.narrowing) == (0, 0)
    noise = answer_components([np.array([[0.0, 2], [2, 0]]), np.array([[0.0, 2], [2, 0]])])
    assert (noise.share_in_difference, noise.narrowing) == (1, 1)
