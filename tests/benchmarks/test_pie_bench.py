"""PIE-Bench, read from a user's copy; here one of the published layout that the tests draw."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.dataset import build_dataset
from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.pie_bench.masks import SIDE, decode_mask
from evalkit.comparison.compare import compare
from evalkit.edits.manifest import write_manifest
from evalkit.errors import BenchmarkError
from evalkit.images.decode import read_image
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from tests.support.pie_bench import EDITS, image_path, picture, write_copy, write_outputs


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVALKIT_DATA", raising=False)


@pytest.fixture
def copy(tmp_path):
    """The benchmark as the authors' archive unpacks it."""
    return write_copy(tmp_path / "PIE-Bench_v1")


def opened(copy):
    """The benchmark with its items and their files."""
    loaded = BENCHMARKS.get("pie_bench")().load(copy)
    return loaded.benchmark, loaded.items


def test_the_items_are_those_of_the_mapping_file(copy):
    """Captions lose the brackets, types get names, and every path leads to a file."""
    benchmark, items = opened(copy)
    assert [item.item_id for item in items] == [f"{number:012}" for number in range(len(EDITS))]
    assert items[0].source_caption == "a red ball on grass"
    assert items[0].target_caption == "a blue ball on grass"
    assert items[0].instruction == "make the ball blue"
    assert [item.edit_type for item in items] == ["random", "change_object", "change_style", "change_style"]
    assert all(item.source_image.is_file() and item.edit_mask.is_file() for item in items)
    assert set(benchmark.edit_types) >= {item.edit_type for item in items}


def test_images_of_the_same_bytes_are_one_group(copy):
    """Two edits whose source files are equal under different names depend on each other."""
    benchmark, items = opened(copy)
    assert items[2].group == items[3].group
    assert len({item.group for item in items}) == benchmark.n_groups == 3


def test_the_version_names_the_copy(copy):
    """Runs over two different mapping files have different versions, and are then refused by compare."""
    before = opened(copy)[0].version
    mapping = json.loads((copy / "mapping_file.json").read_text())
    mapping["000000000000"]["editing_prompt"] = "a green ball"
    (copy / "mapping_file.json").write_text(json.dumps(mapping))
    assert before.startswith("v1@")
    assert opened(copy)[0].version != before


def runs_by_hand(runs):
    """The mask pixel by pixel, border included."""
    grid = np.zeros(SIDE * SIDE, dtype=bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        for pixel in range(start, min(start + length, SIDE * SIDE)):
            grid[pixel] = True
    grid = grid.reshape(SIDE, SIDE)
    for edge in (0, SIDE - 1):
        grid[edge] = grid[:, edge] = True
    return grid


@given(st.lists(st.tuples(st.integers(0, SIDE * SIDE - 1), st.integers(0, 3_000)), max_size=6))
def test_runs_become_the_pixels_they_count(pairs):
    """Overlapping, empty and overlong runs included, and one pixel along each side."""
    runs = [number for pair in pairs for number in pair]
    assert np.array_equal(decode_mask(runs), runs_by_hand(runs))


@pytest.mark.parametrize("size", [(64, 64), (640, 480), (1024, 1024), (1, 1)])
def test_a_mask_has_the_size_of_the_image(size):
    """Another size than 512 × 512 takes the nearest pixel, and keeps its border of one pixel."""
    runs = [512 * 128 + 128, 256]
    mask = decode_mask([number for row in range(256) for number in (runs[0] + 512 * row, 256)], size)
    width, height = size
    assert mask.shape == (height, width)
    assert mask[0].all()
    assert mask[:, -1].all()
    if width > 1:
        inner = mask[1:-1, 1:-1].mean()
        assert inner == pytest.approx(0.25, abs=0.02)


def test_the_mask_file_is_white_where_the_image_may_change(copy):
    """The picture in the cache is the decoded mask, of the image's size."""
    _, items = opened(copy)
    drawn = np.asarray(read_image(items[0].edit_mask))
    assert set(np.unique(drawn)) == {0, 255}
    assert np.array_equal(drawn[..., 0] == 255, decode_mask(EDITS[0][4]))


def test_a_mask_of_everything_leaves_no_background(copy):
    """As the mapping file has it for edits of the whole image."""
    _, items = opened(copy)
    assert (np.asarray(read_image(items[1].edit_mask)) == 255).all()


@pytest.mark.parametrize("where", [".", "data", "PIE-Bench_v1"])
def test_a_copy_is_found_by_option_or_environment(tmp_path, monkeypatch, where):
    """The directory itself, or what holds it as data or PIE-Bench_v1."""
    copy = write_copy(tmp_path / "held" / where)
    load = BENCHMARKS.get("pie_bench")().load
    assert load(tmp_path / "held").root == copy
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "held"))
    assert load().root == copy


def test_without_a_copy_it_says_where_to_get_one(tmp_path):
    """Nothing is fetched; the message names the authors' page and the option."""
    with pytest.raises(BenchmarkError, match=r"PnPInversion.*--data DIR"):
        BENCHMARKS.get("pie_bench")().load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"editing_type_id": "10"}, "from 0 to 9, got 10"),
        ({"mask": [1, 2, 3]}, "starts and lengths"),
        ({"mask": [-1, 2]}, "starts and lengths"),
        ({"mask": "1 2"}, "mask"),
        ({"image_path": "0_random_140/none.jpg"}, "no such file"),
        ({"original_prompt": None}, "original_prompt"),
    ],
)
def test_a_bad_entry_is_named(copy, change, said):
    """File, entry and field stand in the message."""
    mapping = json.loads((copy / "mapping_file.json").read_text())
    mapping["000000000002"].update(change)
    (copy / "mapping_file.json").write_text(json.dumps(mapping))
    with pytest.raises(BenchmarkError, match=said) as failure:
        opened(copy)
    assert "mapping_file.json, entry '000000000002'" in str(failure.value)


@pytest.mark.parametrize("content", ["[]", "{}", "not JSON"])
def test_a_file_that_is_no_mapping_is_refused(copy, content):
    """One sentence, with the file."""
    (copy / "mapping_file.json").write_text(content)
    with pytest.raises(BenchmarkError, match=r"mapping_file\.json"):
        opened(copy)


def test_the_authors_output_tree_is_recognised(copy, tmp_path):
    """The mirror of annotation_images below a method's folder, whole or by its inner folder."""
    outputs = write_outputs(tmp_path / "output" / "ddim+p2p")
    for root in (outputs, outputs / "annotation_images"):
        folder = open_edits(root, benchmark="pie_bench", data=copy).folder
        assert folder.layout == "official"
        assert folder.n_matched == len(EDITS)
        assert [item.edited_image.name for item in folder.items] == [f"{n:012}.jpg" for n in range(len(EDITS))]


def test_other_layouts_are_recognised_too(copy, tmp_path):
    """Item ids with another suffix, seeds below item ids, and a manifest, which names the benchmark itself."""
    flat, seeded, listed = (tmp_path / name for name in ("flat", "seeded", "listed"))
    for number in range(len(EDITS)):
        for path in (
            flat / f"{number:012}.png",
            *(seeded / f"{number:012}/{s}.png" for s in (0, 1)),
            listed / f"{number}.png",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(100 + number, (32, 32)).save(path)
    assert open_edits(flat, benchmark="pie_bench", data=copy).folder.n_matched == len(EDITS)
    assert {i.seed for i in open_edits(seeded, benchmark="pie_bench", data=copy).folder.items} == {0, 1}
    _, items = opened(copy)
    edited = [replace(item, edited_image=listed / f"{n}.png") for n, item in enumerate(items)]
    write_manifest(listed, edited, benchmark="pie_bench", method="mine")
    found = open_edits(listed, data=copy)
    assert found.benchmark.name == "pie_bench"
    assert all(item.status == "ok" for item in found.folder.items)


def test_of_a_strip_the_last_panel_is_the_edit(copy, tmp_path):
    """The authors' scripts write four panels into one file; a notice says which was taken."""
    folder = open_edits(write_outputs(tmp_path / "strips", strips=True), benchmark="pie_bench", data=copy).folder
    image = read_image(folder.items[0].edited_image)
    assert image.size == (512, 512)
    assert np.abs(np.asarray(image, dtype=float) - np.asarray(picture(100), dtype=float)).mean() < 3
    codes = [problem.code for problem in folder.problems]
    assert codes.count("strip_of_images") == len(EDITS)
    assert image_path(0) in folder.problems[0].message


def test_a_wide_picture_that_is_no_strip_is_left_alone(copy, tmp_path):
    """Only whole squares side by side are a strip."""
    outputs = write_outputs(tmp_path / "wide", size=(600, 512))
    folder = open_edits(outputs, benchmark="pie_bench", data=copy).folder
    assert read_image(folder.items[0].edited_image).size == (600, 512)


def test_a_copy_can_be_built_as_a_data_set(copy, tmp_path):
    """With masks, types and groups, for the user's own use."""
    built = build_dataset(BENCHMARKS.get("pie_bench")(), copy, tmp_path / "built")
    assert (built.n_items, built.n_groups) == (4, 3)
    assert built.version.startswith("v1@")


AUTHORS_METRICS = (
    "structure_distance",
    "psnr_unedit_part",
    "lpips_unedit_part",
    "mse_unedit_part",
    "ssim_unedit_part",
    "clip_similarity_source_image",
    "clip_similarity_target_image",
    "clip_similarity_target_image_edit_part",
)
"""The metrics of the authors' script, in its order."""


def test_the_authors_evaluation_table_is_compared(tmp_path):
    """Its header, its "nan" for a mask of everything, and the direction of every one of its eight metrics."""
    rng = np.random.default_rng(0)
    table = tmp_path / "evaluation_result.csv"
    methods = ("1_ddim+p2p", "1_directinversion+p2p")
    lines = [",".join(["file_id", *(f"{method}|{metric}" for method in methods for metric in AUTHORS_METRICS)])]
    for number in range(40):
        cells = [f"{0.05 + 0.01 * place + 0.001 * rng.random()}" for place in range(2) for _ in AUTHORS_METRICS]
        if number % 10 == 0:
            for place, metric in enumerate(2 * AUTHORS_METRICS):
                cells[place] = "nan" if metric.endswith("unedit_part") else cells[place]
        lines.append(",".join([f"{number:012}", *cells]))
    table.write_text("\r\n".join(lines) + "\r\n")
    comparison = compare([table])
    assert [method.name for method in comparison.methods] == list(methods)
    lower = {metric.name for metric in comparison.metrics if not metric.higher_is_better}
    assert lower == {"structure_distance", "lpips_unedit_part", "mse_unedit_part"}
    pairs = {pair.metric: pair for pair in comparison.pairs}
    assert tuple(pairs) == AUTHORS_METRICS
    for metric, pair in pairs.items():
        assert pair.verdict == ("a_better" if metric in lower else "b_better")
        assert pair.n_items == (36 if metric.endswith("unedit_part") else 40)
    assert any("4 of 40 items" in note and "psnr_unedit_part" in note for note in comparison.notes)


def test_clip_of_the_edited_part_sees_black_elsewhere(copy, tmp_path):
    """The score is that of the picture with all but the mask blackened, as if the user had done it."""
    outputs = write_outputs(tmp_path / "output")
    folder = open_edits(outputs, benchmark="pie_bench", data=copy).folder

    def score(directory, folder, *metrics):
        return score_into(directory, folder, ScoreOptions(metrics=metrics, encoder="miniature"))

    masked = score(tmp_path / "masked", folder, "clip_score:pie_bench", "clip_score")
    by_hand = tmp_path / "by_hand"
    by_hand.mkdir()
    blackened = []
    for item in folder.items:
        kept = np.asarray(read_image(item.edit_mask)) == 255
        path = by_hand / f"{item.item_id}.png"
        Image.fromarray(np.where(kept, np.asarray(read_image(item.edited_image)), np.uint8(0))).save(path)
        blackened.append(replace(item, edited_image=path))
    plain = score(tmp_path / "plain", replace(folder, items=tuple(blackened)), "clip_score")
    expected = 100 * plain.table.item_means("clip_score").values
    assert np.array_equal(masked.table.item_means("clip_score:pie_bench").values, expected)
    assert not np.allclose(100 * masked.table.item_means("clip_score").values, expected)
    assert "mask-nearest" in masked.record.metrics["clip_score:pie_bench"].signature


def test_without_a_mask_there_is_no_edited_part(copy, tmp_path):
    """An absent mask and one that allows nothing each have their reason."""
    folder = open_edits(write_outputs(tmp_path / "output"), benchmark="pie_bench", data=copy).folder
    nothing = tmp_path / "nothing.png"
    Image.new("RGB", (512, 512)).save(nothing)
    first, second, *others = folder.items
    items = (replace(first, edit_mask=None), replace(second, edit_mask=nothing), *others)
    options = ScoreOptions(metrics=["clip_score:pie_bench"], encoder="miniature")
    run = score_into(tmp_path / "run", replace(folder, items=items), options)
    assert run.table.undefined("clip_score:pie_bench") == {"no_edit_mask": 1, "empty_edit_mask": 1}
