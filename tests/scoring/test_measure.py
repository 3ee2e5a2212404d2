"""Images in memory: whatever form they come in, the numbers are those of the command on files with their pixels."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.errors import ImageError, OptionError
from evalkit.images.decode import read_image
from evalkit.scores.run import read_run
from evalkit.scoring.measure import measure

TEDBENCH = Path("../shared/tedbench")
PIXELS = ("l1", "mse", "psnr", "ssim")
METRICS = ("clip_score", "clip_directional_similarity:templates", "clip_image_similarity", *PIXELS)


def picture(seed, size=(24, 20)):
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.skipif(not TEDBENCH.is_dir(), reason=f"no copy of TEdBench at {TEDBENCH}")
def test_the_numbers_are_those_of_the_command(tmp_path, monkeypatch):
    """On TEdBench's own photographs and Imagic's edits, to the last digit: all at once as the command has them."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "imagic"
    folder.mkdir()
    for path in sorted((TEDBENCH / "imagic").iterdir())[:6]:
        shutil.copy(path, folder)
    arguments = ["score", str(folder), "--data", str(TEDBENCH), "--missing", "intersect", "--encoder", "miniature"]
    done = CliRunner().invoke(main, [*arguments, "--metrics", ",".join(METRICS), "--output", str(tmp_path / "run")])
    assert done.exit_code in (0, 3), done.stderr
    rows = {row.item_id: row.values for row in read_run(tmp_path / "run").table.rows}
    items = [i for i in open_edits(folder, data=TEDBENCH).folder.items if i.status == "ok"]
    measured = measure(
        [Image.open(item.edited_image) for item in items],
        source=[np.asarray(read_image(item.source_image)) for item in items],
        source_caption=[item.source_caption or "" for item in items],
        target_caption=[item.target_caption for item in items],
        metrics=METRICS,
        encoder="miniature",
    )
    assert len(items) == 6
    for item, found in zip(items, measured, strict=True):
        expected = rows[item.item_id]
        if not item.source_caption:
            expected = expected | {METRICS[1]: found[METRICS[1]]}
        assert found.values == expected


def forms(pixels):
    """One picture in every form."""
    return {
        "pil": Image.fromarray(pixels),
        "rgba": Image.fromarray(pixels).convert("RGBA"),
        "array": pixels,
        "floats": (pixels / 255).astype(np.float32),
        "tensor": torch.tensor(pixels).permute(2, 0, 1),
        "float tensor": torch.tensor(pixels / 255).permute(2, 0, 1).requires_grad_(),
        "half tensor": torch.tensor(pixels // 255 * 255 / 255).permute(2, 0, 1).half(),
    }


@pytest.mark.parametrize("form", forms(picture(0)))
def test_every_form_of_an_image_is_the_same_image(form):
    """PIL, arrays and tensors, 8-bit or from 0 to 1, alone or with a gradient."""
    pixels = picture(1) if form != "half tensor" else (picture(1) // 255 * 255).astype(np.uint8)
    expected = measure(pixels, source=picture(2), metrics=PIXELS).values
    assert measure(forms(pixels)[form], source=forms(picture(2))["array"], metrics=PIXELS).values == expected
    assert expected["l1"] == np.abs(pixels.astype(float) - picture(2)).mean() / 255


def test_a_batch_is_a_list_an_array_or_a_tensor():
    """Of one more axis; what is given once is for all, and a single edit gives a single record."""
    edits, source = [picture(n) for n in range(3)], picture(9)
    expected = [measure(edit, source=source, metrics=["l1"])["l1"] for edit in edits]
    stacked = np.stack(edits)
    for batch in (edits, stacked, torch.tensor(stacked).permute(0, 3, 1, 2)):
        assert [found["l1"] for found in measure(batch, source=source, metrics=["l1"])] == expected
    assert measure(edits[0], source=source, metrics="l1").values == {"l1": expected[0]}
    with pytest.raises(OptionError, match=r"source_image: expected one, or 3, .* got 2"):
        measure(edits, source=edits[:2], metrics=["l1"])


def test_rotation_colour_and_transparency_are_treated_as_in_files():
    """A photograph as a camera wrote it is upright here too, and transparent pixels lie on white."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(picture(3)).save(file, "PNG", exif=exif)
    turned = np.rot90(picture(3), -1)
    assert measure(Image.open(file), source=turned, metrics=["l1"])["l1"] == 0
    clear = np.zeros((8, 8, 4), np.uint8)
    assert measure(clear, source=np.full((8, 8, 3), 255, np.uint8), metrics=["l1"])["l1"] == 0


def test_a_mask_may_be_of_booleans_and_what_is_lacking_is_a_reason():
    """True may change; a metric without its fields has no number and says why."""
    edited, mask = picture(4), np.zeros((20, 24), bool)
    mask[:, :12] = True
    source = edited.copy()
    source[:, :12] = 0
    found = measure(edited, source=source, edit_mask=mask, metrics=["l1_background", "l1", "l1_reference"])
    assert found["l1_background"] == 0 < found["l1"]
    assert found.reasons == {"l1_reference": "no_reference_image"}
    assert found.signatures["l1"].startswith("l1|enc:none|img:source-bicubic-aa|")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (picture(0) / 2.0, "must lie between 0 and 1, got 0 to 127.5"),
        (picture(0).astype(np.int64), "expected 8-bit integers, floats from 0 to 1 or booleans, got int64"),
        (np.zeros((8, 8, 2), np.uint8), r"with 1, 3 or 4 channels; got shape \(8, 8, 2\)"),
        (
            np.zeros((3, 8, 9)),
            r"NumPy array of shape \(height, width, channels\), or \(n, height, .* shape \(3, 8, 9\)",
        ),
        (torch.zeros(8, 9, 3), r"torch tensor of shape \(channels, height, width\), or \(n, .* shape \(8, 9, 3\)"),
        ("a.png", r"a PIL image, a NumPy array or a torch tensor, got a str. Open it: PIL.Image.open\('a.png'\)"),
        ({}, "a PIL image, a NumPy array or a torch tensor, got a dict."),
    ],
)
@pytest.mark.parametrize("form", [lambda image: image, lambda image: [image]], ids=["alone", "list"])
def test_what_is_no_image_is_refused_in_a_sentence(image, said, form):
    """With the field and what was expected, the order of the axes too: nothing is read as several grey images."""
    with pytest.raises(ImageError, match=f"edited_image.*{said}"):
        measure(form(image), source=picture(0), metrics=["l1"])


def test_a_batch_in_the_order_of_the_other_library_is_refused():
    """Each of its images would be one of as many channels as it is high."""
    for batch in (np.zeros((5, 3, 8, 9)), torch.zeros(5, 8, 9, 3)):
        with pytest.raises(ImageError, match=r"edited_image 0: expected a .* with 1, 3 or 4 channels"):
            measure(batch, source=picture(0), metrics=["l1"])
