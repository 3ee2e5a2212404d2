"""``evalkit validate``: metrics on controls whose quality is known, over the shapes benchmark."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.cli import main
from evalkit.images.decode import read_image
from evalkit.validity.damage import DAMAGES, damaged
from evalkit.validity.systems import gather_systems
from evalkit.validity.validate import validate_metrics

TEDBENCH = Path(__file__).parents[2] / "../shared/tedbench"
METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity", "edit_success")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A place of one's own, with the cache in it."""
    folder = tmp_path_factory.mktemp("validate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def methods(work):
    """Two 'methods': the perfect edit under another name, and the wrong one."""
    shapes = BENCHMARKS.get("shapes")()
    return [
        write_control(control, shapes.load(), work / "methods" / name, rng=np.random.default_rng(0))
        for name, control in (("careful", "reference"), ("careless", "wrong_attribute"))
    ]


@pytest.fixture(scope="module")
def validity(work, methods):
    """What was found over ten sources."""
    return validate_metrics(METRICS, "shapes", work / "out", methods=methods, limit=10)


def metric(validity, name):
    """One of its metrics."""
    return next(found for found in validity.metrics if found.metric == name)


def control(found, name):
    """One of a metric's controls."""
    return next(against for against in found.controls if against.control == name)


def test_a_perfect_edit_beats_its_controls_on_alignment(validity):
    """The miniature encoder understands the shapes: CLIPScore tells the edit that was asked for."""
    found = metric(validity, "clip_score")
    for name in ("identity", "shuffled_source", "wrong_attribute", "shuffled_caption"):
        assert control(found, name).probability > 0.9, name
    assert control(found, "shuffled_caption").kind == "caption"


def test_a_preservation_metric_rewards_doing_nothing(validity):
    """The verdict leads with it: the untouched source wins on every item."""
    found = metric(validity, "clip_image_similarity")
    assert control(found, "identity").probability == 0.0
    assert "rewards doing nothing" in found.verdict
    assert not any(against.control == "shuffled_caption" for against in found.controls)


def test_an_undefined_value_is_no_victory(validity):
    """Directional similarity has none for an untouched source: no probability, and the reason."""
    found = control(metric(validity, "clip_directional_similarity"), "identity")
    assert found.probability is None
    assert "same to the encoder" in found.reason


def test_the_truth_itself_is_recognised(validity):
    """The reference edit always succeeds, the wrong one never; and it is not judged against itself."""
    found = metric(validity, "edit_success")
    assert found.mean == 1.0
    assert control(found, "wrong_attribute").mean == 0.0
    assert "truth" in found.verdict
    assert not any(agreement.truth == "edit_success" for agreement in found.agreements)


def test_agreement_is_known_for_every_edit_type(validity):
    """Two methods of which one is right everywhere: a metric that sees it agrees on every item; spatial types too."""
    agreements = {
        agreement.edit_type: agreement
        for agreement in metric(validity, "clip_score").agreements
        if (agreement.truth, agreement.scope) == ("edit_success", "methods")
    }
    assert agreements[None].value > 0.9
    assert agreements[None].n_items == validity.n_items == 40
    assert {"move_left", "move_right"} <= set(agreements)
    assert sum(found.n_items for kind, found in agreements.items() if kind) == 40


def test_only_items_that_all_methods_have_are_used(work, methods, tmp_path):
    """A folder with half of the items halves the trial, and a note says so."""
    half = tmp_path / "half"
    half.mkdir()
    for number, item in enumerate(BENCHMARKS.get("shapes")().items[:40]):
        if number % 2:
            (half / f"{item.item_id}.png").write_bytes((methods[0] / f"{item.item_id}.png").read_bytes())
    shapes = BENCHMARKS.get("shapes")()
    systems = gather_systems(shapes.load(), [half, methods[1]], tmp_path / "work")
    assert {len(system.items) for system in systems.all} == {20}
    assert systems.notes == ("20 of the benchmark's 288 items: those that all methods have",)


def test_captions_come_from_another_source(work, tmp_path):
    """The shuffled captions are those of an item of another group, for every item."""
    shapes = BENCHMARKS.get("shapes")()
    systems = gather_systems(shapes.load(), [], tmp_path, limit=8)
    shuffled = next(system for system in systems.others if system.kind == "caption").items
    texts = {item.item_id: (item.source_caption, item.target_caption) for item in shapes.items}
    groups = {item.item_id: item.group for item in shapes.items}
    for item in shuffled:
        owners = {groups[name] for name, both in texts.items() if both == (item.source_caption, item.target_caption)}
        assert owners - {item.group}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_changes_pixels_and_nothing_else(work, tmp_path, name):
    """Each damaged edit is close to its original and not equal to it; only one kind changes the size."""
    shapes = BENCHMARKS.get("shapes")()
    item = gather_systems(shapes.load(), [], tmp_path, limit=2).true.items[0]
    (hurt,) = damaged(name, [item], tmp_path / "damaged")
    before, after = read_image(item.edited_image), read_image(hurt.edited_image)
    assert after.size == (tuple(2 * side for side in before.size) if name == "resize_double" else before.size)
    apart = np.abs(np.asarray(after.resize(before.size), dtype=float) - np.asarray(before, dtype=float)).mean()
    assert 0 < apart < 12
    assert (hurt.item_id, hurt.target_caption) == (item.item_id, item.target_caption)


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
    """Verdicts first, then the tables, the signature and the warning about the toy encoder."""
    done = run("clip_score", "--benchmark", "shapes", "--sources", 4, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("clip_score: ")
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
    ("arguments", "said"),
    [
        (("clip_scor", "--benchmark", "shapes"), "Did you mean clip_score"),
        (("clip_score", "--benchmark", "shape"), "Did you mean shapes"),
        (("clip_score", "--benchmark", "shapes", "--human", __file__), "go together"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(work, tmp_path, arguments, said):
    """With what to type instead."""
    done = run(*arguments, "--output", tmp_path / "out")
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert "Traceback" not in done.output


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
