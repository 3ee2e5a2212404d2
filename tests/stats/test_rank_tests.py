"""Wilcoxon, sign and McNemar tests against scipy and statsmodels, with ties, zeros, n = 2 and nothing at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar

from evalkit.stats import signs
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.multiplicity import adjust
from evalkit.stats.permutation import sign_flip_test
from evalkit.stats.rank_tests import rank_biserial, t_test, wilcoxon_signed_rank
from tests.support.grouped import all_permutations, tedbench_groups


@given(st.lists(st.integers(-6, 6).filter(bool), min_size=2, max_size=8), st.integers(0, 3))
@settings(max_examples=15)
def test_wilcoxon_with_ties_is_exact(values, zeros):
    """The p-value is the share of all sign assignments of the midranks, as scipy's exact permutation gives it."""
    d = np.r_[np.array(values) / 2, np.zeros(zeros)]
    theirs = reference.wilcoxon(np.array(values), method=reference.PermutationMethod(n_resamples=np.inf))
    assert wilcoxon_signed_rank(d, range(len(d))) == pytest.approx(theirs.pvalue, abs=1e-9)


@given(st.integers(5, 45))
@settings(max_examples=10)
def test_wilcoxon_without_ties_is_scipys_exact_test(n):
    """For distinct differences both use the same null distribution."""
    d = np.random.default_rng(n).normal(0.3, 1, n)
    expected = reference.wilcoxon(d, method="exact").pvalue
    assert wilcoxon_signed_rank(d, range(n)) == pytest.approx(expected, rel=1e-9)


def test_all_zeros_have_p_1_at_any_size():
    """Where scipy says 1, NaN or .002 depending on size and option, nothing but zeros has p = 1."""
    for n in (2, 10, 60):
        assert wilcoxon_signed_rank(np.zeros(n), range(n)) == 1.0


def test_equal_magnitudes_share_a_rank_whatever_their_last_bit():
    """Differences that are equal on paper are tied, as they would be with exact decimals (scipy gh-17667)."""
    d = np.array([0.3 - 0.2, -0.1, 0.4 - 0.3, 0.2 - 0.3, 0.5])
    assert wilcoxon_signed_rank(d, range(5)) == wilcoxon_signed_rank(np.round(d, 3), range(5))


def test_a_thousand_items_with_ties_are_counted():
    """At 900 tied and zero differences it is still exact: near the corrected normal curve and not on it."""
    d = np.random.default_rng(4).integers(-9, 11, 900).astype(float)
    counted, normal = wilcoxon_signed_rank(d, range(900)), wilcoxon_signed_rank(d, range(900), exact_steps=0)
    corrected = reference.wilcoxon(d, method="asymptotic", correction=True).pvalue
    assert counted == pytest.approx(corrected, rel=0.05)
    assert counted != pytest.approx(normal, rel=1e-6)


def test_many_items_use_the_normal_curve_with_the_correction_for_ties():
    """Where counting would take too long the p-value is scipy's asymptotic one."""
    d = np.random.default_rng(1).integers(-5, 7, 3000).astype(float)
    expected = reference.wilcoxon(d, method="asymptotic").pvalue
    assert wilcoxon_signed_rank(d, range(3000)) == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 5)), min_size=1, max_size=14))
def test_groups_are_flipped_together(rows):
    """Signed ranks are summed by group before their signs are flipped."""
    d, groups = np.array([value for value, _ in rows], dtype=float), [group for _, group in rows]
    kept = d != 0
    ranks = np.zeros(len(d))
    ranks[kept] = reference.rankdata(np.abs(d[kept])) if kept.any() else 0
    sums = all_permutations(2 * ranks * np.sign(d), groups)
    assert wilcoxon_signed_rank(d, groups) == pytest.approx(np.mean(np.abs(sums) >= abs(sums[0])), abs=1e-12)


def test_signs_are_counted_exactly_for_a_hundred_thousand_items():
    """Counting has a closed form where all scores are alike: scipy's binomial test."""
    d = np.r_[np.ones(50_400), -np.ones(49_600)]
    assert signs.two_sided_tail(d) == pytest.approx(reference.binomtest(50_400, 100_000).pvalue, rel=1e-9)


@given(*[st.integers(0, 12)] * 4)
def test_of_successes_and_failures_the_sign_flip_is_mcnemars_exact_test(both, only_a, only_b, neither):
    """Only the items on which the methods disagree count, as in statsmodels' test."""
    d = np.r_[np.zeros(both), -np.ones(only_a), np.ones(only_b), np.zeros(neither)]
    if only_a + only_b:
        expected = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
        assert sign_flip_test(d, range(len(d))).p_value == pytest.approx(min(1.0, expected), abs=1e-12)


def test_pairwise_wilcoxon_with_holm_is_scikit_posthocs():
    """Two independent libraries agree on a whole table of corrected pairwise tests."""
    import scikit_posthocs

    rng = np.random.default_rng(2)
    table = rng.normal([0.0, 0.2, 0.9, 1.0], size=(14, 4))
    theirs = scikit_posthocs.posthoc_wilcoxon(list(table.T), p_adjust="holm", method="exact")
    pairs = [(a, b) for b in range(4) for a in range(b)]
    raw = [wilcoxon_signed_rank(table[:, b] - table[:, a], range(14), grid=1e-12) for a, b in pairs]
    expected = [theirs.iloc[a, b] for a, b in pairs]
    assert adjust(raw) == pytest.approx(expected, rel=1e-9)


def test_the_t_test_is_scipys_and_statsmodels():
    """With singleton groups it is the paired t test, with groups of one size the cluster-robust regression."""
    groups = np.repeat(np.arange(20), 5)
    d = np.random.default_rng(3).normal(0.1, 1, 100) + groups / 100
    assert t_test(d, range(100)) == pytest.approx(reference.ttest_1samp(d, 0).pvalue, rel=1e-4)
    fit = OLS(d, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}, use_t=True)
    assert t_test(d, groups) == pytest.approx(fit.pvalues[0], rel=1e-3)


def test_one_big_group_leaves_the_t_test_undecided():
    """With 61 of 100 items in one group there are 2.6 degrees of freedom, whatever G − 1 is."""
    rng = np.random.default_rng(0)
    groups = [0] * 61 + list(range(1, 40))
    d = rng.normal(0.3, 1, 100)
    d[:61] += 0.2
    spread = cluster_error(np.rint(d * 1e6), code_groups(groups))
    t = np.rint(d * 1e6).mean() / spread.error
    assert spread.freedom == pytest.approx(2.61, abs=0.005)
    assert t_test(d, groups) == pytest.approx(2 * reference.t.sf(abs(t), spread.freedom))


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=30), st.integers(2, 6))
def test_the_rank_biserial_correlation_is_that_of_the_midranks(values, n_groups):
    """W+ less W− over their sum, as scipy ranks them; the interval holds it, inside [−1, 1] and never without width."""
    d = np.array(values, dtype=float)
    ours = rank_biserial(d, [i % n_groups for i in range(len(d))])
    moved = d[d != 0]
    if not len(moved):
        assert (ours.value, ours.low, ours.reason) == (None, None, "no item differs")
        return
    ranks = reference.rankdata(np.abs(moved))
    assert ours.value == pytest.approx((np.sign(moved) * ranks).sum() / ranks.sum(), abs=1e-12)
    if ours.low is None:
        assert ours.reason
    else:
        assert -1 <= ours.low < ours.value < ours.high <= 1
    turned = rank_biserial(-d, [f"g{i % n_groups}" for i in range(len(d))])
    assert (turned.value, turned.low) == (-ours.value, None if ours.high is None else pytest.approx(-ours.high))


def test_nothing_but_wins_has_no_interval_of_its_rank_correlation():
    """Where every difference has one sign, or there is one group, there is a value and a reason."""
    for d, groups, value, reason in (
        ([1.0, 2.0, 0.0, 3.0], range(4), 1.0, "all differences have the same sign"),
        ([-1.0, -2.0], range(2), -1.0, "all differences have the same sign"),
        ([1.0, -2.0], "aa", -1 / 3, "one group"),
        ([1.0, -1.0, 1.0, -1.0], "aabb", 0.0, "all groups have the same balance"),
    ):
        ours = rank_biserial(np.array(d), groups)
        assert (ours.value, ours.low, ours.high) == (pytest.approx(value), None, None)
        assert ours.reason.startswith(reason)


def test_few_large_wins_lose_by_rank():
    """Four large wins among 26 losses: the ranks favour the other method, by test and interval, whatever the mean."""
    rng = np.random.default_rng(5)
    d = np.r_[rng.uniform(10, 20, 4), -rng.uniform(0.5, 1.5, 26)]
    ours = rank_biserial(d, range(30))
    assert d.mean() > 0 > ours.high > ours.value == pytest.approx((4 * 28.5 - 26 * 13.5) / 465)
    assert wilcoxon_signed_rank(d, range(30)) < 0.05


@pytest.mark.parametrize(
    ("shift", "correlation", "groups"),
    [
        (0.0, 0.0, tedbench_groups()),
        (0.5, 0.3, tedbench_groups()),
        (1.0, 0.0, tedbench_groups()),
        (0.0, 0.0, list(range(12))),
        (0.5, 0.0, list(range(20))),
    ],
)
def test_the_rank_correlation_is_covered(shift, correlation, groups):
    """About 95 of 100 intervals hold the true correlation, small or large, in TEdBench's groups and of few items."""
    rng, labels = np.random.default_rng(6), np.array(groups)
    truth = 2 * reference.norm.cdf(shift * np.sqrt(2)) - 1  # the mean sign of the sum of two independent differences
    covered = counted = 0
    for _ in range(1_000):
        between, within = rng.normal(size=labels.max() + 1)[labels], rng.normal(size=len(labels))
        ours = rank_biserial(shift + np.sqrt(correlation) * between + np.sqrt(1 - correlation) * within, groups)
        if ours.low is not None:
            counted += 1
            covered += ours.low <= truth <= ours.high
    assert counted >= 980
    assert 0.925 <= covered / counted <= 0.98
