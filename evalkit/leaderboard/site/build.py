"""``build``: the static site from the data, without a server and without a request to anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.protocols import PROTOCOLS
from evalkit.comparison.tables.export import pairs_csv
from evalkit.errors import EntryError
from evalkit.guide import pages
from evalkit.judges.judgement import JUDGEMENTS
from evalkit.leaderboard.files import read_file
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.ranking import Board, rank_board
from evalkit.leaderboard.records import Reported
from evalkit.leaderboard.records_io import write_text
from evalkit.leaderboard.site.against import Comparisons, PairsOf, pairs_by_method, standing
from evalkit.leaderboard.site.downloads import board_csv, board_json, scores_csv
from evalkit.leaderboard.site.items import BoardItems, item_values, write_items
from evalkit.leaderboard.site.pictures import write_pictures
from evalkit.leaderboard.site.plot import trade_off_plot
from evalkit.leaderboard.site.render import PAGES, Site
from evalkit.leaderboard.site.summary import BoardSummary, overview, summary_of
from evalkit.leaderboard.site.views import (
    anomalies_of,
    judge_columns,
    metric_columns,
    short_licence,
    warnings_of,
)
from evalkit.leaderboard.store import OUTPUTS_FILE, WORDS_FILE, Leaderboard, LoadedEntry
from evalkit.leaderboard.verify import require_verified
from evalkit.report.page.render import script_data
from evalkit.scores.run import ITEMS
from evalkit.scoring.edit_types import about_means_by_type, means_by_type
from evalkit.votes.records import VOTES_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The site that was written, and how large it is."""

    output: Path
    boards: tuple[str, ...]
    n_pages: int
    n_bytes: int
    """Of all files."""


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
    verified = require_verified(leaderboard, "The site is not built")
    used = leaderboard.protocols()
    protocols = list(dict.fromkeys([*(name for name in PROTOCOLS.names() if name in used), *used]))
    site = Site(templates, output, protocols)
    written = [
        write_board(
            site,
            rank_board(get_protocol(name), entries, [leaderboard.read_votes(p) for p in leaderboard.votes_paths(name)]),
            covered_benchmark(get_protocol(name)),
            leaderboard.reported(get_protocol(name).benchmark),
        )
        for name in protocols
        if (entries := [entry for entry in verified.entries if entry.record.protocol == name])
    ]
    ranked_first = sorted(written, key=lambda summary: not summary.n_ranked)
    site.page("index.html", "index.html", "index", boards=ranked_first, overview=overview(ranked_first))
    site.page("reported.html", "reported.html", "reported", reported=leaderboard.reported())
    site.page("read.html", "read.html", "read")
    _write_guide(site)
    write_text(output / ".nojekyll", "")
    n_bytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Built(output=output, boards=tuple(protocols), n_pages=site.n_pages, n_bytes=n_bytes)


def write_board(site: Site, board: Board, benchmark: Benchmark, reported: Sequence[Reported]) -> BoardSummary:
    """Write all pages, pictures and downloads of a board.

    Returns:
        What the first page of the site says of it.
    """
    entries = [row.entry for row in board.rows]
    known, summary = write_lists(site, board, benchmark, reported)
    pairs = pairs_by_method(board)
    comparisons = Comparisons(known, summary)
    for entry in entries:
        comparisons.write(site, entry, pairs[entry.method])
    _write_methods(site, known, summary, pairs)
    _write_downloads(site.output / board.protocol.name / "data", board, entries)
    return summary


def write_lists(
    site: Site, board: Board, benchmark: Benchmark, reported: Sequence[Reported]
) -> tuple[BoardItems, BoardSummary]:
    """Write the pages that list a board's entries and its items, with the pictures.

    Returns:
        What the pages of single entries are made of.
    """
    protocol, entries = board.protocol, [row.entry for row in board.rows]
    pictures = write_pictures(site.output / protocol.name, benchmark, entries)
    known = BoardItems(
        board=board,
        benchmark=benchmark,
        pictures=pictures,
        values=item_values(entries, protocol.metrics, benchmark),
        anomalies=anomalies_of(entries),
    )
    summary = summary_of(board, benchmark, pictures)
    site.page(
        "board.html",
        f"{protocol.name}/index.html",
        here=protocol.name,
        protocol=protocol,
        board=summary,
        benchmark=benchmark,
        metrics=metric_columns(protocol),
        ranges=summary.ranges,
        warnings={entry.method: warnings_of(entry, known.anomalies[entry.method]) for entry in entries},
        licences=sorted({short_licence(entry.card.licence) for entry in entries}),
        plot=trade_off_plot(board),
        vote_tables=[table for table in board.votes if not table.votes.record.judge],
        judge_vote_tables=[table for table in board.votes if table.votes.record.judge],
        judges=[(table, judge_columns(table.rubric)) for table in board.judges],
        narrow_plot=trade_off_plot(board, width=360, height=420),
        reported=reported,
    )
    write_items(site, known)
    return known, summary


def _write_methods(site: Site, known: BoardItems, summary: BoardSummary, pairs: Mapping[str, PairsOf]) -> None:
    protocol = known.board.protocol
    items = {item.item_id: item for item in known.benchmark.items}
    for row in known.board.rows:
        method = row.entry.method
        site.page(
            "method.html",
            f"{protocol.name}/methods/{method}.html",
            here=protocol.name,
            protocol=protocol,
            benchmark=known.benchmark,
            metrics=metric_columns(protocol),
            ranges=summary.ranges,
            n_ranked=summary.n_ranked,
            row=row,
            title=summary.titles[method],
            types=(types := means_by_type(row.entry.run)),
            about_types=about_means_by_type([types], row.entry.run.record.level),
            sources=known.pictures.sources,
            pictures=[(items[item_id], path) for item_id, path in known.pictures.edits.get(method, {}).items()],
            judges=[(judged, judge_columns(judged.judge.rubric)) for judged in row.entry.judged],
            standing=standing(pairs[method], protocol.primary),
            anomalies=known.anomalies[method],
        )


def _write_guide(site: Site) -> None:
    """The guide's pages, and one that searches them."""
    read = pages()
    for each in read:
        html = Markup(each.html())  # noqa: S704 - made of files of this project, without HTML of their own
        here = address if (address := f"guide/{each.topic}") in dict(PAGES) else "guide/index"
        site.page("guide.html", f"{address}.html", here=here, title=each.title, html=html)
    passages = [[each.topic, each.title, *passage] for each in read for passage in each.passages()]
    site.page("guide_index.html", "guide/index.html", "guide/index", topics=read, passages=script_data(passages))


def _write_downloads(data: Path, board: Board, entries: Sequence[LoadedEntry]) -> None:
    write_text(data / "board.json", board_json(board))
    write_text(data / "board.csv", board_csv(board))
    write_text(data / "pairs.csv", pairs_csv(board.pairs))
    write_text(data / "scores.csv", scores_csv(entries))
    for table in board.votes:
        votes = read_file(table.votes.path / VOTES_FILE).decode()
        write_text(data / f"{table.votes.record.name}.votes.jsonl", votes)
        if table.votes.record.judge:
            words = read_file(table.votes.path / WORDS_FILE).decode()
            write_text(data / f"{table.votes.record.name}.votes.judgements.jsonl", words)
    for entry in entries:
        write_text(data / f"{entry.method}.jsonl", read_file(entry.path / ITEMS).decode())
        for judged in entry.judged:
            words = read_file(judged.path / JUDGEMENTS).decode()
            write_text(data / f"{entry.method}.{judged.name}.judgements.jsonl", words)
        write_text(data / f"{entry.method}.outputs.jsonl", read_file(entry.path / OUTPUTS_FILE).decode())
