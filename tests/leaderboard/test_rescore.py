"""The ladder: from self-scored to re-scored to reproduced, with what each step refuses and the checks' numbers."""

import json
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.errors import EntryError
from evalkit.images.decode import write_image
from evalkit.leaderboard.rescore import rescore, share_left
from evalkit.leaderboard.store import VERIFICATION_FILE, Leaderboard
from evalkit.leaderboard.submit import submit
from evalkit.leaderboard.verify import verify
from tests.support.boards import card_of, edits, empty_board, known, write_card
from tests.support.entries import better, change_rows, resealed


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A leaderboard with one entry, of a method that edits nine of ten, and its outputs."""
    root = tmp_path_factory.mktemp("submitted")
    with known():
        folder = edits(root / "mine", good=0.9)
        submit(folder, write_card(root / "mine.yaml", card_of()), empty_board(root / "leaderboard"))
    return root


@pytest.fixture
def board(submitted, tmp_path):
    """A copy of that leaderboard."""
    shutil.copytree(submitted / "leaderboard", tmp_path / "leaderboard")
    return Leaderboard(tmp_path / "leaderboard")


@pytest.fixture
def folder(submitted):
    """The outputs."""
    return submitted / "mine"


@pytest.fixture
def path(board):
    """Where the entry lies."""
    return board.entry_path("few/v1", "mine")


def test_the_same_images_give_the_same_scores(board, path, folder):
    """Re-scored here, the entry moves up; JPEG takes little from an honest edit. Of another run it does not count."""
    done = CliRunner().invoke(
        main,
        ["leaderboard", "rescore", "few/v1/mine", "--outputs", str(folder), "--leaderboard", str(board.root), "--json"],
        catch_exceptions=False,
    )
    found = json.loads(done.stdout)
    checks = {check["name"]: check for check in found["screens"]}

    assert board.read(path).level == "re_scored"
    assert max(found["differences"].values()) < 1e-6
    assert checks["jpeg_round_trip"]["value"] > 0.9
    assert not any(check["flagged"] for check in found["screens"])
    assert verify(board).problems == ()

    (path / VERIFICATION_FILE).write_text(json.dumps({**found, "run_sha256": "0" * 64}))
    assert board.read(path).level == "self_scored"


def test_other_outputs_are_refused(board, path, folder, tmp_path):
    """What is re-scored is what was submitted, byte for byte."""
    shutil.copytree(folder, tmp_path / "changed")
    write_image(next((tmp_path / "changed").glob("*.png")), Image.new("RGB", (64, 64)))

    with pytest.raises(EntryError, match="does not hold the outputs of mine: 1 of 24 differ"):
        rescore(board.read(path), tmp_path / "changed", board)


def test_a_score_that_the_images_do_not_have_is_refused(board, path, folder):
    """A forged score, resealed, is found by scoring the images."""
    change_rows(path, "items.jsonl", better)
    resealed(path)

    with pytest.raises(EntryError, match=r"edit_success of .* is 1.0 in the entry and 0.0 here"):
        rescore(board.read(path), folder, board)


def test_a_method_that_gives_the_same_again_is_reproduced(board, path, folder, tmp_path):
    """The same result on all groups is equivalent, and shows no drift."""
    verification = rescore(board.read(path), folder, board, reproduction=shutil.copytree(folder, tmp_path / "again"))

    assert verification.level == "reproduced"
    assert verification.reproduction.difference == 0
    assert verification.reproduction.n_groups == 6


def test_a_worse_result_is_not_a_reproduction(board, path, folder, tmp_path):
    """Nor is a method that edits nothing when the maintainers run it, or a run of too few of the sources."""
    with pytest.raises(EntryError, match="mine is not reproduced"):
        rescore(board.read(path), folder, board, reproduction=edits(tmp_path / "again", good=0.0))

    ids = [output.item_id for output in board.read(path).outputs]
    with pytest.raises(EntryError, match="covers 1 groups: expected 2 or more"):
        rescore(board.read(path), folder, board, reproduction=edits(tmp_path / "few", skip=ids[4:]))


def test_another_encoder_is_asked(board, path, folder, tiny_open_clip):
    """The check says how much of the gain a second encoder sees; a random one sees none of it, and is flagged."""
    verification = rescore(board.read(path), folder, board, second_encoder=tiny_open_clip)
    check = next(check for check in verification.screens if check.name == "second_encoder")

    assert check.value is not None
    assert check.flagged == (check.value < 0.25)


@pytest.mark.parametrize(
    ("gain", "left", "value", "flagged"),
    [(0.4, 0.1, 0.25, True), (0.4, 0.3, 0.75, False), (0.4, -0.1, -0.25, True), (0.0, -0.1, None, False)],
)
def test_a_gain_that_does_not_survive_is_flagged(gain, left, value, flagged):
    """Less than half of the gain left is a flag; where there was no gain, nothing can be lost."""
    check = share_left("jpeg_round_trip", gain, left, 0.5, "of the gain")

    assert check.flagged == flagged
    assert check.value == (None if value is None else pytest.approx(value))
