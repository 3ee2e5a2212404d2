"""Stopping ``edit command``: by a signal, by its death, or at the end of a call, nothing that it started is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit.editing import edit as edit_module
from evalkit.edits.manifest import read_manifest
from evalkit_adapters.external import command
from evalkit_adapters.external import program as program_module
from evalkit_adapters.external.program import StopSignals
from tests.support.programs import INVERT, is_alive, needs_proc, per_folder, per_item, reasons

PATIENCE = 60.0
"""Seconds within which what takes a moment has happened on a busy machine."""
STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
def note():
    with open("pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
def fork(*, leaves=False, again=False):
    if os.fork():
        return
    if leaves:
        os.setsid()
    if again and os.fork():
        os._exit(0)
    note()
    time.sleep(600)
note()
fork()
fork(leaves=True)
fork(leaves=True, again=True)
while len(open("pids").read().split()) < 4:
    time.sleep(0.01)
"""
"""Starts a child, one in a session of its own, and one without a parent; writes down all four processes."""
WAITS = f"{STUBBORN}open('ready', 'w').close()\ntime.sleep(600)\n"
RUN = """
import sys
from pathlib import Path
from tests.support.programs import per_folder, per_item
{"item": per_item, "folder": per_folder}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
"""


def edits(folder: Path, once_per: str, text: str = WAITS, **options) -> "subprocess.Popen[bytes]":
    """A process that edits with a program, and has its temporary files in a folder of their own."""
    (folder / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(folder / "scratch")}
    return subprocess.Popen([sys.executable, "-c", RUN, once_per, str(folder), text], env=environment, **options)


def wait_until(holds, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Returns when something holds, which it does soon."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        assert process is None or process.poll() is None
        time.sleep(0.02)


def pids_in(folder: Path) -> list[int]:
    """The processes that the program has written down."""
    return [int(text) for text in (folder / "pids").read_text().split()]


@needs_proc
@pytest.mark.parametrize("once_per", ["item", "folder"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_program_with_all_its_descendants(tmp_path, once_per, number):
    """Those too that have left its group or lost their parent; the copies of the sources are gone.

    The run ends as by the signal; another one while it ends the program changes nothing.
    """
    with edits(tmp_path, once_per, stderr=subprocess.DEVNULL) as running:
        wait_until((tmp_path / "ready").exists, running)
        assert list((tmp_path / "scratch").rglob("*.png")) != []
        running.send_signal(number)
        time.sleep(0.3)
        running.send_signal(number)
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == -number
    assert len(pids_in(tmp_path)) == 4
    assert not any(map(is_alive, pids_in(tmp_path)))
    assert list((tmp_path / "scratch").iterdir()) == []


@needs_proc
@pytest.mark.parametrize("once_per", ["item", "folder"])
def test_kill_9_of_the_run_leaves_neither_processes_nor_copies(tmp_path, once_per):
    """What watches over the program does not die with the run, and ends it."""
    with edits(tmp_path, once_per) as running:
        wait_until((tmp_path / "ready").exists, running)
        running.kill()
    wait_until(lambda: not any(map(is_alive, pids_in(tmp_path))))
    wait_until(lambda: not list((tmp_path / "scratch").iterdir()))


@needs_proc
@pytest.mark.parametrize("end", ["", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_outlives_a_program_is_ended(tmp_path, end):
    """Whether it ended well or not; the next item begins without them."""
    done = per_item(tmp_path, f"{INVERT}{STUBBORN}{end}")
    assert len(pids_in(tmp_path)) == 4
    assert not any(map(is_alive, pids_in(tmp_path)))
    reason = {"": [], "sys.exit(3)": ["exit code 3"]}.get(end, ["signal SIGKILL"])
    assert reasons(done) == [f"the program ended with {how} and said nothing" for how in reason]


@needs_proc
def test_at_the_time_limit_no_descendant_is_left(tmp_path):
    """Neither those in sessions of their own nor those without a parent."""
    done = per_item(tmp_path, WAITS, time_limit=3.0)
    assert reasons(done) == ["the program was stopped at the time limit of 3 s"]
    assert len(pids_in(tmp_path)) == 4
    assert not any(map(is_alive, pids_in(tmp_path)))


@needs_proc
def test_where_nothing_can_be_written_the_program_is_ended(tmp_path, monkeypatch):
    """At once, and not when the error is forgotten, which holds the method."""

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(command, "_QUIET_PERIOD", 0.0)
    monkeypatch.setattr(edit_module, "append_item", full)
    with pytest.raises(OSError, match="no space left") as held:
        per_folder(tmp_path, f"edit(rows[0])\n{WAITS}")
    assert held.traceback
    assert len(pids_in(tmp_path)) == 4
    assert not any(map(is_alive, pids_in(tmp_path)))


def test_what_is_ignored_stays_ignored(tmp_path):
    """As under nohup: the run goes on when the terminal is closed."""
    text = INVERT + "import time\nopen('ready', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        running = edits(tmp_path, "item", text)
    finally:
        signal.signal(signal.SIGHUP, before)
    with running:
        wait_until((tmp_path / "ready").exists, running)
        running.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        assert running.wait(PATIENCE) == 0
    assert [item.status for item in read_manifest(tmp_path / "out").items] == ["ok"]


def test_signals_are_noted_and_passed_on_at_the_end():
    """Nothing is interrupted between; afterwards the handlers are what they were, and get the first signal."""
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        with StopSignals() as signals:
            signals.check()
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert got == []
            with pytest.raises(KeyboardInterrupt):
                signals.check()
        assert got == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_program_that_cannot_be_started_fails_its_item(tmp_path):
    """With the reason of the system, as a shell has it."""
    (tmp_path / "edit").write_bytes(b"\x7fnot a program")
    (tmp_path / "edit").chmod(0o755)
    with program_module.run_program(["./edit"], tmp_path, tmp_path) as process:
        process.wait(PATIENCE)
    message = "the program ended with exit code 126: ./edit cannot be started: Exec format error"
    assert program_module.failure_of(process, tmp_path) == message


def test_where_the_line_is_cut_the_program_ends(tmp_path):
    """A program that heeds a polite request has the time to do so."""
    text = (
        "import signal, sys, time\n"
        "def leave(*_):\n    open('left', 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, leave); open('ready', 'w').close(); time.sleep(600)"
    )
    start = time.monotonic()
    with program_module.run_program([sys.executable, "-c", text], tmp_path, tmp_path):
        wait_until((tmp_path / "ready").exists)
    assert (tmp_path / "left").exists()
    assert time.monotonic() - start < PATIENCE
