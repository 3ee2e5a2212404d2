"""Commands that are suggested work when they are pasted, whatever files and columns are called."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from tests.support.fakes import save_picture

NAME = "it's mine (v2) & more"
SUGGESTED = re.compile(r"(?:^Next: |it with: |it: |Type: |site\. Build it: )evalkit (.*)$", re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory in a folder with blanks, quotes and signs of the shell in its name."""
    folder = tmp_path / NAME
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return folder


def evalkit(*arguments, code=(0, 3)):
    """Runs a command, and gives what it said."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code in code, done.output
    return done.output


def suggested(said):
    """The words of the one command that was suggested."""
    (line,) = SUGGESTED.findall(said)
    return shlex.split(line)


def test_each_command_leads_to_the_next_one(folder):
    """From edits to a score, from several scores to a comparison; from a data set to its publication."""
    for number, control in enumerate(("identity", "reference")):
        said = evalkit(
            "edit", control, "--benchmark", "shapes", "--limit", 6, "--output", folder / NAME / f"x {number}"
        )
        evalkit(*suggested(said), "--metrics", "l1")
    words = suggested(evalkit("score", folder / NAME, "--metrics", "l1", code=(1,)))
    assert words[:2] == ["score", "--each"]
    words = suggested(evalkit(*words, "--output", folder / "my runs"))
    assert words[0] == "compare"
    assert "reference − identity" in evalkit(*words)
    said = evalkit("dataset", "build", "shapes", "--output", folder / "data set")
    words = suggested(said)
    command = main.get_command(click.Context(main), words[0]).commands[words[1]]
    context = command.make_context(words[1], words[2:])
    assert context.params["folder"] == folder / "data set"
    given = re.search(r"load_dataset\((.*?), split", said)[1]
    assert given == repr(str(folder / "data set"))


def test_a_column_that_is_meant_is_named_as_a_shell_takes_it(folder):
    """Headings have blanks."""
    for number in range(3):
        save_picture(folder / "edits" / f"i{number}.png", number)
        save_picture(folder / "sources" / f"i{number}.png", 10 + number)
    rows = [f"i{number},A cat.,A dog." for number in range(3)]
    (folder / "captions.csv").write_text("\n".join(["id,Target Prompt,new caption", *rows]))
    command = ["score", "edits", "--sources", "sources", "--captions", "captions.csv", "--metrics", "l1"]
    said = evalkit(*command, code=(1,))
    options = shlex.split(re.search(r"Say which: (--map .*)", said)[1])
    evalkit(*command, *options)
