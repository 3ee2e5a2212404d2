"""Version 2 of the shapes: details that no caption names, captions that name a part, and three lists of edits."""

import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.shapes.details import HEIGHTS, SLOPES, Details, ground_tone, mixed, stripe_tone
from evalkit.benchmarks.shapes.edits import EDIT_TYPES, LISTS, edits
from evalkit.benchmarks.shapes.files import locate
from evalkit.benchmarks.shapes.language import caption, named_in
from evalkit.benchmarks.shapes.recognise import UNKNOWN, read, recognise
from evalkit.benchmarks.shapes.world import ATTRIBUTES, BACKGROUNDS, COLOURS, Jitter, Scene, coverage, draw
from evalkit.edits.item import EditItem
from evalkit.errors import BenchmarkError
from evalkit.images.decode import read_image
from tests.support.scenes import ANY_DETAILED_SCENE, ANY_JITTER, ANY_SCENE, RED_CIRCLE, paraphrases

V2 = ("shapes:v2", "shapes:v2_tuning", "shapes:v2_final")
MIDDLE = Details(stripe_angle=30.0, horizon_height=0.5, horizon_slope=0.1)


def off(found: float | None, true: float) -> float:
    """How far two angles are apart, in degrees; a half turn where none was found."""
    return 180.0 if found is None else abs((found - true + 90.0) % 180.0 - 90.0)


def is_read(scene: Scene, picture: np.ndarray, *, degrees: float, share: float) -> bool:
    """Whether all attributes are read off a picture, and its details within some degrees and shares of the side."""
    assert scene.details
    found = read(picture)
    height, slope = found.details["horizon_height"], found.details["horizon_slope"]
    return (
        found.attributes == scene.attributes
        and off(found.details["stripe_angle"], scene.details.stripe_angle) <= degrees
        and height is not None
        and abs(height - scene.details.horizon_height) <= share
        and slope is not None
        and abs(slope - scene.details.horizon_slope) <= 2 * share
    )


@given(ANY_SCENE, ANY_JITTER)
@settings(max_examples=25, deadline=None)
def test_a_scene_without_details_is_drawn_as_version_1_has_it(scene, jitter):
    """One colour on one colour, mixed by how much of a pixel the shape covers: to the last level."""
    shape = np.clip(np.array(COLOURS[scene.colour]) + jitter.colour_tint, 0, 255)
    background = np.clip(np.array(BACKGROUNDS[scene.background]) + jitter.background_tint, 0, 255)
    share = coverage(scene, jitter)[..., None] / 255

    expected = np.rint(background + share * (shape - background)).astype(np.uint8)
    np.testing.assert_array_equal(draw(scene, jitter), expected)
    assert list(scene.attributes) == list(ATTRIBUTES)


def test_the_lists_are_declared_apart():
    """24 sources and 96 edits each, from seeds of their own; no two lists share a source, details left aside."""
    sources = {name: {tuple(edit.source.attributes.values()) for edit in edits(name)} for name in LISTS}

    assert len({made.seed for made in LISTS.values()}) == len(LISTS) == 4
    assert len(set().union(*sources.values())) == sum(map(len, sources.values())) == 72 + 3 * 24
    for name in V2:
        assert len(edits(name)) == 96
        assert len({edit.group for edit in edits(name)}) == 24
        for attribute in ATTRIBUTES:
            counts = Counter(edit.source.attributes[attribute] for edit in edits(name))
            assert set(counts) == set(ATTRIBUTES[attribute])
            assert max(counts.values()) - min(counts.values()) <= 4  # one source


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        pytest.param("shapes:v2", "1ce9ba0cc082ad1f53d4e26918ad7004f0238b6b3c2529bbdec19d85fec8b131", id="claim"),
        pytest.param(
            "shapes:v2_tuning", "aea46c14ada8039c21b6c3f1be0350d99e45ab161f8eb78ecbc9ea27a70a4cf1", id="tuning"
        ),
        pytest.param("shapes:v2_final", "b026182fffbdb8e4c629f55812d90e37054b9cbbf4920b2cdff06c6d116f9448", id="final"),
    ],
)
def test_the_items_never_change_without_a_new_version(name, digest):
    """Items, captions, instructions and what is true of them are fixed for good."""
    benchmark = BENCHMARKS.get(name)()
    items = [
        [
            *(item.item_id, item.group, item.source_caption, item.target_caption, item.instruction),
            *(sorted((known or {}).items()) for known in (item.source_attributes, item.target_attributes)),
        ]
        for item in benchmark.items
    ]

    assert benchmark.version == "2"
    assert hashlib.sha256(json.dumps(items).encode()).hexdigest() == digest


def test_captions_leave_out_two_attributes_that_the_edit_does_not_concern():
    """Both captions name the same three, in a sentence that says no more; the instruction names the shape alone."""
    for edit in (edit for name in V2 for edit in edits(name)):
        unnamed = set(ATTRIBUTES) - set(edit.named)
        assert len(unnamed) == 2
        assert not unnamed & {"shape", EDIT_TYPES[edit.edit_type].attribute}
        for scene, text in ((edit.source, edit.source_caption), (edit.target, edit.target_caption)):
            assert named_in(text) == {name: scene.attributes[name] for name in edit.named}
        assert not unnamed & set(named_in(edit.instruction))


@given(ANY_DETAILED_SCENE, st.sets(st.sampled_from(list(ATTRIBUTES))))
@settings(max_examples=60, deadline=None)
def test_what_a_caption_names_is_read_back(scene, chosen):
    """Whatever a caption leaves out, what it names and nothing else is found in it; also in other words."""
    named = {"shape", *chosen}
    text = caption(scene, named)

    expected = {name: value for name, value in scene.attributes.items() if name in named}
    assert all(named_in(other) == expected for other in paraphrases(scene, named))
    assert paraphrases(scene, named)[0] == text
    assert text.split()[0] == ("An" if text.split()[1][0] in "aeiou" else "A")


def test_a_perfect_edit_keeps_every_detail(tmp_path):
    """The recogniser reads the source's details off every source and every reference, and the mask holds the change."""
    benchmark = BENCHMARKS.get("shapes:v2_tuning")()
    loaded = benchmark.load(tmp_path / "drawn")
    by_id = {edit.item_id: edit for edit in edits(benchmark.name)}

    for item in loaded.items[:24]:
        edit = by_id[item.item_id]
        source, reference, mask = (
            np.asarray(read_image(path)) for path in (item.source_image, item.reference_image, item.edit_mask)
        )
        assert edit.source.details == edit.target.details
        assert is_read(edit.source, source, degrees=3, share=0.01)
        assert is_read(edit.target, reference, degrees=3, share=0.01)
        changed = (source != reference).any(axis=2)
        assert changed.any()
        assert not changed[mask[..., 0] == 0].any()
    with pytest.raises(BenchmarkError, match="got one with version 2_tuning"):
        locate(loaded.root)
    assert (loaded.root / "VERSION").read_text() == "2_tuning"


@pytest.mark.parametrize(
    ("table", "tone", "others"), [(COLOURS, stripe_tone, BACKGROUNDS), (BACKGROUNDS, ground_tone, COLOURS)]
)
def test_the_tones_can_be_told_from_what_they_lie_on(table, tone, others):
    """A second tone is seen beside its first, and no tone of a shape is like a tone of a background."""
    first = {name: np.array(value, float) for name, value in table.items()}
    other = np.array(
        [
            each
            for value in others.values()
            for each in (value, (stripe_tone if tone is ground_tone else ground_tone)(np.array(value, float)))
        ]
    )

    for value in first.values():
        assert np.linalg.norm(tone(value) - value) > 44
        assert np.linalg.norm(other - tone(value), axis=1).min() > 41


@given(ANY_DETAILED_SCENE, ANY_JITTER)
@settings(max_examples=60, deadline=None)
def test_the_recogniser_reads_any_drawing(scene, jitter):
    """Attributes and details of a clean drawing are read, whatever the scene and the jitter."""
    assert is_read(scene, draw(scene, jitter), degrees=6, share=0.01)


@pytest.mark.slow
def test_the_recogniser_reads_500_drawings():
    """All attributes of all of them; angles within a degree or two on average, horizons within a tenth of a pixel."""
    rng = np.random.default_rng(41)
    angles = []
    for _ in range(500):
        values = {name: str(rng.choice(values)) for name, values in ATTRIBUTES.items()}
        scene = Scene(**values, details=Details.sample(rng))
        picture = draw(scene, Jitter.sample(rng))
        assert is_read(scene, picture, degrees=6, share=0.004)
        assert scene.details
        angles.append(np.cos(2 * np.deg2rad(off(read(picture).details["stripe_angle"], scene.details.stripe_angle))))

    assert np.mean(angles) > 0.999


@pytest.mark.parametrize("shape", ATTRIBUTES["shape"])
def test_details_that_are_not_straight_hide_no_attribute(shape):
    """A stripe that winds, or is a mere spot, and a horizon in waves: everything else is read all the same."""
    rng = np.random.default_rng(5)
    along = (np.arange(64) + 0.5) / 64
    for size in ATTRIBUTES["size"]:
        colour, background = (rng.choice(ATTRIBUTES[name]) for name in ("colour", "background"))
        scene = Scene(
            shape=shape, colour=str(colour), size=size, place="centre", background=str(background), details=MIDDLE
        )
        waves = along[:, None] > 0.6 + 0.05 * np.sin(12 * along)
        winding = np.abs(along[:, None] - 0.5 - 0.04 * np.sin(40 * along)) < 0.04
        spot = (along[:, None] - 0.5) ** 2 + (along - 0.52) ** 2 < 0.05**2
        ground = mixed(tone := np.array(BACKGROUNDS[scene.background], float), ground_tone(tone), waves)
        covered = coverage(scene)[..., None] / 255
        for stripe in (winding, spot):
            subject = mixed(tone := np.array(COLOURS[scene.colour], float), stripe_tone(tone), stripe)
            found = read(np.rint(ground + covered * (subject - ground)).astype(np.uint8))
            assert found.attributes == scene.attributes


def test_what_is_not_there_is_unknown():
    """A picture of version 1 has no details and all its attributes; one tone alone, and noise, have what they have."""
    plain = draw(RED_CIRCLE)
    assert read(plain).attributes == RED_CIRCLE.attributes == recognise(plain)
    assert set(read(plain).details.values()) == {None}

    only_stripe = draw(replace(RED_CIRCLE, details=replace(MIDDLE, horizon_height=9.0)))
    assert off(read(only_stripe).details["stripe_angle"], 30) < 3
    assert read(only_stripe).details["horizon_height"] is None

    noise = read(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert set(noise.attributes.values()) == {UNKNOWN}
    assert set(noise.details.values()) == {None}


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3))), st.sampled_from([1, 7]))
@settings(max_examples=40, deadline=None)
def test_the_recogniser_has_an_answer_for_anything(pixels, stretch):
    """Any picture of any size gives values in their ranges or none."""
    found = read(np.repeat(pixels, stretch, axis=1))

    assert all(value in (*ATTRIBUTES[name], UNKNOWN) for name, value in found.attributes.items())
    angle, height, slope = found.details.values()
    assert angle is None or 0 <= angle < 180
    assert (height is None) == (slope is None)
    assert height is None or HEIGHTS[0] - 0.06 < height < HEIGHTS[1] + 0.06
    assert slope is None or SLOPES[0] - 0.11 < slope < SLOPES[1] + 0.11


def test_a_drawing_anew_keeps_what_the_caption_names_and_nothing_else():
    """The control of version 2: right in the named attributes, and with details of its own."""
    benchmark = BENCHMARKS.get("shapes:v2_tuning")()

    for item in benchmark.items[:8]:
        found = read(np.asarray(benchmark.controls["drawn_anew"](item)))
        assert item.target_caption
        assert named_in(item.target_caption).items() <= found.attributes.items()
        assert off(found.details["stripe_angle"], float(_truth(item)["stripe_angle"])) > 0.5


def test_each_control_that_loses_one_thing_loses_that_alone():
    """Perfect but for the stripe, the horizon or what is not named: −1, or nothing of it, is kept; all else is."""
    benchmark = BENCHMARKS.get("shapes:v2_tuning")()
    for item in benchmark.items[:8]:
        seen = {name: read(np.asarray(control(item))) for name, control in benchmark.controls.items()}
        wanted = item.target_attributes or {}
        unnamed = ATTRIBUTES.keys() - named_in(item.target_caption or "").keys()

        stripe, horizon = seen["other_stripe"], seen["other_horizon"]
        assert off(stripe.details["stripe_angle"], float(wanted["stripe_angle"])) == pytest.approx(90, abs=3)
        assert stripe.details["horizon_height"] == pytest.approx(float(wanted["horizon_height"]), abs=0.02)
        assert off(horizon.details["stripe_angle"], float(wanted["stripe_angle"])) == pytest.approx(0, abs=3)
        moved = abs(horizon.details["horizon_height"] - float(wanted["horizon_height"]))
        assert moved == pytest.approx((HEIGHTS[1] - HEIGHTS[0]) / 2, abs=0.02)
        for kept in (stripe, horizon):
            assert kept.attributes == {name: wanted[name] for name in ATTRIBUTES}
        other = seen["other_unnamed"].attributes
        assert {name for name in ATTRIBUTES if other[name] != wanted[name]} == unnamed


def _truth(item: EditItem) -> dict[str, str]:
    return dict(item.source_attributes or {})
