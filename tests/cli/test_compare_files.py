"""``evalkit compare --figures`` and ``--report``: what is written where, and what is said."""

import json

import pytest
from click.testing import CliRunner
from evalkit.report.figures.data import paired

from evalkit.cli import main
from evalkit.comparison.compare import compare
from tests.support.runs import A, B, write_scores


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def two(tmp_path):
    """Two runs of six items, b better on each."""
    return [write_scores(tmp_path / name, {"clip_score": values}) for name, values in (("a", A), ("b", B))]


def test_figures_and_page_are_written_and_named(two, tmp_path):
    """Real runs give every figure and a page that says the verdict; standard output stays one JSON object."""
    figures, page = tmp_path / "new" / "figures", tmp_path / "page.html"
    done = evalkit("compare", *two, "--figures", figures, "--report", page, "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["comparisons"][0]["verdict"] == "b_better"
    kinds = {file.name.removesuffix("_clip_score.svg") for file in figures.glob("*.svg")}
    assert kinds == {"forest", "ecdf", "heat_map", "power"}
    assert f"Wrote 17 files to {figures}" in done.stderr
    assert f"Wrote {page}" in done.stderr
    text = page.read_text("utf-8")
    assert "On clip_score ↑: b is better than a." in text
    assert "The pictures of a are not shown: " in text
    assert "is not there any more" in text


def test_a_place_that_cannot_be_written_is_one_sentence(two, tmp_path):
    """A page below a file cannot be written: the message names it and the options."""
    (tmp_path / "file").write_text("")
    done = evalkit("compare", *two, "--report", tmp_path / "file" / "page.html")

    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert "--report FILE.html" in done.stderr
    assert "Traceback" not in done.stderr


def test_figures_have_the_groups_of_the_comparison(two, tmp_path):
    """Groups given by a table replace those of the runs also where figures take their scores from."""
    table = tmp_path / "groups.csv"
    table.write_text("item_id,group\n" + "".join(f"item_{n},g{n // 2}\n" for n in range(6)))
    comparison = compare(two, groups=table)

    for method in comparison.methods:
        assert [row.group for row in method.table.rows] == ["g0", "g0", "g1", "g1", "g2", "g2"]
    assert paired(comparison, "clip_score", "a", "b").groups == ("g0", "g0", "g1", "g1", "g2", "g2")
    assert [row.group for row in compare(two).methods[0].table.rows] == [f"item_{n}" for n in range(6)]
