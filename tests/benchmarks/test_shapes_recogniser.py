"""The recogniser: the truth about any picture of the shapes world, and about pictures of anything else."""

import json
from dataclasses import replace
from io import BytesIO
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from evalkit.benchmarks.shapes.recognise import UNKNOWN, recognise
from evalkit.benchmarks.shapes.recogniser import ShapesRecogniser, attribute_codes
from evalkit.benchmarks.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    Jitter,
    coverage,
    draw,
)
from evalkit.encoders.load import open_encoder
from evalkit.errors import EncoderError, UnknownNameError
from tests.support.scenes import ANY_JITTER, ANY_SCENE, RED_CIRCLE, scenes


def jpeg(pixels, quality):
    """Through a JPEG file and back."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(pixels, width, height):
    """At another size."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


@given(ANY_SCENE, ANY_JITTER)
@settings(max_examples=150, deadline=None)
def test_the_recogniser_reads_any_drawing(scene, jitter):
    """Every attribute of a clean drawing is read, whatever the scene and the jitter."""
    assert recognise(draw(scene, jitter)) == scene.attributes


def test_the_recogniser_reads_drawings_of_every_kind():
    """An eleventh of all scenes, with every pair of values of two attributes among them, are read without an error."""
    rng = np.random.default_rng(5)
    chosen = list(islice(scenes(), 4, None, 11))

    pairs = {pair for scene in chosen for pair in _pairs(scene)}
    assert len(pairs) == len({pair for scene in scenes() for pair in _pairs(scene)})
    for scene in chosen:
        assert recognise(draw(scene, Jitter.sample(rng))) == scene.attributes


def _pairs(scene):
    """Every two of a scene's attributes with their values."""
    values = list(scene.attributes.items())
    return [(first, second) for index, first in enumerate(values) for second in values[index + 1 :]]


@pytest.mark.parametrize(
    ("spoil", "least"),
    [
        pytest.param(lambda pixels, _: jpeg(pixels, 75), 0.98, id="jpeg75"),
        pytest.param(lambda pixels, _: jpeg(resized(pixels, 512, 512), 75), 1.0, id="jpeg75-at-512"),
        pytest.param(lambda pixels, rng: noisy(pixels, rng, 8), 1.0, id="noise8"),
        pytest.param(lambda pixels, _: resized(pixels, 40, 40), 1.0, id="to-40"),
        pytest.param(lambda pixels, _: resized(pixels, 512, 300), 1.0, id="to-512x300"),
    ],
)
def test_the_recogniser_stands_what_files_go_through(spoil, least):
    """Compression, noise and resizing do not change what is read, but for a few small shapes under JPEG."""
    rng = np.random.default_rng(7)
    everything = list(scenes())
    chosen = [everything[index] for index in rng.integers(len(everything), size=100)]

    read = [recognise(spoil(draw(scene, Jitter.sample(rng)), rng)) == scene.attributes for scene in chosen]

    assert np.mean(read) >= least


def noisy(pixels, rng, deviation):
    """With independent noise on every value."""
    return np.clip(np.rint(pixels + rng.normal(0, deviation, pixels.shape)), 0, 255).astype(np.uint8)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 80), st.integers(1, 80), st.just(3))),
    st.sampled_from([1, 3, 17]),
)
@settings(max_examples=60, deadline=None)
def test_the_recogniser_has_an_answer_for_anything(pixels, stretch):
    """Any picture of any size gives a known value or "unknown" for every attribute, and the same one again."""
    picture = np.repeat(pixels, stretch, axis=1)

    found = recognise(picture)

    assert list(found) == list(ATTRIBUTES)
    assert all(value in (*ATTRIBUTES[name], UNKNOWN) for name, value in found.items())
    assert recognise(picture) == found


def test_a_picture_without_a_shape_has_a_background_only():
    """A plain picture has a background; of a shape nothing is known."""
    plain = np.full((64, 64, 3), BACKGROUNDS["navy"], np.uint8)

    assert recognise(plain) == {**dict.fromkeys(ATTRIBUTES, UNKNOWN), "background": "navy"}


def test_noise_is_nothing():
    """Pure noise has no attribute at all."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    assert set(recognise(noise).values()) == {UNKNOWN}


def test_two_shapes_are_not_one():
    """Where a second shape stands beside the first, as after half a move, nothing is claimed about "the" shape."""
    both = draw(RED_CIRCLE)
    moved = coverage(replace(RED_CIRCLE, place="right")) > 0
    both = np.where(moved[..., None], draw(replace(RED_CIRCLE, place="right")), both)

    assert recognise(both) == {**dict.fromkeys(ATTRIBUTES, UNKNOWN), "background": "grey"}


def test_foreign_values_are_unknown():
    """A colour, a background, a size or a shape that the world does not have is unknown, and the rest is read."""
    ground = np.full((64, 64, 3), (200, 30, 200), np.uint8)
    assert recognise(ground)["background"] == UNKNOWN

    white = np.full((64, 64, 3), BACKGROUNDS["white"], np.uint8)
    bar = white.copy()
    bar[30:34, 8:56] = COLOURS["red"]
    assert recognise(bar) == {
        "shape": UNKNOWN,
        "colour": "red",
        "size": "medium",
        "place": "centre",
        "background": "white",
    }
    dark = white.copy()
    dark[24:40, 24:40] = (90, 0, 0)
    assert recognise(dark)["colour"] == UNKNOWN
    assert recognise(dark)["shape"] == "square"
    dot = white.copy()
    dot[30:34, 30:34] = COLOURS["red"]
    assert recognise(dot)["size"] == UNKNOWN


def test_a_background_in_two_halves_is_unknown():
    """A background is one colour all over, or none of the world's."""
    halves = draw(replace(RED_CIRCLE, place="top left")).copy()
    halves[40:] = BACKGROUNDS["brown"]

    assert recognise(halves)["background"] == UNKNOWN


@given(ANY_SCENE)
@settings(max_examples=20, deadline=None)
def test_the_recogniser_encodes_pictures_and_attributes_alike(scene):
    """The codes of a drawing equal those of its attributes in JSON, and 0 stands for what is unknown."""
    recogniser = open_encoder("shapes_recogniser")

    seen = recogniser.encode_images(draw(scene)[None])
    told = recogniser.encode_texts([json.dumps(scene.attributes)])

    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, told)
    assert (seen > 0).all()
    assert recogniser.encode_images(np.zeros((2, 64, 64, 3), np.uint8))[:, :4].max() == 0


@pytest.mark.parametrize(
    "text",
    ["A red circle.", "[1]", "{}", json.dumps({**RED_CIRCLE.attributes, "shape": "hexagon"})],
)
def test_the_recogniser_refuses_what_is_not_attributes(text):
    """A caption, another benchmark's attributes or an unheard-of value is an error and not a code."""
    with pytest.raises(EncoderError):
        ShapesRecogniser().encode_texts([text])


def test_the_recogniser_has_no_variants():
    """Nothing may follow its name."""
    with pytest.raises(UnknownNameError):
        _ = open_encoder("shapes_recogniser:large").spec


def test_codes_are_different_for_different_attributes():
    """Any two values of an attribute have different codes."""
    for name, values in ATTRIBUTES.items():
        codes = {tuple(attribute_codes({**RED_CIRCLE.attributes, name: value})) for value in (*values, UNKNOWN)}
        assert len(codes) == len(values) + 1
