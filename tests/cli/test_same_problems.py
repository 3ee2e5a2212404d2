"""``check`` and ``score`` say the same of a folder: codes, words, severity, exit code, whatever is wrong with it."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.cli import main
from evalkit.edits.problems import BY_CHECK_ALONE, BY_SCORE_ALONE, NOTICES, PROBLEMS
from tests.support import pictures
from tests.support.pictures import encoded, scene

WIDTH, HEIGHT = 40, 32
LONG = "A picture of a small red square beside a large blue disc on a green ground. " * 12


def plain(number):
    """The edit of an item."""
    return Image.fromarray(scene(WIDTH, HEIGHT, 100 + number))


def half_transparent(number):
    """With an alpha channel that counts."""
    picture = plain(number)
    picture.putalpha(128)
    return encoded(picture)


EDITS = {
    "plain": lambda number: encoded(plain(number)),
    "none": lambda number: None,
    "transparent": half_transparent,
    "tiny": lambda number: encoded(scene(1, 1, number)),
    "oblong": lambda number: encoded(scene(HEIGHT, WIDTH, number)),
    "larger": lambda number: encoded(scene(2 * WIDTH, 2 * HEIGHT, number)),
    "source": lambda number: encoded(scene(WIDTH, HEIGHT, number)),
    "source again": lambda number: encoded(scene(WIDTH, HEIGHT, number), compress_level=0),
    "same": lambda number: encoded(scene(WIDTH, HEIGHT, 999)),
    "jpeg": lambda number: encoded(plain(number), "JPEG"),
    "cut off": lambda number: encoded(plain(number))[:200],
    "empty": lambda number: b"",
    "web page": lambda number: b"<html><title>404</title></html>",
    "turned": lambda number: pictures.with_orientation(scene(HEIGHT, WIDTH, number), 6, "PNG"),
    "deep": lambda number: pictures.png16(scene(WIDTH, HEIGHT, number).astype("uint16") * 257),
    "profile": lambda number: encoded(plain(number), icc_profile=pictures.linear_profile()),
}
"""What may lie there as an item's edited image."""
CAPTIONS = ("", " ", "A cat.", LONG, "same")
STRAYS = {
    "notes.txt": b"seed 7\n",
    "grid.png": encoded(scene(WIDTH, HEIGHT, 500)),
    "i0 copy.png": encoded(scene(WIDTH, HEIGHT, 501)),
    ".hidden.png": encoded(scene(WIDTH, HEIGHT, 502)),
    "later/i0.png": encoded(scene(WIDTH, HEIGHT, 503)),
    "later/log.json": b"{}",
}


@dataclass(frozen=True)
class Item:
    """What is drawn of an item."""

    edit: str
    source: str
    source_caption: str
    target_caption: str


ITEM = st.builds(
    Item,
    edit=st.sampled_from(sorted(EDITS)),
    source=st.sampled_from(["there", "there", "there", "none", "broken", "transparent"]),
    source_caption=st.sampled_from(CAPTIONS),
    target_caption=st.sampled_from(CAPTIONS),
)


def written(root, items, strays):
    """The folder, its sources and its captions; the arguments that name them."""
    (root / "edits" / "later").mkdir(parents=True)
    (root / "sources").mkdir()
    rows = ["item_id,source_caption,target_caption"]
    for number, item in enumerate(items):
        if (data := EDITS[item.edit](number)) is not None:
            (root / "edits" / f"i{number}.png").write_bytes(data)
        source = encoded(scene(WIDTH, HEIGHT, number))
        if item.source == "transparent":
            picture = Image.fromarray(scene(WIDTH, HEIGHT, number))
            picture.putalpha(100)
            source = encoded(picture)
        if item.source != "none":
            (root / "sources" / f"i{number}.png").write_bytes(source[:90] if item.source == "broken" else source)
        rows.append(f'i{number},"{item.source_caption}","{item.target_caption}"')
    for name in strays:
        (root / "edits" / name).write_bytes(STRAYS[name])
    (root / "captions.csv").write_text("\n".join(rows) + "\n")
    return [root / "edits", "--sources", root / "sources", "--captions", root / "captions.csv"]


def evalkit(*arguments):
    """A command's exit code, and its object."""
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout)


def told(found, without):
    """What a command says of a folder, word for word."""
    return Counter(
        (problem["code"], problem["severity"], problem["item_id"], problem["message"])
        for problem in found["problems"]
        if problem["code"] not in without
    )


@given(
    items=st.lists(ITEM, min_size=1, max_size=6), strays=st.sets(st.sampled_from(sorted(STRAYS))), clip=st.booleans()
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_messy_folder_is_described_alike(tmp_path_factory, monkeypatch, items, strays, clip):
    """The same problems and notices, but for the documented few; the exit code follows from them in both."""
    root = tmp_path_factory.mktemp("messy")
    monkeypatch.setenv("EVALKIT_CACHE", str(root / "cache"))
    folder = written(root, items, strays)
    check_code, checked = evalkit("check", *folder)
    metrics = ["--metrics", "l1,clip_score" if clip else "l1", "--encoder", "miniature"]
    score_code, scored = evalkit("score", *folder, *metrics, "--missing", "intersect", "--output", root / "run")
    if "error" in checked or "error" in scored:  # nothing of it is understood
        assert check_code == score_code == 1
        assert checked["error"] == {**scored["error"], "message": checked["error"]["message"]}
        return
    assert told(checked, BY_CHECK_ALONE) == told(scored, BY_SCORE_ALONE)
    for code, found in ((check_code, checked), (score_code, scored)):
        assert code == (3 if any(problem["severity"] == "problem" for problem in found["problems"]) else 0)
    alone = [p for p in scored["problems"] if p["code"] in BY_SCORE_ALONE and p["severity"] == "problem"]
    assert check_code == score_code or {problem["code"] for problem in alone} == {"nothing_measured"}


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_each_kind_of_file_is_described_alike(tmp_path, monkeypatch, number):
    """Every kind by itself, so that no draw of lots is needed to see it."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    kind = sorted(EDITS)[number]
    items = [Item(kind, "there", "A thing.", "A dog."), Item("plain", "there", "A thing.", "A cat.")]
    folder = written(tmp_path, items, [])
    _, checked = evalkit("check", *folder)
    _, scored = evalkit("score", *folder, "--metrics", "l1", "--missing", "intersect", "--output", tmp_path / "run")
    assert told(checked, BY_CHECK_ALONE) == told(scored, BY_SCORE_ALONE)
    if kind not in ("plain", "same", "jpeg"):
        assert checked["problems"]
    _, undecoded = evalkit("check", *folder, "--no-decode")
    more = told(checked, ()) - told(undecoded, ())
    only_decoding = {"edited_equals_source", "transparent_image", "unreadable_image", "rotated_image", "deep_image"}
    assert {code for code, *_ in more} <= {*only_decoding, "colour_profile", "animated_image", "size_differs"}


def test_what_only_one_of_them_knows_is_a_short_list_of_known_codes():
    """The two lists are apart, and name what there is."""
    assert not BY_CHECK_ALONE & BY_SCORE_ALONE
    assert {*BY_CHECK_ALONE, *BY_SCORE_ALONE} <= {*PROBLEMS, *NOTICES}
    assert len(BY_CHECK_ALONE) + len(BY_SCORE_ALONE) <= 12
