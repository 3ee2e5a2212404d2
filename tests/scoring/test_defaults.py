"""Folders whose items nobody captioned: what they are scored by, and what is said of it, once for the whole run."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.edits.manifest import write_manifest
from evalkit.errors import UnknownNameError
from evalkit.scores.tables import run_notes
from evalkit.scoring.defaults import WITHOUT_CAPTIONS, default_metrics
from evalkit.scoring.options import DEFAULT_METRICS, ScoreOptions
from evalkit.scoring.score import score
from tests.support.fakes import make_items, save_picture


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """A cache that the tests of this file share."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path_factory.getbasetemp() / "defaults_cache"))


def folder_of(root, **fields):
    """Six edits whose items have those fields in the place of captions."""
    items = [
        replace(item, source_caption=None, target_caption=None, instruction="Make it so.", **fields)
        for item in make_items(root, 6, 3)
    ]
    write_manifest(root, items)
    return root, items


def names(metrics):
    """What they are called."""
    return [metric.name for metric in metrics]


def test_with_captions_the_usual_metrics_stand_and_nothing_is_said(tmp_path):
    """Source and target captions are there."""
    metrics, remarks = default_metrics(DEFAULT_METRICS, make_items(tmp_path, 4, 2))
    assert (names(metrics), remarks) == (list(DEFAULT_METRICS), ())


def test_without_captions_it_is_measured_what_was_kept(tmp_path):
    """The CLIP metrics of texts are left out and metrics of preservation taken, in one notice; with references more."""
    _, items = folder_of(tmp_path)
    metrics, (remark,) = default_metrics(DEFAULT_METRICS, items)
    assert names(metrics) == ["clip_image_similarity", "l1", "ssim"]
    assert remark.message == (
        "No item has a target caption or source caption: clip_score and clip_directional_similarity were left out, "
        "and l1 and ssim taken instead. Choose yourself: --metrics A,B"
    )
    _, items = folder_of(tmp_path, reference_image=save_picture(tmp_path / "reference.png", 7))
    metrics, _ = default_metrics(DEFAULT_METRICS, items)
    assert names(metrics) == list(WITHOUT_CAPTIONS)


def test_without_source_captions_one_metric_is_left_out_and_none_taken(tmp_path):
    """What was asked for can still be measured by the target caption."""
    items = [replace(item, source_caption=None) for item in make_items(tmp_path, 4, 2)]
    metrics, (remark,) = default_metrics(DEFAULT_METRICS, items)
    assert names(metrics) == ["clip_score", "clip_image_similarity"]
    assert "clip_directional_similarity was left out. " in remark.message


def test_where_nothing_fits_the_usual_metrics_stand(tmp_path):
    """Without sources and captions there is nothing better to choose."""
    _, items = folder_of(tmp_path)
    metrics, remarks = default_metrics(DEFAULT_METRICS, [replace(item, source_image=None) for item in items])
    assert (names(metrics), remarks) == (list(DEFAULT_METRICS), ())


def test_metrics_that_were_asked_for_are_not_changed_and_said_in_one_line(tmp_path):
    """Exit code 0 where something was measured, 3 where nothing was; one line for all metrics and items."""
    root, _ = folder_of(tmp_path / "edits")
    asked = ("clip_score", "clip_directional_similarity", "clip_score:hessel")
    for metrics, code in ((("l1", *asked), 0), (asked, 3)):
        options = ["--metrics", ",".join(metrics), "--encoder", "miniature", "--output", str(tmp_path / str(code))]
        done = CliRunner().invoke(main, ["score", str(root), *options])
        assert done.exit_code == code, done.output
        text = " ".join(done.stdout.split())
        assert text.count("no item has") == 1
        assert f"{', '.join(asked)}: no values, as no item has a target caption" in text
        assert ("nothing_measured (1)" in done.stdout) == (code == 3)
        assert "no interval" not in done.stdout


def test_a_part_of_the_items_without_captions_is_counted(tmp_path):
    """Then the metric has a value, and the others are so many."""
    items = make_items(tmp_path / "edits", 6, 3)
    write_manifest(tmp_path / "edits", [*items[:4], *(replace(item, target_caption=None) for item in items[4:])])
    run = score(
        tmp_path / "edits", tmp_path / "run", ScoreOptions(metrics=("clip_score",), encoder="miniature", device="cpu")
    )
    assert "clip_score: 2 values undefined, the item has no target caption" in run_notes(run.record)
    assert {problem.code for problem in run.record.problems} == {"missing_target_caption"}


def test_a_mistyped_encoder_is_refused_whatever_the_metrics(tmp_path):
    """Also where no metric goes through a network."""
    write_manifest(tmp_path / "edits", make_items(tmp_path / "edits", 4, 2))
    with pytest.raises(UnknownNameError, match="Did you mean miniature"):
        score(tmp_path / "edits", tmp_path / "run", ScoreOptions(metrics=("l1",), encoder="minature"))
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_no_metric_needs_is_said_and_not_looked_for(tmp_path):
    """It is none for the CLIP metrics either, and stands beside one that is."""
    items = make_items(tmp_path / "edits", 4, 2)
    write_manifest(tmp_path / "edits", items)
    options = ScoreOptions(metrics=("clip_score",), encoder=("miniature", "lpips_alex:none.pth"), device="cpu")
    record = score(tmp_path / "edits", tmp_path / "run", options).record
    assert [(p.code, p.severity) for p in record.problems] == [("unneeded_encoder", "notice")]
    assert "lpips_alex:none.pth" in record.problems[0].message
    assert record.metrics["clip_score"].n == 4
