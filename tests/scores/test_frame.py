"""The score frame: columns that give back every row, and means to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scores.frame import ItemScores, ScoreFrame, factorize

METRICS = ("psnr", "status")  # a metric may have the name of a column


@st.composite
def rows(draw):
    """Rows of a few items, each with a value or a reason for every metric."""
    scored = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["empty", "equal_images"])
    found = []
    for item, seed in draw(
        st.lists(st.tuples(st.sampled_from("abcé"), st.none() | st.integers(0, 2**64)), max_size=12)
    ):
        cells = {metric: draw(scored) for metric in METRICS}
        found.append(
            ItemScores(
                item_id=item, group=f"of {item}", seed=seed, edit_type=draw(st.none() | st.just("style")),
                status=draw(st.sampled_from(["ok", "failed", "missing"])),
                values={metric: None if isinstance(cell, str) else cell for metric, cell in cells.items()},
                reasons={metric: cell for metric, cell in cells.items() if isinstance(cell, str)},
            )
        )  # fmt: skip
    return found


@given(rows(), st.integers(0, 12))
def test_a_frame_gives_back_its_rows(given_rows, cut):
    """Whole or put together from two, with seeds of any size, nulls and their reasons."""
    frame = ScoreFrame.from_rows(given_rows, METRICS)
    parts = [ScoreFrame.from_rows(part, METRICS) for part in (given_rows[:cut], given_rows[cut:])]
    assert list(frame.rows) == given_rows
    assert ScoreFrame.concatenate(parts) == frame
    assert (frame.metrics, len(frame)) == (METRICS, len(given_rows))
    assert frame.n_items == len({row.item_id for row in given_rows})
    assert frame.is_ok().tolist() == [row.status == "ok" for row in given_rows]


@given(rows())
def test_what_is_said_of_a_metric_follows_from_its_rows(given_rows):
    """Means are numpy's to the last bit; items and reasons stand in the order of their first appearance."""
    frame = ScoreFrame.from_rows(given_rows, METRICS)
    values, undefined = {}, {}
    for row in given_rows:
        if row.values["psnr"] is None:
            undefined[row.reasons["psnr"]] = undefined.get(row.reasons["psnr"], 0) + 1
        else:
            values.setdefault(row.item_id, []).append(row.values["psnr"])
    means = frame.item_means("psnr")
    with np.errstate(over="ignore"):
        assert list(means.by_item().items()) == [(item, float(np.mean(found))) for item, found in values.items()]
    assert means.groups == tuple(f"of {item}" for item in values)
    assert list(frame.undefined("psnr").items()) == list(undefined.items())
    floored = sum(row.values["psnr"] is not None and row.status != "ok" for row in given_rows)
    assert frame.n_floored("psnr") == floored


def test_many_seeds_are_added_as_numpy_adds_them():
    """From eight values on numpy adds in pairs, and so does the mean of an item."""
    values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(50)
    found = [ItemScores(item_id="a", group="a", seed=seed, values={"x": v}) for seed, v in enumerate(values.tolist())]
    assert ScoreFrame.from_rows(found, ["x"]).item_means("x").values.tolist() == [np.mean(values)]


def test_items_can_be_put_into_other_groups():
    """Scores and everything else stay."""
    found = [ItemScores(item_id=item, group="g", values={"x": 1.0}) for item in "aba"]
    frame = ScoreFrame.from_rows(found, ["x"]).with_groups({"a": "one", "b": "two"})
    assert list(frame.groups()) == [("a", "one"), ("b", "two"), ("a", "one")]
    assert frame.column("x").tolist() == [1.0] * 3
    assert factorize(frame.items["group"])[0].tolist() == [0, 1, 0]


def test_a_value_that_is_missing_without_a_reason_is_no_count():
    """Whoever made such a row is told."""
    frame = ScoreFrame.from_rows([ItemScores(item_id="a", group="a", values={"x": None})], ["x"])
    with pytest.raises(ValueError, match="no value and no reason for 1 row"):
        frame.undefined("x")
