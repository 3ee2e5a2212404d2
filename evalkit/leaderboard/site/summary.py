"""What the site says of a whole board: its answers, its first rows, what is open, and who is on which board."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evalkit.benchmarks.base import Benchmark
from evalkit.comparison.statements import boards
from evalkit.formatting import format_ranks, one_line, shortened
from evalkit.leaderboard.fill import fill_command
from evalkit.leaderboard.ranking import Board, BoardRow
from evalkit.leaderboard.site.pictures import BoardPictures
from evalkit.leaderboard.site.plot import trade_off_plot
from evalkit.leaderboard.site.views import ColumnRange, MetricColumn, column_ranges, metric_columns
from evalkit.leaderboard.thumbnails import shown_items

N_FIRST = 5
"""Rows of each board on the first page."""
LONGEST_TITLE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSummary:
    """A board as the first page shows it, and as its own page begins."""

    name: str
    title: str
    alignment: str
    miniature: bool
    rows: tuple[BoardRow, ...]
    n_ranked: int
    n_items: int
    answers: tuple[str, ...]
    """One sentence for each metric that ranks."""
    about: str
    notes: tuple[str, ...]
    fill_command: str
    why: Mapping[str, Sequence[str]]
    """Reason to the titles of the methods that it keeps from being ranked."""
    titles: Mapping[str, str]
    """Of every method and control."""
    ties: Mapping[str, Sequence[Sequence[str]]]
    """Metric to the titles of the methods that are not told apart."""
    metrics: Sequence[MetricColumn]
    """Those that rank."""
    ranges: Mapping[str, ColumnRange]
    plot: Markup | None
    thumbnails: Sequence[str]
    """Addresses from the first page."""

    @property
    def first(self) -> list[BoardRow]:
        """The first rows; of controls only where nobody is ranked, beside whom a method's means can be seen."""
        return [row for row in self.rows if row.entry.card.kind == "method" or not self.n_ranked][:N_FIRST]


def summary_of(board: Board, benchmark: Benchmark, pictures: BoardPictures) -> BoardSummary:
    """What is said of a board as a whole."""
    protocol = board.protocol
    n_ranked = sum(row.unranked is None for row in board.rows)
    kinds = [row.entry.card.kind for row in board.rows]
    metrics = [metric for metric in metric_columns(protocol) if metric.primary]
    titles = titles_of(board)
    shown = [item.item_id for item in shown_items(benchmark.items) if item.item_id in pictures.sources]
    return BoardSummary(
        name=protocol.name,
        title=benchmark.title,
        alignment=protocol.alignment,
        miniature=protocol.encoder == "miniature",
        rows=board.rows,
        n_ranked=n_ranked,
        n_items=len(benchmark.items),
        answers=tuple(_answers(board, metrics)),
        about=boards.about_entries(kinds.count("method"), n_ranked, kinds.count("control"))
        + f" {boards.about_items(len(benchmark.items), benchmark.n_groups)}",
        notes=board.notes,
        fill_command=fill_command(protocol.name, [row.entry for row in board.rows]),
        why=_why(board),
        titles=titles,
        ties={metric: [[titles[name] for name in members] for members in sets] for metric, sets in board.ties.items()},
        metrics=metrics,
        ranges=column_ranges(protocol, [row.entry for row in board.rows]),
        plot=trade_off_plot(board, width=520, height=300),
        thumbnails=[f"{protocol.name}/{pictures.sources[item_id]}" for item_id in shown],
    )


def overview(summaries: Sequence[BoardSummary]) -> list[tuple[str, str, list[str | None]]]:
    """Every method with its title, and on each board its two rank sets, why it has none, or None without an entry."""
    rows = [{row.entry.method: row for row in board.rows if row.entry.card.kind == "method"} for board in summaries]
    titles = {name: row.entry.card.title for of_board in rows for name, row in of_board.items()}
    cells = {
        name: [
            _standing(of_board[name], board) if name in of_board else None
            for of_board, board in zip(rows, summaries, strict=True)
        ]
        for name in titles
    }
    return [(name, titles[name], cells[name]) for name in sorted(titles, key=lambda name: titles[name].lower())]


def _standing(row: BoardRow, board: BoardSummary) -> str:
    if row.unranked is not None:
        awaits = any(metric.name not in row.entry.metrics for metric in board.metrics)
        return "awaits weights" if awaits else "not ranked"
    ranks = (row.ranks.get(metric.name) for metric in board.metrics)
    return " · ".join(format_ranks(found.rank_low, found.rank_high) for found in ranks if found)


def _answers(board: Board, metrics: Sequence[MetricColumn]) -> Iterator[str]:
    for metric in metrics:
        found = [(row.ranks[metric.name].rank_low, title_of(row)) for row in board.rows if metric.name in row.ranks]
        best = [title for low, title in found if low == 1]
        others = [title for low, title in found if low not in (None, 1)]
        if best:
            yield boards.answer(metric.label, best, others)


def _why(board: Board) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in board.rows:
        if row.unranked is not None and row.entry.card.kind == "method":
            found.setdefault(row.unranked, []).append(title_of(row))
    return found


def titles_of(board: Board) -> dict[str, str]:
    """The titles of all entries as the site shows them."""
    return {row.entry.method: title_of(row) for row in board.rows}


def title_of(row: BoardRow) -> str:
    """A title as a sentence holds it."""
    return shortened(one_line(row.entry.card.title), LONGEST_TITLE)
