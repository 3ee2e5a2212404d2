"""What the site's pages show beside the records themselves, and the filters by which templates put it into text."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.benchmarks.protocols import Protocol
from evalkit.comparison.records import PairResult, RankedMethod
from evalkit.comparison.votes.statements import notes_of
from evalkit.formatting import (
    DASH,
    abridged,
    counted,
    format_interval,
    format_percent,
    format_ranks,
    format_score,
    format_signed,
)
from evalkit.judges.judgement import JudgeRecord
from evalkit.judges.rubric import Rubric
from evalkit.leaderboard.anomalies import check_outputs
from evalkit.leaderboard.records import AnomalyCheck
from evalkit.leaderboard.store import LoadedEntry
from evalkit.leaderboard.vote_tables import VoteResults
from evalkit.metrics.base import METRICS
from evalkit.report.page.cells import SIGNS
from evalkit.report.page.render import breakable
from evalkit.votes.judged import VotingJudge

_LONGEST_ANSWER = 600
"""Characters of a judge's answer that a page shows."""
ColumnRange = tuple[float, float]
"""Ends of the axis on which the intervals of a column are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumn:
    """A metric as the head of a column shows it."""

    name: str
    label: str
    """With an arrow towards the better values."""
    first: str
    """How a click sorts first: the best come first."""
    primary: bool


def metric_columns(protocol: Protocol) -> list[MetricColumn]:
    """The metrics that rank, then the others."""
    names = [*protocol.primary, *(name for name in protocol.metrics if name not in protocol.primary)]
    return [
        MetricColumn(
            name=name,
            label=f"{name} {'↑' if METRICS.get(name).higher_is_better else '↓'}",
            first="descending" if METRICS.get(name).higher_is_better else "ascending",
            primary=name in protocol.primary,
        )
        for name in names
    ]


def judge_columns(rubric: Rubric) -> list[MetricColumn]:
    """The numbers that a judge's answers give, what is combined of them first."""
    names = [*rubric.combined, *rubric.criteria]
    return [
        MetricColumn(name=f"{rubric.name}:{name}", label=f"{name} ↑", first="descending", primary=not number)
        for number, name in enumerate(names)
    ]


def column_ranges(protocol: Protocol, entries: Sequence[LoadedEntry]) -> dict[str, ColumnRange]:
    """Each metric's ends over all entries: intervals of one column are drawn on one scale."""
    ranges = {}
    for metric in protocol.metrics:
        summaries = [entry.metrics[metric] for entry in entries if metric in entry.metrics]
        values = [v for s in summaries for v in (s.mean, s.ci_low, s.ci_high) if v is not None]
        ranges[metric] = (min(values), max(values)) if values else (0.0, 1.0)
    return ranges


def anomalies_of(entries: Sequence[LoadedEntry]) -> dict[str, tuple[AnomalyCheck, ...]]:
    """Method to its checks: those of its verification, where that counts, else those of its outputs' digests."""
    found = check_outputs(entries)
    for entry in entries:
        if entry.verification is not None and entry.level != "self_scored":
            found[entry.method] = entry.verification.screens
    return found


def warnings_of(entry: LoadedEntry, anomalies: Sequence[AnomalyCheck]) -> tuple[str, ...]:
    """What a reader should know of how an entry came about."""
    declared, found = entry.record.declarations, []
    for answer, warning in (
        (declared.per_item_tuning, "tuned per item"),
        ({"none": "no", "best_of_n": "yes"}.get(declared.selection, "unknown"), "best of n"),
        (declared.saw_benchmark, "saw the benchmark"),
    ):
        if answer != "no":
            found.append(warning if answer == "yes" else f"{warning}: unknown")
    return (*found, *(check.name.replace("_", " ") for check in anomalies if check.flagged))


def _position(value: float, ends: ColumnRange) -> float:
    """Where a value lies on a column's scale, in percent."""
    low, high = ends
    return round(100 * min(1.0, max(0.0, (value - low) / ((high - low) or 1.0))), 1)


def _ranks(ranked: RankedMethod | None) -> str:
    return format_ranks(ranked.rank_low, ranked.rank_high, unranked="") if ranked else ""


def _sign(pair: PairResult) -> str:
    """The verdict on b, as a sign."""
    return SIGNS["different" if pair.undirected else pair.verdict_on(pair.b)]


def short_licence(licence: str) -> str:
    """What a licence is called, without what is said about it.

    >>> short_licence("Apache-2.0; written from the published description")
    'Apache-2.0'
    """
    return licence.partition(";")[0].strip()[:40] or DASH


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else format_interval(low, high)


def _judge_words(judge: JudgeRecord) -> str:
    """How a judge was asked, for people."""
    return (
        f"Rubric {judge.rubric.title} ({judge.rubric.label}); {counted(judge.repeats, 'answer')} per edit at "
        f"{_asked_words(judge)}"
    )


def _asked_words(judge: JudgeRecord | VotingJudge) -> str:
    """At what temperature a judge answered, and what pictures it was sent."""
    temperature, size = judge.asked.get("temperature"), judge.image.partition("-")
    shown = f"{temperature:g}" if isinstance(temperature, int | float) else temperature
    heat = "the server's own temperature" if temperature is None else f"temperature {shown}"
    return f"{heat}; pictures of at most {size[0]} pixels a side, as {size[2]}"


def _voter_words(table: VoteResults) -> str:
    """How a judge that votes was asked, and how it did at the attention checks, for people."""
    words, judge = table.votes.words, table.votes.record.judge
    n_unread = sum(each.answer is None for each in words)
    checks = _checks_words(table)
    asked = f"One answer per pair at {_asked_words(judge)}" if judge else ""
    return f"{asked}. {n_unread} of {counted(len(words), 'answer')} named no choice; {checks[:1].lower()}{checks[1:]}."


def _vote_notes(table: VoteResults) -> list[str]:
    """What a reader of votes must know."""
    return [f"{note[:1].upper()}{note[1:]}." for note in notes_of(table.comparison)]


def _rater_words(table: VoteResults) -> str:
    """How raters did at the attention checks, and how many of them vote as by chance."""
    raters = table.comparison.raters
    flagged = sum(rater.agreement.is_flagged for rater in raters)
    return f"{_checks_words(table)}; {flagged} of {counted(len(raters), 'rater')} as by chance."


def _checks_words(table: VoteResults) -> str:
    raters = table.comparison.raters
    n_checks, n_failed = (sum(getattr(rater, name) for rater in raters) for name in ("n_checks", "n_failed_checks"))
    return f"{n_failed} of {counted(n_checks, 'attention check')} failed" if n_checks else "No attention checks"


FILTERS = {
    "vote_notes": _vote_notes,
    "rater_words": _rater_words,
    "voter_words": _voter_words,
    "rank_set": lambda ranks: format_ranks(*ranks),
    "percent": lambda share: format_percent(round(share, 3)),
    "judge_words": _judge_words,
    "abridged": lambda text: abridged(text, _LONGEST_ANSWER),
    "number": format_score,
    "signed": format_signed,
    "ranks": _ranks,
    "interval": _interval,
    "position": _position,
    "sign": _sign,
    "dashed": lambda name: name.replace("_", "-"),
    "spaced": lambda name: name.replace("_", " "),
    "short_licence": short_licence,
    "breakable": breakable,
    "counted": counted,
}
"""What templates put values into text with, beside what Jinja brings."""
