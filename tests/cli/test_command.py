"""What all commands have in common: help, near names, the project's file, completion."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from evalkit.cli import main
from evalkit.cli.command import GROUPS, EvalkitCommand
from evalkit.cli.completion import completed


def commands(group: click.Group = main, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS = dict(commands())


def run(*words: str) -> Result:
    """What a command ends with."""
    return CliRunner().invoke(main, words, prog_name="evalkit")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in a sub-folder of which commands are given."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_examples_that_it_takes(words: tuple[str, ...]) -> None:
    """The command lines in a command's help have options and values that there are."""
    command = COMMANDS[words]
    assert isinstance(command, EvalkitCommand)
    assert command.examples
    for example in command.examples:
        given = shlex.split(example.partition(" >> ")[0].partition(" | ")[0])
        assert given[: len(words) + 1] == ["evalkit", *words]
        assert example in run(*words, "--help").output
        assert _refused(command, given[len(words) + 1 :]) in (None, "does not exist")


def _refused(command: click.Command, given: list[str]) -> str | None:
    """Why a command does not take what is given; None if it does. The files of an example are not here."""
    try:
        command.make_context(command.name, given, parent=click.Context(main))
    except click.UsageError as fault:
        return "does not exist" if "does not exist" in fault.message else fault.message
    return None


def test_many_options_stand_below_headings_and_few_do_not() -> None:
    """The help of score has its options in groups; list has two options and one list."""
    assert next(iter(GROUPS)) in run("score", "--help").output
    assert all(heading not in run("list", "--help").output for heading in GROUPS)
    assert run("list", "--help").output.count("Options:") == 1


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_every_option_once_with_its_default(words: tuple[str, ...]) -> None:
    """No option is lost between the groups or without words, and a default that there is can be read."""
    command, text = COMMANDS[words], " ".join(run(*words, "--help").output.split())
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help
            assert any(f" {name} " in f"{text} ".replace(",", "") for name in param.opts)
            if isinstance(param.default, int | float | str | Path) and not param.is_flag:
                assert re.search(rf"\[default: +{re.escape(str(param.default))}", text)


@pytest.mark.parametrize(
    ("words", "meant"), [(["scroe"], "score"), (["dataset", "biuld"], "build"), (["score", "--metrcis"], "--metrics")]
)
def test_a_mistyped_name_is_answered_with_the_nearest(words: list[str], meant: str) -> None:
    """Commands, commands of commands and options are suggested; the exit code is that of wrong usage."""
    result = run(*words)
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert meant in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["score", "--metric", "l1"], "Did you mean --metrics?"),
        (["list", "metric"], "Did you mean metrics?"),
        (["score", "edts", "--metrics", "l1"], "Did you mean edits?"),
        (["score", "edits", "--captions", "captons.csv"], "Did you mean captions.csv?"),
        (["score", "edits", "--captions", "nothing_like_it"], "'nothing_like_it' does not exist."),
        (["score", "edits", "--missing", "flor"], "Did you mean floor?"),
    ],
)
def test_a_mistyped_option_choice_or_file_is_answered_with_what_is_near_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """Files are suggested from the folder in which the path would lie; where nothing is near, nothing is."""
    monkeypatch.chdir(project)
    (project / "edits").mkdir()
    (project / "captions.csv").touch()
    assert " ".join(run(*words).stderr.split()).endswith(said)


def test_every_summary_is_whole_at_80_columns() -> None:
    """The list of commands has no sentence that breaks off."""
    context = click.Context(main, terminal_width=80, **main.context_settings)
    assert "..." not in main.get_help(context).partition("Commands:")[2]


def test_a_name_like_no_command_lists_those_that_there_are() -> None:
    """Where nothing is near, everything is named."""
    assert "There are: cache, check, compare" in " ".join(run("quux").stderr.split())


def test_the_project_file_sets_what_is_not_typed(project: Path) -> None:
    """The nearest file from here upwards gives defaults, which are said; what is typed counts before it."""
    (project / "evalkit.toml").write_text("comparisons = 3\n[power]\nsd = 0.03\nitems = [100, 200]\n")

    shown = run("power", "--effect", "0.01")
    typed = run("power", "--effect", "0.01", "--sd", "0.06")

    assert shown.exit_code == 0
    assert f"{project / 'evalkit.toml'} sets: sd, items, comparisons" in shown.stderr
    assert {"100", "200"} <= {*shown.stdout.split()}
    assert shown.stdout != typed.stdout
    assert "sets: items, comparisons" in typed.stderr


def test_the_project_file_may_be_a_part_of_pyproject(project: Path) -> None:
    """Below [tool.evalkit] stands the same; a pyproject.toml without it is none."""
    (project / "below" / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (project / "pyproject.toml").write_text("[tool.evalkit.power]\nsd = 0.03\n")

    assert "pyproject.toml sets: sd" in run("power", "--effect", "0.01").stderr


def test_files_of_the_project_file_lie_beside_it(project: Path) -> None:
    """A relative path means the same whichever folder a command is given in."""
    (project / "board").mkdir()
    (project / "evalkit.toml").write_text('[leaderboard.schema]\nleaderboard = "board"\n')

    assert run("leaderboard", "schema").exit_code == 0
    assert any((project / "board").rglob("*.json"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("encodr = 'x'", "no command has the option 'encodr'. Did you mean encoder"),
        ("[scoer]\n", "there is no command 'scoer'. Did you mean score"),
        ("[score]\nmetrcis = 'l1'", "evalkit score has no option 'metrcis'. Did you mean metrics"),
        ("[leaderboard.verfy]\n", "there is no command 'leaderboard.verfy'. Did you mean verify"),
        ("[score]\nmetrics = {a = 1}", "expected a value or a list for 'metrics'"),
        ("leaderboard = [", "cannot be read"),
        ("[score]\nlevel = 'high'", "'high' is not a valid float"),
    ],
)
def test_a_fault_of_the_project_file_is_named(project: Path, text: str, said: str) -> None:
    """A key that nobody reads is no default that is silently lost."""
    (project / "evalkit.toml").write_text(text)

    result = run("score", str(project))

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_names_are_completed_after_a_comma_too() -> None:
    """Metrics, methods, benchmarks, protocols and runs complete as far as they are known."""
    context, option = click.Context(main), click.Option(["--metrics"])

    def complete(kind: str, begun: str) -> list[str]:
        return [item.value for item in completed(kind)(context, option, begun) if item.type == "plain"]

    assert "clip_score,l1" in complete("metrics", "clip_score,l")
    assert complete("protocols", "shap") == ["shapes/v1", "shapes/v2"]
    assert "shapes" in complete("benchmarks", "")
    assert {"sdedit", "shuffled_source"} <= {*complete("methods", "s")}


def test_runs_are_completed_beside_files(project: Path) -> None:
    """A run directory that was written where runs are by default is offered, and any file as well."""
    folder = project / "below" / "evalkit_runs" / "ours"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")

    found = completed("runs")(click.Context(main), click.Argument(["runs"]), "evalkit")

    assert [(item.value, item.type) for item in found] == [("evalkit_runs/ours", "plain"), ("evalkit", "file")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_to_complete(shell: str) -> None:
    """What is printed asks evalkit itself."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_EVALKIT_COMPLETE" in result.stdout


def test_short_options_are_the_long_ones() -> None:
    """-o, -b, -m, -j and -n mean the same wherever there is such an option."""
    short = {"--output": "-o", "--benchmark": "-b", "--metrics": "-m", "--json": "-j", "--name": "-n"}
    for command in COMMANDS.values():
        for param in command.params:
            for name in {*param.opts} & short.keys():
                assert short[name] in param.opts


def test_options_that_take_names_complete_them() -> None:
    """What completion knows is asked for where such names are typed."""
    score = COMMANDS[("score",)]
    (metrics,) = [param for param in score.params if param.name == "metrics"]
    assert "l1_background" in [item.value for item in metrics.shell_complete(click.Context(score), "l1_b")]
