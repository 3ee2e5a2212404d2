"""What the page of a board and its downloads say, held against the properties of `tests.support.audit`."""

import csv
import io
import re
from types import SimpleNamespace

import numpy as np

from evalkit.benchmarks.protocols import Protocol, ProtocolColumn
from evalkit.comparison.statements.boards import verdict_on_b
from evalkit.comparison.tables.export import pairs_csv
from evalkit.leaderboard.ranking import ALPHA, rank_board
from evalkit.leaderboard.records import Card
from evalkit.leaderboard.site.pictures import BoardPictures
from evalkit.leaderboard.site.plot import trade_off_plot
from evalkit.leaderboard.site.render import environment
from evalkit.leaderboard.site.summary import summary_of
from evalkit.leaderboard.site.views import column_ranges, metric_columns
from evalkit.metrics.base import METRICS
from evalkit.scores.run import read_run
from tests.support.audit import (
    Said,
    Tables,
    check_ranks,
    check_sets,
    check_verdicts,
    check_words,
    ranks_of,
    read_record,
)
from tests.support.boards import SITE
from tests.support.runs import write_scores


def board_of_runs(root, scores, groups):
    """A board of entries with these scores, without cards and pictures: method to metric to values.

    Returns:
        The board and its entries.
    """
    metrics = tuple(next(iter(scores.values())))
    protocol = Protocol(
        name="drawn/v1", benchmark="drawn", benchmark_version="1", title="Drawn", n_items=len(groups), encoder="none",
        columns=tuple(ProtocolColumn(metric=name, title=name) for name in metrics), alignment=metrics[0],
        preservation=metrics[1], margins={metrics[0]: 0.01},
    )  # fmt: skip
    entries = []
    for name, columns in scores.items():
        path = write_scores(root / name, columns, groups=groups)
        kind = "control" if name in ("identity", "shuffled_source") else "method"
        run = read_run(path)
        means = {
            metric: summary.model_copy(update={"mean": float(np.mean(columns[metric]))})
            for metric, summary in run.record.metrics.items()
        }
        entries.append(_shown(name, kind, path, run, means))
    return rank_board(protocol, entries), entries


def audit_board(board, entries):
    """Hold a board's page and downloads against the properties."""
    metrics = {name: METRICS.get(name) for name in board.protocol.metrics}
    compared = {
        name: SimpleNamespace(
            higher_is_better=metric.higher_is_better,
            range=(metric.lowest, metric.highest),
            margin=board.protocol.margins.get(name),
        )
        for name, metric in metrics.items()
    }
    pairs = {(pair.metric, pair.a, pair.b): pair for pair in board.pairs}
    page = Tables(board_page(board, entries))
    said = Said(where="board", text=" ".join(page.words), metrics=compared)
    ranked = {row.entry.method for row in board.rows if row.unranked is None}
    for row in csv.DictReader(io.StringIO(pairs_csv(board.pairs))):
        numbers = {key: float(row[key]) if row[key] else None for key in ("difference", "ci_low", "ci_high")}
        read_record(said, {**row, **numbers}, {})
        words = verdict_on_b(
            next(p for p in board.pairs if (p.metric, p.a, p.b) == (row["metric"], row["a"], row["b"]))
        )
        of_b = {"better": row["b"], "worse": row["a"]}.get(words.partition(" on ")[0])
        said.expect(of_b == said.winner((row["metric"], row["a"], row["b"])), f"{words} on the page of {row['b']}")
    ((_, rows),) = page.tables
    aligned, preserved = board.protocol.primary
    for cells in rows:
        name = next(
            name for name in sorted(ranked | {e.method for e in entries}, key=len) if cells[2].split()[0] == name
        )
        for metric, cell, ranks in (
            (aligned, cells[1], r"(\d+(?:–\d+)?)"),
            (preserved, cells[4], r"rank (\d+(?:–\d+)?)"),
        ):
            found = re.search(ranks, cell)
            said.ranks[metric, name] = ranks_of(found[1]) if found else None
    for words in page.words:
        found = re.match(rf"({'|'.join(metrics)}): (.+)$", words)
        if found:
            said.sets[found[1]].append(set(found[2].split(", ")))
    check_words(said)
    check_verdicts(said, SimpleNamespace(pairs=tuple(pairs.values()), settings={"alpha": ALPHA}))
    check_ranks(said, None)
    check_sets(said, None)
    for name in ranked:
        said.expect(said.ranks[board.protocol.alignment, name], f"{name} is ranked, and the page shows no rank")


def board_page(board, entries):
    """A board's page."""
    benchmark = SimpleNamespace(title="Drawn", description="", items=(), n_groups=1)
    return (
        environment(SITE, ())
        .get_template("board.html")
        .render(
            up="", here="drawn/v1", whole=True, protocol=board.protocol, benchmark=benchmark,
            board=summary_of(board, benchmark, BoardPictures()), metrics=metric_columns(board.protocol),
            ranges=column_ranges(board.protocol, entries), warnings={entry.method: () for entry in entries},
            licences=[], plot=trade_off_plot(board), narrow_plot=None, reported=[], vote_tables=board.votes,
            judge_vote_tables=[], judges=[],
        )
    )  # fmt: skip


def shown_by_name(entries):
    """Entries as a board shows them, under their names instead of the titles of their cards."""
    return [_shown(entry.method, entry.card.kind, entry.path, entry.run, entry.metrics) for entry in entries]


def _shown(name, kind, path, run, means):
    """As much of an entry as a board shows."""
    card = Card(name="drawn", title=name, summary="Drawn.", kind=kind, licence="MIT")
    record = SimpleNamespace(declarations=SimpleNamespace(uses=()), submitted="2026-01-01")
    return SimpleNamespace(
        method=name, path=path, card=card, run=run, metrics=means, level="self_scored", record=record,
        awaiting=(), judged=()
    )  # fmt: skip
