"""What the site's pages show beside the records themselves, and the filters by which templates put it into text."""

import base64
from collections.abc import Iterable, Sequence

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.records import PairResult, RankedMethod
from evalkit.comparison.statements import boards
from evalkit.comparison.statements.pairs import win_tie_loss
from evalkit.formatting import format_interval, format_p, format_ranks, format_score, format_signed
from evalkit.leaderboard.anomalies import check_outputs
from evalkit.leaderboard.files import PICTURES, read_file
from evalkit.leaderboard.records import AnomalyCheck
from evalkit.leaderboard.store import LoadedEntry

ColumnRange = tuple[float, float]
"""Ends of the axis on which the intervals of a column are drawn."""


def column_ranges(protocol: Protocol, entries: Sequence[LoadedEntry]) -> dict[str, ColumnRange]:
    """Each metric's ends over all entries: intervals of one column are drawn on one scale."""
    ranges = {}
    for metric in protocol.metrics:
        summaries = [entry.metrics[metric] for entry in entries if metric in entry.metrics]
        values = [v for s in summaries for v in (s.mean, s.ci_low, s.ci_high) if v is not None]
        ranges[metric] = (min(values), max(values)) if values else (0.0, 1.0)
    return ranges


def anomalies_of(entries: Sequence[LoadedEntry]) -> dict[str, tuple[AnomalyCheck, ...]]:
    """Method to its checks: those of its verification, where that counts, else those of its outputs' digests."""
    found = check_outputs(entries)
    for entry in entries:
        if entry.verification is not None and entry.level != "self_scored":
            found[entry.method] = entry.verification.screens
    return found


def warnings_of(entry: LoadedEntry, anomalies: Sequence[AnomalyCheck]) -> tuple[str, ...]:
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


def pairs_of(method: str, pairs: Iterable[PairResult]) -> list[PairResult]:
    """All comparisons of a method, by the other one's name, each seen from it: it is b."""
    return sorted((pair.seen_from(method) for pair in pairs if method in (pair.a, pair.b)), key=lambda pair: pair.a)


def pictures_of(entry: LoadedEntry, benchmark: Benchmark) -> dict[str, str]:
    """Item to picture, as a data address, where the licences allow any."""
    if not entry.card.pictures_licence:
        return {}
    files = {item.item_id: entry.path / PICTURES / f"{item.file_stem}.png" for item in benchmark.items}
    return {
        item_id: f"data:image/png;base64,{base64.b64encode(read_file(path)).decode()}"
        for item_id, path in files.items()
        if path.exists()
    }


def _position(value: float, ends: ColumnRange) -> float:
    """Where a value lies on a column's scale, in percent."""
    low, high = ends
    return round(100 * min(1.0, max(0.0, (value - low) / ((high - low) or 1.0))), 1)


def _ranks(ranked: RankedMethod | None) -> str:
    return format_ranks(ranked.rank_low, ranked.rank_high, unranked="") if ranked else ""


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else format_interval(low, high)


FILTERS = {
    "number": format_score,
    "signed": format_signed,
    "p": format_p,
    "ranks": _ranks,
    "interval": _interval,
    "signed_interval": lambda low, high: format_interval(low, high, format_signed),
    "position": _position,
    "verdict": boards.verdict_on_b,
    "wins": win_tie_loss,
    "dashed": lambda name: name.replace("_", "-"),
}
"""What templates put values into text with, beside what Jinja brings."""
