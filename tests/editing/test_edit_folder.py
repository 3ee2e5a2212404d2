"""``edit_folder``: whatever a method does, and whenever the run is killed, the folder is right."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata

import pytest
from click.testing import CliRunner

from evalkit import __version__
from evalkit.cli import main
from evalkit.editing.method import METHODS
from evalkit.editing.recipe import recipe_of
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import read_manifest
from evalkit.errors import OptionError
from evalkit.images.decode import read_image
from tests.support.toys import RUN, SIDE, Toy, files_of, make, statuses, toy, toy_items

# What is written


def test_every_item_and_seed_has_its_file_and_its_line(tmp_path):
    """One PNG per item and seed; lines item by item with texts, group and seconds; one record of how."""
    items = toy_items(tmp_path)
    done = make(Toy, items, tmp_path / "out", seeds=(0, 7))
    assert (done.n_edited, done.n_kept, done.failures) == (12, 0, ())
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.benchmark, manifest.method) == ("toys", "toy")
    assert [(item.item_id, item.seed) for item in manifest.items] == [(i.item_id, s) for i in items for s in (0, 7)]
    for item in manifest.items:
        assert item.edited_image == tmp_path / "out" / item.item_id / f"{item.seed}.png"
        assert read_image(item.edited_image).size == (SIDE, SIDE)
        wanted = next(wanted for wanted in items if wanted.item_id == item.item_id)
        assert (item.target_caption, item.group) == (wanted.target_caption, wanted.group)
        assert item.seconds is not None
    record = json.loads((tmp_path / "out" / "method.json").read_text())
    assert {"method": "toy", "settings": dict(RUN.settings), "seeds": [0, 7], "dtype": "fp32"}.items() <= record.items()
    assert record["versions"]["evalkit"] == __version__
    assert record["versions"]["torch"] == metadata.version("torch")


def test_a_run_says_which_package_its_method_comes_from(tmp_path):
    """The version of the distribution that registers a method stands in the record of the run."""
    make(METHODS.get("identity"), toy_items(tmp_path), tmp_path / "out", run=replace(RUN, settings={}))
    assert json.loads((tmp_path / "out" / "method.json").read_text())["versions"]["evalkit-editing"] == __version__


def test_a_package_may_register_a_method_that_one_of_its_modules_defines():
    """Its version is recorded too, though the entry point names the package and the class is another module's."""
    method = METHODS.get("text2live")
    assert method.__module__ == "evalkit_adapters.methods.text2live.method"
    assert recipe_of(method, method.card, RUN, None, {})["versions"]["evalkit-editing"] == __version__


def test_progress_starts_at_nothing_and_ends_with_all(tmp_path):
    """Whoever watches sees every edit, and the whole number from the start."""
    seen = []
    make(Toy, toy_items(tmp_path, 3), tmp_path / "out", progress=lambda *step: seen.append(step))
    assert seen == [("edits", done, 3) for done in range(4)]


def test_seconds_include_a_share_of_the_fit(tmp_path):
    """The time of ``fit`` is spread over the edits that share it."""
    method = toy(fit=lambda caption: time.sleep(0.2))
    make(method, toy_items(tmp_path, 4, 1), tmp_path / "out")
    seconds = [item.seconds for item in read_manifest(tmp_path / "out").items]
    assert all(0.05 <= each < 0.2 for each in seconds)


def test_the_folder_is_an_imagefolder_passes_the_check_and_can_be_scored(tmp_path, monkeypatch):
    """What is written needs nothing else: datasets opens it, ``check`` finds nothing, ``score`` gives a number."""
    import datasets

    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    failing = toy(edit=lambda item, seed: 1 / 0 if item.item_id == "item_5" else None)
    make(failing, toy_items(tmp_path), out, benchmark=None, keep_sources=True)
    rows = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "datasets"), split="train")
    assert rows["item_id"] == [f"item_{index}" for index in range(6)]
    assert rows[0]["edited_image"].size == rows[0]["source_image"].size == (SIDE, SIDE)
    assert rows[5]["edited_image"] is None
    make(Toy, toy_items(tmp_path), out, benchmark=None, keep_sources=True)
    checked = CliRunner().invoke(main, ["check", str(out), "--json"])
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["problems"] == []
    scored = CliRunner().invoke(
        main,
        ["score", str(out), "--encoder", "miniature", "--device", "cpu", "--output", str(tmp_path / "r"), "--json"],
    )
    assert scored.exit_code == 0, scored.output
    metrics = json.loads(scored.stdout)["metrics"]
    assert metrics["clip_score"]["n"] == metrics["clip_directional_similarity"]["n"] == 6
    assert metrics["clip_score"]["n_groups"] == 2


def test_kept_sources_are_whole_named_by_content_and_there_once(tmp_path):
    """Equal sources are one copy, whose suffix says what the file is, whatever the original was called."""
    items = toy_items(tmp_path, 3, 3)
    items[1].source_image.write_bytes(items[0].source_image.read_bytes())
    bare = items[2].source_image.rename(tmp_path / "bare")
    make(Toy, [*items[:2], replace(items[2], source_image=bare)], tmp_path / "out", keep_sources=True)
    copies = sorted((tmp_path / "out" / "sources").iterdir())
    assert {copy.read_bytes() for copy in copies} == {items[0].source_image.read_bytes(), bare.read_bytes()}
    assert [copy.suffix for copy in copies] == [".png", ".png"]
    assert {item.source_image for item in read_manifest(tmp_path / "out").items} == set(copies)


# Sharing of fit


def test_fit_is_called_once_for_each_source_and_seed(tmp_path):
    """Six edits of two sources with two seeds are four fits and twelve edits."""
    method = toy()
    make(method, toy_items(tmp_path), tmp_path / "out", seeds=(0, 1))
    assert sorted(method.fits) == [(None, 0), (None, 0), (None, 1), (None, 1)]
    assert len(method.edits) == 12


def test_equal_bytes_are_one_source(tmp_path):
    """What is the same image under two names is fitted once."""
    items = toy_items(tmp_path, 2)
    items[1].source_image.write_bytes(items[0].source_image.read_bytes())
    method = toy()
    make(method, items, tmp_path / "out")
    assert len(method.fits) == 1


@pytest.mark.parametrize(("needs", "n_fits"), [(set(), 1), ({"source_caption"}, 3)])
def test_captions_divide_a_source_only_for_methods_that_see_them(tmp_path, needs, n_fits):
    """Three captions of one source are three fits of a method that takes them, and one of a method that does not."""
    items = [replace(item, source_caption=item.target_caption) for item in toy_items(tmp_path, 3, 1)]
    method = toy(takes=frozenset(needs))
    make(method, items, tmp_path / "out")
    assert len(method.fits) == n_fits
    assert all(bool(caption) == bool(needs) for caption, _ in method.fits)


def test_after_a_resume_only_what_is_left_is_fitted(tmp_path):
    """A second run fits neither the sources that are finished nor those of no item."""
    items = toy_items(tmp_path, 6, 3)
    make(Toy, [items[0], items[3], items[1]], tmp_path / "out")
    method = toy()
    done = make(method, items, tmp_path / "out")
    assert (done.n_kept, done.n_edited) == (3, 3)
    assert [item.item_id for item in method.edits] == ["item_2", "item_5", "item_4"]
    assert len(method.fits) == 2
    again = toy()
    assert make(again, items, tmp_path / "out").n_kept == 6
    assert (again.fits, again.edits) == ([], [])


def test_the_model_is_not_loaded_for_nothing(tmp_path):
    """A finished folder costs no loading."""
    make(Toy, toy_items(tmp_path), tmp_path / "out")
    method = toy(load=lambda run: pytest.fail("loaded"))
    assert make(method, toy_items(tmp_path), tmp_path / "out").n_kept == 6


def test_a_method_sees_what_its_card_needs_and_takes_and_nothing_else(tmp_path):
    """Nothing of an item but what was declared reaches the method, so that no card can lie."""
    items = [replace(item, instruction="Do it.", edit_type="x") for item in toy_items(tmp_path, 1)]
    method = toy(takes=frozenset({"instruction"}))
    make(method, items, tmp_path / "out")
    seen = EditItem(item_id="item_0", seed=0, target_caption=items[0].target_caption, instruction="Do it.")
    assert method.edits == [seen]


# Kills


@pytest.mark.parametrize(
    ("moment", "n_kept"), [("half a picture", 3), ("no line", 3), ("half a line", 3), ("whole line", 4)]
)
def test_a_killed_run_goes_on_to_the_very_folder_of_an_uninterrupted_one(tmp_path, moment, n_kept):
    """Kill -9 at any moment costs the edit in hand: the next run redoes nothing else and leaves no other file."""
    command = [sys.executable, "-m", "tests.support.toys", str(tmp_path), str(tmp_path / "out"), moment]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    for image in (tmp_path / "out").rglob("*.png"):
        read_image(image)  # whole, or not there
    method = toy()
    done = make(method, toy_items(tmp_path), tmp_path / "out", seeds=(0, 1))
    assert (done.n_kept, done.n_edited, len(method.edits)) == (n_kept, 12 - n_kept, 12 - n_kept)
    make(Toy, toy_items(tmp_path), tmp_path / "whole", seeds=(0, 1))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    """An interruption goes through, and the next run goes on."""

    def interrupted(item, seed):
        if item.item_id == "item_3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(toy(edit=interrupted), toy_items(tmp_path), tmp_path / "out")
    n_kept = len(read_manifest(tmp_path / "out").items)
    assert n_kept == 4  # of the first source all three, and one of the second
    assert make(Toy, toy_items(tmp_path), tmp_path / "out").n_kept == n_kept


def test_two_processes_cannot_write_one_folder(tmp_path):
    """The second is refused at once and harms nothing; afterwards the folder is free."""
    second = []

    def meanwhile(item, seed):
        if not second:
            code = (
                "import sys; from pathlib import Path; from tests.support.toys import *\n"
                "make(Toy, toy_items(Path(sys.argv[1])), Path(sys.argv[2]))"
            )
            command = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "out")]
            second.append(subprocess.run(command, capture_output=True, text=True, check=False, timeout=300))

    assert make(toy(edit=meanwhile), toy_items(tmp_path), tmp_path / "out").n_edited == 6
    assert second[0].returncode == 1
    assert "OptionError: Another process is editing into" in second[0].stderr
    assert make(Toy, toy_items(tmp_path), tmp_path / "out").n_kept == 6


# Failures


def refuse(what, message="no way"):
    """A function that raises for items or captions of that name."""

    def refused(name, *_):
        if what in (getattr(name, "item_id", None), name):
            raise ValueError(message)

    return refused


def test_a_failed_edit_is_recorded_with_its_reason_and_made_again_by_the_next_run(tmp_path):
    """The others go on; the next run tries the failed one alone, and then all is as if it had never failed."""
    items = toy_items(tmp_path)
    done = make(toy(edit=refuse("item_2")), items, tmp_path / "out")
    assert [(item.item_id, item.reason) for item in done.failures] == [("item_2", "ValueError: no way")]
    expected = [(f"item_{index}", 0, "ok", None) for index in range(6)]
    assert statuses(tmp_path / "out") == [*expected[:2], ("item_2", 0, "failed", "ValueError: no way"), *expected[3:]]
    method = toy()
    done = make(method, items, tmp_path / "out")
    assert (done.n_edited, done.n_kept, done.failures) == (1, 5, ())
    assert [item.item_id for item in method.edits] == ["item_2"]
    make(Toy, items, tmp_path / "whole")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_failed_fit_ends_the_edits_of_its_source_alone(tmp_path):
    """``fit`` that raises for one source fails that source's items; the other source's are made."""
    method = toy(fit=refuse("Thing 1."), takes=frozenset({"source_caption"}))
    done = make(method, toy_items(tmp_path), tmp_path / "out")
    assert [item.item_id for item in done.failures] == ["item_1", "item_3", "item_5"]
    assert {item.reason for item in done.failures} == {"ValueError: no way"}
    assert done.n_edited == 3
    assert [item.item_id for item in method.edits] == ["item_0", "item_2", "item_4"]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("one\n  two"), "RuntimeError: one two"),
        (OptionError("Not with this setting."), "Not with this setting."),
    ],
)
def test_whatever_a_method_raises_becomes_a_reason_of_one_line(tmp_path, raised, reason):
    """Even ``sys.exit`` in research code ends no more than the item."""

    def fall(item, seed):
        raise raised

    done = make(toy(edit=fall), toy_items(tmp_path, 1), tmp_path / "out")
    assert done.failures[0].reason == reason


def test_a_reason_of_pages_is_cut(tmp_path):
    """A library's page of mismatched layers does not fill the manifest."""
    done = make(toy(edit=refuse("item_0", "layer " * 500)), toy_items(tmp_path, 1), tmp_path / "out")
    assert len(done.failures[0].reason) == 400
    assert done.failures[0].reason.endswith("…")


def test_a_source_that_cannot_be_read_fails_its_own_items(tmp_path):
    """A damaged file, an absent file and no file at all are named; the others go on."""
    items = toy_items(tmp_path, 4, 4)
    items[0].source_image.write_bytes(b"no image")
    items[1].source_image.unlink()
    items[2] = replace(items[2], source_image=None)
    done = make(Toy, items, tmp_path / "out")
    reasons = {item.item_id: item.reason for item in done.failures}
    assert "source_0.png cannot be used as an image: it is not a PNG" in reasons["item_0"]
    assert "source_1.png cannot be used as an image: there is no such file" in reasons["item_1"]
    assert reasons["item_2"] == "the item has no source image"
    assert done.n_edited == 1


def test_failures_of_other_items_stay_on_record(tmp_path):
    """A run over some items leaves the lines of all others, failed ones too, as they were."""
    items = toy_items(tmp_path)
    make(toy(edit=refuse("item_2")), items[:3], tmp_path / "out")
    make(Toy, items[3:], tmp_path / "out")
    assert ("item_2", 0, "failed", "ValueError: no way") in statuses(tmp_path / "out")
    assert len(statuses(tmp_path / "out")) == 6
