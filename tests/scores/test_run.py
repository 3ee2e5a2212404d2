"""Run directories that must not be overwritten, and those that cannot be trusted."""

import hashlib
import json

import pytest

from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import RunError
from evalkit.metrics.base import get_metrics
from evalkit.scores.item_lines import ItemLine
from evalkit.scores.run import check_destination, read_run, write_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from tests.support.fakes import FakeEncoder, make_edit_folder
from tests.support.runs import write_scores


@pytest.fixture
def run(tmp_path):
    """A small scored folder."""
    with EmbeddingCache.in_memory() as cache:
        folder = make_edit_folder(tmp_path / "folder")
        yield score_folder(
            folder, get_metrics(["clip_score"]), {"clip": FakeEncoder()}, cache, ScoreOptions(name="run")
        )


def test_a_run_of_the_same_folder_is_replaced(tmp_path, run):
    """Scoring again into the same directory is the normal case."""
    write_run(tmp_path / "run", run)
    write_run(tmp_path / "run", run)
    assert read_run(tmp_path / "run").record.run == "run"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["items.jsonl", "run.json"]


def test_a_directory_with_anything_else_in_it_is_left_alone(tmp_path, run):
    """Somebody's files are not mixed with ours, and nothing is written."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("\\documentclass")
    with pytest.raises(RunError, match=r"holds no run, so nothing was written.*--output DIR"):
        write_run(tmp_path / "run", run)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("left", [[".items.jsonl.1.1"], ["items.jsonl"], ["items.jsonl", ".run.json.1.1"]])
def test_what_a_killed_writer_left_is_replaced(tmp_path, run, left):
    """Items without a record, and drafts of either, are no run of somebody's; beside anything else all stays."""
    (tmp_path / "run").mkdir()
    for name in left:
        (tmp_path / "run" / name).write_bytes(b'{"item_id": "item-0", "gro')
    for other in ("notes.txt", ".lib.so.1.2"):
        (tmp_path / "run" / other).write_text("mine")
        with pytest.raises(RunError, match="holds no run"):
            write_run(tmp_path / "run", run)
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted([*left, other])
        (tmp_path / "run" / other).unlink()
    write_run(tmp_path / "run", run)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["items.jsonl", "run.json"]


def test_the_run_of_another_folder_is_not_replaced(tmp_path, run):
    """Two folders of one name do not overwrite each other's runs."""
    write_run(tmp_path / "run", run)
    with pytest.raises(RunError, match="holds the run of another folder"):
        check_destination(tmp_path / "run", str(tmp_path / "elsewhere" / "folder"))


def test_a_file_in_the_way_is_an_error(tmp_path):
    """A run directory cannot be a file."""
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="is a file"):
        check_destination(tmp_path / "run", str(tmp_path))


def test_items_that_changed_after_the_run_are_not_trusted(tmp_path, run):
    """A digest in the record catches an edited, torn or mixed-up items file."""
    write_run(tmp_path / "run", run)
    items = tmp_path / "run" / "items.jsonl"
    items.write_text(items.read_text().replace("item_1", "item_x"))
    with pytest.raises(RunError, match=r"is not what run\.json recorded"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize("damage", ["", "{", '{"format": "evalkit.run/2"}'])
def test_a_record_that_cannot_be_understood_is_an_error(tmp_path, run, damage):
    """Empty, torn and foreign records are refused with the way out."""
    write_run(tmp_path / "run", run)
    (tmp_path / "run" / "run.json").write_text(damage)
    with pytest.raises(RunError, match=r"cannot be read.*Score the folder again"):
        read_run(tmp_path / "run")


def test_a_directory_without_a_record_is_no_run(tmp_path):
    """The message says how to make one."""
    with pytest.raises(RunError, match="evalkit score FOLDER"):
        read_run(tmp_path)


def test_the_record_says_everything_that_was_used(run):
    """Signatures, fingerprints, versions, policy and counts are all in the record."""
    record = json.loads(run.record.model_dump_json())
    assert record["metrics"]["clip_score"]["signature"].startswith("clip_score|enc:fake/net/random@")
    assert (
        "|img:8-bicubic-aa-center|tpl:none|dtype:fp32|alpha:white|v:1|evalkit:"
        in record["metrics"]["clip_score"]["signature"]
    )
    assert len(record["encoders"]["clip"]["fingerprint"]) == 64
    assert {"evalkit", "python", "torch"} <= set(record["versions"])
    assert (record["missing"], record["level"], record["n_edited"]) == ("fail", 0.95, 10)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"psnr": True}, "psnr: Input should be a valid number"),
        ({"psnr": "1e9"}, "psnr: Input should be a valid number"),
        ({"psnr": float("nan")}, "psnr: Input should be a finite number"),
        ({"psnr": None}, "psnr is null, and there is no reason for it"),
        ({"ssim": 0.5}, r"expected scores of psnr, as in run\.json, got psnr, ssim"),
        ({"item_id": 7}, "item_id: Input should be a valid string"),
        ({"seed": 1.0}, "seed: Input should be a valid integer"),
        ({"status": "fine"}, "status: Input should be 'ok', 'failed' or 'missing'"),
        ({"reasons": {"psnr": None}}, r"reasons\.psnr: Input should be a valid string"),
    ],
)
def test_a_broken_line_is_named_with_what_is_wrong(tmp_path, change, fault):
    """However well its digest fits, a line that is no row of scores is refused where it is read, and not later."""
    path = write_scores(tmp_path / "run", {"psnr": [20.0, 21.0]}) / "items.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{json.dumps({**json.loads(second), **change})}\n")
    record = json.loads((path.parent / "run.json").read_text())
    record["items_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=rf"items\.jsonl:2: {fault}.*Score the folder again"):
        read_run(path.parent)


def test_the_contract_of_a_line_is_a_json_schema():
    """What other tools may rely on: names, groups and status, and any number of scores."""
    schema = ItemLine.model_json_schema()
    assert schema["required"] == ["item_id", "group", "status"]
    assert schema["additionalProperties"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
