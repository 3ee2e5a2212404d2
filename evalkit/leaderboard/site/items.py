"""The pages about items: one that lists them, and one for each with every entry's edit and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.benchmarks.base import Benchmark
from evalkit.leaderboard.ranking import Board
from evalkit.leaderboard.records import AnomalyCheck
from evalkit.leaderboard.site.pictures import BoardPictures
from evalkit.leaderboard.site.render import Site
from evalkit.leaderboard.site.summary import titles_of
from evalkit.leaderboard.site.views import MetricColumn, metric_columns
from evalkit.leaderboard.store import LoadedEntry

EntryValues = Mapping[str, Sequence[float | None]]
"""Metric to an entry's value on each item of the benchmark; None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardItems:
    """What a board's pages know item by item."""

    board: Board
    benchmark: Benchmark
    pictures: BoardPictures
    values: Mapping[str, EntryValues]
    """Of each method."""
    anomalies: Mapping[str, Sequence[AnomalyCheck]]
    """Of each method."""


def item_values(entries: Sequence[LoadedEntry], metrics: Sequence[str], benchmark: Benchmark) -> dict[str, EntryValues]:
    """Every entry's values, item by item in the benchmark's order."""
    return {entry.method: {metric: _by_item(entry, metric, benchmark) for metric in metrics} for entry in entries}


def write_items(site: Site, known: BoardItems) -> None:
    """Write the list of items and each item's page."""
    board, items, pictures = known.board, known.benchmark.items, known.pictures
    entries = [row.entry for row in board.rows]
    columns = metric_columns(board.protocol)
    scored = [metric for metric in columns if any(metric.name in entry.metrics for entry in entries)]
    methods = [entry.method for entry in entries if entry.card.kind == "method"]
    listed = [metric for metric in scored if metric.primary] or scored[:1]
    site.page(
        "items.html",
        f"{board.protocol.name}/items.html",
        here=board.protocol.name,
        n_methods=len(methods),
        metrics=listed,
        items=[(item, _means(known, methods, listed, index)) for index, item in enumerate(items)],
        edit_types=list(dict.fromkeys(item.edit_type for item in items if item.edit_type)),
        sources=pictures.sources,
        with_pictures=bool(known.benchmark.licence_id),
    )
    titles = titles_of(board)
    allowed = [entry.method for entry in entries if entry.card.pictures_licence]
    for index, item in enumerate(items):
        found = pictures.of(item.item_id, [entry.method for entry in entries])
        shown = {name for name, _ in found}
        site.page(
            "item.html",
            f"{board.protocol.name}/items/{item.file_stem}.html",
            here=board.protocol.name,
            item=item,
            before=items[index - 1].file_stem if index else None,
            after=items[index + 1].file_stem if index + 1 < len(items) else None,
            pictures=[(titles.get(name, name), address) for name, address in found],
            missing=sum(method not in shown for method in allowed),
            with_pictures=bool(known.benchmark.licence_id),
            metrics=scored,
            scores=[
                (entry, [known.values[entry.method][metric.name][index] for metric in scored]) for entry in entries
            ],
        )


def _by_item(entry: LoadedEntry, metric: str, benchmark: Benchmark) -> list[float | None]:
    if metric not in entry.metrics:
        return [None] * len(benchmark.items)
    by_item = entry.run.table.item_means(metric).by_item()
    return [by_item.get(item.item_id) for item in benchmark.items]


def _means(
    known: BoardItems, methods: Sequence[str], metrics: Sequence[MetricColumn], index: int
) -> list[float | None]:
    """The mean over the methods on one item, of each metric."""
    found: list[float | None] = []
    for metric in metrics:
        values = [known.values[method][metric.name][index] for method in methods]
        defined = [value for value in values if value is not None]
        found.append(sum(defined) / len(defined) if defined else None)
    return found
