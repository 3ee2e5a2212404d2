"""The pages that compare an entry with each other one: every number of the pair, and who wins on which item."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from evalkit.comparison.records import PairResult
from evalkit.comparison.statements import boards
from evalkit.comparison.statements.pairs import effect_cells, win_tie_loss
from evalkit.formatting import format_p, format_score
from evalkit.leaderboard.ranking import Board
from evalkit.leaderboard.site.items import BoardItems
from evalkit.leaderboard.site.render import Site
from evalkit.leaderboard.site.summary import BoardSummary
from evalkit.leaderboard.site.views import metric_columns
from evalkit.leaderboard.store import LoadedEntry
from evalkit.metrics.base import METRICS
from evalkit.report.page.render import script_data
from evalkit.stats.clusters import GRID

PairsOf = Mapping[str, Mapping[str, PairResult]]
"""The other method to metric to the pair, seen from the first, which is b."""


def pairs_by_method(board: Board) -> dict[str, dict[str, dict[str, PairResult]]]:
    """Each method's comparisons, each seen from it."""
    found: dict[str, dict[str, dict[str, PairResult]]] = {row.entry.method: defaultdict(dict) for row in board.rows}
    for pair in board.pairs:
        found[pair.a][pair.b][pair.metric] = pair.seen_from(pair.a)
        found[pair.b][pair.a][pair.metric] = pair
    return found


def standing(pairs: PairsOf, metrics: Sequence[str]) -> list[str]:
    """How a method's comparisons on each metric that ranks came out."""
    found = []
    for metric in metrics:
        verdicts = Counter(of[metric].verdict_on(of[metric].b) for of in pairs.values() if metric in of)
        words = {what: verdicts[what] for what in ("better", "worse", "equivalent", "inconclusive")}
        found.append(boards.standing(words, metric))
    return found


def write_comparisons(site: Site, known: BoardItems, summary: BoardSummary, pairs: Mapping[str, PairsOf]) -> None:
    """Write a page for each entry."""
    protocol = known.board.protocol
    items = [
        [item.item_id, item.file_stem, item.target_caption or item.instruction or ""] for item in known.benchmark.items
    ]
    place = {item.item_id: index for index, item in enumerate(known.benchmark.items)}
    shown = {method: [place[item_id] for item_id in of] for method, of in known.pictures.edits.items() if of}
    columns = metric_columns(protocol)
    failed = {row.entry.method: _failed(row.entry) for row in known.board.rows}
    for row in known.board.rows:
        method = row.entry.method
        others = [other.entry.method for other in known.board.rows if other.entry.method != method]
        data = {
            "me": method,
            "metrics": [metric.label for metric in columns],
            "items": items,
            "sources": [place[item_id] for item_id in known.pictures.sources],
            "pictures": shown,
            "pairs": {
                other: {
                    "metrics": [_cells(pairs[method][other].get(metric.name)) for metric in columns],
                    "outcomes": [
                        _outcomes(known, method, other, metric, failed[method] | failed[other])
                        for metric in protocol.primary
                    ],
                }
                for other in others
            },
        }
        site.page(
            "compare.html",
            f"{protocol.name}/compare/{method}.html",
            here=protocol.name,
            protocol=protocol,
            board=summary,
            entry=row.entry,
            against=[(other, [pairs[method][other].get(metric) for metric in protocol.primary]) for other in others],
            data=script_data(data),
        )


def _cells(pair: PairResult | None) -> list[str] | None:
    """What the page shows of a pair on one metric; None where it was not compared."""
    if pair is None or pair.difference is None:
        return None
    return [
        format_score(pair.mean_b),
        format_score(pair.mean_a),
        *effect_cells(pair, ranks=False),
        boards.verdict_on_b(pair),
        format_p(pair.adjusted_p_value),
        win_tie_loss(pair),
    ]


def _outcomes(known: BoardItems, method: str, other: str, metric: str, failed: set[str]) -> str:
    """Item by item a sign: the method wins, loses or ties, an edit failed, or one of the two has no value."""
    signs = []
    better = 1 if METRICS.get(metric).higher_is_better else -1
    both = zip(known.benchmark.items, known.values[method][metric], known.values[other][metric], strict=True)
    for item, one, two in both:
        if item.item_id in failed:
            signs.append("x")
        elif one is None or two is None:
            signs.append("?")
        else:
            steps = round((one - two) / GRID) * better
            signs.append("+" if steps > 0 else "-" if steps < 0 else "=")
    return "".join(signs)


def _failed(entry: LoadedEntry) -> set[str]:
    return {row.item_id for row in entry.run.table.rows if row.status != "ok"}
