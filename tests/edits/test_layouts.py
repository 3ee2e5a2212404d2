"""Files find their items by name alone; what does not fit is listed."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.benchmarks.tedbench import tedbench
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.open import infer_benchmark, open_folder
from evalkit.errors import LayoutError
from evalkit.images.decode import image_digest
from tests.support.folders import codes, items_named, pairs, put
from tests.support.pictures import encoded, scene

IMAGIC = Path("../shared/tedbench/imagic")
ORIGINALS = Path("../shared/tedbench/originals")
real = pytest.mark.skipif(not IMAGIC.is_dir(), reason="needs TEdBench's own files in ../shared/tedbench")
TEDBENCH = tedbench()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_order_of_creation_changes_nothing(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder whose files were written in another order is read the same."""
    names = ["b/1.png", "b/0.png", "a.png", "stray.png", "C.PNG", "c.jpg", "d.png", "notes.txt"]
    shuffled = random.Random(seed).sample(names, len(names))

    first, second = (
        open_folder(put(tmp_path_factory.mktemp("order"), order), expected=items_named("a", "b", "c", "d", "e"))
        for order in (names, shuffled)
    )

    assert list(pairs(first).items()) == list(pairs(second).items())
    assert codes(first) == codes(second)


@real
def test_official_tedbench_folder_is_matched_whole() -> None:
    """The published Imagic results: 100 of 100, without a problem, and recognised by themselves."""
    folder = open_folder(IMAGIC, expected=TEDBENCH.load(ORIGINALS).expected)

    assert (folder.layout, folder.n_files, folder.n_matched, folder.problems) == ("official", 100, 100, ())
    assert {item.item_id: item.edited_image.name for item in folder.items} == dict(TEDBENCH.edited_names)
    assert len({item.group for item in folder.items}) == 39
    assert infer_benchmark(IMAGIC, [items_named("a", "b"), TEDBENCH.without_files]) == "tedbench"


def test_files_named_by_item_id(tmp_path: Path) -> None:
    """``<item_id>.<ext>`` anywhere below the folder; strangers and absent items are listed by name."""
    folder = open_folder(put(tmp_path, ["A.png", "deep/er/b.webp", "z.png"]), expected=items_named("a", "b", "c"))

    assert (folder.layout, folder.n_files, folder.n_matched, folder.benchmark) == ("item_id", 3, 2, "mine")
    assert pairs(folder) == {"a": "A.png", "b": "deep/er/b.webp", "c": None}
    assert codes(folder) == [("unmatched_file", "z.png"), ("missing_edited_image", "c")]


def test_files_named_by_item_id_and_seed(tmp_path: Path) -> None:
    """``<item_id>/<seed>.<ext>``: one item per seed, and a seed that most items have is missed in the others."""
    names = ["a/0.png", "a/1.png", "b/seed_0.png", "b/0001.png", "c/0.png", "c/7.png"]

    folder = open_folder(put(tmp_path, names), expected=items_named("a", "b", "c", "d"))

    assert pairs(folder) == {
        "a (seed 0)": "a/0.png",
        "a (seed 1)": "a/1.png",
        "b (seed 0)": "b/seed_0.png",
        "b (seed 1)": "b/0001.png",
        "c (seed 0)": "c/0.png",
        "c (seed 1)": None,
        "c (seed 7)": "c/7.png",
        "d (seed 0)": None,
        "d (seed 1)": None,
    }


def test_numbers_as_item_ids_are_not_seeds(tmp_path: Path) -> None:
    """In ``run/17.png`` the number is the item, unless ``run`` is one."""
    folder = open_folder(put(tmp_path, ["run/17.png", "run/18.png"]), expected=items_named("17", "18"))

    assert pairs(folder) == {"17": "run/17.png", "18": "run/18.png"}


def test_two_files_for_one_item_are_both_refused(tmp_path: Path) -> None:
    """Nobody can know which of two files is meant, so the item is missing and says why."""
    folder = open_folder(put(tmp_path, ["a.png", "old/a.png", "b.png"]), expected=items_named("a", "b"))

    assert pairs(folder) == {"a": None, "b": "b.png"}
    assert codes(folder) == [("duplicate_item", "a")]
    assert folder.items[0].status == "missing"
    assert folder.items[0].reason == "2 files claim to be it, and none is taken: a.png, old/a.png"


def test_many_files_for_one_item_are_counted(tmp_path: Path) -> None:
    """A reason stays one that can be read, however many files claim to be an item."""
    names = [f"old {first}{second}/a.png" for first in "abcde" for second in "abcdefgh"]

    folder = open_folder(put(tmp_path, names), expected=items_named("a", "b", "c"))

    assert (folder.items[0].reason or "").endswith("old ae/a.png, and 35 more")


def test_ambiguous_names_are_listed(tmp_path: Path) -> None:
    """A tolerated spelling of two items is neither's; an exact one is its own."""
    folder = open_folder(put(tmp_path, ["CAT.png", "dog.png"]), expected=items_named("Cat", "cat", "dog", "Dog"))

    assert pairs(folder) == {"Cat": None, "cat": None, "dog": "dog.png", "Dog": None}
    assert codes(folder)[0] == ("ambiguous_name", "CAT.png")


def test_image_without_a_suffix_is_an_image(tmp_path: Path) -> None:
    """What a file is, its first bytes decide where the suffix says nothing."""
    put(tmp_path, ["a", "b.dat"])
    (tmp_path / "c.log").write_text("no image")

    folder = open_folder(tmp_path, expected=items_named("a", "b.dat"))

    assert pairs(folder) == {"a": "a", "b.dat": "b.dat"}
    assert codes(folder) == [("other_file", "c.log")]


def test_what_would_wait_for_ever_is_not_opened(tmp_path: Path) -> None:
    """A named pipe is listed and left alone, whatever it is called."""
    os.mkfifo(put(tmp_path, ["a.png"]) / "pipe.png")
    os.mkfifo(tmp_path / "pipe")

    folder = open_folder(tmp_path, expected=items_named("a"))

    assert codes(folder) == [("other_file", "pipe"), ("other_file", "pipe.png")]


def test_groups_are_the_bytes_of_the_source(tmp_path: Path) -> None:
    """Items without a group are grouped by what their source file holds, not by what it is called."""
    sources = {name: tmp_path / "sources" / f"{name}.png" for name in "abc"}
    put(tmp_path / "sources", ["a.png", "b.png"])
    (tmp_path / "sources/c.png").write_bytes(encoded(scene(9, 9)))

    folder = open_folder(
        put(tmp_path / "edits", ["a.png", "b.png", "c.png"]), expected=items_named(*"abc", sources=sources)
    )

    assert [item.group for item in folder.items] == [image_digest(path) for path in sources.values()]
    assert len({item.group for item in folder.items}) == 2


def test_unexplained_folder_says_what_was_tried(tmp_path: Path) -> None:
    """Where no layout fits, the message has the counts, a name of each side and the next command."""
    expected = ExpectedItems(
        benchmark="mine", items=items_named("a", "b", "c").items, edited_names={"a": "s.png-text.png"}
    )

    with pytest.raises(LayoutError) as caught:
        open_folder(put(tmp_path, ["a.png", "x1.png", "x2.png", "x3.png"]), expected=expected)

    assert str(caught.value) == (
        f"No layout explains the 4 image files in {tmp_path}: "
        f"the file names of mine fit 0; the item ids of mine fit 1. "
        f"The first is 'a.png', and names such as 's.png-text.png' are expected. Say how they are named with "
        '--pattern, such as "{item_id}_edited" or "{source}-{target_caption}", or what they are edits of with '
        "--captions FILE."
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a.png"], "not known what the 1 image files .* --benchmark NAME"),
        ([], "was expected to hold edited images, and holds no image file"),
    ],
)
def test_folder_of_nothing_known_says_what_to_give(names: list[str], says: str, tmp_path: Path) -> None:
    """Without manifest, benchmark or table there is nothing to pair with."""
    with pytest.raises(LayoutError, match=says):
        open_folder(put(tmp_path, names))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A file, an absent folder and an empty one each get their sentence."""
    put(tmp_path, ["a.png"])

    with pytest.raises(LayoutError, match="which is a file"):
        open_folder(tmp_path / "a.png")
    with pytest.raises(LayoutError, match="which does not exist"):
        open_folder(tmp_path / "gone")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(LayoutError, match=r"1 symbolic link that leads out of it and is not followed: a\.png\. Name "):
        open_folder(tmp_path / "links")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="holds no image file"):
        open_folder(tmp_path / "empty", expected=items_named("a"))


def test_few_items_among_few_files_are_a_beginning(tmp_path: Path) -> None:
    """A run that has just begun is recognised, and so is a whole run among many other files."""
    many = [f"i{n}" for n in range(10)]

    begun = open_folder(put(tmp_path / "begun", ["i3.png"]), expected=items_named(*many))
    among = open_folder(
        put(tmp_path / "among", ["i0.png", *(f"x{n}.png" for n in range(9))]), expected=items_named("i0")
    )

    assert (begun.n_matched, among.n_matched) == (1, 1)
