"""A board of hundreds of entries in memory, made of the records of a real one: for what its pages weigh and do."""

from dataclasses import replace

import numpy as np

from evalkit.leaderboard.ranking import _front
from evalkit.metrics.base import METRICS
from evalkit.scores.frame import ScoreFrame
from evalkit.scoring.summaries import summarize


def crowded(board, n=300):
    """The board with so many entries of drawn scores in the place of its methods, and the pairs of the first of them.

    Who is better is decided by whether wide intervals are apart: testing 45,000 pairs would take minutes.
    """
    rng = np.random.default_rng(0)
    model = next(row for row in board.rows if row.unranked is None)
    entries = [_drawn(model.entry, number, n, rng) for number in range(n)]
    decided = {metric: _intervals(entries, metric) for metric in board.protocol.metrics}
    front = _front(board.protocol, entries)
    rows = [_row(model, number, entry, decided) for number, entry in enumerate(entries)]
    rows = [replace(row, on_front=row.entry.method in front) for row in rows]
    rows.sort(key=lambda row: -row.entry.metrics[board.protocol.alignment].mean)
    templates = {pair.metric: pair for pair in board.pairs}
    pairs = [pair for metric, template in templates.items() for pair in _pairs(entries, template, *decided[metric])]
    controls = [row for row in board.rows if row.entry.card.kind == "control"]
    return replace(board, rows=(*rows, *controls), pairs=tuple(pairs), ties={})


def _drawn(model, number, n, rng):
    """An entry whose scores are drawn, better the higher its number."""
    name, share = f"drawn_{number:03}", 0.2 + 0.7 * number / n
    rows = [
        replace(row, values={metric: float(rng.random() < share) for metric in row.values}, reasons={})
        for row in model.run.table.rows
    ]
    table = ScoreFrame.from_rows(rows, model.run.table.metrics)
    metrics = {m: summarize(METRICS.get(m), table, s.signature, 0.95) for m, s in model.metrics.items()}
    uses = ("source_caption", *(["edit_mask"] if number % 3 == 0 else []))
    declared = model.record.declarations.model_copy(update={"uses": uses})
    card = {
        "name": name,
        "title": f"Drawn {number}",
        "optimises": ("nothing", "embedding", "model")[number % 3],
        "licence": ("MIT", "Apache-2.0; with words of its own")[number % 2],
        "pictures_licence": "",
    }
    return replace(
        model,
        record=model.record.model_copy(update={"method": name, "declarations": declared}),
        card=model.card.model_copy(update=card),
        run=replace(model.run, table=table, record=model.run.record.model_copy(update={"metrics": metrics})),
    )


def _intervals(entries, metric):
    """The ends of wide intervals around the means of drawn entries."""
    values = np.stack([entry.run.table.column(metric) for entry in entries])
    means, half = values.mean(axis=1), 3 * values.std(axis=1) / np.sqrt(values.shape[1])
    return means - half, means + half


def _pairs(entries, template, low, high):
    """The first drawn entry against each other one on a metric."""
    for number, other in enumerate(entries[1:], 1):
        difference = float(low[number] + high[number] - low[0] - high[0]) / 2
        verdict = "b_better" if low[number] > high[0] else "a_better" if high[number] < low[0] else "inconclusive"
        yield replace(
            template, a=entries[0].method, b=other.method, difference=difference, ci_low=difference - 0.1,
            ci_high=difference + 0.1, verdict=verdict, floor=None,
        )  # fmt: skip


def _row(model, number, entry, decided):
    """An entry on the board, with the ranks that its decisions allow."""
    ranks = {}
    for metric, ranked in model.ranks.items():
        low, high = decided[metric]
        summary, lost, won = entry.metrics[metric], int((low > high[number]).sum()), int((high < low[number]).sum())
        ranks[metric] = replace(
            ranked, method=entry.method, mean=summary.mean, ci_low=summary.ci_low, ci_high=summary.ci_high,
            rank_low=1 + lost, rank_high=len(low) - won, tied_with_best=not lost,
        )  # fmt: skip
    return replace(model, entry=entry, ranks=ranks)
