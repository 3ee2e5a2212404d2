"""Files of several images side by side are recognised, cut where the user says what they hold, and else refused."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.edits.strips import grids
from evalkit.errors import LayoutError, OptionError
from evalkit.images.decode import read_image
from tests.support.folder_cases import are_pairs, edit, source, write

WIDE, HIGH = (60, 40), (40, 60)


def strip(panels: list[Image.Image], *, column: bool = False, gap: int = 0, border: int = 0) -> Image.Image:
    """Panels side by side or below each other, on white."""
    width, height = panels[0].size
    n = len(panels)
    along = n * (height if column else width) + (n - 1) * gap + 2 * border
    across = (width if column else height) + 2 * border
    image = Image.new("RGB", (across, along) if column else (along, across), "white")
    for at, panel in enumerate(panels):
        start = border + at * ((height if column else width) + gap)
        image.paste(panel, (border, start) if column else (start, border))
    return image


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("size", [(40, 40), WIDE, HIGH])
@pytest.mark.parametrize(("gap", "border"), [(0, 0), (2, 2), (6, 0), (0, 3)])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("names", ["source,edited", "edited,source", "source,noise,edited", "text,source,noise,edited"])
def test_a_strip_is_refused_and_the_command_of_the_error_cuts_it(
    names, column, gap, border, size, tmp_path, monkeypatch
):
    """Whatever the panels, the shape and the margins: what comes out is pixel for pixel the edit that went in."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    monkeypatch.chdir(write(tmp_path, {f"s/{n}.png": source(n, size) for n in range(3)}))
    for n in range(3):
        panels = {"source": source(n, size), "edited": edit(n, size=size), "noise": noise, "text": noise.rotate(180)}
        picture = strip([panels[name] for name in names.split(",")], column=column, gap=gap, border=border)
        write(tmp_path, {f"e/{n}.png": picture})

    done = CliRunner().invoke(main, ["check", "e", "--sources", "s"])

    assert done.exit_code == 1
    assert "0.png and others in e are strips of" in done.output
    command = done.output.split("evalkit ", 1)[1].splitlines()[0]
    assert CliRunner().invoke(main, shlex.split(command)).exit_code == 0, command
    panels = command.split("--strip ")[1]
    folder = open_edits(Path("e"), sources=Path("s"), strip=panels).folder
    for n, item in enumerate(folder.items):
        assert np.array_equal(np.asarray(read_image(item.edited_image)), np.asarray(edit(n, size=size)))


def test_strips_alone_bring_their_sources(tmp_path):
    """Without a folder of sources the panel that is called source is the source, and groups are by it."""
    pictures = {f"{n}.png": strip([source(n // 2), edit(n // 2, seed=n)]) for n in range(4)}

    folder = open_edits(write(tmp_path / "e", pictures), strip="source,edited").folder

    assert are_pairs(folder)
    assert len({item.group for item in folder.items}) == 2


def test_a_mask_may_be_a_panel(tmp_path):
    """Other images of an item are cut too, and what is called something else is passed over."""
    mask = Image.new("RGB", (40, 40), "white")
    pictures = {f"{n}.png": strip([source(n), mask, edit(n), source(n)]) for n in range(2)}

    folder = open_edits(write(tmp_path / "e", pictures), strip="source,mask,edited,reconstruction").folder

    assert are_pairs(folder)
    assert {item.edit_mask for item in folder.items} != {None}


def test_panels_in_the_wrong_order_are_refused(tmp_path):
    """The source image that is known is not the panel that is called so."""
    sources = write(tmp_path / "s", {f"{n}.png": source(n) for n in range(3)})
    edits = write(tmp_path / "e", {f"{n}.png": strip([source(n), edit(n, seed=30)]) for n in range(3)})

    with pytest.raises(LayoutError, match=r"Panel 2 of 0.png was expected to be the source image, .* and panel 1 is"):
        open_edits(edits, sources=sources, strip="edited,source")


def test_what_has_not_so_many_panels_is_refused(tmp_path):
    """A file that cannot be divided names itself and its size."""
    edits = write(tmp_path / "e", {"a.png": Image.new("RGB", (41, 41))})
    with pytest.raises(LayoutError, match=r"a.png was expected to be a strip of 2 panels .* got 41 × 41 pixels"):
        open_edits(edits, strip="source,edited")


@pytest.mark.parametrize("text", ["edited", "source,other", "edited,edited", ""])
def test_what_names_no_panels_is_refused(text, tmp_path):
    """There must be an edited image beside something else."""
    with pytest.raises(OptionError, match="expected two panels or more, one of them 'edited'"):
        open_edits(write(tmp_path, {"a.png": source(0)}), strip=text or ",")


def test_other_aspect_ratios_are_no_strips(tmp_path):
    """An edit twice as wide as its source that does not show it is not taken for a strip."""
    sources = write(tmp_path / "s", {f"{n}.png": source(n) for n in range(3)})
    noise = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
    edits = write(tmp_path / "e", {f"{n}.png": Image.fromarray(noise) for n in range(3)})

    assert open_edits(edits, sources=sources).folder.n_edited == 3


def test_margins_are_found_from_sizes_alone():
    """A row as torchvision's make_grid writes it: two pixels around and between."""
    assert grids((4 * 64 + 5 * 2, 64 + 4), 4, (128, 128))[0] == [(2 + 66 * n, 2, 66 + 66 * n, 66) for n in range(4)]
