"""What the site's pages show, as records of texts and numbers that are ready to be set."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.records import PairResult
from evalkit.formatting import DASH, format_interval, format_number, format_p, format_ranks, format_signed
from evalkit.leaderboard.anomalies import screen_outputs
from evalkit.leaderboard.ranking import Board, BoardRow
from evalkit.leaderboard.records import LEVELS, Screen
from evalkit.leaderboard.store import PICTURES, LoadedEntry
from evalkit.metrics.base import METRICS
from evalkit.scores.frame import ScoreFrame
from evalkit.scoring.apply import summarize


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A mean with its interval, drawn on the scale of its column."""

    value: float | None
    text: str
    span: str
    ranks: str = ""
    left: float = 0.0
    """Where the interval begins, in percent of the column's scale."""
    width: float = 0.0
    dot: float = 0.0
    """Where the mean lies."""
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardTableRow:
    """An entry on its board."""

    place: BoardRow
    name: str
    title: str
    kind: str
    rank: int | None
    """The low end of its set of ranks on the alignment metric; equal numbers share it."""
    level: str
    level_words: str
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...]
    """What was declared, or found by a screen, that a reader should know."""
    screens: tuple[Screen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRow:
    """An entry's means on the items of one edit type."""

    edit_type: str
    n_items: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One entry against another on one metric, seen from the first."""

    other: str
    metric: str
    difference: str
    span: str
    p: str
    adjusted_p: str
    counts: str
    verdict: str
    sentence: str
    anchor: bool
    """Whether it is the first row about the other entry, to which links lead."""


def board_rows(board: Board, entries: Sequence[LoadedEntry]) -> list[BoardTableRow]:
    """The rows of a board, in its order."""
    scales, screens = scales_of(board.protocol, entries), screens_of(entries)
    return [_row(place, board, scales, screens[place.held.entry.method]) for place in board.places]


def scales_of(protocol: Protocol, entries: Sequence[LoadedEntry]) -> dict[str, tuple[float, float]]:
    """Each metric's ends over all entries: intervals of one column are drawn on one scale."""
    scales = {}
    for metric in protocol.metrics:
        found = [held.run.record.metrics[metric] for held in entries if metric in held.run.record.metrics]
        values = [v for s in found for v in (s.mean, s.ci_low, s.ci_high) if v is not None]
        scales[metric] = (min(values), max(values)) if values else (0.0, 1.0)
    return scales


def _row(
    place: BoardRow, board: Board, scales: Mapping[str, tuple[float, float]], screens: Sequence[Screen]
) -> BoardTableRow:
    held = place.held
    alignment = place.ranks.get(board.protocol.alignment)
    return BoardTableRow(
        place=place,
        name=held.entry.method,
        title=held.card.title,
        kind=held.card.kind,
        rank=alignment.rank_low if alignment else None,
        level=held.level.replace("_", "-"),
        level_words=LEVELS[held.level],
        cells=tuple(_cell(place, metric, held.run.table, scales[metric]) for metric in board.protocol.metrics),
        warnings=warnings_of(held, screens),
        screens=tuple(screens),
    )


def _cell(place: BoardRow, metric: str, table: ScoreFrame, scale: tuple[float, float], *, ranked: bool = True) -> Cell:
    summary = place.held.run.record.metrics.get(metric)
    if summary is None:
        return Cell(value=None, text=DASH, span="", reason="awaits weights")
    if table is not place.held.run.table:
        summary = summarize(METRICS.get(metric), table, summary.signature, place.held.run.record.level)
    if summary.mean is None:
        return Cell(value=None, text=DASH, span="", reason="undefined for every item")
    low, high = scale
    size = (high - low) or 1.0

    def percent(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / size)), 1)

    start = percent(summary.mean if summary.ci_low is None else summary.ci_low)
    end = percent(summary.mean if summary.ci_high is None else summary.ci_high)
    known = summary.ci_low is not None and summary.ci_high is not None
    span = format_interval(summary.ci_low, summary.ci_high, format_number) if known else "no interval"
    return Cell(
        value=summary.mean,
        text=format_number(summary.mean),
        span=span,
        ranks=_ranks(place, metric) if ranked else "",
        left=start,
        width=round(end - start, 1),
        dot=percent(summary.mean),
    )


def _ranks(place: BoardRow, metric: str) -> str:
    found = place.ranks.get(metric)
    return "" if found is None else format_ranks(found.rank_low, found.rank_high, unranked="")


def warnings_of(held: LoadedEntry, screens: Sequence[Screen]) -> tuple[str, ...]:
    """What a reader should know of how an entry came about."""
    declared, found = held.entry.declarations, []
    for answer, yes, unknown in (
        (declared.per_item_tuning, "tuned per item", "tuned per item?"),
        ({"none": "no", "best_of_n": "yes"}.get(declared.selection, "unknown"), "best of n", "best of n?"),
        (declared.saw_benchmark, "saw the benchmark", "saw the benchmark?"),
    ):
        found += [yes] if answer == "yes" else [unknown] if answer == "unknown" else []
    return (*found, *(screen.name.replace("_", " ") for screen in screens if screen.flagged))


def screens_of(entries: Sequence[LoadedEntry]) -> dict[str, tuple[Screen, ...]]:
    """Method to its screens: those of its verification, where that counts, else those of its manifest."""
    found = screen_outputs(entries)
    for held in entries:
        if held.verification is not None and held.level != "self_scored":
            found[held.entry.method] = held.verification.screens
    return found


def type_rows(place: BoardRow, board: Board, scales: Mapping[str, tuple[float, float]]) -> list[TypeRow]:
    """An entry's means by edit type."""
    rows = place.held.run.table.rows
    found = []
    for edit_type in dict.fromkeys(row.edit_type for row in rows):
        table = ScoreFrame.from_rows([row for row in rows if row.edit_type == edit_type], place.held.run.table.metrics)
        cells = tuple(_cell(place, metric, table, scales[metric], ranked=False) for metric in board.protocol.metrics)
        found.append(TypeRow(edit_type=edit_type or DASH, n_items=table.n_items, cells=cells))
    return found


def pair_rows(name: str, pairs: Sequence[PairResult]) -> list[PairRow]:
    """All comparisons of one entry, each seen from it: a positive difference means that it scores more."""
    rows = []
    seen: set[str] = set()
    for pair in sorted(pairs, key=lambda pair: pair.b if pair.a == name else pair.a):
        ours_is_b = pair.b == name
        other, sign = (pair.a, 1) if ours_is_b else (pair.b, -1)
        ends = [None if end is None else sign * end for end in (pair.ci_low, pair.ci_high)]
        low, high = ends if ours_is_b else ends[::-1]
        win, loss = (pair.win, pair.loss) if ours_is_b else (pair.loss, pair.win)
        rows.append(
            PairRow(
                other=other,
                metric=pair.metric,
                difference=DASH if pair.difference is None else format_signed(sign * pair.difference),
                span=format_interval(low, high, format_signed),
                p=format_p(pair.p_value),
                adjusted_p=format_p(pair.adjusted_p_value),
                counts=f"{win}/{pair.tie}/{loss}",
                verdict=_verdict(pair, name),
                sentence=pair.sentence,
                anchor=other not in seen,
            )
        )
        seen.add(other)
    return rows


def _verdict(pair: PairResult, name: str) -> str:
    if pair.difference is None:
        return "not comparable"
    if pair.verdict.endswith("better"):
        return "better" if (pair.verdict == "b_better") == (pair.b == name) else "worse"
    if pair.verdict == "equivalent":
        return "equivalent"
    needed = f", {pair.items_needed:,} items would decide" if pair.items_needed else ""
    return f"inconclusive{needed}"


def pictures_of(held: LoadedEntry) -> dict[str, str]:
    """Item to picture, as a data address, where the licences allow any."""
    folder = held.path / PICTURES
    if not folder.is_dir() or not held.card.pictures_licence:
        return {}
    return {
        path.stem: f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        for path in sorted(folder.glob("*.png"))
    }
