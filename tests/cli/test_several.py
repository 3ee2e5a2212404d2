"""Several folders in one command: one table, a run directory each, and what is wrong said of each."""

import json
import shlex
import shutil

import pytest
from click.testing import CliRunner

from evalkit import score_each
from evalkit.cli import main
from evalkit.errors import OptionError, UnknownNameError
from evalkit.scores.run import read_run
from tests.support.fakes import save_picture, write_folder
from tests.support.toys import install

N = 4


@pytest.fixture(autouse=True)
def own_work(tmp_path, monkeypatch):
    """A cache and a working directory of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def evalkit(*arguments, code=0):
    """Run a command in this process."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def own(tmp_path):
    """The options that name sources and captions of four items."""
    rows = ["item_id,source_caption,target_caption"]
    for number in range(N):
        save_picture(tmp_path / "sources" / f"i{number}.png", number)
        rows.append(f"i{number},A thing.,Another thing {number}.")
    (tmp_path / "captions.csv").write_text("\n".join(rows) + "\n")
    return ["--sources", tmp_path / "sources", "--captions", tmp_path / "captions.csv", "--metrics", "l1"]


def method(folder, seed, n=N, name="i{}.png"):
    """One method's edits."""
    for number in range(n):
        save_picture(folder / name.format(number), 100 * seed + number)
    return folder


def test_each_sub_folder_is_a_run_of_one_table(tmp_path, own):
    """Rows by folder, run directories below --output, and the next command works when it is pasted."""
    for seed, name in enumerate(("first", "my second", "third")):
        method(tmp_path / "methods" / name, seed + 1)
    done = evalkit("score", "--each", tmp_path / "methods", *own, "--output", tmp_path / "my runs")
    runs = {path.name: read_run(path).record for path in (tmp_path / "my runs").iterdir()}
    assert {record.run for record in runs.values()} == {"first", "my second", "third"}
    assert done.stdout.startswith("3 runs")
    for record in runs.values():
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"{record.run} ")]
        assert f"{record.metrics['l1'].mean:.4f}" in row
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Next: evalkit compare ")
    compared = evalkit(*shlex.split(last)[2:], "--json")
    assert len(json.loads(compared.stdout)["comparisons"]) == 3


def test_what_is_the_same_of_several_runs_is_said_once(tmp_path, own):
    """With the names of the runs; a signature that is not that of all runs stands with whose it is."""
    captions = tmp_path / "captions.csv"
    captions.write_text(captions.read_text().replace("item_id", "image name"))
    folders = [method(tmp_path / name, seed) for seed, name in enumerate(("first", "second", "third"), start=1)]
    save_picture(folders[2] / "stranger.png", 99)
    evalkit("score", folders[0], *own[:4], "--metrics", "psnr")
    shown = evalkit("score", *folders, *own, code=3).stdout
    assert (
        shown.count("guessed (") == shown.count("Notices of first, second and third (") == shown.count("Notices") == 1
    )
    assert "Problems of third (1):\n  unmatched_file (1)" in shown
    assert [line.partition(" (")[2] for line in shown.splitlines() if "|sha:" in line] == ["first)", "second, third)"]


def test_folders_of_one_name_get_those_of_their_parents(tmp_path, own):
    """Two folders called outputs are two runs, together and one after the other, and stay what they are."""
    folders = [method(tmp_path / name / "outputs", seed) for seed, name in ((1, "one"), (2, "two"))]
    first = evalkit("score", *folders, *own, "--json")
    names = [run["run"] for run in json.loads(first.stdout)["runs"]]
    assert names == ["one-outputs", "two-outputs"]
    assert [run["run"] for run in json.loads(evalkit("score", *folders, *own, "--json").stdout)["runs"]] == names
    shutil.rmtree("evalkit_runs")
    for folder, expected in zip(folders, ("outputs", "two-outputs"), strict=True):
        done = evalkit("score", folder, *own)
        assert f"Wrote evalkit_runs/{expected}\n" in done.stdout
        assert ("this run is called two-outputs" in done.stderr) == (expected == "two-outputs")
        assert read_run(tmp_path / "work" / "evalkit_runs" / expected).record.run == expected
    means = {read_run(path).record.metrics["l1"].mean for path in (tmp_path / "work" / "evalkit_runs").iterdir()}
    assert len(means) == 2


@pytest.mark.parametrize(
    "folders",
    [
        ("x/a/outputs", "y/a/outputs", "y/b/outputs"),
        ("a-b/c", "a/b-c", "c"),
        ("Outputs", "x/outputs"),
        ("x/a", "x/b/a", "a-2", "x/x/a", "b-a"),
    ],
)
def test_no_two_runs_share_a_directory_whatever_the_folders_are_called(tmp_path, own, folders):
    """Joined names that collide, and names that differ in case alone, are told apart too; a second time by the same."""
    made = [method(tmp_path / "edits" / name, seed) for seed, name in enumerate(folders, start=1)]
    for _ in range(2):
        runs = json.loads(evalkit("score", *made, *own, "--json").stdout)["runs"]
        directories = [run["directory"].casefold() for run in runs]
        assert len(set(directories)) == len(folders)
        found = [read_run(tmp_path / "work" / run["directory"]).record.folder.path for run in runs]
        assert found == [str(folder) for folder in made]
    assert len(list((tmp_path / "work" / "evalkit_runs").iterdir())) == len(folders)


def test_somebodys_folder_below_evalkit_runs_is_not_written_to(tmp_path, own):
    """Where the name is taken by something that is no run, another is found."""
    (tmp_path / "work" / "evalkit_runs" / "mine").mkdir(parents=True)
    (tmp_path / "work" / "evalkit_runs" / "mine" / "notes.txt").write_text("kept")
    evalkit("score", method(tmp_path / "edits" / "mine", 1), *own)
    assert [path.name for path in (tmp_path / "work" / "evalkit_runs" / "mine").iterdir()] == ["notes.txt"]
    assert read_run(tmp_path / "work" / "evalkit_runs" / "edits-mine").record.run == "edits-mine"


def test_one_folder_that_cannot_be_read_does_not_lose_the_others(tmp_path, own):
    """It is named with its reason in both commands, exit code 3; one with problems has them under its name."""
    method(tmp_path / "methods" / "good", 1)
    method(tmp_path / "methods" / "partial", 2, n=3)
    (tmp_path / "methods" / "empty").mkdir()
    done = evalkit("score", "--each", tmp_path / "methods", *own, "--missing", "intersect", "--json", code=3)
    result = json.loads(done.stdout)
    assert [run["run"] for run in result["runs"]] == ["good", "partial"]
    assert [problem["code"] for problem in result["runs"][1]["problems"]] == ["missing_edited_image"]
    assert [failed["folder"] for failed in result["failed"]] == [str(tmp_path / "methods" / "empty")]
    shown = evalkit("score", "--each", tmp_path / "methods", *own, "--missing", "intersect", code=3).stdout
    assert "Problems of partial (1):\n  missing_edited_image (1)" in shown
    assert "Problems of good" not in shown
    assert f"Left out (1 folder):\n  {tmp_path / 'methods' / 'empty'}: " in shown
    assert shown.splitlines()[-1].startswith("Next: evalkit compare ")
    done = evalkit("score", "--each", tmp_path / "methods", *own, "--json", code=3)
    assert [failed["error"]["type"] for failed in json.loads(done.stdout)["failed"]] == [
        "LayoutError",
        "MissingItemsError",
    ]
    checked = json.loads(evalkit("check", "--each", tmp_path / "methods", *own[:4], "--json", code=3).stdout)
    assert [folder["n_edited"] for folder in checked["folders"]] == [4, 3]
    assert [failed["folder"] for failed in checked["failed"]] == [str(tmp_path / "methods" / "empty")]


def test_where_none_can_be_scored_it_is_an_error(tmp_path, own):
    """Exit code 1, each folder named with its reason; what is the same for all is said once."""
    for name in ("a", "b"):
        (tmp_path / "methods" / name).mkdir(parents=True)
    done = evalkit("score", "--each", tmp_path / "methods", *own, code=1)
    assert done.stderr.count("Error: ") == 1
    assert all(f"{tmp_path / 'methods' / name}: " in done.stderr for name in ("a", "b"))
    folders = [method(tmp_path / "good" / name, seed) for seed, name in enumerate("ab")]
    done = evalkit("score", *folders, *own[:4], "--metrics", "l2", code=1)
    assert done.stderr.count("There is no metric 'l2'") == 1


def test_a_folder_of_methods_is_recognised_and_the_command_that_is_named_works(tmp_path, own, monkeypatch):
    """Files that every method has are not called twice there: each folder opens by itself, and it is said how."""
    for seed, name in enumerate(("first", "second")):
        method(tmp_path / "my methods" / name, seed + 1, n=4 - 2 * seed)
    for command, more in (("score", own), ("check", own[:4])):
        done = evalkit(command, tmp_path / "my methods", *more, code=1)
        assert "holds a folder for each of 2 methods: first, second." in done.stderr
        words = shlex.split(done.stderr.partition("Type: evalkit ")[2])
        assert words[:3] == [command, "--each", str(tmp_path / "my methods")]
        again = evalkit(*words, "--json", code=3)
        assert len(json.loads(again.stdout)["runs" if command == "score" else "folders"]) == (
            1 if command == "score" else 2
        )


def test_manifests_in_sub_folders_are_recognised_without_options(tmp_path):
    """What nothing was said about, and has no manifest of its own, is looked into."""
    for name in ("a", "b"):
        write_folder(tmp_path / "edits" / name)
    done = evalkit("score", tmp_path / "edits", "--metrics", "l1", code=1)
    assert "holds a folder for each of 2 methods: a, b. Type: evalkit score --each" in done.stderr


def test_what_is_no_methods_folder_is_passed_over(tmp_path, own):
    """Sources, hidden folders and runs beside the methods are not taken for one; nor does a folder count twice."""
    root = tmp_path / "project"
    method(root / "ours", 1)
    method(root / ".old", 2)
    shutil.copytree(tmp_path / "sources", root / "data" / "sources")
    options = ["--sources", root / "data" / "sources", *own[2:]]
    for _ in range(2):  # the second time the runs lie there
        result = json.loads(
            evalkit("score", root / "ours", "--each", root, *options, "--output", root / "runs", "--json").stdout
        )
        assert [run["run"] for run in result["runs"]] == ["ours"]
        assert (result["failed"], result["next"]) == ([], None)


def test_one_network_is_loaded_for_all(tmp_path, own, monkeypatch):
    """Encoders are opened once, whatever the number of folders; in Python as on the command line."""
    from evalkit.encoders import miniature

    loads, load = [], miniature.load
    monkeypatch.setattr(miniature, "load", lambda *args, **more: loads.append(args) or load(*args, **more))
    monkeypatch.setattr("evalkit.encoders.load.ENCODERS.get", lambda name: miniature.load)
    folders = [write_folder(tmp_path / name) for name in ("a", "b", "c")]
    for number, picture in enumerate(picture for folder in folders for picture in sorted(folder.rglob("*.png"))):
        save_picture(picture, number)
    scored = score_each(folders, tmp_path / "runs", encoder="miniature", metrics=["clip_score"], device="cpu")
    assert [path.name for path in scored.runs] == ["a", "b", "c"]
    assert len(loads) == 1


def test_what_concerns_all_folders_is_raised_and_one_name_is_refused(tmp_path):
    """In Python failures of single folders are returned, and everything else is an exception."""
    folder = write_folder(tmp_path / "a")
    scored = score_each([folder, tmp_path / "nowhere"], tmp_path / "runs", metrics=["l1"])
    assert [path.name for path in scored.runs] == ["a"]
    assert list(scored.failures) == [tmp_path / "nowhere"]
    with pytest.raises(UnknownNameError):
        score_each([folder], tmp_path / "runs", metrics=["l2"])
    with pytest.raises(OptionError, match="Leave --name out"):
        score_each([folder], tmp_path / "runs", name="x")
    with pytest.raises(OptionError, match="Leave --name out"):
        score_each([folder, folder], tmp_path / "runs", name="x")


def test_no_path_at_all_is_wrong_usage():
    """Neither PATH nor --each."""
    for command in ("score", "check"):
        assert "Missing argument 'PATH'" in evalkit(command, code=2).stderr


def test_a_sweep_of_one_method_is_told_apart_by_its_settings(tmp_path, own, monkeypatch):
    """Edited, scored and compared from the command line: rows, the page and the CSV say what differs, or a given name.

    Scored again without its name, a run keeps it.
    """
    monkeypatch.syspath_prepend(install(tmp_path / "site", "toys", {"toy": "tests.support.toys:Toy"}))
    edits = [tmp_path / "sweep" / name for name in ("low", "high", "again")]
    for folder, strength in zip(edits, ("0.2", "0.8", "0.8"), strict=True):
        evalkit("edit", "toy", *own[:4], "--set", f"strength={strength}", "--output", folder)
    labels = ["toy strength=0.8 (again)", "toy strength=0.8 (high)", "toy strength=0.2"]
    done = evalkit("score", "--each", tmp_path / "sweep", "--metrics", "l1", "--output", tmp_path / "runs")
    assert all(any(line.startswith(f"{label} ") for line in done.stdout.splitlines()) for label in labels)
    compared = shlex.split(done.stdout.splitlines()[-1])[2:]
    page = tmp_path / "page.html"
    table = evalkit(*compared, "--export", "csv", "--report", page).stdout
    assert {line.split(",")[1] for line in table.splitlines()[1:]} == set(labels[:2])
    assert all(label in page.read_text() for label in labels)

    for name in (["--name", "weak"], []):
        evalkit("score", edits[0], "--metrics", "l1", "--output", tmp_path / "one", *name)
    evalkit("score", edits[1], "--metrics", "l1", "--output", tmp_path / "two")
    runs = json.loads(evalkit("compare", tmp_path / "one", tmp_path / "two", "--json").stdout)
    assert (runs["comparisons"][0]["a"], runs["comparisons"][0]["b"]) == ("weak", "toy")


def test_edit_types_are_shown_of_one_run_and_of_several(tmp_path, own):
    """Types by metrics, or runs by types, with what their intervals hold; in JSON beside the means of all items."""
    captions = tmp_path / "captions.csv"
    types = ["edit_type", "add", "add", "add", "style"]
    lines = [f"{line},{name}" for line, name in zip(captions.read_text().splitlines(), types, strict=True)]
    captions.write_text("\n".join(lines) + "\n")
    folders = [method(tmp_path / name, seed) for seed, name in enumerate(("first", "second"), start=1)]
    one = evalkit("score", folders[0], *own, "--by", "edit_type").stdout
    assert "first by edit type\n" in one
    assert "The intervals of a metric on all edit types hold together at 95 %" in one
    assert "No interval for style: one group only" in one.replace("\n", " ")
    both = evalkit("score", *folders, *own, "--by", "edit_type").stdout
    assert "l1 ↓ by edit type\n" in both
    assert "add (3 items)" in both
    for run in json.loads(evalkit("score", *folders, *own, "--by", "edit_type", "--json").stdout)["runs"]:
        parts = run["edit_types"]
        assert {name: (part["n_items"], part["level"]) for name, part in parts.items()} == {
            "add": (3, 0.975),
            "style": (1, 0.975),
        }
        means = [part["metrics"]["l1"]["mean"] for part in parts.values()]
        assert run["metrics"]["l1"]["mean"] == pytest.approx((3 * means[0] + means[1]) / 4)
    assert "edit_types" not in json.loads(evalkit("score", folders[0], *own, "--json").stdout)
