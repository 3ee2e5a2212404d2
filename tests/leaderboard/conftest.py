"""The small board: its benchmark can be named, and its entries and its site are made once."""

import shutil

import pytest
import yaml

from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from tests.support.board_votes import have_voted
from tests.support.boards import HOSTILE, SITE, board_of, empty_board, known
from tests.support.judged import have_judged


@pytest.fixture(scope="session")
def _cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _small_benchmark(_cache):
    with known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(_cache))
        yield


@pytest.fixture(scope="session")
def small_leaderboard(_cache, tmp_path_factory):
    """Three controls and three methods on a few edits; to be copied before anything in it is changed."""
    with known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(_cache))
        return board_of(tmp_path_factory.mktemp("leaderboard"))


@pytest.fixture(scope="session")
def small_site(small_leaderboard, tmp_path_factory):
    """A board with hostile titles, one of 10,000 characters, a reported table, a hostile judge; and its site."""
    board = Leaderboard(tmp_path_factory.mktemp("board") / "leaderboard")
    shutil.copytree(small_leaderboard.root, board.root)
    shutil.copytree(SITE, board.root / "site")
    reported = {
        "benchmark": "few",
        "title": HOSTILE,
        "citation": "Somebody, 2020",
        "where": "table 1",
        "encoder": "not stated",
        "n_items": None,
        "uncertainty": "none was reported",
        "columns": {"CLIP": "100 times cos"},
        "rows": [{"title": "Old method", "values": {"CLIP": 99.0}, "per_item_tuning": "yes"}],
    }
    (board.root / "reported").mkdir()
    (board.root / "reported" / "old.yaml").write_text(yaml.safe_dump(reported))
    with known():
        have_judged(board, tmp_path_factory.mktemp("judged"))
        have_voted(board, tmp_path_factory.mktemp("voted"))
        return board, build(board, tmp_path_factory.mktemp("site")).output


@pytest.fixture
def copied(small_leaderboard, tmp_path):
    """The small leaderboard, to be tampered with."""
    shutil.copytree(small_leaderboard.root, tmp_path / "leaderboard")
    return Leaderboard(tmp_path / "leaderboard")


@pytest.fixture
def empty(tmp_path):
    """A leaderboard without entries."""
    return empty_board(tmp_path / "leaderboard")
