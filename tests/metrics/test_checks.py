"""A metric is checked when it is looked up: each fault is one sentence that names the metric."""

import math
from dataclasses import replace

import pytest

from evalkit.errors import BrokenPluginError
from evalkit.metrics.base import METRICS, checked_metric
from evalkit.metrics.features import ItemFeature, PairFeature, VectorFeature
from tests.support.kinds import JUDGED, RED, TWO_NETWORKS, first

FAULTS = {
    "no features": ({"features": {}, "function": lambda: None}, "it has no features"),
    "range": ({"lowest": 1.0, "highest": 0.0}, "lowest value below its highest, got 1 to 0"),
    "no number": ({"lowest": math.nan}, "lowest value below its highest"),
    "name": ({"name": "Red Mean"}, "expected a name such as clip_score"),
    "family": ({"family": "beauty"}, "must be one of alignment, preservation, quality, ground_truth, got 'beauty'"),
    "function": ({"function": lambda pixels: None}, "its function does not take numbers"),
    "no function": ({"function": 7}, "a int cannot be called"),
    "kind": ({"features": {"numbers": 7}}, "expected a VectorFeature, a PairFeature or an ItemFeature, got int"),
    "field": ({"features": {"numbers": VectorFeature(field="edited")}}, "items have no field 'edited'"),
    "template": (
        {"features": {"numbers": VectorFeature(field="target_caption", template="haiku")}},
        "there is no template 'haiku'",
    ),
    "template of an image": (
        {"features": {"numbers": VectorFeature(field="edited_image", template="imagenet79")}},
        "templates are for texts",
    ),
    "measure": (
        {"features": {"numbers": PairFeature(measure=lambda edited: [1.0])}},
        "its measure does not take edited, source",
    ),
    "mask": (
        {"features": {"numbers": PairFeature(measure=lambda edited, source: [1.0], masked=True)}},
        "its measure does not take edited, source, background",
    ),
    "neither": ({"features": {"numbers": PairFeature()}}, "it needs a measure or an encoder, and not both"),
    "both": ({"features": {"numbers": PairFeature(measure=first, encoder="dino")}}, "and not both"),
    "against": (
        {"features": {"numbers": PairFeature(encoder="dino", against="edit_mask")}},
        "compared with source_image or reference_image, not with 'edit_mask'",
    ),
    "judge": ({"features": {"numbers": ItemFeature(takes=("mood",), judge=len)}}, "not mood"),
    "blind": (
        {"features": {"numbers": VectorFeature(field="source_image")}},
        "none of its features looks at the edited image",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_in_one_sentence(fault):
    """The sentence names the metric and what was expected."""
    changes, said = FAULTS[fault]
    with pytest.raises(BrokenPluginError) as failure:
        checked_metric(replace(RED, **changes))
    message = str(failure.value)
    assert message.startswith(f"The metric {changes.get('name', 'red')} is wrong: ")
    assert said in message


def test_what_is_no_metric_or_goes_by_another_name_is_refused():
    """As an entry point may point anywhere."""
    with pytest.raises(BrokenPluginError, match="'red' is no metric: expected a Metric, got float"):
        checked_metric(1.0, registered="red")
    with pytest.raises(BrokenPluginError, match="'blue' is registered under another name than its own, which is 'red'"):
        checked_metric(RED, registered="blue")


def test_all_metrics_of_evalkit_and_all_kinds_are_sound():
    """Ours are not checked at every look-up, so they are here; and every summary stands alone."""
    for entry in METRICS.entries():
        assert entry.error is None
        assert checked_metric(entry.value, registered=entry.name) is entry.value
        assert not entry.value.summary.startswith("the same")
    assert all(checked_metric(metric) for metric in (RED, TWO_NETWORKS, JUDGED))


def test_measures_and_judges_without_a_name_have_that_of_the_metric_or_their_own():
    """A key is made of names that somebody wrote down."""
    assert RED.features["numbers"].key.name == "red/numbers"
    judge = JUDGED.features["numbers"].key
    assert (judge.name, judge.version, judge.parameters) == (
        "word_counter",
        3,
        (("takes", "target_caption,edited_image"),),
    )
    assert METRICS.get("l1").features["differences"].key == METRICS.get("l1_reference").features["differences"].key
