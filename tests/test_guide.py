"""The guide, the README and the help: every command in them runs, every page is listed, and words are found."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.guide import TOPICS, pages, search
from tests.support.shown import DOCUMENTS, HELP, NOT_RUN, STAND_INS, lines_in, ran

GUIDE = Path("evalkit/guide")
SLOW = ("machines", "methods", "validity", "help")
"""Pages whose commands take more than some seconds."""


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory) -> Path:
    """The folders that all documents speak of, made once."""
    from tests.support.shown_world import lay_out

    return lay_out(tmp_path_factory.mktemp("shown"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, marks=pytest.mark.slow if any(name in path.name for name in SLOW) else (), id=str(path))
        for path in (*DOCUMENTS, HELP)
    ],
)
def test_every_command_that_is_shown_runs(document: Path, laid_out: Path, tmp_path: Path) -> None:
    """Line after line, in the order of the page, in a small world that the page could speak of."""
    faults = {line: shown.output for line, shown in ran(document, laid_out, tmp_path / "world") if shown.exit_code != 0}
    assert faults == {}


def test_what_stands_in_or_is_not_run_is_shown_somewhere() -> None:
    """Nothing is excused that no document shows; most of what is shown runs as it is."""
    lines = [line for document in (*DOCUMENTS, HELP) for line in lines_in(document)]
    assert [pattern for pattern, *_ in STAND_INS if not any(re.search(pattern, line) for line in lines)] == []
    assert NOT_RUN.keys() <= {*lines}
    as_it_is = [line for line in lines if not any(re.search(pattern, line) for pattern, *_ in STAND_INS)]
    assert len(as_it_is) > 0.6 * len(lines) > 60


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
        ("column headings", "questions", "target_prompt"),
        ("misleads source caption", "metrics", "`clip_directional_similarity`"),
        ("submit card", "leaderboard", "METHOD.yaml"),
        ("captions csv columns", "scoring", "Excel"),
    ],
)
def test_a_word_leads_to_the_passage(words: str, topic: str, passage: str) -> None:
    """What a newcomer asks first is found by searching for it."""
    found, _, _ = search(words)[0]
    assert found.topic == topic
    assert any(page.topic == topic and passage in text for page, _, text in search(words))
    shown = CliRunner().invoke(main, ["guide", "--search", words])
    assert shown.exit_code == 0
    assert f"{topic}: " in shown.stdout


def test_a_word_that_is_nowhere_is_said() -> None:
    """No passage is no silence, and the exit code tells."""
    shown = CliRunner().invoke(main, ["guide", "--search", "quuxly"])
    assert shown.exit_code == 3
    assert "No page holds 'quuxly'" in shown.stdout


def test_a_page_is_printed_within_the_width_and_nothing_of_it_is_cut() -> None:
    """Lines of code alone are as long as they are, to be copied; JSON has the Markdown to hand on."""
    page, code = (GUIDE / "scoring.md").read_text(), re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["guide", "scoring"]).stdout
    commands = [line for block in code.findall(page) for line in block.splitlines()]
    assert {line.strip() for line in shown.splitlines() if len(line) > 80} == {c for c in commands if len(c) > 78}
    assert "…" not in code.sub("", shown).replace("1.png, …", "")
    assert json.loads(CliRunner().invoke(main, ["guide", "scoring", "--json"]).stdout)["text"] == page


def test_a_page_that_is_not_there_is_answered_with_the_nearest() -> None:
    """A slip of the fingers."""
    assert "Did you mean scoring" in CliRunner().invoke(main, ["guide", "scorin"]).stderr
