"""What ``edit_folder`` refuses: pictures that are none, items without what is needed, folders made in another way."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from evalkit.edits.item import EditItem
from evalkit.edits.manifest import append_item, read_manifest
from evalkit.errors import BrokenPluginError, ManifestError, OptionError, RunError, WeightsError
from evalkit.images.decode import read_image
from tests.support.fakes import save_picture
from tests.support.toys import RUN, SIDE, Toy, files_of, make, statuses, toy, toy_items

# What a method may return


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((SIDE, SIDE, 3), np.nan), "the method returned an image that is not finite"),
        (np.full((SIDE, SIDE, 3), np.inf, np.float32), "the method returned an image that is not finite"),
        (np.full((SIDE, SIDE, 3), 1.5), "the method must return numbers from 0 to 1, got 1.5 to 1.5"),
        (np.full((SIDE, SIDE, 3), -1e-6), "the method must return numbers from 0 to 1, got -1e-06 to -1e-06"),
        (np.full((SIDE, SIDE, 3), 255, np.int64), "the method must return bytes or floating-point numbers, got int64"),
        (np.zeros((SIDE, SIDE)), "the method must return an array of height × width × 3, got (32, 32)"),
        (np.zeros((3, SIDE, SIDE)), "the method must return an array of height × width × 3, got (3, 32, 32)"),
        (np.zeros((1, SIDE, SIDE, 3)), "the method must return an array of height × width × 3, got (1, 32, 32, 3)"),
        (np.zeros((0, 0, 3)), "the method must return an array of height × width × 3, got (0, 0, 3)"),
        (
            np.zeros((10, 20, 3)),
            "the method must return an image of the source's size 32 × 32, or a square; got 20 × 10",
        ),
        (Image.new("L", (SIDE, SIDE)), "the method must return an RGB image, got mode L"),
        (Image.new("RGBA", (SIDE, SIDE)), "the method must return an RGB image, got mode RGBA"),
        (
            Image.new("RGB", (0, 0)),
            "the method must return an image of the source's size 32 × 32, or a square; got 0 × 0",
        ),
        ("picture.png", "the method must return an RGB image or an array, got str"),
        ([], "the method must return an RGB image or an array, got list"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path, picture, reason):
    """The item fails with what was wrong, no file is written for it, and the others go on."""
    items = toy_items(tmp_path, 3)
    method = toy(edit=lambda item, seed: picture if item.item_id == "item_1" else None)
    done = make(method, items, tmp_path / "out")
    assert [item.item_id for item in done.failures] == ["item_1"]
    assert done.failures[0].reason.startswith(reason)
    assert done.n_edited == 2
    assert not (tmp_path / "out" / "item_1" / "0.png").exists()


def test_none_is_refused_by_name(tmp_path):
    """A forgotten ``return`` is the commonest mistake of an adapter."""
    method = toy()
    method.edit = lambda self, item, fitted, *, seed: None
    done = make(method, toy_items(tmp_path, 1), tmp_path / "out")
    assert done.failures[0].reason == "the method must return an RGB image or an array, got NoneType"


LEVELS = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)


@pytest.mark.parametrize(
    "picture",
    [
        LEVELS,
        LEVELS / 255,
        (LEVELS / 255).astype(np.float32),
        np.clip(LEVELS / 255 - 0.001, 0, 1),
        Image.fromarray(LEVELS),
    ],
    ids=["bytes", "float64", "float32", "nearest", "image"],
)
def test_every_kind_of_picture_is_written_without_loss(tmp_path, picture):
    """Bytes, images and floating-point numbers, each at its nearest level, give the same file."""
    make(toy(edit=lambda item, seed: picture), toy_items(tmp_path, 1), tmp_path / "out")
    assert np.array_equal(read_image(tmp_path / "out" / "item_0" / "0.png"), LEVELS)


def test_a_square_of_another_size_is_allowed(tmp_path):
    """Models work on squares: one of their size is an edit of any source."""
    done = make(toy(edit=lambda item, seed: np.zeros((64, 64, 3))), toy_items(tmp_path, 1), tmp_path / "out")
    assert done.n_edited == 1


# Needs


def test_an_item_that_lacks_what_the_method_needs_says_so(tmp_path):
    """One item without a source caption fails with that reason, without being fitted; the others go on."""
    items = toy_items(tmp_path, 3, 3)
    items[1] = replace(items[1], source_caption=None)
    items[2] = replace(items[2], source_caption="")
    method = toy(needs=frozenset({"source_caption", "target_caption"}))
    done = make(method, items, tmp_path / "out")
    reason = "the method needs a source caption, and the item has none"
    assert [(item.item_id, item.reason) for item in done.failures] == [("item_1", reason), ("item_2", reason)]
    assert method.fits == [("Thing 0.", 0)]


@pytest.mark.parametrize(("need", "words"), [("edit_mask", "an edit mask"), ("instruction", "an instruction")])
def test_a_method_that_nothing_can_be_given_to_is_refused(tmp_path, need, words):
    """Where all items lack what the method needs, nothing is written and nothing loaded."""
    method = toy(needs=frozenset({need}), load=lambda run: pytest.fail("loaded"))
    with pytest.raises(OptionError, match=f"toy needs {words}, and none of the 6 items has one.*evalkit list methods"):
        make(method, toy_items(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# One folder, one way


@pytest.mark.parametrize(
    ("method", "options", "named"),
    [
        (toy(name="other"), {}, r'method "toy", and this run has "other"'),
        (Toy, {"run": replace(RUN, settings={**RUN.settings, "strength": 0.25})}, '"strength": 0.25'),
        (Toy, {"run": replace(RUN, model="elsewhere/model")}, 'model "", and this run has "elsewhere/model"'),
        (Toy, {"run": replace(RUN, revision="main")}, 'revision null, and this run has "main"'),
        (Toy, {"run": replace(RUN, dtype="fp16")}, 'dtype "fp32", and this run has "fp16"'),
        (Toy, {"benchmark": "others"}, 'benchmark "toys", and this run has "others"'),
    ],
    ids=["method", "settings", "model", "revision", "dtype", "benchmark"],
)
def test_a_folder_that_was_made_in_another_way_is_refused(tmp_path, method, options, named):
    """Nothing in it changes, and the message names the difference and a folder that is free."""
    items = toy_items(tmp_path)
    make(Toy, items[:3], tmp_path / "out")
    (tmp_path / "out-2").mkdir()
    before = files_of(tmp_path / "out")
    with pytest.raises(OptionError) as refused:
        make(method, items, tmp_path / "out", **options)
    assert named in str(refused.value)
    assert str(refused.value).endswith(f"Choose another: --output {tmp_path / 'out-3'}")
    assert files_of(tmp_path / "out") == before


def test_another_device_goes_on_in_the_same_folder(tmp_path):
    """Where it runs is no other way of editing."""
    items = toy_items(tmp_path)
    make(Toy, items[:3], tmp_path / "out")
    assert make(Toy, items, tmp_path / "out", run=replace(RUN, device="cuda")).n_kept == 3


def test_other_seeds_join_those_that_are_there(tmp_path):
    """A second run with another seed adds its edits beside the first, in the items' order, and both are on record."""
    items = toy_items(tmp_path, 2)
    make(Toy, items, tmp_path / "out", seeds=(3,))
    done = make(Toy, items, tmp_path / "out", seeds=(1,))
    assert (done.n_edited, done.n_kept) == (2, 0)
    assert len(statuses(tmp_path / "out")) == 4
    make(Toy, items, tmp_path / "out", seeds=(1, 3))
    make(Toy, items, tmp_path / "whole", seeds=(1, 3))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_edits_that_something_else_made_are_left_alone(tmp_path):
    """A folder with a manifest and without our record is somebody's, and refused."""
    append_item(tmp_path / "out", EditItem(item_id="a", edited_image=save_picture(tmp_path / "out" / "a.png", 0)))
    before = (tmp_path / "out" / "metadata.jsonl").read_bytes()
    with pytest.raises(OptionError, match=r"already holds edits that evalkit edit did not make.*--output"):
        make(Toy, toy_items(tmp_path), tmp_path / "out", keep_sources=True)
    assert (tmp_path / "out" / "metadata.jsonl").read_bytes() == before
    assert not (tmp_path / "out" / "sources").exists()


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_record_is_named(tmp_path, text):
    """What cannot be compared is not overwritten."""
    make(Toy, toy_items(tmp_path), tmp_path / "out")
    (tmp_path / "out" / "method.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"method\.json .*Move the folder away"):
        make(Toy, toy_items(tmp_path), tmp_path / "out")


def test_a_damaged_manifest_is_named_and_not_overwritten(tmp_path):
    """A line in the middle that is no JSON is the user's to look at."""
    make(Toy, toy_items(tmp_path), tmp_path / "out")
    manifest = tmp_path / "out" / "metadata.jsonl"
    manifest.write_text("{]\n" + manifest.read_text())
    with pytest.raises(ManifestError, match=r"metadata\.jsonl:1"):
        make(Toy, toy_items(tmp_path), tmp_path / "out")


@pytest.mark.parametrize("raised", [WeightsError("No such model."), RuntimeError("bad weights")])
def test_a_model_that_cannot_be_had_leaves_the_folder_free_for_another(tmp_path, raised):
    """The message is the model's own, or names the method; the same folder then takes another model."""

    def fail(run):
        raise raised

    expected = WeightsError if isinstance(raised, WeightsError) else BrokenPluginError
    with pytest.raises(expected, match=r"No such model|The method toy cannot be loaded: RuntimeError: bad weights"):
        make(toy(load=fail), toy_items(tmp_path), tmp_path / "out", run=replace(RUN, model="wrong"))
    assert make(Toy, toy_items(tmp_path), tmp_path / "out", run=replace(RUN, model="right")).n_edited == 6


def test_a_folder_in_which_everything_failed_is_free_for_other_settings(tmp_path):
    """Settings that fail on every item do not tie the folder to them, nor leave their lines in it."""
    items = toy_items(tmp_path, 2)

    def fall(item, seed):
        raise RuntimeError

    make(toy(edit=fall), items, tmp_path / "out", run=replace(RUN, settings={**RUN.settings, "strength": 1.0}))
    make(Toy, items[:1], tmp_path / "out")
    assert statuses(tmp_path / "out") == [("item_0", 0, "ok", None)]


def test_an_item_whose_texts_or_source_changed_is_edited_again(tmp_path):
    """A corrected caption, or another picture under the same id, is another edit; a picture that was deleted is too."""
    items = toy_items(tmp_path, 4, 4)
    make(Toy, items, tmp_path / "out", keep_sources=True)
    items[0] = replace(items[0], target_caption="Corrected.")
    save_picture(items[1].source_image, 99, SIDE)
    (tmp_path / "out" / "item_2" / "0.png").unlink()
    method = toy()
    assert make(method, items, tmp_path / "out", keep_sources=True).n_kept == 1
    assert [item.item_id for item in method.edits] == ["item_0", "item_1", "item_2"]
    assert read_manifest(tmp_path / "out").items[0].target_caption == "Corrected."


# Names


def test_no_item_id_leads_out_of_the_folder(tmp_path):
    """Whatever an item is called, its file lies in a folder of its own below the output."""
    ids = ["../../evil", "/etc/passwd", "a b/c", "..", "Zürich 1", ".hidden", "a/b", "a:b", "a_b"]
    items = [replace(toy_items(tmp_path, 1)[0], item_id=item_id) for item_id in ids]
    assert make(Toy, items, tmp_path / "out").n_edited == len(ids)
    parents = {item.edited_image.parent for item in read_manifest(tmp_path / "out").items}
    assert len(parents) == len(ids)
    assert {parent.parent for parent in parents} == {tmp_path / "out"}
    assert [item.item_id for item in read_manifest(tmp_path / "out").items] == ids


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("same", "same")])
def test_two_items_that_would_share_a_folder_are_refused(tmp_path, pair):
    """Before anything is written, both are named."""
    items = [replace(toy_items(tmp_path, 1)[0], item_id=item_id) for item_id in pair]
    with pytest.raises(OptionError, match=f"'{pair[0]}' and '{pair[1]}' would share the folder"):
        make(Toy, items, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    """A file where the folder should be is no reason of any item."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make(Toy, toy_items(tmp_path), tmp_path / "file" / "out")
