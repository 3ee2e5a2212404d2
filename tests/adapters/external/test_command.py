"""The method ``command``, called once per item: programs that do as they are told, and programs that do not."""

import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import OptionError
from evalkit_adapters.external.command import Command
from tests.support.fakes import save_picture
from tests.support.programs import BATCH, INVERT, is_alive, is_inverted, needs_proc, per_item, program, reasons, run_of
from tests.support.toys import SIDE, make, toy_items


def test_each_placeholder_fills_one_argument_and_nothing_is_a_shells(tmp_path, monkeypatch):
    """Quotes, semicolons, dollars, line ends and braces reach the program as they are; so does the environment."""
    monkeypatch.setenv("OF_THE_USER", "yes")
    hostile = "\"a\" 'b'; touch hacked $(touch hacked) `touch hacked` {item_id}\n--flag \\ é"
    items = [replace(item, target_caption=hostile, instruction="Do it.") for item in toy_items(tmp_path, 2, 1)]
    places = "--prompt={target_caption} {target_caption} {source_caption} {instruction} {item_id} 'a  b' {seed}"
    done = per_item(tmp_path, INVERT, items, places=f"{places} {{source_image}} {{edited_image}}")
    assert reasons(done) == []
    lines = [json.loads(line) for line in (tmp_path / "notes.jsonl").read_text().splitlines()]
    common = [f"--prompt={hostile}", hostile, "Thing 0.", "Do it."]
    assert lines == [[*common, f"item_{index}", "a  b", "0", "yes"] for index in range(2)]
    assert not (tmp_path / "hacked").exists()
    assert is_inverted(tmp_path, "item_0")


def test_the_program_is_called_once_for_each_item_and_seed_and_not_again(tmp_path):
    """Every call is told its seed, and a second run calls for nothing that is there."""
    run = run_of(tmp_path, f"{program(tmp_path, INVERT)} {{seed}} {{source_image}} {{edited_image}}")
    make(Command, toy_items(tmp_path, 2), tmp_path / "out", run=run, seeds=(3, 5))
    done = make(Command, toy_items(tmp_path, 3), tmp_path / "out", run=run, seeds=(3, 5))
    assert (done.n_kept, done.n_edited) == (4, 2)
    seeds = [json.loads(line)[0] for line in (tmp_path / "notes.jsonl").read_text().splitlines()]
    assert seeds == ["3", "5", "3", "5", "3", "5"]


def test_a_caption_that_begins_with_a_hyphen_is_no_option(tmp_path):
    """As an argument of its own it fails the item, with what to write instead; each of the two ways works."""
    item = replace(toy_items(tmp_path, 1)[0], target_caption="--output=/somewhere")
    done = per_item(tmp_path, INVERT, [item], places="{target_caption} {source_image} {edited_image}")
    (reason,) = reasons(done)
    assert reason.startswith(
        "its {target_caption} begins with a hyphen and would be taken for an option: write --NAME="
    )
    for number, safe in enumerate(("--prompt={target_caption}", "-- {target_caption}")):
        run = run_of(tmp_path, f"{program(tmp_path, INVERT)} {safe} {{source_image}} {{edited_image}}")
        assert make(Command, [item], tmp_path / f"safe_{number}", run=run).failures == ()


def test_a_program_can_do_no_harm_to_the_originals(tmp_path):
    """It gets copies, of the mask too."""
    mask = save_picture(tmp_path / "mask.png", 5, SIDE)
    (item,) = toy_items(tmp_path, 1)
    before = item.source_image.read_bytes(), mask.read_bytes()
    harm = "import sys; [open(name, 'w').close() for name in sys.argv[1:]]"
    per_item(tmp_path, harm, [replace(item, edit_mask=mask)], places="{source_image} {edit_mask} {edited_image}")
    assert (item.source_image.read_bytes(), mask.read_bytes()) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import sys; print('CUDA out of memory', file=sys.stderr); sys.exit(3)", "exit code 3: CUDA out of memory"),
        ("import sys; print('on stdout'); sys.exit(1)", "the program ended with exit code 1: on stdout"),
        ("import os; os._exit(7)", "the program ended with exit code 7 and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "the program ended with signal SIGKILL and said nothing"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("pass", "the program ended well, and wrote no image to {edited_image}"),
        ("import sys; open(sys.argv[-1], 'w').write('x')", "the program's image cannot be used as an image: it is not"),
        ("import sys; open(sys.argv[-1], 'w')", "the program's image cannot be used as an image: the file is empty"),
        (
            "import sys; from PIL import Image; Image.new('RGB', (9, 5)).save(sys.argv[-1])",
            "the method must return an image of the source's size 32 × 32, or a square; got 9 × 5",
        ),
        (
            INVERT + "sys.exit('\\x1b[31mred\\x1b[0m\\r 10%\\r100%\\nlast')",
            "the program ended with exit code 1: 100% last",
        ),
    ],
)
def test_a_program_that_fails_fails_its_item_with_what_it_said(tmp_path, text, reason):
    """Exit code and last words are the reason; an image that comes with a failure does not count."""
    (told,) = reasons(per_item(tmp_path, text))
    assert reason in told
    assert "/" not in told or "a program.py" in told  # no temporary path, which would say nothing tomorrow


def test_the_last_words_of_a_program_that_says_much_are_kept(tmp_path):
    """A reason ends with what was said last, and is of bounded length."""
    (reason,) = reasons(per_item(tmp_path, "import sys; print('x y ' * 9_000_000, 'the end'); sys.exit(1)"))
    assert reason.endswith("x y the end")
    assert len(reason) < 400


def test_one_bad_item_does_not_end_the_run(tmp_path):
    """The others are made; the next run calls for the bad one alone."""
    text = INVERT.replace("*notes", "if 'number 1' in sys.argv[1]: sys.exit('no')\n*notes", 1)
    items = toy_items(tmp_path, 3)
    done = per_item(tmp_path, text, items, places="{target_caption} {source_image} {edited_image}")
    assert [item.item_id for item in done.failures] == ["item_1"]
    items[1] = replace(items[1], target_caption=None)
    done = per_item(tmp_path, text, items, places="{target_caption} {source_image} {edited_image}")
    assert (done.n_kept, reasons(done)) == (2, ["the command uses {target_caption}, and the item has none"])


@needs_proc
def test_the_time_limit_ends_the_program_and_all_that_it_started(tmp_path):
    """Children that ignore a polite request are gone too, and so are those of a program that ended well."""
    text = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
    )
    start = time.perf_counter()
    done = per_item(tmp_path, f"{text}time.sleep(60)", time_limit=1.0)
    assert reasons(done) == ["the program was stopped at the time limit of 1 s"]
    assert time.perf_counter() - start < 20
    assert not any(map(is_alive, map(int, (tmp_path / "pids").read_text().split())))
    per_item(tmp_path, f"{text}sys.exit(1)")
    assert not any(map(is_alive, map(int, (tmp_path / "pids").read_text().split())))


def test_a_time_limit_can_change_in_a_folder_that_was_begun_and_the_command_cannot(tmp_path):
    """Edits do not depend on how long they may take."""
    per_item(tmp_path, INVERT)
    assert per_item(tmp_path, INVERT, time_limit=60.0).n_kept == 1
    with pytest.raises(OptionError, match="One folder holds one method's edits"):
        per_item(tmp_path, INVERT, places="x {source_image} {edited_image}")


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"command": ""}, "The method command needs a program. Name it: --set 'command=python edit.py {source_image}"),
        ({"command": " ", "once_per": "folder"}, "Name it: --set 'command=python edit_all.py {manifest}'"),
        ({"command": "python 'x {edited_image}"}, "cannot be split into arguments (No closing quotation)"),
        (
            {"command": "python {edit_image} {edited_image}"},
            "has no {edit_image} with once_per=item; there are {item_id}",
        ),
        ({"command": "python {manifest}"}, "It is for --set once_per=folder."),
        ({"command": "python x.py {source_image}"}, "must tell the program where to write, by {edited_image}"),
        ({"command": "python x.py", "once_per": "folder"}, "by {manifest} or {folder} or {edited_images}"),
        ({"command": "no_such_program {edited_image}"}, "There is no program 'no_such_program' that can be run."),
        ({"command": "./edit.py {edited_image}"}, "There is no program './edit.py' that can be run."),
        (
            {"command": "python {edited_image}", "directory": "nowhere"},
            "must be a directory that is there; got 'nowhere'",
        ),
    ],
)
def test_a_command_that_cannot_work_stops_the_run_at_once(tmp_path, settings, message):
    """One sentence with what to type instead, before any item."""
    with pytest.raises(OptionError, match=re.escape(message)):
        make(Command, toy_items(tmp_path, 1), tmp_path / "out", run=run_of(tmp_path, "", **settings))


def test_a_program_beside_its_files_is_found_in_the_directory(tmp_path):
    """A relative name is meant from where the program works."""
    path = tmp_path / "edit.sh"
    path.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    path.chmod(0o755)
    run = run_of(tmp_path, "./edit.sh {source_image} {edited_image}")
    assert make(Command, toy_items(tmp_path, 1), tmp_path / "out", run=run).failures == ()


def test_the_readmes_commands_work_as_typed(tmp_path, monkeypatch):
    """One call per item and one call for all, on the shapes benchmark, by the command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    Path("edit.py").write_text(INVERT)
    Path("edit_all.py").write_text(f"{BATCH}[edit(row) for row in rows]")
    single = "command=python edit.py {seed} {target_caption} {source_image} {edited_image}"
    batch = ["--set", "once_per=folder", "--set", "command=python edit_all.py {manifest}"]
    for number, settings in enumerate((["--set", single], batch)):
        options = ["--benchmark", "shapes", "--limit", "3", "--output", f"edits_{number}"]
        done = CliRunner().invoke(main, ["edit", "command", *options, *settings])
        assert done.exit_code == 0, done.output
        assert "Command: 3 edits in " in done.stdout
    assert {path.name for path in Path("edits_0").iterdir()} == {path.name for path in Path("edits_1").iterdir()}
