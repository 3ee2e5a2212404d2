"""What no caption names, kept or lost: chance is 0 by calculation and by lot, and a copy is 1."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.shapes.details import HEIGHTS, SLOPES, Details
from evalkit.benchmarks.shapes.edits import edits
from evalkit.benchmarks.shapes.recogniser import ShapesReader, codes
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Jitter, Scene, draw
from evalkit.errors import EncoderError
from evalkit.metrics.base import METRICS
from evalkit.metrics.details import (
    CODE_LENGTH,
    CODED,
    closeness,
    edit_success,
    scene_detail_preservation,
    subject_detail_preservation,
    unnamed_attribute_preservation,
)
from evalkit.metrics.pixel import differences

DETAILS = {"stripe_angle": 20.0, "horizon_height": 0.4, "horizon_slope": -0.1}
SOURCE = {"shape": "circle", "colour": "red", "size": "small", "place": "left", "background": "grey", **DETAILS}
TARGET = {**SOURCE, "colour": "blue"}
NAMED = {"shape": "circle", "colour": "blue", "size": "small"}
N_DRAWS = 4_000


def coded(*pictures):
    """The codes of what is known of pictures, one row each."""
    return np.array([codes(picture).ravel() for picture in pictures])


def changed(**values):
    """The codes of the target with other values."""
    return coded({**TARGET, **values})


def subject(edited):
    """Of one edit of the source."""
    return subject_detail_preservation(edited, coded(SOURCE)).optional()[0]


def scene(edited):
    """Of one edit of the source."""
    return scene_detail_preservation(edited, coded(SOURCE)).optional()[0]


def unnamed(edited, named=NAMED):
    """Of one edit of the source to the target."""
    return unnamed_attribute_preservation(edited, coded(SOURCE), coded(TARGET), coded(named)).optional()[0]


@cache
def sampled(number, seed):
    """Codes of what is drawn uniformly from all that there is."""
    rng = np.random.default_rng(seed)
    words = {name: rng.choice(values, number) for name, values in ATTRIBUTES.items()}
    drawn = [Details.sample(rng) for _ in range(number)]
    return coded(
        *({name: str(words[name][row]) for name in words} | _numbers(details) for row, details in enumerate(drawn))
    )


def _numbers(details):
    return {name: getattr(details, name) for name in DETAILS}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, (1.0, 1.0, 1.0), id="perfect edit"),
        pytest.param({"stripe_angle": 20.0 + 45}, (0.0, 1.0, 1.0), id="stripe turned by 45°"),
        pytest.param({"stripe_angle": 20.0 + 90}, (-1.0, 1.0, 1.0), id="stripe turned by 90°"),
        pytest.param({"stripe_angle": 20.0 + 180}, (1.0, 1.0, 1.0), id="a stripe has no direction"),
        pytest.param({"stripe_angle": None}, (0.0, 1.0, 1.0), id="stripe lost"),
        pytest.param({"horizon_height": 0.5}, (1.0, 0.5, 1.0), id="horizon a quarter of its range lower"),
        pytest.param({"horizon_height": 0.6, "horizon_slope": 0.2}, (1.0, -1.0, 1.0), id="both a half of it off"),
        pytest.param({"horizon_height": None, "horizon_slope": None}, (1.0, 0.0, 1.0), id="horizon lost"),
        pytest.param({"place": "top"}, (1.0, 1.0, (1 - 1 / 8) / 2), id="one of nine places for another"),
        pytest.param({"place": "unknown", "background": "navy"}, (1.0, 1.0, -1 / 5 / 2), id="place lost, other of six"),
        pytest.param({"colour": "red", "size": "large"}, (1.0, 1.0, 1.0), id="named attributes do not count"),
    ],
)
def test_known_edits_have_known_scores(values, expected):
    """Each metric looks at its own part, and what is lost counts as chance."""
    edited = changed(
        **{name: value % 180 if name == "stripe_angle" and value else value for name, value in values.items()}
    )

    assert (subject(edited), scene(edited), unnamed(edited)) == pytest.approx(expected, abs=1e-6)
    done = values.get("colour", "blue") == "blue"
    assert edit_success(edited, coded(SOURCE), coded(TARGET)).optional() == [float(done)]


def test_where_there_is_nothing_to_say_there_is_no_value():
    """A caption that names all leaves nothing unnamed, and where nothing was asked nothing succeeds."""
    named = {name: TARGET[name] for name in ATTRIBUTES}

    same = edit_success(coded(SOURCE), coded(SOURCE), coded(SOURCE))
    assert unnamed(changed(), named) is None
    assert same.reasons == ("nothing_asked",)


def test_chance_is_0_in_closed_form():
    """Each code has length 1 and, over all values of an attribute, or a whole range evenly, a mean of 0."""
    for row, name in enumerate(CODED):
        if name in ATTRIBUTES:
            values = list(ATTRIBUTES[name])
        else:
            low, high = {"stripe_angle": (0, 180), "horizon_height": HEIGHTS, "horizon_slope": SLOPES}[name]
            values = list(low + (high - low) * (np.arange(360) + 0.5) / 360)
        made = np.array([codes({name: value})[row] for value in values], float)
        np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(made.mean(axis=0), 0.0, atol=1e-6)
    assert max(map(len, ATTRIBUTES.values())) == CODE_LENGTH


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(lambda: sampled(N_DRAWS, 2), id="drawn by lot"),
        pytest.param(lambda: np.repeat(changed(), N_DRAWS, axis=0), id="always the same picture"),
        pytest.param(lambda: np.zeros((N_DRAWS, len(CODED) * CODE_LENGTH)), id="nothing that can be read"),
    ],
)
def test_an_edit_that_does_not_depend_on_its_source_scores_0_on_average(drawn):
    """Within four standard errors over 4,000 sources, whatever it always shows; and each source's copy scores 1."""
    source, edited, said = sampled(N_DRAWS, 1), drawn(), coded(*[{"shape": "circle"}] * N_DRAWS)

    for function, more in (
        (subject_detail_preservation, ()),
        (scene_detail_preservation, ()),
        (unnamed_attribute_preservation, (source, said)),
    ):
        values = function(edited, source, *more).values
        assert abs(values.mean()) <= 4 * values.std() / np.sqrt(N_DRAWS)
        np.testing.assert_allclose(function(source, source, *more).values, 1.0, atol=1e-6)


@given(st.permutations(range(6)), st.integers(0, 2**32))
def test_items_are_scored_each_by_itself(order, seed):
    """Whatever the order of the items, each has its value."""
    source, edited = sampled(6, seed), sampled(6, seed + 1)

    straight = scene_detail_preservation(edited, source).values
    np.testing.assert_allclose(scene_detail_preservation(edited[order], source[order]).values, straight[order])


def test_closeness_is_0_on_average_for_drawings_without_relation():
    """The unit is the mean L1 of two drawings, within four standard errors; the reference itself scores 1."""
    rng = np.random.default_rng(3)
    drawings = [
        draw(
            Scene(
                **{name: str(rng.choice(values)) for name, values in ATTRIBUTES.items()}, details=Details.sample(rng)
            ),
            Jitter.sample(rng),
        )
        for _ in range(600)
    ]
    pairs = np.array([differences(one, other) for one, other in zip(drawings[::2], drawings[1::2], strict=True)])

    values = closeness(pairs).values
    assert abs(values.mean()) <= 4 * values.std() / np.sqrt(len(values))
    assert closeness(np.zeros((1, 2))).optional() == [1.0]


def test_pictures_score_what_they_show():
    """A copy and the perfect edit keep all, only the second succeeds, and a turned stripe is seen."""
    reader = ShapesReader()
    chosen, items = edits("shapes:v2_tuning")[:12], BENCHMARKS.get("shapes:v2_tuning")().items[:12]
    arrays = {
        name: reader.encode_texts([json.dumps(dict(getattr(item, name))) for item in items])
        for name in ("source_attributes", "target_attributes")
    }
    arrays["target_caption"] = reader.encode_texts([item.target_caption for item in items])
    metrics = [metric for name in METRICS.names() if (metric := METRICS.get(name)).encoders == (reader.spec.name,)]

    def means(scene_of):
        pictures = np.stack([draw(scene_of(edit), edit.jitter) for edit in chosen])
        seen = arrays | {"edited_image": reader.encode_images(pictures)}
        needed = ({name: seen[name] for name in metric.features} for metric in metrics)
        return [metric.compute(own, resolution=0.0).values.mean() for metric, own in zip(metrics, needed, strict=True)]

    def turned(edit):
        angle = (edit.target.details.stripe_angle + 90) % 180
        return replace(edit.target, details=replace(edit.target.details, stripe_angle=angle))

    assert means(lambda edit: edit.source) == pytest.approx([0, 1, 1, 1], abs=0.01)
    assert means(lambda edit: edit.target) == pytest.approx([1, 1, 1, 1], abs=0.01)
    assert means(turned) == pytest.approx([1, -1, 1, 1], abs=0.01)


@pytest.mark.parametrize("missing", ["stripe_angle", "colour"])
def test_attributes_of_another_benchmark_are_refused(missing):
    """In one sentence that says whose these metrics are."""
    known = {name: str(value) for name, value in SOURCE.items() if name != missing}

    with pytest.raises(EncoderError, match="for the benchmark shapes:v2"):
        ShapesReader().encode_texts([json.dumps(known)])
