"""Parallel folders and captions tables pair by identity, never by order."""

from pathlib import Path

import pytest

from evalkit.edits.captions import read_captions
from evalkit.edits.open import open_folder
from evalkit.errors import DataError, OptionError
from tests.support.folders import codes, items_named, pairs, put


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_parallel_folders_pair_by_name(suffix: str, tmp_path: Path) -> None:
    """A captions table pairs edits with sources by name, in whatever order either lies on disk."""
    sources = put(tmp_path / "sources", ["zebra.jpg", "apple.png"])
    edits = put(tmp_path / "edits", ["zebra.png", "second.png"])
    table = tmp_path / f"captions.{suffix}"
    if suffix == "csv":
        table.write_text(
            "source;edited;target_caption;source_caption;note\n"
            'zebra.jpg;;"A horse; galloping";A zebra.;x\n'
            "apple.png;second.png;A pear.;;\n"
        )
    else:
        table.write_text(
            '{"source": "zebra.jpg", "target_caption": "A horse; galloping", "source_caption": "A zebra."}\n'
            '{"source": "apple.png", "edited": "second.png", "target_caption": "A pear."}\n'
        )

    folder = open_folder(edits, sources=sources, captions=table)

    assert (folder.layout, folder.n_matched, folder.benchmark) == ("parallel", 2, None)
    assert [
        (i.item_id, i.edited_image.name, i.source_image.name, i.source_caption, i.target_caption) for i in folder.items
    ] == [
        ("zebra", "zebra.png", "zebra.jpg", "A zebra.", "A horse; galloping"),
        ("second", "second.png", "apple.png", None, "A pear."),
    ]
    (said,) = folder.problems
    assert (said.code, said.message) == (
        "guessed",
        f"{table}: read source_image from 'source' and edited_image from 'edited'; to have it otherwise: "
        "--map FIELD=HEADING",
    )


def test_parallel_folders_without_captions(tmp_path: Path) -> None:
    """Sources alone pair by stem; an unedited source and a surplus edit are listed."""
    sources = put(tmp_path / "sources", ["a.png", "b.jpg", "c.png", "d.png"])

    folder = open_folder(put(tmp_path / "edits", ["B.png", "a.jpg", "d.png", "x.png"]), sources=sources)

    assert pairs(folder) == {"a": "a.jpg", "b": "B.png", "c": None, "d": "d.png"}
    assert codes(folder) == [("unmatched_file", "x.png"), ("missing_edited_image", "c")]
    assert [item.source_image.name for item in folder.items] == ["a.png", "b.jpg", "c.png", "d.png"]


def test_two_sources_of_one_name_are_not_chosen_between(tmp_path: Path) -> None:
    """Where two source images could be meant, the item has none."""
    sources = put(tmp_path / "sources", ["a.png", "a.jpg", "b.png"])
    table = tmp_path / "captions.csv"
    table.write_text("item_id,target_caption\na,A cat.\nb,A dog.\n")

    folder = open_folder(put(tmp_path / "edits", ["a.png", "b.png"]), sources=sources, captions=table)

    assert [item.source_image for item in folder.items] == [None, sources / "b.png"]


def test_sources_inside_the_folder_are_no_edits(tmp_path: Path) -> None:
    """A folder of sources and the captions table may lie in the folder that is read."""
    put(tmp_path, ["sources/a.png", "a.png"])
    table = tmp_path / "captions.csv"
    table.write_text("item_id,target_caption\na,A cat.\n")

    folder = open_folder(tmp_path, sources=tmp_path / "sources", captions=table)

    assert pairs(folder) == {"a": "a.png"}
    assert (folder.n_files, folder.problems) == (1, ())
    assert folder.items[0].source_image == tmp_path / "sources/a.png"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("item_id,target_caption\na,x\na,y\n", r", line 3: the item 'a' stands in line 2 already"),
        ("item_id,target_caption\na,one, two\n", ", line 2: expected 2 cells as in the header, got 3.*double quotes"),
        ("target_caption\nx\ny\n", "The 2 rows of .* name no item.* Give the table a column item_id"),
        ("item_id,colour\na,x\n", "got 1 rows with the columns 'item_id', 'colour'. Say which is which: --map"),
        ("item_id,source,target_caption\na,,x\n,,y\n", ", line 3: expected an item_id, a source_image or an edited"),
        ("item_id,seed,target_caption\na,one,x\n", ", line 2, column seed: expected a whole number, got 'one'"),
        ("item_id,target_caption\n", "holds no rows"),
        ("\0", "bytes that are not of its encoding"),
        ("item_id,target_caption\nкот,x\n".encode("cp1251"), "which encoding it has cannot be told"),
    ],
)
def test_faulty_captions_table_is_explained(content: str | bytes, says: str, tmp_path: Path) -> None:
    """A table's message names the file, the line where there is one, and what was expected."""
    table = tmp_path / "captions.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(DataError, match=says):
        open_folder(put(tmp_path / "edits", ["a.png"]), captions=table)


def test_a_list_of_captions_is_asked_which_is_which(tmp_path: Path) -> None:
    """Nobody says which of two texts describes the source."""
    (tmp_path / "captions.json").write_text('{"a.png": ["A cat.", "A dog."]}')

    with pytest.raises(DataError, match=r"got the list \['A cat.', 'A dog.'\].*Say it: \{\"source_caption\""):
        open_folder(put(tmp_path / "edits", ["a.png"]), captions=tmp_path / "captions.json")


def test_captions_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Only formats that are read are accepted."""
    (tmp_path / "captions.docx").touch()

    with pytest.raises(DataError, match=r"captions.docx is no table that can be read: .* got '\.docx'"):
        open_folder(put(tmp_path / "edits", ["a.png"]), captions=tmp_path / "captions.docx")


def test_captions_do_not_go_with_a_benchmark(tmp_path: Path) -> None:
    """Two authorities on the captions are one too many."""
    with pytest.raises(OptionError, match="mine has captions of its own"):
        open_folder(put(tmp_path, ["a.png"]), expected=items_named("a"), captions=tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.jsonl", '{"item_id": "a", "target_caption": "x"}\n{"item_id":' + "[" * 30_000, "2: .* nested too deeply"),
        ("c.csv", "item_id,target_caption\na," + "x" * 140_000 + "\n", "2: .*field larger than field limit"),
        ("c.csv", "item_id,target_caption,item_id\na,x,b\n", "1: the column 'item_id' is there more than once"),
    ],
)
def test_a_table_beyond_the_bounds_is_refused_by_line(tmp_path, name, text, says):
    """Neither depth nor size of a cell ends in anything but a sentence."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}, line {says}"):
        read_captions(tmp_path / name)


@pytest.mark.parametrize("heading", ["", " ", "Unnamed: 0"])
def test_a_column_without_a_heading_holds_the_ids(tmp_path, heading):
    """The index that pandas writes names the rows; their order does not, and what was taken for the ids is said."""
    path = tmp_path / "captions.csv"
    path.write_text(f"{heading},source_prompt,target_prompt\n0003,a cat,a dog\n0001,a cup,a jug\n")

    found = read_captions(path)

    assert {item.item_id: item.target_caption for item in found.items} == {"0003": "a dog", "0001": "a jug"}
    assert any("without a heading" in note for note in found.notes)


def test_a_column_without_a_heading_is_nothing_beside_ids(tmp_path):
    """Where another column has the ids, the numbers of rows are left alone."""
    path = tmp_path / "captions.csv"
    path.write_text(",id,target_prompt\n0,0003,a dog\n1,0001,a jug\n")

    assert [item.item_id for item in read_captions(path).items] == ["0003", "0001"]
