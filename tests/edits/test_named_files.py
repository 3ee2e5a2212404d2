"""Files that a table names are found by their paths, else by less, and what is not there is a problem of its row."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.edits.check import check_folder
from tests.support.folder_cases import are_pairs, edit, guesses, source, write

KEYS = ["cats/1", "cats/2", "dogs/1", "dogs/2"]


def table(path: Path, heading: str, rows: list[str]) -> Path:
    """A CSV of a heading and rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    """Sources and edits in the same sub-folders, of the same names."""
    write(tmp_path, {f"sources/{key}.png": source(n) for n, key in enumerate(KEYS)})
    return write(tmp_path, {f"edits/{key}.png": edit(n) for n, key in enumerate(KEYS)})


@pytest.mark.parametrize(
    ("heading", "row", "n_said"),
    [
        ("item_id,source_image,edited_image,target_caption", "{n},{key}.png,{key}.png,x", 0),
        ("item_id,target_caption", "{key},x", 0),
        ("item_id,target_caption", "{key}.png,x", 0),
        ("source_image,target_caption", "{key}.png,x", 0),
        ("item_id,source_image,edited_image,target_caption", "{n},sources/{key}.png,edits/{key}.png,x", 0),
        ("item_id,source_image,edited_image,target_caption", "{n},/data/x/{key}.jpg,./out/{key}.png,x", 1),
        ("item_id,source_image,edited_image,target_caption", "{n},C:\\data\\{win}.png,{key}.png,x", 1),
        ("image,prompt", "{key}.png,x", 1),
    ],
)
def test_trees_are_paired_by_their_paths(heading: str, row: str, n_said: int, trees: Path) -> None:
    """As the path is written, or by its end, in whichever column; an id may hold a slash."""
    rows = [row.format(n=f"item{n}", key=key, win=key.replace("/", "\\")) for n, key in enumerate(KEYS)]
    captions = table(trees / "captions.csv", heading, rows)

    folder = open_edits(trees / "edits", sources=trees / "sources", captions=captions).folder

    assert (folder.n_edited, folder.n_matched, are_pairs(folder)) == (4, 4, True)
    assert len(guesses(folder)) == n_said
    assert {problem.code for problem in folder.problems} <= {"guessed"}


def test_trees_without_a_table(trees: Path) -> None:
    """The same sub-folders on both sides are enough."""
    folder = open_edits(trees / "edits", sources=trees / "sources").folder
    assert (folder.n_edited, are_pairs(folder), folder.problems) == (4, True, ())


@pytest.mark.parametrize("command", ["check", "score"])
def test_a_file_that_is_named_and_absent_is_a_problem_of_its_row(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row and the file are named, the exit code is 3, and no other file is taken instead."""
    monkeypatch.chdir(
        write(tmp_path, {f"{side}/{n}.png": make(n) for n in range(3) for side, make in (("s", source), ("e", edit))})
    )
    table(
        tmp_path / "c.csv",
        "item_id,source_image,mask,target_caption",
        ["0,0.png,,x", "1,nope.png,,x", "2,2.png,masks/2.png,x"],
    )

    done = CliRunner().invoke(
        main,
        [
            command,
            "e",
            "--sources",
            "s",
            "--captions",
            "c.csv",
            "--json",
            *(["--metrics", "l1"] if command == "score" else []),
        ],
    )

    assert done.exit_code == 3
    problems = [each["message"] for each in json.loads(done.stdout)["problems"] if each["severity"] == "problem"]
    assert problems[0] == "c.csv, line 3: the source image 'nope.png' of 1 is not there in s, or not just once."
    assert "None of the 1 edit masks that c.csv names is there in s, such as 'masks/2.png' (line 4)" in problems[1]


def test_sources_and_masks_inside_the_folder_are_no_strangers(tmp_path: Path) -> None:
    """What a table names as another image than the edit is none of the edits."""
    pictures = {
        f"{n}_{part}.png": make(n)
        for n in "ab"
        for part, make in (
            ("origin", lambda n: source(ord(n) % 7)),
            ("m", lambda n: source(0)),
            ("out", lambda n: edit(ord(n) % 7)),
        )
    }
    folder = write(tmp_path, pictures)
    captions = table(
        tmp_path / "captions.csv",
        "item_id,source_image,edited_image,edit_mask,target_caption,source_caption",
        [f"{n},{n}_origin.png,{n}_out.png,{n}_m.png,x,y" for n in "ab"],
    )

    opened = open_edits(folder, captions=captions).folder

    assert (opened.n_files, opened.n_matched, are_pairs(opened), opened.problems) == (2, 2, True, ())
    assert all(item.edit_mask for item in opened.items)


def test_numbers_that_a_spreadsheet_made_of_ids(tmp_path: Path) -> None:
    """``1``, ``1.0`` and ``1e1`` are 0001 and 0010, said; where 1.png is there too, it is that one."""
    names = ["0001", "0002", "0010"]
    write(tmp_path, {f"s/{name}.png": source(n) for n, name in enumerate(names)})
    write(tmp_path, {f"e/{name}.png": edit(n) for n, name in enumerate(names)})
    captions = table(tmp_path / "c.csv", "item_id,target_caption", ["1,x", "2.0,y", "1e1,z"])

    folder = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=captions).folder

    assert (folder.n_edited, are_pairs(folder)) == (3, True)
    assert guesses(folder) == ["3 item ids were compared with names of files as numbers: '1' is 0001.png."]
    write(tmp_path, {"e/1.png": edit(5)})
    (exact, *_) = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=captions).folder.items
    assert exact.edited_image is None


def test_rows_without_a_name_are_counted_as_the_files_are(tmp_path: Path) -> None:
    """A list of captions goes with numbered pairs, from 0 or from 1, if the numbers are the same."""
    texts = [{"input": f"cat {n}", "edit": f"make {n}", "output": f"dog {n}"} for n in range(3)]
    for first in (0, 1):
        folder = write(
            tmp_path / str(first),
            {
                f"{word}_{n + first}.png": make(n)
                for n in range(3)
                for word, make in (("input", source), ("output", edit))
            },
        )
        (folder / "prompts.json").write_text(json.dumps(texts))
        opened = open_edits(folder, captions=folder / "prompts.json").folder
        assert (opened.n_edited, are_pairs(opened)) == (3, True)
        assert [item.target_caption for item in opened.items] == ["dog 0", "dog 1", "dog 2"]


def test_seeds_of_a_table(tmp_path: Path) -> None:
    """A row per item and seed, each with its file."""
    write(tmp_path, {f"s/{n}.png": source(n) for n in range(2)})
    write(tmp_path, {f"e/x{n}{s}.png": edit(n, s) for n in range(2) for s in (3, 4)})
    rows = [f"{n},{n}.png,x{n}{s}.png,{s},text" for n in range(2) for s in (3, 4)]
    captions = table(tmp_path / "c.csv", "item_id,source_image,edited_image,seed,target_caption", rows)

    folder = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=captions).folder

    assert [item.label for item in folder.items] == [f"{n} (seed {s})" for n in range(2) for s in (3, 4)]
    assert (are_pairs(folder), folder.problems) == (True, ())


def test_items_of_one_source_are_told_apart_by_their_captions(tmp_path: Path) -> None:
    """A table of sources and captions, as TEdBench's list is, has as many items as rows."""
    captions = tmp_path / "list.json"
    captions.write_text(json.dumps([{"img_name": "a.png", "target_text": text} for text in ("A dog.", "A cat.")]))
    write(tmp_path, {"s/a.png": source(1), "e/a-A_dog.png": edit(1), "e/a-A_cat.png": edit(1, 9)})

    folder = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=captions, pattern="{source}-{target_caption}")

    assert [item.target_caption for item in folder.folder.items] == ["A dog.", "A cat."]
    assert (folder.folder.n_edited, are_pairs(folder.folder)) == (2, True)


def test_the_only_column_of_image_files_names_the_sources(tmp_path: Path) -> None:
    """``{key: {"id": "animal/0.png", …}}``, as ImgEdit has it: read as the source, and said."""
    write(tmp_path, {f"s/{kind}/0.png": source(n) for n, kind in enumerate(["animal", "object"])})
    write(tmp_path, {f"e/{n + 1}.png": edit(n) for n in range(2)})
    items = {str(n + 1): {"id": f"{kind}/0.png", "instruction": "go"} for n, kind in enumerate(["animal", "object"])}
    (tmp_path / "items.json").write_text(json.dumps(items))

    folder = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=tmp_path / "items.json").folder

    assert are_pairs(folder)
    assert any("read source_image from 'id', which names image files" in said for said in guesses(folder))
    assert {problem.code for problem in check_folder(folder)} >= {"missing_target_caption"}


def test_a_source_outside_of_all_folders_is_read_and_said(
    trees: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The path as written counts, wherever it leads, and a reader is told that it leads elsewhere."""
    away = write(tmp_path_factory.mktemp("away"), {"a.png": source(0)}) / "a.png"
    captions = table(trees / "c.csv", "item_id,source_image,target_caption", [f"cats/1,{away},x"])

    folder = open_edits(trees / "edits", sources=trees / "sources", captions=captions).folder

    assert folder.items[0].source_image == away
    assert any("outside of the folders" in problem.message for problem in folder.problems)
