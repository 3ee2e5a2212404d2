"""``evalkit validate``: metrics on controls whose quality is known, over the shapes benchmark."""

from dataclasses import replace

import numpy as np
import pytest

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.images.decode import read_image
from evalkit.validity.damage import DAMAGES, damaged
from evalkit.validity.systems import collect_systems
from evalkit.validity.trial import truth_metrics
from evalkit.validity.validate import validate_metrics
from tests.support.validity import known_methods, work_folder

KEPT = ("subject_detail", "scene_detail", "unnamed_attribute")

METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity", "edit_success")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a cache of its own."""
    yield from work_folder(tmp_path_factory.mktemp("validate"))


@pytest.fixture(scope="module")
def methods(work):
    """The perfect edit under another name, and the wrong one."""
    return known_methods(work)


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


@pytest.mark.parametrize(
    ("benchmark", "names"),
    [
        ("shapes", ["edit_success", "attribute_preservation"]),
        ("shapes:v2", ["edit_success:v2", *(f"{what}_preservation" for what in KEPT)]),
    ],
)
def test_the_truth_is_read_by_the_recogniser_of_the_version(benchmark, names):
    """Pictures with details by the one that sees them; and the distance to the perfect edit."""
    found = truth_metrics(BENCHMARKS.get(benchmark)().items)

    assert [metric.name for metric in found] == [*names, "l1_reference"]


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
    systems = collect_systems(shapes.load(), [half, methods[1]], tmp_path / "work")
    assert {len(system.items) for system in systems.all} == {20}
    assert systems.notes == ("20 of the benchmark's 288 items: those that all methods have",)


def test_captions_come_from_another_source(work, tmp_path):
    """The shuffled captions are those of an item of another group, for every item."""
    shapes = BENCHMARKS.get("shapes")()
    systems = collect_systems(shapes.load(), [], tmp_path, limit=8)
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
    item = collect_systems(shapes.load(), [], tmp_path, limit=2).true.items[0]
    (hurt,) = damaged(name, [item], tmp_path / "damaged")
    before, after = read_image(item.edited_image), read_image(hurt.edited_image)
    assert after.size == (tuple(2 * side for side in before.size) if name == "resize_double" else before.size)
    apart = np.abs(np.asarray(after.resize(before.size), dtype=float) - np.asarray(before, dtype=float)).mean()
    assert 0 < apart < 12
    assert (hurt.item_id, hurt.target_caption) == (item.item_id, item.target_caption)
    (hurt,) = damaged(name, [replace(item, item_id="../a/b")], tmp_path / "damaged")
    assert hurt.edited_image.resolve().parent.parent == tmp_path.resolve() / "damaged"
