"""Every benchmark that is a card, on invented data of its shape: from the Hub and a copy, edited, scored, built."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.cards import find_card
from evalkit.benchmarks.cards.record import read_card
from evalkit.benchmarks.controls import controls_of
from evalkit.cli import main
from evalkit.images.decode import read_image
from tests.support.cards import (
    HUB_FILES,
    IMGEDIT,
    drawn,
    gedit_rows,
    kontext_rows,
    rows_as_parquet,
    write_imgedit,
    write_magicbrush,
    write_magicbrush_outputs,
)
from tests.support.hub import HubServer, use_in_process
from tests.support.hub_repo import Blob
from tests.support.pie_bench import picture

COPIES = {"magicbrush": write_magicbrush, "magicbrush:multi_turn": write_magicbrush, "imgedit": write_imgedit}
ON_HUB = (
    "magicbrush:dev",
    "magicbrush:dev_multi_turn",
    "emu_edit",
    "emu_edit:validation",
    "gedit_bench",
    "gedit_bench:cn",
    "kontext_bench",
)
ALL = (*COPIES, *ON_HUB)
ITEMS = {
    "magicbrush": ["11-1", "27-1", "27-2", "27-3", "305-1"],
    "magicbrush:multi_turn": ["11", "27", "305"],
    "magicbrush:dev": ["11-1", "27-1", "27-2", "27-3", "305-1"],
    "magicbrush:dev_multi_turn": ["11", "27", "305"],
    "emu_edit": ["0", "7", "14"],
    "emu_edit:validation": ["0", "7", "14"],
    "gedit_bench": ["suben0000", "tonen0001"],
    "gedit_bench:cn": ["subcn0000", "toncn0001"],
    "imgedit": ["41", "7", "103"],
    "kontext_bench": ["000_0", "001_1", "002_2"],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with the invented data sets, each at the revision that its card names."""
    with HubServer() as server:
        use_in_process(server, monkeypatch, tmp_path / "home")
        yield server


def source_of(name):
    """Where a benchmark's rows are, as its card says."""
    return read_card(*find_card(name)).source


def served(hub, name):
    """The benchmark's repository on the Hub."""
    source = source_of(name)
    files = HUB_FILES[source.hub]()
    repo = hub.add_repo("dataset", source.hub, files)
    if source.revision:
        repo.names[source.revision] = repo.head
        repo.commit("something else", {"README.md": Blob.at("README.md", b"# Moved\n")})


def copy_of(name, folder):
    """The user's own copy of the benchmark."""
    if name in COPIES:
        return COPIES[name](folder)
    for path, data in HUB_FILES[source_of(name).hub]().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def evalkit(*arguments):
    """The command, in this process."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def contents(items):
    """What is known of items, with the very pixels of their images."""
    for item in items:
        images = [np.asarray(read_image(image)).tolist() for image in item.images]
        texts = (item.item_id, item.group, item.edit_type, item.instruction, item.source_caption, item.target_caption)
        yield texts, images


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_has_the_edits_that_its_data_hold(name, tmp_path):
    """Items in the order of the rows, each with a source and an instruction; another number than its card's is said."""
    loaded = BENCHMARKS.get(name)().load(copy_of(name, tmp_path / "copy"))
    benchmark = loaded.benchmark
    assert [item.item_id for item in loaded.items] == ITEMS[name]
    assert all(item.source_image and item.instruction for item in loaded.items)
    assert {item.edit_type for item in loaded.items} - {None} <= benchmark.edit_types.keys()
    assert re.fullmatch(r"v1@[0-9a-f]{12}", benchmark.version)
    stated = {"edits": benchmark.stated_items, "groups": benchmark.stated_groups}
    expected = [f"{benchmark.title}: expected {number} {what}" for what, number in stated.items() if number]
    said = [problem.message for problem in benchmark.problems]
    assert len(said) == len(expected)
    assert all(message.startswith(beginning) for message, beginning in zip(said, expected, strict=True))


@pytest.mark.parametrize("name", ON_HUB)
def test_the_hub_and_a_copy_give_the_same_benchmark(name, tmp_path, hub):
    """Items, pixels and version are equal; a single file of the copy will do too."""
    served(hub, name)
    theirs, ours = BENCHMARKS.get(name)().load(), BENCHMARKS.get(name)().load(copy_of(name, tmp_path / "copy"))
    assert list(contents(theirs.items)) == list(contents(ours.items))
    assert theirs.benchmark.version == ours.benchmark.version
    split = source_of(name).split
    found = [path for path in (tmp_path / "copy").rglob("*") if path.suffix in (".parquet", ".jsonl")]
    file = next(path for path in found if split in path.relative_to(tmp_path).as_posix())
    assert BENCHMARKS.get(name)().load(file).benchmark.version == ours.benchmark.version


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_is_edited_and_scored_with_controls(name, tmp_path, hub):
    """Controls are written; what is named next scores them; only the small number of edits is wrong."""
    data = ("--data", copy_of(name, tmp_path / "copy")) if name in COPIES else ()
    if name in ON_HUB:
        served(hub, name)
    loaded = BENCHMARKS.get(name)().load(data[1] if data else None)
    has_truth = "magicbrush" in name
    assert controls_of(loaded.benchmark) == (("identity", "shuffled_source") + (("reference",) if has_truth else ()))
    for control in controls_of(loaded.benchmark):
        edited = evalkit("edit", control, "--benchmark", name, *data, "--output", tmp_path / control)
        assert edited.exit_code == 0, edited.output
    metrics = "l1,l1_reference" if has_truth else "l1"
    scored = evalkit("score", tmp_path / "shuffled_source", *data, "--metrics", metrics, "--json")
    answer = json.loads(scored.stdout)
    codes = {problem["code"] for problem in answer["problems"] if problem["severity"] == "problem"}
    assert codes <= {"other_benchmark", "equal_captions"}
    assert scored.exit_code == (3 if codes else 0)
    assert answer["metrics"]["l1"]["n"] == len(ITEMS[name])
    assert answer["metrics"]["l1"]["mean"] > 0
    if has_truth:
        perfect = json.loads(evalkit("score", tmp_path / "reference", *data, "--metrics", metrics, "--json").stdout)
        assert perfect["metrics"]["l1_reference"]["mean"] == 0


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_is_built_as_a_data_set(name, tmp_path):
    """``datasets`` opens what is built, with every edit and its source image."""
    import datasets

    built = evalkit(
        "dataset", "build", name, "--data", copy_of(name, tmp_path / "copy"), "--output", tmp_path / "built"
    )
    assert built.exit_code == 0, built.output
    rows = datasets.load_dataset(str(tmp_path / "built"), split="test", cache_dir=str(tmp_path / "hf"))
    assert list(rows["item_id"]) == ITEMS[name]
    assert rows[0]["source_image"].size == (48, 32)
    card = (tmp_path / "built" / "README.md").read_text()
    assert f"{len(ITEMS[name])} edits" in card
    assert f"language: {'zh' if name.endswith(':cn') else 'en'}" in card


@pytest.mark.parametrize("name", ["magicbrush", "gedit_bench"])
def test_metrics_are_validated_on_a_benchmark(name, tmp_path):
    """With true edits by themselves, else with the edits of a method for them."""
    data = ("--data", copy_of(name, tmp_path / "copy"))
    method = []
    if name == "gedit_bench":
        assert evalkit("edit", "shuffled_source", "--benchmark", name, *data, "--output", tmp_path / "m").exit_code == 0
        method = [tmp_path / "m"]
    answer = evalkit("validate", "l1", *method, "--benchmark", name, *data, "--output", tmp_path / "work", "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["n_items"] == len(ITEMS[name])


def test_an_imagefolder_and_a_parquet_file_are_the_same_benchmark(tmp_path):
    """A column of images is headed by the files that are named there, or by its own name."""
    file = tmp_path / "rows.parquet"
    file.write_bytes(rows_as_parquet(kontext_rows()))
    first = BENCHMARKS.get("kontext_bench")().load(file)
    second = BENCHMARKS.get("kontext_bench")().load(copy_of("kontext_bench", tmp_path / "copy"))
    assert list(contents(first.items)) == list(contents(second.items))
    assert first.benchmark.version == second.benchmark.version


def test_arrow_files_are_refused_with_what_makes_them_readable(tmp_path):
    """What the Hub holds of GEdit-Bench; the command that is named gives the same benchmark."""
    import datasets

    theirs = copy_of("gedit_bench", tmp_path / "copy")
    saved = tmp_path / "saved"
    file = next(theirs.rglob("*.parquet"))
    datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "hf")).save_to_disk(saved)
    answer = evalkit("edit", "identity", "--benchmark", "gedit_bench", "--data", saved, "--output", tmp_path / "out")
    assert answer.exit_code == 1
    command = answer.output[answer.output.index("python -c") :].replace("\n", " ").strip()
    subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True)
    converted = BENCHMARKS.get("gedit_bench")().load(tmp_path / "saved.parquet")
    assert converted.benchmark.version == BENCHMARKS.get("gedit_bench")().load(theirs).benchmark.version


def test_a_copy_of_another_split_is_refused_with_the_way_out(tmp_path):
    """Which of a folder's files is meant is not guessed; the file can be named."""
    copy = copy_of("emu_edit", tmp_path / "copy")
    [test] = copy.rglob("test-*")
    only = tmp_path / "only" / "part.parquet"
    only.parent.mkdir()
    only.write_bytes(test.read_bytes())
    answer = evalkit(
        "edit", "shuffled_source", "--benchmark", "emu_edit", "--data", only.parent, "--output", tmp_path / "a"
    )
    assert answer.exit_code == 1
    assert (
        "has no split 'test' of Emu Edit test set, test. If one of its files is that, give it: --data FILE"
        in answer.output
    )
    named = evalkit("edit", "shuffled_source", "--benchmark", "emu_edit", "--data", only, "--output", tmp_path / "b")
    assert named.exit_code == 0, named.output
    assert evalkit("check", tmp_path / "b", "--data", only).exit_code == 3


def test_two_rows_with_one_image_are_one_group(tmp_path):
    """Where a benchmark does not say what belongs together, the bytes of the source images do."""
    loaded = BENCHMARKS.get("kontext_bench")().load(copy_of("kontext_bench", tmp_path / "copy"))
    assert {item.group for item in loaded.items} == {None}
    first, second, third = (item.group for item in loaded.grouped().items)
    assert first == second != third


def test_a_repository_without_the_columns_is_refused(tmp_path, hub):
    """What is missing is named with what there is."""
    source = source_of("emu_edit")
    files = {"data/test-00000-of-00001.parquet": rows_as_parquet(kontext_rows())}
    repo = hub.add_repo("dataset", source.hub, files)
    repo.names[source.revision] = repo.head
    answer = evalkit("edit", "identity", "--benchmark", "emu_edit", "--output", tmp_path / "out")
    assert answer.exit_code == 1
    assert (
        "hf://facebook/emu_edit_test_set: there is no column 'idx', which the card names. It has: image,"
        in answer.output
    )


def test_a_revision_that_is_gone_is_said(tmp_path, hub):
    """Whoever rewrites a repository's history takes away what a card names; the newest is read, which is said."""
    source = source_of("emu_edit")
    hub.add_repo("dataset", source.hub, HUB_FILES[source.hub]())
    benchmark = BENCHMARKS.get("emu_edit")().load().benchmark
    assert [item.item_id for item in benchmark.items] == ITEMS["emu_edit"]
    assert f"has no revision {source.revision}" in benchmark.problems[0].message


def test_a_folder_around_a_copy_is_looked_into(tmp_path):
    """Whether an archive was unpacked into a folder of its own or not, its table is found."""
    write_magicbrush(tmp_path / "unpacked" / "MagicBrush")
    for data in (tmp_path / "unpacked", tmp_path / "unpacked" / "MagicBrush", tmp_path / "unpacked/MagicBrush/test"):
        assert len(BENCHMARKS.get("magicbrush")().load(data).items) == 5


def test_a_hub_that_is_not_there_is_one_sentence(tmp_path, hub):
    """Without a network or a copy there are no items; nothing falls back, and nothing is said twice."""
    answer = evalkit("edit", "identity", "--benchmark", "kontext_bench", "--output", tmp_path / "out")
    (tmp_path / "edits").mkdir()
    (tmp_path / "edits" / "000_0.png").write_bytes(b"")
    checked = evalkit("check", tmp_path / "edits", "--benchmark", "kontext_bench")
    for said in (answer, checked):
        assert said.exit_code == 1
        assert said.output.count("black-forest-labs/kontext-bench") == 1
        assert said.output.rstrip().endswith("A copy can be given with: --data DIR")


def test_l1_and_l2_are_those_of_the_authors_formula(tmp_path):
    """Mean absolute and squared differences of unit floats to the true edit, to whose size an edit is resized."""
    loaded = BENCHMARKS.get("magicbrush")().load(write_magicbrush(tmp_path / "copy"))
    absolute, squared = [], []
    (tmp_path / "edits").mkdir()
    for number, item in enumerate(loaded.items):
        edited = picture(700 + number, (96, 64) if number % 2 else (48, 32))
        edited.save(tmp_path / "edits" / f"{item.item_id}.png")
        truth = Image.open(item.reference_image).convert("RGB")
        one, other = (np.asarray(image, np.float64) / 255 for image in (edited.resize(truth.size), truth))
        absolute.append(np.abs(one - other).mean())
        squared.append(((one - other) ** 2).mean())
    options = (
        "--benchmark",
        "magicbrush",
        "--data",
        tmp_path / "copy",
        "--metrics",
        "l1_reference,mse_reference",
        "--json",
    )
    metrics = json.loads(evalkit("score", tmp_path / "edits", *options).stdout)["metrics"]
    assert metrics["l1_reference"]["mean"] == pytest.approx(np.mean(absolute), abs=1e-9)
    assert metrics["mse_reference"]["mean"] == pytest.approx(np.mean(squared), abs=1e-9)


def test_a_part_of_a_benchmark_is_not_scored_under_its_protocol(tmp_path):
    """The protocol is about all of the edits, and says how many there must be."""
    copy = write_magicbrush(tmp_path / "copy")
    evalkit("edit", "shuffled_source", "--benchmark", "magicbrush", "--data", copy, "--output", tmp_path / "edits")
    answer = evalkit("score", tmp_path / "edits", "--data", copy, "--protocol", "magicbrush/v1")
    assert answer.exit_code == 1
    assert "magicbrush/v1 fixes the number of items: expected 1053, got 5" in answer.output


def write_results(name, folder):
    """A method's edits where the benchmark's own scripts write or expect them."""
    if name.startswith("magicbrush"):
        return write_magicbrush_outputs(folder)
    if name.startswith("gedit_bench"):
        for number, row in enumerate(gedit_rows()):
            below = folder / "fullset" / row["task_type"] / row["instruction_language"]
            below.mkdir(parents=True, exist_ok=True)
            (below / f"{row['key']}.png").write_bytes(drawn(800 + number))
            (below / f"{row['key']}_SRCIMG.png").write_bytes(row["input_image"]["bytes"])
        return folder
    folder.mkdir()
    for number, key in enumerate(IMGEDIT):
        (folder / f"{key}.png").write_bytes(drawn(600 + number))
    (folder / "result.json").write_text("{}")
    return folder


@pytest.mark.parametrize("name", ["magicbrush", "magicbrush:multi_turn", "gedit_bench", "gedit_bench:cn", "imgedit"])
def test_results_are_found_where_the_official_scripts_write_them(name, tmp_path):
    """Every edit is found; what those scripts write beside them, for another setting too, is no stranger."""
    data, results = copy_of(name, tmp_path / "copy"), write_results(name, tmp_path / "results")
    answer = json.loads(evalkit("check", results, "--benchmark", name, "--data", data, "--json").stdout)
    assert (answer["layout"], answer["n_edited"]) == ("official", len(ITEMS[name]))
    codes = {problem["code"] for problem in answer["problems"] if problem["severity"] == "problem"}
    assert codes == {"other_benchmark"}
