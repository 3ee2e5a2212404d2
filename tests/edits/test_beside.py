"""Sources that lie beside the edits are told by words in names, in whatever way these are put together."""

import json
from pathlib import Path

import pytest

from evalkit.benchmarks.open import open_edits
from evalkit.edits.check import check_folder
from evalkit.edits.problems import is_notice
from evalkit.errors import LayoutError
from tests.support.folder_cases import are_pairs, edit, guesses, source, sources_and_edits, write

N = range(3)
SCHEMES = [
    ("input_{}.png", "output_{}.png"),
    ("{}_input.png", "{}_output.png"),
    ("source_{}.png", "edited_{}.png"),
    ("{}_origin.jpg", "{}_edit.jpg"),
    ("{}-original.png", "{}-result.webp"),
    ("before/{}.png", "after/{}.png"),
    ("{}/before.png", "{}/after.png"),
    ("inputs/{}.png", "outputs/{}.png"),
    ("run7/{} src.png", "run7/{} tgt.png"),
    ("{}_SRCIMG.png", "{}.png"),
    ("{}.png", "{}_edited.png"),
    ("{}.png", "generated_{}.png"),
    ("cats/{}_orig.png", "cats/{}_pred.png"),
    ("source_image_{}.png", "edited_image_{}.png"),
]


@pytest.mark.parametrize(("sources", "edits"), SCHEMES, ids=[edits for _, edits in SCHEMES])
def test_pairs_are_told_by_words(sources: str, edits: str, tmp_path: Path) -> None:
    """Two words that are known split the files into sources and edits of the same names; it is said once."""
    names = ["0001", "0002", "zebra"]
    pictures = sources_and_edits([sources.format(n) for n in names], [edits.format(n) for n in names])

    folder = open_edits(write(tmp_path, pictures)).folder

    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (3, 3, True)
    assert len(guesses(folder)) == 1
    assert all(map(is_notice, check_folder(folder)))


def test_seeds_masks_and_references_come_along(tmp_path: Path) -> None:
    """A number behind the name of a source is a seed; masks and references of the same names are the items'."""
    pictures = {f"{n}_{role}.png": source(n) for n in N for role in ("source", "mask", "gt")}
    pictures |= {f"{n}_edited_{seed}.png": edit(n, seed) for n in N for seed in (0, 1)}

    folder = open_edits(write(tmp_path, pictures)).folder

    assert [item.label for item in folder.items] == [f"{n} (seed {seed})" for n in N for seed in (0, 1)]
    assert are_pairs(folder)
    assert all(item.edit_mask and item.reference_image for item in folder.items)
    assert (folder.n_files, [problem.code for problem in folder.problems]) == (6, ["guessed"])


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    """A source without an edit is an item without one, an edit without a source an item without a source."""
    pictures = sources_and_edits([f"input_{n}.png" for n in "abcd"], [f"output_{n}.png" for n in "abc"])
    pictures["output_z.png"] = edit(7)

    folder = open_edits(write(tmp_path, pictures)).folder

    missing = [(item.item_id, item.source_image is None, item.edited_image is None) for item in folder.items]
    assert missing[-2:] == [("d", False, True), ("z", True, False)]


def test_two_ways_to_pair_are_refused(tmp_path: Path) -> None:
    """Where two words may be the edits, the user decides, with the options that the error names."""
    pictures = sources_and_edits([f"{n}_input.png" for n in N], [f"{n}_output.png" for n in N])
    pictures |= {f"{n}_result.png": edit(n, 5) for n in N}
    folder = write(tmp_path, pictures)

    with pytest.raises(LayoutError, match=r"'input' and 'output', and as many by 'input' and 'result'"):
        open_edits(folder)

    decided = open_edits(folder, pattern="{item_id}_output", source_pattern="{item_id}_input").folder
    assert (decided.n_edited, are_pairs(decided)) == (3, True)


def test_a_folder_per_pair_with_its_captions(tmp_path: Path) -> None:
    """InstructPix2Pix's tree: 0 is before, 1 after, a JSON file says what was asked for; several in a folder too."""
    pictures = {
        f"{n // 2:07d}/{900 + n}_{side}.jpg": picture
        for n in range(4)
        for side, picture in enumerate((source(n), edit(n)))
    }
    folder = write(tmp_path, pictures)
    for n in range(2):
        texts = {"caption": f"a cat {n}", "edit": f"make it {n}", "output": f"a dog {n}"}
        (tmp_path / f"{n:07d}" / "prompt.json").write_text(json.dumps(texts))

    opened = open_edits(folder).folder

    assert (opened.n_edited, are_pairs(opened)) == (4, True)
    assert [(item.item_id, item.source_caption, item.target_caption, item.instruction) for item in opened.items] == [
        (f"{n // 2:07d}/{900 + n}", f"a cat {n // 2}", f"a dog {n // 2}", f"make it {n // 2}") for n in range(4)
    ]
    assert [problem.code for problem in opened.problems] == ["guessed"] * 3


def test_numbers_alone_pair_nothing(tmp_path: Path) -> None:
    """Without captions beside them, 0 and 1 may be seeds as well."""
    with pytest.raises(LayoutError, match="It is not known what the 4 image files"):
        open_edits(write(tmp_path, sources_and_edits(["a_0.png", "b_0.png"], ["a_1.png", "b_1.png"])))


def test_a_tree_of_tasks_and_languages(tmp_path: Path) -> None:
    """GEdit-Bench's tree: the same keys in many folders are different items."""
    keys = [f"fullset/{task}/{language}/KEY1" for task in ("add", "style") for language in ("cn", "en")]

    folder = open_edits(
        write(tmp_path, sources_and_edits([f"{k}_SRCIMG.png" for k in keys], [f"{k}.png" for k in keys]))
    )

    assert [item.item_id for item in folder.folder.items] == keys
    assert are_pairs(folder.folder)


def test_texts_beside_the_edits_are_their_captions(tmp_path: Path) -> None:
    """A text file of the name of each image holds what was asked for; where one is absent, none is read."""
    sources = write(tmp_path / "s", {f"{n}.png": source(n) for n in N})
    edits = write(tmp_path / "e", {f"{n}.png": edit(n) for n in N})
    for n in N:
        (edits / f"{n}.txt").write_text(f"a cat\n  number {n}\n")

    beside, named = open_edits(edits, sources=sources).folder, open_edits(edits, sources=sources, captions=edits).folder

    assert [item.target_caption for item in beside.items] == [f"a cat number {n}" for n in N]
    assert beside.items == named.items
    assert [problem.code for problem in beside.problems] == ["guessed"]
    assert named.problems == ()
    (edits / "2.txt").unlink()
    less = open_edits(edits, sources=sources).folder
    assert {item.target_caption for item in less.items} == {None}
    assert [problem.code for problem in less.problems] == ["other_file", "other_file"]
