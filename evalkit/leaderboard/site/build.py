"""``build``: the static site from the data, without a server and without a request to anywhere."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evalkit import __version__
from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.protocols import PROTOCOLS
from evalkit.comparison.statements import boards
from evalkit.comparison.tables.export import pairs_csv
from evalkit.errors import EntryError
from evalkit.formatting import counted
from evalkit.guide import pages
from evalkit.leaderboard.files import read_file
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.ranking import ALPHA, Board, rank_board
from evalkit.leaderboard.records import LEVELS
from evalkit.leaderboard.records_io import write_text
from evalkit.leaderboard.site.downloads import board_csv, board_json, scores_csv
from evalkit.leaderboard.site.views import (
    FILTERS,
    anomalies_of,
    column_ranges,
    pairs_of,
    pictures_of,
    warnings_of,
)
from evalkit.leaderboard.store import OUTPUTS_FILE, Leaderboard, LoadedEntry
from evalkit.leaderboard.thumbnails import shown_items
from evalkit.leaderboard.verify import verify
from evalkit.metrics.base import METRICS
from evalkit.report.page import asset
from evalkit.scores.run import ITEMS
from evalkit.scoring.edit_types import about_means_by_type, means_by_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The site that was written, and how large it is."""

    output: Path
    boards: tuple[Board, ...]
    n_pages: int
    n_bytes: int
    """Of all files."""


class _Site:
    """The templates, and where pages go."""

    def __init__(self, templates: Path, output: Path, protocols: Sequence[str]) -> None:
        self.output = output
        self.n_pages = 0
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= FILTERS
        script = read_file(templates / "site.js").decode()
        # The report's colours, tables and focus rings, then what only a board has.
        style = asset("page.css") + read_file(templates / "site.css").decode()
        self._environment.globals.update(
            protocols=protocols,
            version=__version__,
            levels=LEVELS,
            say=boards,
            alpha=ALPHA,
            style=Markup(style),  # noqa: S704 - files of this project
            script=Markup(script),  # noqa: S704 - a file of this project
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )

    def page(self, template: str, name: str, here: str = "", **shown: Any) -> None:  # noqa: ANN401 - the template's
        """Write one page."""
        html = self._environment.get_template(template).render(up="../" * name.count("/"), here=here, **shown)
        write_text(self.output / name, html)
        self.n_pages += 1


def build(leaderboard: Leaderboard, output: Path) -> Built:
    """Write the whole site into a folder.

    Args:
        leaderboard: The data and the templates.
        output: Where to; what is there is overwritten.

    Raises:
        EntryError: An entry has a problem that ``verify`` lists, or there are no templates.
        OSError: The folder cannot be written.
    """
    templates = leaderboard.root / "site"
    if not (templates / "base.html").is_file():
        raise EntryError(f"{templates} has no templates: expected base.html. Build from a checkout of evalkit.")
    verified = verify(leaderboard)
    if verified.problems:
        first = verified.problems[0]
        raise EntryError(
            f"The site is not built: {counted(len(verified.problems), 'problem')}, the first in "
            f"{first.where}: {first.message}. List them all: evalkit leaderboard verify"
        )
    used = leaderboard.protocols()
    protocols = list(dict.fromkeys([*(name for name in PROTOCOLS.names() if name in used), *used]))
    site = _Site(templates, output, protocols)
    boards = []
    for name in protocols:
        entries = [entry for entry in verified.entries if entry.record.protocol == name]
        boards.append(rank_board(get_protocol(name), entries))
        _write_board(site, boards[-1], entries, leaderboard)
    site.page("index.html", "index.html", boards=[_summary(board) for board in boards])
    site.page("reported.html", "reported.html", reported=leaderboard.reported())
    site.page("read.html", "read.html")
    site.page("submit.html", "submit.html")
    _write_guide(site)
    write_text(output / ".nojekyll", "")
    n_bytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Built(output=output, boards=tuple(boards), n_pages=site.n_pages, n_bytes=n_bytes)


def _summary(board: Board) -> dict[str, Any]:
    kinds = [row.entry.card.kind for row in board.rows]
    benchmark = covered_benchmark(board.protocol)
    return {
        "name": board.protocol.name,
        "n_methods": kinds.count("method"),
        "n_controls": kinds.count("control"),
        "n_items": len(benchmark.items),
        "n_groups": benchmark.n_groups,
        "primary": board.protocol.primary,
    }


def _write_board(site: _Site, board: Board, entries: Sequence[LoadedEntry], leaderboard: Leaderboard) -> None:
    protocol, benchmark = board.protocol, covered_benchmark(board.protocol)
    anomalies = anomalies_of(entries)
    known: dict[str, Any] = {
        "here": protocol.name,
        "protocol": protocol,
        "benchmark": benchmark,
        "metrics": [(name, "↑" if METRICS.get(name).higher_is_better else "↓") for name in protocol.metrics],
        "ranges": column_ranges(protocol, entries),
        "rows": board.rows,
    }
    site.page(
        "board.html",
        f"{protocol.name}/index.html",
        warnings={entry.method: warnings_of(entry, anomalies[entry.method]) for entry in entries},
        ties=board.ties,
        awaiting=board.notes,
        fill_command="evalkit submit FOLDER --card METHOD.yaml",
        reported=leaderboard.reported(protocol.benchmark),
        **known,
    )
    site.page("compare.html", f"{protocol.name}/compare.html", **known)
    _write_items(site, board, entries, benchmark)
    captions = {item.item_id: item.target_caption or "" for item in benchmark.items}
    for row in board.rows:
        method = row.entry.method
        site.page(
            "method.html",
            f"{protocol.name}/methods/{method}.html",
            row=row,
            types=(types := means_by_type(row.entry.run)),
            about_types=about_means_by_type([types], row.entry.run.record.level),
            pictures=pictures_of(row.entry, benchmark),
            captions=captions,
            pairs=pairs_of(method, board.pairs),
            anomalies=anomalies[method],
            **known,
        )
    _write_downloads(site.output / protocol.name / "data", board, entries)


def _write_guide(site: _Site) -> None:
    """The guide's pages, and one that searches them."""
    read = pages()
    for each in read:
        html = Markup(each.html())  # noqa: S704 - made of files of this project, without HTML of their own
        site.page("guide.html", f"guide/{each.topic}.html", title=each.title, html=html)
    passages = [[each.topic, each.title, *passage] for each in read for passage in each.passages()]
    site.page("guide_index.html", "guide/index.html", pages=read, passages=script_json(passages))


def _write_downloads(data: Path, board: Board, entries: Sequence[LoadedEntry]) -> None:
    write_text(data / "board.json", board_json(board))
    write_text(data / "board.csv", board_csv(board))
    write_text(data / "pairs.csv", pairs_csv(board.pairs))
    write_text(data / "scores.csv", scores_csv(entries))
    for entry in entries:
        write_text(data / f"{entry.method}.jsonl", read_file(entry.path / ITEMS).decode())
        write_text(data / f"{entry.method}.outputs.jsonl", read_file(entry.path / OUTPUTS_FILE).decode())


def _write_items(site: _Site, board: Board, entries: Sequence[LoadedEntry], benchmark: Benchmark) -> None:
    protocol, items = board.protocol, benchmark.items
    primary = [name for name in protocol.primary if any(name in entry.metrics for entry in entries)]
    primary = primary or list(protocol.metrics[:1])
    scores = {entry.method: [_by_item(entry, metric, benchmark) for metric in primary] for entry in entries}
    methods = [entry.method for entry in entries if entry.card.kind == "method"]
    means = [
        [_mean([scores[name][column][index] for name in methods]) for column in range(len(primary))]
        for index in range(len(items))
    ]
    values = {
        "items": [[item.item_id, item.target_caption or ""] for item in items],
        "entries": [[name, *columns] for name, columns in scores.items()],
    }
    site.page(
        "items.html",
        f"{protocol.name}/items.html",
        here=protocol.name,
        n_methods=len(methods),
        primary=primary,
        items=list(zip(items, means, strict=True)),
        pictures={entry.method: pictures for entry in entries if (pictures := pictures_of(entry, benchmark))},
        shown=shown_items(items),
        values=script_json(values),
    )


def _by_item(entry: LoadedEntry, metric: str, benchmark: Benchmark) -> list[float | None]:
    """One entry's value on each item of the benchmark, rounded as it is shown."""
    if metric not in entry.metrics:
        return [None] * len(benchmark.items)
    means = entry.run.table.item_means(metric)
    by_item = dict(zip(means.item_ids, means.values.tolist(), strict=True))
    return [round(by_item[item.item_id], 4) if item.item_id in by_item else None for item in benchmark.items]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def script_json(value: object) -> Markup:
    """JSON as the content of a script element, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704
