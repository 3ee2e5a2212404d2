"""What commands print: names from anybody's files do no harm to a terminal."""

import json

import pytest
from rich.table import Table

from evalkit.cli.output import Output
from evalkit.edits.item import Problem
from evalkit.errors import DataError


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
    table = Table(title=name)
    table.add_column(f"{name} ↑")
    table.add_row(f"{name}\x1b[31m of a file")

    Output().table(table)

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
