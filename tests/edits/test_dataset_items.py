"""The rows of data sets as edits: what identifies them, what is wrong with which row, and what goes with a folder."""

import json

import pytest

from evalkit.benchmarks.open import open_edits
from evalkit.edits.check import check_folder
from evalkit.errors import LayoutError, ManifestError, OptionError
from evalkit.images.decode import read_image_bytes
from tests.support.datasets import cell, pair_rows, picture, write_parquet
from tests.support.folders import put


def opened(path, **options):
    """The folder that a path is opened as."""
    return open_edits(path, **options).folder


def found(folder):
    """What is wrong with a folder: code and item of each problem."""
    return [(problem.code, problem.item_id) for problem in check_folder(folder) if problem.code != "guessed"]


def notes(folder):
    """What was guessed."""
    return [problem.message for problem in folder.problems if problem.code == "guessed"]


def test_rows_are_edits(tmp_path):
    """Edit, source and captions stand in a row; rows that nothing identifies are known by their number, as is said."""
    path = write_parquet(tmp_path / "pairs.parquet", pair_rows(3))
    folder = opened(path)
    assert (folder.layout, folder.name, folder.origin) == ("dataset", "pairs", str(path))
    assert [(item.item_id, item.source_caption, item.target_caption) for item in folder.items] == [
        (str(number), f"a drawing of {number}", f"a painting of {number}") for number in range(3)
    ]
    assert [read_image_bytes(item.edited_image) for item in folder.items] == [picture(100 + n) for n in range(3)]
    assert found(folder) == []
    said = notes(folder)
    assert "source_image from 'source_img'" in said[0]
    assert "by their number from 0" in said[1]


def test_lists_of_images_are_refused(tmp_path):
    """A cell holds one image: they are not called empty, and it is said how each gets a row."""
    rows = [row | {"edited_img": [row["edited_img"]]} for row in pair_rows(2)]
    with pytest.raises(ManifestError, match=r"column edited_img: expected one image in a cell, got lists.*explode\("):
        opened(write_parquet(tmp_path / "lists.parquet", rows))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([{"idx": 7}, {"idx": 9}], ["7", "9"]),
        ([{"idx": 7.0}, {"idx": 9.0}], ["7", "9"]),
        ([{"idx": "a/b"}, {"idx": "c"}], ["a/b", "c"]),
        ([{"edited_img": cell(1, "x/one.png")}, {"edited_img": cell(2, "two.png")}], ["one", "two"]),
        ([{"source_img": cell(1, "one.png")}, {"source_img": cell(2, "two.png")}], ["one", "two"]),
        ([{"source_img": cell(1, "one.png")}, {"source_img": cell(1, "one.png")}], ["0", "1"]),
    ],
)
def test_what_identifies_a_row(tmp_path, ids, expected):
    """A column of ids; else the name of its edit or its source, where those differ; else its number."""
    rows = [row | other for row, other in zip(pair_rows(2), ids, strict=True)]
    folder = opened(write_parquet(tmp_path / "a.parquet", rows))
    assert [item.item_id for item in folder.items] == expected


def test_rows_of_one_source_are_one_group(tmp_path):
    """By the bytes of the source, or as a column says."""
    rows = [row | {"source_img": cell(number // 2)} for number, row in enumerate(pair_rows(4))]
    groups = [item.group for item in opened(write_parquet(tmp_path / "a.parquet", rows)).items]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    rows = [row | {"group": f"g{number % 2}"} for number, row in enumerate(rows)]
    folder = opened(write_parquet(tmp_path / "b.parquet", rows))
    assert [item.group for item in folder.items] == ["g0", "g1", "g0", "g1"]


def test_seeds_are_a_column(tmp_path):
    """Rows of one item with different seeds are its edits; a seed that is no number is named by its row."""
    rows = [row | {"id": str(n // 2), "seed": n % 2, "target_prompt": "t"} for n, row in enumerate(pair_rows(4))]
    folder = opened(write_parquet(tmp_path / "a.parquet", rows))
    assert [item.label for item in folder.items] == ["0 (seed 0)", "0 (seed 1)", "1 (seed 0)", "1 (seed 1)"]
    rows = [row | {"seed": value} for row, value in zip(pair_rows(2), ("1", "one"), strict=True)]
    with pytest.raises(
        ManifestError, match=r"b\.parquet, row 1, column seed: expected a whole number from 0, got 'one'"
    ):
        opened(write_parquet(tmp_path / "b.parquet", rows))


def test_two_rows_of_one_id_are_a_problem(tmp_path):
    """None of two edits is taken, and both are named by their rows."""
    rows = [row | {"id": "same" if n < 2 else "other", "target_prompt": "t"} for n, row in enumerate(pair_rows(3))]
    folder = opened(write_parquet(tmp_path / "a.parquet", rows))
    assert found(folder) == [("duplicate_item", "same")]
    (problem,) = [problem for problem in folder.problems if problem.code == "duplicate_item"]
    assert "a.parquet, row 0, edited_img, a.parquet, row 1, edited_img" in problem.message


def test_what_is_wrong_is_named_by_its_row(tmp_path):
    """Empty cells, damaged pictures and files that are not there are problems of their rows; the others count."""
    rows = pair_rows(6)
    rows[1]["edited_img"] = None
    rows[2]["source_img"] = None
    rows[3]["edited_img"] = {"bytes": b"\x89PNG\r\n\x1a\nno more", "path": None}
    rows[4]["source_img"] = {"bytes": None, "path": "gone.png"}
    folder = opened(write_parquet(tmp_path / "pairs.parquet", rows))
    messages = {problem.code: problem.message for problem in check_folder(folder)}
    assert found(folder) == [
        ("missing_named_file", "2"),
        ("missing_named_file", "4"),
        ("missing_edited_image", "1"),
        ("missing_source_image", None),
        ("unreadable_image", "3"),
    ]
    assert messages["missing_edited_image"] == "1 has no edited image: column edited_img is empty."
    assert messages["unreadable_image"].startswith("pairs.parquet, row 3, edited_img cannot be used as an image")
    absent = [problem.message for problem in folder.problems if problem.code == "missing_named_file"]
    assert absent[0] == "pairs.parquet, row 2: column source_img is empty."
    assert absent[1].startswith("pairs.parquet, row 4: column source_img names ")


def test_files_that_are_no_parts_of_one_are_named(tmp_path):
    """Two methods' files in one directory are one data set to ``datasets``; that they were read so is said."""
    for name in ("ours", "theirs"):
        write_parquet(tmp_path / "set" / f"{name}.parquet", pair_rows(1))
        write_parquet(tmp_path / "parts" / f"part-{len(name)}.parquet", pair_rows(1))
    said = [note for note in notes(opened(tmp_path / "set")) if "2 files are read as one data set" in note]
    assert said[0].endswith("ours.parquet, theirs.parquet")
    assert not any("read as one data set" in note for note in notes(opened(tmp_path / "parts")))


def test_references_and_masks_may_be_missing(tmp_path):
    """Not every row has one; the others have."""
    rows = [row | {"mask": cell(n) if n else None, "reference_image": cell(9)} for n, row in enumerate(pair_rows(2))]
    folder = opened(write_parquet(tmp_path / "a.parquet", rows))
    assert [item.edit_mask is None for item in folder.items] == [True, False]
    assert read_image_bytes(folder.items[0].reference_image) == picture(9)
    assert not [code for code, _ in found(folder) if code == "missing_named_file"]


def test_headings_are_mapped(tmp_path):
    """Columns of any name are said with ``--map``; without, the sentence says how."""
    rows = [{"A": row["source_img"], "B": row["edited_img"], "C": "a text"} for row in pair_rows(2)]
    path = write_parquet(tmp_path / "a.parquet", rows)
    with pytest.raises(
        LayoutError, match=r"got the columns 'A', 'B', 'C' with images in 'A', 'B'\. .* --map edited_image"
    ):
        opened(path)
    folder = opened(path, mapped={"source_image": "A", "edited_image": "B", "target_caption": "C"})
    assert [item.target_caption for item in folder.items] == ["a text", "a text"]
    assert read_image_bytes(folder.items[1].edited_image) == picture(101)


def test_a_data_set_without_images_is_refused(tmp_path):
    """The sentence says what was expected, and what else the file may be."""
    path = write_parquet(tmp_path / "a.parquet", [{"id": 1, "caption": "a dog"}])
    with pytest.raises(LayoutError, match=r"expected columns of images, .* without any\. .* --captions .*a\.parquet"):
        opened(path)
    path = write_parquet(tmp_path / "b.parquet", pair_rows(1))
    write_parquet(path, pair_rows(1), row_group_size=1)
    with pytest.raises(LayoutError, match="expected a column of source images"):
        opened(put(tmp_path / "edits", ["0.png"]), sources=write_parquet(tmp_path / "c.parquet", [{"mask": cell(1)}]))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_folder_of_edits_of_the_rows(tmp_path, order):
    """Sources and captions come from the rows, edits from a folder whose names are those in a column."""
    rows = [{"idx": n, "image": cell(n), "input_caption": f"in {n}", "output_caption": f"out {n}"} for n in order]
    sources = write_parquet(tmp_path / "test.parquet", rows)
    edits = tmp_path / "edits"
    edits.mkdir()
    for number in range(3):
        (edits / f"{number}.png").write_bytes(picture(100 + number))
    for mapped in ({}, {"item_id": "idx"}):
        folder = opened(edits, sources=sources, mapped=mapped)
        assert [(item.item_id, item.target_caption) for item in folder.items] == [(str(n), f"out {n}") for n in order]
        assert [read_image_bytes(item.source_image) for item in folder.items] == [picture(n) for n in order]
        assert [item.edited_image.name for item in folder.items] == [f"{n}.png" for n in order]
    assert folder.opened_with == {"sources": str(sources), "mapped": "item_id=idx"}


def test_a_folder_is_paired_by_the_names_of_sources(tmp_path):
    """Where edits carry the names that the data set has for their sources."""
    rows = [{"id": f"id{n}", "image": cell(n, f"pic{n}.jpg"), "prompt": "x y"} for n in range(3)]
    sources = write_parquet(tmp_path / "test.parquet", rows)
    folder = opened(put(tmp_path / "edits", [f"pic{n}.png" for n in range(3)]), sources=sources)
    assert [item.edited_image.name for item in folder.items] == ["pic0.png", "pic1.png", "pic2.png"]


def test_items_of_a_data_set_are_different(tmp_path):
    """An id that stands in two rows would leave open which source an edit is of."""
    rows = [{"id": "same", "image": cell(n), "prompt": "x"} for n in range(2)]
    sources = write_parquet(tmp_path / "test.parquet", rows)
    with pytest.raises(ManifestError, match=r"test\.parquet, row 1: the item 'same' stands in .* row 0 already"):
        opened(put(tmp_path / "edits", ["same.png"]), sources=sources)


def test_options_that_contradict_each_other(tmp_path):
    """A data set says what its texts are; splits are of data sets."""
    sources = write_parquet(tmp_path / "test.parquet", [{"id": "a", "image": cell(1), "prompt": "x"}])
    edits = put(tmp_path / "edits", ["a.png"])
    captions = tmp_path / "captions.csv"
    captions.write_text("item_id,target_caption\na,x\n")
    with pytest.raises(OptionError, match="Leave --captions out, or --sources"):
        opened(edits, sources=sources, captions=captions)
    with pytest.raises(OptionError, match="is no data set: leave --split"):
        opened(edits, sources=edits, split="test")


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
@pytest.mark.parametrize("prefix", ["", "pics/"])
def test_an_imagefolder_is_read_by_its_metadata(tmp_path, name, prefix):
    """Its columns that name files are those of the images, in any of the formats that ``datasets`` knows."""
    rows = [
        {"file_name": f"{prefix}s{n}.png", "edited_file_name": f"{prefix}e{n}.png", "prompt": f"t {n}"} for n in (0, 1)
    ]
    put(tmp_path / "set", [row[key] for row in rows for key in ("file_name", "edited_file_name")])
    if name.endswith("parquet"):
        write_parquet(tmp_path / "set" / name, rows)
    elif name.endswith("csv"):
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (tmp_path / "set" / name).write_text("\n".join(lines) + "\n")
    else:
        (tmp_path / "set" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = opened(tmp_path / "set")
    assert folder.layout == "dataset"
    assert [item.edited_image for item in folder.items] == [tmp_path / "set" / row["edited_file_name"] for row in rows]
    assert [item.source_image for item in folder.items] == [tmp_path / "set" / row["file_name"] for row in rows]
    assert [item.target_caption for item in folder.items] == ["t 0", "t 1"]


def test_splits_of_an_imagefolder_are_folders(tmp_path):
    """Each with its own metadata; which one is said."""
    for split in ("train", "test"):
        put(tmp_path / "set" / split, ["s.png", "e.png"])
        (tmp_path / "set" / split / "metadata.csv").write_text("file_name,edited_file_name,prompt\ns.png,e.png,x\n")
    with pytest.raises(OptionError, match=r"has several splits\. Choose one: --split test \(test, train\)"):
        opened(tmp_path / "set")
    folder = opened(tmp_path / "set", split="train")
    assert folder.items[0].edited_image == tmp_path / "set" / "train" / "e.png"
    assert (folder.name, folder.opened_with) == ("set-train", {"split": "train"})


def test_a_benchmark_may_be_edited_into_a_data_set(tmp_path, monkeypatch):
    """Edits in a column, of a benchmark's items: it says what they ask for, and which are missing."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    from evalkit.benchmarks.base import BENCHMARKS

    ids = [item.item_id for item in BENCHMARKS.get("shapes")().items][:2]
    rows = [{"item_id": item_id, "edited_image": cell(n)} for n, item_id in enumerate([*ids, "nobody's"])]
    folder = opened(write_parquet(tmp_path / "a.parquet", rows), benchmark="shapes", with_images=False)
    assert folder.benchmark == "shapes"
    assert [item.item_id for item in folder.items if item.status == "ok"] == ids
    assert folder.items[0].target_caption
    assert [p.item_id for p in folder.problems if p.code == "unknown_item"] == ["nobody's"]
