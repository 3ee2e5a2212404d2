"""The shapes world: its drawings, its words, its benchmark and the recogniser of its truth."""

import hashlib
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.shapes.edits import EDIT_TYPES, N_SOURCES, edits
from evalkit.benchmarks.shapes.files import edit_mask, locate
from evalkit.benchmarks.shapes.language import caption, paraphrases
from evalkit.benchmarks.shapes.recognise import UNKNOWN, recognise
from evalkit.benchmarks.shapes.recogniser import ShapesRecogniser, attribute_codes
from evalkit.benchmarks.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    RADII,
    STILL,
    Jitter,
    Scene,
    coverage,
    draw,
    scenes,
)
from evalkit.data.images import read_image
from evalkit.encoders.load import open_encoder
from evalkit.errors import BenchmarkError, EncoderError, UnknownNameError

ANY_SCENE = st.builds(Scene, **{name: st.sampled_from(values) for name, values in ATTRIBUTES.items()})
ANY_JITTER = st.builds(lambda seed: Jitter.sample(np.random.default_rng(seed)), st.integers(0, 2**32))
RED_CIRCLE = Scene(shape="circle", colour="red", size="large", place="left", background="grey")
EXTREMES = [
    Jitter(shift=(x, y), scale=1.04, rotation=turn) for x in (-0.01, 0.01) for y in (-0.01, 0.01) for turn in (-5, 0, 5)
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The benchmark's files."""
    return locate(tmp_path_factory.mktemp("shapes"))


def jpeg(pixels, quality):
    """Through a JPEG file and back."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(pixels, width, height):
    """At another size."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("place", ATTRIBUTES["place"])
@pytest.mark.parametrize("shape", ATTRIBUTES["shape"])
def test_a_shape_lies_inside_the_picture(shape, place):
    """Whatever the jitter, no more than a shade of a shape touches the picture's border."""
    scene = replace(RED_CIRCLE, shape=shape, place=place)
    for jitter in EXTREMES:
        covered = coverage(scene, jitter)
        border = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        assert border.max() <= 16


@pytest.mark.parametrize("size", ATTRIBUTES["size"])
@pytest.mark.parametrize("shape", ATTRIBUTES["shape"])
def test_a_size_is_an_area(shape, size):
    """All shapes of one size cover the same area, that of a circle of the stated radius."""
    covered = coverage(replace(RED_CIRCLE, shape=shape, size=size), size=128)

    assert covered.sum() / 255 == pytest.approx(np.pi * (RADII[size] * 128) ** 2, rel=0.03)


@given(ANY_SCENE, ANY_JITTER)
@settings(max_examples=25, deadline=None)
def test_a_drawing_is_the_same_at_any_size(scene, jitter):
    """A large drawing, reduced, is the small one but for a sixth of a pixel at the edges."""
    large = np.asarray(Image.fromarray(draw(scene, jitter, size=256)).reduce(4)).astype(float)

    difference = np.abs(large - draw(scene, jitter))
    assert difference.max() <= 255 / 6
    assert difference.mean() <= 0.5


def test_no_two_colours_of_the_world_can_be_taken_for_each_other():
    """Tints move a colour by at most 6 per channel; any two colours are farther apart than four times that."""
    table = np.array([*COLOURS.values(), *BACKGROUNDS.values()], float)
    apart = np.linalg.norm(table[:, None] - table[None], axis=2) + np.eye(len(table)) * 1000

    assert not set(COLOURS) & set(BACKGROUNDS)
    assert apart.min() > 4 * 6 * np.sqrt(3)


def test_a_caption_names_one_scene():
    """No two scenes share a caption, nor any other wording."""
    said = [text for scene in scenes() for text in paraphrases(scene)]

    assert len(said) == len(set(said)) == 5 * 7776
    assert caption(RED_CIRCLE) == "A large red circle at the left on a grey background."


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


def test_the_benchmark_is_balanced():
    """Every attribute value is equally frequent among the 72 sources; every source has four edits, one a move."""
    benchmark = BENCHMARKS.get("shapes")()
    sources = {edit.group: edit.source for edit in edits()}

    assert len(benchmark.items) == 288
    assert benchmark.n_groups == len(set(sources.values())) == N_SOURCES == 72
    for name, values in ATTRIBUTES.items():
        counts = Counter(scene.attributes[name] for scene in sources.values())
        assert counts == dict.fromkeys(values, 72 // len(values))
    still, moves = {"recolour", "reshape", "resize", "background"}, {"move_left", "move_right"}
    assert Counter(item.edit_type for item in benchmark.items) == dict.fromkeys(still, 54) | dict.fromkeys(moves, 36)
    for group in sources:
        assert len([item for item in benchmark.items if item.group == group and item.edit_type in moves]) == 1


def test_an_edit_changes_what_its_type_says():
    """Source, target and wrong edit differ in one attribute, pairwise, and a move keeps the height."""
    for edit in edits():
        attribute = EDIT_TYPES[edit.edit_type].attribute
        values = {getattr(scene, attribute) for scene in (edit.source, edit.target, edit.wrong)}
        assert len(values) == 3
        assert replace(edit.target, **{attribute: getattr(edit.source, attribute)}) == edit.source
        assert replace(edit.wrong, **{attribute: getattr(edit.source, attribute)}) == edit.source
        if edit.edit_type.startswith("move"):
            side = edit.edit_type.removeprefix("move_")
            assert edit.target.place == f"{edit.source.place.split()[0]} {side}" or edit.target.place == side
            assert edit.instruction == f"Move the {edit.source.shape} to the {side}."
        else:
            assert edit.target.attributes[attribute] in edit.instruction


def test_the_items_never_change_without_a_new_version():
    """Items, captions and instructions of version 1 are fixed for good."""
    items = [
        [item.item_id, item.group, item.source_caption, item.target_caption, item.instruction]
        for item in BENCHMARKS.get("shapes")().items
    ]
    digest = hashlib.sha256(json.dumps(items).encode()).hexdigest()

    assert BENCHMARKS.get("shapes")().version == "1"
    assert digest == "14078f1f024cd5594476a86e57b6c05a91fc0329d99de78cb8bf35ea24d36f31"


def test_the_benchmark_is_known_without_a_file(tmp_path, monkeypatch):
    """Listing the items draws nothing."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))

    assert BENCHMARKS.get("shapes")().items
    assert not (tmp_path / "cache").exists()


def test_source_and_reference_differ_only_where_the_mask_is_white(root):
    """Outside the edit mask the reference image equals the source to the last pixel; inside, something changed."""
    for item in BENCHMARKS.get("shapes")().item_list(root).items:
        source, reference, mask = (
            np.asarray(read_image(path)) for path in (item.source_image, item.reference_image, item.edit_mask)
        )
        may_change = mask[..., 0] == 255
        assert ((mask == 0) | (mask == 255)).all()
        changed = (source != reference).any(axis=2)
        assert changed.any()
        assert not changed[~may_change].any()


def test_the_truth_is_read_off_the_files(root):
    """The recogniser reads every source and every reference image of the benchmark without an error."""
    for item in BENCHMARKS.get("shapes")().item_list(root).items:
        assert recognise(np.asarray(read_image(item.source_image))) == item.source_attributes
        assert recognise(np.asarray(read_image(item.reference_image))) == item.target_attributes


def test_a_background_mask_spares_the_shape():
    """An edit of the background may change all but the pixels that the shape covers wholly."""
    edit = next(edit for edit in edits() if edit.edit_type == "background")

    np.testing.assert_array_equal(edit_mask(edit), coverage(edit.source, edit.jitter) < 255)


def test_files_are_drawn_once_and_mended(tmp_path, monkeypatch):
    """The cache is filled once; a file that went missing is drawn again, equal to the last byte."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    root = locate()
    source, mask = root / "sources" / "shapes-00.png", root / "masks" / "shapes-00-reshape.png"
    before, untouched = source.read_bytes(), mask.stat().st_mtime_ns

    source.unlink()

    assert locate() == root == tmp_path / "benchmarks" / "shapes" / "1"
    assert source.read_bytes() == before
    assert mask.stat().st_mtime_ns == untouched


def test_several_processes_may_draw_at_once(tmp_path, root):
    """Two processes that need the files at the same time both end with all of them, whole."""
    with ProcessPoolExecutor(2) as pool:
        places = list(pool.map(locate, [tmp_path / "same"] * 2))

    assert places == [tmp_path / "same"] * 2
    drawn = {path.relative_to(places[0]): path.read_bytes() for path in places[0].rglob("*") if path.is_file()}
    assert drawn == {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert len(drawn) == 72 + 288 + 288 + 1


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    """--data naming somebody's folder by mistake is an error, and nothing is written there."""
    (tmp_path / "thesis.tex").write_text("")

    with pytest.raises(BenchmarkError, match=r"thesis\.tex"):
        locate(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_version_is_not_mixed_with_this_one(tmp_path):
    """A directory that another version drew is refused, so that no score rests on the pictures of two."""
    (tmp_path / "VERSION").write_text("0")

    with pytest.raises(BenchmarkError, match="got one with version 0"):
        locate(tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    """A cache that is a file, say, gives one sentence with the way out."""
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))

    with pytest.raises(BenchmarkError, match="--data DIR"):
        locate()


def test_jitter_stays_within_its_limits():
    """What the class promises about its samples holds for a thousand of them."""
    rng = np.random.default_rng(3)
    for jitter in (Jitter.sample(rng) for _ in range(1000)):
        assert np.abs(jitter.shift).max() <= 0.01
        assert abs(jitter.scale - 1) <= 0.04
        assert abs(jitter.rotation) <= 5
        assert np.abs([jitter.colour_tint, jitter.background_tint]).max() <= 6
    assert STILL.scale == 1
