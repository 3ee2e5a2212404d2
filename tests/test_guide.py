"""The guide and the README: every page is listed, every command in them is taken, and words are found."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.guide import TOPICS, pages, search

GUIDE = Path("evalkit/guide")
DOCUMENTS = [Path("README.md"), Path("CONTRIBUTING.md"), Path("leaderboard/README.md"), *sorted(GUIDE.glob("*.md"))]
CODE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(evalkit [a-z][^`]*)`")


def commands_in(document: Path) -> list[str]:
    """The command lines of evalkit that a document shows, in blocks and in sentences."""
    text = document.read_text(encoding="utf-8")
    blocks = "\n".join(CODE.findall(text)).replace("\\\n", " ")
    lines = [part.strip() for line in blocks.splitlines() for part in re.split(r"&&|;|\bdo\b", line)]
    found = [line for line in lines if line.startswith("evalkit ")] + INLINE.findall(CODE.sub("", text))
    return [line.split("  #")[0].split(" >> ")[0].replace("\n", " ") for line in found if "…" not in line]


def refusal(line: str) -> str | None:
    """Why the command line would not be taken, apart from files that are not here; None if it would."""
    words = shlex.split(line)[1:]
    command, context = main, click.Context(main, info_name="evalkit")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        if inner is None:
            return f"no command {words[0]}"
        context, command, words = click.Context(inner, parent=context, info_name=words[0]), inner, words[1:]
    if isinstance(command, click.Group) or not words:
        return None
    try:
        command.make_context(command.name, words, parent=context.parent)
    except click.exceptions.Exit:
        return None
    except click.NoSuchOption as fault:
        return fault.format_message()
    except click.UsageError as fault:  # an inline mention leaves out what does not matter, and files are not here
        return (
            fault.format_message()
            if isinstance(fault, click.BadParameter)
            and "does not exist" not in str(fault.message)
            and not isinstance(fault, click.MissingParameter)
            else None
        )
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_that_is_shown_is_taken(document: Path) -> None:
    """A command, an option or a value that is gone does not stay in the documents."""
    refused = {line: why for line in commands_in(document) if (why := refusal(line))}
    assert refused == {}


def test_commands_are_found_and_refused() -> None:
    """The test above looks at something, and would see what is wrong."""
    assert sum(len(commands_in(document)) for document in DOCUMENTS) > 60
    assert "frob" in str(refusal("evalkit score outputs --frob"))
    assert "no command" in str(refusal("evalkit dataset bild x"))
    assert "maybe" in str(refusal("evalkit score outputs --missing maybe"))


def test_the_readme_is_short_and_names_the_guide() -> None:
    """The README says what it is and leads on; the rest is the guide's."""
    text = Path("README.md").read_text()
    assert len(text.splitlines()) <= 150
    named = set(re.findall(r"evalkit guide ([a-z]+)", text))
    assert named <= set(TOPICS)
    assert {"scoring", "comparing", "leaderboard", "metrics", "methods", "benchmarks", "python"} <= named


def test_every_page_has_a_title_and_a_sentence_and_is_listed() -> None:
    """What lies in the folder is what is shown."""
    assert sorted(TOPICS) == sorted(path.stem for path in GUIDE.glob("*.md"))
    for page in pages():
        assert page.text.startswith("# ")
        assert page.summary.endswith(".")
    listed = CliRunner().invoke(main, ["guide"]).stdout
    assert all(page.title in listed for page in pages())


@pytest.mark.parametrize(
    ("words", "topic", "passage"),
    [
        ("target_prompt", "questions", "target_prompt"),
        ("misleads source caption", "metrics", "`clip_directional_similarity`"),
        ("submit card", "leaderboard", "METHOD.yaml"),
    ],
)
def test_a_word_leads_to_the_passage(words: str, topic: str, passage: str) -> None:
    """What a newcomer asks first is found by searching for it."""
    assert any(page.topic == topic and passage in text for page, _, text in search(words))
    shown = CliRunner().invoke(main, ["guide", "--search", words])
    assert shown.exit_code == 0
    assert f"{topic}: " in shown.stdout


def test_a_word_that_is_nowhere_is_said() -> None:
    """No passage is no silence, and the exit code tells."""
    shown = CliRunner().invoke(main, ["guide", "--search", "quuxly"])
    assert shown.exit_code == 3
    assert "No passage holds 'quuxly'" in shown.stdout


def test_a_page_is_printed_as_it_is_in_a_pipe() -> None:
    """Markdown can be handed on; a page that is not there is answered with the nearest."""
    assert CliRunner().invoke(main, ["guide", "scoring"]).stdout.strip() == (GUIDE / "scoring.md").read_text().strip()
    assert "Did you mean scoring" in CliRunner().invoke(main, ["guide", "scorin"]).stderr
