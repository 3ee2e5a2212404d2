"""Records show themselves: in every form what the command prints, and names that loggers take."""

import io
import json
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit
from evalkit.cli import main
from evalkit.tables.exportable import scalars_of
from tests.support.comparisons import comparison_of
from tests.support.fakes import write_folder
from tests.support.runs import random_runs


def printed(*arguments):
    """What a command prints."""
    done = CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A record of each kind with the command that prints it."""
    root = tmp_path_factory.mktemp("records")
    run = evalkit.score(write_folder(root / "edits", 4), root / "run", metrics=["l1"], cached=False)
    runs = random_runs(root, ["ours", "base", "third"], metrics=("clip_score", "lpips"), lower=("lpips",))
    folders = [write_folder(root / "folders" / name, 4) for name in ("mine", "theirs")]
    each = evalkit.score_each([*folders, root / "nothing"], root / "each", metrics=["l1"], cached=False)
    return {
        "runs": (each, ["score", *folders, "-m", "l1", "-o", root / "each", "--no-cache"]),
        "run": (run, ["score", root / "edits", "-m", "l1", "-o", root / "run", "--no-cache"]),
        "comparison": (evalkit.compare(runs), ["compare", *runs]),
        "plan": (evalkit.power(*runs[:2], comparisons=3), ["power", *runs[:2], "--comparisons", 3]),
    }


@pytest.mark.parametrize("kind", ["run", "runs", "comparison", "plan"])
def test_a_record_is_what_the_command_prints(records, kind, monkeypatch):
    """``print`` shows the lines of the command, JSON is its object, and every number is in the other forms, too."""
    record, command = records[kind]
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line for line in str(record).splitlines() if line]
    assert len(lines) > 4
    shown, found = printed(*command).splitlines(), json.loads(record.to_json())
    wanted = json.loads(printed(*command, "--json"))
    if kind == "runs":  # the command was not asked for the folder that is not there
        lines, (failure,) = [line for line in lines if line in shown], found.pop("failed")
        assert "does not exist" in failure["error"]["message"] in " ".join(str(record).split())
        assert wanted.pop("failed") == []
        assert "compare" in wanted.pop("next")
    assert [line for line in shown if line in lines] == lines
    assert found == wanted
    html = "".join(ElementTree.fromstring(record._repr_html_()).itertext())
    for table in record._shown().tables:
        cells = [" ".join(cell.split()) for row in (table.header, *table.rows) for cell in row]
        assert all(cell in html for cell in cells)
        if kind != "comparison":
            assert all(cell in record.to_markdown().replace("\\", "") for cell in cells)
            assert all(cell in plain(record.to_latex()) for cell in cells)
    assert "\n" not in repr(record)


def plain(text):
    """LaTeX without its commands for signs."""
    for sign, command in ((" %", r"\,\%"), ("↓", r"$\downarrow$"), ("[", "{[}"), ("]", "{]}"), ("±", r"$\pm$")):
        text = text.replace(command, sign)
    return text.replace("\\_", "_")


def test_a_comparison_exports_what_the_command_exports(records):
    """Markdown and LaTeX letter by letter; the frame has the columns and the values of the CSV."""
    comparison, command = records["comparison"]
    assert comparison.to_markdown() == printed(*command, "--export", "md")
    assert comparison.to_latex() == printed(*command, "--export", "latex")
    csv = pd.read_csv(io.StringIO(printed(*command, "--export", "csv")))
    pd.testing.assert_frame_equal(comparison.to_dataframe().replace("", None), csv, check_dtype=False)


def test_a_run_is_a_row_per_item(records):
    """Under the names that ``items.jsonl`` has, with seeds as numbers."""
    frame = records["run"][0].to_dataframe()
    assert list(frame.columns) == ["item_id", "group", "seed", "edit_type", "status", "l1"]
    assert len(frame) == 4
    assert frame["l1"].mean() == pytest.approx(records["run"][0].record.metrics["l1"].mean)


def test_runs_are_a_row_per_item_of_each(records):
    """Under the names of the tables."""
    frame = records["runs"][0].to_dataframe()
    assert frame.groupby("run").size().to_dict() == {"mine": 4, "theirs": 4}
    assert list(frame.columns) == ["run", "item_id", "group", "seed", "edit_type", "status", "l1"]


def test_a_plan_is_a_row_per_answer(records):
    """What is asked about is named beside it."""
    frame = records["plan"][0].to_dataframe().set_index("given")
    assert {"items", "groups", "effect", "equivalence_items"} < {*frame.columns}
    assert frame.loc["effect", "items"].tolist() == [row.items for row in records["plan"][0].needed]


def test_names_are_text_in_a_notebook_and_a_record_is_one_line():
    """A method may be called anything; thirty of them do not fill the screen."""
    names = ["<script>alert(1)</script>", "a & b\x1b[2J", *(f"method {number}" for number in range(10))]
    comparison = comparison_of(12, names=names)
    html = comparison._repr_html_()
    assert "<script>" not in html
    assert "a & b" in "".join(ElementTree.fromstring(html).itertext())
    assert "\x1b" not in str(comparison) + repr(comparison) + html
    assert len(repr(comparison)) < 600


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["mean", "n"])), unique=True, max_size=8))
def test_no_scalar_is_lost_and_no_name_is_a_path(parts):
    """Whatever metrics and methods are called, every number has a name of its own that loggers take."""
    found = scalars_of(dict.fromkeys(parts, 1.5) | {("not there", "mean"): None})
    assert len(found) == len(parts)
    for name in found:
        assert all(letter.isascii() and (letter.isalnum() or letter in "_-. /") for letter in name)
        assert all(part.strip(". ") for part in name.split("/"))
