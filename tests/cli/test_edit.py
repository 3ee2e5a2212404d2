"""``evalkit edit`` as a person runs it, and ``evalkit list methods``."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.cli.output import Output
from evalkit.edits.manifest import read_manifest
from tests.support.diffusion import save_tiny
from tests.support.fakes import save_picture
from tests.support.toys import SIDE, install

TEDBENCH = Path("../shared/tedbench")
needs_tedbench = pytest.mark.skipif(not TEDBENCH.is_dir(), reason=f"no copy of TEdBench at {TEDBENCH}")

SLOW = """
import time
from tests.support.toys import CARD, Toy
from dataclasses import replace

class Slow(Toy):
    card = replace(CARD, name="slow")

    def edit(self, item, fitted, *, seed):
        time.sleep(0.2)
        return super().edit(item, fitted, seed=seed)
"""
LOUD = """
from dataclasses import replace
from tests.support.toys import CARD, Toy

print("imported")

class Loud(Toy):
    card = replace(CARD, name="loud")

    def load(self, run):
        print("loaded")
        super().load(run)

    def edit(self, item, fitted, *, seed):
        print("edited")
        if item.item_id == "item_2":
            raise ValueError("not this one")
        return super().edit(item, fitted, seed=seed)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """A cache that the tests of this file share."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path_factory.getbasetemp() / "edit_cache"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A package that brings three methods along."""
    return install(
        tmp_path_factory.mktemp("site"),
        "toys",
        {"toy": "tests.support.toys:Toy", "slow": "slow_toy:Slow", "loud": "loud_toy:Loud"},
        {"slow_toy": SLOW, "loud_toy": LOUD},
    )


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A base model in a directory."""
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture
def toys(site, monkeypatch):
    """The package is installed."""
    monkeypatch.syspath_prepend(site)


@pytest.fixture
def pictures(tmp_path):
    """The options that name a user's own pictures: six rows on two sources, whose ids are not their names."""
    save_picture(tmp_path / "mine" / "cat.png", 0, SIDE)
    save_picture(tmp_path / "mine" / "sub" / "dog.png", 1, SIDE)
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["item_id", "source_image_file_name", "source_caption", "target_caption"])
        for index in range(6):
            name = ("cat", "dog")[index % 2]
            table.writerow([f"item_{index}", f"{name}.png", f"A {name}.", f"A {name} with hat {index}."])
    return ["--sources", str(tmp_path / "mine"), "--captions", str(tmp_path / "captions.csv")]


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def edit(method, output, *more):
    """Run a method into a folder."""
    return evalkit("edit", method, "--output", output, *more)


def error_of(done):
    """The message of a run that failed as it should, with exit code 1 and without a traceback."""
    assert done.exit_code == 1, done.output
    assert len(re.findall("^Error: ", done.stderr, re.MULTILINE)) == 1
    assert "Traceback" not in done.stderr
    return done.stderr.partition("Error: ")[2].strip()


def ids_in(folder):
    """Items of a folder, one per line of its manifest."""
    return [item.item_id for item in read_manifest(folder).items]


# What is edited


def test_own_pictures_are_edited_into_a_folder_that_can_be_scored_by_itself(toys, tmp_path, pictures):
    """A captions table and a folder of sources are enough, and what comes out needs neither any more."""
    done = edit("toy", tmp_path / "out", *pictures, "--seeds", "0,1")
    assert done.exit_code == 0, done.output
    assert "Toy: 12 edits in " in done.stdout
    assert f"Next: evalkit score {tmp_path / 'out'}\n" in done.stdout
    for option in pictures[1::2]:
        Path(option).rename(tmp_path / f"away_{Path(option).name}")
    scored = evalkit(
        "score", tmp_path / "out", "--encoder", "miniature", "--device", "cpu", "--output", tmp_path / "run", "--json"
    )
    assert scored.exit_code == 0, scored.output
    result = json.loads(scored.stdout)
    assert (result["n_items"], result["layout"], result["problems"]) == (6, "manifest", [])
    assert result["metrics"]["clip_directional_similarity"]["n"] == 6


def test_shapes_are_edited_and_scored_by_the_next_command_that_is_named(tmp_path):
    """Some items of a benchmark, by number and by name; the command that the output names works as it stands."""
    done = edit(
        "identity", tmp_path / "out", "--benchmark", "shapes", "--items", "*-recolour,shapes-00-resize", "--limit", 4
    )
    assert done.exit_code == 0, done.output
    assert len(ids_in(tmp_path / "out")) == 4
    assert all(name.endswith("recolour") or name == "shapes-00-resize" for name in ids_in(tmp_path / "out"))
    command = re.search(r"Next: evalkit (.*)", done.stdout)[1].split()
    scored = evalkit(*command, "--device", "cpu", "--output", tmp_path / "run", "--json")
    assert scored.exit_code == 0, scored.output  # what was not asked for is not missing, and identity changes nothing
    assert json.loads(scored.stdout)["metrics"]["edit_success"]["mean"] == 0


@needs_tedbench
def test_tedbench_is_edited(toys, tmp_path):
    """The real photographs, of one size with their edits, sources shared."""
    done = edit(
        "toy", tmp_path / "out", "--benchmark", "tedbench", "--data", TEDBENCH, "--items", "dog2_standing-*", "--json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_edited"] == len(ids_in(tmp_path / "out")) == 5
    assert {item.group for item in read_manifest(tmp_path / "out").items} == {"dog2_standing.png"}


def test_a_base_model_is_taken_from_a_directory(tiny_model, tmp_path):
    """``--model`` names any pipeline of Stable Diffusion's kind; model and settings are on record."""
    done = edit(
        "sdedit",
        tmp_path / "out",
        "--benchmark",
        "shapes",
        "--limit",
        1,
        "--model",
        tiny_model,
        "--set",
        "steps=2",
        "--dtype",
        "bf16",
        "--device",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "method.json").read_text())
    assert (record["model"], record["revision"], record["miniature"]) == (str(tiny_model), None, False)
    assert (record["settings"]["steps"], record["dtype"], record["device"]) == (2, "bf16", "cpu")
    assert record["settings"]["guidance"] == 7.5  # the published one, not the miniature's


def test_a_method_without_a_base_model_says_that_none_is_used(tmp_path):
    """An option that cannot have an effect is not passed over in silence."""
    done = edit("identity", tmp_path / "out", "--benchmark", "shapes", "--limit", 1, "--model", "some/model")
    assert done.exit_code == 0
    assert "Identity has no base model: --model some/model is not used." in done.stderr
    assert json.loads((tmp_path / "out" / "method.json").read_text())["model"] == ""


# What is refused


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("toi", [], "There is no method 'toi'. Did you mean toy? See: evalkit list methods; for one of your own: "),
        ("toy", ["--set", "strenght=1"], "The method toy has no setting 'strenght'. Did you mean strength? Its"),
        ("toy", ["--set", "strength=2"], "The setting 'strength' must be a number from 0 to 1; got '2'."),
        ("toy", ["--set", "strength"], "A setting must look like KEY=VALUE; got 'strength'."),
        ("toy", ["--items", "item_1,itm_2"], "No item is called 'itm_2'. Did you mean item_2"),
        ("toy", ["--items", "zzz*"], "No item is called 'zzz*'. The first are: item_0, item_1, item_2, item_3, "),
        ("toy", ["--seeds", "0,x"], "--seeds must be whole numbers from 0, such as 0,1,2; got '0,x'."),
        ("toy", ["--seeds", "-1"], "--seeds must be whole numbers from 0, such as 0,1,2; got '-1'."),
        ("toy", ["--seeds", ""], "--seeds must be whole numbers from 0"),
        ("toy", ["--device", "cuda:99"], "Device 'cuda:99': torch"),
        ("toy", ["--benchmark", "shapes"], "Say what to edit: either --benchmark NAME, or --sources DIR with"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_sentence_and_nothing_is_written(toys, tmp_path, pictures, method, more, message):
    """Exit code 1, what was wrong and what is right, and no folder."""
    assert error_of(edit(method, tmp_path / "out", *pictures, *more)).startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_benchmark_or_own_pictures_must_be_named(tmp_path, pictures):
    """Neither, or half of the second, is said so."""
    for more in ([], pictures[:2], pictures[2:]):
        assert "Say what to edit" in error_of(edit("identity", tmp_path / "out", *more))
    assert "There is no benchmark 'shape'. Did you mean shapes?" in error_of(
        edit("identity", tmp_path / "out", "--benchmark", "shape")
    )


@pytest.mark.parametrize("more", [["--dtype", "fp8"], ["--limit", "0"], ["--sources", "nowhere"], ["--nonsense"]])
def test_wrong_usage_is_exit_code_2(tmp_path, more):
    """What click refuses is usage; so is a missing --output."""
    assert edit("identity", tmp_path / "out", *more).exit_code == 2
    assert evalkit("edit", "identity", "--benchmark", "shapes").exit_code == 2


def test_a_source_that_is_not_there_is_named(tmp_path, pictures):
    """A row without its picture is found before anything is edited."""
    (tmp_path / "mine" / "cat.png").unlink()
    message = error_of(edit("identity", tmp_path / "out", *pictures))
    assert "3 of the 6 rows of" in message
    assert "item_0, item_2, item_4" in message


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, pictures):
    """A file in the way is named, with what to do."""
    (tmp_path / "file").write_text("")
    message = error_of(edit("identity", tmp_path / "file" / "out", *pictures))
    assert message.startswith(f"{tmp_path / 'file'}")
    assert message.endswith("name another place with --output.")


def test_a_model_that_is_not_there_is_refused_and_another_takes_the_same_folder(tiny_model, tmp_path):
    """The message names the next command; following it with the same --output works."""
    (tmp_path / "empty").mkdir()
    chosen = ["--benchmark", "shapes", "--limit", 1, "--set", "steps=2"]
    message = error_of(edit("sdedit", tmp_path / "out", *chosen, "--model", tmp_path / "empty"))
    assert message.startswith(f"The base model {tmp_path / 'empty'} cannot be loaded")
    assert edit("sdedit", tmp_path / "out", *chosen, "--model", tiny_model).exit_code == 0


# What is printed


def test_json_is_the_contract_and_nothing_else_is_on_standard_output(toys, tmp_path, pictures):
    """Whatever a method prints goes to standard error; failures are listed, and the exit code is 3."""
    sys.modules.pop("loud_toy", None)
    done = edit("loud", tmp_path / "out", *pictures, "--json")
    assert done.exit_code == 3
    result = json.loads(done.stdout)
    assert list(result) == [
        "method", "model", "settings", "folder", "n_edited", "n_kept", "n_failed", "seconds", "costs", "failures",
    ]  # fmt: skip
    assert (result["method"], result["n_edited"], result["n_failed"]) == ("loud", 5, 1)
    assert result["failures"] == [{"item_id": "item_2", "seed": 0, "reason": "ValueError: not this one"}]
    assert [line for line in ("imported", "loaded", "edited") if line not in done.stderr] == []


def test_failures_are_named_and_the_next_command_counts_them(toys, tmp_path, pictures):
    """For a person: which failed and why, and how to score in spite of it."""
    done = edit("loud", tmp_path / "out", *pictures)
    assert done.exit_code == 3
    assert "Toy: 5 edits in " in done.stdout
    assert "  item_2 (seed 0) failed: ValueError: not this one\n" in done.stdout
    assert f"Next: evalkit score {tmp_path / 'out'} --missing floor\n" in done.stdout
    again = edit("loud", tmp_path / "out", *pictures)
    assert "Toy: 0 edits in " in again.stdout
    assert "5 kept from before" in again.stdout


def test_debug_shows_where_a_method_failed(site, tmp_path, pictures):
    """The author of an adapter sees the traceback of the failed edit, and the run goes on all the same."""
    done = process(site, ["edit", "loud", *pictures, "--output", str(tmp_path / "out"), "--debug"])
    _, stderr = done.communicate(timeout=300)
    assert done.returncode == 3
    assert "item_2 (seed 0) failed:\nTraceback" in stderr
    assert 'raise ValueError("not this one")' in stderr


def test_an_error_under_json_is_an_object_too(tmp_path):
    """Whoever parses standard output finds the message there."""
    done = edit("identty", tmp_path / "out", "--benchmark", "shapes", "--json")
    assert json.loads(done.stdout)["error"]["type"] == "UnknownNameError"


# Whole processes


def process(site, arguments, **more):
    """A process of evalkit in which the package of toys is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())]), "TERM": "xterm"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    return subprocess.Popen([sys.executable, "-m", "evalkit", *arguments], env=environment, **pipes)


def wait_for(condition, seconds=300):
    """Until something has happened."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(site, tmp_path, pictures):
    """What is finished is kept, and said so."""
    arguments = ["edit", "slow", *pictures, "--output", str(tmp_path / "out")]
    running = process(site, arguments)
    manifest = tmp_path / "out" / "metadata.jsonl"
    wait_for(lambda: manifest.is_file() and manifest.read_text().count("\n") >= 2)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=300)
    assert running.returncode == 130
    assert stderr == "Interrupted. What was finished is kept; the same command goes on from there.\n"
    kept = len(ids_in(tmp_path / "out"))
    assert 2 <= kept < 6
    running = process(site, [*arguments, "--json"])
    assert json.loads(running.communicate(timeout=300)[0])["n_kept"] == kept


def test_progress_shows_the_time_left_on_a_terminal_alone(site, tmp_path, pictures):
    """A bar with the edits done and the time left on standard error where it is a terminal, and nothing elsewhere."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    arguments = ["edit", "slow", *pictures, "--output", str(tmp_path / "out")]
    running = process(site, arguments, stderr=theirs, text=False)
    os.close(theirs)
    shown = b""
    while running.poll() is None or select.select([terminal], [], [], 0)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    assert running.communicate(timeout=300)[0].decode().startswith("Toy: 6 edits")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "edits" in text
    assert "0/6 -:--:--" in text
    assert re.search(r"[3-5]/6 0:00:0[0-2]", text)
    os.close(terminal)


def test_steps_of_minutes_have_a_time_left_too(monkeypatch):
    """Three of six steps done at 40 seconds each leave two minutes, though rich's own memory is of 30 seconds."""
    now = 0.0
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    monkeypatch.setattr(sys, "stderr", terminal)
    with Output().progress() as progress:
        for done in range(4):
            progress("edits", done, 6)
            now += 40
        wait_for(lambda: "3/6" in terminal.getvalue())
    assert "3/6 0:02:00" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())


def test_the_steps_of_the_next_optimisation_have_a_time_left_of_their_own(monkeypatch):
    """A bar that was full starts anew: one of six steps done in 10 seconds leaves 50, not none."""
    now = 0.0
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    monkeypatch.setattr(sys, "stderr", terminal)
    with Output().progress() as progress:
        for done in (*range(7), 0, 1, 2):
            progress("embedding", done, 6)
            now += 10
        wait_for(lambda: "2/6" in terminal.getvalue())
    assert re.search(r"2/6 0:00:[34]0", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()))


# Listing


def test_methods_are_listed_with_what_they_need(toys):
    """The keys that other tools rely on, for ours and for a package's."""
    done = evalkit("list", "methods", "--json")
    assert done.exit_code == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    for row in rows.values():
        assert {"name", "title", "paper", "needs", "status", "miniature", "provider", "error"} <= set(row)
    assert rows["identity"]["provider"] == "evalkit-editing"
    assert (rows["toy"]["provider"], rows["toy"]["needs"]) == ("toys", ["target_caption"])
    assert rows["toy"]["settings"]["strength"]["highest"] == 1
    assert rows["prompt_to_prompt"]["needs"] == ["source_caption", "target_caption"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_fits_the_terminal_and_cuts_no_word(toys, monkeypatch, width):
    """No line is wider than the terminal, every name stands whole on one line, and nothing ends in an ellipsis."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = evalkit("list", "methods").stdout
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in ("ddim_reconstruction", "prompt_to_prompt", "toy"):
        assert name in text.splitlines()
    words = " ".join(text.split())
    assert "needs: target caption" in words
    assert "settings: strength, steps, blend, flip, limit" in words
