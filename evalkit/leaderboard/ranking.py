"""Ranks of a board: sets that the data allow, methods held against the controls first, and never one number for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.compare import pair_results, scores_of
from evalkit.comparison.join import Joined, join
from evalkit.comparison.load import load_methods
from evalkit.comparison.options import ComparisonOptions, ComparisonPlan, plan_comparison
from evalkit.comparison.records import PairResult, RankedMethod
from evalkit.leaderboard.store import LoadedEntry
from evalkit.metrics.base import METRICS
from evalkit.stats.ranking import rank_methods

ALPHA = 0.05
NOT_ALIGNED = "identity"
"""The control that methods must beat at making the edit."""
NOT_PRESERVED = "shuffled_source"
"""The control that methods must beat at keeping the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """An entry on its board."""

    held: LoadedEntry
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
    places: tuple[BoardRow, ...]
    """The ranked by their mean on the alignment metric, then the others by name, controls last."""
    pairs: tuple[PairResult, ...]
    """Every two entries on every metric that both have."""
    ties: Mapping[str, tuple[tuple[str, ...], ...]]
    """Primary metric to the maximal sets of ranked methods that are not told apart."""
    notes: tuple[str, ...]


def rank_board(protocol: Protocol, entries: Sequence[LoadedEntry], *, n_flips: int | None = None) -> Board:
    """Compare all entries pair by pair, hold the methods against the controls, and rank those that pass.

    Whether a method passes rests on one test each against each control, uncorrected, so that it does not depend on who
    else is on the board. Ranks are the sets that simultaneous intervals of all differences allow.

    Args:
        protocol: Whose entries.
        entries: All of them.
        n_flips: Random arrangements of signs for the p-values, where not all are counted.

    Raises:
        RunError: Entries are not comparable; ``verify`` finds out beforehand.
    """
    by_name = {held.entry.method: held for held in entries}
    pairs = _all_pairs(protocol, entries, n_flips)
    unranked = {name: _why_unranked(held, protocol, pairs, by_name) for name, held in by_name.items()}
    ranked = [held for name, held in by_name.items() if unranked[name] is None]
    if len(ranked) == 1:
        unranked[ranked[0].entry.method] = "there is no other method that passes, to be ranked against"
        ranked = []
    ranks, ties = _ranks(protocol, ranked)
    front = _front(protocol, ranked)
    places = [
        BoardRow(
            held=held,
            ranks={metric: ranks[metric][name] for metric in protocol.primary} if unranked[name] is None else {},
            unranked=unranked[name],
            on_front=name in front,
        )
        for name, held in by_name.items()
    ]
    return Board(
        protocol=protocol,
        places=tuple(sorted(places, key=lambda place: _order(place, protocol))),
        pairs=pairs,
        ties=ties,
        notes=tuple(_notes(protocol, entries)),
    )


def _all_pairs(protocol: Protocol, entries: Sequence[LoadedEntry], n_flips: int | None) -> tuple[PairResult, ...]:
    """Every two entries on every metric; metrics that the same entries have are one call, with one family."""
    sharing: dict[tuple[str, ...], list[str]] = {}
    for metric in protocol.metrics:
        having = tuple(held.entry.method for held in entries if metric in held.run.record.metrics)
        if len(having) > 1:
            sharing.setdefault(having, []).append(metric)
    found: list[PairResult] = []
    for having, metrics in sharing.items():
        joined, plan = _joined(protocol, [h for h in entries if h.entry.method in having], metrics, n_flips)
        found += pair_results(joined, plan, scores_of(joined, plan))
    return tuple(found)


def _joined(
    protocol: Protocol, entries: Sequence[LoadedEntry], metrics: Sequence[str], n_flips: int | None = None
) -> tuple[Joined, ComparisonPlan]:
    methods, _ = load_methods([f"{held.entry.method}={held.path}" for held in entries])
    options = ComparisonOptions(
        metrics=metrics,
        primary=[metric for metric in metrics if metric in protocol.primary],
        margins={metric: protocol.margins[metric] for metric in metrics if metric in protocol.margins},
        alpha=ALPHA,
        n_permutations=n_flips,
    )
    return join(methods, metrics), plan_comparison(methods, options)


def _why_unranked(
    held: LoadedEntry, protocol: Protocol, pairs: Sequence[PairResult], by_name: Mapping[str, LoadedEntry]
) -> str | None:
    """What keeps an entry from being ranked."""
    name = held.entry.method
    if held.card.kind == "control":
        return "a control"
    awaited = [metric for metric in protocol.primary if metric not in held.run.record.metrics]
    if awaited:
        return f"awaits {' and '.join(awaited)}"
    for primary, control, what in (
        (protocol.alignment, NOT_ALIGNED, "making the edit"),
        (protocol.preservation, NOT_PRESERVED, "keeping the rest"),
    ):
        metric = _defined(primary, protocol, by_name.get(control))
        if metric is None:
            return f"the control {control} is not there to be held against"
        p_value = _p_of_better(pairs, metric, control, name)
        if p_value is None or p_value > ALPHA:
            shown = "–" if p_value is None else f"{p_value:.3f}"
            return f"not better than the control {control} at {what} ({metric}, p {shown})"
    return None


def _defined(metric: str, protocol: Protocol, control: LoadedEntry | None) -> str | None:
    """The metric that a control has values of: the primary one, else the first of its family.

    An untouched source has no direction, so that a directional similarity cannot be held against it.
    """
    scored = control.run.record.metrics if control else {}
    family = METRICS.get(metric).family
    alike = [name for name in protocol.metrics if METRICS.get(name).family == family]
    return next((name for name in (metric, *alike) if name in scored and scored[name].n > 0), None)


def _p_of_better(pairs: Sequence[PairResult], metric: str, control: str, name: str) -> float | None:
    """The uncorrected p-value that a method is better than a control; 1 where it is worse, None where none is known."""
    for pair in pairs:
        if pair.metric == metric and {pair.a, pair.b} == {control, name}:
            if pair.p_value is None:
                return None
            return pair.p_value if _better_mean(pair, name) else 1.0
    return None


def _better_mean(pair: PairResult, name: str) -> bool:
    if pair.difference is None:
        return False
    up = METRICS.get(pair.metric).higher_is_better
    return (pair.difference > 0) == (up == (pair.b == name)) and pair.difference != 0


def _ranks(
    protocol: Protocol, ranked: Sequence[LoadedEntry]
) -> tuple[dict[str, dict[str, RankedMethod]], dict[str, tuple[tuple[str, ...], ...]]]:
    if not ranked:
        return {}, {}
    joined, plan = _joined(protocol, ranked, protocol.primary)
    found = {of.metric: rank_methods(of, joined.groups, plan.options) for of in scores_of(joined, plan)}
    ranks = {metric: {place.method: place for place in of.methods} for metric, of in found.items()}
    return ranks, {metric: of.cliques for metric, of in found.items()}


def _front(protocol: Protocol, ranked: Sequence[LoadedEntry]) -> set[str]:
    """The ranked methods than which none is at least as good on both primary metrics, and better on one."""
    signs = [1 if METRICS.get(metric).higher_is_better else -1 for metric in protocol.primary]
    means = {
        held.entry.method: tuple(
            sign * (held.run.record.metrics[metric].mean or 0.0)
            for sign, metric in zip(signs, protocol.primary, strict=True)
        )
        for held in ranked
    }
    dominated: set[str] = set()
    for a, b in combinations(means, 2):
        for one, other in ((a, b), (b, a)):
            at_least = all(x >= y for x, y in zip(means[one], means[other], strict=True))
            if at_least and means[one] != means[other]:
                dominated.add(other)
    return means.keys() - dominated


def _order(place: BoardRow, protocol: Protocol) -> tuple[int, float, str]:
    name = place.held.entry.method
    if place.unranked is not None:
        return (2 if place.held.card.kind == "control" else 1), 0.0, name
    mean = place.ranks[protocol.alignment].mean or 0.0
    return 0, -mean if METRICS.get(protocol.alignment).higher_is_better else mean, name


def _notes(protocol: Protocol, entries: Sequence[LoadedEntry]) -> list[str]:
    """What a reader must know about the whole board."""
    notes = []
    for metric in protocol.metrics:
        lacking = [held.entry.method for held in entries if metric not in held.run.record.metrics]
        if lacking:
            notes.append(f"{metric} awaits weights for {len(lacking)} of {len(entries)} entries")
    return notes
