"""What commands print: names from anybody's files do no harm to a terminal."""

import io
import json
import os
import re
import subprocess
import sys
import threading

import pytest

from evalkit.cli.output import SAID_EVERY, Output
from evalkit.edits.item import Problem
from evalkit.errors import DataError
from evalkit.tables.table import TextTable


def test_line_breaks_and_escapes_in_names_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A name can neither forge a line of the list, nor steer the terminal, nor turn its letters around."""
    message = "a\nb\x1b[2J\x07\u202egnp.png is no item's edited image."
    output = Output()

    output.problems("Problems", [Problem(code="unmatched_file", message=message)])
    output.note("c\x1b[2Jd")

    written = capsys.readouterr()
    assert r"    a\nb\x1b[2J\x07\u202egnp.png is no item's edited image." in written.out.splitlines()
    assert written.err == "c\\x1b[2Jd\n"


@pytest.mark.parametrize("name", ["[/red]mine", "run [v2]", ":smile:", "my[bold]run"])
def test_what_looks_like_markup_is_part_of_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables show brackets and colons of names as they are, in titles, headers and cells."""
    Output().table(TextTable(title=name, header=(f"{name} ↑",), rows=((f"{name}\x1b[31m of a file",),)))

    written = capsys.readouterr().out
    assert written.count(name) == 3
    assert rf"{name}\x1b[31m of a file" in written


def test_half_a_character_can_be_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """What JSON may carry and UTF-8 may not is written as its escape, which JSON reads back."""
    Output(as_json=True).json({"got": "\ud800"})
    Output().line("got \ud800")

    written = capfd.readouterr().out.splitlines()
    assert json.loads("".join(written[:-1])) == {"got": "\ud800"}
    assert written[-1] == r"got \ud800"


def test_a_message_is_no_longer_than_anybody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a column with a name of 100,000 letters the place before it and the advice behind it are shown."""
    with pytest.raises(SystemExit):
        Output().fail(DataError(f"t.csv has no column '{'x' * 100_000}'. Say which: --item-column NAME"))

    written = capsys.readouterr().err
    assert len(written) < 2_100
    assert written.startswith("Error: t.csv has no column 'xxx")
    assert written.endswith("xxx'. Say which: --item-column NAME\n")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_is_not_utf8_gets_signs_that_it_has(tmp_path, encoding):
    """Minus, arrows and frames are written in ASCII, and JSON loses nothing."""
    rows = [f"p{n},{name},{n + shift}" for n in range(6) for name, shift in (("A", 0.0), ("B→", 1.0))]
    (tmp_path / "t.csv").write_text("\n".join(["item_id,method,quality", *rows]), encoding="utf-8")
    command = [sys.executable, "-m", "evalkit", "compare", str(tmp_path / "t.csv")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = subprocess.run(command, env=environment, capture_output=True, check=True).stdout.decode(encoding)
    assert "B> - A = +1.00 quality" in shown
    data = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=True).stdout
    assert json.loads(data.decode(encoding))["comparisons"][0]["b"] == "B→"


def test_a_long_command_says_what_it_is_doing_where_nobody_sees_its_progress(monkeypatch, capsys):
    """At least once a minute, on standard error: what is begun and not finished, else the command; nothing after it."""
    assert SAID_EVERY <= 60
    monkeypatch.setattr("evalkit.cli.output.SAID_EVERY", 0.01)
    output, said = Output(), ""
    with output.at_work(), output.progress() as progress:
        progress("scoring", 10, 10)
        while "at work" not in said:
            said += capsys.readouterr().err
        progress("encoding images", 3, 1200)
        while "encoding images" not in said:
            said += capsys.readouterr().err
    assert "Still at work: evalkit, after scoring\n" in said
    assert "Still at work: encoding images 3 of 1,200\n" in said
    assert "at work" not in [thread.name for thread in threading.enumerate()]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("variables", "codes"),
    [
        ({"TERM": "dumb"}, set()),
        ({"NO_COLOR": "1", "TERM": "xterm"}, {"0", "1", "2"}),
        ({"TERM": "xterm"}, {"0", "1", "2"}),
    ],
)
def test_a_terminal_is_sent_what_it_understands(monkeypatch, variables, codes):
    """Nothing but text where it is dumb; else bold and faint, and no colour, which would have to fit a background."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    Output(stdout=stream).table(
        TextTable(
            title="Means", header=("method", "score"), rows=(("a", "1 • 0.5 [0.4, 0.6]"), ("b", "2   0.1 [0.0, 0.2]"))
        )
    )
    assert set(re.findall("\x1b\\[([0-9;]*)m", stream.getvalue())) == codes
    assert ("\x1b" in stream.getvalue()) == bool(codes)


def test_a_path_in_a_sentence_stays_whole(monkeypatch, capsys):
    """What is longer than a line has a line of its own, and can be copied from there."""
    monkeypatch.setenv("COLUMNS", "30")
    path = f"/a/folder/{'x' * 40}/and/another/one"
    Output().text(f"There is nothing at {path} to be read.", indent="  ")
    assert capsys.readouterr().out.splitlines() == ["There is nothing at", f"  {path}", "  to be read."]


def test_what_is_the_same_of_several_items_is_said_once(monkeypatch, capsys):
    """Of the first, and the others are named; what is said otherwise, and of no item, has lines of its own."""
    monkeypatch.setenv("COLUMNS", "200")
    said = {"a": "a has none: a/0.png is not there.", "b": "b has none: b/0.png is not there.", "ab": "ab has two."}
    problems = [Problem(code="duplicate_item", message=text, item_id=item) for item, text in said.items()]
    Output().problems("Problems", [*problems, Problem(code="duplicate_item", message="x.png is one more.")])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "    a has none: a/0.png is not there. So for b.",
        "    ab has two.",
        "    x.png is one more.",
    ]
