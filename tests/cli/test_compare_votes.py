"""``evalkit compare VOTES`` as a person runs it."""

import json

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.votes.records import Vote, write_votes
from tests.support.votes import simulated_votes
from tests.support.voting import write_methods


@pytest.fixture
def votes(tmp_path):
    """A study of three methods."""
    path = tmp_path / "votes.jsonl"
    write_votes(path, simulated_votes({"ours": 1.5, "theirs": 0.0, "twin": 0.0}))
    return path


def run(*arguments, columns=80):
    """The command in this process."""
    return CliRunner().invoke(main, ["compare", *map(str, arguments)], env={"COLUMNS": str(columns)})


def test_the_answer_comes_first_and_fits_a_narrow_terminal(votes):
    """The table of abilities, then the answer; no line is longer than the terminal is wide."""
    shown = run(votes, "--by", "edit_type")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == "Abilities in log-odds with pointwise 95 % intervals"
    assert "On preference: ours is best." in shown.stdout
    assert max(map(len, lines)) <= 80
    assert "Comparisons on preference" not in shown.stdout
    assert "Comparisons on preference" in run(votes, "--details").stdout


def test_json_is_one_object_with_the_keys_that_scores_have(votes):
    """Programs that read comparisons of scores find pairs, ranking, settings and sets where they were."""
    record = json.loads(run(votes, "--json", "--margin", "preference=0.2").stdout)
    assert {"comparisons", "ranking", "settings", "not_told_apart", "signature"} <= record.keys()
    assert record["settings"]["margins"] == {"preference": 0.2}
    first = record["comparisons"][0]
    assert {
        "metric",
        "a",
        "b",
        "difference",
        "ci_low",
        "ci_high",
        "p_value",
        "adjusted_p_value",
        "verdict",
    } <= first.keys()
    assert first["sentence"]


@pytest.mark.parametrize(
    ("to", "beginning"), [("md", "- On preference"), ("csv", "metric,a,b,n_votes"), ("latex", "%")]
)
def test_exports(votes, to, beginning):
    """Markdown, CSV and LaTeX, as for scores."""
    shown = run(votes, "--export", to)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith(beginning)


def test_a_page_is_written(votes, tmp_path):
    """Self-contained, with the answer and the methods section."""
    shown = run(votes, "--report", tmp_path / "votes.html")
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "votes.html").read_text()
    assert "ours is best" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_figures_are_written_with_their_numbers(votes, tmp_path):
    """Abilities and votes by pair, as SVG, PDF, PNG and CSV, with an index."""
    shown = run(votes, "--figures", tmp_path / "figures")
    assert shown.exit_code == 0, shown.output
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = ("abilities_preference", "votes_preference")
    assert names == {"index.html", *(f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "png", "csv"))}
    assert (tmp_path / "figures" / "votes_preference.csv").read_text().startswith("method,other,won,tied,lost,votes")


def test_columns_of_others_are_named(tmp_path):
    """A table that nobody could guess is read by ``--map``."""
    rows = "\n".join(f"p{n};x;y;{'x' if n % 3 else 'y'};r{n % 4}" for n in range(30))
    (tmp_path / "v.csv").write_text(f"bild;eins;zwei;urteil;wer\n{rows}\n")
    given = [f"--map={part}" for part in ("item=bild", "a=eins", "b=zwei", "winner=urteil", "rater=wer")]
    shown = run(tmp_path / "v.csv", *given)
    assert shown.exit_code == 0, shown.output
    assert "30 votes on 30 items, each its own group, by 4 raters" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--test", "t"], "--test says nothing about votes: leave it out."),
        (["--figures", "f", "--figures-all"], "--figures-all says nothing about votes: leave it out."),
        (["--map", "winners=x"], "Columns of votes are given as PART=HEADING"),
    ],
)
def test_options_about_scores_are_refused(votes, more, message):
    """One sentence, and exit code 1."""
    shown = run(votes, *more)
    assert shown.exit_code == 1
    assert message in " ".join(shown.output.split())


def test_votes_and_scores_are_not_mixed(votes, tmp_path):
    """Votes are compared by themselves."""
    (tmp_path / "s.csv").write_text("item_id,method,ssim\np0,x,0.5\np1,x,0.4\n")
    shown = run(votes, tmp_path / "s.csv")
    assert shown.exit_code == 1
    assert "votes are compared by themselves" in " ".join(shown.output.split())


def test_the_page_shows_the_edits_of_the_runs_that_are_named(tmp_path, votes):
    """--edits says where each method's edits are; the page then has a gallery, and none without."""
    ours, theirs = write_methods(tmp_path / "edits", names=("ours", "theirs"))
    cast = [
        Vote(item_id=f"item{n}", a="ours", b="theirs", winner="ab"[rater % 2], rater=f"r{rater}")
        for n in range(6)
        for rater in range(4)
    ]
    write_votes(votes, cast)
    page = tmp_path / "page.html"
    for given, has_gallery in (((), False), (("--edits", ours, "--edits", f"theirs={theirs}"), True)):
        shown = run(votes, "--report", page, *given)
        assert shown.exit_code == 0, shown.output
        assert ('<h2 id="gallery">' in page.read_text()) == has_gallery
    assert page.read_text().count('<article class="item">') == 6


def test_edits_without_a_page_or_without_votes_are_refused(tmp_path, votes):
    """The option does something or is refused, with what to do."""
    shown = run(votes, "--edits", tmp_path)
    assert shown.exit_code == 1
    assert "--edits is for the gallery of a page" in " ".join(shown.output.split())
    (tmp_path / "scores.csv").write_text("item_id,method,score\na,x,1\na,y,2\n")
    shown = run(tmp_path / "scores.csv", "--edits", tmp_path)
    assert shown.exit_code == 2
    assert "runs know their own: leave it out" in " ".join(shown.output.split())
