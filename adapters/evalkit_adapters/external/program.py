"""A program of somebody else's: started without a shell, stopped with everything that it started."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from evalkit_adapters.external.supervisor import GRACE_PERIOD, KILLING_LIMIT

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_ENDING_LIMIT = GRACE_PERIOD + KILLING_LIMIT + 5
"""Seconds within which a supervisor has done what it can."""
_TAIL_LENGTH = 300
"""Characters of what it said last."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP while programs are run: noted when they come, obeyed when nothing is half done.

    A handler that raises does so anywhere, in the middle of ending a program too. Signals that are ignored stay so, as
    under ``nohup``. When the block ends, the handlers are what they were, and get the signal.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal that came."""
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # to which they come
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        if self.received is not None:
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signal passes
        self.received = self.received or number

    def check(self) -> None:
        """Raises a KeyboardInterrupt if one has come."""
        if self.received is not None:
            raise KeyboardInterrupt


@contextmanager
def run_program(arguments: Sequence[str], directory: Path | None, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program while it runs; when the block ends, by whichever way, it and all that it started are gone.

    It runs below a :mod:`supervisor <evalkit_adapters.external.supervisor>`, which ends it if this process dies, and
    removes the folder then.

    Args:
        arguments: Program and arguments; 126 is the exit status of one that cannot be started.
        directory: Where it works; None: the current one.
        folder: What it prints goes to two files in there.

    Yields:
        A process that ends when the program ends, and as it does.
    """
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell between
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(folder), *arguments],
            cwd=directory,
            stdin=subprocess.PIPE,  # open as long as the program is wanted
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # out of the reach of a terminal's Ctrl-C
        )
        try:
            yield process
        finally:
            _end(process)


def failure_of(process: subprocess.Popen[bytes], log: Path) -> str | None:
    """Why a program that has ended did not end well: its exit code and what it said last; None if it did."""
    code = process.returncode
    if code == 0:
        return None
    how = f"exit code {code}" if code > 0 else f"signal {_signal_name(-code)}"
    said = _tail(log / "stderr") or _tail(log / "stdout")
    return f"the program ended with {how}: {said}" if said else f"the program ended with {how} and said nothing"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _tail(path: Path) -> str:
    """The end of what was printed, without what only a terminal shows: colours, overwritten lines, pointing marks."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16 * _TAIL_LENGTH))
        text = _ESCAPE.sub("", file.read().decode(errors="replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n") if line.strip(" ^~"))
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in " ".join(lines)).split())
    return words if len(words) <= _TAIL_LENGTH else f"…{words[-_TAIL_LENGTH:]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_ENDING_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
