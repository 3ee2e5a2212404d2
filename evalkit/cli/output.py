"""The one output sink: everything a command prints goes through here.

For a person, results go to standard output and remarks to standard error. With ``--json`` standard output holds one
JSON object and nothing else: while a command runs, what plug-ins, libraries and programs write there goes to standard
error. Progress bars appear on standard error when it is a terminal; elsewhere a line a minute says what is done.
"""

import atexit
import functools
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from evalkit.errors import DataError, EvalkitError
from evalkit.formatting import LAYOUT, abridged, encodable, listed, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evalkit.edits.item import Problem
    from evalkit.scores.run import ProblemRecord
    from evalkit.storage.prefetch import Progress
    from evalkit.tables.table import TextTable


_STDOUT = 1
"""Its descriptor."""
_STDERR = 2
SAID_EVERY = 50.0
"""Seconds between two lines of a long command that say what it is doing, where nobody sees its progress."""
_USUAL_WIDTH, _LEAST_WIDTH = 80, 20
"""Columns where nobody says how many there are, and the fewest that tables are laid out for."""
_PLAIN = str.maketrans("−–→↑↓±≤≥α·•─…“”’", '-->^v+<>a.*-.""\'')
"""Signs of ours in ASCII, one for one, so that tables stay in line."""


class ExitCode(IntEnum):
    """What the process reports when it ends (2, wrong usage, is click's)."""

    OK = 0
    ERROR = 1
    PROBLEMS = 3
    INTERRUPTED = 130


class Output:
    """Where a command's results and remarks go.

    Args:
        as_json: Standard output carries one JSON object and nothing else.
        debug: Errors end in a traceback instead of one message.
        stdout: Where results go; standard output, as it is now, by default.
    """

    def __init__(self, *, as_json: bool = False, debug: bool = False, stdout: TextIO | None = None) -> None:
        self.as_json = as_json
        self.debug = debug
        self._stdout = stdout or sys.stdout
        self._doing: dict[str, tuple[int, int]] = {}
        """Kinds of work to how much of it is done."""
        # Standard error replaces what it cannot write by itself.
        self._encoding = getattr(self._stdout, "encoding", None) or "utf-8"

    @functools.cached_property
    def width(self) -> int:
        """Columns that there are: what COLUMNS says, else the terminal's, and 80 in a pipe or a file."""
        told = os.environ.get("COLUMNS", "")
        columns = int(told) if told.isdecimal() else 0
        with suppress(OSError, ValueError):  # no terminal; no descriptor
            columns = columns or os.get_terminal_size(self._stdout.fileno()).columns
        return max(columns or _USUAL_WIDTH, _LEAST_WIDTH)

    @functools.cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        # Names come from files: what looks like markup in them is part of the name.
        return Console(file=self._stdout, width=self.width, highlight=False, markup=False, emoji=False)

    def json(self, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        """The command's result as one object; printed only under ``--json``."""
        if self.as_json:
            # JSON writes half a character as the replacement does: backslash, u, four digits.
            text = json.dumps(value, indent=2, ensure_ascii=not self._is_unicode, allow_nan=False)
            click.echo(encodable(text), file=self._stdout)

    def line(self, text: str = "") -> None:
        """A line of the result, for a person."""
        if not self.as_json:
            click.echo(self._shown(text), file=self._stdout)

    def text(self, text: str, indent: str = "") -> None:
        """Sentences of the result, for a person: broken between words where they are longer than a line.

        Args:
            text: What is said. A command that is to be copied goes through `line` instead.
            indent: What the lines after the first begin with.
        """
        if not self.as_json:
            from evalkit.tables.terminal import folded

            for line in folded(self._shown(text), self.width, indent, whole_words=True):
                click.echo(line, file=self._stdout)

    def table(self, table: "TextTable") -> None:
        """A table of the result, for a person, and an empty line below it."""
        if self.as_json:
            return
        from evalkit.tables.terminal import terminal_table

        # Written out before it is laid out, so that every cell is as wide as it is shown.
        cells = tuple(tuple(map(self._cell, row)) for row in table.rows)
        table = replace(table, title=self._cell(table.title), header=tuple(map(self._cell, table.header)), rows=cells)
        self._print_rendered(terminal_table(table, self.width))
        self.line()

    def markdown(self, text: str) -> None:
        """A text in Markdown, laid out; ``--json`` has it as it is."""
        if self.as_json:
            return
        from evalkit.cli.markdown import LaidOutMarkdown

        self._print_rendered(LaidOutMarkdown(text, hyperlinks=False))
        self.line()

    def _print_rendered(self, renderable: "RenderableType") -> None:
        """What rich lays out, in letters that standard output has, without blanks at the ends of lines."""
        from rich.segment import Segment, Segments

        for line in Segment.split_lines(self._console.render(renderable)):
            while line and not line[-1].text.strip():
                line.pop()
            *parts, last = line or [Segment("")]
            parts += [Segment(last.text.rstrip(), last.style), Segment.line()]
            self._console.print(
                Segments(Segment(self._writable(part.text), part.style) for part in parts), end="", crop=False
            )

    def _shown(self, text: str) -> str:
        return self._writable(visible(text))

    def _cell(self, text: str) -> str:
        return self._shown(text).replace("\t", r"\t")

    @property
    def _is_unicode(self) -> bool:
        return self._encoding.lower().startswith("utf")

    def _writable(self, text: str) -> str:
        """The text in letters that standard output has, signs written out in as many columns as they take."""
        if self._is_unicode:
            return text
        return text.translate(_PLAIN).encode(self._encoding, "backslashreplace").decode(self._encoding)

    def note(self, text: str) -> None:
        """A remark on standard error."""
        click.echo(visible(text), err=True)

    def problems(self, title: str, problems: "Sequence[Problem | ProblemRecord]", *, shown: int = 5) -> None:
        """Problems under their codes, each code with what it means and its first few cases.

        What is the same of several items is said once, of the first, and then the others are named.
        """
        from evalkit.edits.problems import NOTICES, PROBLEMS

        if problems:
            self.line(f"{title} ({len(problems)}):")
        for code in dict.fromkeys(problem.code for problem in problems):
            alike = [problem for problem in problems if problem.code == code]
            self.text(f"  {code} ({len(alike)}): {PROBLEMS.get(code) or NOTICES.get(code)}", indent="    ")
            layout = {ord(mark): ascii(mark)[1:-1] for mark in LAYOUT}
            same: dict[str, list[Problem | ProblemRecord]] = {}
            for problem in alike:
                own = rf"(?<!\w){re.escape(problem.item_id)}(?!\w)" if problem.item_id else "$"
                same.setdefault(re.sub(own, "", problem.message), []).append(problem)
            self.first([_of_all(group, shown).translate(layout) for group in same.values()], shown, indent=4)

    def first(self, lines: Sequence[str], shown: int, *, indent: int) -> None:
        """The first few lines of a list, and how many more there are."""
        for line in lines[:shown]:
            self.text(" " * indent + line, indent=" " * (indent + 2))
        if len(lines) > shown:
            self.line(f"{' ' * indent}… and {len(lines) - shown} more; --json lists them all.")

    def fail(self, failure: EvalkitError) -> NoReturn:
        """End the process with the failure's message."""
        message = abridged(str(failure))
        if self.as_json:
            self.json({"error": {"type": type(failure).__name__, "message": message}})
        self.note(f"Error: {message}")
        sys.exit(ExitCode.ERROR)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While a command runs: where standard error is no terminal, a line now and then says what it is doing."""
        if sys.stderr is None or sys.stderr.isatty():
            yield
            return
        ended = threading.Event()
        context = click.get_current_context(silent=True)
        command = context.command_path if context else "evalkit"

        def say() -> None:
            while not ended.wait(SAID_EVERY):
                begun = [f"{what} {done:,} of {total:,}" for what, (done, total) in self._doing.items() if done < total]
                after = f", after {[*self._doing][-1]}" if self._doing else ""
                self.note(f"Still at work: {', '.join(begun) or command + after}")

        speaker = threading.Thread(target=say, name="at work", daemon=True)
        speaker.start()
        try:
            yield
        finally:
            ended.set()
            speaker.join()

    @contextmanager
    def progress(self) -> "Iterator[Progress]":
        """Progress bars, one per kind of work; where standard error is no terminal, what `at_work` says."""
        if not sys.stderr.isatty():

            def note(what: str, done: int, total: int) -> None:
                self._doing = {**self._doing, what: (done, total)}

            yield note
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # Some steps take minutes: the rate is that of the last hour, so that there is a time left after two of them.
        with Bars(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=3600) as bars:
            tasks: dict[str, Any] = {}

            def update(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what)
                elif done == 0:  # the same kind of work once more: its bar, and its time left, start anew
                    bars.reset(tasks[what])
                bars.update(tasks[what], completed=done, total=total)

            yield update


def _of_all(problems: "Sequence[Problem | ProblemRecord]", shown: int) -> str:
    """What is said of the first of some items, and of which others the same is true."""
    others = [problem.item_id or "" for problem in problems[1:]]
    more = "; --json lists them all" if len(others) > shown else ""
    return f"{problems[0].message} So for {listed(others, shown)}{more}." if any(others) else problems[0].message


def names_in(listed: str | None) -> list[str]:
    """The names of an option ``A,B``."""
    return [name.strip() for name in (listed or "").split(",") if name.strip()]


signature_option = click.option(
    "--signature",
    "signatures",
    type=click.Choice(["short", "full"]),
    default="short",
    help="Show one line per run, or all that can change a number, metric by metric.",
)
"""Adds ``--signature`` to a command, which gets it as ``signatures``."""


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--json`` and ``--debug`` to a command, gives it an :class:`Output`, and ends its errors in one message."""

    @click.option(
        "-j", "--json", "as_json", is_flag=True, help="Print one JSON object on standard output, nothing else."
    )
    @click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, debug: bool, **kwargs: Any) -> Any:  # noqa: ANN401 - click passes options
        with _results_alone() as stdout:
            output = Output(as_json=as_json, debug=debug, stdout=stdout)
            try:
                with output.at_work():
                    return command(*args, output=output, **kwargs)
            except EvalkitError as failure:
                if debug:
                    raise
                output.fail(failure)
            except OSError as failure:  # a disk that is full, a file that is not for us
                if debug or failure.filename is None:
                    raise
                output.fail(DataError(f"{os.fsdecode(failure.filename)}: {failure.strerror or failure}."))
            except KeyboardInterrupt:
                output.note("Interrupted. What was finished is kept; the same command goes on from there.")
                sys.exit(ExitCode.INTERRUPTED)

    return wrapped


@contextmanager
def _results_alone() -> Iterator[TextIO]:
    """Standard output for a command's results; whatever else is written there until it ends goes to standard error.

    That holds for what Python prints and for the descriptor, which libraries and programs write to.
    """
    stdout, kept = sys.stdout, None
    with suppress(AttributeError, OSError):  # none at all, or one that a test has put in its place
        if stdout.fileno() == _STDOUT:
            stdout.flush()
            kept = os.dup(_STDOUT)
    with redirect_stdout(sys.stderr):
        if kept is None:
            yield stdout
            return
        with suppress(OSError):  # there is no standard error
            os.dup2(_STDERR, _STDOUT)
        try:
            with open(kept, "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False) as results:
                yield results
        finally:
            os.dup2(kept, _STDOUT)
            os.close(kept)
            atexit.register(_at_exit, stdout)  # before what others have registered meanwhile


def _at_exit(stdout: TextIO) -> None:
    """What is said on the way out is no result either."""
    with suppress(OSError, ValueError):
        stdout.flush()
        os.dup2(_STDERR, _STDOUT)
