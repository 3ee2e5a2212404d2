"""A folder that is scored by another metric keeps what it was scored by before, or it is said why not."""

from dataclasses import replace

import pytest

from evalkit.edits.manifest import write_manifest
from evalkit.scores.run import read_run
from evalkit.scoring.score import score
from tests.support.fakes import make_items, save_picture


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def items(tmp_path):
    """Six edits of three sources, with their manifest."""
    made = make_items(tmp_path / "edits", 6, 3)
    write_manifest(tmp_path / "edits", made)
    return made


def scored(root, *metrics, output="run", **options):
    """The run that lies there after the folder was scored by some metrics."""
    options = {"encoder": "miniature", "device": "cpu"} | options
    score(root / "edits", root / output, metrics=metrics, **options)
    return read_run(root / output)


def notices(run):
    """What is said of metrics that were not kept."""
    return [problem.message for problem in run.record.problems if problem.code == "replaced_metrics"]


def test_metrics_are_added_without_loss(tmp_path, items):
    """One after the other they are what they are at once, item by item and in the record; the first stays first."""
    scored(tmp_path, "l1", "clip_score")
    added = scored(tmp_path, "psnr")
    at_once = scored(tmp_path, "l1", "clip_score", "psnr", output="at_once")
    assert list(added.record.metrics) == ["l1", "clip_score", "psnr"]
    assert added.record.metrics == at_once.record.metrics
    assert added.record.encoders["clip"].fingerprint == at_once.record.encoders["clip"].fingerprint
    assert added.table.rows == at_once.table.rows
    assert notices(added) == []
    again = scored(tmp_path, "clip_score")
    assert (again.record.metrics, again.table.rows) == (added.record.metrics, added.table.rows)


def test_what_was_said_of_captions_stays_with_the_metric_that_reads_them(tmp_path, items):
    """A caption that was cut is still cut, and is said once."""
    write_manifest(tmp_path / "edits", [replace(item, target_caption="red " * 80) for item in items])
    first = [p for p in scored(tmp_path, "clip_score").record.problems if p.code == "cut_caption"]
    for metric in ("l1", "clip_image_similarity", "clip_score"):
        found = scored(tmp_path, metric).record.problems
        assert [p for p in found if p.code == "cut_caption"] == first
    assert len(first) == 6


@pytest.mark.parametrize("what", ["caption", "group", "source", "edit", "fewer"])
def test_of_other_inputs_nothing_is_kept_and_it_is_said(tmp_path, items, what):
    """Whatever a value could depend on, and groups, on which intervals do."""
    scored(tmp_path, "l1", "mse")
    changed = [*items]
    if what in ("caption", "group"):
        changed[2] = replace(items[2], **{"target_caption" if what == "caption" else "group": "another"})
    elif what == "fewer":
        changed = changed[:-1]
    else:
        save_picture(getattr(items[2], "source_image" if what == "source" else "edited_image"), 999)
    write_manifest(tmp_path / "edits", changed)
    run = scored(tmp_path, "psnr")
    assert list(run.record.metrics) == ["psnr"]
    assert notices(run) == ["l1, mse had been scored before images, captions or groups were changed, and are not kept."]
    assert notices(scored(tmp_path, "psnr")) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [({"level": 0.9}, "with level 0.95"), ({"missing": "floor"}, "with missing fail")],
)
def test_scored_in_another_way_nothing_is_kept_and_it_is_said(tmp_path, items, options, why):
    """A run is one way of scoring."""
    scored(tmp_path, "l1")
    assert notices(scored(tmp_path, "psnr", **options)) == [f"l1 had been scored {why}, and is not kept."]


def test_metrics_through_another_network_are_not_kept_beside_those_of_the_new(tmp_path, items, tiny_transformers_clip):
    """A metric that goes through none stays in either case only with the others: a run is kept whole or not."""
    scored(tmp_path, "clip_score")
    run = scored(tmp_path, "clip_image_similarity", encoder=tiny_transformers_clip)
    assert list(run.record.metrics) == ["clip_image_similarity"]
    assert len(notices(run)) == 1
    assert "clip_score had been scored through miniature/" in notices(run)[0]


def test_a_record_that_does_not_say_what_was_scored_is_replaced(tmp_path, items):
    """Older versions wrote no digest of inputs: nothing is taken over on trust."""
    scored(tmp_path, "l1")
    path = tmp_path / "run" / "run.json"
    run = read_run(tmp_path / "run").record
    path.write_text(path.read_text().replace(run.folder.inputs, ""))
    assert list(scored(tmp_path, "psnr").record.metrics) == ["psnr"]
