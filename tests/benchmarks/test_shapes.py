"""The shapes world: its drawings, its words and its benchmark."""

import hashlib
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.shapes.edits import EDIT_TYPES, N_SOURCES, edits
from evalkit.benchmarks.shapes.files import edit_mask, locate
from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.recognise import recognise
from evalkit.benchmarks.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    RADII,
    STILL,
    Jitter,
    coverage,
    draw,
)
from evalkit.errors import BenchmarkError
from evalkit.images.decode import read_image
from tests.support.scenes import ANY_JITTER, ANY_SCENE, RED_CIRCLE, paraphrases, scenes

EXTREMES = [
    Jitter(shift=(x, y), scale=1.04, rotation=turn) for x in (-0.01, 0.01) for y in (-0.01, 0.01) for turn in (-5, 0, 5)
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The benchmark's files."""
    return locate(tmp_path_factory.mktemp("shapes"))


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
    """A large drawing, reduced, is the small one but at edges, where a pixel is drawn from eight rows of eight samples.

    A row more or less for each of the two edges that may cross it, in either drawing: 2 / 8 + 2 / 32 of a pixel.
    """
    large = np.asarray(Image.fromarray(draw(scene, jitter, size=256)).reduce(4)).astype(float)

    difference = np.abs(large - draw(scene, jitter))
    assert difference.max() <= 255 * (2 / 8 + 2 / 32)
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
    for item in BENCHMARKS.get("shapes")().load(root).items:
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
    for item in BENCHMARKS.get("shapes")().load(root).items:
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
