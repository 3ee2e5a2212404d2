"""Ranks of a board: who is ranked, on what, and why not; sets, fronts and ties; nothing depends on who else is in."""

import shutil
from dataclasses import replace

import pytest

from evalkit.benchmarks.protocols import ProtocolColumn
from evalkit.comparison.compare import compare_runs
from evalkit.leaderboard.ranking import rank_board
from evalkit.leaderboard.store import Leaderboard
from tests.support.boards import FEW, known
from tests.support.entries import change_rows, resealed


@pytest.fixture(scope="module", autouse=True)
def small_benchmark():
    """Every test knows the small benchmark."""
    with known():
        yield


@pytest.fixture(scope="module")
def entries(small_leaderboard):
    """The entries of the small board."""
    return small_leaderboard.entries("few/v1")


@pytest.fixture(scope="module")
def board(entries):
    """The small board."""
    return rank_board(FEW, entries)


def row_of(board, name):
    """One entry's row."""
    return next(row for row in board.rows if row.entry.method == name)


def test_methods_are_ranked_by_what_the_data_allow(board):
    """The two methods that pass have a set of ranks on both primary metrics, and on no other."""
    good = row_of(board, "good")

    assert [p.entry.method for p in board.rows][:3] == ["good", "fair", "lazy"]
    assert set(good.ranks) == set(FEW.primary)
    assert good.ranks["edit_success"].rank_low == 1
    assert good.on_front


def test_a_method_that_edits_nothing_is_not_ranked(board):
    """It is no better than identity at making the edit, and says so."""
    assert "not better than the control identity at making the edit" in row_of(board, "lazy").unranked
    assert row_of(board, "lazy").ranks == {}


def test_controls_are_never_ranked(board):
    """Not even the perfect edit."""
    assert {row_of(board, name).unranked for name in ("identity", "reference", "shuffled_source")} == {"a control"}


def test_a_method_that_keeps_nothing_is_not_ranked(small_leaderboard, tmp_path):
    """One whose preservation is the shuffled source's is listed without a rank."""
    shutil.copytree(small_leaderboard.root, tmp_path / "leaderboard")
    copy = Leaderboard(tmp_path / "leaderboard")
    shuffled = copy.read(copy.entry_path("few/v1", "shuffled_source")).run.table.rows
    kept = {row.item_id: row.values["attribute_preservation"] for row in shuffled}
    path = copy.entry_path("few/v1", "fair")
    change_rows(path, "items.jsonl", lambda rows: [{**r, "attribute_preservation": kept[r["item_id"]]} for r in rows])
    resealed(path)
    board = rank_board(FEW, copy.entries("few/v1"))

    assert "not better than the control shuffled_source at keeping the rest" in row_of(board, "fair").unranked


def test_without_the_controls_nobody_is_ranked(entries):
    """What has not been held against doing nothing has no rank."""
    methods = [entry for entry in entries if entry.card.kind == "method"]
    board = rank_board(FEW, methods)

    assert all("the control identity is not there" in p.unranked for p in board.rows)


def test_a_metric_that_is_awaited_keeps_a_method_from_being_ranked(entries):
    """Where the ranked metric needs weights that were not there, the board says so and ranks nobody."""
    protocol = replace(
        FEW,
        columns=(*FEW.columns, ProtocolColumn(metric="clip_image_similarity", title="")),
        preservation="clip_image_similarity",
    )
    board = rank_board(protocol, entries)

    assert row_of(board, "good").unranked == "awaits clip_image_similarity"
    assert board.notes == ("clip_image_similarity awaits weights for 6 of 6 entries",)


def test_pairs_are_those_of_compare(board, entries):
    """Every pair on every metric, with the very numbers that evalkit compare gives for the entries' folders."""
    found = compare_runs(
        [entry.path for entry in entries], metrics=FEW.metrics, primary=FEW.primary, margins=FEW.margins
    )

    assert len(board.pairs) == 15 * 3
    assert board.pairs == found.pairs


def test_whether_a_method_passes_does_not_depend_on_the_others(entries):
    """One uncorrected test against each control: taking a method away changes nobody else's standing."""
    whole = rank_board(FEW, entries)
    part = rank_board(FEW, [entry for entry in entries if entry.method != "good"])

    assert row_of(whole, "lazy").unranked == row_of(part, "lazy").unranked
    assert row_of(part, "fair").unranked == "there is no other method that passes, to be ranked against"


def test_the_front_holds_what_nothing_beats_on_both(board):
    """The good method is at least as good as the fair one on both, and better on one."""
    assert row_of(board, "good").on_front
    assert not row_of(board, "fair").on_front
