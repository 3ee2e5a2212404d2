"""One image takes no more memory and time than is stated; what would is refused by a sentence that says why."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.errors import ImageError
from evalkit.images import bounds, colour
from evalkit.images.decode import decode_image, image_digest, image_size, read_image_bytes, rgb_image
from tests.images import hostile
from tests.support import pictures
from tests.support.pictures import encoded, scene

SECONDS = 10
"""Of one core; the slowest takes one."""


def outcomes(which: str) -> dict[str, dict]:
    """What came of each file in a process whose memory is limited."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.images.limited", which], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_nothing_takes_more_memory_or_time_than_is_stated():
    """Files that ask for much are refused for what they ask for, or decoded within the limit."""
    found = outcomes("hostile")

    words = {name: word for name, word, _ in hostile.cases()}
    assert {name: found[name]["sentence"] for name, word in words.items() if word not in found[name]["sentence"]} == {}
    assert [name for name, one in found.items() if one["sentence"] == "out of memory" or one["seconds"] > SECONDS] == []
    assert all("\n" not in one["sentence"] and len(one["sentence"]) < 250 for one in found.values())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_an_image_takes_no_more_memory_than_its_header_says():
    """13 million pixels of every way of storing them are decoded within what was foreseen for them."""
    assert {name: one["sentence"] for name, one in outcomes("full").items() if one["sentence"]} == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")
def test_threads_do_not_multiply_the_memory_of_large_images():
    """Four threads that decode eight large images have one of them in memory at a time."""
    assert outcomes("together")["images"] < 1.5


def test_header_alone_refuses_the_same(tmp_path):
    """Where only sizes are asked for, what opening alone would take is refused too."""
    path = tmp_path / "image"
    for data, why in (
        (hostile.webp(hostile.SIDE), "memory"),
        (hostile.png(hostile.SIDE, hostile.SIDE, 6, idat=b""), "memory"),
        (b"P6\n#" + bytes(100_000) + b"\n1 1\n255\nabc", "header does not end"),
        (hostile.gif(b"\0" * 100_000), "blocks of metadata"),
    ):
        path.write_bytes(data)
        with pytest.raises(ImageError, match=why):
            image_size(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """Beyond the limit, neither bytes nor digest are asked for."""
    path = tmp_path / "hole.png"
    with path.open("wb") as file:
        file.truncate(bounds.MAX_BYTES + 1)

    for read in (read_image_bytes, image_digest, image_size):
        with pytest.raises(ImageError, match=f"its {bounds.MAX_BYTES + 1:,} bytes are more than"):
            read(path)


@pytest.mark.parametrize("scans", [1, 10, 20])
def test_progressive_pictures_of_encoders_are_decoded(scans):
    """As many scans as any encoder writes are no reason to refuse an image."""
    assert decode_image(hostile.jpeg(scans), "x").image.getpixel((5, 5)) == (10, 200, 30)


def test_large_images_are_brought_to_rgb_in_strips(monkeypatch):
    """Whatever a large image is like, its strips are what the whole would have been."""
    pixels = scene(60, 80)
    clear = np.dstack([pixels, np.arange(80 * 60, dtype=np.uint16).reshape(80, 60).astype(np.uint8)])
    profile = pictures.linear_profile()
    files = [
        encoded(pixels),
        encoded(pixels, icc_profile=profile),
        encoded(pixels, icc_profile=pictures.srgb_profile()),
        encoded(pixels, transparency=tuple(int(v) for v in pixels[3, 3])),
        encoded(clear, icc_profile=profile),
        encoded(Image.fromarray(pixels).quantize(9), transparency=0),
        encoded(pixels[..., 0]),
        encoded(pixels[..., 0].astype(np.float32) / 255, "TIFF"),
        encoded(Image.fromarray(pixels).convert("CMYK"), "TIFF"),
        pictures.png16(pixels.astype(np.uint16) * 257),
        pictures.with_orientation(pixels, 6, "WEBP"),
    ]
    whole = [decode_image(data, "x") for data in files]
    monkeypatch.setattr(colour, "_STRIP", 60 * 7)

    for before, data in zip(whole, files, strict=True):
        after = decode_image(data, "x")
        assert np.array_equal(np.asarray(after.image), np.asarray(before.image))
        assert (after.transparent, after.profile, after.image.info) == (before.transparent, before.profile, {})


def test_images_in_memory_are_not_changed(monkeypatch):
    """A large image with a profile that somebody else holds is converted for us alone."""
    monkeypatch.setattr(colour, "_STRIP", 60)
    mine = Image.fromarray(scene())
    mine.info["icc_profile"] = pictures.linear_profile()

    assert np.asarray(rgb_image(mine)).mean() != pytest.approx(np.asarray(mine).mean(), abs=1)
    assert np.array_equal(np.asarray(mine), scene())
    assert "icc_profile" in mine.info


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_whether_a_gif_moves_is_found_without_reading_all_frames(frames):
    """One frame is an image, more are an animation, with and without palettes and remarks."""
    images = [Image.new("RGB", (5, 4), (40 * number, 9, 9)) for number in range(frames)]
    data = encoded(images[0], "GIF", save_all=True, append_images=images[1:], comment="made by hand", loop=0)

    assert decode_image(data, "x").animated == (frames > 1)
    assert decode_image(
        hostile.gif(b"!\xfe\x03abc\0!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", frames=frames), "x"
    ).animated == (frames > 1)


def test_check_and_score_name_each_file_and_go_on(tmp_path, monkeypatch):
    """Refused images, two of them equal, are problems under their own names; exit code 3, and the others count."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    folder, lines = tmp_path / "edits", []
    folder.mkdir()
    (folder / "source.png").write_bytes(encoded(scene(64, 64)))
    refused = [hostile.webp(hostile.SIDE), hostile.webp(hostile.SIDE), hostile.jpeg(2000, 5000)]
    for number, data in enumerate([*refused, encoded(scene(64, 64, seed=1))]):
        name = f"edit_{number}.png"
        (folder / name).write_bytes(data)
        files = {"source_image_file_name": "source.png", "edited_image_file_name": name}
        lines.append(json.dumps({"item_id": f"item_{number}", "target_caption": f"a bird {number}", **files}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    said = []
    for more in (["check"], ["score", "--metrics", "l1", "--missing", "floor", "--output", str(tmp_path / "run")]):
        done = CliRunner().invoke(main, [*more, str(folder), "--json"])
        problems = [p for p in json.loads(done.stdout)["problems"] if p["code"] == "unreadable_image"]
        said.append({p["item_id"]: p["message"] for p in problems})
        assert done.exit_code == 3

    assert said[0] == said[1]
    assert [message.partition(" ")[0] for message in said[0].values()] == ["edit_0.png", "edit_1.png", "edit_2.png"]
    assert "MiB of memory" in said[0]["item_1"]
    assert "its 2,010 scans are more than the 64 that are allowed" in said[0]["item_2"]
