"""Edits that failed: one score for all methods, and a rate of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.comparison.compare import compare
from evalkit.metrics.base import METRICS
from tests.support.runs import A, B, write_scores

FAILED = {"item_5": "failed"}


def run_of(path, values, **more):
    """Scores of which the last was given to a failed edit."""
    return write_scores(path, {"clip_score": values}, status=FAILED, **more)


def pair_on(comparison, metric):
    """The one pair on a metric."""
    (pair,) = [pair for pair in comparison.pairs if pair.metric == metric]
    return pair


def test_both_methods_failed_edits_score_the_same(tmp_path):
    """Whatever their runs gave them, by the rules of their day, an item on which both failed is a tie."""
    runs = [run_of(tmp_path / "a", [*A[:5], -1.0]), run_of(tmp_path / "b", [*B[:5], 0.0])]
    pair = pair_on(compare(runs), "clip_score")
    assert pair.difference == pytest.approx((sum(B[:5]) - sum(A[:5])) / 6)
    assert (pair.win, pair.tie, pair.loss) == (5, 1, 0)


@given(
    st.sampled_from(["clip_score", "lpips", "psnr", "pick_score", "l1"]),
    st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), min_size=2, max_size=6),
    st.floats(0.1, 5),
)
@settings(max_examples=30)
def test_a_failed_edit_is_the_worst_of_all_methods_and_no_better_than_neutral(tmp_path_factory, name, rows, stored):
    """By hand: the worst attained of either method and the neutral score, the value in the run's file unread."""
    folder, metric = tmp_path_factory.mktemp("runs"), METRICS.get(name)
    lower = [] if metric.higher_is_better else [name]
    a, b = (list(column) for column in zip(*rows, strict=True))
    runs = [
        write_scores(folder / "a", {name: [*a, stored]}, lower=lower, status={f"item_{len(a)}": "failed"}),
        write_scores(folder / "b", {name: [*b, 1.0]}, lower=lower),
    ]
    worst = (min if metric.higher_is_better else max)([*a, *b, 1.0, metric.neutral])
    pair = pair_on(compare(runs, n_resamples=99), name)
    assert pair.mean_a == pytest.approx(np.mean([*a, worst]), abs=1e-5)


def test_a_failure_that_was_never_scored_is_scored(tmp_path):
    """A declared failure without a value is no gap that makes the others' items fewer."""
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        run_of(tmp_path / "b", [*B[:5], None], reasons={"clip_score": "no_edited_image"}),
    ]
    pair = pair_on(compare(runs), "clip_score")
    assert (pair.n_items, pair.mean_b) == (6, pytest.approx(sum(B[:5]) / 6))


def test_an_item_that_the_metric_is_undefined_for_stays_so(tmp_path):
    """A failure says nothing about an item without a source image: no method can be scored there."""
    reasons = {"clip_score": "no_source_image"}
    runs = [
        write_scores(tmp_path / "a", {"clip_score": [*A[:5], None]}, reasons=reasons),
        run_of(tmp_path / "b", [*B[:5], None], reasons=reasons),
    ]
    comparison = compare(runs)
    assert pair_on(comparison, "clip_score").excluded == {"no_source_image": 1}
    assert pair_on(comparison, "failure_rate").mean_b == pytest.approx(1 / 6)


def test_the_failure_rate_is_a_rate_of_its_own(tmp_path):
    """Lower is better, exploratory, over all items; where nobody failed it is not there."""
    runs = [write_scores(tmp_path / "a", {"clip_score": A}), run_of(tmp_path / "b", [*B[:5], 0.0])]
    comparison = compare(runs)
    metric = comparison.metrics[-1]
    assert (metric.name, metric.is_rate, metric.range, metric.primary) == ("failure_rate", True, (0.0, 1.0), False)
    pair = pair_on(comparison, "failure_rate")
    assert (pair.mean_a, pair.mean_b, pair.win, pair.tie, pair.loss) == (0.0, pytest.approx(1 / 6), 0, 5, 1)
    assert (pair.n_failed, pair.complete_cases) == (0, None)  # failing is what it measures: nothing was given
    assert pair_on(comparison, "clip_score").complete_cases.n_items == 5
    assert [metric.name for metric in compare([runs[0], f"c={runs[0]}"]).metrics] == ["clip_score"]


def test_items_that_were_not_run_are_no_failures(tmp_path):
    """Nobody knows whether they would have failed: the rate has no value there either."""
    status = {"item_4": "failed", "item_5": "missing"}
    runs = [
        write_scores(tmp_path / "a", {"clip_score": A}),
        write_scores(
            tmp_path / "b",
            {"clip_score": [*B[:4], 0.0, None]},
            reasons={"clip_score": "no_edited_image"},
            status=status,
        ),
    ]
    pair = pair_on(compare(runs), "failure_rate")
    assert (pair.n_items, pair.mean_b) == (5, pytest.approx(1 / 5))


def test_a_blank_cell_of_another_tool_is_no_failure(tmp_path):
    """It is left out as before."""
    (tmp_path / "t.csv").write_text("item,method,clip_score\nx,a,0.5\ny,a,0.25\nz,a,0.1\nx,b,0.4\ny,b,0.2\nz,b,\n")
    comparison = compare([tmp_path / "t.csv"])
    assert [metric.name for metric in comparison.metrics] == ["clip_score"]
    assert comparison.pairs[0].excluded == {"empty": 1}


def test_figures_and_pages_see_the_scores_of_the_comparison(tmp_path):
    """A method's table holds the score that was given, so that no figure contradicts the sentence beside it."""
    runs = [run_of(tmp_path / "a", [*A[:5], -1.0]), write_scores(tmp_path / "b", {"clip_score": B})]
    (a, _) = compare(runs).methods
    assert a.table.rows[5].values == {"clip_score": 0.0, "failure_rate": 1.0}


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("lpips", 0.3, 0.1), ("clip_score:torchmetrics", 25.0, 3.0), ("psnr", 20.0, 4.0)]
)
def test_two_failures_of_a_hundred_do_not_undo_half_a_standard_deviation(tmp_path, name, mean, deviation):
    """At the ends of the ranges, 7.74, −100 and 0 dB, they turned the difference around or hid it."""
    rng, sign = np.random.default_rng(2), 1 if METRICS.get(name).higher_is_better else -1
    a = rng.normal(mean, deviation, 100)
    b = a + sign * deviation / 2 + rng.normal(0, deviation / 4, 100)
    lower = [] if sign > 0 else [name]
    runs = [
        write_scores(tmp_path / "a", {name: a.tolist()}, lower=lower),
        write_scores(
            tmp_path / "b", {name: b.tolist()}, lower=lower, status=dict.fromkeys(("item_1", "item_2"), "failed")
        ),
    ]
    assert pair_on(compare(runs), name).verdict == "b_better"
