"""The pipeline of inference on arrays: verdicts, seeds, missing scores, families."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.compare import compare_methods
from evalkit.stats.multiplicity import adjust
from evalkit.stats.permutation import sign_flip_test
from evalkit.stats.records import Floor
from evalkit.stats.scores import InferenceOptions, MetricScores
from tests.support.grouped import compare_two, metric_scores, tedbench_groups


def compare_all(values, groups, *, fields=None, **options):
    """All pairs of methods on one metric."""
    return compare_methods([metric_scores(values, **(fields or {}))], groups, InferenceOptions(**options))


def test_a_record_is_complete():
    """Means, difference, interval, effect size, counts and detectable effect agree with their definitions."""
    rng, groups = np.random.default_rng(0), tedbench_groups()
    a = rng.normal(0.25, 0.03, 100).round(6)
    b = (a + rng.normal(0.005, 0.02, 100)).round(6)
    pair = compare_two(a, b, groups, margin=0.005)
    d = b - a
    assert (pair.n_items, pair.n_groups, pair.n_seeds, pair.n_not_run) == (100, 39, 1, 0)
    assert pair.difference == pytest.approx(pair.mean_b - pair.mean_a) == pytest.approx(d.mean())
    alone = sign_flip_test(d, groups)
    assert (pair.p_value, pair.ci_low, pair.ci_high, pair.how) == (alone.p_value, alone.low, alone.high, alone.how)
    assert pair.effect_size_dz == pytest.approx(d.mean() / d.std(ddof=1))
    assert (pair.win, pair.tie, pair.loss) == ((d > 0).sum(), 0, (d < 0).sum())
    error = cluster_error(d, code_groups(groups))
    assert pair.minimum_detectable_effect == pytest.approx(
        sum(reference.t.ppf(p, error.freedom) for p in (0.975, 0.8)) * error.error, rel=0.01
    )
    assert (pair.margin, pair.n_total, pair.floor, pair.complete_cases) == (0.005, 100, None, None)
    assert pair.how == "dynamic_programming"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=14))
def test_swapping_the_methods_swaps_the_verdict(rows):
    """The comparison of a with b is the mirror image of b against a, and of the same scores where lower is better."""
    a, b, groups = ([row[index] / 10 for row in rows] for index in range(3))
    one, other = compare_two(a, b, groups, margin=0.2), compare_two(b, a, groups, margin=0.2)
    turned = compare_two(a, b, groups, higher_is_better=False, margin=0.2)
    swap = {"a_better": "b_better", "b_better": "a_better"}
    assert other.verdict == turned.verdict == swap.get(one.verdict, one.verdict)
    assert (one.win, one.loss) == (other.loss, other.win) == (turned.loss, turned.win)
    assert other.difference == -one.difference
    assert (turned.p_value, turned.ci_low, turned.ci_high) == (one.p_value, one.ci_low, one.ci_high)


def test_the_four_verdicts_and_the_fifth_case():
    """Better, worse, equivalent, inconclusive; and a difference too small to matter is equivalent, and said to be."""
    rng = np.random.default_rng(1)
    base = rng.normal(0.3, 0.1, 60).round(4)

    def compared(shift, noise, **options):
        return compare_two(base, base + shift + noise * rng.normal(size=60), range(60), n_permutations=999, **options)

    assert compared(0.1, 0.05).verdict == "b_better"
    assert compared(-0.1, 0.05).verdict == "a_better"
    assert compared(0.0, 0.01, margin=0.02).verdict == "equivalent"
    tiny = compared(0.005, 0.005, margin=0.02)
    assert (tiny.verdict, tiny.practically_equivalent) == ("equivalent", True)
    assert tiny.winner is None
    unclear = compared(0.0, 0.3, margin=0.02)
    assert (unclear.verdict, unclear.equivalent) == ("inconclusive", False)
    assert unclear.items_needed > 60


def test_items_are_planned_for_a_declared_margin_only():
    """The margin asks for the items at which it is detectable, in whole groups; the observed difference for none."""
    rng, groups = np.random.default_rng(2), tedbench_groups()
    zeros, d = np.zeros(100), rng.normal(0, 0.1, 100)
    pair = compare_two(zeros, d, groups, margin=0.01, n_permutations=999)
    assert pair.verdict == "inconclusive"
    # With more items there are more degrees of freedom: a little fewer than in proportion do.
    assert 0.9 < pair.items_needed / (100 * (pair.minimum_detectable_effect / 0.01) ** 2) < 1
    assert compare_two(zeros, d, groups, n_permutations=999).items_needed is None
    noise = rng.normal(size=100)  # between 0 and a margin that these items should have shown: more of them are not it
    between = compare_two(zeros, 0.17 + (noise - noise.mean()) / noise.std(), range(100), margin=0.3)
    assert (between.verdict, between.items_needed) == ("inconclusive", None)


def test_ties_are_no_equivalence():
    """Two methods with the same scores on all items are equivalent where a test says so, and no margin is no test."""
    values = np.linspace(0, 1, 30)
    pair = compare_two(values, values, range(30))
    assert (pair.verdict, pair.p_value, pair.tie, pair.effect_size_dz) == ("inconclusive", 1.0, 30, None)
    assert (pair.equivalent, pair.ci_low) == (None, None)
    few = {"range": (0.0, 1.0), "margin": 0.1}
    found = [compare_all({"a": v, "b": v}, range(n), fields=few)[0] for n, v in ((30, values), (3, values[:3]))]
    assert [pair.verdict for pair in found] == ["equivalent", "inconclusive"]
    assert found[0].equivalence_p_value == pytest.approx(0.9**30)


def test_too_few_groups_are_inconclusive_with_the_reason():
    """What cannot be significant after the correction is said to be so, with the groups that it would take."""
    pair = compare_two([1, 2, 3, 4, 5], [2, 4, 5, 6, 9], range(5))
    assert (pair.verdict, pair.minimum_detectable_effect) == ("inconclusive", None)
    assert pair.floor == Floor(smallest_p_value=0.0625, n_differing=5, groups_needed=6)
    rng = np.random.default_rng(3)
    values = {name: shift + 0.01 * rng.normal(size=6) for shift, name in enumerate("abcde")}
    for pair in compare_all(values, range(6)):
        assert (pair.p_value, pair.verdict, pair.minimum_detectable_effect) == (0.03125, "inconclusive", None)
        assert pair.floor == Floor(smallest_p_value=0.3125, n_differing=6, groups_needed=9)
    assert all(pair.winner for pair in compare_all(values, range(6), correction="none"))
    assert all(pair.winner and pair.floor is None for pair in compare_all(values, range(6), test="t"))


def test_every_item_counts_once_however_many_seeds_it_has():
    """The mean over items of means over seeds, which a mean over rows would turn into its opposite."""
    a = np.array([[0.5, np.nan, np.nan], [0.5, np.nan, np.nan]])
    b = np.array([[0.9, np.nan, np.nan], [0.3, 0.3, 0.3]])
    pair = compare_two(a, b, range(2))
    assert pair.difference == pytest.approx(0.1)
    assert np.nanmean(b) < np.nanmean(a)
    assert pair.n_seeds == 3
    assert pair.new_seeds is None or pair.new_seeds.low is None  # one method was run once: its spread is unknown


def test_seeds_answer_their_own_question():
    """With several seeds the items have an interval of their own, narrower where items differ more than seeds."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(30, 1)) + 0.05 * rng.normal(size=(30, 4)) for _ in range(2))
    pair = compare_two(a, b, range(30), n_permutations=999)
    low, high = pair.new_seeds.low, pair.new_seeds.high
    assert high - low < 0.15 * (pair.ci_high - pair.ci_low)
    assert (low + high) / 2 == pytest.approx(pair.difference, abs=1e-6)


def test_seeds_that_may_differ_by_chance_leave_the_sign_flips():
    """All of 8 items are better in the mean of two seeds: p = 2/256, while F between the seeds has p = .1, not .01."""
    noise = np.array([0.3, -0.1, -0.4, 1.2, 0.8, 0.4, -0.1, 1.3])
    labels = {"seed_labels": {"a": ("0", "1"), "b": ("0", "1")}}
    for spread, how in ((1.0, "enumeration"), (0.4, "crossed_t")):
        between = 0.4 + spread * (noise - noise.mean())
        b = 0.8 + np.stack([between, -between], axis=1) / 2
        (pair,) = compare_all({"a": np.zeros_like(b), "b": b + np.arange(8)[:, None] / 99}, range(8), fields=labels)
        assert (pair.how, pair.p_value == 2 / 256) == (how, how == "enumeration")


def test_an_item_without_a_common_seed_unpairs_the_seeds():
    """Where the methods have other seeds of an item each is taken by itself, and a shared effect is still seen."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 4))
    b = a + 0.1 * rng.normal(size=(20, 4)) + np.arange(4.0)
    labels = {"seed_labels": {"a": tuple("0123"), "b": tuple("0123")}}
    (paired,) = compare_all({"a": a, "b": b}, range(20), fields=labels)
    a[0], b[0] = [0.1, np.nan, np.nan, np.nan], [np.nan, 0.2, 0.3, np.nan]
    (unpaired,) = compare_all({"a": a, "b": b}, range(20), fields=labels)
    assert (paired.new_seeds.paired, unpaired.new_seeds.paired) == (True, False)
    assert paired.how == unpaired.how == "crossed_t"


def test_missing_scores_are_left_out_pairwise():
    """An item without a score of either method is not used, and no common item is a result without figures."""
    a, b = [0.1, None, 0.3, 0.4, 0.5, 0.6, 0.1], [0.2, 0.3, math.nan, 0.6, 0.6, 0.9, 0.3]
    pair = compare_two(a, b, range(7))
    assert pair.n_items == 5
    assert pair.mean_a == pytest.approx(np.mean([0.1, 0.4, 0.5, 0.6, 0.1]))
    nothing = compare_two([None, 1.0], [1.0, None], range(2))
    assert (nothing.verdict, nothing.reason) == ("inconclusive", "no item has both scores")
    assert (nothing.mean_a, nothing.p_value, nothing.minimum_detectable_effect) == (None, None, None)


def test_a_family_is_its_pairs_corrected():
    """Each pair has the p-value that it has alone; Holm, max-t and the false discovery rate follow."""
    rng, groups = np.random.default_rng(4), tedbench_groups()
    items = rng.normal(size=100)
    shifts = zip("abcd", (0, 0.05, 0.2, 0.3), strict=True)
    values = {name: (items + shift + 0.4 * rng.normal(size=100)).round(6) for name, shift in shifts}
    families = {of: compare_all(values, groups, correction=of) for of in ("holm", "maxt", "bh", "none")}
    raw = [pair.p_value for pair in families["holm"]]
    assert [pair.a + pair.b for pair in families["holm"]] == ["ab", "ac", "ad", "bc", "bd", "cd"]
    for pair in families["holm"]:
        assert sign_flip_test(values[pair.b] - values[pair.a], groups, exact_steps=0).p_value == pair.p_value
    for correction in ("holm", "bh", "none"):
        assert tuple(pair.adjusted_p_value for pair in families[correction]) == adjust(raw, correction)
    for pair, p_value in zip(families["maxt"], raw, strict=True):
        assert p_value <= pair.adjusted_p_value <= min(1, 6 * p_value) + 0.01


def test_the_family_decides_the_verdict_and_the_detectable_effect():
    """A difference that is significant alone may not be among many; what can be detected grows accordingly."""
    rng = np.random.default_rng(5)
    values = {f"twin {number}": rng.normal(size=40) for number in range(6)}
    noise = rng.normal(size=40)
    values["twin 1"] = values["twin 0"] + 0.36 + (noise - noise.mean()) / noise.std()  # p is about .03
    first = compare_all(values, range(40), fields={"margin": 5.0})[0]
    alone = compare_two(values["twin 0"], values["twin 1"], range(40), margin=5.0)
    assert (alone.practically_equivalent, first.practically_equivalent) == (True, False)
    assert first.n_comparisons == 15
    assert first.minimum_detectable_effect > 1.3 * alone.minimum_detectable_effect
    assert first.equivalence_p_value >= alone.equivalence_p_value
    assert first.verdict == "equivalent"


def test_against_a_baseline_there_are_fewer_comparisons():
    """Each other method is compared with the baseline only, as b."""
    values = {name: np.random.default_rng(6).normal(size=10) + shift for shift, name in enumerate("xyz")}
    pairs = compare_all(values, range(10), baseline="y")
    assert [(pair.a, pair.b, pair.verdict) for pair in pairs] == [("y", "x", "a_better"), ("y", "z", "b_better")]
    assert {pair.n_comparisons for pair in pairs} == {2}


def test_methods_that_are_ranked_share_their_items_and_the_others_do_not():
    """A score that a ranked method lacks leaves all pairs; one that an unranked method lacks leaves its own."""
    values = {"a": [1.0, None, 3, 4, 5, 6, 7], "b": [2.0] * 7, "c": [1, 2, 3, 4, 5, 6, None]}
    assert [pair.n_items for pair in compare_all(values, range(7))] == [5, 5, 5]
    fields = {"unranked": {"c": "incomplete"}, "not_run": {"c": np.arange(7) == 6}, "range": (0.0, 10.0)}
    ab, ac, bc = compare_all(values, range(7), fields=fields)
    assert (ab.n_items, ac.n_items, bc.n_items) == (6, 5, 5)
    assert (ab.n_not_run, bc.n_not_run, ab.bounds) == (0, 1, None)
    assert bc.bounds == pytest.approx(((21 - 12 + 0 - 2) / 7, (21 - 12 + 10 - 2) / 7))


def test_pairs_without_common_items_leave_the_family():
    """An undefined p-value is not corrected, and does not cost the others."""
    values = {"a": [1.0] * 8 + [None] * 8, "b": [None] * 8 + [2.0] * 8, "c": list(range(16))}
    pairs = compare_all(values, range(16), fields={"unranked": {"a": "incomplete", "b": "incomplete"}})
    assert {pair.n_comparisons for pair in pairs} == {2}
    assert (pairs[0].adjusted_p_value, pairs[0].verdict) == (None, "inconclusive")


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare_two([1.0], [1.0], [0, 1]),
        lambda: compare_two([math.inf, 1.0], [1.0, 2.0], [0, 1]),
        lambda: compare_two([0.0, 1.0], [1.0, 2.0], [0, 1], margin=-1.0),
        lambda: compare_two([0.0, 1.0], [1.0, 2.0], [0, 1], alpha=2.0),
        lambda: compare_all({"a": [1.0]}, [0]),
        lambda: compare_all({"a": [1.0], "b": [2.0]}, [0], baseline="c"),
        lambda: compare_all({"a": [1.0], "b": [2.0]}, [0], correction="tukey"),
        lambda: compare_methods(
            [MetricScores(metric="score", scores={"a": np.ones(1), "b": np.ones(1)}, higher_is_better=True)],
            [0],
            InferenceOptions(),
        ),
    ],
)
def test_malformed_comparisons_are_refused(call):
    """Lengths, infinities, margins, rates and names are checked."""
    with pytest.raises(OptionError):
        call()


def test_one_large_value_costs_the_others_nothing():
    """What both methods have in common, or one item out of all proportion, leaves small differences what they are."""
    rng = np.random.default_rng(9)
    a = rng.normal(0.5, 0.1, 40).round(4)
    b = a + rng.normal(0.03, 0.005, 40).round(4)
    a[0] = b[0] = 250_000.0
    pair = compare_two(a, b, range(40))
    assert (pair.win, pair.tie, pair.loss, pair.verdict) == (39, 1, 0, "b_better")
    assert pair.p_value == pytest.approx(2 / 2**39)
    a[0] = 0.5  # now it is a difference
    pair = compare_two(a, b, range(40))
    assert (pair.win, pair.tie) == (40, 0)
    noisy = compare_two(a[1:], a[1:] + 1e-9, range(39))  # as another processor's rounding may be
    assert noisy.tie == 39


@given(st.integers(0, 2**32), st.sampled_from([1e-12, 1e-6, 1.0, 1e6, 1e30]))
def test_the_unit_of_the_scores_does_not_matter(seed, unit):
    """Scores in other units have the same p-value, and a difference and interval in these units."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0.5, 0.1, 12).round(3)
    b = a + rng.normal(0.05, 0.1, 12).round(3)
    one, other = compare_two(a, b, range(12)), compare_two(a * unit, b * unit, range(12))
    assert (other.p_value, other.win, other.tie, other.verdict) == (one.p_value, one.win, one.tie, one.verdict)
    assert other.difference == pytest.approx(one.difference * unit, rel=1e-4, abs=1e-5 * unit)


def test_ranks_have_the_direction_of_ranks():
    """Few large wins outweigh many small losses in the mean and not in ranks, which Wilcoxon's verdict is about."""
    d = np.r_[np.linspace(-1.4, -0.4, 37), [30.0, 40.0, 50.0]]
    pair = compare_two(np.zeros(40), d, range(40), test="wilcoxon")
    assert pair.difference > 0
    assert (pair.verdict, pair.ci_low) == ("a_better", None)
    assert pair.rank_biserial.high < 0


def test_failed_edits_are_shown_with_and_without():
    """Items whose edit failed count with the score that they were given; beside it stand the complete cases."""
    rng = np.random.default_rng(10)
    a, failed = rng.normal(0.3, 0.05, 30), np.arange(30) < 3
    b = np.where(failed, 0.0, a + 0.02 + 0.01 * rng.normal(size=30))
    (pair,) = compare_all({"a": a, "b": b}, range(30), fields={"failed": {"b": failed}})
    assert (pair.n_items, pair.n_failed, pair.complete_cases.n_items) == (30, 3, 27)
    assert pair.difference < 0 < pair.complete_cases.ci_low
    assert pair.complete_cases.difference == pytest.approx((b - a)[~failed].mean(), abs=1e-6)


def test_what_was_not_run_may_leave_the_benchmark_open():
    """Better on the common items is open on the benchmark where the other items could turn it round."""
    rng = np.random.default_rng(13)
    a = rng.normal(0.5, 0.05, 60)
    b = np.where(np.arange(60) < 30, a + 0.1, np.nan)
    fields = {"unranked": {"b": "incomplete"}, "not_run": {"b": np.arange(60) >= 30}}
    for bounds, is_open in (((0.0, 1.0), True), ((0.4, 0.6), True), ((None, None), True)):
        (pair,) = compare_all({"a": a, "b": b}, range(60), fields={**fields, "range": bounds})
        assert (pair.verdict, pair.n_items, pair.n_total, pair.is_open) == ("b_better", 30, 60, is_open)
    b[:58] = a[:58] + 0.1
    b[58:] = np.nan
    fields["not_run"] = {"b": np.isnan(b)}
    (pair,) = compare_all({"a": a, "b": b}, range(60), fields={**fields, "range": (0.0, 1.0)})
    assert (pair.n_not_run, pair.is_open) == (2, False)


def test_importing_the_statistics_is_cheap():
    """No module of the statistics imports scipy.stats, which takes a second, or anything of ours but the errors."""
    modules = sorted(f"evalkit.stats.{path.stem}" for path in Path("evalkit/stats").glob("[a-z]*.py"))
    code = f"import sys, {', '.join(modules)}; print([m for m in sys.modules if m.startswith('scipy.stats')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(modules) > 12
    assert done.stdout.strip() == "[]"
