"""Ground truth, attribute by attribute."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.attributes import attribute_preservation, edit_success
from evalkit.metrics.base import METRICS, get_metrics

SOURCE = np.array([[1, 2, 3, 4, 5]], np.float32)
TARGET = np.array([[1, 7, 3, 4, 5]], np.float32)
ROW = st.lists(st.integers(1, 3), min_size=4, max_size=4)
SEEN = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@pytest.mark.parametrize(
    ("edited", "success", "preservation"),
    [
        pytest.param([1, 7, 3, 4, 5], 1.0, 1.0, id="reference"),
        pytest.param([1, 2, 3, 4, 5], 0.0, 1.0, id="identity"),
        pytest.param([1, 6, 3, 4, 5], 0.0, 1.0, id="wrong value"),
        pytest.param([2, 7, 1, 1, 5], 1.0, 0.25, id="done, and three others changed"),
        pytest.param([0, 7, 0, 0, 0], 1.0, 0.0, id="the rest unrecognisable"),
        pytest.param([0, 0, 0, 0, 0], 0.0, 0.0, id="nothing recognisable"),
    ],
)
def test_known_edits_have_known_scores(edited, success, preservation):
    """Success looks at what was asked for and preservation at everything else."""
    seen = np.array([edited], np.float32)

    assert edit_success(seen, SOURCE, TARGET).optional() == [success]
    assert attribute_preservation(seen, SOURCE, TARGET).optional() == [preservation]


def test_an_edit_of_two_attributes_succeeds_when_both_changed():
    """Half of what was asked for is no success."""
    target = np.array([[1, 7, 3, 9, 5]], np.float32)

    assert edit_success(TARGET, SOURCE, target).optional() == [0.0]
    assert edit_success(target, SOURCE, target).optional() == [1.0]
    assert attribute_preservation(TARGET, SOURCE, target).optional() == [1.0]


def test_nothing_asked_is_undefined():
    """An item whose source and target agree has no success, and one that changes all has nothing to preserve."""
    assert edit_success(SOURCE, SOURCE, SOURCE).reasons == ("nothing_asked",)
    assert attribute_preservation(SOURCE, SOURCE, SOURCE + 1).reasons == ("nothing_to_preserve",)


@given(st.lists(st.tuples(SEEN, ROW, ROW), min_size=1, max_size=6))
def test_the_scores_are_what_counting_gives(rows):
    """A loop over items and attributes, written another way, gives the same numbers."""
    edited, source, target = (np.array(part, np.float32) for part in zip(*rows, strict=True))

    success = edit_success(edited, source, target).optional()
    preservation = attribute_preservation(edited, source, target).optional()

    for index, (seen, before, wanted) in enumerate(rows):
        asked = [name for name in range(4) if before[name] != wanted[name]]
        kept = [name for name in range(4) if before[name] == wanted[name]]
        assert success[index] == (float(all(seen[name] == wanted[name] for name in asked)) if asked else None)
        expected = sum(seen[name] == before[name] for name in kept) / len(kept) if kept else None
        assert preservation[index] == expected


@given(st.permutations(range(4)), st.tuples(SEEN, ROW, ROW))
def test_the_order_of_attributes_does_not_matter(order, row):
    """Codes are compared position by position, whichever position an attribute has."""
    edited, source, target = (np.array([part], np.float32) for part in row)

    for function in (edit_success, attribute_preservation):
        straight = function(edited, source, target).optional()
        assert function(edited[:, order], source[:, order], target[:, order]).optional() == straight


@pytest.mark.parametrize(
    "metric", get_metrics(("edit_success", "attribute_preservation")), ids=lambda metric: metric.name
)
def test_the_records_say_what_they_need(metric):
    """Both are registered, go through the recogniser, and score a failed edit 0."""
    assert METRICS.get(metric.name) is metric
    assert {feature.encoder for feature in metric.features.values()} == {"shapes_recogniser"}
    assert metric.neutral == 0.0
    arrays = {"edited_image": TARGET, "source_attributes": SOURCE, "target_attributes": TARGET}
    assert metric.compute(arrays, resolution=0.0).optional() == [1.0]
