"""Whole comparisons: verdicts, seeds, missing scores, families; and that nothing is ever NaN."""

import math
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from evalkit.errors import OptionError
from evalkit.stats.families import compare_methods
from evalkit.stats.multiplicity import adjust
from evalkit.stats.paired import compare_paired
from evalkit.stats.permutation import sign_flip_test
from evalkit.stats.ranking import rank_sets
from evalkit.stats.verdict import decide
from tests.support.grouped import tedbench_groups

scores = st.one_of(st.none(), st.integers(-3, 3))
tables = st.lists(st.tuples(scores, scores, scores, st.integers(0, 4)), min_size=0, max_size=12)


def numbers_in(record):
    """Every float in a record, however deep."""
    if isinstance(record, float):
        yield record
    elif isinstance(record, tuple | list):
        for entry in record:
            yield from numbers_in(entry)
    elif is_dataclass(record):
        for field in fields(record):
            yield from numbers_in(getattr(record, field.name))


@given(tables, st.booleans(), st.sampled_from([None, 0.5]))
@settings(max_examples=60)
def test_whatever_comes_in_no_nan_comes_out(rows, higher, margin):
    """Missing, tied, constant, single or no items: every number is finite, and what is absent is None."""
    columns = [[row[position] for row in rows] for position in range(3)]
    groups = [row[3] for row in rows]
    methods = dict(zip("abc", columns, strict=True))
    family = compare_methods(methods, groups, higher_is_better=higher, margin=margin)
    verdicts = [pair.comparison.verdict for pair in family.pairs]
    ranking = rank_sets(methods, groups, higher_is_better=higher, n_resamples=199)
    assert all(math.isfinite(number) for number in numbers_in([family, verdicts, ranking]))
    for pair in family.pairs:
        comparison = pair.comparison
        assert comparison.n_items + len(comparison.left_out) == len(rows)
        assert comparison.win + comparison.tie + comparison.loss == comparison.n_items
        if comparison.test.low is None or comparison.test.p_value is None:
            assert comparison.test.reason


def test_a_line_of_a_report_is_complete():
    """Means, difference, interval, effect size, counts and detectable effect agree with their definitions."""
    rng, groups = np.random.default_rng(0), tedbench_groups()
    a = rng.normal(0.25, 0.03, 100).round(6)
    b = (a + rng.normal(0.005, 0.02, 100)).round(6)
    result = compare_paired(a, b, groups, higher_is_better=True, margin=0.005)
    d = b - a
    assert (result.n_items, result.n_groups, result.left_out) == (100, 39, ())
    assert result.test.difference == pytest.approx(result.mean_b - result.mean_a) == pytest.approx(d.mean())
    assert result.test == sign_flip_test(d, groups)
    assert result.effect_size_dz == pytest.approx(d.mean() / d.std(ddof=1))
    assert (result.win, result.tie, result.loss) == ((d > 0).sum(), 0, (d < 0).sum())
    t = [reference.t.ppf(p, 38) for p in (0.975, 0.8)]
    assert result.minimum_detectable_effect == pytest.approx(sum(t) * result.standard_error, rel=0.01)
    assert (result.equivalence.margin_low, result.equivalence.margin_high) == (-0.005, 0.005)
    assert result.test.how == "exact_dp"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=14))
def test_swapping_the_methods_swaps_the_verdict(rows):
    """The comparison of a with b is the mirror image of b against a, and of the same scores where lower is better."""
    a, b, groups = ([row[position] / 10 for row in rows] for position in range(3))
    one = compare_paired(a, b, groups, higher_is_better=True, margin=0.2)
    other = compare_paired(b, a, groups, higher_is_better=True, margin=0.2)
    turned = compare_paired(a, b, groups, higher_is_better=False, margin=0.2)
    swap = {"a_better": "b_better", "b_better": "a_better"}
    name = one.verdict.verdict
    assert other.verdict.verdict == turned.verdict.verdict == swap.get(name, name)
    assert (one.win, one.loss) == (other.loss, other.win) == (turned.loss, turned.win)
    assert other.test.difference == -one.test.difference
    assert turned.test == one.test


def test_the_four_verdicts_and_the_fifth_case():
    """Better, worse, equivalent, inconclusive; and a difference too small to matter is equivalent, and said to be."""
    rng = np.random.default_rng(1)
    base = rng.normal(0.3, 0.1, 60).round(4)

    def verdict(shift, noise, **options):
        other = base + shift + noise * rng.normal(size=60)
        return compare_paired(base, other, range(60), higher_is_better=True, n_flips=999, **options).verdict

    assert verdict(0.1, 0.05).verdict == "b_better"
    assert verdict(-0.1, 0.05).verdict == "a_better"
    assert verdict(0.0, 0.01, margin=0.02).verdict == "equivalent"
    tiny = verdict(0.005, 0.005, margin=0.02)
    assert (tiny.verdict, tiny.significant, tiny.equivalent) == ("equivalent", True, True)
    assert tiny.explanation == "statistically different, practically equivalent"
    unclear = verdict(0.0, 0.3, margin=0.02)
    assert (unclear.verdict, unclear.significant, unclear.equivalent) == ("inconclusive", False, False)
    assert unclear.items_needed_for == 0.02
    assert f"about {unclear.items_needed:,} items would decide" in unclear.explanation


def test_the_items_needed_would_have_been_enough():
    """The detectable effect shrinks with the root of the items: so many more bring it down to the margin."""
    rng, groups = np.random.default_rng(2), tedbench_groups()
    d = rng.normal(0, 0.1, 100)
    result = compare_paired(np.zeros(100), d, groups, higher_is_better=True, margin=0.01, n_flips=999)
    verdict = result.verdict
    assert verdict.verdict == "inconclusive"
    assert verdict.items_needed == pytest.approx(100 * (result.minimum_detectable_effect / 0.01) ** 2, rel=0.05)
    without = compare_paired(np.zeros(100), d, groups, higher_is_better=True, n_flips=999)
    assert without.verdict.items_needed_for == pytest.approx(abs(without.test.difference))


def test_items_that_should_have_been_enough_are_not_asked_for_again():
    """Between 0 and the margin more items than there are would be needed, for a difference like the observed one."""
    noise = np.random.default_rng(8).normal(size=100)
    d = 0.17 + (noise - noise.mean()) / noise.std()
    result = compare_paired(np.zeros(100), d, range(100), higher_is_better=True, margin=0.3, n_flips=999)
    assert result.minimum_detectable_effect < 0.3
    assert result.verdict.verdict == "inconclusive"
    assert result.verdict.items_needed_for == pytest.approx(0.17, abs=1e-6)
    assert result.verdict.items_needed > 200


def test_identical_scores_are_equivalent_at_any_margin():
    """Two methods with the same scores on all items are equivalent even where no margin was declared."""
    values = np.linspace(0, 1, 30)
    result = compare_paired(values, values, range(30), higher_is_better=True)
    assert result.verdict.verdict == "equivalent"
    assert (result.test.p_value, result.tie, result.effect_size_dz) == (1.0, 30, None)
    single = compare_paired([0.5], [0.5], [0], higher_is_better=True)
    assert single.verdict.verdict == "inconclusive"


def test_too_few_groups_are_inconclusive_with_the_reason():
    """Five items with the same sign cannot be significant, and the verdict says why and what would help."""
    result = compare_paired([1, 2, 3, 4, 5], [2, 4, 5, 5, 9], range(5), higher_is_better=True)
    assert result.verdict.verdict == "inconclusive"
    assert "cannot reach alpha = 0.05 with 5 groups" in result.verdict.explanation


def test_every_item_counts_once_however_many_seeds_it_has():
    """The mean over items of means over seeds, which a mean over rows would turn into its opposite."""
    a = np.array([[0.5, np.nan, np.nan], [0.5, np.nan, np.nan]])
    b = np.array([[0.9, np.nan, np.nan], [0.3, 0.3, 0.3]])
    result = compare_paired(a, b, range(2), higher_is_better=True)
    assert result.test.difference == pytest.approx(0.1)
    assert np.nanmean(b) < np.nanmean(a)
    assert result.fixed_items.reason.startswith("one seed per item")


def test_seeds_answer_their_own_question():
    """With several seeds the items have an interval of their own, narrower where items differ more than seeds."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(30, 1)) + 0.05 * rng.normal(size=(30, 4))
    b = rng.normal(size=(30, 1)) + 0.05 * rng.normal(size=(30, 4))
    result = compare_paired(a, b, range(30), higher_is_better=True, n_flips=999)
    width = result.fixed_items.high - result.fixed_items.low
    assert width < 0.15 * (result.test.high - result.test.low)
    assert result.fixed_items.value == pytest.approx(result.test.difference, abs=1e-6)


def test_missing_scores_are_left_out_pairwise_and_listed():
    """An item without a score of either method is not used, and its position is in the record."""
    a, b = [0.1, None, 0.3, 0.4, 0.5, 0.6, 0.1], [0.2, 0.3, math.nan, 0.6, 0.6, 0.9, 0.3]
    result = compare_paired(a, b, range(7), higher_is_better=True)
    assert (result.left_out, result.n_items) == ((1, 2), 5)
    assert result.mean_a == pytest.approx(np.mean([0.1, 0.4, 0.5, 0.6, 0.1]))
    nothing = compare_paired([None, 1.0], [1.0, None], range(2), higher_is_better=True)
    assert nothing.verdict.explanation == "no difference is shown; no item has both scores"
    assert (nothing.mean_a, nothing.test.p_value, nothing.standard_error) == (None, None, None)


def test_a_family_is_its_pairs_corrected():
    """Each pair has the p-value that it has alone; Holm, max-t and the false discovery rates follow."""
    rng, groups = np.random.default_rng(4), tedbench_groups()
    items = rng.normal(size=100)
    values = {
        name: items + shift + 0.4 * rng.normal(size=100)
        for name, shift in zip("abcd", (0, 0.05, 0.2, 0.3), strict=True)
    }
    families = {
        correction: compare_methods(values, groups, higher_is_better=True, correction=correction)
        for correction in ("holm", "max_t", "benjamini_hochberg", "none")
    }
    raw = [pair.comparison.test.p_value for pair in families["holm"].pairs]
    for pair, p_value in zip(families["holm"].pairs, raw, strict=True):
        alone = compare_paired(values[pair.a], values[pair.b], groups, higher_is_better=True, exact_steps=0)
        assert alone.test.p_value == p_value
    for correction in ("holm", "benjamini_hochberg", "none"):
        adjusted = [pair.comparison.adjusted_p_value for pair in families[correction].pairs]
        assert adjusted == list(adjust(raw, correction).p_values)
    for pair, p_value in zip(families["max_t"].pairs, raw, strict=True):
        assert p_value <= pair.comparison.adjusted_p_value <= min(1, 6 * p_value) + 0.01
    assert families["holm"].global_p_value == min(adjust(raw).p_values)
    assert [(pair.a, pair.b) for pair in families["holm"].pairs][:3] == [("a", "b"), ("a", "c"), ("a", "d")]


def test_the_family_decides_the_verdict_and_the_detectable_effect():
    """A difference that is significant alone may not be among many; what can be detected grows accordingly."""
    rng = np.random.default_rng(5)
    values = {f"twin {number}": rng.normal(size=40) for number in range(6)}
    noise = rng.normal(size=40)
    values["twin 1"] = values["twin 0"] + 0.36 + (noise - noise.mean()) / noise.std()  # p is about .03
    family = compare_methods(values, range(40), higher_is_better=True, margin=5.0)
    first = family.pairs[0].comparison
    alone = compare_paired(values["twin 0"], values["twin 1"], range(40), higher_is_better=True)
    assert alone.verdict.significant
    assert not first.verdict.significant
    assert first.minimum_detectable_effect > 1.3 * alone.minimum_detectable_effect
    assert first.minimum_detectable_effect_alpha == pytest.approx(0.05 / 15)
    assert first.adjusted_equivalence_p_value >= first.equivalence.p_value
    assert first.verdict.verdict == "equivalent"


def test_against_a_baseline_there_are_fewer_comparisons():
    """Each other method is compared with the baseline only, as b."""
    values = {name: np.random.default_rng(6).normal(size=10) + shift for shift, name in enumerate("xyz")}
    family = compare_methods(values, range(10), higher_is_better=True, baseline="y")
    assert [(pair.a, pair.b) for pair in family.pairs] == [("y", "x"), ("y", "z")]
    assert [pair.comparison.verdict.verdict for pair in family.pairs] == ["a_better", "b_better"]
    assert {pair.comparison.n_comparisons for pair in family.pairs} == {2}


def test_a_table_is_made_on_the_items_that_all_methods_have():
    """A score that one method lacks leaves all pairs, unless each pair is asked for on its own items."""
    values = {"a": [1.0, None, 3, 4, 5, 6, 7], "b": [2.0, 2, 2, 2, 2, 2, 2], "c": [1, 2, 3, 4, 5, 6, None]}
    together = compare_methods(values, range(7), higher_is_better=True)
    assert {pair.comparison.left_out for pair in together.pairs} == {(1, 6)}
    apart = compare_methods(values, range(7), higher_is_better=True, common_items=False)
    assert [pair.comparison.left_out for pair in apart.pairs] == [(1,), (1, 6), (6,)]


def test_pairs_without_common_items_leave_the_family():
    """An undefined p-value is not corrected, and does not cost the others."""
    values = {"a": [1.0] * 8 + [None] * 8, "b": [None] * 8 + [2.0] * 8, "c": list(range(16))}
    family = compare_methods(values, range(16), higher_is_better=True, common_items=False)
    assert family.n_tests == 2
    assert family.pairs[0].comparison.adjusted_p_value is None
    assert family.pairs[0].comparison.verdict.verdict == "inconclusive"


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare_paired([1.0], [1.0, 2.0], [0, 1], higher_is_better=True),
        lambda: compare_paired([math.inf, 1.0], [1.0, 2.0], [0, 1], higher_is_better=True),
        lambda: compare_paired([0.0, 1.0], [1.0, 2.0], [0, 1], higher_is_better=True, margin=-1.0),
        lambda: compare_paired([0.0, 1.0], [1.0, 2.0], [0, 1], higher_is_better=True, alpha=2.0),
        lambda: compare_methods({"a": [1.0]}, [0], higher_is_better=True),
        lambda: compare_methods({"a": [1.0], "b": [2.0]}, [0], higher_is_better=True, baseline="c"),
        lambda: compare_methods({"a": [1.0], "b": [2.0]}, [0], higher_is_better=True, correction="tukey"),
    ],
)
def test_malformed_comparisons_are_refused(call):
    """Lengths, infinities, margins, rates and names are checked."""
    with pytest.raises(OptionError):
        call()


def test_a_verdict_without_a_margin_does_not_claim_equivalence():
    """What is not significant is inconclusive, never "no difference"."""
    verdict = decide(oriented_difference=0.0, significant=False, equivalent=None)
    assert (verdict.verdict, verdict.explanation) == ("inconclusive", "no difference is shown")


def test_importing_the_statistics_is_cheap():
    """No module of the statistics imports scipy.stats, which takes a second, or anything of ours but the errors."""
    modules = sorted(f"evalkit.stats.{path.stem}" for path in Path("evalkit/stats").glob("[a-z]*.py"))
    code = f"import sys, {', '.join(modules)}; print([m for m in sys.modules if m.startswith('scipy.stats')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(modules) > 20
    assert done.stdout.strip() == "[]"
