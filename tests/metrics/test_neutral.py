"""What an edit without merit scores, which no failed edit surpasses."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit import measure
from evalkit.errors import BrokenPluginError
from evalkit.metrics.base import METRICS, checked_metric, score_of_failed
from tests.support.kinds import RED

ORIGINALS = Path("../shared/tedbench/originals")
scores = st.lists(st.floats(-1, 1), max_size=6)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_neutral_score_lies_in_the_range_and_is_not_the_best(name):
    """It is a score that the metric can give, and an edit can be better."""
    metric = METRICS.get(name)
    better = metric.highest if metric.higher_is_better else metric.lowest
    assert metric.lowest <= metric.neutral <= metric.highest
    assert metric.neutral != better


@pytest.mark.parametrize(
    ("lowest", "highest", "higher_is_better", "neutral"),
    [(-1.0, 5.0, True, -1.0), (-1.0, 5.0, False, 5.0), (-math.inf, 5.0, True, 0.0), (0.0, math.inf, False, 0.0)],
)
def test_a_metric_that_says_nothing_has_the_worse_end_or_zero(lowest, highest, higher_is_better, neutral):
    """So that a plug-in of before keeps the score that its failed edits had, where that was a number."""
    metric = replace(RED, lowest=lowest, highest=highest, higher_is_better=higher_is_better, neutral=None)
    assert metric.neutral == neutral


def test_a_neutral_score_outside_of_the_range_is_refused():
    """As the metric is looked up, in one sentence."""
    with pytest.raises(BrokenPluginError, match="without merit scores must lie in the metric's range, got 2e\\+06"):
        checked_metric(replace(RED, neutral=2e6))


@given(scores, st.one_of(st.none(), st.floats(-1, 1)), st.booleans())
def test_no_failed_edit_surpasses_one_that_was_made(attained, neutral, higher_is_better):
    """Nor the neutral score; and it is one of them, not something worse than all."""
    found = score_of_failed(np.array([*attained, np.nan]), higher_is_better=higher_is_better, neutral=neutral)
    known = [*attained, *([] if neutral is None else [neutral])]
    assert found == ((min if higher_is_better else max)(known) if known else None)


@pytest.mark.skipif(not ORIGINALS.exists(), reason="needs TEdBench's originals in ../shared/tedbench")
def test_unrelated_photographs_come_near_the_neutral_scores_of_pixels():
    """TEdBench's sources, each against others, at 256 pixels: 0.300, 0.137, 8.96 dB and 0.203."""
    pictures = [Image.open(path).convert("RGB").resize((256, 256)) for path in sorted(ORIGINALS.iterdir())]
    names = ("l1", "mse", "psnr", "ssim")
    values = []
    for shift in (7, 14):
        others = pictures[shift:] + pictures[:shift]
        found = measure(others, source=pictures, metrics=names)
        values += [[each[name] for name in names] for each in found]
    l1, mse, psnr, ssim = np.mean(values, axis=0)
    assert 0.8 * METRICS.get("l1").neutral < l1 < METRICS.get("l1").neutral
    assert 0.7 * METRICS.get("mse").neutral < mse < METRICS.get("mse").neutral
    assert METRICS.get("psnr").neutral < psnr < METRICS.get("psnr").neutral + 2
    assert METRICS.get("ssim").neutral < ssim < 0.25
