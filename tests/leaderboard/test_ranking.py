"""Ranks of a board: who is ranked, on what, and why not; sets, fronts and ties; nothing depends on who else is in."""

from dataclasses import replace

import pytest

from evalkit.benchmarks.protocols import ProtocolColumn
from evalkit.comparison.compare import compare
from evalkit.leaderboard import ranking
from evalkit.leaderboard.ranking import BoardRow, rank_board
from evalkit.metrics.base import METRICS
from tests.support.boards import FEW
from tests.support.entries import change_rows, resealed


@pytest.fixture(scope="module")
def entries(small_leaderboard):
    """The entries of the small board."""
    return small_leaderboard.entries("few/v1")


@pytest.fixture(scope="module")
def board(entries):
    """The small board."""
    return rank_board(FEW, entries)


def rows_of(board):
    """Method to its row."""
    return {row.entry.method: row for row in board.rows}


def with_mean(entry, mean):
    """An entry whose means on the primary metrics are other ones."""
    metrics = {**entry.metrics, **{name: entry.metrics[name].model_copy(update={"mean": mean}) for name in FEW.primary}}
    return replace(entry, run=replace(entry.run, record=entry.run.record.model_copy(update={"metrics": metrics})))


def test_methods_are_ranked_by_what_the_data_allow(board):
    """The two methods that pass have a set of ranks on both primary metrics, and on no other; one is on the front."""
    good, fair = (rows_of(board)[name] for name in ("good", "fair"))

    assert [row.entry.method for row in board.rows][:3] == ["good", "fair", "lazy"]
    assert set(good.ranks) == set(FEW.primary)
    assert good.ranks["edit_success"].rank_low == 1
    assert (good.on_front, fair.on_front) == (True, False)


def test_who_is_not_ranked_and_why(board):
    """A method that edits nothing is no better than identity; controls are not ranked, not even the perfect edit."""
    rows = rows_of(board)

    assert "not shown to be better than the control identity at making the edit" in rows["lazy"].unranked
    assert rows["lazy"].ranks == {}
    assert {rows[name].unranked for name in ("identity", "reference", "shuffled_source")} == {"a control"}


def test_what_an_entry_stored_for_a_failed_edit_moves_nothing(copied):
    """It scores on the board like the worst edit of all entries, by the rules of whatever day it was scored."""
    path = copied.entry_path("few/v1", "good")
    found = []
    for end in ("neutral", "worse end"):

        def failed(lines, end=end):
            known = {name: METRICS.get(name) for name in lines[0] if name in METRICS.names()}
            worse = {name: m.lowest if m.higher_is_better else m.highest for name, m in known.items()}
            stored = worse if end == "worse end" else {name: m.neutral for name, m in known.items()}
            return [{**lines[0], "status": "failed", **stored}, *lines[1:]]

        change_rows(path, "items.jsonl", failed)
        resealed(path)
        found.append(rank_board(FEW, copied.entries("few/v1")))

    assert found[0].pairs == found[1].pairs
    assert {pair.metric for pair in found[0].pairs} <= set(FEW.metrics)
    assert set(found[0].ties) == set(FEW.primary)


def test_a_method_that_keeps_nothing_is_not_ranked(copied):
    """One whose preservation is the shuffled source's is listed without a rank."""
    shuffled = copied.read(copied.entry_path("few/v1", "shuffled_source")).run.table.rows
    kept = {row.item_id: row.values["attribute_preservation"] for row in shuffled}
    path = copied.entry_path("few/v1", "fair")
    change_rows(path, "items.jsonl", lambda rows: [{**r, "attribute_preservation": kept[r["item_id"]]} for r in rows])
    resealed(path)
    board = rank_board(FEW, copied.entries("few/v1"))

    assert (
        "not shown to be better than the control shuffled_source at keeping the rest" in rows_of(board)["fair"].unranked
    )


def test_without_the_controls_nobody_is_ranked(entries):
    """What has not been held against doing nothing has no rank."""
    board = rank_board(FEW, [entry for entry in entries if entry.card.kind == "method"])

    assert all("the control identity is not there" in row.unranked for row in board.rows)


def test_a_metric_that_is_awaited_keeps_a_method_from_being_ranked(entries):
    """Where the ranked metric needs weights that were not there, the board says so and ranks nobody."""
    columns = (*FEW.columns, ProtocolColumn(metric="clip_image_similarity", title=""))
    board = rank_board(replace(FEW, columns=columns, preservation="clip_image_similarity"), entries)

    assert rows_of(board)["good"].unranked == "awaits clip_image_similarity"
    assert board.notes == ("clip_image_similarity awaits weights for 6 of 6 entries",)


def test_pairs_are_those_of_compare(board, entries):
    """Every pair on every metric, with the numbers of evalkit compare: of the ranked methods, or of all entries."""

    def compared(chosen):
        options = {"metrics": FEW.metrics, "primary": FEW.primary, "margins": FEW.margins}
        pairs = compare([entry.path for entry in chosen], **options).pairs
        return {(pair.metric, pair.a, pair.b): pair for pair in pairs}

    ranked = {row.entry.method for row in board.rows if row.unranked is None}
    expected = compared(entries) | compared([entry for entry in entries if entry.method in ranked])
    assert len(board.pairs) == 15 * 3
    assert {(pair.metric, pair.a, pair.b): pair for pair in board.pairs} == expected


def test_ranks_and_ties_follow_from_the_pairs_that_are_shown(board):
    """No two methods of a set that is not told apart are decided, and ranks count decisions among the ranked."""
    ranked = [row for row in board.rows if row.unranked is None]
    names = {row.entry.method for row in ranked}
    assert len(names) > 1
    for metric in FEW.primary:
        pairs = [pair for pair in board.pairs if pair.metric == metric and {pair.a, pair.b} <= names]
        for row in ranked:
            name = row.entry.method
            losses = sum(pair.winner not in (None, name) for pair in pairs if name in (pair.a, pair.b))
            assert row.ranks[metric].rank_low == 1 + losses
        decided = [{pair.a, pair.b} for pair in pairs if pair.winner]
        assert not any(pair <= set(members) for pair in decided for members in board.ties[metric])


def test_whether_a_method_passes_does_not_depend_on_the_others(board, entries):
    """One uncorrected test against each control: taking a method away changes nobody else's standing."""
    part = rows_of(rank_board(FEW, [entry for entry in entries if entry.method != "good"]))

    assert part["lazy"].unranked == rows_of(board)["lazy"].unranked
    assert part["fair"].unranked == "there is no other method that passes, to be ranked against"


def test_no_mean_is_not_a_mean_of_zero(entries):
    """A method without a mean stands behind one with a mean below 0, and is not on the front."""
    first, second = entries[:2]
    ranked = [with_mean(first, None), with_mean(second, -0.5)]
    means = {first.method: None, second.method: -0.5}
    rows = [BoardRow(entry=entry, unranked=None, ranks={FEW.alignment: Mean(means[entry.method])}) for entry in ranked]

    assert ranking._front(FEW, ranked) == {second.method}
    assert sorted(rows, key=lambda row: ranking._order(row, FEW)) == rows[::-1]


class Mean:
    """As much of a rank as sorting needs."""

    def __init__(self, mean):
        self.mean = mean
