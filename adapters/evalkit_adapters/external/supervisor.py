"""A process of its own that runs a program, and ends it with everything that it has started.

    python supervisor.py FOLDER PROGRAM [ARGUMENT …]

Its standard input is the line to the process that wants the program run: when that is closed, on purpose or because
that process has died, the program and its descendants are asked to end, and after a while they are killed. Descendants
that outlive a program which ends by itself are killed at once. If nobody is there any more to remove FOLDER, it is
removed as well.

On Linux no descendant can get away: one whose parent has died becomes a child of this process
(``PR_SET_CHILD_SUBREAPER`` of prctl(2)), whatever group and session it is in, so that the work is done when there are
no children left. Elsewhere only the program's process group is ended.

The exit status is the program's, down to the signal; 126 stands for one that cannot be started, as in a shell.
"""

import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_PERIOD = 2.0
"""Seconds between asking a program to end and ending it."""
KILLING_LIMIT = 5.0
"""Seconds after which what cannot be killed is left alone."""
_CANNOT_START = 126
_PR_SET_CHILD_SUBREAPER = 36
_STDIN = 0


class Supervised:
    """A program with its descendants, which are this process's only ones."""

    def __init__(self, arguments: list[str]) -> None:
        # A session of its own: a terminal's Ctrl-C does not reach it, nor this process what it sends to its group.
        self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
        self.status: int | None = None
        """As waitpid has it; None while the program runs."""

    def reap(self) -> bool:
        """Takes leave of all that have ended; gives whether any process is left."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self._process.pid:
                    self.status, self._process.returncode = status, os.waitstatus_to_exitcode(status)
        return False

    def signal(self, number: int) -> None:
        """Sends a signal to all of them."""
        self._signal_group(number)
        for pid in descendants(os.getpid()):
            with suppress(OSError):  # it has ended, or belongs to another user
                os.kill(pid, number)

    def _signal_group(self, number: int) -> None:
        with suppress(OSError):  # it is empty
            os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Ends all of them, politely at first if the program still runs."""
        if self.status is None:
            self.signal(signal.SIGTERM)
            until = time.monotonic() + GRACE_PERIOD
            while self.reap() and time.monotonic() < until:
                time.sleep(0.02)
        until = time.monotonic() + KILLING_LIMIT
        self._signal_group(signal.SIGKILL)
        while self.reap() and time.monotonic() < until:
            self.signal(signal.SIGKILL)  # those too that were started meanwhile
            time.sleep(0.005)


def descendants(ancestor: int) -> list[int]:
    """The processes below one, where there is a ``/proc`` that tells."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = int(path.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [*children.get(ancestor, [])]
    for pid in found:
        found += children.get(pid, [])
    return found


def adopt_orphans() -> None:
    """Has descendants become children of this process when their parents die, where that is possible."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def ended_children() -> int:
    """A descriptor from which there is something to read when a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _do_nothing)
    return reading


def _do_nothing(number: int, frame: object) -> None:
    """A handler, and not SIG_IGN, which the program would inherit."""


def exit_as(status: int) -> None:
    """Ends this process as the program ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one image of a dead process will do
        with suppress(OSError):  # SIGKILL needs no handler
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


def main(folder: str, arguments: list[str]) -> None:
    """Runs the program until it ends or is no longer wanted."""
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # only the line says when to end
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _do_nothing)
    ended, parent = ended_children(), os.getppid()
    try:
        program = Supervised(arguments)
    except OSError as error:
        sys.stderr.write(f"{arguments[0]} cannot be started: {error.strerror}\n")
        sys.exit(_CANNOT_START)
    while program.reap() and program.status is None:
        ready, _, _ = select.select([_STDIN, ended], [], [])
        if _STDIN in ready:
            break
        os.read(ended, 1 << 10)
    program.end()
    if os.getppid() != parent:
        import shutil  # which takes as long as all the rest

        shutil.rmtree(folder, ignore_errors=True)
    if program.status is not None:
        exit_as(program.status)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
