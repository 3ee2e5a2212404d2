"""The pages that compare an entry with each other one: every number of the pair, and who wins on which item."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

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

_SIGNS = np.frombuffer(b"-=+?x", dtype=np.uint8)
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


class Comparisons:
    """Writes the page that compares an entry with each other one; knows what all of these have in common."""

    def __init__(self, known: BoardItems, summary: BoardSummary) -> None:
        self._protocol, self._summary = known.board.protocol, summary
        self._columns = metric_columns(self._protocol)
        items = known.benchmark.items
        position = {item.item_id: index for index, item in enumerate(items)}
        self._entries = [row.entry for row in known.board.rows]
        self._shared = {
            "titles": summary.titles,
            "metrics": [metric.label for metric in self._columns],
            "items": [[item.item_id, item.file_stem, item.target_caption or item.instruction or ""] for item in items],
            "sources": [position[item_id] for item_id in known.pictures.sources],
            "pictures": {
                name: [position[item_id] for item_id in of] for name, of in known.pictures.edits.items() if of
            },
        }
        self._values = {
            metric: np.array([known.values[entry.method][metric] for entry in self._entries], dtype=np.float64)
            for metric in self._protocol.primary
        }
        self._failed = np.zeros((len(self._entries), len(items)), dtype=np.bool_)
        for number, entry in enumerate(self._entries):
            failed = {row.item_id for row in entry.run.table.rows if row.status != "ok"}
            self._failed[number, [position[item_id] for item_id in failed]] = True

    def write(self, site: Site, entry: LoadedEntry, pairs: PairsOf) -> None:
        """Write an entry's page."""
        outcomes = [self._outcomes(entry, metric) for metric in self._protocol.primary]
        others = [other.method for other in self._entries if other.method != entry.method]
        data = {
            "me": entry.method,
            **self._shared,
            "pairs": {
                other.method: {
                    "metrics": [_cells(pairs[other.method].get(metric.name)) for metric in self._columns],
                    "outcomes": [of_metric[number] for of_metric in outcomes],
                }
                for number, other in enumerate(self._entries)
                if other.method != entry.method
            },
        }
        site.page(
            "compare.html",
            f"{self._protocol.name}/compare/{entry.method}.html",
            here=self._protocol.name,
            protocol=self._protocol,
            board=self._summary,
            entry=entry,
            against=[(other, [pairs[other].get(metric) for metric in self._protocol.primary]) for other in others],
            data=script_data(data),
        )

    def _outcomes(self, entry: LoadedEntry, metric: str) -> list[str]:
        """Against each entry a sign per item: this one wins, loses or ties, has no value beside it, or one failed."""
        number, values = self._entries.index(entry), self._values[metric]
        better = 1 if METRICS.get(metric).higher_is_better else -1
        steps = np.rint((values[number] - values) / GRID) * better
        signs = np.where(np.isnan(steps), 3, np.sign(np.nan_to_num(steps)) + 1).astype(np.intp)
        signs[self._failed | self._failed[number]] = 4
        return [row.tobytes().decode() for row in _SIGNS[signs]]


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
