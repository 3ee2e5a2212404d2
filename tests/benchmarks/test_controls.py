"""Control methods: edits whose quality is known before they are scored."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import CONTROLS, controls_of, write_control
from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.shapes.recognise import recognise
from evalkit.benchmarks.shapes.recogniser import attribute_codes
from evalkit.cli import main
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError, UnknownNameError
from evalkit.images.decode import read_image
from evalkit.metrics.attributes import attribute_preservation, edit_success
from tests.support.pie_bench import EDITS, write_copy

ORIGINALS = Path("../shared/tedbench/originals")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The benchmark with its files."""
    return BENCHMARKS.get("shapes")().load(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def written(shapes, tmp_path_factory):
    """Each control of the shapes benchmark as an edit folder, opened as a user's folder would be."""
    folder = tmp_path_factory.mktemp("controls")
    for name in controls_of(shapes.benchmark):
        write_control(name, shapes, folder / name, rng=np.random.default_rng(3))
    return {name: open_edits(folder / name, data=shapes.root).folder for name in controls_of(shapes.benchmark)}


def test_shapes_has_all_four_controls(shapes):
    """The general ones, and its own."""
    assert controls_of(shapes.benchmark) == (*CONTROLS, "wrong_attribute")


def test_a_control_is_an_ordinary_edit_folder(written):
    """Whoever opens a control's folder finds the benchmark, the method and an edited image for every item."""
    for name, folder in written.items():
        assert (folder.layout, folder.benchmark, folder.method) == ("manifest", "shapes", name)
        assert folder.n_matched == folder.n_files == len(folder.items) == 288
        assert {item.status for item in folder.items} == {"ok"}


@pytest.mark.parametrize(("name", "field"), [("identity", "source_image"), ("reference", "reference_image")])
def test_copies_are_exact(written, name, field):
    """Identity is the source file and reference the reference file, byte for byte."""
    for item in written[name].items:
        assert item.edited_image.read_bytes() == getattr(item, field).read_bytes()


def test_a_shuffled_source_belongs_to_another_group(written):
    """No item gets its own source, every source is used by exactly one other group, and whole groups move together."""
    items = written["shuffled_source"].items
    owner = {item.source_image.read_bytes(): item.group for item in items}

    given = {(item.group, owner[item.edited_image.read_bytes()]) for item in items}

    assert all(group != source for group, source in given)
    assert Counter(group for group, _ in given) == Counter(source for _, source in given) == Counter(owner.values())


def test_shuffling_is_seeded(shapes, tmp_path):
    """The same seed gives the same edits and another seed others."""
    folders = {
        name: write_control("shuffled_source", shapes, tmp_path / name, rng=np.random.default_rng(seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    bytes_of = {name: [path.read_bytes() for path in sorted(folder.glob("*.png"))] for name, folder in folders.items()}

    assert bytes_of["a"] == bytes_of["b"] != bytes_of["c"]


def test_the_truth_about_each_control(written):
    """Reference does what was asked and nothing else; identity and a wrong value do not; shuffling preserves little."""
    truth = {name: _truth(folder.items[::3]) for name, folder in written.items()}

    assert truth["reference"] == (1.0, 1.0)
    assert truth["identity"] == (0.0, 1.0)
    assert truth["wrong_attribute"] == (0.0, 1.0)
    success, preservation = truth["shuffled_source"]
    assert success < 0.4
    assert preservation < 0.4


def _truth(items):
    """Mean success and mean preservation."""
    seen = np.stack([attribute_codes(recognise(np.asarray(read_image(item.edited_image)))) for item in items])
    source, target = (
        np.stack([attribute_codes(getattr(item, field)) for item in items])
        for field in ("source_attributes", "target_attributes")
    )
    return tuple(float(f(seen, source, target).values.mean()) for f in (edit_success, attribute_preservation))


def test_an_unknown_control_is_an_error(shapes, tmp_path):
    """The message names the controls that there are, and nothing is written."""
    with pytest.raises(UnknownNameError, match="identity, shuffled_source, reference, wrong_attribute"):
        write_control("identiti", shapes, tmp_path / "out", rng=np.random.default_rng(0))

    assert not (tmp_path / "out").exists()


def test_a_single_source_cannot_be_shuffled(shapes, tmp_path):
    """With one source image there is no other."""
    single = replace(shapes, items=shapes.items[:4])

    with pytest.raises(OptionError, match="two source images"):
        write_control("shuffled_source", single, tmp_path / "out", rng=np.random.default_rng(0))


def test_items_without_a_group_are_told_apart_by_their_source(shapes, tmp_path):
    """A benchmark that states no groups is shuffled by source file."""
    items = tuple(
        EditItem(item_id=item.item_id, source_image=item.source_image, target_caption="x") for item in shapes.items[:8]
    )
    ungrouped = replace(shapes, items=items)
    folder = write_control("shuffled_source", ungrouped, tmp_path / "out", rng=np.random.default_rng(0))

    for item in items:
        assert (folder / f"{item.item_id}.png").read_bytes() != item.source_image.read_bytes()


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason="the TEdBench photographs are not beside this checkout")
def test_tedbench_has_the_controls_that_need_no_reference(tmp_path):
    """Identity and shuffling work on photographs; the two names of one photograph never stand for each other."""
    tedbench = BENCHMARKS.get("tedbench")()
    assert controls_of(tedbench) == ("identity", "shuffled_source")

    loaded = tedbench.load(ORIGINALS)
    folder = write_control("shuffled_source", loaded, tmp_path / "out", rng=np.random.default_rng(0))

    opened = open_edits(folder, data=ORIGINALS).folder
    assert opened.n_matched == 100
    for item in opened.items:
        assert item.edited_image.read_bytes() != item.source_image.read_bytes()


def edit(*arguments):
    """The command, in this process."""
    return CliRunner().invoke(main, ["edit", *(str(argument) for argument in arguments)])


def test_a_control_is_made_from_the_command_line(shapes, tmp_path):
    """Whoever types its name gets the control that the demo makes, ready to be scored, as an object under --json."""
    folder = tmp_path / "shuffled"
    done = edit("shuffled_source", "--benchmark", "shapes", "--data", shapes.root, "--output", folder, "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"method": "shuffled_source", "folder": str(folder), "n_edited": 288}
    made = open_edits(folder, data=shapes.root).folder
    assert (made.benchmark, made.method, made.n_matched) == ("shapes", "shuffled_source", 288)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--seeds", "0"], "Leave --seeds out"),
        (["--set", "a=1"], "Leave --set out"),
        ([], "is not empty"),
    ],
)
def test_what_a_control_cannot_do_is_said(shapes, tmp_path, more, says):
    """An option without effect, and a folder with somebody's files in it, are refused in one sentence."""
    (tmp_path / "mine.txt").write_text("kept")
    done = edit("wrong_attribute", "--benchmark", "shapes", "--data", shapes.root, "--output", tmp_path, *more)

    assert done.exit_code == 1
    assert says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("benchmark", "says"), [("tedbench", "TEdBench has no reference"), ("shapes", "no method")])
def test_a_control_that_the_benchmark_does_not_have_is_an_error(benchmark, says, tmp_path):
    """Where there are no reference edits it is said so, before anything is fetched; another name is no method."""
    name = "reference" if benchmark == "tedbench" else "referenc"
    done = edit(name, "--benchmark", benchmark, "--output", tmp_path / "out")

    assert done.exit_code == 1
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_controls_of_a_benchmark_whose_list_is_in_the_users_copy(tmp_path, monkeypatch):
    """PIE-Bench's list is read before its sources are shuffled, and it has no reference edits."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    copy = write_copy(tmp_path / "PIE-Bench_v1")

    shuffled = edit("shuffled_source", "--benchmark", "pie_bench", "--data", copy, "--output", tmp_path / "shuffled")
    reference = edit("reference", "--benchmark", "pie_bench", "--data", copy, "--output", tmp_path / "reference")

    assert shuffled.exit_code == 0, shuffled.output
    assert f"PIE-Bench: {len(EDITS)} edits" in shuffled.output
    assert reference.exit_code == 1
    assert "PIE-Bench has no reference edits" in reference.stderr
