"""Comparing methods: known answers, symmetry, families, incomplete and degenerate runs, refusals."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evalkit.comparison.compare import compare
from evalkit.comparison.records import CORRECTIONS, ComparedMethod
from evalkit.comparison.statements.terms import CORRECTION_NAMES
from evalkit.edits.manifest import write_manifest
from evalkit.errors import EvalkitError, OptionError, RunError
from evalkit.formatting import format_signed
from evalkit.planning.plan import power
from evalkit.scores.run import read_run
from evalkit.scoring.score import score
from tests.support.fakes import make_items, save_picture
from tests.support.runs import A, B, random_runs, write_scores


@pytest.fixture
def two(tmp_path):
    """Two runs of six items, b better on each."""
    return [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(tmp_path / "b", {"clip_score": B}),
    ]


def numbers_in(record):
    """Every float in a record, however deep."""
    if isinstance(record, float):
        yield record
    elif isinstance(record, Mapping):
        yield from numbers_in(list(record.values()))
    elif isinstance(record, tuple | list):
        for entry in record:
            yield from numbers_in(entry)
    elif is_dataclass(record) and not isinstance(record, ComparedMethod):
        yield from numbers_in([getattr(record, field.name) for field in fields(record)])


NOT_RUN = object()
cells = st.one_of(st.just(NOT_RUN), st.none(), st.integers(-3, 3))
tables = st.lists(st.tuples(cells, cells, cells, st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=12)
asked = st.fixed_dictionaries(
    {
        "test": st.sampled_from(["sign_flip", "t", "wilcoxon"]),
        "correction": st.sampled_from(["holm", "bh", "by", "none"]),
        "lower_is_better": st.sampled_from([(), ("score", "rate")]),
        "margins": st.sampled_from([{}, {"score": 0.5}, {"rate": 0.5}]),
        "primary": st.sampled_from([(), ("score", "rate")]),
        "baseline": st.sampled_from([None, "b"]),
        "n_resamples": st.just(199),
    }
)


@given(tables, st.sampled_from([1e-9, 0.1, 1, 1e9]), asked)
@settings(max_examples=100)
def test_whatever_comes_in_no_nan_comes_out(tmp_path_factory, rows, scale, asked):
    """Missing, tied, constant, single or no values in a table: every number is finite, what is absent has a reason."""
    path = tmp_path_factory.mktemp("fuzz") / "table.csv"
    lines = [
        f"{item},{method},{group},{'' if value is None else value * scale},{rate}"
        for item, (*values, group, rate) in enumerate(rows)
        for method, value in zip("abc", values, strict=True)
        if value is not NOT_RUN
    ]
    path.write_text("\n".join(["item,method,group,score,rate", *lines]))
    try:
        comparison = compare([path], **asked)
    except EvalkitError:  # too few methods, no common item, no value at all
        return
    assert all(math.isfinite(number) for number in numbers_in(comparison))
    json.dumps(comparison.to_dict(), allow_nan=False)
    for pair in comparison.pairs:
        assert pair.n_items + sum(pair.excluded.values()) == comparison.settings["n_items"]
        assert pair.win + pair.tie + pair.loss == pair.n_items
        if None in (pair.ci_low, pair.p_value, pair.effect_size_dz, pair.minimum_detectable_effect):
            assert pair.reason or pair.floor
    for row in comparison.ranking:
        assert row.rank_low is not None or row.reason


def test_six_items_that_all_improve_have_the_answer_of_the_book(two):
    """All 64 sign permutations counted by hand: only two reach the observed sum, and the interval is Hartigan's."""
    (pair,) = compare(two).pairs
    assert (pair.a, pair.b, pair.n_items, pair.n_groups, pair.n_seeds) == ("a", "b", 6, 6, 1)
    assert pair.difference == pytest.approx(1.3 / 6)
    assert pair.p_value == pair.adjusted_p_value == 2 / 64
    assert (pair.ci_low, pair.ci_high, pair.how) == (0.1, 0.4, "enumeration")
    assert (pair.win, pair.tie, pair.loss, pair.verdict) == (6, 0, 0, "b_better")
    assert pair.mean_a == pytest.approx(np.mean(A))
    assert pair.mean_b == pytest.approx(np.mean(B))
    d = np.subtract(B, A)
    assert pair.effect_size_dz == pytest.approx(d.mean() / d.std(ddof=1))
    assert pair.sentence.startswith("b − a = +0.217 clip_score [+0.100, +0.400] (95 %, 6 items in 6 groups); ")
    assert "sign-flip p = 0.031; win/tie/loss 6/0/0; a true difference of 0." in pair.sentence
    assert "would be found by four of five such studies" in pair.sentence
    assert pair.sentence.endswith("→ b is better")


def test_lower_is_better_turns_the_winner_and_not_the_difference(tmp_path):
    """The difference stays b − a; b wins because its scores are smaller."""
    runs = [
        write_scores(tmp_path / "a", {"distance": B}, lower=["distance"]),
        write_scores(tmp_path / "b", {"distance": A}, lower=["distance"]),
    ]
    comparison = compare(runs)
    (pair,) = comparison.pairs
    assert pair.difference == pytest.approx(-1.3 / 6)
    assert (pair.win, pair.loss, pair.verdict) == (6, 0, "b_better")
    assert "lower is better" in pair.sentence
    assert comparison.ranking[0].method == "b"


def test_the_same_seed_gives_the_same_comparison_and_another_one_other_draws(tmp_path):
    """Random permutations depend on the seed, and on nothing else that a person can see."""
    runs = random_runs(tmp_path, ["a", "b", "c"])
    first, again, other = (compare(runs, seed=seed, n_permutations=1_999) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert [pair.how for pair in first.pairs] == ["monte_carlo"] * 3
    assert [pair.p_value for pair in first.pairs] != [pair.p_value for pair in other.pairs]


def test_primary_metrics_are_corrected_by_holm_and_the_others_by_benjamini_hochberg(tmp_path):
    """Two families: what one metric finds does not depend on how many exploratory ones stand beside it."""
    runs = random_runs(tmp_path, ["a", "b", "c"], metrics=("clip_score", "clip_image_similarity"))
    comparison = compare(runs, n_permutations=999)
    assert [metric.primary for metric in comparison.metrics] == [True, False]
    primary = [pair for pair in comparison.pairs if pair.metric == "clip_score"]
    other = [pair for pair in comparison.pairs if pair.metric == "clip_image_similarity"]
    ordered = sorted(pair.p_value for pair in primary)
    stepped = np.minimum(1, np.maximum.accumulate([3 * ordered[0], 2 * ordered[1], ordered[2]]))
    assert sorted(pair.adjusted_p_value for pair in primary) == pytest.approx(list(stepped))
    expected = stats.false_discovery_control([pair.p_value for pair in other])
    assert [pair.adjusted_p_value for pair in other] == pytest.approx(list(expected))
    alone = compare(runs, metrics=["clip_score"], n_permutations=999)
    assert list(alone.pairs) == primary
    assert "(3 comparisons, exploratory)" in other[0].sentence


def test_two_primary_metrics_form_one_family(tmp_path):
    """Declaring a second primary metric doubles the family."""
    runs = random_runs(tmp_path, ["a", "b"], metrics=("clip_score", "clip_image_similarity"))
    pairs = compare(runs, primary=["clip_score", "clip_image_similarity"]).pairs
    smaller, larger = sorted(pairs, key=lambda pair: pair.p_value)
    assert smaller.adjusted_p_value == pytest.approx(2 * smaller.p_value)
    assert larger.adjusted_p_value == pytest.approx(max(larger.p_value, 2 * smaller.p_value))


@pytest.mark.parametrize("correction", ["maxt", "bh", "by", "none"])
def test_other_corrections_can_be_chosen(tmp_path, correction):
    """Each is named, and makes p-values larger; without one the sentence does not say the same number twice."""
    comparison = compare(random_runs(tmp_path, ["a", "b", "c"]), correction=correction, n_permutations=999)
    assert comparison.settings["correction"] == CORRECTIONS[correction]
    raised = [pair.adjusted_p_value > pair.p_value for pair in comparison.pairs]
    assert all(pair.adjusted_p_value >= pair.p_value for pair in comparison.pairs)
    assert any(raised) == (correction != "none")
    sentence = comparison.pairs[0].sentence
    assert f", {CORRECTION_NAMES[CORRECTIONS[correction]]}" in sentence
    assert "(3 comparisons)" in sentence
    assert sentence.count("p =") + sentence.count("p <") == 1


def test_a_table_of_groups_overrides_the_runs(tmp_path, two):
    """The same scores in three groups give the p-value of three groups; a table that lacks items is refused."""
    table = tmp_path / "groups.csv"
    table.write_text("item_id,group\n" + "".join(f"item_{n},g{n // 2}\n" for n in range(6)))
    (pair,) = compare(two, groups=table).pairs
    assert (pair.n_groups, pair.p_value) == (3, 0.25)
    table.write_text("item_id,group\nitem_0,g0\n")
    with pytest.raises(OptionError, match="lacks 5 of 6 items, 'item_1' first"):
        compare(two, groups=table)


def test_seeds_are_averaged_within_the_item_and_have_an_interval_of_their_own(tmp_path):
    """Two seeds per item compare like their means, in any order; where both have two the sentence adds new seeds'."""
    ids = [f"item_{number}" for number in range(6)]
    twice = {"ids": ids + ids, "seeds": [7] * 6 + [3] * 6}
    once, apart = write_scores(tmp_path / "once", {"clip_score": A}), np.array([0.01, -0.01] * 3)
    a, b = (
        write_scores(tmp_path / name, {"clip_score": [*(values + apart), *(values - apart)]}, **twice)
        for name, values in (("a", np.array(A)), ("b", np.array(B)))
    )
    (pair,) = compare([once, b]).pairs
    assert (pair.n_items, pair.n_seeds, pair.p_value, pair.ci_low) == (6, 2, 2 / 64, 0.1)
    assert ", 2 seeds)" in pair.sentence
    assert pair.new_seeds.low is None  # one method was run once: its spread between seeds is not known
    (pair,) = compare([a, b]).pairs
    # Both were run with the seeds 3 and 7, and what these do to an item is the same for both: nothing is uncertain.
    assert (pair.new_seeds.paired, pair.new_seeds.low) == (True, None)
    more = {"ids": ids * 3, "seeds": [7] * 6 + [3] * 6 + [5] * 6}
    rng = np.random.default_rng(0)
    tables = {name: np.array(values)[:, None] + 0.01 * rng.normal(size=(6, 3)) for name, values in (("a", A), ("b", B))}
    runs = [
        write_scores(tmp_path / f"more_{name}", {"clip_score": table.T.ravel().tolist()}, **more)
        for name, table in tables.items()
    ]
    (pair,) = compare(runs).pairs
    differences = tables["b"] - tables["a"]
    error = np.sqrt(differences.var(axis=1, ddof=1).mean() / 18)
    half = stats.t.ppf(0.975, 12) * error
    assert pair.new_seeds.freedom == 12
    assert (pair.new_seeds.low, pair.new_seeds.high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=2e-6
    )


def test_items_that_were_not_run_bound_the_difference(tmp_path):
    """What they could have made of it, were their scores the worst or the best that the metric knows."""
    missing = {"clip_score": [*B[:5], None]}
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(tmp_path / "b", missing, reasons={"clip_score": "no_edited_image"}, status={"item_5": "missing"}),
    ]
    (pair,) = compare(runs).pairs
    known = sum(B[:5]) - sum(A[:5])
    low, high = (format_signed((known + score - A[5]) / 6) for score in (0, 1))
    assert f"; on the benchmark between {low} and {high} whatever the 1 item not run would score" in pair.sentence
    runs[1] = write_scores(tmp_path / "c", missing, reasons={"clip_score": "equal_images"})
    assert "not run" not in compare(runs).pairs[0].sentence  # undefined: there is no score to imagine


def test_an_incomplete_run_is_compared_on_common_items_and_not_ranked(tmp_path):
    """Three methods, one of which lacks an item: its pairs have one item less, the others rank without it."""
    runs = random_runs(tmp_path, ["a", "b"], n=8)
    runs.append(
        write_scores(
            tmp_path / "c",
            {"clip_score": [0.2 + number / 50 for number in range(7)] + [None]},
            reasons={"clip_score": "no_edited_image"},
            status={"item_7": "missing"},
        )
    )
    comparison = compare(runs)
    assert {(pair.a, pair.b): pair.n_items for pair in comparison.pairs} == {
        ("a", "b"): 8, ("a", "c"): 7, ("b", "c"): 7,
    }  # fmt: skip
    assert comparison.pairs[1].excluded == {"no_edited_image": 1}
    places = {place.method: place for place in comparison.ranking}
    assert places["c"].rank_low is None
    assert places["c"].reason == "incomplete: 1 of 8 items were not run"
    assert places["c"].mean is not None
    assert {places["a"].rank_high, places["b"].rank_high} <= {1, 2}
    assert [method.n_missing for method in comparison.methods] == [0, 0, 1]
    assert any(note.startswith("c has no clip_score for 1 of 8 items (item_7)") for note in comparison.notes)


def test_a_method_without_any_value_is_said_to_have_none(tmp_path):
    """The identity has no direction on any item: no figure, no rank, a reason in each place."""
    runs = [
        write_scores(tmp_path / "a", {"clip_directional_similarity": A}),
        write_scores(tmp_path / "identity", {"clip_directional_similarity": [None] * 6}),
    ]
    comparison = compare(runs)
    (pair,) = comparison.pairs
    assert (pair.n_items, pair.p_value, pair.verdict) == (0, None, "inconclusive")
    assert pair.reason == "no item has both scores"
    assert pair.excluded == {"equal_images": 6}
    assert "cannot be compared on clip_directional_similarity" in pair.sentence
    assert {place.rank_low for place in comparison.ranking} == {None}
    assert all(place.reason for place in comparison.ranking)


def test_inside_the_margin_is_equivalent(tmp_path):
    """Two methods that differ by noise far below the margin are equivalent, and far outside they are not."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, 30)
    runs = [
        write_scores(tmp_path / "a", {"clip_score": [0.3] * 30}),
        write_scores(tmp_path / "b", {"clip_score": (0.3 + noise - noise.mean()).tolist()}),
    ]
    (wide,) = compare(runs, margins={"clip_score": 0.01}).pairs
    (narrow,) = compare(runs, margins={"clip_score": 0.0001}).pairs
    assert (wide.verdict, narrow.verdict) == ("equivalent", "inconclusive")
    assert "margin ±0.01: equivalence shown" in wide.sentence
    assert narrow.items_needed > 30


def test_the_t_test_is_the_paired_t_test(two):
    """With one item per group it is the textbook's, interval included."""
    (pair,) = compare(two, test="t").pairs
    expected = stats.ttest_rel(B, A)
    interval = expected.confidence_interval()
    assert pair.p_value == pytest.approx(expected.pvalue)
    assert (pair.ci_low, pair.ci_high) == pytest.approx((interval.low, interval.high))
    assert pair.how == "group_t"


def test_wilcoxon_is_wilcoxon_and_says_nothing_of_means(tmp_path):
    """The exact p-value of scipy where there are no ties; sentence and verdict are about ranks, and not the mean."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 12).round(4), rng.normal(0.5, 1, 12).round(4)
    runs = [write_scores(tmp_path / name, {"clip_score": v.tolist()}) for name, v in (("a", a), ("b", b))]
    comparison = compare(runs, test="wilcoxon")
    assert comparison.pairs[0].p_value == pytest.approx(stats.wilcoxon(b - a, method="exact").pvalue)
    (pair,) = comparison.pairs
    assert pair.sentence.startswith("b over a on clip_score: rank-biserial correlation ")
    assert "would be found" not in pair.sentence
    assert pair.winner is None or pair.sentence.endswith("is better in ranks; no difference of means follows")


@pytest.mark.parametrize("scale", [1e-7, 1e7])
def test_the_size_of_the_scores_does_not_matter(tmp_path, scale):
    """Scores of a millionth or of millions are compared like any others, and not rounded away."""
    runs = [
        write_scores(tmp_path / name, {"mse": [value * scale for value in values]}, lower=["mse"])
        for name, values in (("a", A), ("b", B))
    ]
    comparison = compare(runs)
    (pair,) = comparison.pairs
    assert comparison.settings["grid"]["mse"] <= 1e-5 * scale
    assert (pair.p_value, pair.tie, pair.verdict) == (2 / 64, 0, "a_better")
    assert (pair.ci_low / scale, pair.ci_high / scale) == pytest.approx((0.1, 0.4), rel=1e-4)


def test_successes_are_tested_by_mcnemar_and_have_wilsons_interval(tmp_path):
    """Of success rates the sign flip is McNemar's exact test, and their interval in the ranking is Wilson's."""
    a, b = [0, 0, 0, 0, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0]
    runs = [write_scores(tmp_path / name, {"edit_success": values}) for name, values in (("a", a), ("b", b))]
    comparison = compare(runs)
    assert comparison.pairs[0].p_value == pytest.approx(stats.binomtest(1, 5).pvalue)
    for row, wins in zip(comparison.ranking, (5, 2), strict=True):
        expected = proportion_confint(wins, 7, method="wilson")
        assert (row.ci_low, row.ci_high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"enc": "other/net@4567"},
            r"clip_score differ in enc \(encoder\).*'fake/net@0123' for a and 'other/net@4567'",
        ),
        ({"dtype": "bf16"}, r"differ in dtype \(precision\).*'fp32'.*'bf16'.*--dtype"),
        ({"v": "2"}, "differ in v: expected the same, got '1' for a and '2' for b"),
        ({"missing": "floor"}, "differ in missing: expected the same, got 'fail' for a and 'floor' for b.*--missing"),
        ({"benchmark": "shapes"}, "differ in benchmark: .*'tedbench' for a and 'shapes' for b"),
        ({"benchmark": None}, "differ in benchmark: .*'tedbench' for a and none for b"),
        ({"benchmark_version": "2"}, "differ in benchmark_version"),
        ({"ids": [f"x{n}" for n in range(6)]}, "have no item in common.*'item_0' and 'x0'"),
        ({"groups": ["g"] * 6}, "disagree about the group of item 'item_0': got 'item_0' and 'g'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_runs_that_are_not_comparable_are_refused_with_the_field_named(tmp_path, changed, message):
    """The message names the field, both values, and what to do."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(tmp_path / "b", {"clip_score": B}, **changed),
    ]
    with pytest.raises(RunError, match=message):
        compare(runs)


def test_another_version_of_evalkit_is_a_note(tmp_path):
    """What changes a number raises the metric's version; the package's own version alone does not."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(tmp_path / "b", {"clip_score": B}, evalkit="0.2.0"),
    ]
    assert any("different versions of evalkit (0.1.0, 0.2.0)" in note for note in compare(runs).notes)


def test_namesakes_are_told_apart(tmp_path, two):
    """NAME=PATH gives a run another name; runs of one name have their directories behind it; tables are refused."""
    comparison = compare([f"ours={two[0]}", f"theirs={two[0]}"])
    assert [method.name for method in comparison.methods] == ["ours", "theirs"]
    again = write_scores(tmp_path / "again", {"clip_score": B}, run="a")
    assert [method.name for method in compare([two[0], again]).methods] == [f"a ({two[0]})", f"a ({again})"]
    with pytest.raises(RunError, match="is given twice"):
        compare([two[0], two[0]])
    tables = [tmp_path / name / "a.csv" for name in ("one", "two")]
    for table in tables:
        table.parent.mkdir()
        table.write_text("item_id,clip_score\ni1,0.1\ni2,0.2\n")
    with pytest.raises(RunError, match=r"are both called 'a'\. Give one another: evalkit compare NAME="):
        compare(tables)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metrics": ["clip_scores"]}, OptionError, "a has no metric 'clip_scores': expected one of clip_score"),
        ({"metrics": ["clip_scores"]}, OptionError, r"Did you mean clip_score\?$"),
        ({"baseline": "c"}, OptionError, "The baseline 'c' is none of the methods: expected one of a, b"),
        ({"baseline": "aa"}, OptionError, r"Did you mean a\?$"),
        ({"margins": {"clip_scor": 1}}, OptionError, r"--margin names 'clip_scor', .* Did you mean clip_score\?$"),
        ({"margins": {"lpips": 1}}, OptionError, "--margin names 'lpips', which is not compared"),
        ({"margins": {"clip_score": -1}}, OptionError, "margin of clip_score must be a positive number; got -1"),
        ({"primary": ["lpips"]}, OptionError, "--primary names 'lpips'"),
        ({"lower_is_better": ["clip_score"]}, OptionError, "of which evalkit knows that more is better"),
        ({"correction": "maxt", "test": "t"}, OptionError, "maxt comes from the sign flips"),
        ({"alpha": 0}, OptionError, "alpha must be between 0 and 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(two, options, error, message):
    """Each with what was expected and what was got."""
    with pytest.raises(error, match=message):
        compare(two, **options)


def test_metrics_that_only_some_have_are_noted(tmp_path):
    """They are left out by name; without any common metric there is nothing to compare."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A, "psnr": A}),
        write_scores(tmp_path / "b", {"clip_score": B}),
        write_scores(tmp_path / "c", {"ssim": B}),
    ]
    comparison = compare(runs[:2])
    assert [metric.name for metric in comparison.metrics] == ["clip_score"]
    assert any("only some methods have them: psnr" in note for note in comparison.notes)
    with pytest.raises(RunError, match="no metric in common: a has clip_score, psnr; c has ssim"):
        compare([runs[0], runs[2]])


def test_many_comparisons_draw_fewer_permutations(tmp_path):
    """Two methods get 99,999 permutations, seven on three metrics a tenth: small p-values do not rest on them."""
    metrics = ("clip_score", "lpips", "ssim")
    runs = random_runs(tmp_path, list("abcdefg"), n=6, metrics=metrics)
    assert compare(runs[:2]).settings["n_flips"] == 99_999
    assert compare(runs, primary=metrics).settings["n_flips"] == 9_999


def test_a_run_is_compared_with_another_tools_table_in_the_runs_groups(tmp_path):
    """The table knows no groups, so the run's stand; that its numbers carry no signature is said."""
    run = write_scores(tmp_path / "a", {"clip_score": A}, groups=["x", "x", "y", "y", "z", "z"])
    (tmp_path / "b.csv").write_text("id,clip_score\n" + "".join(f"item_{n},{value}\n" for n, value in enumerate(B)))
    for sources in ([run, tmp_path / "b.csv"], [tmp_path / "b.csv", run]):
        comparison = compare(sources)
        assert (comparison.pairs[0].n_groups, comparison.pairs[0].p_value) == (3, 0.25)
        assert any("carry no signature" in note for note in comparison.notes)
        assert not any("counts as independent" in note for note in comparison.notes)


def test_items_that_were_given_the_worst_value_are_noted(tmp_path):
    """Under --missing floor an absent edit is scored, and the reader of the comparison must know how many were."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}, missing="floor"),
        write_scores(
            tmp_path / "b", {"clip_score": [*B[:5], 0.0]}, missing="floor", n_floored=1, status={"item_5": "missing"}
        ),
    ]
    comparison = compare(runs)
    assert "b: edits of 1 item failed (item_5)" in comparison.notes
    assert "failed edits score 0.0000 on clip_score, as an edit without merit" in comparison.notes
    assert all(place.rank_low is not None for place in comparison.ranking)


def test_all_pairs_of_a_table_stand_on_the_same_items(tmp_path):
    """Where one method's value is undefined no pair uses the item and all are ranked; means and differences agree."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(tmp_path / "b", {"clip_score": B}),
        write_scores(tmp_path / "c", {"clip_score": [None, *A[1:]]}),
        write_scores(tmp_path / "nothing", {"clip_score": [None] * 6}),
    ]
    comparison = compare(runs)
    pairs = {(pair.a, pair.b): pair for pair in comparison.pairs}
    assert {pairs[key].n_items for key in (("a", "b"), ("a", "c"), ("b", "c"))} == {5}
    assert pairs["a", "b"].excluded == {"not_common": 1}
    assert pairs["a", "c"].excluded == {"equal_images": 1}
    means = {place.method: place.mean for place in comparison.ranking}
    assert pairs["a", "b"].mean_a == pytest.approx(means["a"])
    assert pairs["a", "nothing"].n_items == 0
    assert [row.method for row in comparison.ranking if row.rank_low is None] == ["nothing"]
    assert any("over the 5 of 6 items" in note for note in comparison.notes)


def test_a_run_beside_itself_is_said(tmp_path):
    """Under two names, or copied: there is nothing to compare; two runs of other edits say nothing of the kind."""
    for name, seed in (("a", 0), ("b", 10)):
        items = [
            replace(item, edited_image=save_picture(tmp_path / name / f"{item.item_id}.png", seed + number))
            for number, item in enumerate(make_items(tmp_path / name, 4, 4))
        ]
        write_manifest(tmp_path / name, items)
        score(tmp_path / name, tmp_path / "runs" / name, metrics=["l1"], cached=False)
    shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / "copy")
    run = tmp_path / "runs" / "a"
    assert f"A and B are both {run}: there is nothing to compare" in compare([f"A={run}", f"B={run}"]).notes
    copied = compare([f"A={run}", f"B={tmp_path / 'runs' / 'copy'}"]).notes
    assert "A and B hold the same edits, byte by byte: there is nothing to compare" in copied
    assert not any("nothing to compare" in note for note in compare([run, tmp_path / "runs" / "b"]).notes)


def test_a_run_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    """Runs and tables that lie beside the path, by their names; other folders are not meant."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "fist").mkdir()
    with pytest.raises(OptionError, match=f"Did you mean {tmp_path}/first\\? Make a run with: evalkit score FOLDER"):
        compare([tmp_path / "frist", tmp_path / "second"])


def test_one_name_is_a_name_and_not_its_letters(tmp_path):
    """What is given alone needs no brackets, as metrics, as a primary metric and as a table."""
    runs = random_runs(tmp_path, ["a", "b"], metrics=("clip_score", "l1"))
    asked = {"metrics": "l1", "primary": "l1", "n_permutations": 999}
    assert compare(runs, **asked).metrics == compare(runs, **{**asked, "metrics": ["l1"], "primary": ["l1"]}).metrics
    assert compare(*runs, **asked).pairs == compare(runs, **asked).pairs
    with pytest.raises(RunError, match="needs two methods or more; got a"):
        compare(runs[0])


@pytest.mark.parametrize("function", [compare, lambda frames: compare(*frames), lambda frames: power(*frames)])
def test_a_data_frame_is_no_run(function):
    """What is taken instead is said, wherever runs are."""
    with pytest.raises(OptionError, match="A DataFrame is no run: expected what score returned, or the path of"):
        function([pd.DataFrame({"l1": [1.0]})])


def test_runs_in_memory_are_compared_as_their_directories_are(tmp_path):
    """What ``score`` returned need not be written and read again to be compared."""
    runs = random_runs(tmp_path, ["a", "b"])
    read = [read_run(run) for run in runs]
    assert compare(read, n_permutations=999).pairs == compare(runs, n_permutations=999).pairs
