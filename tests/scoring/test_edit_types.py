"""A run's means on each edit type: those of its items alone, at a level that holds over all types."""

import numpy as np
import pytest
from scipy import stats

from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import FolderRecord, MetricSummary, RunRecord, ScoredRun
from evalkit.scoring.edit_types import about_means_by_type, means_by_type, run_type_tables

TYPES = ("add", "remove", "style")


def run_of(type_of, n=24, metrics=("psnr", "edit_success")):
    """A run of two metrics on items of their own groups, two of three of them a success."""
    rng = np.random.default_rng(5)
    rows = [
        ItemScores(
            item_id=f"i{item}", group=f"g{item}", edit_type=type_of(item),
            values={"psnr": 20 + rng.normal(), "edit_success": float(item % 3 > 0)},
        )
        for item in range(n)
    ]  # fmt: skip
    summary = MetricSummary(
        mean=None, ci_low=None, ci_high=None, n=n, n_groups=n, n_undefined=0, undefined={}, n_floored=0,
        higher_is_better=True, interval="group_t", signature="psnr|v:1",
    )  # fmt: skip
    record = RunRecord(
        run="ours", method=None, benchmark=None, benchmark_version=None,
        folder=FolderRecord(path="/ours", layout="manifest", digest="", n_files=n, n_matched=n), n_items=n, n_edited=n,
        missing="fail", level=0.95, metrics=dict.fromkeys(metrics, summary), encoders={}, problems=[], items_sha256="",
        versions={}, started="2026-01-01T00:00:00", seconds=0.0, n_encoded_images=0, n_encoded_texts=0,
    )  # fmt: skip
    return ScoredRun(record=record, table=ScoreFrame.from_rows(rows, metrics))


def test_intervals_of_all_types_hold_together():
    """Each is the textbook interval of the type's items, at one third of the error rate where there are three types."""
    run = run_of(lambda item: TYPES[item // 8])
    found = means_by_type(run)
    assert found.level == pytest.approx(1 - 0.05 / 3)
    assert list(found.of) == list(TYPES)
    for number, part in enumerate(found.of.values()):
        rows = slice(8 * number, 8 * number + 8)
        values, successes = run.table.column("psnr")[rows], int(run.table.column("edit_success")[rows].sum())
        ends = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 3)
        assert (part.metrics["psnr"].ci_low, part.metrics["psnr"].ci_high) == pytest.approx((ends.low, ends.high))
        wilson = stats.binomtest(successes, 8).proportion_ci(1 - 0.05 / 3, method="wilson")
        rate = part.metrics["edit_success"]
        assert (rate.ci_low, rate.ci_high) == pytest.approx((wilson.low, wilson.high))
        assert (part.n_items, part.n_groups, part.metrics["psnr"].mean) == (8, 8, pytest.approx(values.mean()))


def test_what_is_shown_is_said_with_its_level():
    """Types by metrics of one run, runs by types of several; items without a type are counted, not shown."""
    found = means_by_type(run_of(lambda item: None if item < 2 else TYPES[item % 3]))
    (one,) = run_type_tables({"ours": found})
    assert one.header == ("edit type", "items", "groups", "psnr ↑", "edit_success ↑")
    assert [row[:3] for row in one.rows] == [("style", "8", "8"), ("add", "7", "7"), ("remove", "7", "7")]
    other = means_by_type(run_of(lambda item: TYPES[item % 2]))
    psnr, success = run_type_tables({"ours": found, "theirs": other})
    assert (psnr.title, success.title) == ("psnr ↑ by edit type", "edit_success ↑ by edit type")
    assert psnr.header == ("run", "style", "add", "remove")  # not the same number of items in both
    assert [row[0] for row in psnr.rows] == ["ours", "theirs"]
    assert psnr.rows[1][1].strip() == "–"
    assert about_means_by_type([found], 0.95) == (
        "The intervals of a metric on all edit types hold together at 95 % (Bonferroni: 98.33 % each). "
        "Not shown: 2 items of no known type."
    )
    assert "of a run and metric on all edit types hold together at 95 % (Bonferroni: 97.5 % or 98.33 % each)" in (
        about_means_by_type([found, other], 0.95)
    )


@pytest.mark.parametrize("edit_type", [None, "style"])
def test_without_types_there_is_nothing_to_tell_apart(edit_type):
    """No type, or a single one: no table, and a sentence that says so."""
    found = means_by_type(run_of(lambda _: edit_type))
    assert not list(run_type_tables({"ours": found}))
    assert about_means_by_type([found], 0.95).startswith("The items have no edit types, or all the same one: ")
