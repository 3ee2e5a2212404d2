"""What judges say on a board: a table for each signature, which ranks only where the protocol names that judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.compare import compare
from evalkit.comparison.records import RankedMethod
from evalkit.judges.rubric import Rubric
from evalkit.leaderboard.judged import JudgedRun, named_judge
from evalkit.leaderboard.protocol import ALPHA
from evalkit.leaderboard.store import LoadedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRow:
    """An entry as one judge sees it."""

    entry: LoadedEntry
    judged: JudgedRun
    ranked: RankedMethod | None
    """By the metric that ranks; None where nothing does, and of controls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeTable:
    """All entries that one judge was asked about; one signature, so that their numbers may stand in one column."""

    identity: str
    rows: tuple[JudgeRow, ...]
    """The ranked by their mean, then the other methods and the controls, by name."""
    metric: str | None
    """By which the protocol has this judge rank; None where it does not."""

    @property
    def rubric(self) -> Rubric:
        """What the judge was asked."""
        return self.rows[0].judged.judge.rubric

    @property
    def models(self) -> str:
        """Who was asked, as the server says."""
        return ", ".join(self.rows[0].judged.judge.models)


def judge_tables(protocol: Protocol, entries: Sequence[LoadedEntry]) -> tuple[JudgeTable, ...]:
    """A table for every judge, the one that ranks first.

    Args:
        protocol: Whose entries.
        entries: All of them.
    """
    named = named_judge(protocol) or (None, None)
    by_judge: dict[str, dict[str, tuple[LoadedEntry, JudgedRun]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.method):
        for judged in entry.judged:
            by_judge.setdefault(judged.identity, {})[entry.method] = entry, judged
    return tuple(
        _table(identity, of_judge, named[0] if identity == named[1] else None)
        for identity, of_judge in sorted(by_judge.items(), key=lambda found: (found[0] != named[1], found[0]))
    )


def _table(identity: str, found: Mapping[str, tuple[LoadedEntry, JudgedRun]], metric: str | None) -> JudgeTable:
    ranks = _ranks({name: judged for name, (entry, judged) in found.items() if _is_method(entry)}, metric)
    rows = [JudgeRow(entry=entry, judged=judged, ranked=ranks.get(name)) for name, (entry, judged) in found.items()]
    place = {name: number for number, name in enumerate(ranks)}
    rows.sort(key=lambda row: (not _is_method(row.entry), place.get(row.entry.method, len(place))))
    return JudgeTable(identity=identity, rows=tuple(rows), metric=metric)


def _is_method(entry: LoadedEntry) -> bool:
    return entry.card.kind == "method"


def _ranks(judged: Mapping[str, JudgedRun], metric: str | None) -> dict[str, RankedMethod]:
    """Method to its ranks, best mean first; nothing where the judge does not rank or there is nobody to rank."""
    if metric is None or len(judged) < 2:
        return {}
    sources = [f"{name}={run.path}" for name, run in judged.items()]
    found = compare(sources, metrics=[metric], primary=[metric], alpha=ALPHA)
    return {row.method: row for row in found.ranking if row.metric == metric}
