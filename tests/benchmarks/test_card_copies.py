"""Benchmarks that are read from the user's copy: what their cards make of a copy of exactly the authors' shape."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.cli import main
from evalkit.images.decode import read_image
from tests.support.card_copies import COPIES, SIDE
from tests.support.pictures import scene


@pytest.fixture(params=COPIES)
def name(request, tmp_path, monkeypatch):
    """A benchmark's name; the copy and what is made of it lie in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return request.param


def evalkit(*arguments, ends_with=(0, 3)):
    """What a command prints as JSON; a small copy is a problem of benchmarks with a known number of edits."""
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code in ends_with, done.output
    return json.loads(done.stdout)


def problems(result):
    """The codes of what is wrong beside the number of edits."""
    return {each["code"] for each in result["problems"] if each["severity"] == "problem"} - {"other_benchmark"}


def test_the_items_are_those_that_the_copy_lists(name, tmp_path):
    """Ids, images, texts, types, groups and official names, each as stated beside what wrote the copy."""
    copy = COPIES[name](tmp_path / "copy")
    loaded = BENCHMARKS.get(name)().load(tmp_path / "copy")
    inside = [item.with_images(lambda path: Path(path).relative_to(tmp_path / "copy")) for item in loaded.items]
    assert sorted(inside, key=lambda item: item.item_id) == sorted(copy.items, key=lambda item: item.item_id)
    assert loaded.benchmark.edited_names == copy.edited_names
    assert loaded.benchmark.n_groups == copy.n_groups
    assert {item.edit_type for item in inside if item.edit_type} <= set(loaded.benchmark.edit_types)


def test_controls_are_made_and_scored(name):
    """Identity has no difference to the source, and another source has some."""
    copy = COPIES[name](Path("copy"))
    for control, is_zero in (("identity", True), ("shuffled_source", False)):
        evalkit("edit", control, "--benchmark", name, "--data", "copy", "--output", f"edits/{control}")
        result = evalkit(
            "score", f"edits/{control}", "--data", "copy", "--metrics", "l1", "--output", f"runs/{control}"
        )
        l1 = result["metrics"]["l1"]
        assert (result["benchmark"], l1["n"], l1["n_groups"]) == (name, len(copy.items), copy.n_groups)
        assert (l1["mean"] == 0) is is_zero


def test_metrics_are_validated_on_it(tmp_path, monkeypatch):
    """With the edits of a method, as it has no true ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    COPIES["wild_ti2i"](Path("copy"))
    data = ("--benchmark", "wild_ti2i", "--data", "copy")
    evalkit("edit", "shuffled_source", *data, "--output", "edits")
    evalkit("validate", "l1", "edits", *data)


def test_a_method_edits_it(tmp_path, monkeypatch):
    """A program of the user's own gets each source and its instruction."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    copy = COPIES["editval"](Path("copy"))
    program = tmp_path / "invert.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\nfrom PIL import Image, ImageOps\n"
        "source, edited, instruction = sys.argv[1:]\n"
        "ImageOps.invert(Image.open(source)).save(edited)\n"
        f"Path({str(tmp_path)!r}, instruction).touch()\n"
    )
    command = f"command={sys.executable} {program} {{source_image}} {{edited_image}} {{instruction}}"
    evalkit(
        "edit",
        "command",
        "--benchmark",
        "editval",
        "--data",
        "copy",
        "--set",
        command,
        "--limit",
        "1",
        "--output",
        "edits",
    )
    result = evalkit("score", "edits", "--data", "copy", "--metrics", "l1", "--output", "run")
    item = copy.items[0]
    source = np.asarray(read_image(Path("copy") / item.source_image), float)
    assert (result["n_items"], result["n_edited"]) == (1, 1)
    assert result["metrics"]["l1"]["mean"] == pytest.approx(np.abs(255 - 2 * source).mean() / 255)
    assert (tmp_path / item.instruction).is_file()


def test_results_in_the_official_layout_are_scored(name):
    """Every edit is found by the name that the authors' scripts give it."""
    copy = COPIES[name](Path("copy"))
    if not copy.edited_names:  # its authors have no layout of results
        return
    differences = []
    for number, item in enumerate(copy.items):
        path = Path("results") / copy.edited_names[item.item_id]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(SIDE, SIDE, 100 + number)).save(path)
        pair = [np.asarray(read_image(each), float) for each in (path, Path("copy") / item.source_image)]
        differences.append(np.abs(pair[0] - pair[1]).mean() / 255)
    result = evalkit("score", "results", "--benchmark", name, "--data", "copy", "--metrics", "l1", "--output", "run")
    assert (result["layout"], result["n_edited"], problems(result)) == ("official", len(copy.items), set())
    assert result["metrics"]["l1"]["mean"] == pytest.approx(np.mean(differences), abs=1e-9)


def test_results_with_a_folder_per_task_and_in_it_one_per_method_are_scored(tmp_path, monkeypatch):
    """As I2EBench's scripts write them, where two tasks have files of one name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    copy = COPIES["i2ebench"](Path("copy"))
    differences = []
    for number, (item, name) in enumerate(zip(copy.items, copy.edited_names.values(), strict=True)):
        path = Path("EditResult_ori") / item.edit_type / "mymodel" / Path(name).name
        path.parent.mkdir(parents=True)
        Image.fromarray(scene(SIDE, SIDE, 100 + number)).save(path)
        pair = [np.asarray(read_image(each), float) for each in (path, Path("copy") / item.source_image)]
        differences.append(np.abs(pair[0] - pair[1]).mean() / 255)
    data = ("--benchmark", "i2ebench", "--data", "copy", "--pattern", "mymodel/{item_id}")
    result = evalkit("score", "EditResult_ori", *data, "--metrics", "l1", "--output", "run")
    assert (result["n_edited"], problems(result)) == (len(copy.items), set())
    assert result["metrics"]["l1"]["mean"] == pytest.approx(np.mean(differences), abs=1e-9)


def test_it_becomes_a_data_set(name):
    """The data set that is built holds the same edits."""
    copy = COPIES[name](Path("copy"))
    evalkit("dataset", "build", name, "--data", "copy", "--output", "built")
    table = Path("built") / "data" / "test-00000-of-00001.parquet"
    rows = pyarrow.parquet.read_table(table).to_pylist()
    assert {row["item_id"] for row in rows} == {item.item_id for item in copy.items}
    assert {row.get("instruction") for row in rows} == {item.instruction for item in copy.items}
