"""``evalkit validate``: what it prints and writes, people as a truth, and mistakes."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.cli import main
from tests.support.validity import known_methods, work_folder

TEDBENCH = Path(__file__).parents[2] / "../shared/tedbench"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a cache of its own."""
    yield from work_folder(tmp_path_factory.mktemp("validate"))


@pytest.fixture(scope="module")
def methods(work):
    """The perfect edit under another name, and the wrong one."""
    return known_methods(work)


def run(*arguments):
    """The command, in this process."""
    return CliRunner().invoke(main, ["validate", *map(str, arguments)])


def test_the_command_writes_record_page_and_panel(work, tmp_path):
    """One JSON object on standard output; the same record on disk, a page, and the figure with its numbers."""
    done = run(
        "clip_score", "--benchmark", "shapes", "--sources", 4, "--output", tmp_path / "out",
        "--figures", tmp_path / "figures", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "out" / "validity.json").read_text())
    assert printed["metrics"][0]["verdict"] in (tmp_path / "out" / "validity.md").read_text()
    assert printed["n_items"] == 16
    rows = list(csv.DictReader((tmp_path / "figures" / "validity.csv").read_text().splitlines()))
    drawn = {(row["panel"], row["name"]): float(row["value"]) for row in rows}
    expected = {found["control"]: found["probability"] for found in printed["metrics"][0]["controls"]}
    assert drawn["control", "identity"] == expected["identity"]
    for suffix in ("svg", "pdf", "png"):
        assert (tmp_path / "figures" / f"validity.{suffix}").stat().st_size > 1000


def test_the_tables_are_for_people(work, tmp_path):
    """The warning about the toy encoder and the verdicts first, then the tables and the signature."""
    done = run("clip_score", "--benchmark", "shapes", "--sources", 4, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("miniature encoder: a dry run on a toy")
    assert done.output.splitlines()[1].startswith("clip_score: ")
    for words in ("reference edit beats the control", "jpeg_90", "enc:miniature", "dry run on a toy"):
        assert words in done.output


def test_people_are_a_truth_too(work, methods, tmp_path):
    """Scores by item and method are held against every metric; agreement is with what people said."""
    table = tmp_path / "people.csv"
    items = [item.item_id for item in BENCHMARKS.get("shapes")().items]
    lines = [f"{item},{name},{score}" for item in items for name, score in (("careful", 5), ("careless", 1))]
    table.write_text("\n".join(["item_id,method,rating", *lines]))
    done = run(
        "clip_score", "--benchmark", "shapes", *methods, "--sources", 6, "--human", table, "--human-column", "rating",
        "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    agreements = json.loads(done.stdout)["metrics"][0]["agreements"]
    people = next(found for found in agreements if found["truth"] == "rating" and found["edit_type"] is None)
    assert people["value"] > 0.8
    assert people["how"] == "kendall within items"


def test_metrics_are_held_against_people_in_pairs_and_against_each_other(work, methods, tmp_path):
    """Raters are averaged; accuracy with ties, soft accuracy and a test between metrics stand in record and tables."""
    table = tmp_path / "people.csv"
    items = [item.item_id for item in BENCHMARKS.get("shapes")().items]
    said = (("careful", "ann", 5), ("careful", "bob", 4), ("careless", "ann", 1), ("careless", "bob", 2))
    lines = [f"{item},{method},{who},{score + n % 2}" for n, item in enumerate(items) for method, who, score in said]
    table.write_text("\n".join(["what,whose,who,stars", *lines]))
    mapped = [word for part in ("item=what", "method=whose", "rater=who") for word in ("--map", part)]
    arguments = ("clip_score", "l1", "--benchmark", "shapes", *methods, "--sources", 6, "--human", table, *mapped)
    done = run(*arguments, "--output", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    of_metric = {metric["metric"]: metric["people"] for metric in record["metrics"]}
    assert of_metric["clip_score"]["accuracy"] > 0.8
    assert of_metric["clip_score"]["n_ties"] == 0
    assert of_metric["clip_score"]["n_pairs"] == of_metric["clip_score"]["n_items"] == 24
    assert [(c["first"], c["second"], c["measure"]) for c in record["contrasts"]] == [
        ("clip_score", "l1", "pairwise accuracy"),
        ("clip_score", "l1", "soft pairwise accuracy"),
    ]
    assert any("2 labels per edit by 2 raters" in note for note in record["notes"])
    page = (tmp_path / "out/validity.md").read_text()
    assert "Agreement with people (stars) over 2 methods" in page
    assert "PERM-BOTH" in page


def test_one_method_with_human_scores_is_correlated_over_items(work, methods, tmp_path):
    """With a single method there is nothing to order within an item."""
    shapes = BENCHMARKS.get("shapes")()
    table = tmp_path / "people.csv"
    table.write_text("\n".join(["item_id,rating", *(f"{item.item_id},{n % 5}" for n, item in enumerate(shapes.items))]))
    done = run(
        "clip_score", "--benchmark", "shapes", methods[0], "--sources", 6, "--human", table, "--human-column", "rating",
        "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    people = json.loads(done.stdout)["metrics"][0]["agreements"][0]
    assert (people["truth"], people["how"], people["n_items"]) == ("rating", "spearman over items", 24)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["zz{item},careful,3", "zz{item},careless,3"], "labels none of the 24 items: items are joined by their id"),
        (["{item},someone,3"], "expected the same names. Name the column of methods: --map method=HEADING"),
    ],
    ids=["items", "methods"],
)
def test_labels_of_something_else_are_refused(work, methods, tmp_path, rows, said):
    """Of other items as of other methods: nothing could be held against them."""
    table = tmp_path / "people.csv"
    items = [item.item_id for item in BENCHMARKS.get("shapes")().items]
    table.write_text("\n".join(["item_id,method,rating", *(row.format(item=item) for item in items for row in rows)]))
    arguments = ("clip_score", "--benchmark", "shapes", *methods, "--sources", 6, "--human", table)
    done = run(*arguments, "--output", tmp_path / "out")
    assert done.exit_code == 1, done.output
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clip_scor", "--benchmark", "shapes"), "Did you mean clip_score"),
        (("l1", "--benchmark", "shapes", "no_such_folder"), "'no_such_folder' is neither a metric nor a folder"),
        (("clip_score", "--benchmark", "shape"), "Did you mean shapes"),
        (("clip_score", "--benchmark", "shapes", "--human-column", "rating"), "say how to read --human FILE"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(work, tmp_path, arguments, said):
    """With what to type instead."""
    done = run(*arguments, "--output", tmp_path / "out")
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.slow
@pytest.mark.skipif(not TEDBENCH.is_dir(), reason="the copy of TEdBench in ../shared is not here")
def test_without_reference_images_a_method_stands_for_the_true_edit(work, tmp_path):
    """TEdBench has none: the first folder is taken, and without a folder the message says what to give."""
    done = run(
        "clip_image_similarity", "--benchmark", "tedbench", TEDBENCH / "imagic", "--data", TEDBENCH, "--sources", 2,
        "--encoder", "miniature", "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["true_edit"] == "imagic"
    done = run("clip_score", "--benchmark", "tedbench", "--data", TEDBENCH, "--output", tmp_path / "none")
    assert done.exit_code == 1
    assert "evalkit validate METRIC --benchmark tedbench PATH" in done.output
