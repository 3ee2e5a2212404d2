"""A manifest is held against the files that are there and the benchmark it names."""

import unicodedata
from pathlib import Path

import pytest

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.edits.open import infer_benchmark, open_folder
from evalkit.errors import LayoutError
from evalkit.images.decode import image_digest
from tests.support.folders import codes, items_named, pairs, put


def test_manifest_is_completed_by_its_benchmark(tmp_path: Path) -> None:
    """The benchmark knows captions, order and what is missing; the manifest, what a method made."""
    put(tmp_path, ["out/1.png", "out/2.png", "stray.png"])
    rows = [
        EditItem(item_id="b", edited_image=tmp_path / "out/2.png", target_caption="Something else."),
        EditItem(item_id="a", edited_image=tmp_path / "out/1.png", target_caption="ABOUT a."),
        EditItem(item_id="c", status="failed", reason="out of memory"),
        EditItem(item_id="q", edited_image=tmp_path / "out/1.png"),
        EditItem(item_id="e", edited_image=tmp_path / "out/gone.png"),
    ]
    write_manifest(tmp_path, rows, benchmark="mine", method="ours")

    folder = open_folder(tmp_path, expected=items_named(*"abcde"))

    assert (folder.layout, folder.benchmark, folder.method, folder.n_matched) == ("manifest", "mine", "ours", 2)
    assert pairs(folder) == {"a": "out/1.png", "b": "out/2.png", "c": None, "d": None, "e": None}
    assert [item.status for item in folder.items] == ["ok", "ok", "failed", "missing", "missing"]
    assert folder.items[1].target_caption == "about b"
    assert [item.reason for item in folder.items[2:]] == [
        "out of memory",
        "there is no file for it",
        "out/gone.png is not there",
    ]
    assert codes(folder) == [
        ("unmatched_file", "stray.png"),
        ("caption_differs", "b"),
        ("unknown_item", "q"),
        ("failed_edit", "c"),
        ("missing_edited_image", "d"),
        ("missing_edited_image", "e"),
    ]


def test_manifest_alone_is_enough(tmp_path: Path) -> None:
    """Without a benchmark the manifest's items are the folder's, doubled lines are refused, sources are grouped."""
    put(tmp_path, ["s.png", "1.png", "2.png", "3.png"])
    source = tmp_path / "s.png"
    rows = [
        EditItem(item_id="b", edited_image=tmp_path / "1.png", source_image=source),
        EditItem(item_id="a", edited_image=tmp_path / "2.png", source_image=source, group="mine"),
        EditItem(item_id="b", edited_image=tmp_path / "3.png"),
    ]
    write_manifest(tmp_path, rows)

    folder = open_folder(tmp_path)

    assert pairs(folder) == {"b": None, "a": "2.png"}
    assert [item.group for item in folder.items] == [image_digest(source), "mine"]
    assert codes(folder) == [("duplicate_item", "b")]


def test_manifest_finds_names_in_the_other_unicode_form(tmp_path: Path) -> None:
    """A folder that went through macOS spells its names decomposed; the manifest still finds them."""
    put(tmp_path, [unicodedata.normalize("NFD", "é.png")])
    write_manifest(tmp_path, [EditItem(item_id="a", edited_image=tmp_path / unicodedata.normalize("NFC", "é.png"))])

    folder = open_folder(tmp_path)

    assert pairs(folder) == {"a": unicodedata.normalize("NFD", "é.png")}
    assert folder.problems == ()


def test_manifest_of_another_benchmark_is_refused(tmp_path: Path) -> None:
    """A folder that says what it holds is not scored as something else."""
    write_manifest(tmp_path, [EditItem(item_id="a", status="failed")], benchmark="shapes")

    with pytest.raises(
        LayoutError, match=r"edits of mine, and says it holds edits of shapes\. Give --benchmark shapes"
    ):
        open_folder(tmp_path, expected=items_named("a"))
    assert infer_benchmark(tmp_path, [items_named("a")]) == "shapes"


@pytest.mark.parametrize(
    ("names", "inferred"),
    [
        (["a.png", "b.png", "x.png"], "mine"),
        (["a.png", "x.png", "y.png"], None),
        (["x.png"], None),
        (["c.png", "d.png"], None),
    ],
    ids=["most files", "too few files", "no file", "two benchmarks fit"],
)
def test_benchmark_is_inferred_only_where_it_is_clear(names: list[str], inferred: str | None, tmp_path: Path) -> None:
    """At least half of the files, and clearly more than of any other benchmark."""
    other = ExpectedItems(benchmark="other", items=items_named("c", "d", "e").items)

    assert infer_benchmark(put(tmp_path, names), [items_named(*"abcd"), other]) == inferred
