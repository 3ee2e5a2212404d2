"""Data sets on the command line: scored, checked, compared and edited as they are, from a file and from the Hub."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.edits.manifest import read_manifest
from evalkit.images.decode import read_image
from evalkit.scores.run import read_run
from tests.support.datasets import cell, pair_rows, parquet, picture, write_parquet
from tests.support.hub import HubServer, use_in_process
from tests.support.pictures import scene

METRIC = ("--metrics", "l1")


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    """Runs and caches lie where no other test finds them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that the clients of this process ask, without being logged in."""
    with HubServer() as server:
        use_in_process(server, monkeypatch, tmp_path / "home")
        yield server


def ran(*arguments, code=0):
    """A command's result, which must end with this exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def l1_of(pairs):
    """Mean absolute difference of pictures, computed without evalkit."""
    scenes = [[scene(24, 24, seed=seed).astype(float) / 255 for seed in pair] for pair in pairs]
    return float(np.mean([np.abs(one - two).mean() for one, two in scenes]))


def emu_rows(n=3):
    """Sources and captions, as Emu Edit's columns have them."""
    return [{"idx": i, "image": cell(i), "input_caption": f"in {i}", "output_caption": f"out {i}"} for i in range(n)]


def test_a_file_is_scored_and_checked():
    """Both commands say the same of it, and the number is that of the pictures."""
    write_parquet(Path("pairs.parquet"), pair_rows(4))
    scored = json.loads(ran("score", "pairs.parquet", *METRIC, "--json").stdout)
    checked = json.loads(ran("check", "pairs.parquet", "--json").stdout)
    assert scored["metrics"]["l1"]["mean"] == pytest.approx(l1_of((n, 100 + n) for n in range(4)), abs=1e-12)
    assert scored["layout"] == checked["layout"] == "dataset"
    said = [[problem["message"] for problem in each["problems"]] for each in (scored, checked)]
    assert said[0] == said[1]
    assert read_run(Path("evalkit_runs/pairs")).record.folder.opened_with == {}


@pytest.mark.parametrize("how", ["rows", "folder"])
def test_the_same_problems_in_both_commands(tmp_path, how):
    """What ``check`` lists, ``score`` lists too, and both end with 3."""
    rows = pair_rows(4)
    rows[1]["source_img"] = None
    rows[2]["edited_img"] = {"bytes": b"\x89PNG\r\n\x1a\nno more", "path": None}
    arguments = [write_parquet(Path("pairs.parquet"), rows)]
    if how == "folder":
        sources = write_parquet(
            Path("sources.parquet"), [{"id": str(n), "image": r["source_img"]} for n, r in enumerate(rows)]
        )
        (tmp_path / "edits").mkdir()
        for number, row in enumerate(rows):
            (tmp_path / "edits" / f"{number}.png").write_bytes(row["edited_img"]["bytes"])
        arguments = ["edits", "--sources", sources]
    checked = json.loads(ran("check", *arguments, "--json", code=3).stdout)
    scored = json.loads(ran("score", *arguments, *METRIC, "--missing", "intersect", "--json", code=3).stdout)
    for found in (checked, scored):
        problems = [
            (problem["code"], problem["message"]) for problem in found["problems"] if problem["severity"] == "problem"
        ]
        assert [code for code, _ in problems] == ["missing_named_file", "unreadable_image"]
        where = "pairs.parquet, row 2, edited_img" if how == "rows" else "2.png"
        assert problems[1][1].startswith(f"{where} cannot be used as an image")


def test_a_data_set_on_the_hub_is_scored_compared_and_shown(hub, tmp_path):
    """By its address alone; the run names the commit, and the report finds the pictures again after a new one."""
    ours, theirs = pair_rows(4), [row | {"edited_img": cell(50 + n)} for n, row in enumerate(pair_rows(4))]
    repo = hub.add_repo("dataset", "who/ours", {"data/test-00000-of-00001.parquet": parquet(ours)})
    hub.add_repo("dataset", "who/theirs", {"theirs.parquet": parquet(theirs)})
    for name, pairs in (("ours", [(n, 100 + n) for n in range(4)]), ("theirs", [(n, 50 + n) for n in range(4)])):
        found = json.loads(ran("score", f"hf://who/{name}", *METRIC, "--json").stdout)
        assert found["metrics"]["l1"]["mean"] == pytest.approx(l1_of(pairs), abs=1e-12)
    record = read_run(Path("evalkit_runs/ours")).record.folder
    assert record.path == f"hf://datasets/who/ours@{repo.head.oid}"
    assert any(
        f"was read at commit {repo.head.oid}" in p.message for p in read_run(Path("evalkit_runs/ours")).record.problems
    )

    repo.commit("empty", {})
    ran("compare", "evalkit_runs/ours", "evalkit_runs/theirs", "--report", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg") == 4 + 2 * 4
    assert ran("check", f"hf://datasets/who/ours@{repo.commits[0].oid}").output.count("guessed (3)") == 1


def test_no_file_is_copied_whole(hub, tmp_path):
    """What is read of a data set on the Hub leaves nothing of its images on disk."""
    hub.add_repo("dataset", "who/a", {"data/test-00000-of-00001.parquet": parquet(pair_rows(3))})
    ran("score", "hf://who/a", *METRIC)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "evalkit_runs" not in path.parts]
    assert not [path for path in kept if picture(1) in path.read_bytes()]


def test_a_folder_is_scored_by_the_rows_of_the_hub(hub, tmp_path):
    """Sources and captions from there, edits from here, in ``check`` and in ``score``."""
    hub.add_repo(
        "dataset", "who/emu", {f"data/{s}-00000-of-00001.parquet": parquet(emu_rows()) for s in ("dev", "test")}
    )
    (tmp_path / "edits").mkdir()
    for number in range(3):
        (tmp_path / "edits" / f"{number}.png").write_bytes(picture(100 + number))
    options = ("edits", "--sources", "hf://who/emu", "--map", "item_id=idx")
    assert "Choose one: --split" in ran("check", *options, code=1).output
    ran("check", *options, "--split", "test")
    found = json.loads(ran("score", *options, "--split", "test", *METRIC, "--json").stdout)
    assert found["metrics"]["l1"]["mean"] == pytest.approx(l1_of((n, 100 + n) for n in range(3)), abs=1e-12)
    opened = read_run(Path("evalkit_runs/edits")).record.folder.opened_with
    assert re.fullmatch(r"hf://datasets/who/emu@[0-9a-f]{40}", opened["sources"])
    assert (opened["split"], opened["mapped"]) == ("test", "item_id=idx")


@pytest.mark.parametrize("where", ["file", "hub"])
def test_rows_are_edited(hub, tmp_path, where):
    """The edit folder has copies of sources, references and masks, and is scored by itself."""
    rows = [row | {"mask": cell(60 + n), "gt": cell(70 + n)} for n, row in enumerate(emu_rows())]
    hub.add_repo("dataset", "who/emu", {"data/test-00000-of-00001.parquet": parquet(rows)})
    sources = write_parquet(Path("emu.parquet"), rows) if where == "file" else "hf://who/emu"
    done = ran("edit", "identity", "--sources", sources, "--items", "0,2", "--output", "edits/identity")
    assert "read item_id from 'idx'" in done.output or "'image'" in done.output
    items = read_manifest(tmp_path / "edits" / "identity").items
    assert [(item.item_id, item.target_caption) for item in items] == [("0", "out 0"), ("2", "out 2")]
    for number, item in zip((0, 2), items, strict=True):
        for image, seed in ((item.source_image, 0), (item.edit_mask, 60), (item.reference_image, 70)):
            np.testing.assert_array_equal(np.asarray(read_image(image)), scene(24, 24, seed=seed + number))
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    found = json.loads(ran("score", "edits/identity", *METRIC, "--json").stdout)
    assert (found["n_items"], found["metrics"]["l1"]["mean"]) == (2, 0.0)


def test_a_row_without_a_source_fails_by_itself(tmp_path):
    """The others are edited; it is recorded why it was not."""
    rows = emu_rows()
    rows[1]["image"] = None
    write_parquet(Path("emu.parquet"), rows)
    done = ran("edit", "identity", "--sources", "emu.parquet", "--output", "edits/identity", code=3)
    assert "1 (seed 0) failed" in done.output
    assert [item.status for item in read_manifest(tmp_path / "edits" / "identity").items] == ["ok", "failed", "ok"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("score", "hf://who/gated"), "the repository is gated"),
        (("check", "hf://who/absent"), "there is no such repository"),
        (("score", "hf://who/open@v2"), "there is no such revision"),
        (("score", "hf://who/open", "--split", "dev"), "has no split 'dev'. Choose one: --split test"),
        (("score", "hf://who"), "expected hf://OWNER/NAME"),
        (("score", "hf://who/open/nope.parquet"), "there is no nope.parquet in the data set who/open"),
        (("edit", "identity", "--sources", "hf://who/gated", "--output", "x"), "the repository is gated"),
        (("score", "--each", "hf://who/open"), "leave --each out"),
    ],
)
def test_refusals_are_one_sentence(hub, arguments, sentence):
    """Whatever the Hub refuses, and whatever it does not have."""
    files = {"data/test-00000-of-00001.parquet": parquet(pair_rows(1))}
    for name in ("gated", "open"):
        hub.add_repo("dataset", f"who/{name}", files, gated=name == "gated")
    done = ran(*arguments, code=1)
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_edit_folder_on_the_hub_is_one_still(hub):
    """A repository whose ``metadata.jsonl`` is a manifest is fetched and opened as the folder that it is."""
    line = {"item_id": "a", "edited_image_file_name": "e.png", "source_image_file_name": "s.png", "method": "ours"}
    files = {"metadata.jsonl": json.dumps(line).encode() + b"\n", "e.png": picture(1), "s.png": picture(2)}
    hub.add_repo("dataset", "who/edits", files)
    found = json.loads(ran("score", "hf://datasets/who/edits", *METRIC, "--json").stdout)
    assert (found["layout"], found["run"]) == ("manifest", "ours")
