"""A program of somebody else's: started without a shell, stopped with everything that it started."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_GRACE_PERIOD = 2.0
"""Seconds between asking a program to end and ending it."""
_TAIL_LENGTH = 300
"""Characters of what it said last."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def run_program(arguments: Sequence[str], directory: Path | None, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program while it runs; when the block ends, by whichever way, it and its children are gone.

    What it prints goes to two files in the folder ``log``.

    Raises:
        OSError: It cannot be started.
    """
    with (log / "stdout").open("wb") as stdout, (log / "stderr").open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell between
            arguments,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # a process group of its own, which can be stopped as a whole
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
    if process.poll() is None:
        _send_signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_PERIOD)
    _send_signal(process, signal.SIGKILL)
    process.wait()


def _send_signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the group is empty, or about to be
        os.killpg(process.pid, number)
