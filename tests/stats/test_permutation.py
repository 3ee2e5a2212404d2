"""The sign-flip test against brute force, scipy and its own symmetries; its interval against the test it inverts."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats import signs
from evalkit.stats.bootstrap import group_weights
from evalkit.stats.permutation import sign_flip_test, sign_flip_tests
from evalkit.stats.signs import subset_sums
from tests.support.grouped import all_permutations, group_differences, tedbench_groups

steps = st.integers(-40, 40)
grouped = st.lists(st.tuples(steps, st.integers(0, 7)), min_size=2, max_size=14)


def split(rows):
    """Differences on a grid of hundredths, and their groups."""
    return np.array([value / 100 for value, _ in rows]), [f"picture {group}" for _, group in rows]


@given(grouped)
def test_the_p_value_is_the_share_of_all_permutations_that_reach_the_observed_sum(rows):
    """Enumeration agrees with a loop over every assignment of signs to groups."""
    differences, groups = split(rows)
    sums = np.rint(all_permutations(differences, groups) * 100)
    result = sign_flip_test(differences, groups)
    assert result.how == "enumeration"
    assert result.p_value == np.mean(np.abs(sums) >= abs(sums[0]))


def test_it_is_scipys_permutation_test_where_every_item_is_its_own_group():
    """With singleton groups the exact p-value is scipy's, for samples under its enumeration limit."""
    rng = np.random.default_rng(0)
    for n in (2, 5, 12):
        d = np.round(rng.normal(0.3, 1, n), 2)
        theirs = reference.permutation_test(
            (d,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
        )
        assert sign_flip_test(d, range(n)).p_value == pytest.approx(theirs.pvalue, abs=1e-12)


@given(st.lists(steps, min_size=21, max_size=30))
@settings(max_examples=25)
def test_counting_subsets_agrees_with_random_permutations(values):
    """Beyond 20 groups the exact count lies within four standard errors of 9,999 random permutations."""
    d = np.array(values) / 100
    counted = sign_flip_test(d, range(len(d)))
    drawn = sign_flip_test(d, range(len(d)), exact_steps=-1, n_permutations=9_999)
    if len({abs(value) for value in values if value}) > 1:
        assert (counted.how, drawn.how) == ("dynamic_programming", "monte_carlo")
        tolerance = 4 * math.sqrt(counted.p_value * (1 - counted.p_value) / 9_999) + 1e-4
        assert drawn.p_value == pytest.approx(counted.p_value, abs=tolerance)


@given(st.lists(st.integers(-1, 1), min_size=21, max_size=400))
def test_a_counted_p_value_is_at_most_one(values):
    """Rounding of a count of very many subsets does not make more of them than there are."""
    assert 0 < signs.two_sided_tail(np.array(values, dtype=float)) <= 1


@given(st.lists(st.integers(-30, 30), max_size=12))
def test_counting_subsets_agrees_with_listing_them(values):
    """The tails by dynamic programming are those of all 2^n signed sums, whatever the ties and zeros."""
    scores = np.array(values, dtype=float)
    sums = all_permutations(scores, range(len(scores))) if len(scores) else np.zeros(1)
    assert signs.two_sided_tail(scores) == pytest.approx(np.mean(np.abs(sums) >= abs(sums[0])), abs=1e-12)


def test_counting_does_not_overflow_and_no_p_value_is_zero():
    """Thousands of groups that all agree have a tiny p-value, not 0 and not infinity."""
    uneven = np.r_[np.ones(1500), 2.0]
    assert 0 < signs.two_sided_tail(np.ones(5000)) < 1e-300
    assert 0 < signs.two_sided_tail(uneven) < 1e-300
    alternating = np.r_[np.tile([1.0, -1.0], 700), 2.0]
    near = math.erfc(2 / math.sqrt(1404) / math.sqrt(2))
    assert signs.two_sided_tail(alternating) == pytest.approx(near, abs=0.03)


@given(grouped, st.sampled_from([0.05, 0.1, 0.2, 0.5]))
def test_the_interval_excludes_zero_exactly_when_the_test_rejects(rows, alpha):
    """P-value and interval come from the same permutations and never disagree; without spread there is no interval."""
    differences, groups = split(rows)
    result = sign_flip_test(differences, groups, alpha=alpha)
    if result.low is None:
        assert result.p_value > alpha or result.reason.startswith("all groups have the same difference")
    else:
        assert (not result.low <= 0 <= result.high) == (result.p_value <= alpha)
        assert result.low < result.high


@given(st.integers(0, 400), st.sampled_from([0, 2_000_000]), st.floats(-0.3, 0.3))
@settings(max_examples=60)
def test_the_interval_agrees_with_the_test_for_random_permutations_too(seed, exact_steps, shift):
    """Beyond enumeration the interval still excludes 0 exactly when p ≤ α, counted or drawn."""
    d = np.random.default_rng(seed).normal(shift, 0.5, 25)
    result = sign_flip_test(d, range(25), n_permutations=399, exact_steps=exact_steps, grid=1e-4)
    assert (result.how == "dynamic_programming") == (exact_steps > 0)
    assert (not result.low <= 0 <= result.high) == (result.p_value <= 0.05)


def test_the_interval_holds_the_shifts_that_the_test_does_not_reject():
    """Moving the differences by a value inside the interval makes them compatible with 0, outside it does not."""
    rng = np.random.default_rng(1)
    groups = [0, 0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8]
    d = np.round(rng.normal(0.2, 0.3, len(groups)), 3)
    result = sign_flip_test(d, groups)
    for shift, inside in (
        (result.low, True),
        (result.high, True),
        (result.low - 2e-6, False),
        (result.high + 2e-6, False),
    ):
        assert (sign_flip_test(d - shift, groups, grid=1e-9).p_value > 0.05) is inside


@given(grouped, st.randoms(use_true_random=False), st.sampled_from([0.5, 2.0, 10.0]))
def test_order_names_signs_and_units_do_not_matter(rows, random, scale):
    """Shuffled items with renamed groups give the same; swapped methods mirror it, and scaled scores scale it."""
    differences, groups = split(rows)
    one = sign_flip_test(differences, groups)
    other = sign_flip_test(*split(random.sample(rows, len(rows))))
    assert (one.p_value, one.low, one.high) == (other.p_value, other.low, other.high)
    mirrored = sign_flip_test(-differences, [hash(group) for group in groups])
    assert (one.p_value, one.difference) == (mirrored.p_value, -mirrored.difference)
    assert one.low is None or (one.low, one.high) == (-mirrored.high, -mirrored.low)
    scaled = sign_flip_test(differences * scale, groups)
    assert one.p_value == scaled.p_value
    assert scaled.difference == pytest.approx(one.difference * scale, abs=1e-12)


def test_a_tie_that_rounding_would_break_is_a_tie():
    """0.3 − 0.1 and 0.2 differ in the last bit; on the grid they are the same difference."""
    noisy, clean = np.array([0.3 - 0.1, -0.2, 0.2, 0.1]), np.array([0.2, -0.2, 0.2, 0.1])
    assert noisy[0] != clean[0]
    assert sign_flip_test(noisy, range(4)) == sign_flip_test(clean, range(4))


def test_too_few_groups_have_no_interval():
    """Five groups cannot reach .05: there is no finite interval; groups that do not differ count for nothing."""
    result = sign_flip_test(np.arange(1.0, 6.0), range(5))
    assert (result.p_value, result.low, result.high, result.n_differing) == (0.0625, None, None, 5)
    assert result.reason == "no finite interval at this level"
    sparse = sign_flip_test(np.r_[1.0, 2.0, np.zeros(30)], range(32))
    assert (sparse.n_groups, sparse.n_differing, sparse.p_value) == (32, 2, 0.5)


@pytest.mark.parametrize("n", [8, 40, 6_000])
def test_groups_that_all_differ_alike_have_no_interval_of_no_width(n):
    """Where every group has the same difference nothing can be said of its spread, and the p-value stands."""
    result = sign_flip_test(np.full(n, 0.25), range(n))
    assert (result.difference, result.low, result.high) == (0.25, None, None)
    assert "no spread" in result.reason
    assert result.p_value <= 2 / 2**8


@given(st.lists(st.integers(-50, 60), min_size=21, max_size=40))
@example([0] * 7 + [-4, -38] + [0] * 6 + [-3] + [0] * 5)
@example([0] * 18 + [-42, 4, 38])
@settings(max_examples=60)
def test_the_saddlepoint_is_the_exact_tail(values):
    """Robinson's approximation is within 15 % of the exact count where p is below .01, and exact at the end."""
    sums = np.array(values, dtype=float)
    exact, near = signs.two_sided_tail(sums), signs.saddlepoint_tail(sums)
    assert near == pytest.approx(signs.saddlepoint_tail(sums * -0.37), rel=1e-6)  # of any unit, from either side
    if abs(sums.sum()) == np.abs(sums).sum():
        assert near == pytest.approx(exact)
    elif exact < 0.01 and np.count_nonzero(sums) > 20:
        assert near == pytest.approx(exact, rel=0.15)


def test_random_permutations_too_few_for_a_family_leave_the_tail_to_the_saddlepoint():
    """With 528 comparisons 1,999 permutations cannot show anything; the interval agrees with the finer p-value."""
    d = np.random.default_rng(11).normal(1.2, 1, 60)
    steps = np.stack([np.zeros(60), np.rint(d * 1e6)], axis=1)
    alone, among = (sign_flip_tests(steps, range(60), [(0, 1)], n_permutations=1_999, n_tests=[n]) for n in (1, 528))
    assert (alone[0].how, alone[0].p_value) == ("monte_carlo", 1 / 2_000)
    assert among[0].how == "saddlepoint"
    assert among[0].p_value == pytest.approx(signs.two_sided_tail(np.rint(d * 1e3)), rel=0.02)
    assert among[0].low > 0


def test_very_many_groups_are_normal():
    """Beyond 5,000 groups z = Σ D/√Σ D²; its interval holds the shifts that are not rejected."""
    rng = np.random.default_rng(12)
    groups = np.repeat(np.arange(6_000), rng.integers(1, 4, 6_000))
    d = rng.normal(0.05, 1, len(groups)).round(6)
    result = sign_flip_test(d, groups)
    sums = np.bincount(groups, weights=d)
    z = sums.sum() / np.sqrt(np.square(sums).sum())
    assert result.how == "normal"
    assert result.p_value == pytest.approx(2 * reference.norm.sf(abs(z)))
    for end in (result.low, result.high):
        assert sign_flip_test(d - end, groups, grid=1e-9).p_value == pytest.approx(0.05, abs=1e-4)
    overwhelming = sign_flip_test(d + 500, groups)
    assert 0 < overwhelming.p_value < 1e-300


def test_zeros_stay_in_and_identical_scores_are_plain_results():
    """Items without a difference count in the mean; no difference at all has p = 1, two items p = ½ at best."""
    result = sign_flip_test(np.r_[np.full(8, 0.5), np.zeros(8)], range(16))
    assert (result.p_value, result.difference) == (2 / 2**8, 0.25)
    assert sign_flip_test(np.array([1.0, 2.0]), range(2)).p_value == 0.5
    for n in (2, 25, 60):
        same = sign_flip_test(np.zeros(n), range(n))
        assert (same.p_value, same.difference) == (1.0, 0.0)


def test_a_pair_without_items_has_a_reason_and_is_in_no_family():
    """Everything of it is absent, its adjusted p-value too, and the others have theirs."""
    scores = np.array([[1.0, 2.0, np.nan], [2.0, 4.0, np.nan], [3.0, 5.0, np.nan], [np.nan, np.nan, 1.0]])
    first, second = sign_flip_tests(scores, range(4), [(0, 1), (0, 2)], max_t_families=[0, 0])
    assert first.max_t_p_value == first.p_value
    assert (second.p_value, second.difference, second.max_t_p_value) == (None, None, None)
    assert second.reason == "no item has both scores"


def test_a_random_p_value_counts_the_observed_permutation():
    """No permutation of 99 reaches an overwhelming difference, and p is 1/100, never 0."""
    result = sign_flip_test(np.linspace(1, 2, 60), range(60), n_permutations=99, exact_steps=0)
    assert (result.how, result.p_value) == ("monte_carlo", 0.01)


def test_the_result_depends_on_the_seed_and_not_on_the_memory_it_may_use():
    """Chunks of one row or of many, batches of one pair or of all: the same numbers; another seed: others."""
    rng = np.random.default_rng(3)
    scores, groups = np.rint(1e6 * rng.normal(size=(60, 6))), rng.integers(0, 30, 60).tolist()
    pairs = [(a, b) for b in range(6) for a in range(b)]
    families = [b % 2 for _, b in pairs]
    options = {"n_permutations": 2_500, "seed": 7, "max_t_families": families}
    whole = sign_flip_tests(scores, groups, pairs, **options)
    assert whole == sign_flip_tests(scores, groups, pairs, chunk_bytes=1, sums_bytes=1, **options)
    assert whole != sign_flip_tests(scores, groups, pairs, **{**options, "seed": 8})


def test_more_permutations_continue_the_fewer():
    """The first thousand permutations are the same whether one or three thousand are drawn."""
    column = np.arange(30.0)[:, None]
    few, many = (subset_sums(column, n_permutations=n, seed=5)[0] for n in (1000, 3000))
    assert (many[:1001] == few).all()
    shares = subset_sums(np.eye(30), n_permutations=4000, seed=5)[:, 1:].mean(axis=1)
    assert np.abs(shares - 0.5).max() < 0.04


def test_bootstrap_weights_are_draws_of_as_many_groups():
    """Every resample draws G groups with replacement, each as often as any other."""
    weights = np.concatenate(list(group_weights(11, n_resamples=500, seed=1)))
    assert weights.shape == (500, 11)
    assert (weights.sum(axis=1) == 11).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(11), abs=0.2)


def test_a_pair_does_not_depend_on_its_company():
    """Tested with others, with or without missing scores, a pair has the result that it has alone."""
    rng = np.random.default_rng(4)
    scores = np.rint(1e6 * rng.normal(size=(50, 4)))
    scores[3, 2] = scores[7, 3] = np.nan
    groups = rng.integers(0, 25, 50).tolist()
    pairs = [(0, 1), (0, 2), (2, 3)]
    together = sign_flip_tests(scores, groups, pairs, n_permutations=999)
    for (a, b), result in zip(pairs, together, strict=True):
        kept = ~np.isnan(scores[:, a] + scores[:, b])
        d, left = (scores[:, b] - scores[:, a])[kept], [group for group, keep in zip(groups, kept, strict=True) if keep]
        alone = sign_flip_tests(scores[:, (a, b)], groups, [(0, 1)], n_permutations=999)[0]
        assert alone == result
        assert (result.n_items, result.difference) == (len(left), pytest.approx(d.mean()))


def test_max_t_is_the_share_of_permutations_whose_largest_t_is_as_large():
    """Step-down max-|t| by brute force over all permutations of the same signs for all pairs."""
    rng = np.random.default_rng(6)
    scores = np.rint(1e6 * rng.normal([0, 0.3, 1.2], size=(9, 3)))
    pairs = [(0, 1), (0, 2), (1, 2)]
    results = sign_flip_tests(scores, range(9), pairs, max_t_families=[0, 0, 0])
    sums = np.stack([all_permutations(scores[:, b] - scores[:, a], range(9)) for a, b in pairs])
    z = np.abs(sums) / np.sqrt([np.square(scores[:, b] - scores[:, a]).sum() for a, b in pairs])[:, None]
    order = np.argsort(-z[:, 0])
    adjusted, largest = np.empty(3), 0.0
    for step, pair in enumerate(order):
        largest = max(largest, np.mean(z[order[step:]].max(axis=0) >= z[pair, 0] - 1e-9))
        adjusted[pair] = largest
    assert [result.max_t_p_value for result in results] == pytest.approx(adjusted.tolist(), abs=1e-12)
    assert all(result.max_t_p_value >= result.p_value for result in results)


def test_ignoring_groups_would_find_differences_that_are_not_there():
    """With TEdBench's groups and correlated items the group test rejects 5 % of true nulls, the item test far more."""
    rng, groups = np.random.default_rng(7), tedbench_groups()
    rejected = np.zeros(2)
    for _ in range(300):
        d = group_differences(rng, groups, 0.5)
        for which, labels in enumerate((groups, range(100))):
            rejected[which] += sign_flip_test(d, labels, n_permutations=199).p_value <= 0.05
    assert rejected[0] / 300 <= 0.09
    assert rejected[1] / 300 >= 0.12


@pytest.mark.parametrize(
    ("values", "groups", "options"),
    [
        ([1.0, np.nan], [0, 1], {}),
        ([1.0, np.inf], [0, 1], {}),
        ([1.0], [0, 1], {}),
        ([1.0, 2.0], [0, 1], {"alpha": 0.0}),
        ([1.0, 2.0], [0, 1], {"n_permutations": 0}),
        ([1.0, 2.0], [0, 1], {"grid": 0.0}),
        ([1e12, 2.0], [0, 1], {}),
        (np.ones(30), range(30), {"seed": -1}),
        (np.ones((2, 2)), [0, 1], {}),
    ],
)
def test_malformed_input_is_refused(values, groups, options):
    """What is not finite, of unequal length, or out of range is an error and not a number."""
    with pytest.raises(OptionError):
        sign_flip_test(np.array(values), groups, **options)
