"""Folders whose pictures or captions cannot be taken as they are: what the commands print, and how they exit."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from tests.support.pictures import scene

ITEMS = ("0001", "0002", "0003", "0004")
SIZE = (96, 64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache for each test."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


def evalkit(*arguments):
    """A command's exit code and its object."""
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout)


def written(root, edits, captions=("A drawing.", "A large drawing.")):
    """Edits by item, beside sources of 96 × 64 and a table of captions; the arguments that name them."""
    for folder in ("edits", "sources"):
        (root / folder).mkdir(parents=True)
    rows = ["item_id,source_caption,target_caption"]
    for number, item in enumerate(ITEMS):
        Image.fromarray(scene(*SIZE, number)).save(root / "sources" / f"{item}.png")
        edits[number].save(root / "edits" / f"{item}.png")
        rows.append(f"{item},{captions[0]},{captions[1] + str(number % 2)}")
    (root / "captions.csv").write_text("\n".join(rows) + "\n")
    return [root / "edits", "--sources", root / "sources", "--captions", root / "captions.csv"]


def edited(size=SIZE):
    """A picture for each item."""
    return [Image.fromarray(scene(*size, 10 + number)) for number in range(len(ITEMS))]


def test_other_aspect_ratios_and_tiny_pictures_are_problems_in_both(tmp_path):
    """Squeezed, cropped, halved and a single pixel: one of four is scored by its pixels, all four by a CLIP score."""
    pictures = edited()
    sizes = ((64, 96), (64, 64), (48, 32), (1, 1))
    folder = written(tmp_path, [one.resize(size) for one, size in zip(pictures, sizes, strict=True)])
    metrics = ["--metrics", "ssim,l1,clip_score", "--encoder", "miniature"]
    rc, scored = evalkit("score", *folder, *metrics, "--output", tmp_path / "run")
    check_rc, checked = evalkit("check", *folder)
    assert (rc, check_rc) == (3, 3)
    told = [{(p["code"], p["severity"], p["item_id"]) for p in found["problems"]} for found in (scored, checked)]
    assert told[0] == told[1]
    assert told[0] == {
        ("other_aspect", "problem", "0001"),
        ("other_aspect", "problem", "0002"),
        ("size_differs", "notice", "0003"),
        ("tiny_image", "problem", "0004"),
    }
    assert {name: metric["n"] for name, metric in scored["metrics"].items()} == {"ssim": 1, "l1": 1, "clip_score": 4}
    assert scored["images"] == {"transparent": 0, "resized": 1, "other_aspect": 2, "tiny": 1}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["images"] == scored["images"]
    assert record["metrics"]["l1"]["undefined"] == {"other_aspect": 2, "tiny_image": 1}
    assert "|alpha:white|aspect:2%|" in record["metrics"]["l1"]["signature"]
    assert "aspect" not in record["metrics"]["clip_score"]["signature"]


def test_transparent_edits_are_a_notice_in_both(tmp_path):
    """Half-transparent pixels are laid on white, named and counted; the exit code is that of a folder without fault."""
    pictures = edited()
    for picture in pictures:
        picture.putalpha(128)
    folder = written(tmp_path, pictures)
    rc, scored = evalkit("score", *folder, "--metrics", "l1", "--output", tmp_path / "run")
    check_rc, checked = evalkit("check", *folder)
    assert (rc, check_rc) == (0, 0)
    for found in (scored, checked):
        told = [(p["code"], p["severity"], p["item_id"]) for p in found["problems"]]
        assert told == [("transparent_image", "notice", item) for item in ITEMS]
    assert scored["images"]["transparent"] == 4
    shown = CliRunner().invoke(main, ["score", *map(str, folder), "--metrics", "l1", "--output", str(tmp_path / "run")])
    assert "Notices (4):\n  transparent_image (4): transparent pixels" in shown.stdout
    assert "Problems" not in shown.stdout


def test_captions_without_blanks_that_are_cut_are_said(tmp_path):
    """By the tokenizer where there is one, by an estimate in check; the exit code does not change."""
    captions = ("一个红色的圆" * 40, "一个蓝色的方块" * 40)
    folder = written(tmp_path, edited(), captions)
    rc, scored = evalkit(
        "score", *folder, "--metrics", "clip_score", "--encoder", "miniature", "--output", tmp_path / "run"
    )
    check_rc, checked = evalkit("check", *folder)
    assert (rc, check_rc) == (0, 0)
    cut = [p for p in scored["problems"] if p["code"] == "cut_caption"]
    assert [p["item_id"] for p in cut] == list(ITEMS)
    assert all(" tokens, of which miniature/clip reads 48." in p["message"] for p in cut)
    assert [p["item_id"] for p in scored["problems"] if p["code"] == "indistinct_captions"] == ["0002", "0004"]
    long = [p for p in checked["problems"] if p["code"] == "long_caption"]
    assert len(long) == 8
    assert all("by an estimate" in p["message"] for p in long)
    rc, scored = evalkit("score", *folder, "--metrics", "l1", "--output", tmp_path / "other")
    assert (rc, scored["problems"]) == (0, [])  # nobody reads them


def test_a_run_before_the_rule_is_told_from_one_after_it(tmp_path):
    """Older versions stretched: their metrics of pixels are refused beside newer ones, those of CLIP are compared."""
    folder = written(tmp_path, edited())
    metrics = ["--metrics", "l1,clip_score", "--encoder", "miniature"]
    for name in ("old", "new"):
        assert evalkit("score", *folder, *metrics, "--name", name, "--output", tmp_path / name)[0] == 0
    record = tmp_path / "old" / "run.json"
    older = record.read_text().replace("|alpha:white", "").replace("|aspect:2%", "")
    value = json.loads(older)
    del value["images"]
    value["problems"] = [{"code": "other_file", "item_id": None, "message": "notes.txt is no image."}]
    record.write_text(json.dumps(value))
    rc, refused = evalkit("compare", tmp_path / "old", tmp_path / "new", "--metrics", "l1")
    assert rc == 1
    assert "l1 differ in aspect (what is done about other aspect ratios)" in refused["error"]["message"]
    assert "got 'stretch' for old and '2%' for new" in refused["error"]["message"]
    assert evalkit("compare", tmp_path / "old", tmp_path / "new", "--metrics", "clip_score")[0] == 0
