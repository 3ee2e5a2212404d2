"""``evalkit list`` beside plug-ins that print, raise and hang: each is named, and nothing else suffers."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.shapes import shapes
from tests.support.fakes import save_picture
from tests.support.toys import install

BENCHMARKS = "evalkit.benchmarks"

NOISE = "print('printed')\nimport os, sys; os.write(1, b'written'); os.system('echo said')\n"
LEAVES = "import atexit; atexit.register(print, 'left')\n"
HANGS = "import time; time.sleep(60)\n"
MODULES = {
    "noisy": f"{LEAVES}{NOISE}def make(argument, **how): 'An encoder that speaks.'\n",
    "interrupts": "raise KeyboardInterrupt\n",
    "exits": "raise SystemExit('enough')\n",
    "closes": "raise GeneratorExit\n",
    "hangs": HANGS,
}
WHY = {
    "noisy": None,
    "interrupts": "KeyboardInterrupt.",
    "exits": "SystemExit: enough.",
    "closes": "GeneratorExit.",
    "hangs": "TimeoutError: no answer within 2 s.",
}
ASKED = {"asked": f"def make():\n    {NOISE.replace(chr(10), chr(10) + '    ')}raise KeyboardInterrupt\n"}
CODE = "from evalkit import registry; from evalkit.cli import main; registry.LISTING_LIMIT = 2.0; main()"


def started(site, *arguments) -> "subprocess.Popen[str]":
    """A process that lists, with a package on its path, and waits for a plug-in two seconds at most."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", CODE, "list", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **streams)


@pytest.mark.parametrize("options", [["--json"], []])
def test_plugins_that_print_raise_and_hang_are_named(tmp_path, options):
    """With ``--json`` standard output is one object, and what they write stands on standard error."""
    targets = {name: f"{name}:make" for name in MODULES}
    site = install(tmp_path, "bad", targets, MODULES, group="evalkit.encoders")
    with started(site, "encoders", *options) as process:
        stdout, stderr = process.communicate(timeout=100)

    assert process.returncode == 0, stderr
    for word in ("printed", "written", "said", "left"):
        assert word in stderr
        assert word not in stdout
    if not options:
        assert "open_clip" in stdout
        assert set(MODULES) <= set(stdout.splitlines())
        assert all(why in stderr for why in WHY.values() if why)
        return
    rows = {row["name"]: row for row in json.loads(stdout)}
    assert {"open_clip", "transformers", "miniature"} <= set(rows)
    for name, why in WHY.items():
        error = rows[name]["error"]
        assert error is None if why is None else error.endswith(f"{name}:make, which cannot be imported: {why}"), error


def test_a_plugin_that_misbehaves_when_it_is_asked_is_named(tmp_path):
    """A benchmark can be imported, and shows what it is when the list asks for it."""
    site = install(tmp_path, "bad", {"asked": "asked:make"}, ASKED, group=BENCHMARKS)
    with started(site, "benchmarks", "--json") as process:
        stdout, stderr = process.communicate(timeout=100)

    errors = {row["name"]: row["error"] for row in json.loads(stdout)}
    assert errors.pop("asked") == "The benchmark 'asked' of bad cannot be shown: KeyboardInterrupt."
    assert set(errors.values()) == {None}
    assert "written" in stderr


def test_ctrl_c_stops_a_list_that_waits_for_a_plugin(tmp_path):
    """At once, and not after its time is over."""
    modules = {"hangs": f"import sys; print('here', file=sys.stderr, flush=True)\n{HANGS}"}
    site = install(tmp_path, "bad", {"hangs": "hangs:make"}, modules, group="evalkit.encoders")
    with started(site, "encoders") as process:
        assert process.stderr.readline() == "here\n"
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=100)

    assert process.returncode == 130
    assert stdout == ""
    assert "Interrupted." in stderr
    assert time.monotonic() - sent < 20


def test_a_benchmark_that_misbehaves_keeps_no_folder_from_being_checked(tmp_path, monkeypatch):
    """Which benchmark a folder belongs to is found among the others."""
    monkeypatch.syspath_prepend(install(tmp_path / "site", "bad", {"asked": "asked:make"}, ASKED, group=BENCHMARKS))
    for item in shapes().items:
        save_picture(tmp_path / "edits" / f"{item.item_id}.png", 1, 32)
    opened = open_edits(tmp_path / "edits", with_images=False)

    assert opened.benchmark.name == "shapes"
