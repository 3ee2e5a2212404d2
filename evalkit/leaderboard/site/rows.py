"""What the site's pages show, as records of texts and numbers that are ready to be set."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.records import PairResult
from evalkit.formatting import DASH, format_interval, format_number, format_ranks
from evalkit.leaderboard.anomalies import check_outputs
from evalkit.leaderboard.ranking import Board, BoardRow
from evalkit.leaderboard.records import AnomalyCheck
from evalkit.leaderboard.store import PICTURES, LoadedEntry
from evalkit.metrics.base import METRICS
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import MetricSummary
from evalkit.scoring.summaries import summarize

ColumnRange = tuple[float, float]
"""Ends of the axis on which the intervals of a column are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A mean with its interval, drawn on the scale of its column."""

    value: float | None
    text: str = DASH
    interval: str = ""
    ranks: str = ""
    left: float = 0.0
    """Where the interval begins, in percent of the column's scale."""
    width: float = 0.0
    dot: float = 0.0
    """Where the mean lies."""
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEntry:
    """An entry on its board, and on the page of its method."""

    ranking: BoardRow
    entry: LoadedEntry
    rank: int | None
    """The low end of its set of ranks on the alignment metric; equal numbers share it."""
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...]
    """What was declared, or found by a check, that a reader should know."""
    anomalies: tuple[AnomalyCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRow:
    """An entry's means on the items of one edit type."""

    edit_type: str
    n_items: int
    cells: tuple[Cell, ...]


def shown_entries(board: Board, entries: Sequence[LoadedEntry]) -> list[ShownEntry]:
    """The entries of a board, in its order."""
    scales, anomalies = scales_of(board.protocol, entries), _anomalies_of(entries)
    return [_shown(row, board.protocol, scales, anomalies[row.entry.method]) for row in board.rows]


def scales_of(protocol: Protocol, entries: Sequence[LoadedEntry]) -> dict[str, ColumnRange]:
    """Each metric's ends over all entries: intervals of one column are drawn on one scale."""
    scales = {}
    for metric in protocol.metrics:
        summaries = [entry.metrics[metric] for entry in entries if metric in entry.metrics]
        values = [v for s in summaries for v in (s.mean, s.ci_low, s.ci_high) if v is not None]
        scales[metric] = (min(values), max(values)) if values else (0.0, 1.0)
    return scales


def _anomalies_of(entries: Sequence[LoadedEntry]) -> dict[str, tuple[AnomalyCheck, ...]]:
    """Method to its checks: those of its verification, where that counts, else those of its outputs' digests."""
    found = check_outputs(entries)
    for entry in entries:
        if entry.verification is not None and entry.level != "self_scored":
            found[entry.method] = entry.verification.screens
    return found


def _shown(
    row: BoardRow, protocol: Protocol, scales: Mapping[str, ColumnRange], anomalies: tuple[AnomalyCheck, ...]
) -> ShownEntry:
    alignment = row.ranks.get(protocol.alignment)
    cells = []
    for metric in protocol.metrics:
        ranks = row.ranks.get(metric)
        shown = format_ranks(ranks.rank_low, ranks.rank_high, unranked="") if ranks else ""
        cells.append(_cell(row.entry.metrics.get(metric), scales[metric], shown))
    return ShownEntry(
        ranking=row,
        entry=row.entry,
        rank=alignment.rank_low if alignment else None,
        cells=tuple(cells),
        warnings=_warnings(row.entry, anomalies),
        anomalies=anomalies,
    )


def _cell(summary: MetricSummary | None, scale: ColumnRange, ranks: str = "") -> Cell:
    if summary is None:
        return Cell(value=None, reason="awaits weights")
    if summary.mean is None:
        return Cell(value=None, reason="undefined for every item")
    low, high = scale
    size = (high - low) or 1.0

    def percent(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / size)), 1)

    start = percent(summary.mean if summary.ci_low is None else summary.ci_low)
    end = percent(summary.mean if summary.ci_high is None else summary.ci_high)
    interval = format_interval(summary.ci_low, summary.ci_high, format_number)
    return Cell(
        value=summary.mean,
        text=format_number(summary.mean),
        interval="no interval" if interval == DASH else interval,
        ranks=ranks,
        left=start,
        width=round(end - start, 1),
        dot=percent(summary.mean),
    )


def _warnings(entry: LoadedEntry, anomalies: Sequence[AnomalyCheck]) -> tuple[str, ...]:
    """What a reader should know of how an entry came about."""
    declared, found = entry.record.declarations, []
    for answer, warning in (
        (declared.per_item_tuning, "tuned per item"),
        ({"none": "no", "best_of_n": "yes"}.get(declared.selection, "unknown"), "best of n"),
        (declared.saw_benchmark, "saw the benchmark"),
    ):
        if answer != "no":
            found.append(warning if answer == "yes" else f"{warning}?")
    return (*found, *(check.name.replace("_", " ") for check in anomalies if check.flagged))


def type_rows(entry: LoadedEntry, protocol: Protocol, scales: Mapping[str, ColumnRange]) -> list[TypeRow]:
    """An entry's means by edit type."""
    rows, level = entry.run.table.rows, entry.run.record.level
    found = []
    for edit_type in dict.fromkeys(row.edit_type for row in rows):
        table = ScoreFrame.from_rows([row for row in rows if row.edit_type == edit_type], entry.run.table.metrics)
        summaries = {
            name: summarize(METRICS.get(name), table, summary.signature, level)
            for name, summary in entry.metrics.items()
        }
        cells = tuple(_cell(summaries.get(metric), scales[metric]) for metric in protocol.metrics)
        found.append(TypeRow(edit_type=edit_type or DASH, n_items=table.n_items, cells=cells))
    return found


def pairs_of(method: str, pairs: Iterable[PairResult]) -> list[PairResult]:
    """All comparisons of a method, by the other one's name, each seen from it: it is b."""
    return sorted((pair.seen_from(method) for pair in pairs if method in (pair.a, pair.b)), key=lambda pair: pair.a)


def verdict_on_b(pair: PairResult) -> str:
    """The verdict as a table shows it."""
    if pair.difference is None:
        return "not comparable"
    verdict = pair.verdict_on(pair.b)
    if verdict == "inconclusive" and pair.items_needed:
        return f"{verdict}, {pair.items_needed:,} items would decide"
    return verdict


def pictures_of(entry: LoadedEntry) -> dict[str, str]:
    """Item to picture, as a data address, where the licences allow any."""
    folder = entry.path / PICTURES
    if not folder.is_dir() or not entry.card.pictures_licence:
        return {}
    return {
        path.stem: f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        for path in sorted(folder.glob("*.png"))
    }
