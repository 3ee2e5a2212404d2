"""Ranks of a board: sets that the data allow, methods held against the controls first, and never one number for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.compare import compare
from evalkit.comparison.records import Comparison, PairResult, RankedMethod
from evalkit.comparison.statements import boards
from evalkit.leaderboard.judge_tables import JudgeTable, judge_tables
from evalkit.leaderboard.protocol import ALPHA
from evalkit.leaderboard.store import LoadedEntry, LoadedVotes
from evalkit.leaderboard.vote_tables import VoteResults, vote_tables
from evalkit.metrics.base import METRICS, Metric

NOT_ALIGNED = "identity"
"""The control that methods must beat at making the edit."""
NOT_PRESERVED = "shuffled_source"
"""The control that methods must beat at keeping the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """An entry on its board."""

    entry: LoadedEntry
    ranks: Mapping[str, RankedMethod]
    """Primary metric to the set of ranks; only for those that are ranked."""
    unranked: str | None
    """Why it has no rank; None where it has."""
    on_front: bool = False
    """Whether no ranked method has better means on both primary metrics (Pareto)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All entries of a protocol, compared."""

    protocol: Protocol
    rows: tuple[BoardRow, ...]
    """The ranked by their mean on the alignment metric, then the others by name, controls last."""
    pairs: tuple[PairResult, ...]
    """Every two entries on every metric that both have."""
    judges: tuple[JudgeTable, ...]
    """What judges say, a table for each signature."""
    votes: tuple[VoteResults, ...]
    """What votes say, a table for each collection."""
    ties: Mapping[str, tuple[tuple[str, ...], ...]]
    """Primary metric to the maximal sets of ranked methods that are not told apart."""
    notes: tuple[str, ...]


def rank_board(protocol: Protocol, entries: Sequence[LoadedEntry], collections: Sequence[LoadedVotes] = ()) -> Board:
    """Compare all entries pair by pair, hold the methods against the controls, and rank those that pass.

    Whether a method passes rests on one test each against each control, uncorrected, so that it does not depend on who
    else is on the board. Those that pass are one family: their ranks, the sets that are not told apart and the pairs
    that are shown follow from the same decisions.

    Args:
        protocol: Whose entries.
        entries: All of them.
        collections: Votes between them.

    Raises:
        RunError: Entries are not comparable; ``verify`` finds out beforehand.
    """
    by_name = {entry.method: entry for entry in entries}
    pairs = _all_pairs(protocol, entries)
    held = {
        (pair.metric, *names): pair
        for pair in pairs
        for names in ((pair.a, pair.b), (pair.b, pair.a))
        if names[0] in (NOT_ALIGNED, NOT_PRESERVED)
    }
    unranked = {name: _why_unranked(entry, protocol, held, by_name) for name, entry in by_name.items()}
    ranked = [entry for name, entry in by_name.items() if unranked[name] is None]
    if len(ranked) == 1:
        unranked[ranked[0].method] = boards.NO_OTHER
        ranked = []
    found = _among_ranked(protocol, ranked)
    ranks = {name: _ranks(found, name, protocol) for name in by_name}
    # The items that all of them have can be too few groups to rank anybody.
    unranked |= {name: _reason(rows) for name, rows in ranks.items() if rows}
    front = _front(protocol, [entry for entry in ranked if unranked[entry.method] is None])
    rows = [
        BoardRow(entry=entry, ranks=ranks[name], unranked=unranked[name], on_front=name in front)
        for name, entry in by_name.items()
    ]
    return Board(
        protocol=protocol,
        rows=tuple(sorted(rows, key=lambda row: _order(row, protocol))),
        pairs=_decided(pairs, found),
        judges=judge_tables(protocol, entries),
        votes=vote_tables(protocol, collections, entries),
        ties={name: found.cliques[name] for name in protocol.primary} if found else {},
        notes=tuple(_notes(protocol, entries)),
    )


def _all_pairs(protocol: Protocol, entries: Sequence[LoadedEntry]) -> tuple[PairResult, ...]:
    """Every two entries on every metric; metrics that the same entries have are one call, with one family."""
    sharing: dict[tuple[str, ...], list[str]] = {}
    for metric in protocol.metrics:
        scored = tuple(entry.method for entry in entries if metric in entry.metrics)
        if len(scored) > 1:
            sharing.setdefault(scored, []).append(metric)
    return tuple(
        pair
        for scored, metrics in sharing.items()
        for pair in _compare(protocol, [entry for entry in entries if entry.method in scored], metrics).pairs
        if pair.metric in metrics  # the comparison adds how often methods fail
    )


def _compare(
    protocol: Protocol,
    entries: Sequence[LoadedEntry],
    metrics: Sequence[str],
) -> Comparison:
    """What ``evalkit compare`` finds for some entries, under the protocol's primary metrics and margins."""
    return compare(
        [f"{entry.method}={entry.path}" for entry in entries],
        metrics=metrics,
        primary=[metric for metric in metrics if metric in protocol.primary],
        margins={metric: protocol.margins[metric] for metric in metrics if metric in protocol.margins},
        alpha=ALPHA,
    )


def _why_unranked(
    entry: LoadedEntry,
    protocol: Protocol,
    held: Mapping[tuple[str, str, str], PairResult],
    by_name: Mapping[str, LoadedEntry],
) -> str | None:
    """What keeps an entry from being ranked; ``held``: metric, control and entry to the comparison of the two."""
    name = entry.method
    if entry.card.kind == "control":
        return boards.CONTROL
    awaited = [metric for metric in protocol.primary if metric not in entry.metrics]
    if awaited:
        return boards.awaits(awaited)
    for primary, control, what in (
        (protocol.alignment, NOT_ALIGNED, "making the edit"),
        (protocol.preservation, NOT_PRESERVED, "keeping the rest"),
    ):
        metric = _defined(primary, protocol, by_name.get(control))
        if metric is None:
            return boards.no_control(control)
        found = held.get((metric, control, name))
        pair = found and found.seen_from(name)
        if not _is_better(pair, METRICS.get(metric)):
            return boards.not_better_than(control, what, metric, pair, ALPHA)
    return None


def _defined(metric: str, protocol: Protocol, control: LoadedEntry | None) -> str | None:
    """The metric that a control has values of: the primary one, else the first of its family.

    An untouched source has no direction, so that a directional similarity cannot be held against it.
    """
    scored = control.run.record.metrics if control else {}
    family = METRICS.get(metric).family
    alike = [name for name in protocol.metrics if METRICS.get(name).family == family]
    return next((name for name in (metric, *alike) if name in scored and scored[name].n > 0), None)


def _is_better(pair: PairResult | None, metric: Metric) -> bool:
    """Whether the uncorrected test finds a method better than a control."""
    if pair is None or pair.p_value is None or pair.difference is None or pair.p_value > ALPHA:
        return False
    return pair.difference > 0 if metric.higher_is_better else pair.difference < 0


def _among_ranked(protocol: Protocol, ranked: Sequence[LoadedEntry]) -> Comparison | None:
    """All pairs of the ranked methods, on the metrics that all of them have; None where there are none."""
    if not ranked:
        return None
    return _compare(protocol, ranked, [name for name in protocol.metrics if all(name in e.metrics for e in ranked)])


def _ranks(found: Comparison | None, method: str, protocol: Protocol) -> dict[str, RankedMethod]:
    """Primary metric to a method's ranks."""
    rows = found.ranking if found else ()
    return {row.metric: row for row in rows if row.method == method and row.metric in protocol.primary}


def _reason(ranks: Mapping[str, RankedMethod]) -> str | None:
    """Why a method has no rank on any primary metric; None where it has one."""
    return None if any(row.rank_low is not None for row in ranks.values()) else next(iter(ranks.values())).reason


def _decided(pairs: Sequence[PairResult], found: Comparison | None) -> tuple[PairResult, ...]:
    """All pairs, those of ranked methods as they were decided among these."""
    among = {(pair.metric, pair.a, pair.b): pair for pair in (found.pairs if found else ())}
    return tuple(among.get((pair.metric, pair.a, pair.b), pair) for pair in pairs)


def _front(protocol: Protocol, ranked: Sequence[LoadedEntry]) -> set[str]:
    """The ranked methods than which none is at least as good on both primary metrics, and better on one.

    A method without a mean on one of them is not on the front, and keeps nobody from it.
    """
    points: dict[str, tuple[float, ...]] = {}
    for entry in ranked:
        means = [(METRICS.get(metric), entry.metrics[metric].mean) for metric in protocol.primary]
        values = [mean if metric.higher_is_better else -mean for metric, mean in means if mean is not None]
        if len(values) == len(means):
            points[entry.method] = tuple(values)
    dominated = {
        other
        for one, other in permutations(points, 2)
        if points[one] != points[other] and all(x >= y for x, y in zip(points[one], points[other], strict=True))
    }
    return points.keys() - dominated


def _order(row: BoardRow, protocol: Protocol) -> tuple[int, bool, float, str]:
    """The ranked come first, best mean first and those without one last; then the other methods, then the controls."""
    name = row.entry.method
    if row.unranked is not None:
        return (2 if row.entry.card.kind == "control" else 1), False, 0.0, name
    mean = row.ranks[protocol.alignment].mean
    if mean is None:
        return 0, True, 0.0, name
    return 0, False, -mean if METRICS.get(protocol.alignment).higher_is_better else mean, name


def _notes(protocol: Protocol, entries: Sequence[LoadedEntry]) -> list[str]:
    """What a reader must know about the whole board."""
    awaited: dict[int, list[str]] = {}
    for metric in protocol.metrics:
        n_awaiting = sum(metric not in entry.metrics for entry in entries)
        if n_awaiting:
            awaited.setdefault(n_awaiting, []).append(metric)
    return [boards.awaiting(metrics, n, len(entries)) for n, metrics in awaited.items()]
