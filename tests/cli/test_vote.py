"""``evalkit vote``: what it says, that it ends on Ctrl-C with what was voted, and its contracts."""

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from tests.support.voting import asked, joined, write_methods


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Edit folders of three methods, the second without one edit."""
    return write_methods(tmp_path_factory.mktemp("edits"), missing=[("other_editor", 2)])


@contextmanager
def command(*arguments, cache):
    """A command in a process of its own, and the address that it says."""
    words = [sys.executable, "-m", "evalkit", "vote", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"EVALKIT_CACHE": str(cache), "PATH": ""}
        | {"PYTHONPATH": ":".join(sys.path)},
    ) as process:  # fmt: skip
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/\w+/", line):
                break
        try:
            yield process, found.group(), "".join(said)
        finally:
            process.kill()


def test_votes_are_collected_until_it_is_interrupted(folders, tmp_path):
    """It says what nobody votes on and where to vote; ended, who answered how much; given again, it goes on."""
    target = tmp_path / "new" / "votes.jsonl"
    with command(*folders, "--votes", 6, "-o", target, cache=tmp_path) as (process, address, said):
        assert "other_editor has no edit of 1 item (item2): nobody votes on these." in said
        assert "Each rater is shown 6 pairs and 1 attention check of 6 items." in said
        rater = joined(address, "Anna")["rater"]
        for n in range(2):
            assert asked(address, "POST", "answer", {"rater": rater, "n": n, "answer": "left"})[0] == 200
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "Anna: 2 of 7 answered" in out
    assert len(target.read_text().splitlines()) == 2
    with command(*folders, "--votes", 6, "-o", target, "--json", cache=tmp_path) as (process, again, _):
        assert again.split("/")[3] == address.split("/")[3]
        assert joined(again, "Anna")["answers"] == {"0": "left", "1": "left"}
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert told["n_votes"] == 2
    assert told["raters"] == {"Anna": {"answered": 2, "ballots": 7}}
    assert told["votes"] == str(target)


def test_page_need_not_be_named(folders, tmp_path):
    """Runs after ``vote`` are those of ``vote page``; a refusal is one sentence with code 1."""
    target = str(tmp_path / "votes.jsonl")
    short, long = (
        CliRunner().invoke(main, ["vote", *words, folders[0], "-o", target], prog_name="evalkit")
        for words in ([], ["page"])
    )
    assert short.exit_code == long.exit_code == 1
    assert short.output == long.output
    assert "Error: Votes are between two methods or more" in short.output
    assert CliRunner().invoke(main, ["vote", "--help"]).output.startswith("Usage:")
    assert CliRunner().invoke(main, ["vote", "--votes", "0", *folders]).exit_code == 2


def test_pages_are_written_answered_and_merged(folders, tmp_path, monkeypatch):
    """What is written says what comes next; a contradiction is named, and the code is 3."""
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    written = run(main, ["vote", "write", *folders, "--votes", "3", "--raters", "2", "-o", "study"])
    assert written.exit_code == 0, written.output
    assert "Wrote 2 pages" in written.stdout
    assert "evalkit vote merge --study study/study.json ANSWERS" in written.stdout
    study = json.loads(Path("study/study.json").read_text())
    for name, answer in (("one", "left"), ("two", "right")):
        answers = [{"n": 0, "answer": answer}, {"n": 1, "answer": "tie"}]
        content = {"format": "evalkit.answers/1", "study": study["id"], "page": 1, "rater": "Anna", "answers": answers}
        Path(f"study/{name}.json").write_text(json.dumps(content))
    one = run(main, ["vote", "merge", "study/one.json"])
    assert one.exit_code == 0, one.output
    assert one.stdout.startswith("2 votes of 1 rater\n")
    both = run(main, ["vote", "merge", "study/one.json", "study/two.json", "--json"])
    told = json.loads(both.stdout)
    assert both.exit_code == 3
    assert (told["n_votes"], told["n_duplicates"], len(told["conflicts"])) == (1, 1, 1)
    Path("notes.txt").write_text("mine")
    refused = run(main, ["vote", "merge", "study/one.json", "-o", "notes.txt"])
    assert refused.exit_code == 1
    assert Path("notes.txt").read_text() == "mine"
