"""The method ``command``, called once for all items with a manifest of what is to be done."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from PIL import Image

from evalkit.edits.manifest import read_manifest
from evalkit_adapters.external import command
from evalkit_adapters.external.command import Command
from tests.support.programs import BATCH, is_alive, is_inverted, needs_proc, per_folder, program, reasons, run_of
from tests.support.toys import SIDE, make, statuses, toy_items


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Programs here write in one go and are looked at often."""
    monkeypatch.setattr(command, "_POLL_INTERVAL", 0.05)
    monkeypatch.setattr(command, "_QUIET_PERIOD", 0.2)


def test_one_call_makes_all_edits_by_the_manifest(tmp_path):
    """The program reads a line per item and seed and writes the files that are named there."""
    done = per_folder(tmp_path, "[edit(row) for row in rows]", seeds=(0, 1))
    assert (done.n_edited, done.failures) == (8, ())
    (rows,) = map(json.loads, (tmp_path / "calls.jsonl").read_text().splitlines())
    assert [(row["item_id"], row["seed"]) for row in rows] == [(f"item_{n}", s) for n in range(4) for s in (0, 1)]
    assert rows[2]["target_caption"] == "Another thing, number 1."
    assert rows[2]["source_image_file_name"].split("/")[1] == rows[2]["edited_image_file_name"].split("/")[1]
    assert all(is_inverted(tmp_path, f"item_{n}", s, source=n % 2) for n in range(4) for s in (0, 1))


def test_a_program_that_knows_only_two_directories_will_do(tmp_path):
    """Sources and edits have the same names; another format than PNG is found."""
    text = "\nimport sys\nfor path in pathlib.Path(sys.argv[2]).iterdir():\n"
    text += "    ImageOps.invert(Image.open(path)).save(pathlib.Path(sys.argv[3]) / f'{path.stem}.bmp')"
    done = per_folder(tmp_path, text, places="{manifest} {source_images} {edited_images}")
    assert done.failures == ()
    assert is_inverted(tmp_path, "item_1", source=1)


def test_what_a_program_made_before_it_died_is_kept_and_only_the_rest_is_asked_for_again(tmp_path):
    """Whole images count, half ones and missing ones are failures with exit code and last words."""
    text = (
        "for row in rows:\n"
        "    target = edit(row)\n"
        "    if row['item_id'] == 'item_2': break\n"
        "if len(rows) == 4:\n"
        "    target.write_bytes(target.read_bytes()[:-200])\n"
        "    sys.exit('CUDA out of memory')\n"
        "else:\n"
        "    [edit(row) for row in rows]\n"
    )
    done = per_folder(tmp_path, text)
    assert [item.item_id for item in done.failures] == ["item_2", "item_3"]
    half, missing = reasons(done)
    assert half.startswith("the program's image cannot be used as an image: ")
    assert half.endswith("(the program ended with exit code 1: CUDA out of memory)")
    assert missing == "the program ended with exit code 1: CUDA out of memory"
    assert is_inverted(tmp_path, "item_1", source=1)
    done = per_folder(tmp_path, text)
    assert (done.n_kept, done.n_edited) == (2, 2)
    asked = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [[row["item_id"] for row in rows] for rows in asked] == [
        ["item_0", "item_1", "item_2", "item_3"],
        ["item_2", "item_3"],
    ]


def test_items_that_a_program_passes_over_have_failed(tmp_path):
    """A program that ends well says nothing of them, and the reason says so."""
    done = per_folder(tmp_path, "edit(rows[1])")
    assert set(reasons(done)) == {"the program ended well, and wrote no image for it"}
    assert [item.item_id for item in done.failures] == ["item_0", "item_2", "item_3"]


def test_a_program_may_answer_in_the_manifest(tmp_path):
    """Other file names, and failures with reasons, are read back by item and seed, in any order."""
    text = (
        "os.rename(edit(rows[0]), manifest.parent / 'mine.png')\n"
        "rows[0]['edited_image_file_name'] = 'mine.png'\n"
        "rows[1] = {'item_id': 'item_1', 'seed': 0, 'status': 'failed', 'reason': 'not safe'}\n"
        "edit(rows[3])\n"
        "manifest.write_text(''.join(json.dumps(row) + '\\n' for row in rows[1::-1]))\n"
    )
    done = per_folder(tmp_path, text)
    ended = "the program ended well, and wrote no image for it"
    assert statuses(tmp_path / "out") == [
        ("item_0", 0, "ok", None),
        ("item_1", 0, "failed", "not safe"),
        ("item_2", 0, "failed", ended),
        ("item_3", 0, "ok", None),
    ]
    assert is_inverted(tmp_path, "item_0")
    assert done.n_edited == 2


def test_a_manifest_that_a_program_damaged_costs_no_image(tmp_path):
    """Images under the names that were given are read; of the others the damage is the reason."""
    text = 'edit(rows[0]); manifest.write_text(\'{"item_id": "item_1", "edited_image_file_name": "/etc/passwd"}\')'
    done = per_folder(tmp_path, text, n_items=2)
    (reason,) = reasons(done)
    assert reason.startswith("metadata.jsonl:1, column edited_image_file_name: expected a file inside the folder")
    assert is_inverted(tmp_path, "item_0")


def test_images_are_kept_while_the_program_runs_and_again_if_it_changes_them(tmp_path):
    """What is written is in the edit folder at once, half an image never; the last version is the one that stays."""
    text = (
        "from evalkit.images.decode import read_image\n"
        "edit(rows[0])\n"
        "first = Image.open(manifest.parent / rows[1]['source_image_file_name'])\n"
        "first.save(manifest.parent / rows[1]['edited_image_file_name'])\n"
        "half = manifest.parent / rows[2]['edited_image_file_name']\n"
        "half.write_bytes(b'half')\n"
        "kept = pathlib.Path('out')\n"
        "end = time.monotonic() + 30\n"
        "while len(list(kept.glob('item_*/0.png'))) < 2 and time.monotonic() < end: time.sleep(0.05)\n"
        "time.sleep(0.5)\n"
        "open('seen', 'w').write(' '.join(sorted(path.parent.name for path in kept.glob('item_*/0.png'))))\n"
        "[edit(row) for row in rows[1:]]\n"
    )
    done = per_folder(tmp_path, text, n_items=3)
    assert (tmp_path / "seen").read_text() == "item_0 item_1"
    assert (done.n_edited, done.failures) == (3, ())
    assert all(is_inverted(tmp_path, f"item_{n}", source=n % 2) for n in range(3))
    lines = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["item_id"] for line in lines] == ["item_0", "item_1", "item_2"]


def test_at_the_time_limit_what_is_there_is_kept(tmp_path):
    """The others have failed because of the limit."""
    done = per_folder(tmp_path, "edit(rows[2]); time.sleep(60)", time_limit=2.0)
    assert done.n_edited == 1
    assert set(reasons(done)) == {"the program was stopped at the time limit of 2 s"}


@needs_proc
def test_ctrl_c_ends_the_program_and_keeps_what_it_made(tmp_path, monkeypatch):
    """The next run asks for the rest only."""
    text = "if len(rows) == 4:\n    edit(rows[0]); open('pid', 'w').write(str(os.getpid())); time.sleep(60)\n"
    wait = command._wait_briefly

    def interrupted(process, end):
        if (tmp_path / "pid").exists():
            signal.raise_signal(signal.SIGINT)
        wait(process, end)

    monkeypatch.setattr(command, "_wait_briefly", interrupted)
    with pytest.raises(KeyboardInterrupt):
        per_folder(tmp_path, f"{text}[edit(row) for row in rows]")
    assert not is_alive(int((tmp_path / "pid").read_text()))
    assert [item.item_id for item in read_manifest(tmp_path / "out").items] == ["item_0"]
    monkeypatch.setattr(command, "_wait_briefly", wait)
    done = per_folder(tmp_path, f"{text}[edit(row) for row in rows]")
    assert (done.n_kept, done.n_edited) == (1, 3)


def test_edit_masks_and_empty_texts_come_along(tmp_path):
    """A mask is copied as it is, with its single channel, and a line leaves out what its item lacks."""
    Image.new("L", (SIDE, SIDE), 255).save(tmp_path / "mask.png")
    items = toy_items(tmp_path, 2)
    items[0] = replace(items[0], edit_mask=tmp_path / "mask.png", instruction="Do it.")
    text = (
        f"{BATCH}"
        "assert Image.open(manifest.parent / rows[0]['edit_mask_file_name']).mode == 'L'\n"
        "assert rows[0]['instruction'] and 'instruction' not in rows[1] and 'edit_mask_file_name' not in rows[1]\n"
        "[edit(row) for row in rows]\n"  # only if all of that holds
    )
    run = run_of(tmp_path, f"{program(tmp_path, text)} {{manifest}}", once_per="folder")
    assert make(Command, items, tmp_path / "out", run=run).failures == ()
    (tmp_path / "mask.png").unlink()
    done = make(Command, items, tmp_path / "again", run=run)
    assert [item.item_id for item in done.failures] == ["item_0", "item_1"]  # the second by the program's first line
    assert "mask.png" in reasons(done)[0]


@pytest.mark.slow
def test_kill_9_of_the_run_costs_no_image_that_was_whole(tmp_path):
    """What the program had finished is in the folder, and the next run asks for the rest."""
    text = "open('pid', 'w').write(str(os.getpid()))\nedit(rows[0])\nif len(rows) == 3: time.sleep(60)\n"
    code = (
        "import sys; from pathlib import Path; from tests.support.programs import *\n"
        "per_folder(Path(sys.argv[1]), sys.argv[2], n_items=3)"
    )
    environment, manifest = {**os.environ, "TMPDIR": str(tmp_path)}, tmp_path / "out" / "metadata.jsonl"
    running = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), text], env=environment)
    end = time.monotonic() + 120
    while not (manifest.exists() and "item_0" in manifest.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    running.kill()
    running.wait()
    done = per_folder(tmp_path, f"{text}[edit(row) for row in rows]", n_items=3)
    assert (done.n_kept, done.n_edited) == (1, 2)


def test_a_source_that_cannot_be_read_fails_alone(tmp_path):
    """The program is not called for it, and for the others it is."""
    items = toy_items(tmp_path, 4)
    items[1].source_image.write_bytes(items[1].source_image.read_bytes()[:-200])
    run = run_of(
        tmp_path, f"{program(tmp_path, BATCH + '[edit(row) for row in rows]')} {{manifest}}", once_per="folder"
    )
    done = make(Command, items, tmp_path / "out", run=run)
    assert [item.item_id for item in done.failures] == ["item_1", "item_3"]
    assert "source_1.png cannot be used as an image" in reasons(done)[0]
    assert done.n_edited == 2
