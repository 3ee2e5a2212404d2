"""``build``: the static site from the data, without a server and without a request to anywhere."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evalkit import __version__
from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.protocols import PROTOCOLS
from evalkit.errors import EntryError
from evalkit.leaderboard.files import write_text
from evalkit.leaderboard.protocol import get_protocol, open_benchmark
from evalkit.leaderboard.ranking import Board, rank_board
from evalkit.leaderboard.records import LEVELS
from evalkit.leaderboard.site.downloads import board_csv, board_json, pairs_csv, scores_csv
from evalkit.leaderboard.site.rows import BoardTableRow, board_rows, pair_rows, pictures_of, scales_of, type_rows
from evalkit.leaderboard.store import OUTPUTS_FILE, Leaderboard, LoadedEntry
from evalkit.leaderboard.thumbnails import shown_items
from evalkit.leaderboard.verify import verify
from evalkit.metrics.base import METRICS
from evalkit.report.page import asset
from evalkit.scores.run import ITEMS

EXAMPLE = """\
protocol: PROTOCOL
method:
  name: my_method
  title: My method
  summary: What it does, in one sentence.
  licence: MIT
  paper: https://arxiv.org/abs/…
  pictures_licence: CC-BY-4.0     # only if pictures may be shown
declarations:
  per_item_tuning: no             # yes, no or unknown
  selection: none                 # none or best_of_n
  attempts_per_item: 1
  deterministic: false
  uses: [source_caption, target_caption]
  saw_benchmark: no               # its images or texts, in training or in tuning
  settings: {guidance: 7.5}
submitter:
  name: Your name
  relationship: first_party       # first_party, third_party or collaborative
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A site that was written."""

    output: Path
    boards: tuple[Board, ...]
    n_pages: int
    n_bytes: int
    """Of all files."""


class _Site:
    """The templates, and where pages go."""

    def __init__(self, templates: Path, output: Path, protocols: Sequence[str]) -> None:
        self.output, self.protocols = output, protocols
        self.environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # The report's colours, tables and focus rings, then what only a board has.
        shared = asset("page.css")
        own, script = ((templates / name).read_text("utf-8") for name in ("site.css", "site.js"))
        self.style = Markup(shared + own)  # noqa: S704 - files of this project
        self.script = Markup(script)  # noqa: S704 - a file of this project
        self.script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self.n_pages = 0

    def page(self, template: str, name: str, here: str = "", **shown: Any) -> None:  # noqa: ANN401 - the template's
        """Write one page."""
        html = self.environment.get_template(template).render(
            up="../" * name.count("/"),
            here=here,
            protocols=self.protocols,
            version=__version__,
            style=self.style,
            script=self.script,
            script_hash=self.script_hash,
            **shown,
        )
        write_text(self.output / name, html)
        self.n_pages += 1


def build(leaderboard: Leaderboard, output: Path, *, n_flips: int | None = None) -> Built:
    """Write the whole site into a folder.

    Args:
        leaderboard: The data and the templates.
        output: Where to; what is there is overwritten.
        n_flips: Random arrangements of signs for the p-values, where not all are counted.

    Raises:
        EntryError: An entry has a problem that ``verify`` lists, or there are no templates.
        OSError: The folder cannot be written.
    """
    templates = leaderboard.root / "site"
    if not (templates / "base.html").is_file():
        raise EntryError(f"{templates} has no templates: expected base.html. Build from a checkout of evalkit.")
    problems = verify(leaderboard).problems
    if problems:
        first = problems[0]
        raise EntryError(
            f"The site is not built: {len(problems)} problem{'s' if len(problems) > 1 else ''}, the first in "
            f"{first.where}: {first.message}. List them all: evalkit leaderboard verify"
        )
    protocols = list(
        dict.fromkeys([*(p for p in PROTOCOLS.names() if p in leaderboard.protocols()), *leaderboard.protocols()])
    )
    site = _Site(templates, output, protocols)
    boards = []
    for name in protocols:
        entries = leaderboard.entries(name)
        board = rank_board(get_protocol(name), entries, n_flips=n_flips)
        _write_board(site, board, entries, leaderboard)
        boards.append(board)
    site.page("index.html", "index.html", boards=[_summary(board) for board in boards])
    site.page("reported.html", "reported.html", reported=leaderboard.reported(), claimed=LEVELS["claimed"])
    site.page("read.html", "read.html", levels=LEVELS)
    site.page("submit.html", "submit.html", example=EXAMPLE.replace("PROTOCOL", " or ".join(protocols) or "NAME/v1"))
    (output / ".nojekyll").touch()
    n_bytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Built(output=output, boards=tuple(boards), n_pages=site.n_pages, n_bytes=n_bytes)


def _summary(board: Board) -> dict[str, Any]:
    kinds = [place.held.card.kind for place in board.places]
    benchmark = open_benchmark(board.protocol)
    return {
        "name": board.protocol.name,
        "n_methods": kinds.count("method"),
        "n_controls": kinds.count("control"),
        "n_items": len(benchmark.items),
        "n_groups": benchmark.n_groups,
        "primary": board.protocol.primary,
    }


def _write_board(site: _Site, board: Board, entries: Sequence[LoadedEntry], leaderboard: Leaderboard) -> None:
    protocol, benchmark = board.protocol, open_benchmark(board.protocol)
    rows = board_rows(board, entries)
    metrics = [(name, "↑" if METRICS.get(name).higher_is_better else "↓") for name in protocol.metrics]
    known: dict[str, Any] = {
        "protocol": protocol,
        "benchmark": benchmark,
        "metrics": metrics,
        "here": protocol.name,
    }
    site.page(
        "board.html",
        f"{protocol.name}/index.html",
        rows=rows,
        levels=list(dict.fromkeys(row.level for row in rows)),
        ties=board.ties,
        awaiting=board.notes,
        fill_command="evalkit submit FOLDER --card METHOD.yaml",
        reported=leaderboard.reported(protocol.benchmark),
        claimed=LEVELS["claimed"],
        **known,
    )
    site.page("compare.html", f"{protocol.name}/compare.html", rows=rows, **known)
    _write_items(site, board, entries, benchmark)
    _write_methods(site, board, entries, rows, known)
    data = site.output / protocol.name / "data"
    for name, text in (
        ("board.json", board_json(board)),
        ("board.csv", board_csv(board)),
        ("pairs.csv", pairs_csv(board)),
        ("scores.csv", scores_csv(entries)),
    ):
        write_text(data / name, text)
    for held in entries:
        write_text(data / f"{held.entry.method}.jsonl", (held.path / ITEMS).read_text("utf-8"))
        write_text(data / f"{held.entry.method}.outputs.jsonl", (held.path / OUTPUTS_FILE).read_text("utf-8"))


def _write_methods(
    site: _Site, board: Board, entries: Sequence[LoadedEntry], rows: Sequence[BoardTableRow], known: Mapping[str, Any]
) -> None:
    scales = scales_of(board.protocol, entries)
    captions = {item.item_id: item.target_caption or "" for item in known["benchmark"].items}
    by_name: dict[str, list[Any]] = {row.name: [] for row in rows}
    for pair in board.pairs:
        by_name[pair.a].append(pair)
        by_name[pair.b].append(pair)
    for row in rows:
        site.page(
            "method.html",
            f"{board.protocol.name}/methods/{row.name}.html",
            row=row,
            alignment=board.protocol.metrics.index(board.protocol.alignment),
            n_items=len(captions),
            types=type_rows(row.place, board, scales),
            pictures=pictures_of(row.place.held),
            captions=captions,
            pairs=pair_rows(row.name, by_name[row.name]),
            screens=row.screens,
            **known,
        )


def _write_items(site: _Site, board: Board, entries: Sequence[LoadedEntry], benchmark: Benchmark) -> None:
    protocol = board.protocol
    primary = [name for name in protocol.primary if any(name in held.run.record.metrics for held in entries)]
    primary = primary or list(protocol.metrics[:1])
    scores = {held.entry.method: [_by_item(held, metric, benchmark) for metric in primary] for held in entries}
    methods = [held.entry.method for held in entries if held.card.kind == "method"]
    listed = [
        {
            "id": item.item_id,
            "edit_type": item.edit_type or "–",
            "caption": item.target_caption or "",
            "means": [_mean([scores[name][m][number] for name in methods]) for m in range(len(primary))],
        }
        for number, item in enumerate(benchmark.items)
    ]
    values = {
        "items": [[item["id"], item["caption"]] for item in listed],
        "entries": [[name, *columns] for name, columns in scores.items()],
    }
    pictures = {held.entry.method: of for held in entries if (of := pictures_of(held))}
    site.page(
        "items.html",
        f"{protocol.name}/items.html",
        here=protocol.name,
        n_methods=len(methods),
        primary=primary,
        items=listed,
        pictures=pictures,
        shown=[item.item_id for item in shown_items(benchmark.items)],
        captions={item.item_id: item.target_caption or "" for item in benchmark.items},
        values=script_json(values),
    )


def _by_item(held: LoadedEntry, metric: str, benchmark: Benchmark) -> list[float | None]:
    """One entry's value on each item of the benchmark, rounded as it is shown."""
    if metric not in held.run.record.metrics:
        return [None] * len(benchmark.items)
    means = held.run.table.item_means(metric)
    of = dict(zip(means.item_ids, means.values.tolist(), strict=True))
    return [None if (value := of.get(item.item_id)) is None else round(value, 4) for item in benchmark.items]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def script_json(value: object) -> Markup:
    """JSON as the content of a script element, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704
